//! The commands that are processes of their own: they serve, and are started far more often by guardians than by people.
//!
//! They are told apart before the whole command line is built, which keeps a cold start short.

use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "wasmctl", version)]
enum Worker {
    Serve(super::serve::ServeArgs),
    Inspect(super::inspect::InspectArgs),
    #[cfg(feature = "local")]
    #[command(hide = true)]
    Guard(super::guard::GuardArgs),
    #[cfg(feature = "local")]
    #[command(hide = true)]
    Balance(super::balance::BalanceArgs),
}

/// Runs the command if it is one of these.
pub(super) fn run() -> Option<ExitCode> {
    let word = std::env::args().nth(1)?;
    if !matches!(word.as_str(), "serve" | "inspect" | "guard" | "balance") {
        return None;
    }
    Some(match Worker::parse() {
        Worker::Serve(args) => args.run(),
        Worker::Inspect(args) => args.run(),
        #[cfg(feature = "local")]
        Worker::Guard(args) => args.run(),
        #[cfg(feature = "local")]
        Worker::Balance(args) => args.run(),
    })
}
