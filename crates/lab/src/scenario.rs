//! Stories a lab can tell.

pub mod demo;
mod story;

pub use self::story::{Figure, Report, Step, Story};
