//! Growing pauses between attempts, with jitter so that many processes do not come back in step.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);

/// Doubles from 100 ms.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: FIRST }
    }

    /// The next pause: between half and all of the current step, which is at most `longest`.
    pub(crate) fn pause(&mut self, longest: Duration) -> Duration {
        let step = self.next.min(longest);
        self.next = (step * 2).min(longest);
        step.mul_f64(0.5 + jitter() / 2.0)
    }

    /// All is well again: the next pause is the shortest.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }
}

/// Evenly spread over 0.0 to 1.0; nothing secret hangs on it.
fn jitter() -> f64 {
    // Each RandomState is seeded differently.
    let bits = RandomState::new().hash_one(()) >> 32;
    f64::from(u32::try_from(bits).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_stay_within_their_step() {
        let longest = Duration::from_secs(1);
        let mut backoff = Backoff::new();
        for step in [100, 200, 400, 800, 1000, 1000].map(Duration::from_millis) {
            let pause = backoff.pause(longest);
            assert!(pause >= step / 2 && pause <= step, "{pause:?} for {step:?}");
        }
        backoff.reset();
        assert!(backoff.pause(longest) <= FIRST);
    }

    #[test]
    fn pauses_differ() {
        let pauses: std::collections::BTreeSet<_> =
            (0..16).map(|_| Backoff::new().pause(FIRST)).collect();
        assert!(pauses.len() > 1);
    }
}
