//! What a client on the LAN sees, measured with packets of its own and never taken from our logs.
//!
//! [`traffic`] asks a Service over UDP and finds the silence; [`neighbour`] asks the LAN who has an
//! address and notes who answers when.

pub mod neighbour;
pub mod traffic;

use std::time::{Duration, Instant};

/// A stretch of time in which nothing came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Silence {
    /// The last sign before it.
    pub from: Instant,
    /// The first sign after it, or the end of the measurement.
    pub to: Instant,
}

impl Silence {
    /// How long it was.
    pub fn length(&self) -> Duration {
        self.to.duration_since(self.from)
    }

    /// The longest one between `start` and `end`, given the times at which something came.
    pub fn longest(start: Instant, end: Instant, signs: impl IntoIterator<Item = Instant>) -> Self {
        let mut signs: Vec<_> = signs.into_iter().collect();
        signs.push(end);
        signs.sort_unstable();
        let mut longest = Self { from: start, to: start };
        let mut from = start;
        for to in signs {
            let silence = Self { from, to };
            if silence.length() > longest.length() {
                longest = silence;
            }
            from = to;
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_longest_silence_at_start_middle_and_end() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let length = |signs: &[u64]| {
            let signs = signs.iter().map(|millis| at(*millis));
            Silence::longest(start, at(100), signs).length().as_millis()
        };
        assert_eq!(length(&[]), 100);
        assert_eq!(length(&[90]), 90);
        assert_eq!(length(&[10, 20, 75, 80]), 55);
        assert_eq!(length(&[75, 10, 80, 20]), 55);
        assert_eq!(length(&[10, 20]), 80);
    }
}
