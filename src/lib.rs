//! wasmctl: a declarative stack engine for WebAssembly on real infrastructure.

#[cfg(feature = "serve")]
pub mod serve;
