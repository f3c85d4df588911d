//! `wasmctl serve` as its users see it: the real binary, real sockets.
#![allow(clippy::print_stderr, reason = "measured times, for those who ask with --nocapture")]

mod answers;
mod fairness;
mod guests;
mod life;
mod samples;
mod server;
mod surroundings;
