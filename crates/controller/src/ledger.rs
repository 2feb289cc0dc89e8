//! All state of the controller, and what follows from each change of it.
//!
//! ```text
//!  Change ──apply──► rows · Config · Allocator · agenda ──step──► Effect (write, event, figures)
//! ```
//!
//! No IO and no clock here: the owner task feeds changes and the time, and carries out effects.
//!
//! Three promises are kept by order alone. What a Service holds is confirmed before anybody is given
//! a new address ([`agenda`]). An address that one Service loses is written to the next one only
//! after the first one stopped showing it ([`exposure`]). And a process that does not lead decides
//! nothing ([`duty`]).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_ipam::{Allocator, NodeName, PoolName, ServiceKey};
use ferrolb_model::{Config, ConfigObjects};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::converge::Kept;

mod agenda;
mod backlog;
mod claims;
mod decision;
mod delivery;
mod duty;
mod entry;
mod exposure;
mod intake;
mod messages;
mod pending;
mod refusals;
mod rivalry;
mod status;
mod voices;
mod waiting;

use agenda::{Agenda, Turn};
use entry::Entry;
use exposure::Exposure;
pub use messages::{Balancer, Change, Effect, ServiceRef, StatusWrite, WriteResult};
use pending::Pending;
use refusals::Refusals;
use voices::Voices;

/// What a ledger is made with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Serve only Services of this class; none: Services without a class.
    pub class: Option<Arc<str>>,
    /// Write conditions.
    pub conditions: bool,
    /// A pool whose `namespaceSelectors` match nothing is open to whoever asks for it, as upstream
    /// has it; else to nobody.
    pub open_unmatched_pools: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { class: None, conditions: true, open_unmatched_pools: false }
    }
}

/// What this process is there for at present.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Duty {
    /// It decides, and nobody else.
    Leading,
    /// It watches.
    StandingBy,
}

/// All state of the controller.
#[derive(Debug)]
pub struct Ledger {
    options: Options,
    duty: Duty,
    now: Duration,
    wall: Time,
    objects: ConfigObjects,
    config: Config,
    reconfigure: bool,
    configured: bool,
    nodes: BTreeMap<NodeName, BTreeSet<IpAddr>>,
    allocator: Allocator,
    /// Addresses of pools that are invalid, which those who hold them keep.
    kept: Kept,
    reserve: bool,
    services: HashMap<ServiceKey, Box<Entry>>,
    /// The round of listing that is going on, or the last one.
    round: u64,
    /// Services with a write under way.
    flying: HashSet<ServiceKey>,
    /// Services of which is to be said later who announces them.
    postponed: BTreeSet<ServiceKey>,
    exposure: Exposure,
    agenda: Agenda,
    /// Pools in which something became free since those that wait were last looked at.
    openings: BTreeSet<PoolName>,
    voices: Voices,
    refusals: Refusals,
    pending: Pending,
    /// When to decide about whom once more.
    alarms: BTreeSet<(Duration, ServiceKey)>,
    /// Effects of changes, for the next step.
    outbox: Vec<Effect>,
}

impl Ledger {
    /// An empty ledger, which leads.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            duty: Duty::Leading,
            now: Duration::ZERO,
            wall: Time(Timestamp::UNIX_EPOCH),
            objects: ConfigObjects::default(),
            config: Config::default(),
            reconfigure: true,
            configured: false,
            nodes: BTreeMap::new(),
            allocator: Allocator::new(),
            kept: Kept::default(),
            reserve: false,
            services: HashMap::new(),
            round: 0,
            flying: HashSet::new(),
            postponed: BTreeSet::new(),
            exposure: Exposure::default(),
            agenda: Agenda::default(),
            openings: BTreeSet::new(),
            voices: Voices::default(),
            refusals: Refusals::default(),
            pending: Pending::default(),
            alarms: BTreeSet::new(),
            outbox: Vec::new(),
        }
    }

    /// It is `now` since an arbitrary origin, and `wall` for people. What is due is queued.
    pub fn tick(&mut self, now: Duration, wall: Timestamp) {
        self.now = now;
        self.wall = Time(wall);
        self.reserve |= self.refusals.expire(now);
        while self.alarms.first().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, key)) = self.alarms.pop_first() {
                self.enqueue(&key);
            }
        }
    }

    /// When [`Self::tick`] has something to do.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.alarms.first().map(|(due, _)| *due).into_iter().chain(self.refusals.due()).min()
    }

    /// Takes in one change; work that follows is queued.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Service(row) => self.see(*row),
            Change::ServiceGone(key) => self.gone(&key),
            Change::Pool(name, pool) => self.see_pool(name, pool.map(|pool| *pool)),
            Change::L2Advertisement(name, advertisement) => {
                let advertisement = advertisement.map(|advertisement| *advertisement);
                set(&mut self.objects.l2_advertisements, name, advertisement);
                self.reconfigure = true;
            }
            Change::Namespace(name, namespace) => self.see_namespace(name, namespace),
            Change::Node(name, node) => {
                let addresses = node.map(|node| node.addresses);
                if self.nodes.get(&name) != addresses.as_ref() {
                    set(&mut self.nodes, name, addresses);
                    self.reserve = true;
                }
            }
            Change::Written(key, result) => self.answered(&key, &result),
            Change::Again(key) => self.enqueue(&key),
            Change::Announced(key, reports) => self.hear(&key, reports),
            Change::AnnouncedComplete => self.heard_all(),
            Change::Refused(key, refused) => self.hear_refused(&key, refused),
        }
    }

    /// Does the next piece of queued work; `None` when nothing is left to do.
    pub fn step(&mut self) -> Option<Vec<Effect>> {
        let mut effects = std::mem::take(&mut self.outbox);
        if std::mem::take(&mut self.reconfigure) {
            self.configure(&mut effects);
        } else if self.leads() {
            if std::mem::take(&mut self.reserve) {
                self.reserve();
            }
            self.figures(&mut effects);
            let next = match self.agenda.next_turn() {
                Some(Turn::Holder | Turn::Mover) => self.agenda.pop(),
                _ => self.next_waiter().map(|key| (Turn::Asker, key)).or_else(|| self.agenda.pop()),
            };
            let Some((turn, key)) = next.or_else(|| self.next_postponed()) else {
                return (!effects.is_empty()).then_some(effects);
            };
            self.decide(turn, &key, &mut effects);
        } else {
            return (!effects.is_empty()).then_some(effects);
        }
        if self.leads() {
            self.figures(&mut effects);
        }
        Some(effects)
    }

    /// The objects the configuration is made from.
    pub fn objects(&self) -> &ConfigObjects {
        &self.objects
    }

    /// The configuration that acts.
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn enqueue(&mut self, key: &ServiceKey) {
        let Some(entry) = self.services.get(key) else { return };
        let turn = if entry.held().is_empty() { Turn::Asker } else { Turn::Holder };
        self.agenda.add(turn, key);
    }

    fn alarm(&mut self, due: Duration, key: &ServiceKey) {
        self.alarms.insert((due, key.clone()));
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
