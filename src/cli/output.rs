//! `wasmctl output [STACK] [NAME]`: what a deploy left to be used.

use std::io::Write as _;

use serde_json::{Map, Value as Json};

use super::args::{DeploymentArgs, title};
use super::state::without_marks;
use super::{Context, Exit, Failure, run};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::engine::{Request, surgery};
use crate::ui::human;

/// Print the outputs of a deployment
///
/// A single NAME prints the bare value, for scripts. One word alone is taken for a stack if it is a
/// deployed one, else for an output of the active stack.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "wasmctl output [OPTIONS] [STACK] [NAME]",
    after_help = "Examples:
  wasmctl output
  curl $(wasmctl output endpoint)
  wasmctl output local-multi-compute --json | jq ."
)]
pub(super) struct OutputArgs {
    /// The stack [default: the active one of `.env`], and the name of one output
    #[arg(num_args = 0..=2, value_name = "STACK] [NAME")]
    words: Vec<String>,
    /// Show secrets, which are read again from where they come from
    #[arg(long)]
    show_secrets: bool,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

impl OutputArgs {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let (request, name) = self.choose(cx)?;
        let recorded = surgery::read(&request)?.outputs;
        let outputs = if self.show_secrets {
            let planned = run::plan_silently(cx, &request)?;
            let now = planned.outputs();
            recorded
                .into_iter()
                .map(|(name, value)| {
                    let value = now.get(&name).and_then(crate::value::Value::reveal).unwrap_or(value);
                    (name, value)
                })
                .collect()
        } else {
            recorded
        };
        let mut out = cx.printer.out();
        match name {
            Some(name) => {
                let value = outputs.get(&name).ok_or_else(|| unknown(&request, &name, &outputs))?;
                if without_marks(value) != *value {
                    return Err(secret(&name));
                }
                match value {
                    // Bare, also with line breaks: it is data.
                    Json::String(text) if !cx.printer.is_json() => writeln!(out, "{text}")?,
                    other => writeln!(out, "{other}")?,
                }
            }
            None if cx.printer.is_json() => {
                // Secrets are left out, as everywhere in JSON.
                let shown: Map<String, Json> = outputs
                    .into_iter()
                    .filter(|(_, value)| without_marks(value) == *value)
                    .collect();
                writeln!(out, "{}", Json::Object(shown))?;
            }
            None if outputs.is_empty() => cx.printer.say("This deployment has no outputs."),
            None => {
                let shown: Map<String, Json> = outputs
                    .iter()
                    .map(|(name, value)| (name.clone(), without_marks(value)))
                    .collect();
                human::write_outputs(&mut out, &shown, cx.printer.out_look())?;
            }
        }
        out.finish()?;
        Ok(Exit::DONE)
    }

    fn choose(&self, cx: &Context) -> Result<(Request, Option<String>), Failure> {
        let ask = |stack: Option<&str>| self.deployment.request(cx, "output", stack);
        match self.words.as_slice() {
            [] => Ok((ask(None)?, None)),
            [stack, name, ..] => Ok((ask(Some(stack))?, Some(name.clone()))),
            [word] => {
                let named = ask(Some(word))?;
                if crate::id::is_name(word)
                    && surgery::read(&named).is_err()
                    && let Ok(active) = ask(None)
                {
                    return Ok((active, Some(word.clone())));
                }
                Ok((named, None))
            }
        }
    }
}

fn unknown(request: &Request, name: &str, outputs: &Map<String, Json>) -> Failure {
    let help = match did_you_mean(name, outputs.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if outputs.is_empty() => "it has no outputs".to_owned(),
        None => format!("it has {}", outputs.keys().cloned().collect::<Vec<_>>().join(", ")),
    };
    let title = title(&request.stack, &request.env);
    Diagnostic::error("unknown-output", format!("{title} has no output `{name}`"))
        .help(help)
        .into()
}

fn secret(name: &str) -> Failure {
    Diagnostic::error("secret-output", format!("the output `{name}` is a secret"))
        .help("show it with --show-secrets")
        .into()
}
