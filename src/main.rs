//! The command line: parse, run, leave with the exit code.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "wasmctl", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(hide = true)]
    Guard(wasmctl::cli::guard::GuardArgs),
    #[command(hide = true)]
    Balance(wasmctl::cli::balance::BalanceArgs),
    Serve(wasmctl::cli::serve::ServeArgs),
    Inspect(wasmctl::cli::inspect::InspectArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Guard(args) => args.run(),
        Command::Balance(args) => args.run(),
        Command::Serve(args) => args.run(),
        Command::Inspect(args) => args.run(),
    }
}
