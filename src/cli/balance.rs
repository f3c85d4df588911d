//! `wasmctl balance CONFIG`: the load balancer as a process. Started by `local/load_balancer`.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use crate::balance::{self, Options};
use crate::guard::{self, RunDir};

/// Balance requests over target groups
#[derive(Debug, Args)]
pub(super) struct BalanceArgs {
    /// The configuration, JSON; taken over again whenever it changes
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:8080",
        env = "WASMCTL_BALANCE_LISTEN"
    )]
    listen: SocketAddr,
    /// Where to answer /metrics and /status
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:0",
        env = "WASMCTL_FACT_METRICS"
    )]
    admin: SocketAddr,
    /// Take the listening socket from standard input
    #[arg(long, hide = true)]
    listen_fd0: bool,
    /// Standard output is a socket to a guardian process
    #[arg(long, hide = true)]
    control_fd1: bool,
    /// The folder of the guardian, which is started again should it die
    #[arg(long, hide = true, env = "WASMCTL_RUN_DIR")]
    run_dir: Option<PathBuf>,
}

impl BalanceArgs {
    /// Balances until told to stop.
    #[must_use]
    pub(super) fn run(self) -> ExitCode {
        let outcome = self.options().and_then(|options| {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let outcome = runtime.block_on(balance::run(options));
            // What is still in flight was given its time.
            runtime.shutdown_background();
            outcome
        });
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(io::stderr(), "error: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn options(self) -> io::Result<Options> {
        let listener = if self.listen_fd0 {
            guard::inherited_listener()?
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "standard input is no listening socket"))?
        } else {
            TcpListener::bind(self.listen)?
        };
        let control = self.control_fd1.then(guard::inherited_control).transpose()?;
        let run_dir = self.run_dir.map(RunDir::new);
        Ok(Options {
            config: self.config,
            listener,
            admin: Some(self.admin),
            control,
            on_orphaned: run_dir.map(|dir| Box::new(move || heal(&dir)) as Box<dyn FnOnce() + Send>),
            // A closed stream is no reason to stop.
            report: Arc::new(|text| {
                let _ = writeln!(io::stderr(), "{text}");
            }),
        })
    }
}

/// Starts a new guardian; says so where that fails.
fn heal(dir: &RunDir) {
    if let Err(error) = guard::heal(dir) {
        let _ = writeln!(io::stderr(), "no new guardian: {error}");
    }
}
