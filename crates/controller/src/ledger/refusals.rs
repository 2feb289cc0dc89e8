//! Addresses that speakers do not announce, because a station outside the cluster has them.
//!
//! Such an address is given to nobody who does not ask for it, for a while. A Service that got it
//! unasked and was never announced is given another one, but not without end: where all addresses
//! are somebody else's, it stays with what it has.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use ferrolb_ipam::ServiceKey;

use super::Ledger;

/// For how long an address is avoided.
const AVOIDED: Duration = Duration::from_mins(10);
/// Times in [`AVOIDED`] that a Service is given another address.
const MOVES: usize = 5;

/// All refusals.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    of: HashMap<ServiceKey, BTreeMap<IpAddr, String>>,
    /// Until when an address is avoided, and the station that has it.
    avoided: BTreeMap<IpAddr, (Duration, String)>,
    /// When each Service was given another address.
    moves: HashMap<ServiceKey, VecDeque<Duration>>,
}

impl Refusals {
    /// These are all the refusals for `service` now. Whether that is news.
    fn hear(
        &mut self,
        service: &ServiceKey,
        refused: BTreeMap<IpAddr, String>,
        now: Duration,
    ) -> bool {
        if self.of(service).is_some_and(|known| *known == refused) {
            return false;
        }
        for (ip, station) in &refused {
            self.avoided.insert(*ip, (now + AVOIDED, station.clone()));
        }
        let known = if refused.is_empty() {
            self.of.remove(service)
        } else {
            self.of.insert(service.clone(), refused)
        };
        known.is_some() || self.of.contains_key(service)
    }

    /// What is refused for `service`, and who has it.
    pub(super) fn of(&self, service: &ServiceKey) -> Option<&BTreeMap<IpAddr, String>> {
        self.of.get(service)
    }

    /// Whether `service` was given other addresses often enough.
    pub(super) fn is_tired(&self, service: &ServiceKey, now: Duration) -> bool {
        let moves = self.moves.get(service).into_iter().flatten();
        moves.filter(|at| now < **at + AVOIDED).count() >= MOVES
    }

    /// `service` was given other addresses.
    pub(super) fn moved(&mut self, service: &ServiceKey, now: Duration) {
        let moves = self.moves.entry(service.clone()).or_default();
        moves.push_back(now);
        while moves.len() > MOVES {
            moves.pop_front();
        }
    }

    /// `service` is gone.
    pub(super) fn forget(&mut self, service: &ServiceKey) {
        self.of.remove(service);
        self.moves.remove(service);
    }

    /// Addresses that are avoided, and the stations that have them.
    pub(super) fn avoided(&self) -> impl Iterator<Item = (IpAddr, &str)> {
        self.avoided.iter().map(|(ip, (_, station))| (*ip, station.as_str()))
    }

    /// When the next of them is not avoided any more.
    pub(super) fn due(&self) -> Option<Duration> {
        self.avoided.values().map(|(until, _)| *until).min()
    }

    /// Forgets those whose time is over. Whether there were some.
    pub(super) fn expire(&mut self, now: Duration) -> bool {
        let before = self.avoided.len();
        self.avoided.retain(|_, (until, _)| now < *until);
        self.avoided.len() < before
    }
}

impl Ledger {
    pub(super) fn hear_refused(&mut self, key: &ServiceKey, refused: BTreeMap<IpAddr, String>) {
        if self.refusals.hear(key, refused, self.now) {
            self.reserve = true;
            self.enqueue(key);
        }
    }

    /// Whether `key` keeps its addresses whoever has them: some were announced, so clients know
    /// them, or others were tried.
    pub(super) fn stays(&self, key: &ServiceKey) -> bool {
        let said = self.services.get(key).and_then(|entry| entry.stored().announced.as_ref());
        said.is_some_and(|said| said.holds)
            || self.voices.are_heard(key)
            || self.refusals.is_tired(key, self.now)
    }
}
