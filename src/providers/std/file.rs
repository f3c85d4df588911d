//! `std/file`: a file of the project with a given content.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Std;
use crate::disk::{plain, write_atomically};
use crate::id::{RemoteId, hex};
use crate::kind::{Attempt, Error, Kind, Observed, Problem, Result};

/// Keeps a file of the project at a given content.
///
/// A file that was there before is a conflict: it is not ours. After a kill the file that is exactly
/// as asked for is ours, because its `begin` was on disk before it. Folders that are empty once the file
/// is gone go with it, as git does it.
#[derive(Debug, Default)]
pub struct File;

/// What it is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Where it lies, inside the project folder.
    #[schemars(length(min = 1), extend("x-replaces" = true))]
    pub path: String,
    /// What it says.
    pub content: String,
    /// Who may do what with it, as four octal digits.
    #[serde(default = "mode")]
    #[schemars(regex(pattern = r"^0[0-7]{3}$"))]
    pub mode: String,
}

/// What it gives.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The same path.
    #[schemars(extend("x-stable" = true))]
    pub path: String,
    /// The SHA-256 of its content, as 64 hexadecimal digits.
    pub sha256: String,
}

fn mode() -> String {
    "0644".to_owned()
}

fn digest(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

fn cannot(what: &str, path: &str) -> impl FnOnce(io::Error) -> Error {
    let message = format!("cannot {what} `{path}`");
    move |error| Error::failed(format!("{message}: {}", plain(&error))).field("path")
}

/// Runs work on files where blocking is allowed.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Error::failed(format!("the file worker ended: {error}"))))
}

fn write(full: &Path, inputs: &Inputs) -> Result<()> {
    let mode = u32::from_str_radix(&inputs.mode, 8)
        .map_err(|_| Error::invalid(format!("`{}` is no octal mode", inputs.mode)).field("mode"))?;
    // A neighbour that goes takes the folder with it when it was the last one: between our making it and our
    // writing into it, but hardly as often as this.
    const TRIES: usize = 100;
    let mut written = Ok(());
    for _ in 0..TRIES {
        if let Some(folder) = full.parent()
            && !folder.is_dir()
        {
            match fs::create_dir_all(folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                made => made.map_err(cannot("make the folder of", &inputs.path))?,
            }
        }
        written = write_atomically(full, inputs.content.as_bytes(), mode);
        match &written {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            _ => break,
        }
    }
    written.map_err(cannot("write", &inputs.path))
}

fn observe(full: &Path, last: &Inputs) -> Result<Observed<File>> {
    let metadata = match full.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Observed::Absent),
        Err(error) => return Err(cannot("look at", &last.path)(error)),
    };
    if !metadata.is_file() {
        return Ok(Observed::Broken {
            detail: "something that is no file lies there".to_owned(),
        });
    }
    let bytes = fs::read(full).map_err(cannot("read", &last.path))?;
    let sha256 = digest(&bytes);
    let content = if bytes == last.content.as_bytes() {
        last.content.clone()
    } else {
        String::from_utf8(bytes).unwrap_or_else(|_| format!("(binary content with SHA-256 {sha256})"))
    };
    let mode = format!("0{:03o}", metadata.permissions().mode() & 0o777);
    let inputs = Inputs {
        path: last.path.clone(),
        content,
        mode,
    };
    Ok(Observed::Ready {
        outputs: Outputs {
            path: last.path.clone(),
            sha256,
        },
        inputs,
    })
}

impl Kind for File {
    const NAME: &'static str = "std/file";
    const ABOUT: &'static str = "Keeps a file of the project at a given content.";
    type Provider = Std;
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn check(&self, inputs: &Inputs) -> Vec<Problem> {
        // Where links lead is asked when the file is written; what is plain to see is said at plan.
        let (reason, help) = match crate::kind::relative(&inputs.path) {
            Err(reason) => (reason, "files are made inside the project folder only"),
            Ok(path) if [".wasmctl", ".env"].iter().any(|own| path.starts_with(own)) => (
                format!("`{}` belongs to wasmctl itself", inputs.path),
                "choose another place",
            ),
            Ok(_) => return Vec::new(),
        };
        vec![Problem::new("path", format!("cannot be used: {reason}")).help(help)]
    }

    async fn create(&self, on: &Std, inputs: &Inputs, attempt: &Attempt<'_>) -> Result<RemoteId> {
        let full = on
            .project
            .inside(&inputs.path)
            .map_err(|reason| Error::invalid(reason).field("path"))?;
        let (inputs, resumed) = (inputs.clone(), attempt.resumed);
        blocking(move || {
            match fs::read(&full) {
                Ok(there) if resumed && there == inputs.content.as_bytes() => {}
                Ok(_) => {
                    return Err(
                        Error::conflict(format!("`{}` exists already and is not ours", inputs.path))
                            .field("path")
                            .help("move it away, or choose another path"),
                    );
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(cannot("look at", &inputs.path)(error)),
            }
            write(&full, &inputs)?;
            Ok(RemoteId::new(inputs.path))
        })
        .await
    }

    async fn read(&self, on: &Std, id: &RemoteId, last: &Inputs) -> Result<Observed<Self>> {
        let full = on
            .project
            .inside(id.as_str())
            .map_err(|reason| Error::invalid(reason).field("path"))?;
        let last = last.clone();
        blocking(move || observe(&full, &last)).await
    }

    async fn read_many(&self, on: &Std, asked: Vec<(RemoteId, Inputs)>) -> Vec<Result<Observed<Self>>> {
        let count = asked.len();
        let project = on.project.clone();
        let read = tokio::task::spawn_blocking(move || {
            asked
                .into_iter()
                .map(|(id, last)| {
                    let full = project
                        .inside(id.as_str())
                        .map_err(|reason| Error::invalid(reason).field("path"))?;
                    observe(&full, &last)
                })
                .collect::<Vec<_>>()
        });
        match read.await {
            Ok(answers) => answers,
            Err(error) => (0..count)
                .map(|_| Err(Error::failed(format!("the file worker ended: {error}"))))
                .collect(),
        }
    }

    async fn update(&self, on: &Std, id: &RemoteId, _from: &Inputs, to: &Inputs) -> Result<()> {
        let full = on
            .project
            .inside(id.as_str())
            .map_err(|reason| Error::invalid(reason).field("path"))?;
        let to = to.clone();
        blocking(move || write(&full, &to)).await
    }

    async fn delete(&self, on: &Std, id: &RemoteId, _last: &Inputs) -> Result<()> {
        let full = on
            .project
            .inside(id.as_str())
            .map_err(|reason| Error::invalid(reason).field("path"))?;
        let root = on.project.root.clone();
        let path = id.to_string();
        blocking(move || {
            match fs::remove_file(&full) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(cannot("remove", &path)(error)),
            }
            let mut folder = full.parent();
            while let Some(empty) = folder
                && empty != root
                && fs::remove_dir(empty).is_ok()
            {
                folder = empty.parent();
            }
            Ok(())
        })
        .await
    }
}
