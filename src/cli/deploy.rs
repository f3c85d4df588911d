//! `wasmctl deploy STACK`: brings the world to what the stack declares.

use std::path::PathBuf;

use super::args::{DeploymentArgs, RunArgs, address};
use super::{Context, Exit, Failure, run};
use crate::engine::SavedPlan;
use crate::id::ResourceId;
use crate::stack::catalog;

/// Deploy a stack: plan, show the plan, apply it, print the outputs
///
/// Each step is recorded before it is taken: whatever is killed on the way, the next deploy carries on
/// without a question. A second deploy without changes does nothing and says so. At the end `.env` says
/// which stack is active.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wasmctl deploy local-multi-compute
  wasmctl deploy local-multi-compute --env ci --var listen=127.0.0.1:8080 --yes
  wasmctl plan my-stack --out my.plan && wasmctl deploy my-stack --plan my.plan")]
pub(super) struct DeployArgs {
    /// The stack: a name of `wasmctl stacks`, a folder or a file
    #[arg(required_unless_present = "plan")]
    stack: Option<String>,
    /// Apply exactly this plan of `wasmctl plan --out`, or nothing
    #[arg(long, value_name = "FILE", help_heading = "Run", conflicts_with = "target")]
    plan: Option<PathBuf>,
    /// Touch only this resource and what it needs (repeatable)
    #[arg(long, value_name = "ADDRESS", value_parser = address, help_heading = "Run")]
    target: Vec<ResourceId>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

impl DeployArgs {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let approval = self.run.approval(cx)?;
        let saved = match &self.plan {
            Some(path) => {
                let full = cx.environment.working_dir.join(path);
                let text = catalog::read_file(&full, &path.display().to_string())?;
                Some(SavedPlan::read(&text.text)?)
            }
            None => None,
        };
        let stack = match (&self.stack, &saved) {
            (Some(stack), _) => stack.clone(),
            (None, Some(saved)) => saved.stack.clone(),
            (None, None) => return Err(Failure::usage("no stack is named", "name a stack of `wasmctl stacks`")),
        };
        let mut request = self.deployment.request(cx, "deploy", Some(&stack))?;
        if let Some(saved) = &saved {
            // What the plan was made with comes first; what is said again wins.
            let mut vars = saved.vars.clone();
            vars.append(&mut request.vars);
            request.vars = vars;
            request.env.clone_from(&saved.env);
        }
        request.targets = self.target;
        self.run.apply_to(cx, &mut request);
        run::change(cx, &request, saved.as_ref(), false, approval)
    }
}
