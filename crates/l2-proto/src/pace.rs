//! How fast something may happen: a burst, then one at a time.

use std::time::Duration;

/// A token bucket that is full at first, kept as the moment at which it is full again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    burst: u32,
    every: Duration,
    full: Duration,
}

impl Pace {
    /// `burst` at once, then one every `every`.
    pub(crate) const fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every, full: Duration::ZERO }
    }

    /// From when on one may be taken that leaves `rest` others.
    pub(crate) fn ready(&self, rest: u32) -> Duration {
        let slack = self.burst.saturating_sub(rest).saturating_sub(1);
        self.full.saturating_sub(self.every * slack)
    }

    /// One is taken.
    pub(crate) fn take(&mut self, now: Duration) {
        self.full = self.full.max(now) + self.every;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// How many are taken at `now`.
    fn take_all(pace: &mut Pace, now: Duration, rest: u32) -> usize {
        std::iter::from_fn(|| (pace.ready(rest) <= now).then(|| pace.take(now))).count()
    }

    #[test]
    fn a_burst_then_one_at_a_time() {
        let mut pace = Pace::new(3, ms(10));
        assert_eq!(take_all(&mut pace, ms(5), 0), 3);
        assert_eq!(pace.ready(0), ms(15));
        assert_eq!(take_all(&mut pace, ms(15), 0), 1);
        assert_eq!(take_all(&mut pace, ms(16), 0), 0);
        // Long after, no more than the burst.
        assert_eq!(take_all(&mut pace, ms(9000), 0), 3);
    }

    #[test]
    fn a_rest_is_left_to_others() {
        let mut pace = Pace::new(4, ms(10));
        assert_eq!(take_all(&mut pace, ms(0), 2), 2);
        assert_eq!(take_all(&mut pace, ms(0), 0), 2);
        // The one that comes back is not theirs before the rest is full again.
        assert_eq!(pace.ready(0), ms(10));
        assert_eq!(pace.ready(2), ms(30));
    }
}
