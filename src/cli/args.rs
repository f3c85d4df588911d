//! Flags that several commands share.

use std::path::{Path, PathBuf};

use super::{Context, Failure};
use crate::diagnostic::Diagnostic;
use crate::dotenv;
use crate::engine::Request;
use crate::id::ResourceId;

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
#[command(next_help_heading = "Deployment")]
pub(super) struct DeploymentArgs {
    /// The environment, whose variables lie in env/NAME.yaml [default: default]
    #[arg(short, long, value_name = "NAME")]
    env: Option<String>,
    /// A variable of the stack, later wins; also WASMCTL_VAR_name
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    var: Vec<(String, String)>,
    /// A YAML file of variables, after that of the environment
    #[arg(long, value_name = "FILE")]
    var_file: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) project: ProjectArgs,
}

impl DeploymentArgs {
    /// Asks the engine for something about a stack: the one that is named, else the active one of `.env`.
    pub(super) fn request(&self, cx: &Context, command: &'static str, stack: Option<&str>) -> Result<Request, Failure> {
        let root = self.project.root(cx)?;
        let (stack, env) = match stack {
            Some(stack) => (stack.to_owned(), None),
            None => active(&root)?,
        };
        let env = self.env.clone().or(env).unwrap_or_else(|| "default".to_owned());
        let working_dir = &cx.environment.working_dir;
        let test = &cx.environment.test;
        Ok(Request {
            command,
            root,
            stack,
            env,
            var_files: self.var_file.iter().map(|file| working_dir.join(file)).collect(),
            ambient: cx.environment.variables.clone(),
            vars: self.var.clone(),
            targets: Vec::new(),
            refresh: true,
            parallelism: PARALLELISM,
            dotenv: None,
            passed_on: cx.environment.passed_on.clone(),
            seam: test.seam,
            seed: test.seed,
            now: test.now.clone(),
        })
    }
}

/// How many steps may be in flight unless someone says otherwise.
pub(super) const PARALLELISM: usize = 32;

/// Returns stack and environment as `.env` names them.
fn active(root: &Path) -> Result<(String, Option<String>), Failure> {
    let entries = dotenv::read(&root.join(".env")).map_err(|error| dotenv_problem(&error))?;
    let entries = entries.unwrap_or_default();
    let find = |name: &str| {
        entries
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    match find("STACK") {
        Some(stack) => {
            // It may have been deployed by the path of its folder.
            let elsewhere = find("INFRA_FOLDER")
                .filter(|folder| *folder != format!("stacks/{stack}"))
                .map(|folder| format!("{folder}/stack.yaml"))
                .filter(|file| root.join(file).is_file());
            Ok((elsewhere.unwrap_or(stack), find("STACK_ENV")))
        }
        None => Err(Failure::usage(
            "no stack is named, and `.env` names none as the active one",
            "name a stack of `wasmctl stacks`; a deploy makes it the active one",
        )),
    }
}

/// Turns what is wrong with `.env` into a failure.
pub(super) fn dotenv_problem(error: &dotenv::Error) -> Failure {
    Diagnostic::error("dotenv", error.to_string()).into()
}

/// Says how people call a deployment: `aws-x`, or `aws-x (ci)`.
pub(super) fn title(stack: &str, env: &str) -> String {
    if env == "default" {
        stack.to_owned()
    } else {
        format!("{stack} ({env})")
    }
}

/// What a run may touch, and how.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Run")]
pub(super) struct RunArgs {
    /// Go ahead without asking; also `CI=true`
    #[arg(short, long)]
    yes: bool,
    /// How many steps may be in flight
    #[arg(long, value_name = "N", default_value_t = PARALLELISM, value_parser = at_least_one)]
    parallelism: usize,
    /// The .env file to write [default: that of the project]
    #[arg(long, value_name = "FILE")]
    dotenv: Option<PathBuf>,
}

/// How a run gets its approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Approval {
    /// It was given beforehand.
    Given,
    /// A person is asked.
    Ask,
}

impl RunArgs {
    /// Says who approves; refuses where nobody can.
    pub(super) fn approval(&self, cx: &Context) -> Result<Approval, Failure> {
        if self.yes || cx.environment.ci {
            Ok(Approval::Given)
        } else if cx.printer.can_ask() {
            Ok(Approval::Ask)
        } else {
            Err(Failure::usage(
                "nobody can be asked here: this is no terminal",
                "look at `wasmctl plan`, then say --yes, or set WASMCTL_YES=1 or CI=true",
            ))
        }
    }

    /// Puts the flags into a request.
    pub(super) fn apply_to(&self, cx: &Context, request: &mut Request) {
        request.parallelism = self.parallelism;
        request.dotenv = self.dotenv.as_ref().map(|path| cx.environment.working_dir.join(path));
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("write a whole number of at least 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// Reads `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if crate::id::is_name(name) => Ok((name.to_owned(), value.to_owned())),
        Some((name, _)) => Err(format!("`{name}` cannot be the name of a variable")),
        None => Err("write NAME=VALUE".to_owned()),
    }
}

/// Reads the address of a resource.
pub(super) fn address(text: &str) -> Result<ResourceId, String> {
    text.parse::<ResourceId>().map_err(|error| error.to_string())
}

/// Writes a file that the user named, or says why it cannot be.
pub(super) fn write_file(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    crate::disk::write_atomically(path, bytes, mode).map_err(|error| {
        Diagnostic::error(
            "write",
            format!("cannot write `{}`: {}", path.display(), crate::disk::plain(&error)),
        )
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
        assert!(at_least_one("0").is_err());
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
