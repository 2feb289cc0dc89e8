//! Time as BFD writes it: whole microseconds in 32 bits, up to 71 minutes.

use std::fmt;
use std::time::Duration;

/// A number of microseconds.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Interval(u32);

impl Interval {
    /// Nothing. On the wire it means: do not send.
    pub const ZERO: Self = Self(0);

    /// So many microseconds.
    pub const fn from_micros(micros: u32) -> Self {
        Self(micros)
    }

    /// So many milliseconds, or the longest interval there is.
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// In microseconds.
    pub const fn micros(self) -> u32 {
        self.0
    }

    /// As a time span.
    pub const fn duration(self) -> Duration {
        Duration::from_micros(self.0 as u64)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.duration(), f)
    }
}
