//! This machine as a cloud: a shared folder, a component in it, three kinds of compute, a load balancer.
//!
//! Everything lies under `.wasmctl/<stack>/<env>/`: `shared/` the folders, `cache/` compiled code, `run/` one folder for
//! each process, as [`crate::guard`] describes it.

pub mod component;
pub mod container;
pub mod function;
pub mod instance;
pub mod load_balancer;
mod primitive;
mod running;
pub mod shared_folder;
mod source;

use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::guard;
use crate::kind::{Error, Project, Provider, Result};

/// This machine, for one deployment.
#[derive(Debug)]
pub struct Local {
    project: Project,
    program: Option<PathBuf>,
}

/// Nothing can be set.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Local {
    /// Serves a deployment with the running program.
    #[must_use]
    pub fn new(project: Project) -> Self {
        Self { project, program: None }
    }

    /// Starts processes from this program instead, which must be wasmctl.
    #[must_use]
    pub fn with_program(self, program: impl Into<PathBuf>) -> Self {
        Self {
            program: Some(program.into()),
            ..self
        }
    }

    fn program(&self) -> Result<PathBuf> {
        match &self.program {
            Some(program) => Ok(program.clone()),
            None => {
                guard::program().map_err(|error| Error::failed(format!("cannot find the program to start: {error}")))
            }
        }
    }

    /// Where compiled code lies. Not in a shared folder: a guest that can write there could have its own machine code run.
    fn cache(&self) -> PathBuf {
        self.project.deployment_dir().join("cache")
    }

    fn run(&self) -> PathBuf {
        self.project.deployment_dir().join("run")
    }

    /// Returns the place of a path that a stack names.
    fn inside(&self, path: &str, field: &str) -> Result<PathBuf> {
        self.project
            .inside(path)
            .map_err(|reason| Error::invalid(reason).field(field))
    }

    /// Returns a path as a stack would name it: relative to the project folder.
    fn relative(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.project.root).unwrap_or(path);
        path.to_string_lossy().into_owned()
    }
}

impl Provider for Local {
    const NAME: &'static str = "local";
    type Config = Config;

    async fn connect(_config: Config, project: &Project) -> Result<Self> {
        Ok(Self::new(project.clone()))
    }

    async fn sweep(&self) -> Result<Vec<String>> {
        let mut left = Vec::new();
        for (what, folder) in [
            ("process folder", self.run()),
            ("shared folder", self.project.deployment_dir().join("shared")),
            ("compiled code", self.cache()),
        ] {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(cannot("look into", &folder)(error)),
            };
            for entry in entries {
                let entry = entry.map_err(cannot("look into", &folder))?;
                left.push(format!("{what} {}", self.relative(&entry.path())));
            }
        }
        left.sort();
        Ok(left)
    }
}

/// Says what could not be done with a path.
fn cannot(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let message = format!("cannot {what} {}", path.display());
    move |error| Error::failed(message).caused_by(error)
}

/// Runs work on files and processes where blocking is allowed.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Error::failed(format!("the file worker ended: {error}"))))
}

/// Removes a folder and those above it while they are empty, up to the project folder.
fn prune(root: &Path, folder: &Path) {
    let mut folder = Some(folder);
    while let Some(empty) = folder.filter(|folder| folder.starts_with(root) && *folder != root) {
        if std::fs::remove_dir(empty).is_err() {
            break;
        }
        folder = empty.parent();
    }
}
