//! The hold time.

use std::fmt;
use std::time::Duration;

/// A hold time: off, or 3 to 65,535 whole seconds (RFC 4271 4.2).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HoldTime(u16);

impl HoldTime {
    /// Neither side sends keepalives, and silence is no fault.
    pub const OFF: Self = Self(0);

    /// Proposed unless configured otherwise.
    pub const DEFAULT: Self = Self(90);

    /// 0 or at least 3 seconds.
    pub const fn new(seconds: u16) -> Option<Self> {
        match seconds {
            1 | 2 => None,
            seconds => Some(Self(seconds)),
        }
    }

    /// Seconds; 0 if off.
    pub const fn seconds(self) -> u16 {
        self.0
    }

    /// How long silence is tolerated, `None` for ever.
    pub fn duration(self) -> Option<Duration> {
        (self != Self::OFF).then(|| Duration::from_secs(self.0.into()))
    }

    /// The smaller of both proposals; off if either side is.
    #[must_use]
    pub fn agreed(self, peer: Self) -> Self {
        self.min(peer)
    }
}

impl Default for HoldTime {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for HoldTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::OFF { f.pad("off") } else { write!(f, "{} s", self.0) }
    }
}
