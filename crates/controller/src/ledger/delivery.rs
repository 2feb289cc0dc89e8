//! From a decision to the API server: an address is shown by one Service at a time.

use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_ipam::{Allocator, ServiceKey};

use super::entry::Whose;
use super::status::Status;
use super::{Effect, Entry, Ledger};
use crate::converge::Kept;
use crate::standing::Standing;

impl Ledger {
    /// Has what is planned for `key` written, as soon as nobody else shows its addresses.
    pub(super) fn store(&mut self, key: &ServiceKey, effects: &mut Vec<Effect>) {
        let Some(entry) = self.services.get(key) else { return };
        let Some(plan) = entry.planned() else { return };
        let moves = !plan.same_balancer(entry.stored());
        let addresses: Vec<IpAddr> = plan.addresses().collect();
        let blocked: Vec<IpAddr> = addresses
            .iter()
            .copied()
            .filter(|ip| moves && self.is_shown_by_another(key, *ip))
            .collect();
        for ip in &blocked {
            self.exposure.wait(*ip, key);
        }
        let Some(entry) = self.services.get_mut(key) else { return };
        let status = if blocked.is_empty() {
            if moves {
                entry.deprecated(effects);
            }
            plan
        } else if entry.stores_nothing_but(&addresses) {
            return;
        } else {
            // Gives up at once what it has to: two that swap would wait for each other for ever.
            let why = "the address is still shown by the Service that had it before";
            let standing = plan.allocated.as_ref().map(|_| Standing::no("AddressStillShown", why));
            Arc::new(Status::default().with(standing, None))
        };
        let write = entry.send(status, &self.wall);
        self.flying.insert(key.clone());
        self.expose(key);
        effects.push(Effect::Write(write));
    }

    /// Whether a Service of ours that has lost `ip`, or is about to, still shows it.
    fn is_shown_by_another(&self, key: &ServiceKey, ip: IpAddr) -> bool {
        let is_ours = |entry: &Entry| {
            entry.whose != Whose::Others && entry.rivalry.yields_to(self.now).is_none()
        };
        self.exposure.at(ip).any(|other| {
            other != key
                && self.services.get(other).is_some_and(|entry| is_ours(entry))
                && !entitlement(&self.allocator, &self.kept, other).contains(&ip)
        })
    }

    /// Those that wait behind `key` for an address wait no longer if it has become theirs to share, or
    /// if `key` has become none of our business.
    pub(super) fn make_way(&mut self, key: &ServiceKey, is_foreign: bool, had: &[IpAddr]) {
        let has = entitlement(&self.allocator, &self.kept, key);
        let is_new = |ip: &IpAddr| has.contains(ip) && !had.contains(ip);
        let shared: Vec<IpAddr> =
            self.exposure.of(key).filter(|ip| is_foreign || is_new(ip)).collect();
        for ip in shared {
            for waiting in self.exposure.take_behind(ip) {
                self.enqueue(&waiting);
            }
        }
    }

    /// `key` keeps `addresses` of an invalid pool. Returns whether it kept some before.
    pub(super) fn keep(&mut self, key: &ServiceKey, addresses: &[IpAddr]) -> bool {
        let (kept_some, changed) = self.kept.set(key, addresses);
        self.reserve |= changed;
        kept_some
    }

    /// Follows what the API server shows for `key`.
    pub(super) fn expose(&mut self, key: &ServiceKey) {
        let shown = self.services.get(key).map(|entry| entry.shown()).unwrap_or_default();
        for waiting in self.exposure.set(key, &shown) {
            self.enqueue(&waiting);
        }
    }
}

/// The addresses that `key` may show.
pub(super) fn entitlement(allocator: &Allocator, kept: &Kept, key: &ServiceKey) -> Vec<IpAddr> {
    let held = allocator.assignment(key).into_iter().flat_map(|assignment| &assignment.ips);
    held.chain(kept.by(key)).copied().collect()
}
