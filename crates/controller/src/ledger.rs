//! All state of the controller, and what follows from each change of it.
//!
//! ```text
//!  Change ──apply──► rows · Config · Allocator · agenda ──step──► Effect (write, event, figures)
//! ```
//!
//! No IO and no clock here: the owner task feeds changes and carries out effects.
//!
//! Two promises are kept by order alone. What a Service holds is confirmed before anybody is given
//! a new address ([`agenda`]). And an address that one Service loses is written to the next one only
//! after the first one stopped showing it ([`exposure`]).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ferrolb_addr::Family;
use ferrolb_ipam::{Allocator, NodeName, PoolName, ServiceKey};
use ferrolb_model::family::Stack;
use ferrolb_model::{Config, ConfigObjects, Service};

use crate::converge::{Kept, Outcome, Rules, converge};

mod agenda;
mod entry;
mod exposure;
mod messages;

use agenda::{Agenda, Turn};
use entry::Entry;
use exposure::Exposure;
pub use messages::{Change, Effect, ServiceRef, StatusWrite, WriteResult};

/// All state of the controller.
#[derive(Debug, Default)]
pub struct Ledger {
    class: Option<Arc<str>>,
    objects: ConfigObjects,
    config: Config,
    reconfigure: bool,
    configured: bool,
    nodes: BTreeMap<NodeName, BTreeSet<IpAddr>>,
    allocator: Allocator,
    /// Addresses of pools that are invalid, which those who hold them keep.
    kept: Kept,
    reserve: bool,
    services: HashMap<ServiceKey, Entry>,
    /// Services with a write under way.
    flying: HashSet<ServiceKey>,
    exposure: Exposure,
    agenda: Agenda,
    /// Pools in which something became free since those that wait were last looked at.
    openings: BTreeSet<PoolName>,
}

impl Ledger {
    /// An empty ledger for Services of class `class`.
    pub fn new(class: Option<Arc<str>>) -> Self {
        Self { class, reconfigure: true, ..Self::default() }
    }

    /// Takes in one change; work that follows is queued.
    pub fn apply(&mut self, change: Change) -> Option<Effect> {
        match change {
            Change::Service(row) => self.see(*row),
            Change::ServiceGone(key) => return self.gone(&key),
            Change::Pool(name, pool) => {
                set(&mut self.objects.pools, name, pool.map(|pool| *pool));
                self.reconfigure = true;
            }
            Change::L2Advertisement(name, advertisement) => {
                let advertisement = advertisement.map(|advertisement| *advertisement);
                set(&mut self.objects.l2_advertisements, name, advertisement);
                self.reconfigure = true;
            }
            Change::Namespace(name, namespace) => {
                set(&mut self.objects.namespaces, name, namespace);
                self.reconfigure = true;
            }
            Change::Node(name, node) => {
                let addresses = node.map(|node| node.addresses);
                if self.nodes.get(&name) != addresses.as_ref() {
                    set(&mut self.nodes, name, addresses);
                    self.reserve = true;
                }
            }
            Change::Written(key, result) => {
                self.flying.remove(&key);
                if let Some(entry) = self.services.get_mut(&key) {
                    let again = entry.written(&result);
                    self.expose(&key);
                    if again {
                        self.enqueue(&key);
                    }
                }
            }
            Change::Again(key) => self.enqueue(&key),
        }
        None
    }

    /// Does the next piece of queued work; `None` when nothing is left to do.
    pub fn step(&mut self) -> Option<Vec<Effect>> {
        let mut effects = Vec::new();
        if std::mem::take(&mut self.reconfigure) {
            self.configure(&mut effects);
        } else {
            if std::mem::take(&mut self.reserve) {
                self.reserve();
            }
            self.figures(&mut effects);
            let next = match self.agenda.next_turn() {
                Some(Turn::Holder | Turn::Mover) => self.agenda.pop(),
                _ => self.next_waiter().map(|key| (Turn::Asker, key)).or_else(|| self.agenda.pop()),
            };
            let Some((turn, key)) = next else {
                return (!effects.is_empty()).then_some(effects);
            };
            self.decide(turn, &key, &mut effects);
        }
        self.figures(&mut effects);
        Some(effects)
    }

    /// The objects the configuration is made from.
    pub fn objects(&self) -> &ConfigObjects {
        &self.objects
    }

    fn see(&mut self, row: Service) {
        let key = row.key.clone();
        match self.services.get_mut(&key) {
            Some(entry) if entry.row.uid == row.uid => entry.see(row),
            known => {
                if known.is_some() {
                    // Deleted and made anew between two looks.
                    self.forget(&key);
                }
                self.services.insert(key.clone(), Entry::new(row));
            }
        }
        self.expose(&key);
        self.enqueue(&key);
    }

    fn gone(&mut self, key: &ServiceKey) -> Option<Effect> {
        self.agenda.remove(key);
        let held = self.forget(key);
        held.then(|| Effect::Retired(key.clone()))
    }

    /// Forgets a Service. Returns whether it had an address of us.
    fn forget(&mut self, key: &ServiceKey) -> bool {
        let Some(entry) = self.services.remove(key) else { return false };
        if let Some(place) = entry.waiting {
            self.agenda.stop_waiting(place);
        }
        let kept = self.keep(key, &[]);
        self.expose(key);
        self.allocator.release(key).is_some() || kept
    }

    fn configure(&mut self, effects: &mut Vec<Effect>) {
        let config = Config::build(&self.objects, Some(&self.config));
        if config == self.config && self.configured {
            return;
        }
        let change = self.allocator.set_pools(config.pools.values().cloned().collect());
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

    /// Nobody is given an address that nodes answer to, or one that somebody keeps, unless he asks
    /// for it.
    fn reserve(&mut self) {
        let nodes = || self.nodes.values().flatten().copied();
        let routers = nodes().filter_map(subnet_routers);
        let kept = self.kept.addresses().copied();
        self.allocator.set_reserved(nodes().chain(routers).chain(kept).collect());
    }

    fn decide(&mut self, turn: Turn, key: &ServiceKey, effects: &mut Vec<Effect>) {
        let Some(entry) = self.services.get_mut(key) else { return };
        if self.flying.contains(key) {
            entry.again = true;
            return;
        }
        let only_confirm = turn == Turn::Holder && self.agenda.next_turn() == Some(Turn::Holder);
        let rules = Rules {
            ours: self.class.as_deref(),
            config: &self.config,
            kept: &self.kept,
            stored: entry.is_stored(),
            only_confirm,
        };
        let was_foreign = entry.foreign;
        let had = entitlement(&self.allocator, &self.kept, key);
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
        entry.tell(std::mem::take(&mut decision.notes), effects);
        // What was ours is cleared before it is none of our business.
        entry.foreign = decision.outcome == Outcome::Ignored && entry.is_stored();
        let foreign = entry.foreign;
        let to_store = !foreign && entry.decided(&decision);
        let kept: &[IpAddr] =
            if decision.outcome == Outcome::Kept { &decision.addresses } else { &[] };
        self.keep(key, kept);
        self.make_way(key, foreign && !was_foreign, &had);
        if to_store {
            self.store(key, &decision.addresses, decision.pool.as_ref(), effects);
        }
    }

    /// Has `addresses` written, as soon as nobody else shows them.
    fn store(
        &mut self,
        key: &ServiceKey,
        addresses: &[IpAddr],
        pool: Option<&PoolName>,
        effects: &mut Vec<Effect>,
    ) {
        let blocked: Vec<IpAddr> =
            addresses.iter().copied().filter(|ip| self.is_shown_by_another(key, *ip)).collect();
        for ip in &blocked {
            self.exposure.wait(*ip, key);
        }
        let Some(entry) = self.services.get_mut(key) else { return };
        let (addresses, pool) = if blocked.is_empty() {
            entry.deprecated(effects);
            (addresses, pool)
        } else if entry.stores_nothing_but(addresses) {
            return;
        } else {
            // Gives up at once what it has to: two that swap would wait for each other for ever.
            (&[][..], None)
        };
        let resource_version = entry.send(addresses, pool);
        self.flying.insert(key.clone());
        self.expose(key);
        effects.push(Effect::Write(StatusWrite {
            key: key.clone(),
            resource_version,
            addresses: addresses.to_vec(),
            pool: pool.cloned(),
        }));
    }

    /// Whether a Service of ours that has lost `ip`, or is about to, still shows it.
    fn is_shown_by_another(&self, key: &ServiceKey, ip: IpAddr) -> bool {
        self.exposure.at(ip).any(|other| {
            let entry = self.services.get(other);
            other != key
                && entry.is_some_and(|entry| !entry.foreign)
                && !entitlement(&self.allocator, &self.kept, other).contains(&ip)
        })
    }

    /// Those that wait behind `key` for an address wait no longer if it has become theirs to share, or
    /// if `key` has become none of our business.
    fn make_way(&mut self, key: &ServiceKey, is_foreign: bool, had: &[IpAddr]) {
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
    fn keep(&mut self, key: &ServiceKey, addresses: &[IpAddr]) -> bool {
        let (kept_some, changed) = self.kept.set(key, addresses);
        self.reserve |= changed;
        kept_some
    }

    /// Follows what the API server shows for `key`.
    fn expose(&mut self, key: &ServiceKey) {
        let shown = self.services.get(key).map(Entry::shown).unwrap_or_default();
        for waiting in self.exposure.set(key, shown) {
            self.enqueue(&waiting);
        }
    }

    /// The next of those that wait whom the latest openings may help.
    fn next_waiter(&mut self) -> Option<ServiceKey> {
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
        let Some(Entry { row, .. }) = self.services.get(key) else { return false };
        let held = self.allocator.assignment(key);
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

    fn figures(&mut self, effects: &mut Vec<Effect>) {
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
    }

    fn enqueue(&mut self, key: &ServiceKey) {
        let Some(entry) = self.services.get(key) else { return };
        let turn = if entry.held().is_empty() { Turn::Asker } else { Turn::Holder };
        self.agenda.add(turn, key);
    }
}

/// The addresses that `key` may show.
fn entitlement(allocator: &Allocator, kept: &Kept, key: &ServiceKey) -> Vec<IpAddr> {
    let held = allocator.assignment(key).into_iter().flat_map(|assignment| &assignment.ips);
    held.chain(kept.by(key)).copied().collect()
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

/// The Subnet-Router anycast address of a node's network (RFC 4291 2.6.1), taken to be a /64: the
/// kernel of each node that forwards answers for it.
fn subnet_routers(node: IpAddr) -> Option<IpAddr> {
    match node {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(Ipv6Addr::from(u128::from(address) >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests;
