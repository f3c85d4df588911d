//! The command line: one file per command.

#[cfg(feature = "local")]
pub mod balance;
#[cfg(feature = "local")]
pub mod guard;
#[cfg(feature = "serve")]
pub mod inspect;
#[cfg(feature = "serve")]
pub mod serve;
