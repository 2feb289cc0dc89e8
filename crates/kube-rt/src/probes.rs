//! What the health endpoints answer from: named conditions for readiness, pulses for liveness.
//!
//! Liveness asks one thing only: do the owner loops still turn? An API server that is away, a
//! configuration that is wrong or a missing permission never makes a process unhealthy, because a
//! restart would mend none of them and stop what still works.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A loop that did not beat for this long is stuck.
pub const STUCK_AFTER: Duration = Duration::from_secs(30);

/// The registry of conditions and pulses. Cheap to clone.
#[derive(Clone, Default)]
pub struct Probes {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    conditions: Vec<Condition>,
    pulses: Vec<Arc<PulseState>>,
}

struct Condition {
    name: String,
    missing: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

/// Sets one named condition.
#[derive(Clone, Debug)]
pub struct Check {
    missing: Arc<Mutex<Option<String>>>,
}

/// Shows that a loop still turns. A loop must beat well within [`STUCK_AFTER`], also when it has
/// nothing to do.
#[derive(Clone, Debug)]
pub struct Pulse {
    state: Arc<PulseState>,
}

#[derive(Debug)]
struct PulseState {
    name: String,
    last: Mutex<Instant>,
}

/// One line of an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// Name of the condition or loop.
    pub name: String,
    /// What is missing; `None` when all is well.
    pub missing: Option<String>,
}

impl Probes {
    /// Nothing required yet: ready and healthy.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requires a named condition for readiness; not ready for `reason` until it is set.
    pub fn check(&self, name: impl Into<String>, reason: impl Into<String>) -> Check {
        let missing = Arc::new(Mutex::new(Some(reason.into())));
        let check = Check { missing: Arc::clone(&missing) };
        self.require(name, move || missing.lock().clone());
        check
    }

    /// Requires that `missing` answers `None` for readiness; it is asked at each probe.
    pub fn require(
        &self,
        name: impl Into<String>,
        missing: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) {
        let condition = Condition { name: name.into(), missing: Box::new(missing) };
        self.state.lock().conditions.push(condition);
    }

    /// Requires for liveness that the loop `name` beats; its first beat is now.
    pub fn watchdog(&self, name: impl Into<String>) -> Pulse {
        let state = Arc::new(PulseState { name: name.into(), last: Mutex::new(Instant::now()) });
        self.state.lock().pulses.push(Arc::clone(&state));
        Pulse { state }
    }

    /// All conditions in the order they were required.
    pub fn readiness(&self) -> Vec<Line> {
        let state = self.state.lock();
        let line = |condition: &Condition| Line {
            name: condition.name.clone(),
            missing: (condition.missing)(),
        };
        state.conditions.iter().map(line).collect()
    }

    /// All loops in the order they were added. A loop whose [`Pulse`] is gone ended on purpose and
    /// no longer counts.
    pub fn liveness(&self) -> Vec<Line> {
        let mut state = self.state.lock();
        state.pulses.retain(|pulse| Arc::strong_count(pulse) > 1);
        let line = |pulse: &Arc<PulseState>| {
            let quiet = pulse.last.lock().elapsed();
            let missing =
                (quiet > STUCK_AFTER).then(|| format!("no turn for {} s", quiet.as_secs()));
            Line { name: pulse.name.clone(), missing }
        };
        state.pulses.iter().map(line).collect()
    }
}

impl Check {
    /// The condition holds.
    pub fn ready(&self) {
        *self.missing.lock() = None;
    }

    /// Whether the condition holds.
    pub fn is_ready(&self) -> bool {
        self.missing.lock().is_none()
    }

    /// The condition does not hold, and why.
    pub fn not_ready(&self, reason: impl Into<String>) {
        *self.missing.lock() = Some(reason.into());
    }
}

impl Pulse {
    /// The loop turned.
    pub fn beat(&self) {
        *self.state.last.lock() = Instant::now();
    }
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.readiness()).entries(self.liveness()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_is_missing_until_set_and_says_why() {
        let probes = Probes::new();
        let check = probes.check("config", "waiting for the first list");
        let missing = |probes: &Probes| probes.readiness()[0].missing.clone();
        assert_eq!(missing(&probes).as_deref(), Some("waiting for the first list"));
        check.ready();
        assert_eq!(missing(&probes), None);
        check.not_ready("lost");
        assert_eq!(missing(&probes).as_deref(), Some("lost"));
    }

    #[tokio::test(start_paused = true)]
    async fn loop_without_a_beat_for_30_seconds_is_stuck_until_it_turns_again() {
        let probes = Probes::new();
        let pulse = probes.watchdog("owner");
        tokio::time::advance(STUCK_AFTER).await;
        assert_eq!(probes.liveness()[0].missing, None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(probes.liveness()[0].missing.as_deref(), Some("no turn for 31 s"));
        pulse.beat();
        assert_eq!(probes.liveness()[0].missing, None);
    }

    #[tokio::test(start_paused = true)]
    async fn loop_that_ended_no_longer_counts() {
        let probes = Probes::new();
        drop(probes.watchdog("owner"));
        tokio::time::advance(STUCK_AFTER * 2).await;
        assert!(probes.liveness().is_empty());
    }
}
