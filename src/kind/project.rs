//! Where a deployment lives: the folder, the stack, the environment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::id::Lineage;

/// What a provider may know of the run it serves.
#[derive(Clone, Debug)]
pub struct Project {
    /// The project folder, absolute.
    pub root: PathBuf,
    /// The stack's name.
    pub stack: Arc<str>,
    /// The environment's name.
    pub env: Arc<str>,
    /// The identity of the deployment's state.
    pub lineage: Lineage,
    /// What a command finds in its environment: `PATH` and `HOME`, nothing else.
    pub passed_on: Vec<(String, String)>,
    /// The templates: by name, as `templates/` in the project folder or the binary has them.
    pub templates: Arc<dyn Templates>,
}

impl Project {
    /// Returns the folder that this deployment has for itself: `.wasmctl/<stack>/<env>`.
    #[must_use]
    pub fn deployment_dir(&self) -> PathBuf {
        self.root.join(".wasmctl").join(&*self.stack).join(&*self.env)
    }

    /// Returns the place of a path that a stack names, if it stays inside the project folder.
    ///
    /// The check is lexical and then follows the links of what exists, so that neither `..` nor a
    /// link leads out.
    ///
    /// # Errors
    /// Says how the path leads outside.
    pub fn inside(&self, path: &str) -> Result<PathBuf, String> {
        inside(&self.root, path)
    }
}

/// Returns a path without `.` and `..`, refusing one that leads outside by its words.
pub(crate) fn relative(path: &str) -> Result<PathBuf, String> {
    use std::path::Component;
    if path.is_empty() {
        return Err("the path is empty".to_owned());
    }
    if path.contains('\0') {
        return Err("the path holds a NUL byte".to_owned());
    }
    let mut relative = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => relative.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !relative.pop() {
                    return Err(format!("`{path}` leads outside the project folder"));
                }
            }
            Component::RootDir | Component::Prefix(_) => {
                return Err(format!(
                    "`{path}` is absolute; paths are relative to the project folder"
                ));
            }
        }
    }
    if relative.as_os_str().is_empty() {
        return Err(format!("`{path}` is the project folder itself"));
    }
    Ok(relative)
}

/// Returns the place of `path` under `root`, refusing one that leads outside by words or by links.
pub(crate) fn inside(root: &Path, path: &str) -> Result<PathBuf, String> {
    let full = root.join(relative(path)?);
    let real_root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let mut existing = full.as_path();
    while let Some(parent) = existing.parent() {
        if existing.symlink_metadata().is_ok() {
            break;
        }
        existing = parent;
    }
    match existing.canonicalize() {
        Ok(real) if !real.starts_with(&real_root) => {
            Err(format!("`{path}` leads outside the project folder through a link"))
        }
        _ => Ok(full),
    }
}

/// Gives out templates by name.
pub trait Templates: std::fmt::Debug + Send + Sync {
    /// Renders a template with these values.
    ///
    /// # Errors
    /// Says what is wrong, with the template's file and line.
    fn render(&self, name: &str, vars: &serde_json::Value) -> Result<String, String>;
}
