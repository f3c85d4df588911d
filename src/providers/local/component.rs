//! `local/component`: a component in a shared folder, switched as a whole.
//!
//! ```text
//! <folder>/<name>.wasm              → components/<sha256>.wasm, replaced by rename
//! <folder>/components/<sha256>.wasm   the bytes, never changed
//! <folder>/components/<name>.json     whose it is, and what it points to
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::source::Source;
use super::{Local, blocking, cannot, prune};
use crate::disk::write_atomically;
use crate::id::{RemoteId, hex};
use crate::kind::{Attempt, Error, Kind, Observed, Problem, Result};
use crate::serve::{self, Limits};

/// A component in a shared folder.
///
/// `read` compares what lies in the folder with the source, where that is a file of the project or built in: other bytes
/// show as drift of `sha256`, and the update takes them over. What is behind a tag or a URL is not asked again; name
/// another tag, or set `sha256`.
#[derive(Debug, Default)]
pub struct Component;

/// What it is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Where it comes from: a path in the project, `oci://…`, `https://…` with `sha256`, or `builtin:hello`.
    #[schemars(length(min = 1))]
    pub source: String,
    /// The folder it is put into: `path` of a `local/shared_folder`.
    #[schemars(length(min = 1), extend("x-replaces" = true))]
    pub folder: String,
    /// Its name there, without `.wasm`.
    #[serde(default = "app")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"), extend("x-replaces" = true))]
    pub name: String,
    /// The SHA-256 it must have, as 64 hexadecimal digits; nothing is put in place before it was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
}

/// What it gives.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The switched file, relative to the project folder: what primitives serve.
    #[schemars(extend("x-stable" = true))]
    pub path: String,
    /// The SHA-256 of the component.
    pub sha256: String,
    /// What it imports, in its own order.
    pub imports: Vec<String>,
    /// Its size in bytes.
    pub size: u64,
}

fn app() -> String {
    "app".to_owned()
}

/// Whose a component is, as it lies in the folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Owner {
    token: String,
    sha256: String,
    /// The one before, kept so that whoever is just reading it can finish.
    previous: Option<String>,
    imports: Vec<String>,
}

/// The places of one component.
struct Place {
    folder: PathBuf,
    name: String,
    token: String,
}

impl Place {
    fn of(on: &Local, id: &RemoteId) -> Result<Self> {
        let wrong = || Error::invalid(format!("`{id}` is no id of a component"));
        let (path, token) = id.as_str().rsplit_once('#').ok_or_else(wrong)?;
        let full = on.inside(path, "folder")?;
        let name = full.file_name().and_then(|name| name.to_str()).ok_or_else(wrong)?;
        Ok(Self {
            folder: full.parent().ok_or_else(wrong)?.to_owned(),
            name: name.strip_suffix(".wasm").ok_or_else(wrong)?.to_owned(),
            token: token.to_owned(),
        })
    }

    fn link(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.name))
    }

    fn store(&self) -> PathBuf {
        self.folder.join("components")
    }

    fn bytes(&self, sha256: &str) -> PathBuf {
        self.store().join(format!("{sha256}.wasm"))
    }

    fn owner_file(&self) -> PathBuf {
        self.store().join(format!("{}.json", self.name))
    }

    /// Returns whose component lies there under this name, if it is anybody's.
    fn owner(&self) -> Result<Option<Owner>> {
        let path = self.owner_file();
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(cannot("read", &path)(error)),
        }
    }

    /// Puts a component in place: its bytes first, then whose it is, then the switch.
    fn install(&self, bytes: &[u8], sha256: &str, imports: Vec<String>) -> Result<()> {
        let failed = |path: PathBuf| move |error| cannot("write", &path)(error);
        if !self.folder.is_dir() {
            let message = format!("{} is no folder", self.folder.display());
            return Err(Error::invalid(message)
                .field("folder")
                .help("use `path` of a local/shared_folder"));
        }
        let before = self.owner()?;
        match &before {
            Some(owner) if owner.token != self.token => {
                let message = format!("another component is called `{}` in this folder", self.name);
                return Err(Error::conflict(message).field("name"));
            }
            None if self.link().symlink_metadata().is_ok() => {
                let message = format!("{} exists already and is not ours", self.link().display());
                return Err(Error::conflict(message).field("name"));
            }
            _ => {}
        }
        fs::create_dir_all(self.store()).map_err(failed(self.store()))?;
        let file = self.bytes(sha256);
        if digest_of(&file).as_deref() != Some(sha256) {
            write_atomically(&file, bytes, 0o644).map_err(failed(file.clone()))?;
        }
        let previous = before
            .map(|owner| {
                if owner.sha256 == sha256 {
                    owner.previous
                } else {
                    Some(owner.sha256)
                }
            })
            .unwrap_or_default();
        let owner = Owner {
            token: self.token.clone(),
            sha256: sha256.to_owned(),
            previous,
            imports,
        };
        let json = serde_json::to_vec_pretty(&owner)
            .map_err(|error| Error::failed("cannot write whose the component is").caused_by(error))?;
        write_atomically(&self.owner_file(), &json, 0o644).map_err(failed(self.owner_file()))?;
        self.switch(sha256).map_err(failed(self.link()))?;
        self.sweep()
    }

    /// Points the link at other bytes; readers see the old ones or the new ones.
    fn switch(&self, sha256: &str) -> io::Result<()> {
        let target = PathBuf::from("components").join(format!("{sha256}.wasm"));
        if fs::read_link(self.link()).is_ok_and(|there| there == target) {
            return Ok(());
        }
        let fresh = self.folder.join(format!(".{}.{}.new", self.name, self.token));
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::os::unix::fs::symlink(&target, &fresh)?;
        fs::rename(&fresh, self.link())
    }

    /// Removes bytes that no component of the folder points to any more.
    fn sweep(&self) -> Result<()> {
        let store = self.store();
        let failed = |error| cannot("clean up", &store)(error);
        let (mut used, mut files) = (BTreeSet::new(), Vec::new());
        for entry in fs::read_dir(&store).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") => {
                    let Ok(owner) = serde_json::from_slice::<Owner>(&fs::read(&path).map_err(failed)?) else {
                        continue;
                    };
                    used.insert(owner.sha256);
                    used.extend(owner.previous);
                }
                Some("wasm") => files.push(path),
                _ => {}
            }
        }
        for path in files {
            let digest = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if digest.len() == 64 && !used.contains(&digest) {
                fs::remove_file(&path).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Takes the component away; what is not ours stays.
    fn remove(&self) -> Result<()> {
        let failed = |error: io::Error| cannot("remove", &self.link())(error);
        let gone = |result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        };
        if self.owner()?.is_none_or(|owner| owner.token != self.token) {
            return Ok(());
        }
        if fs::read_link(self.link()).is_ok_and(|target| target.starts_with("components")) {
            gone(fs::remove_file(self.link()))?;
        }
        // Last of what names it, so that a kill on the way leaves something that says whose it is.
        gone(fs::remove_file(self.owner_file()))?;
        self.sweep()?;
        let _ = fs::remove_dir(self.store());
        Ok(())
    }
}

fn digest_of(path: &Path) -> Option<String> {
    Some(hex(&Sha256::digest(fs::read(path).ok()?)))
}

/// A component has no limit of its own; its primitives have.
fn no_limits() -> Limits {
    Limits {
        memory: 4 << 30,
        ..Limits::default()
    }
}

/// Fetches the source, proves that it can be served, and puts it in place.
async fn put(on: &Local, place: Place, inputs: &Inputs) -> Result<()> {
    let bytes = Source::parse(&inputs.source)?.fetch(on).await?;
    let (what, wanted, cache) = (inputs.source.clone(), inputs.sha256.clone(), on.cache());
    blocking(move || {
        let sha256 = hex(&Sha256::digest(&bytes));
        if let Some(wanted) = wanted.filter(|wanted| *wanted != sha256) {
            let message = format!("the component at `{what}` has the SHA-256 {sha256}, not {wanted}");
            return Err(Error::invalid(message).field("sha256"));
        }
        let refused = |error: serve::Error| Error::invalid(error.to_string()).field("source");
        let inspection = serve::inspect(&what, &bytes).map_err(refused)?;
        serve::precompile(&what, &bytes, &cache, &no_limits()).map_err(refused)?;
        place.install(&bytes, &sha256, inspection.imports)
    })
    .await
}

fn observe(on: &Local, place: &Place, last: &Inputs) -> Result<Observed<Component>> {
    let Some(owner) = place.owner()?.filter(|owner| owner.token == place.token) else {
        return Ok(Observed::Absent);
    };
    let Ok(bytes) = fs::read(place.link()) else {
        return Ok(Observed::Broken {
            detail: format!("{} is gone or leads nowhere", place.link().display()),
        });
    };
    let there = hex(&Sha256::digest(&bytes));
    // What the source has now, or at least what was put here from it.
    let wanted = match &last.sha256 {
        Some(pinned) => pinned.clone(),
        None => Source::parse(&last.source)
            .ok()
            .and_then(|source| source.digest(on))
            .unwrap_or_else(|| owner.sha256.clone()),
    };
    let inputs = if there == wanted {
        last.clone()
    } else {
        Inputs {
            sha256: Some(there.clone()),
            ..last.clone()
        }
    };
    Ok(Observed::Ready {
        inputs,
        outputs: Outputs {
            path: on.relative(&place.link()),
            sha256: there,
            imports: owner.imports,
            size: bytes.len() as u64,
        },
    })
}

impl Kind for Component {
    const NAME: &'static str = "local/component";
    const ABOUT: &'static str = "Puts an HTTP component into a shared folder, where running primitives take it over.";
    type Provider = Local;
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn check(&self, inputs: &Inputs) -> Vec<Problem> {
        match Source::parse(&inputs.source) {
            Err(error) => vec![Problem {
                field: "source".to_owned(),
                message: error.message,
                help: error.help,
            }],
            Ok(Source::Web(_)) if inputs.sha256.is_none() => {
                let problem = Problem::new("sha256", "is missing: what a URL leads to may change");
                vec![problem.help("say which bytes are meant with `sha256`")]
            }
            Ok(_) => Vec::new(),
        }
    }

    async fn create(&self, on: &Local, inputs: &Inputs, attempt: &Attempt<'_>) -> Result<RemoteId> {
        let folder = on.inside(&inputs.folder, "folder")?;
        let link = folder.join(format!("{}.wasm", inputs.name));
        let id = RemoteId::new(format!("{}#{}", on.relative(&link), attempt.token));
        put(on, Place::of(on, &id)?, inputs).await?;
        Ok(id)
    }

    async fn read(&self, on: &Local, id: &RemoteId, last: &Inputs) -> Result<Observed<Self>> {
        observe(on, &Place::of(on, id)?, last)
    }

    async fn update(&self, on: &Local, id: &RemoteId, _from: &Inputs, to: &Inputs) -> Result<()> {
        put(on, Place::of(on, id)?, to).await
    }

    async fn delete(&self, on: &Local, id: &RemoteId, _last: &Inputs) -> Result<()> {
        let place = Place::of(on, id)?;
        let (root, cache) = (on.project.root.clone(), on.cache());
        blocking(move || {
            let digests = place
                .owner()?
                .filter(|owner| owner.token == place.token)
                .map(|owner| [Some(owner.sha256), owner.previous]);
            place.remove()?;
            forget(&cache, digests.into_iter().flatten().flatten())?;
            prune(&root, &cache);
            Ok(())
        })
        .await
    }
}

/// Removes compiled code. Another component with the same bytes is compiled again at its next start.
fn forget(cache: &Path, digests: impl Iterator<Item = String>) -> Result<()> {
    let failed = |error| cannot("clean up", cache)(error);
    let digests: Vec<String> = digests.collect();
    let entries = match fs::read_dir(cache) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if digests.iter().any(|digest| name.starts_with(digest)) {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}
