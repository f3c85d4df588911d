//! The command line: parse, run, leave with the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    wasmctl::cli::main()
}
