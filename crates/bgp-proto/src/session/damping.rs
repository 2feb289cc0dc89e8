//! How long to wait before the next attempt (RFC 4271 8.1.1: DampPeerOscillations).

use std::time::Duration;

use fastrand::Rng;

/// A session that was up so long was no failure.
pub(super) const STABLE: Duration = Duration::from_secs(30);

const FIRST: Duration = Duration::from_secs(1);
const UNREACHABLE_MAX: Duration = Duration::from_secs(30);
const REJECTED_MAX: Duration = Duration::from_mins(2);

/// What the last attempt came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// No connection: the peer is looked for at a pace that grows up to 30 s, or as configured.
    Unreachable,
    /// There was a connection, and it came to nothing: the wait doubles up to two minutes, so that
    /// two speakers that refuse each other do not do so in a loop.
    Rejected,
    /// Nothing is wrong with the peer: within a second.
    Quick,
}

/// Failures since the last session that was stable.
#[derive(Clone, Debug, Default)]
pub(super) struct Damping {
    unreachable: u32,
    rejected: u32,
}

impl Damping {
    pub(super) fn wait(
        &mut self,
        fate: Fate,
        connect_time: Option<Duration>,
        rng: &mut Rng,
    ) -> Duration {
        let wait = match fate {
            Fate::Quick => FIRST,
            Fate::Unreachable => {
                let wait = doubled(FIRST, self.unreachable, UNREACHABLE_MAX);
                self.unreachable = self.unreachable.saturating_add(1);
                connect_time.unwrap_or(wait)
            }
            Fate::Rejected => {
                let first = connect_time.unwrap_or(FIRST);
                let wait = doubled(first, self.rejected, REJECTED_MAX.max(first));
                self.rejected = self.rejected.saturating_add(1);
                wait
            }
        };
        jitter(rng, wait)
    }

    /// A connection stands.
    pub(super) fn reached(&mut self) {
        self.unreachable = 0;
    }

    /// Whether the peer answers, but not as it should.
    pub(super) const fn is_rejected(&self) -> bool {
        self.rejected > 0
    }
}

fn doubled(first: Duration, times: u32, max: Duration) -> Duration {
    2_u32.checked_pow(times).and_then(|factor| first.checked_mul(factor)).unwrap_or(max).min(max)
}

/// Between three quarters of `period` and all of it (RFC 4271 10).
pub(super) fn jitter(rng: &mut Rng, period: Duration) -> Duration {
    period.saturating_mul(rng.u32(48..=64)) / 64
}
