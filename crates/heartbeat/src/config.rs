//! What a detector is told once, when it is made.

use std::sync::Arc;
use std::time::Duration;

use crate::key::Key;

/// Identity, key and timing of one node.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of this node, as its peers list it.
    pub name: Arc<str>,
    /// What authenticates datagrams.
    pub key: Key,
    /// Intervals and limits. Each node goes by its own, and asks peers that beat too rarely for it; where
    /// they differ, a death is not noticed by all at the same time.
    pub timing: Timing,
}

/// Intervals and limits. `DEFAULT` notices a death in half a second, `FAST` in about an eighth and
/// wants a thread that is never late.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// Time between two heartbeats to a peer (T).
    pub interval: Duration,
    /// Time without a word after which a punctual peer is silent (D).
    pub silence: Duration,
    /// The most that a peer's own lateness may stretch its deadline to.
    pub silence_max: Duration,
    /// How long a node that was declared dead stays out of elections after it is back.
    pub hold_down: Duration,
    /// How long a starting node waits for a first peer before it believes to be alone.
    pub alone: Duration,
    /// The longest a leaving node goes on answering for successors that have not confirmed.
    pub take_over: Duration,
}

impl Timing {
    /// 100 ms between heartbeats, silent after 500 ms.
    pub const DEFAULT: Self = Self {
        interval: Duration::from_millis(100),
        silence: Duration::from_millis(500),
        silence_max: Duration::from_millis(1500),
        hold_down: Duration::from_secs(5),
        alone: Duration::from_millis(1500),
        take_over: Duration::from_millis(200),
    };

    /// 30 ms between heartbeats, silent after 120 ms.
    pub const FAST: Self = Self {
        interval: Duration::from_millis(30),
        silence: Duration::from_millis(120),
        ..Self::DEFAULT
    };

    /// Deadline for a peer whose largest lateness of late is `lateness`: D, or three intervals and
    /// twice that lateness if this is more, but never above `silence_max` for that reason alone.
    pub(crate) fn limit(&self, lateness: Duration) -> Duration {
        let widened = (self.interval * 3).saturating_add(lateness.saturating_mul(2));
        widened.min(self.silence_max).max(self.silence)
    }

    /// A peer unheard for `limit` less two intervals is probed until it is heard or silent.
    pub(crate) fn overdue(&self, limit: Duration) -> Duration {
        limit.saturating_sub(self.interval * 2).max(self.interval + self.retry())
    }

    /// Distance between probes, and between repeated announcements of a departure.
    pub(crate) fn retry(&self) -> Duration {
        self.interval / 4
    }

    /// How long the other monitors have to answer for a silent peer.
    pub(crate) fn confirm(&self) -> Duration {
        self.interval / 2
    }

    /// Own lateness up to here is normal scheduling and moves no deadline.
    pub(crate) fn tolerance(&self) -> Duration {
        self.interval / 2
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::Timing;

    #[rstest]
    #[case::punctual(0, 500)]
    #[case::late_within_the_default(100, 500)]
    #[case::late(300, 900)]
    #[case::very_late(5_000, 1500)]
    fn limit_follows_the_peers_lateness(#[case] lateness: u64, #[case] limit: u64) {
        let found = Timing::DEFAULT.limit(Duration::from_millis(lateness));
        assert_eq!(found, Duration::from_millis(limit));
    }

    #[test]
    fn a_configured_silence_above_the_cap_stands() {
        let timing = Timing { silence: Duration::from_secs(3), ..Timing::DEFAULT };
        assert_eq!(timing.limit(Duration::from_secs(9)), Duration::from_secs(3));
    }
}
