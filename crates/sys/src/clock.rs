//! The one clock every timer and deadline of the system is read from.
//!
//! `CLOCK_BOOTTIME`, not `CLOCK_MONOTONIC`: both never step and have no relation to the wall clock,
//! but only the former goes on while the machine is suspended. A node that slept must find, when it
//! wakes, that its lease has run out and that its peers have had time to replace it; a clock that
//! stood still would tell it that nothing happened.
//!
//! `std::time::Instant` and tokio sleep on `CLOCK_MONOTONIC`. Sleeping for a difference of two
//! readings of this clock is right on either; absolute times of the two must not be mixed.

use std::time::Duration;

/// Time since the machine started, suspended time included. Never goes back.
pub fn monotonic_now() -> Duration {
    read(libc::CLOCK_BOOTTIME)
}

/// One moment on both clocks, as near together as can be had.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClockPair {
    /// [`monotonic_now`].
    pub(crate) monotonic: Duration,
    /// Wall clock, since 1970.
    pub(crate) wall: Duration,
}

impl ClockPair {
    /// Reads both clocks. A thread that is put to sleep between the readings would pair moments
    /// that do not belong together, so the wall clock is read between two readings of ours and the
    /// attempt is repeated, a few times, when those lie apart.
    pub(crate) fn now() -> Self {
        const CLOSE_ENOUGH: Duration = Duration::from_micros(20);
        const ATTEMPTS: usize = 4;

        let mut best = Self::bracketed();
        for _ in 1..ATTEMPTS {
            if best.0 <= CLOSE_ENOUGH {
                break;
            }
            let next = Self::bracketed();
            if next.0 < best.0 {
                best = next;
            }
        }
        best.1
    }

    /// A pair and how far apart its readings can be.
    fn bracketed() -> (Duration, Self) {
        let before = monotonic_now();
        let wall = read(libc::CLOCK_REALTIME);
        let gap = monotonic_now().saturating_sub(before);
        (gap, Self { monotonic: before + gap / 2, wall })
    }
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for one timespec. The call cannot fail for the two clocks
    // above, which every supported kernel has.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    from_timespec(time)
}

/// A kernel time as a duration; a time before the clock's origin becomes zero.
pub(crate) fn from_timespec(time: libc::timespec) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn never_goes_back() {
        let readings: Vec<_> = (0..1000).map(|_| monotonic_now()).collect();
        assert!(readings.is_sorted());
        assert!(readings[0] > Duration::ZERO);
    }

    #[test]
    fn agrees_with_the_kernels_uptime() {
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = text.split(' ').next().unwrap().parse().unwrap();
        let now = monotonic_now().as_secs_f64();
        assert!((now - uptime).abs() < 60.0, "{now} against {uptime}");
    }

    #[test]
    fn a_pair_holds_the_wall_clock_of_the_moment() {
        let before = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let first = monotonic_now();
        let pair = ClockPair::now();
        assert!(first <= pair.monotonic && pair.monotonic <= monotonic_now());
        // Generous: the wall clock may be slewed or stepped while the test runs.
        assert!(pair.wall.abs_diff(before) < Duration::from_mins(1));
    }
}
