//! The real binary, as people and scripts see it: one module per command.

mod deploy;
mod graph;
mod help;
mod kinds;
mod look;
mod project;
mod stacks;
mod validate;
