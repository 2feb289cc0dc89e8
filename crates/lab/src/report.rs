//! The lab's voice: lines on standard output, and a closed pipe is nobody's fault.

use std::fmt::Display;
use std::io::Write;

/// Prints a line.
pub fn line(text: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Prints a line to standard error.
pub fn complain(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
