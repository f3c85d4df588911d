//! The local provider: the balancer, the guardians, the kinds, on loopback and with real processes.
#![allow(missing_docs, unreachable_pub, clippy::print_stderr)]
#![cfg(feature = "local")]

mod balance;
mod guards;
mod kinds;
mod targets;
#[allow(dead_code, reason = "shared with the conformance test")]
mod world;
