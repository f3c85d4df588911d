//! What is recorded survives whatever befalls its files, or is refused with its place; it is never taken for empty.
#![allow(missing_docs, unreachable_pub, clippy::print_stderr)]

mod disk;
mod history;
mod journal;
mod lock;
mod snapshot;
