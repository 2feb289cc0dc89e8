//! Those that wait for an address: woken by what may help them, who waited longest first.

use ferrolb_addr::Family;
use ferrolb_ipam::ServiceKey;
use ferrolb_model::family::Stack;

use super::{Effect, Ledger};

impl Ledger {
    /// The next of those that wait whom the latest openings may help.
    pub(super) fn next_waiter(&mut self) -> Option<ServiceKey> {
        while let Some(key) = self.agenda.next_waiter() {
            let key = key.clone();
            if self.may_help(&key) {
                return Some(key);
            }
        }
        self.openings.clear();
        None
    }

    /// Whether something that `key` could use may be free. Cheap, and wrong on the safe side only.
    fn may_help(&self, key: &ServiceKey) -> bool {
        let Some(entry) = self.services.get(key) else { return false };
        let row = &entry.row;
        // What nobody announces for it is to be left.
        let held = self.allocator.assignment(key).filter(|_| self.refusals.of(key).is_none());
        let pool = match held {
            Some(assignment) => Some(assignment.pool.as_str()),
            None => row.annotations.address_pool.as_deref().filter(|name| !name.is_empty()),
        };
        let shares = row.annotations.allow_shared_ip.as_ref().is_some_and(|key| !key.is_empty());
        let wants = |family| match held {
            Some(assignment) => !assignment.ips.iter().any(|ip| Family::of(*ip) == family),
            None => Stack::of_service(row).is_ok_and(|stack| match stack {
                Stack::Single(single) => single == family,
                Stack::Dual => true,
            }),
        };
        self.openings.iter().filter(|name| pool.is_none_or(|pool| pool == name.as_str())).any(
            |name| {
                let counters = self.allocator.counters(name);
                shares
                    || (counters.available_v4 > 0 && wants(Family::V4))
                    || (counters.available_v6 > 0 && wants(Family::V6))
            },
        )
    }

    pub(super) fn figures(&mut self, effects: &mut Vec<Effect>) {
        let touched = self.allocator.take_touched();
        if !touched.openings.is_empty() {
            self.openings.extend(touched.openings);
            self.agenda.wake();
        }
        for pool in touched.counters {
            let counters =
                self.config.pools.contains_key(&pool).then(|| self.allocator.counters(&pool));
            effects.push(Effect::Figures(pool, counters));
        }
        let pending = self.pending.take_touched();
        effects.extend(pending.into_iter().map(|(reason, count)| Effect::Pending(reason, count)));
    }
}
