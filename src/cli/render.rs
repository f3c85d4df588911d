//! `wasmctl render STACK [RESOURCE]`: templates as they are rendered.

use std::io::Write as _;

use serde_json::{Value as Json, json};

use super::args::{DeploymentArgs, address};
use super::{Context, Exit, Failure, run};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::engine::Planned;
use crate::id::ResourceId;
use crate::ui::clean;
use crate::value::Value;

/// Print the templates of a stack as they are rendered
///
/// Values that a deploy has made are taken from the record; what is not known yet is said to be. A
/// single RESOURCE prints the bare text, for scripts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wasmctl render my-stack
  wasmctl render my-stack manifest | kubectl diff -f -")]
pub(super) struct RenderArgs {
    /// The stack: a name of `wasmctl stacks`, a folder or a file
    stack: String,
    /// The resource whose text is printed
    #[arg(value_parser = address)]
    resource: Option<ResourceId>,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

impl RenderArgs {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let mut request = self.deployment.request(cx, "plan", Some(&self.stack))?;
        // Neither network nor credentials: what is recorded is enough.
        request.refresh = false;
        let planned = run::plan_silently(cx, &request)?;
        let mut out = cx.printer.out();
        match &self.resource {
            Some(id) => {
                let text = rendered(&planned, id).ok_or_else(|| unknown(&planned, id))?;
                match text {
                    Some(text) if cx.printer.is_json() => writeln!(out, "{}", Json::from(text))?,
                    Some(text) => out.write_all(text.as_bytes())?,
                    None => {
                        return Err(Diagnostic::error(
                            "not-known",
                            format!("the text of `{id}` is only known after apply"),
                        )
                        .help("deploy the stack, then render again")
                        .into());
                    }
                }
            }
            None => {
                let all: Vec<(ResourceId, Option<String>)> = ids(&planned)
                    .into_iter()
                    .filter_map(|id| rendered(&planned, &id).map(|text| (id, text)))
                    .collect();
                if cx.printer.is_json() {
                    let list: Vec<Json> = all
                        .iter()
                        .map(|(id, text)| json!({"resource": id, "text": text}))
                        .collect();
                    writeln!(out, "{}", Json::from(list))?;
                } else if all.is_empty() {
                    cx.printer.say("This stack has no templates.");
                } else {
                    for (id, text) in &all {
                        let name = id.to_string();
                        writeln!(
                            out,
                            "{}",
                            cx.printer.out_look().paint.bold(format_args!("# {}", clean(&name)))
                        )?;
                        match text {
                            Some(text) => {
                                let end = if text.ends_with('\n') { "" } else { "\n" };
                                write!(out, "{text}{end}")?;
                            }
                            None => writeln!(out, "(known after apply)")?,
                        }
                    }
                }
            }
        }
        out.finish()?;
        Ok(Exit::DONE)
    }
}

/// All resources that are planned, kept ones included.
fn ids(planned: &Planned) -> Vec<ResourceId> {
    let changed = planned.plan.actions.iter().map(|action| action.resource.clone());
    let mut ids: Vec<ResourceId> = planned.plan.keep.iter().cloned().chain(changed).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Returns the text of a template: `None` if it is none, `Some(None)` if it is not known yet.
fn rendered(planned: &Planned, id: &ResourceId) -> Option<Option<String>> {
    let declared = planned.stack.resources.get(&id.name)?;
    if declared.kind.value.name != "std/template" {
        return None;
    }
    match planned.resource_outputs(id).and_then(|outputs| outputs.member("text")) {
        Some(Value::Known(Json::String(text))) => Some(Some(text)),
        Some(Value::Secret(_)) => Some(Some("(sensitive)\n".to_owned())),
        _ => Some(None),
    }
}

fn unknown(planned: &Planned, id: &ResourceId) -> Failure {
    let known: Vec<String> = ids(planned)
        .into_iter()
        .filter(|id| rendered(planned, id).is_some())
        .map(|id| id.to_string())
        .collect();
    let help = match did_you_mean(&id.to_string(), known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "this stack has no templates".to_owned(),
        None => format!("there are {}", known.join(", ")),
    };
    Diagnostic::error("no-template", format!("`{id}` is no template of this stack"))
        .help(help)
        .into()
}
