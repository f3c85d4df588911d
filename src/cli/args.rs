//! Flags that several commands share.

use std::path::{Path, PathBuf};

use super::{Context, Failure};
use crate::diagnostic::Diagnostic;

/// Where the project is.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct ProjectArgs {
    /// The project folder [default: the nearest parent with `stacks/`, `.env` or `.wasmctl/`]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl ProjectArgs {
    /// Returns the project folder, absolute.
    pub(super) fn root(&self, cx: &Context) -> Result<PathBuf, Failure> {
        let working_dir = &cx.environment.working_dir;
        match self.dir.as_ref().or(cx.dir.as_ref()) {
            Some(dir) => {
                let full = working_dir.join(dir);
                if full.is_dir() {
                    Ok(full.canonicalize().unwrap_or(full))
                } else {
                    Err(Failure::usage(
                        format!("the project folder `{}` does not exist", dir.display()),
                        "create it, or name another with --dir",
                    ))
                }
            }
            None => Ok(nearest(working_dir).to_owned()),
        }
    }
}

/// Finds the nearest parent that looks like a project, or the folder itself.
fn nearest(from: &Path) -> &Path {
    from.ancestors()
        .find(|folder| {
            folder.join("stacks").is_dir() || folder.join(".wasmctl").is_dir() || folder.join(".env").is_file()
        })
        .unwrap_or(from)
}

/// Which deployment of a stack, and with which variables.
#[derive(Debug, clap::Args)]
pub(super) struct DeploymentArgs {
    /// The environment: its variables lie in env/NAME.yaml
    #[arg(
        short,
        long,
        value_name = "NAME",
        default_value = "default",
        help_heading = "Deployment"
    )]
    pub(super) env: String,
    /// A variable of the stack, later wins; also WASMCTL_VAR_name
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, help_heading = "Deployment")]
    pub(super) var: Vec<(String, String)>,
    /// A YAML file of variables, after that of the environment
    #[arg(long, value_name = "FILE", help_heading = "Deployment")]
    pub(super) var_file: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) project: ProjectArgs,
}

/// Reads `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if crate::id::is_name(name) => Ok((name.to_owned(), value.to_owned())),
        Some((name, _)) => Err(format!("`{name}` cannot be the name of a variable")),
        None => Err("write NAME=VALUE".to_owned()),
    }
}

/// Writes a file that the user named, or says why it cannot be.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    crate::state::file::write_atomically(path, bytes, 0o644).map_err(|error| {
        Diagnostic::error("write", format!("cannot write `{}`: {error}", path.display()))
            .help("name a file in a folder that exists and can be written")
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_has_a_name_and_a_value() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("a").is_err());
        assert!(pair("a-b=1").is_err());
    }

    #[test]
    fn the_nearest_project_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::create_dir(folder.path().join("stacks")).unwrap();
        assert_eq!(nearest(&deep), folder.path());
    }
}
