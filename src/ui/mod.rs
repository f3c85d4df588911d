//! Event in, text out: the only part that prints.

pub mod picture;
