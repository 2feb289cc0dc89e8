//! What changes of objects do to the ledger before anything is decided.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ferrolb_api::IPAddressPool;
use ferrolb_ipam::{Owner, Pool, ServiceKey};
use ferrolb_model::{Config, Namespace};

use super::{Effect, Entry, Ledger, WriteResult, set};
use crate::row::Row;

impl Ledger {
    pub(super) fn see(&mut self, mut row: Row) {
        let key = match self.services.get_key_value(&row.service.key) {
            // One text for all that is kept of it.
            Some((known, _)) => known.clone(),
            None => row.service.key,
        };
        row.service.key = key.clone();
        let mut yields = false;
        match self.services.get_mut(&key) {
            Some(entry) if entry.row.uid == row.service.uid => yields = entry.see(row, self.now),
            known => {
                if known.is_some() {
                    // Deleted and made anew between two looks.
                    self.forget(&key);
                }
                self.services.insert(key.clone(), Box::new(Entry::new(row)));
            }
        }
        if let Some(entry) = self.services.get_mut(&key) {
            entry.round = self.round;
        }
        if yields {
            self.begin_to_yield(&key);
        }
        self.heed(&key);
        self.expose(&key);
        self.enqueue(&key);
    }

    /// Nobody announces a Service without addresses, and nobody is expected to.
    fn heed(&mut self, key: &ServiceKey) {
        let entry = self.services.get(key);
        if entry.is_none_or(|entry| entry.stored().texts().next().is_none()) {
            self.voices.forget(key);
        }
    }

    pub(super) fn gone(&mut self, key: &ServiceKey) {
        self.agenda.remove(key);
        if self.forget(key) && self.leads() {
            self.outbox.push(Effect::Retired(key.clone()));
        }
    }

    /// Forgets a Service. Returns whether its status was of us.
    pub(super) fn forget(&mut self, key: &ServiceKey) -> bool {
        let Some(entry) = self.services.remove(key) else { return false };
        if let Some(place) = entry.waiting {
            self.agenda.stop_waiting(place);
        }
        let marked = entry.stored().allocated.is_some() || entry.stored().announced.is_some();
        let kept = self.keep(key, &[]);
        self.expose(key);
        self.pending.set(key, None);
        self.voices.forget(key);
        self.refusals.forget(key);
        self.postponed.remove(key);
        self.allocator.release(key).is_some() || kept || marked
    }

    pub(super) fn see_pool(&mut self, name: String, pool: Option<IPAddressPool>) {
        let meaning = |pool: &IPAddressPool| {
            let meta = &pool.metadata;
            (pool.spec.clone(), meta.labels.clone(), meta.uid.clone())
        };
        // Its status, which we write ourselves, means nothing here.
        let before = self.objects.pools.get(&name).map(meaning);
        self.reconfigure |= before != pool.as_ref().map(meaning);
        set(&mut self.objects.pools, name, pool);
    }

    pub(super) fn see_namespace(&mut self, name: Arc<str>, namespace: Option<Namespace>) {
        let matters = self.objects.pools.values().any(|pool| {
            let allocation = pool.spec.service_allocation.as_ref();
            allocation.is_some_and(|allocation| !allocation.namespace_selectors.is_empty())
        });
        self.reconfigure |= matters && self.objects.namespaces.get(&name) != namespace.as_ref();
        set(&mut self.objects.namespaces, name, namespace);
    }

    pub(super) fn answered(&mut self, key: &ServiceKey, result: &WriteResult) {
        self.flying.remove(key);
        let Some(entry) = self.services.get_mut(key) else { return };
        let answered = entry.written(result, self.now);
        if answered.yields {
            self.begin_to_yield(key);
        }
        if answered.stored_addresses
            && self.options.conditions
            && let Some(due) = self.voices.expect(key, self.now)
        {
            self.alarm(due, key);
        }
        self.heed(key);
        self.expose(key);
        if answered.again {
            self.enqueue(key);
        }
    }

    pub(super) fn hear(&mut self, key: &ServiceKey, reports: BTreeSet<Arc<str>>) {
        if let Some(due) = self.voices.hear(key, reports, self.now)
            && self.options.conditions
        {
            self.alarm(due, key);
        }
        if !self.services.contains_key(key) {
            self.voices.forget(key);
        }
    }

    pub(super) fn heard_all(&mut self) {
        self.voices.complete();
        if !self.options.conditions {
            return;
        }
        let shows = |entry: &Entry| entry.stored().texts().next().is_some();
        let showing = self.services.iter().filter(|(_, entry)| shows(entry));
        let keys: Vec<_> = showing.map(|(key, _)| key.clone()).collect();
        for key in keys {
            let due = self.voices.expect(&key, self.now);
            self.alarm(due.unwrap_or(self.now), &key);
        }
    }

    pub(super) fn configure(&mut self, effects: &mut Vec<Effect>) {
        let config = Config::build(&self.objects, Some(&self.config));
        if config == self.config && self.configured {
            return;
        }
        let pools = config.pools.values().cloned().map(|pool| self.gated(pool)).collect();
        let change = self.allocator.set_pools(pools);
        let mut concerned: BTreeSet<ServiceKey> = BTreeSet::new();
        concerned.extend(change.released.into_iter().map(|(key, _)| key));
        concerned.extend(change.moved.into_iter().map(|moved| moved.service));
        for pool in &change.changed {
            concerned.extend(self.allocator.services_of(pool).cloned());
        }
        if !change.changed.is_empty() {
            concerned.extend(self.kept.services().cloned());
        }
        if config.held_invalid != self.config.held_invalid {
            // Whoever held an address of a pool that was left out, or is now.
            concerned.extend(
                self.services
                    .keys()
                    .filter(|key| self.allocator.assignment(key).is_none())
                    .cloned(),
            );
        }
        let known = std::mem::take(&mut self.config.problems);
        let new_problems =
            config.problems.iter().filter(|problem| !known.contains(problem)).cloned().collect();
        effects.push(Effect::Configured { new_problems, stale: !config.problems.is_empty() });
        self.config = config;
        self.configured = true;
        for key in concerned {
            self.enqueue(&key);
        }
    }

    /// Upstream's reading of a pool whose namespace selectors match nothing, if it is asked for: such
    /// a pool is never picked, but open to who asks for it.
    fn gated(&self, mut pool: Pool) -> Pool {
        if self.options.open_unmatched_pools
            && let Some(pinning) = &mut pool.pinning
            && pinning.namespaces.as_ref().is_some_and(BTreeSet::is_empty)
        {
            pinning.namespaces = None;
            pool.auto_assign &= !pinning.service_selectors.is_empty();
        }
        pool
    }

    /// Nobody is given an address that nodes answer to, that somebody keeps or that a station outside
    /// the cluster has, unless he asks for it.
    pub(super) fn reserve(&mut self) {
        let mut reserved: Vec<(IpAddr, Owner, Arc<str>)> = Vec::new();
        for (name, addresses) in &self.nodes {
            let name: Arc<str> = name.as_str().into();
            for ip in addresses {
                reserved.push((*ip, Owner::Node, Arc::clone(&name)));
                let routers = subnet_routers(*ip);
                reserved.extend(routers.map(|ip| (ip, Owner::SubnetRouters, Arc::clone(&name))));
            }
        }
        let kept = self.kept.addresses();
        reserved.extend(kept.map(|(ip, key)| (ip, Owner::Service, key.to_string().into())));
        let avoided = self.refusals.avoided();
        reserved.extend(avoided.map(|(ip, station)| (ip, Owner::Station, station.into())));
        self.allocator.set_reserved(reserved.into_iter().collect());
    }
}

/// The Subnet-Router anycast address of a node's network (RFC 4291 2.6.1), taken to be a /64: the
/// kernel of each node that forwards answers for it.
fn subnet_routers(node: IpAddr) -> Option<IpAddr> {
    match node {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(Ipv6Addr::from(u128::from(address) >> 64 << 64).into()),
    }
}
