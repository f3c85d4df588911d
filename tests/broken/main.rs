//! Whatever a user writes: broken stacks with the exact words they get, and odd ones that must work.
//!
//! `WASMCTL_BLESS=1 cargo test --test broken` writes the expectations anew. Read each of them as a user would.
#![allow(missing_docs, unreachable_pub, clippy::print_stderr)]

mod cases;
mod fine;
mod project;
