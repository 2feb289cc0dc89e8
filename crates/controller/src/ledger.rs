//! All state of the controller, and what follows from each change of it.
//!
//! ```text
//!  Change ──apply──► rows · Config · Allocator · queue ──next──► Effect (write, event, figures)
//! ```
//!
//! No IO and no clock here: the owner task feeds changes and carries out effects. The queue holds
//! the Services that a change concerns, each once; Services that hold an address come first, so
//! that nobody is given what a later one in the queue holds already.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_api::reasons::{EventReason, EventType};
use ferrolb_api::{IPAddressPool, L2Advertisement};
use ferrolb_ipam::{Allocator, Counters, NodeName, PoolName, ServiceKey};
use ferrolb_model::{Config, ConfigObjects, Namespace, Node, Problem, Service};

use crate::converge::{Decision, Note, Outcome, converge};

/// Something that happened outside.
#[derive(Clone, Debug)]
pub enum Change {
    /// A Service is there, or changed.
    Service(Box<Service>),
    /// A Service is gone, or no longer of type `LoadBalancer`.
    ServiceGone(ServiceKey),
    /// A pool is there, changed, or is gone.
    Pool(String, Option<Box<IPAddressPool>>),
    /// An advertisement, read for the sake of its problems only.
    L2Advertisement(String, Option<Box<L2Advertisement>>),
    /// A Namespace is there, changed, or is gone.
    Namespace(Arc<str>, Option<Namespace>),
    /// A Node is there, changed, or is gone.
    Node(NodeName, Option<Node>),
    /// A status write came back.
    Written(ServiceKey, WriteResult),
    /// Decide about a Service once more.
    Again(ServiceKey),
}

/// How a status write ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WriteResult {
    /// The Service has the status, at this version.
    Done(Arc<str>),
    /// Somebody else was faster; the change is on its way to us.
    Conflict,
    /// The Service is gone.
    Missing,
    /// The server refuses; worth another try later.
    Failed,
}

/// Something to do outside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Write the status of a Service.
    Write(StatusWrite),
    /// Record an Event on a Service.
    Event {
        /// The Service.
        service: Arc<ServiceRef>,
        /// Reason and sentence.
        note: Note,
    },
    /// Figures of a pool changed; none: the pool is gone.
    Figures(PoolName, Option<Counters>),
    /// A configuration was taken over that differs from the one before.
    Configured {
        /// Problems that were not there before.
        new_problems: Vec<Problem>,
        /// Some object is invalid.
        stale: bool,
    },
    /// A Service we had given an address is gone from our sight.
    Retired(ServiceKey),
}

/// What events need to know of a Service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceRef {
    /// Namespace and name.
    pub key: ServiceKey,
    /// `metadata.uid`.
    pub uid: Arc<str>,
    /// `metadata.resourceVersion`.
    pub resource_version: Arc<str>,
}

/// The status a Service is to have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatusWrite {
    /// The Service.
    pub key: ServiceKey,
    /// The version this was decided on.
    pub resource_version: Arc<str>,
    /// Addresses in order; none clears the status.
    pub addresses: Vec<IpAddr>,
    /// Their pool.
    pub pool: Option<PoolName>,
}

/// One Service.
#[derive(Debug)]
struct Entry {
    row: Service,
    /// The status that was sent and has not come back by the watch.
    sent: Option<Sent>,
    /// The last failure that was told, so that it is told once.
    told: Option<Note>,
    /// Place among those that wait for an address.
    waiting: Option<u64>,
    /// Something happened while a write was under way.
    again: bool,
}

/// A status that was sent. Until the watch shows it, it is what the Service has.
#[derive(Clone, Debug)]
struct Sent {
    addresses: Vec<String>,
    pool: Option<PoolName>,
    /// The version it was decided on.
    basis: Arc<str>,
    delivery: Delivery,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Delivery {
    /// No answer yet. Nothing is decided about the Service meanwhile.
    UnderWay,
    /// Written, as this version.
    Done(Arc<str>),
    /// Not written; to be sent again.
    Failed,
}

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
    services: HashMap<ServiceKey, Entry>,
    /// Services to decide about: without an address last, then in order of arrival.
    queue: BTreeSet<(bool, u64, ServiceKey)>,
    queued: HashMap<ServiceKey, (bool, u64)>,
    waiting: BTreeMap<u64, ServiceKey>,
    /// Something became free since those that wait were last queued.
    opened: bool,
    clock: u64,
}

impl Ledger {
    /// An empty ledger for Services of class `class`.
    pub fn new(class: Option<Arc<str>>) -> Self {
        Self { class, reconfigure: true, ..Self::default() }
    }

    /// Takes in one change; work that follows is queued.
    pub fn apply(&mut self, change: Change) -> Option<Effect> {
        match change {
            Change::Service(row) => self.service(*row),
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
                    let all = self.nodes.values().flatten().copied().collect();
                    self.allocator.set_reserved(all);
                }
            }
            Change::Written(key, result) => self.written(&key, result),
            Change::Again(key) => self.enqueue(&key),
        }
        None
    }

    /// Does the next piece of queued work; `None` when nothing is left to do.
    pub fn next(&mut self) -> Option<Vec<Effect>> {
        let mut effects = Vec::new();
        self.figures(&mut effects);
        if std::mem::take(&mut self.reconfigure) {
            self.configure(&mut effects);
        } else {
            if std::mem::take(&mut self.opened) {
                self.wake();
            }
            let (held, seen, key) = self.queue.pop_first()?;
            debug_assert_eq!(self.queued.get(&key), Some(&(held, seen)));
            self.queued.remove(&key);
            self.decide(&key, &mut effects);
        }
        self.figures(&mut effects);
        Some(effects)
    }

    /// The objects the configuration is made from.
    pub fn objects(&self) -> &ConfigObjects {
        &self.objects
    }

    /// Services that hold an address.
    pub fn assigned(&self) -> usize {
        self.allocator.assignments().count()
    }

    /// Services that wait for an address.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn service(&mut self, row: Service) {
        let key = row.key.clone();
        let Some(entry) = self.services.get_mut(&key) else {
            let entry = Entry { row, sent: None, told: None, waiting: None, again: false };
            self.services.insert(key.clone(), entry);
            self.enqueue(&key);
            return;
        };
        if entry.row.uid != row.uid {
            // Deleted and made anew between two looks.
            entry.sent = None;
            entry.told = None;
            self.allocator.release(&key);
        }
        if let Some(entry) = self.services.get_mut(&key) {
            entry.row = row;
            entry.settle_sent();
        }
        self.enqueue(&key);
    }

    fn gone(&mut self, key: &ServiceKey) -> Option<Effect> {
        if let Some(place) = self.queued.remove(key) {
            self.queue.remove(&(place.0, place.1, key.clone()));
        }
        let entry = self.services.remove(key)?;
        if let Some(place) = entry.waiting {
            self.waiting.remove(&place);
        }
        self.allocator.release(key).map(|_| Effect::Retired(key.clone()))
    }

    fn written(&mut self, key: &ServiceKey, result: WriteResult) {
        let Some(entry) = self.services.get_mut(key) else { return };
        let Some(sent) = &mut entry.sent else { return };
        let mut again = std::mem::take(&mut entry.again);
        match result {
            WriteResult::Done(version) => sent.delivery = Delivery::Done(version),
            WriteResult::Conflict => {
                sent.delivery = Delivery::Failed;
                // What was in the way is here, or comes by the watch.
                again |= sent.basis != entry.row.resource_version;
            }
            WriteResult::Missing => entry.sent = None,
            WriteResult::Failed => sent.delivery = Delivery::Failed,
        }
        entry.settle_sent();
        if again {
            self.enqueue(key);
        }
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
        if config.held_invalid != self.config.held_invalid {
            // Whoever held an address of a pool that was left out, or is now.
            concerned.extend(
                self.services
                    .iter()
                    .filter(|(key, _)| self.allocator.assignment(key).is_none())
                    .map(|(key, _)| key.clone()),
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

    /// Queues those that wait; they keep the order in which they began to wait.
    fn wake(&mut self) {
        for key in self.waiting.values().cloned().collect::<Vec<_>>() {
            self.enqueue(&key);
        }
    }

    fn decide(&mut self, key: &ServiceKey, effects: &mut Vec<Effect>) {
        let Some(entry) = self.services.get_mut(key) else { return };
        if entry.sent.as_ref().is_some_and(|sent| sent.delivery == Delivery::UnderWay) {
            entry.again = true;
            return;
        }
        let held = entry.held();
        let decision =
            converge(&entry.row, &held, self.class.as_deref(), &self.config, &mut self.allocator);
        let waits = decision.outcome == Outcome::Waiting;
        match (waits, entry.waiting) {
            (true, None) => {
                self.clock += 1;
                entry.waiting = Some(self.clock);
                self.waiting.insert(self.clock, key.clone());
            }
            (false, Some(place)) => {
                entry.waiting = None;
                self.waiting.remove(&place);
            }
            _ => {}
        }
        entry.tell(&decision, effects);
        if decision.outcome == Outcome::Ignored || entry.has(&decision) {
            return;
        }
        entry.deprecated(effects);
        let basis = match &entry.sent {
            Some(Sent { delivery: Delivery::Done(version), .. }) => Arc::clone(version),
            _ => Arc::clone(&entry.row.resource_version),
        };
        entry.sent = Some(Sent {
            addresses: decision.addresses.iter().map(ToString::to_string).collect(),
            pool: decision.pool.clone(),
            basis: Arc::clone(&basis),
            delivery: Delivery::UnderWay,
        });
        effects.push(Effect::Write(StatusWrite {
            key: key.clone(),
            resource_version: basis,
            addresses: decision.addresses,
            pool: decision.pool,
        }));
    }

    fn figures(&mut self, effects: &mut Vec<Effect>) {
        let touched = self.allocator.take_touched();
        self.opened |= !touched.openings.is_empty();
        for pool in touched.counters {
            let counters =
                self.config.pools.contains_key(&pool).then(|| self.allocator.counters(&pool));
            effects.push(Effect::Figures(pool, counters));
        }
    }

    fn enqueue(&mut self, key: &ServiceKey) {
        let Some(entry) = self.services.get(key) else { return };
        if self.queued.contains_key(key) {
            return;
        }
        self.clock += 1;
        let place = (entry.held().is_empty(), entry.waiting.unwrap_or(self.clock));
        self.queued.insert(key.clone(), place);
        self.queue.insert((place.0, place.1, key.clone()));
    }
}

impl Entry {
    /// The addresses the Service has as far as we know: ours, until the watch has shown them.
    fn held(&self) -> Vec<String> {
        match &self.sent {
            Some(sent) => sent.addresses.clone(),
            None => self.row.ingress.iter().filter_map(|entry| entry.ip.clone()).collect(),
        }
    }

    /// Forgets what was sent once the row is as new as that.
    fn settle_sent(&mut self) {
        let Some(sent) = &self.sent else { return };
        let current = match &sent.delivery {
            Delivery::UnderWay => false,
            Delivery::Done(version) => at_least(&self.row.resource_version, version),
            Delivery::Failed => shows(&self.row, &sent.addresses, sent.pool.as_ref()),
        };
        if current {
            self.sent = None;
        }
    }

    /// Whether the status is as decided, or will be once the watch shows it.
    fn has(&self, decision: &Decision) -> bool {
        let addresses: Vec<String> = decision.addresses.iter().map(ToString::to_string).collect();
        match &self.sent {
            Some(sent) => {
                sent.delivery != Delivery::Failed
                    && sent.addresses == addresses
                    && sent.pool == decision.pool
            }
            None => shows(&self.row, &addresses, decision.pool.as_ref()),
        }
    }

    /// Tells what happened; a failure that lasts is told once.
    fn tell(&mut self, decision: &Decision, effects: &mut Vec<Effect>) {
        let service = self.reference();
        let mut failure = None;
        for note in &decision.notes {
            if note.reason.event_type() == EventType::Warning {
                failure = Some(note.clone());
                if self.told.as_ref() == Some(note) {
                    continue;
                }
            }
            effects.push(Effect::Event { service: Arc::clone(&service), note: note.clone() });
        }
        self.told = failure;
    }

    /// Points at annotations under their old prefix, whenever they led to a change.
    fn deprecated(&self, effects: &mut Vec<Effect>) {
        for key in &self.row.annotations.deprecated_keys {
            let message = format!(
                "annotation {key} has a deprecated prefix, use metallb.io/ instead of metallb.universe.tf/"
            );
            let note = Note { reason: EventReason::DeprecatedAnnotation, message };
            effects.push(Effect::Event { service: self.reference(), note });
        }
    }

    fn reference(&self) -> Arc<ServiceRef> {
        Arc::new(ServiceRef {
            key: self.row.key.clone(),
            uid: Arc::clone(&self.row.uid),
            resource_version: Arc::clone(&self.row.resource_version),
        })
    }
}

/// Whether the row's status and annotation are exactly these.
fn shows(row: &Service, addresses: &[String], pool: Option<&PoolName>) -> bool {
    let ips = row.ingress.iter().map(|entry| entry.ip.as_deref());
    ips.eq(addresses.iter().map(|address| Some(address.as_str())))
        && row.annotations.allocated_from_pool.as_deref() == pool.map(PoolName::as_str)
}

/// Whether version `one` is not older than `other`. Versions are opaque; those of real API servers
/// are numbers that grow (KEP-5504), any other can only be equal.
fn at_least(one: &str, other: &str) -> bool {
    match (one.parse::<u64>(), other.parse::<u64>()) {
        (Ok(one), Ok(other)) => one >= other,
        _ => one == other,
    }
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

#[cfg(test)]
mod tests;
