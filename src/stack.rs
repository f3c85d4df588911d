//! Stack files.

pub mod document;
pub mod expr;
pub mod reference;
pub mod scope;
pub mod template;
