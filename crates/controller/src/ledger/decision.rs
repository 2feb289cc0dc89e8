//! One turn: what a Service holds from now on, and what follows for it and for others.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_api::reasons::EventReason;
use ferrolb_ipam::ServiceKey;

use super::delivery::entitlement;
use super::entry::Whose;
use super::status::Status;
use super::{Effect, Ledger, Turn};
use crate::converge::{Decision, Note, Outcome, Rules, Taken, converge};
use crate::standing::Standing;

impl Ledger {
    pub(super) fn decide(&mut self, turn: Turn, key: &ServiceKey, effects: &mut Vec<Effect>) {
        let Some(entry) = self.services.get_mut(key) else { return };
        if self.flying.contains(key) {
            entry.again = true;
            return;
        }
        if let Some((rival, _)) = entry.rivalry.yields_to(self.now) {
            let rival = Arc::clone(rival);
            self.yield_to(&rival, key, effects);
            return;
        }
        self.contest(key);
        let none = BTreeMap::new();
        let stays = self.stays(key);
        let had = entitlement(&self.allocator, &self.kept, key);
        let only_confirm = turn == Turn::Holder && self.agenda.next_turn() == Some(Turn::Holder);
        let Some(entry) = self.services.get_mut(key) else { return };
        let rules = Rules {
            ours: self.options.class.as_deref(),
            config: &self.config,
            kept: &self.kept,
            stored: entry.is_stored(),
            entitled: entry.stored().addresses().any(|ip| had.contains(&ip)),
            taken: Taken { stations: self.refusals.of(key).unwrap_or(&none), stays },
            only_confirm,
        };
        let whose = entry.whose;
        let mut decision = converge(&entry.row, &entry.held(), &rules, &mut self.allocator);
        if decision.outcome == Outcome::Deferred {
            self.agenda.add(Turn::Mover, key);
            return;
        }
        match (decision.outcome == Outcome::Waiting, entry.waiting) {
            (true, None) => entry.waiting = Some(self.agenda.wait(key)),
            (false, Some(place)) => {
                entry.waiting = None;
                self.agenda.stop_waiting(place);
            }
            _ => {}
        }
        if decision.moved {
            self.refusals.moved(key, self.now);
        }
        entry.tell(std::mem::take(&mut decision.notes), effects);
        // What was ours is cleared before it is none of our business.
        let ignored = decision.outcome == Outcome::Ignored;
        let never_ours = ignored && whose != Whose::Ours;
        if never_ours {
            entry.drop_plan();
        }
        let foreign = ignored && entry.is_stored();
        entry.whose = if foreign { Whose::Others } else { Whose::Ours };
        let lacks = decision.standing.as_ref().filter(|standing| !standing.holds);
        self.pending.set(key, lacks.map(|standing| &*standing.reason));
        let status = self.wanted(key, &decision, foreign).filter(|_| !never_ours);
        let status = status.map(|status| self.addresses_first(key, status));
        let to_store =
            self.services.get_mut(key).is_some_and(|entry| status.is_some_and(|s| entry.plan(s)));
        let kept: &[IpAddr] =
            if decision.outcome == Outcome::Kept { &decision.addresses } else { &[] };
        self.keep(key, kept);
        self.make_way(key, foreign && whose != Whose::Others, &had);
        if to_store {
            self.store(key, effects);
        }
    }

    /// The status that follows from `decision`.
    fn wanted(&self, key: &ServiceKey, decision: &Decision, foreign: bool) -> Option<Status> {
        let stored = self.services.get(key)?.stored();
        if foreign {
            // Its addresses are no concern of ours, our own conditions are.
            return Some(stored.clone().with(None, None));
        }
        let status = Status::new(&decision.addresses, decision.pool.as_ref());
        if !self.options.conditions {
            return Some(status);
        }
        let announced = (!decision.addresses.is_empty())
            .then(|| self.voices.standing(key, stored.announced.as_ref(), self.now))
            .flatten();
        Some(status.with(decision.standing.clone(), announced))
    }

    pub(super) fn begin_to_yield(&mut self, key: &ServiceKey) {
        let Some(entry) = self.services.get(key) else { return };
        let Some((rival, until)) = entry.rivalry.yields_to(self.now) else { return };
        let message = format!(
            "{rival:?} writes the addresses of this Service too; they are left to it until the \
             Service changes or it stops"
        );
        let note = Note { reason: EventReason::RivalController, message };
        if self.leads() {
            self.outbox.push(Effect::Event { service: entry.reference(), note });
        }
        self.alarm(until, key);
    }

    /// Writes nothing but, once, to whom the Service is left.
    fn yield_to(&mut self, rival: &str, key: &ServiceKey, effects: &mut Vec<Effect>) {
        let message =
            format!("{rival:?} writes the addresses of this Service too; they are left to it");
        let standing = Standing::no("RivalController", message);
        self.pending.set(key, Some("RivalController"));
        let Some(entry) = self.services.get_mut(key) else { return };
        if let Some((_, until)) = entry.rivalry.yields_to(self.now) {
            // It may have become later since the alarm was set.
            self.alarms.insert((until, key.clone()));
        }
        let stored = entry.stored();
        let status = stored.clone().with(Some(standing), stored.announced.clone());
        if self.options.conditions && entry.plan(status) {
            self.store(key, effects);
        }
    }
}
