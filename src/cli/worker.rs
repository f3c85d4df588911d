//! The processes that guardians start: told apart before the whole command line is built, which keeps a
//! cold start short.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "wasmctl", version)]
enum Worker {
    Serve(Box<super::serve::ServeArgs>),
    #[cfg(feature = "local")]
    Guard(super::guard::GuardArgs),
    #[cfg(feature = "local")]
    Balance(Box<super::balance::BalanceArgs>),
}

/// Runs the command if a guardian started it.
pub(super) fn run() -> Option<ExitCode> {
    let is = |word: Option<&OsStr>, name: &str| word.is_some_and(|word| word == name);
    let first = std::env::args_os().nth(1);
    let first = first.as_deref();
    let hosted = is(first, "serve") && std::env::args_os().any(|word| word == "--control-fd1");
    if !hosted && !is(first, "guard") && !is(first, "balance") {
        return None;
    }
    Some(match Worker::parse() {
        Worker::Serve(args) => match args.serve(false) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // The log of the run folder.
                let _ = writeln!(std::io::stderr(), "error: {error}");
                ExitCode::FAILURE
            }
        },
        #[cfg(feature = "local")]
        Worker::Guard(args) => args.run(),
        #[cfg(feature = "local")]
        Worker::Balance(args) => args.run(),
    })
}
