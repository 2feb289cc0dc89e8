//! Who keeps an address that two Services show: the one that showed it first.
//!
//! It should not come to that. But a write that a leader of old sent in its last moment may arrive
//! after the next one has given the address away, and then every process must see the same loser.
//! The order of versions decides, which all read from the same server.

use std::net::IpAddr;

use ferrolb_addr::Family;
use ferrolb_ipam::ServiceKey;
use ferrolb_kube_rt::version::is_newer;
use ferrolb_model::class;
use ferrolb_model::family::Stack;

use super::Ledger;
use super::delivery::entitlement;
use crate::converge::{backend_key, request};

impl Ledger {
    /// Takes what `key` shows, and was never given here, from those whose claim is later.
    pub(super) fn contest(&mut self, key: &ServiceKey) {
        let Some(entry) = self.services.get(key).filter(|entry| entry.is_stored()) else { return };
        let row = &entry.row;
        let had = entitlement(&self.allocator, &self.kept, key);
        let claimed: Vec<IpAddr> =
            entry.stored().addresses().filter(|ip| !had.contains(ip)).collect();
        if claimed.is_empty()
            || !class::handles(self.options.class.as_deref(), row.class.as_deref())
        {
            return;
        }
        let asked = row.annotations.address_pool.as_deref().filter(|pool| !pool.is_empty());
        if asked.is_some_and(|pool| {
            self.allocator.pool_of(&claimed).is_none_or(|holder| holder.as_str() != pool)
        }) {
            // It is about to move anyway.
            return;
        }
        let backend_key = backend_key(row);
        let mut losers = Vec::new();
        for ip in claimed {
            // Whether families suit is not the question here.
            let wish = request(row, &backend_key, Stack::Single(Family::of(ip)));
            while let Some(holder) = self.allocator.conflict(&wish, ip).cloned() {
                if !self.is_later(&holder, key, ip) {
                    break;
                }
                self.allocator.release(&holder);
                losers.push(holder);
            }
        }
        for loser in losers {
            self.enqueue(&loser);
        }
    }

    /// Whether the claim of `holder` to `ip` is later than that of `key`, which shows it.
    fn is_later(&self, holder: &ServiceKey, key: &ServiceKey, ip: IpAddr) -> bool {
        let Some((one, other)) = self.services.get(holder).zip(self.services.get(key)) else {
            return true;
        };
        if !one.stored().addresses().any(|shown| shown == ip) {
            // Given and not stored yet.
            return true;
        }
        if one.since() == other.since() {
            return holder > key;
        }
        is_newer(one.since(), other.since())
    }
}
