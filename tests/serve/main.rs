//! `wasmctl serve` as its users see it: the real binary, real sockets.

mod guests;
mod samples;
