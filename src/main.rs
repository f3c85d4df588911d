//! The command line: parse, run, leave with the exit code.
#![allow(missing_docs)]

fn main() {}
