//! `wasmctl validate`: all problems of stack files, with their places.

use super::args::DeploymentArgs;
use super::{Context, Exit, Failure};
use crate::diagnostic::Diagnostics;
use crate::engine;
use crate::stack::catalog;
use crate::ui::plural;

/// Check stack files: all problems, with line and column
///
/// Needs neither network nor credentials. Without a name it checks every stack of the project.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wasmctl validate
  wasmctl validate local-multi-compute --env ci
  wasmctl validate path/to/stack.yaml")]
pub(super) struct ValidateArgs {
    /// Stacks by name, folder or file
    #[arg(value_name = "STACK|PATH")]
    stacks: Vec<String>,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

impl ValidateArgs {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let root = self.deployment.project.root(cx)?;
        let all = self.stacks.is_empty();
        let stacks: Vec<String> = if all {
            let found: Vec<_> = catalog::all(&root).into_iter().collect();
            let own: Vec<String> = found
                .iter()
                .filter(|(_, found)| !found.compiled_in)
                .map(|(name, _)| name.clone())
                .collect();
            if own.is_empty() {
                found.into_iter().map(|(name, _)| name).collect()
            } else {
                own
            }
        } else {
            self.stacks
        };
        let mut problems = Diagnostics::default();
        let mut resources = 0;
        for name in &stacks {
            let request = self.deployment.request(cx, "validate", Some(name))?;
            match engine::load(&request, false) {
                Ok((stack, warnings)) => {
                    resources += stack.resources.len();
                    problems.0.extend(warnings.0);
                }
                Err(found) => problems.0.extend(found.0),
            }
        }
        if problems.has_errors() {
            return Err(problems.into());
        }
        cx.warn(&problems);
        if cx.printer.is_json() {
            cx.json.line(&serde_json::json!({
                "event": "validated", "stacks": stacks, "resources": resources,
            }));
        }
        let is = if stacks.len() == 1 { "is" } else { "are" };
        cx.printer.say(format_args!(
            "{} with {} {is} valid.",
            plural(stacks.len(), "stack"),
            plural(resources, "resource")
        ));
        Ok(Exit::DONE)
    }
}
