//! How long a suspect has to refute: long while few have found it silent, short once enough have.
//! Dadgar, Phillips, Currey, "Lifeguard: Local Health Awareness for More Accurate Failure
//! Detection" (2018), 4.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Timing;

#[derive(Clone, Debug)]
pub(crate) struct Suspicion {
    start: Duration,
    min: Duration,
    max: Duration,
    /// Confirmations that bring the timer down to its minimum.
    wanted: u32,
    /// Who found it silent; the first is no confirmation.
    from: BTreeSet<Arc<str>>,
}

impl Suspicion {
    /// A timer in a cluster of `nodes`, started by what `from` said.
    pub(crate) fn new(timing: &Timing, nodes: usize, now: Duration, from: Arc<str>) -> Self {
        let wanted = timing.suspicion_mult.saturating_sub(2);
        // Neither this node nor the suspect can confirm.
        let enough = usize::try_from(wanted).is_ok_and(|wanted| nodes >= wanted + 2);
        let min = minimum(timing, nodes);
        Self {
            start: now,
            min,
            max: min * timing.suspicion_max_timeout_mult.max(1),
            wanted: if enough { wanted } else { 0 },
            from: BTreeSet::from([from]),
        }
    }

    /// Whether `from` is a further witness whose word counts.
    pub(crate) fn confirm(&mut self, from: &Arc<str>) -> bool {
        self.confirmations() < self.wanted && self.from.insert(from.clone())
    }

    /// When the suspect is dead.
    pub(crate) fn deadline(&self) -> Duration {
        if self.wanted == 0 {
            return self.start + self.min;
        }
        let share = f64::from(self.confirmations() + 1).ln() / f64::from(self.wanted + 1).ln();
        let cut = self.max.saturating_sub(self.min).mul_f64(share.clamp(0.0, 1.0));
        self.start + self.max.saturating_sub(cut).max(self.min)
    }

    fn confirmations(&self) -> u32 {
        u32::try_from(self.from.len()).map_or(u32::MAX, |count| count - 1)
    }
}

/// `suspicion_mult` probe intervals times max(1, log10 n), that cut to three decimals.
fn minimum(timing: &Timing, nodes: usize) -> Duration {
    let scale = (log10(nodes).max(1.0) * 1000.0).floor() / 1000.0;
    (timing.probe_interval * timing.suspicion_mult).mul_f64(scale)
}

/// How often a message is sent in a cluster of `nodes`.
pub(crate) fn retransmit_limit(timing: &Timing, nodes: usize) -> u32 {
    // ⌈log10(n + 1)⌉ is the number of decimal digits of n.
    timing.retransmit_mult * nodes.checked_ilog10().map_or(0, |digits| digits + 1)
}

fn log10(nodes: usize) -> f64 {
    f64::from(u32::try_from(nodes).unwrap_or(u32::MAX).max(1)).log10()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::{Suspicion, Timing, retransmit_limit};

    // layer2.md 5.6, rows "suspicion minimum" to "timer with c confirmations".
    #[rstest]
    #[case::three_nodes(3, 0, 4_000)]
    #[case::four_nodes_nobody_else(4, 0, 24_000)]
    #[case::ten_nodes(10, 0, 24_000)]
    #[case::ten_nodes_one_more(10, 1, 11_381)]
    #[case::ten_nodes_two_more(10, 2, 4_000)]
    #[case::ten_nodes_three_more(10, 3, 4_000)]
    #[case::hundred_nodes(100, 0, 48_000)]
    #[case::hundred_nodes_one_more(100, 1, 22_762)]
    #[case::hundred_nodes_two_more(100, 2, 8_000)]
    fn deadline(#[case] nodes: usize, #[case] confirmations: usize, #[case] millis: u128) {
        let mut suspicion = Suspicion::new(&Timing::LAN, nodes, Duration::ZERO, "0".into());
        for from in ["0", "1", "1", "2", "3"].into_iter().take(match confirmations {
            0 => 1,
            1 => 3,
            more => more + 2,
        }) {
            suspicion.confirm(&from.into());
        }
        assert_eq!(suspicion.deadline().as_millis(), millis);
    }

    #[rstest]
    #[case(0, 0)]
    #[case(1, 4)]
    #[case(9, 4)]
    #[case(10, 8)]
    #[case(99, 8)]
    #[case(100, 12)]
    fn sends(#[case] nodes: usize, #[case] wanted: u32) {
        assert_eq!(retransmit_limit(&Timing::LAN, nodes), wanted);
    }
}
