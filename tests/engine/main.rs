//! The engine on stacks of its own kinds: whole lives, changes, replacements, secrets, recoveries.
#![allow(missing_docs, unreachable_pub)]

mod life;
mod project;
