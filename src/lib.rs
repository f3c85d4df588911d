//! wasmctl: a declarative stack engine for WebAssembly on real infrastructure.
#![deny(unsafe_code, missing_docs, unreachable_pub)]

pub mod cli;
#[cfg(feature = "serve")]
pub mod serve;
