//! `wasmctl destroy [STACK]`: takes away all that was deployed.

use super::args::{DeploymentArgs, RunArgs};
use super::{Context, Exit, Failure, run};

/// Destroy a deployment, in the order of its dependencies
///
/// Ends with a receipt: a search by ownership tag and folder that found nothing left, or lists what is.
/// What has `prevent_destroy` is refused, and so are other accounts than those it was deployed to.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wasmctl destroy
  wasmctl destroy local-multi-compute --yes
  wasmctl plan local-multi-compute --destroy")]
pub(super) struct DestroyArgs {
    /// The stack [default: the active one of `.env`]
    stack: Option<String>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

impl DestroyArgs {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let approval = self.run.approval(cx)?;
        let mut request = self.deployment.request(cx, "destroy", self.stack.as_deref())?;
        self.run.apply_to(cx, &mut request);
        run::change(cx, &request, None, true, approval)
    }
}
