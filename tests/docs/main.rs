//! What is written for people is true: every command block of the README runs, every table is what the program says,
//! every shipped stack lives its whole life, every kind explains itself.
//!
//! `UPDATE_DOCS=1 cargo test --test docs` writes the generated tables and the picture again.

mod blocks;
mod kinds;
mod project;
mod readme;
mod schema;
mod stacks;
mod tables;

use std::path::Path;

/// The folder of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads a file of the repository.
pub(crate) fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
