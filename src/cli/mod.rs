//! The command line: one file per command.

#[cfg(feature = "serve")]
pub mod inspect;
#[cfg(feature = "serve")]
pub mod serve;
