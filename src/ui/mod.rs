//! Event in, text out: the only part that prints.
//!
//! - [`printer`] decides once how much is said, in which colours and to whom.
//! - [`human`] and [`json`] are the two listeners of a run; [`live`] draws what is in flight.
//! - [`diff`] shows a plan, [`report`] what is wrong, [`picture`] the architecture.

pub mod diff;
pub mod human;
pub mod json;
mod lines;
mod live;
mod paint;
pub mod picture;
pub mod printer;
pub mod report;
mod text;

pub use paint::Paint;
pub use printer::{Color, Look, Out, Printer, Verbosity};
pub use text::{clean, duration, output_value, plural};
