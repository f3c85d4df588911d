//! `wasmctl guard RUN_DIR`: keeps one instance alive. Started by deployments, not by people.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::guard::{self, RunDir};

/// Keep an instance alive
#[derive(Debug, Args)]
pub(super) struct GuardArgs {
    /// The folder that says what to run
    #[arg(value_name = "RUN_DIR")]
    run_dir: PathBuf,
    /// Only wait for the death of the guardian, and start another one
    #[arg(long, hide = true)]
    stand_by: bool,
}

impl GuardArgs {
    /// Guards until told to stop.
    #[must_use]
    pub(super) fn run(self) -> ExitCode {
        let dir = RunDir::new(self.run_dir);
        let outcome = if self.stand_by {
            guard::stand_by(&dir)
        } else {
            // Out of the session of whoever deploys: a closed terminal ends nothing. Fails for one that leads its own
            // session already.
            let _ = rustix::process::setsid();
            keep(&dir).inspect_err(|error| dir.fail(&error.to_string()))
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // The log of the run folder.
                let _ = writeln!(std::io::stderr(), "guardian: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

fn keep(dir: &RunDir) -> std::io::Result<()> {
    let listener = guard::inherited_listener()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(guard::keep(dir.clone(), listener))
}
