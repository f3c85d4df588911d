//! `wasmctl env`: the active stack as `.env` has it.

use std::io::Write as _;

use serde_json::{Map, Value as Json};

use super::args::{ProjectArgs, dotenv_problem};

use super::{Context, Exit, Failure};
use crate::diagnostic::Diagnostic;
use crate::dotenv::{self, Entries};
use crate::state::LastRun;
use crate::state::file::Folder;

/// How entries are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// As `.env` has them.
    #[default]
    Dotenv,
    /// For `eval`: with `export`.
    Sh,
    /// For `>> $GITHUB_ENV`.
    Github,
    /// One JSON object.
    Json,
}

/// Print the active stack as `.env` has it
///
/// `deploy` writes which stack is active, where its files lie and what it says of itself under `env:`.
/// No secret is ever among it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wasmctl env
  eval \"$(wasmctl env --format sh)\"
  wasmctl env --format github >> $GITHUB_ENV
  wasmctl env --check")]
pub(super) struct EnvArgs {
    /// Also check whether it is still true: exit 3 if it is not
    #[arg(long)]
    check: bool,
    /// How entries are written
    #[arg(long, value_enum, default_value_t = Format::Dotenv, env = "WASMCTL_ENV_FORMAT")]
    format: Format,
    #[command(flatten)]
    project: ProjectArgs,
}

impl EnvArgs {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let root = self.project.root(cx)?;
        let entries = dotenv::read(&root.join(".env")).map_err(|error| dotenv_problem(&error))?;
        let Some(entries) = entries else {
            return Err(Diagnostic::error("no-active-stack", "`.env` names no active stack")
                .help("a deploy makes its stack the active one")
                .into());
        };
        let format = if cx.printer.is_json() {
            Format::Json
        } else {
            self.format
        };
        let text = write(&entries, format)?;
        let mut out = cx.printer.out();
        out.write_all(text.as_bytes())?;
        out.finish()?;
        if !self.check {
            return Ok(Exit::DONE);
        }
        match untrue(&root, &entries)? {
            None => Ok(Exit::DONE),
            Some(why) => {
                cx.printer.warn(why);
                Ok(Exit::DIFFERENT)
            }
        }
    }
}

fn write(entries: &Entries, format: Format) -> Result<String, Failure> {
    let mut text = String::new();
    match format {
        Format::Dotenv | Format::Sh => {
            for (name, value) in entries {
                if format == Format::Sh {
                    text.push_str("export ");
                }
                text.push_str(&dotenv::line(name, value).map_err(|error| dotenv_problem(&error))?);
                text.push('\n');
            }
        }
        Format::Github => {
            // Values hold no line break: `.env` has no place for one.
            for (name, value) in entries {
                text.push_str(&format!("{name}={value}\n"));
            }
        }
        Format::Json => {
            let object: Map<String, Json> = entries
                .iter()
                .map(|(name, value)| (name.clone(), Json::from(value.as_str())))
                .collect();
            text = format!("{}\n", Json::Object(object));
        }
    }
    Ok(text)
}

/// Says why `.env` is no longer true, if it is not.
fn untrue(root: &std::path::Path, entries: &Entries) -> Result<Option<String>, Failure> {
    let find = |name: &str| {
        entries
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let (stack, env) = (
        find("STACK").unwrap_or_default(),
        find("STACK_ENV").unwrap_or("default"),
    );
    if let Some(status) = find("STACK_STATUS") {
        return Ok(Some(format!("the last run of {stack} did not end well: {status}")));
    }
    let state = Folder::of(root, stack, env)
        .read()
        .map_err(crate::engine::Error::State)?;
    let Some(state) = state.map(|opened| opened.state).filter(|state| !state.is_empty()) else {
        return Ok(Some(format!("{stack} is not deployed")));
    };
    if state.last_run == LastRun::Incomplete {
        return Ok(Some(format!("the last run of {stack} was not finished")));
    }
    let serial = find("STACK_SERIAL").unwrap_or_default();
    if serial != state.serial.to_string() {
        return Ok(Some(format!(
            "{stack} has changed since: its serial is {}, `.env` says {serial}",
            state.serial
        )));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_in_every_format() {
        let entries = vec![
            ("STACK".to_owned(), "shop".to_owned()),
            ("GREETING".to_owned(), "Hello, World".to_owned()),
        ];
        let written = |format| write(&entries, format).unwrap();
        assert_eq!(written(Format::Dotenv), "STACK=shop\nGREETING='Hello, World'\n");
        assert_eq!(
            written(Format::Sh),
            "export STACK=shop\nexport GREETING='Hello, World'\n"
        );
        assert_eq!(written(Format::Github), "STACK=shop\nGREETING=Hello, World\n");
        assert_eq!(
            written(Format::Json),
            "{\"GREETING\":\"Hello, World\",\"STACK\":\"shop\"}\n"
        );
    }
}
