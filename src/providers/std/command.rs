//! `std/command`: a command that runs when the resource is made, and one when it goes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::process::Command as Process;

use super::Std;
use crate::disk::{plain, write_atomically};
use crate::id::RemoteId;
use crate::kind::{Attempt, Error, Kind, Observed, Problem, Result};
use crate::value::without_secrets;

/// Runs a command once, and another one when the resource goes.
///
/// What it gave is kept in the deployment's folder under the token, so that a command that ended is
/// never run again for the same creation. One that was killed on its way runs again: it should be
/// written so that this does no harm.
#[derive(Debug, Default)]
pub struct Command;

/// What to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Line {
    /// For `sh -c`.
    Shell(String),
    /// A program and its arguments.
    Program(Vec<String>),
}

/// What it is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// What runs first: a list is a program and its arguments, a text is for `sh -c`.
    #[schemars(extend("x-replaces" = true, "x-public" = true))]
    pub run: Line,
    /// What runs when the resource goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-public" = true))]
    pub destroy: Option<Line>,
    /// Any values: a change runs it again.
    #[serde(default)]
    #[schemars(extend("x-replaces" = true))]
    pub triggers: BTreeMap<String, Json>,
    /// What it finds in its environment beside `PATH` and `HOME`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The folder it runs in, inside the project folder; the project folder itself if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
}

/// What it gives.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// What it wrote, at most 1 MB, secrets taken out.
    #[schemars(extend("x-stable" = true))]
    pub stdout: String,
    /// What it ended with: always 0, because anything else is a failure.
    #[schemars(extend("x-stable" = true))]
    pub exit_code: i32,
}

/// What is kept of a command that ended.
#[derive(Serialize, Deserialize)]
struct Kept {
    stdout: String,
    exit_code: i32,
}

const MOST_OUTPUT: usize = 1 << 20;

impl Command {
    fn kept(on: &Std, id: &str) -> PathBuf {
        on.project.deployment_dir().join("commands").join(format!("{id}.json"))
    }

    async fn run(on: &Std, line: &Line, inputs: &Inputs, field: &str) -> Result<Kept> {
        let mut process = match line {
            Line::Shell(text) => {
                let mut process = Process::new("sh");
                process.args(["-c", text]);
                process
            }
            Line::Program(words) => {
                let (program, arguments) = words
                    .split_first()
                    .ok_or_else(|| Error::invalid("is empty: it needs a program").field(field))?;
                let mut process = Process::new(program);
                process.args(arguments);
                process
            }
        };
        let dir = match inputs.dir.as_deref().filter(|dir| *dir != ".") {
            Some(dir) => on
                .project
                .inside(dir)
                .map_err(|reason| Error::invalid(reason).field("dir"))?,
            None => on.project.root.clone(),
        };
        process
            .current_dir(dir)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        process.envs(on.project.passed_on.iter().map(|(name, value)| (name, value)));
        // A group of its own: Ctrl-C in the terminal is for wasmctl, which lets calls in flight return.
        process.envs(&inputs.env).kill_on_drop(true).process_group(0);
        let name = match line {
            Line::Shell(_) => "sh",
            Line::Program(words) => words[0].as_str(),
        };
        let child = process
            .spawn()
            .map_err(|error| Error::failed(format!("cannot run `{name}`: {}", plain(&error))).field(field))?;
        let output = child
            .wait_with_output()
            .await
            .map_err(|error| Error::failed(format!("`{name}` was lost: {}", plain(&error))).field(field))?;
        let text = |bytes: &[u8]| {
            let end = bytes.len().min(MOST_OUTPUT);
            String::from_utf8_lossy(&bytes[..end]).into_owned()
        };
        if output.status.success() {
            return Ok(Kept {
                stdout: text(&output.stdout),
                exit_code: 0,
            });
        }
        let said = text(if output.stderr.is_empty() {
            &output.stdout
        } else {
            &output.stderr
        });
        let lines: Vec<&str> = said.lines().collect();
        let tail = lines[lines.len().saturating_sub(20)..].join("\n");
        let how = match output.status.code() {
            Some(code) => format!("ended with {code}"),
            None => "was killed by a signal".to_owned(),
        };
        let colon = if tail.is_empty() { "" } else { ":\n" };
        Err(Error::failed(format!("`{name}` {how}{colon}{tail}")).field(field))
    }
}

impl Kind for Command {
    const NAME: &'static str = "std/command";
    const ABOUT: &'static str = "Runs a command once, and another one when the resource goes.";
    const DELETES_BY_INPUTS: bool = true;
    type Provider = Std;
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn check(&self, inputs: &Inputs) -> Vec<Problem> {
        let mut found = Vec::new();
        for (field, line) in [("run", Some(&inputs.run)), ("destroy", inputs.destroy.as_ref())] {
            let (empty, nul) = match line {
                None => continue,
                Some(Line::Shell(text)) => (text.trim().is_empty(), text.contains('\0')),
                Some(Line::Program(words)) => (
                    words.first().is_none_or(String::is_empty),
                    words.iter().any(|word| word.contains('\0')),
                ),
            };
            if empty {
                found.push(
                    Problem::new(field, "is empty: it needs a program")
                        .help("write `[program, argument]`, or a line for `sh`"),
                );
            } else if nul {
                found.push(Problem::new(field, "holds a NUL byte, which no program can be handed"));
            }
        }
        for (name, value) in &inputs.env {
            let field = crate::kind::join("env", name);
            if name.is_empty() || name.contains(['=', '\0']) {
                found.push(Problem::new(
                    field,
                    "cannot be the name of a variable: it must be there, without `=`",
                ));
            } else if value.contains('\0') {
                found.push(Problem::new(field, "holds a NUL byte, which no program can be handed"));
            }
        }
        // Where links lead is asked when it runs; what is plain to see is said at plan.
        if let Some(dir) = &inputs.dir
            && let Err(reason) = crate::kind::relative(dir)
            && dir != "."
        {
            found.push(
                Problem::new("dir", format!("cannot be used: {reason}")).help("commands run inside the project folder"),
            );
        }
        found
    }

    fn timeout(&self, _inputs: &Inputs) -> Duration {
        Duration::from_secs(30 * 60)
    }

    async fn create(&self, on: &Std, inputs: &Inputs, attempt: &Attempt<'_>) -> Result<RemoteId> {
        let id = RemoteId::new(attempt.token.as_str());
        let path = Self::kept(on, id.as_str());
        if path.exists() {
            return Ok(id);
        }
        let mut kept = Self::run(on, &inputs.run, inputs, "run").await?;
        kept.stdout = without_secrets(&kept.stdout, attempt.secrets);
        let folder = path.parent().unwrap_or(&path);
        let bytes = serde_json::to_vec(&kept).map_err(|error| Error::failed(error.to_string()))?;
        fs::create_dir_all(folder)
            .and_then(|()| write_atomically(&path, &bytes, 0o600))
            .map_err(|error| Error::failed(format!("cannot keep what the command gave: {}", plain(&error))))?;
        Ok(id)
    }

    async fn read(&self, on: &Std, id: &RemoteId, last: &Inputs) -> Result<Observed<Self>> {
        match fs::read(Self::kept(on, id.as_str())) {
            Ok(bytes) => match serde_json::from_slice::<Kept>(&bytes) {
                Ok(Kept { stdout, exit_code }) => Ok(Observed::Ready {
                    inputs: last.clone(),
                    outputs: Outputs { stdout, exit_code },
                }),
                Err(error) => Ok(Observed::Broken {
                    detail: format!("what it gave was damaged: {error}"),
                }),
            },
            Err(_) => Ok(Observed::Absent),
        }
    }

    /// Only how it goes and what it finds in its environment can change in place: neither runs anything.
    async fn update(&self, _on: &Std, _id: &RemoteId, _from: &Inputs, _to: &Inputs) -> Result<()> {
        Ok(())
    }

    async fn delete(&self, on: &Std, id: &RemoteId, last: &Inputs) -> Result<()> {
        let path = Self::kept(on, id.as_str());
        if !path.exists() {
            return Ok(());
        }
        if let Some(line) = &last.destroy {
            Self::run(on, line, last, "destroy").await?;
        }
        fs::remove_file(&path)
            .map_err(|error| Error::failed(format!("cannot forget the command: {}", plain(&error))))?;
        if let Some(folder) = path.parent() {
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }
}
