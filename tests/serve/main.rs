//! `wasmctl serve` as its users see it: the real binary, real sockets.

mod answers;
mod fairness;
mod guests;
mod life;
mod samples;
mod server;
mod surroundings;
