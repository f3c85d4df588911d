//! `wasmctl plan STACK`: what would change, and why.

use std::path::PathBuf;

use super::args::{DeploymentArgs, address, write_file};
use super::{Context, Exit, Failure, run};
use crate::diagnostic::Diagnostic;
use crate::engine::SavedPlan;
use crate::id::ResourceId;
use crate::ui::diff::{self, Detail};

/// Show what a deploy would change, and why
///
/// Changes nothing, neither on disk nor in the world. `+` creates, `~` updates in place, `-/+` replaces,
/// `+/-` replaces and makes the new one first, `-` deletes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wasmctl plan local-multi-compute
  wasmctl plan my-stack --detailed-exitcode        exit 3 if there are changes
  wasmctl plan my-stack --refresh=false --json     neither network nor credentials")]
pub(super) struct PlanArgs {
    /// The stack: a name of `wasmctl stacks`, a folder or a file
    stack: String,
    /// Keep the plan in a file, for `wasmctl deploy --plan`
    #[arg(short, long, value_name = "FILE", env = "WASMCTL_PLAN_OUT")]
    out: Option<PathBuf>,
    /// Exit with 3 if there are changes
    #[arg(long)]
    detailed_exitcode: bool,
    /// Look at the world first; `--refresh=false` trusts the record
    #[arg(long, value_name = "BOOL", default_value_t = true, default_missing_value = "true", num_args = 0..=1,
          require_equals = true, action = clap::ArgAction::Set, value_parser = clap::builder::BoolishValueParser::new())]
    refresh: bool,
    /// Show what a destroy would take away
    #[arg(long)]
    destroy: bool,
    /// Plan only this resource and what it needs (repeatable)
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    target: Vec<ResourceId>,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

impl PlanArgs {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let mut request = self.deployment.request(cx, "plan", Some(&self.stack))?;
        request.refresh = self.refresh;
        request.targets = self.target;
        let planned = run::plan(cx, &request, self.destroy)?;
        let plan = &planned.plan;
        if cx.printer.is_json() {
            cx.json.with(|mut out| diff::write_json(&mut out, &plan.actions));
        } else {
            let mut out = cx.printer.out();
            diff::write_plan(
                &mut out,
                &plan.actions,
                &plan.counts,
                Detail::Fields,
                cx.printer.out_look(),
            )?;
            out.finish()?;
        }
        if let Some(path) = &self.out {
            let saved = serde_json::to_vec(&SavedPlan::of(&planned, &request))
                .map_err(|error| Diagnostic::error("plan", format!("the plan cannot be written as JSON: {error}")))?;
            // What a plan shows is not for everybody.
            write_file(&cx.environment.working_dir.join(path), &saved, 0o600)?;
            cx.printer.say(format_args!(
                "The plan is in {0}; `wasmctl deploy --plan {0}` applies exactly that.",
                path.display()
            ));
        }
        Ok(if self.detailed_exitcode && planned.has_changes() {
            Exit::DIFFERENT
        } else {
            Exit::DONE
        })
    }
}
