//! What the ledger is to decide next, each Service once.
//!
//! Whoever holds an address has it confirmed before anybody is given a new one: else a Service could
//! be given what a later one in the queue has held all along.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ferrolb_ipam::ServiceKey;

/// In what order Services are decided about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Turn {
    /// Holds an address that may stay.
    Holder,
    /// Held an address that may not stay.
    Mover,
    /// Has no address.
    Asker,
}

/// The queue, and those that wait for an address.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    queue: BTreeSet<(Turn, u64, ServiceKey)>,
    queued: HashMap<ServiceKey, (Turn, u64)>,
    waiting: BTreeMap<u64, ServiceKey>,
    /// From where on those that wait were not yet looked at since something opened.
    cursor: Option<u64>,
    clock: u64,
}

impl Agenda {
    /// Queues `key`, unless it is queued already for as early a turn: one that asks may turn out to
    /// hold something.
    pub(super) fn add(&mut self, turn: Turn, key: &ServiceKey) {
        if self.queued.get(key).is_some_and(|(queued, _)| *queued <= turn) {
            return;
        }
        self.remove(key);
        self.clock += 1;
        self.queued.insert(key.clone(), (turn, self.clock));
        self.queue.insert((turn, self.clock, key.clone()));
    }

    /// Takes `key` out of the queue.
    pub(super) fn remove(&mut self, key: &ServiceKey) {
        if let Some((turn, place)) = self.queued.remove(key) {
            self.queue.remove(&(turn, place, key.clone()));
        }
    }

    /// Whose turn is next.
    pub(super) fn next_turn(&self) -> Option<Turn> {
        self.queue.first().map(|(turn, ..)| *turn)
    }

    /// Takes the first out of the queue.
    pub(super) fn pop(&mut self) -> Option<(Turn, ServiceKey)> {
        let (turn, _, key) = self.queue.pop_first()?;
        self.queued.remove(&key);
        Some((turn, key))
    }

    /// `key` begins to wait. Returns its place.
    pub(super) fn wait(&mut self, key: &ServiceKey) -> u64 {
        self.clock += 1;
        self.waiting.insert(self.clock, key.clone());
        self.clock
    }

    /// Whoever waits at `place` does not any more.
    pub(super) fn stop_waiting(&mut self, place: u64) {
        self.waiting.remove(&place);
    }

    /// Those that wait are to be looked at, from the first one on.
    pub(super) fn wake(&mut self) {
        self.cursor = Some(0);
    }

    /// The next of those that wait who has not been looked at since the last [`Self::wake`].
    pub(super) fn next_waiter(&mut self) -> Option<&ServiceKey> {
        let next = self.waiting.range(self.cursor?..).next();
        self.cursor = next.map(|(place, _)| place + 1);
        next.map(|(_, key)| key)
    }
}
