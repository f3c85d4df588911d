//! wasmctl: a declarative stack engine for WebAssembly on real infrastructure.

pub mod apply;
#[cfg(feature = "local")]
pub mod balance;
pub mod cli;
pub mod diagnostic;
pub mod dotenv;
pub mod engine;
pub mod event;
pub mod graph;
#[cfg(feature = "local")]
pub mod guard;
pub mod id;
pub mod kind;
pub mod plan;
pub mod providers;
#[cfg(feature = "serve")]
pub mod serve;
pub mod stack;
pub mod state;
pub mod ui;
pub mod value;
