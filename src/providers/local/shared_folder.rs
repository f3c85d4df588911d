//! `local/shared_folder`: a folder that all primitives share, as a network file system would be in a cloud.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Local, blocking, cannot, prune};
use crate::disk::write_atomically;
use crate::id::RemoteId;
use crate::kind::{Attempt, Error, Kind, Observed, Problem, Result};

/// The file that proves whose folder it is: it holds the token of the creation.
const MARKER: &str = ".wasmctl-folder";

/// A folder that primitives share.
///
/// It is removed with everything in it, but only while it holds the marker of its own creation. A folder that was there
/// before is a conflict. Folders above it that are empty then go with it.
#[derive(Debug, Default)]
pub struct SharedFolder;

/// What it is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Where it lies, inside the project folder; without it among the files of the deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("x-replaces" = true))]
    pub path: Option<String>,
}

/// What it gives.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// Where it lies, relative to the project folder.
    #[schemars(extend("x-stable" = true))]
    pub path: String,
    /// Where it lies, from the root of the file system.
    #[schemars(extend("x-stable" = true))]
    pub absolute: String,
}

/// The id names the folder and the creation: `PATH#TOKEN`.
fn parts(on: &Local, id: &RemoteId) -> Result<(PathBuf, String)> {
    let (path, token) = id
        .as_str()
        .rsplit_once('#')
        .ok_or_else(|| Error::invalid(format!("`{id}` is no id of a shared folder")))?;
    Ok((on.inside(path, "path")?, token.to_owned()))
}

fn marker(folder: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(folder.join(MARKER)) {
        Ok(token) => Ok(Some(token.trim().to_owned())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The name under which a folder is taken apart: a kill on the way leaves it there, never half a folder in place.
fn condemned(folder: &Path, token: &str) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}.{token}.gone"))
}

fn make(folder: &Path, token: &str, resumed: bool) -> Result<()> {
    let failed = |error| cannot("make", folder)(error);
    if let Some(above) = folder.parent() {
        fs::create_dir_all(above).map_err(failed)?;
    }
    match fs::create_dir(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let ours = marker(folder).map_err(failed)?.as_deref() == Some(token);
            // A kill between the folder and its marker leaves an empty folder.
            let begun = resumed && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
            if !ours && !begun {
                let reason = format!("{} exists already and is not ours", folder.display());
                return Err(Error::conflict(reason)
                    .field("path")
                    .help("name a folder that does not exist yet, or remove this one"));
            }
        }
        Err(error) => return Err(failed(error)),
    }
    write_atomically(&folder.join(MARKER), format!("{token}\n").as_bytes(), 0o644).map_err(failed)
}

fn unmake(root: &Path, folder: &Path, token: &str) -> Result<()> {
    let gone = condemned(folder, token);
    let failed = |error| cannot("remove", folder)(error);
    if marker(folder).map_err(failed)?.as_deref() == Some(token) {
        fs::rename(folder, &gone).map_err(failed)?;
    }
    match fs::remove_dir_all(&gone) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    if let Some(above) = folder.parent() {
        prune(root, above);
    }
    Ok(())
}

impl Kind for SharedFolder {
    const NAME: &'static str = "local/shared_folder";
    const ABOUT: &'static str = "Makes a folder that all primitives of the stack share.";
    type Provider = Local;
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn check(&self, inputs: &Inputs) -> Vec<Problem> {
        let Some(path) = &inputs.path else { return Vec::new() };
        match crate::kind::relative(path) {
            Err(reason) => vec![Problem::new("path", reason)],
            Ok(_) if Path::new(path).starts_with(".wasmctl") || path.contains(['#', ',', ':']) => {
                let reason = format!("`{path}` cannot be a shared folder");
                vec![Problem::new("path", reason).help("choose one outside `.wasmctl`, without `#`, `,` and `:`")]
            }
            Ok(_) => Vec::new(),
        }
    }

    async fn create(&self, on: &Local, inputs: &Inputs, attempt: &Attempt<'_>) -> Result<RemoteId> {
        let token = attempt.token.to_string();
        let folder = match &inputs.path {
            Some(path) => on.inside(path, "path")?,
            None => on.project.deployment_dir().join("shared").join(&token),
        };
        let id = RemoteId::new(format!("{}#{token}", on.relative(&folder)));
        let resumed = attempt.resumed;
        blocking(move || make(&folder, &token, resumed)).await?;
        Ok(id)
    }

    async fn read(&self, on: &Local, id: &RemoteId, last: &Inputs) -> Result<Observed<Self>> {
        let (folder, token) = parts(on, id)?;
        if condemned(&folder, &token).symlink_metadata().is_ok() {
            return Ok(Observed::Broken {
                detail: "it was only half removed".to_owned(),
            });
        }
        if marker(&folder).map_err(cannot("read", &folder))? != Some(token) {
            return Ok(Observed::Absent);
        }
        Ok(Observed::Ready {
            inputs: last.clone(),
            outputs: Outputs {
                path: on.relative(&folder),
                absolute: folder.to_string_lossy().into_owned(),
            },
        })
    }

    async fn update(&self, _on: &Local, _id: &RemoteId, _from: &Inputs, _to: &Inputs) -> Result<()> {
        // Its only input replaces it.
        Ok(())
    }

    async fn delete(&self, on: &Local, id: &RemoteId, _last: &Inputs) -> Result<()> {
        let (folder, token) = parts(on, id)?;
        let root = on.project.root.clone();
        blocking(move || unmake(&root, &folder, &token)).await
    }
}
