//! The command line: one file per command.

#[cfg(feature = "local")]
pub mod balance;
#[cfg(feature = "local")]
pub mod guard;
