//! Leading and standing by.
//!
//! ```text
//!   standing by: rows are taken in, nothing is decided
//!        │ confirm(): a list begins that is not older than now
//!        │ … every row of it …
//!        ▼ lead(): what the list did not show is gone
//!   leading ──stand_by()──► all decisions are forgotten, rows stay
//! ```
//!
//! A new leader is a process that has just started, except that it has read everything already.

use ferrolb_ipam::{Allocator, ServiceKey};

use super::agenda::Agenda;
use super::exposure::Exposure;
use super::pending::Pending;
use super::{Duty, Effect, Ledger};
use crate::converge::Kept;

impl Ledger {
    /// Decides nothing from now on, and forgets what was decided. What is still under way at the API
    /// server comes by the watch.
    pub fn stand_by(&mut self) {
        self.duty = Duty::StandingBy;
        self.allocator = Allocator::new();
        self.kept = Kept::default();
        self.exposure = Exposure::default();
        self.agenda = Agenda::default();
        self.pending = Pending::default();
        self.openings.clear();
        self.flying.clear();
        self.postponed.clear();
        self.alarms.clear();
        self.outbox.clear();
        self.configured = false;
        self.reconfigure = true;
        self.reserve = true;
        for entry in self.services.values_mut() {
            entry.restart();
        }
        self.review();
    }

    /// From here on every Service is shown anew.
    pub fn confirm(&mut self) {
        self.round += 1;
    }

    /// Every Service there is was shown since [`Self::confirm`]: decides from now on.
    pub fn lead(&mut self) {
        let missing = self.services.iter().filter(|(_, entry)| entry.round != self.round);
        let missing: Vec<ServiceKey> = missing.map(|(key, _)| key.clone()).collect();
        for key in missing {
            self.agenda.remove(&key);
            self.forget(&key);
        }
        self.duty = Duty::Leading;
        // Reports of who announces what were taken in without a word.
        if self.voices.is_complete() {
            self.heard_all();
        }
    }

    /// Whether this process decides.
    pub fn leads(&self) -> bool {
        self.duty == Duty::Leading
    }

    /// All figures, blank: nobody but the leader knows them.
    pub fn blank_figures(&self) -> impl Iterator<Item = Effect> {
        let pools = self.config.pools.keys().map(|pool| Effect::Figures(pool.clone(), None));
        pools.chain(self.pending.reasons().map(|reason| Effect::Pending(reason.to_owned(), 0)))
    }

    fn review(&mut self) {
        let mut keys: Vec<ServiceKey> = self.services.keys().cloned().collect();
        keys.sort_unstable();
        for key in keys {
            self.expose(&key);
            self.enqueue(&key);
        }
    }
}
