//! The real binary, as people and scripts see it: one module per command.

mod graph;
mod help;
mod kinds;
mod project;
mod stacks;
mod validate;
