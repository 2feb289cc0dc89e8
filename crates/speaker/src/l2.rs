//! Layer 2 on the wire: joins `l2-proto` with the sockets of `sys`.
//!
//! ```text
//!  owner task ── answer_on / answer_off ──► Shared (table, schedule, counters)
//!  LinkWatch ──► interfaces ── open / close ──►  │
//!                                                ├──► one answerer thread per interface
//!                                                └──► one announcer thread (gratuitous frames,
//!                                                     kernel memberships of IPv6 groups)
//! ```
//!
//! A question is answered by the thread that read it: one table look-up under a read lock, one
//! write to the same socket, nothing asynchronous in between.

mod announcer;
mod answerer;
pub(crate) mod exclusion;
mod findings;
mod interfaces;
mod witness;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_kube_rt::metrics::{FailoverMetrics, Layer2Counters, SpeakerMetrics};
use ferrolb_l2_proto::conflict::Conflicts;
use ferrolb_l2_proto::{Claim, Gratuitous, IfIndex, Interfaces, Port, Table};
use ferrolb_model as model;
use ferrolb_sys::{LinkWatch, Waker, links, monotonic_now};
use parking_lot::{Mutex, RwLock};
use tracing::{error, info, warn};

use self::announcer::Announcer;
use self::answerer::{Answerer, Sockets};
use self::exclusion::Exclusion;
pub(crate) use self::findings::Findings;
pub(crate) use self::interfaces::Usable;
pub(crate) use self::witness::Witness;

/// How often an address is told again, for neighbours that missed it all.
const REFRESH: Duration = Duration::from_mins(1);

/// What the threads share.
pub(crate) struct Shared {
    answers: RwLock<Answers>,
    schedule: Mutex<Gratuitous>,
    conflicts: Mutex<Conflicts>,
    findings: Findings,
    /// Where frames leave.
    outlets: RwLock<BTreeMap<IfIndex, Outlet>>,
    /// Raised when the schedule, the addresses or the interfaces changed.
    changed: Waker,
    witness: Witness,
    /// Addresses taken over from a node that is dead, until the first frame is out: when that node
    /// was heard last.
    takeovers: Mutex<HashMap<IpAddr, Duration>>,
    failovers: FailoverMetrics,
}

impl Shared {
    /// A frame that says who has `ip` has left.
    fn told(&self, ip: IpAddr) {
        let last_sign = self.takeovers.lock().remove(&ip);
        if let Some(last_sign) = last_sign {
            self.failovers.failed_over(monotonic_now().saturating_sub(last_sign));
        }
    }

    /// Somebody who came in on `index` speaks for an address.
    fn hear(&self, index: IfIndex, claim: Claim) {
        self.witness.hear(claim);
        let mut conflicts = self.conflicts.lock();
        if conflicts.concerns(claim.ip) {
            conflicts.handle_claim(monotonic_now(), index, claim);
            drop(conflicts);
            self.changed.wake();
        }
    }
}

/// What is answered, and the counters of it.
#[derive(Default)]
struct Answers {
    table: Table,
    counters: HashMap<IpAddr, Layer2Counters>,
}

/// An interface that frames can leave by.
#[derive(Clone)]
struct Outlet {
    port: Port,
    sockets: Arc<Sockets>,
}

/// The Layer 2 side of a speaker; its threads end with it.
pub(crate) struct Layer2 {
    shared: Arc<Shared>,
    metrics: SpeakerMetrics,
    exclusion: Exclusion,
    /// What is answered, by name of interface.
    wanted: BTreeMap<IpAddr, model::Interfaces>,
    /// Interfaces that can answer.
    open: BTreeMap<IfIndex, Answerer>,
    /// Names of all interfaces that are not excluded, whether they can answer or not.
    names: BTreeSet<String>,
    /// Some interface that can answer could not be opened.
    incomplete: bool,
    _announcer: Announcer,
}

/// Why Layer 2 cannot work on this host at all.
#[derive(Debug, thiserror::Error)]
pub enum Layer2Error {
    /// The kernel refuses something that every host has.
    #[error("Layer 2: {0}")]
    Sys(#[from] ferrolb_sys::Error),
    /// A thread could not be started.
    #[error("Layer 2: cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl Layer2 {
    /// Opens every interface that can answer now. `seed` spreads what is told again.
    pub(crate) fn start(
        exclusion: Exclusion,
        metrics: SpeakerMetrics,
        failovers: FailoverMetrics,
        witness: Witness,
        seed: u64,
    ) -> Result<Self, Layer2Error> {
        let shared = Arc::new(Shared {
            answers: RwLock::default(),
            schedule: Mutex::new(Gratuitous::new(Some(REFRESH), seed)),
            conflicts: Mutex::new(Conflicts::new(seed)),
            findings: Findings::default(),
            outlets: RwLock::default(),
            changed: Waker::new()?,
            witness,
            takeovers: Mutex::default(),
            failovers,
        });
        shared.witness.attach(shared.changed.clone());
        let announcer = Announcer::start(Arc::clone(&shared))?;
        let mut layer2 = Self {
            shared,
            metrics,
            exclusion,
            wanted: BTreeMap::new(),
            open: BTreeMap::new(),
            names: BTreeSet::new(),
            incomplete: false,
            _announcer: announcer,
        };
        layer2.take_links(&links()?);
        Ok(layer2)
    }

    /// Listens to changes of interfaces; feed what comes to [`Layer2::take_links`].
    pub(crate) fn watch() -> Result<LinkWatch, Layer2Error> {
        Ok(LinkWatch::new()?)
    }

    /// Answers for `ip` on `interfaces` from now on, and tells the network when that is news.
    pub(crate) fn answer_on(&mut self, ip: IpAddr, interfaces: &model::Interfaces) {
        self.wanted.insert(ip, interfaces.clone());
        let resolved = self.resolve(interfaces);
        {
            let mut answers = self.shared.answers.write();
            let counters = self.metrics.layer2(ip);
            answers.counters.entry(ip).or_insert(counters);
            answers.table.set(ip, resolved.clone());
        }
        self.shared.schedule.lock().own(ip, resolved.clone());
        self.shared.conflicts.lock().watch(monotonic_now(), ip, resolved);
        self.shared.changed.wake();
    }

    /// Whoever had `ip` is dead and was heard last at `last_sign`: what its death costs is known with
    /// the next frame about it.
    pub(crate) fn takes_over(&self, ip: IpAddr, last_sign: Duration) {
        self.shared.takeovers.lock().insert(ip, last_sign);
    }

    /// Stops answering for `ip`.
    pub(crate) fn answer_off(&mut self, ip: IpAddr) {
        self.wanted.remove(&ip);
        {
            let mut answers = self.shared.answers.write();
            answers.table.remove(ip);
            answers.counters.remove(&ip);
        }
        self.shared.takeovers.lock().remove(&ip);
        self.shared.schedule.lock().release(ip);
        self.shared.conflicts.lock().forget(ip);
        self.shared.changed.wake();
    }

    /// Finds out whether somebody else has `ip`; what comes of it is among the findings.
    pub(crate) fn probe(&self, ip: IpAddr, interfaces: &model::Interfaces) {
        let resolved = self.resolve(interfaces);
        self.shared.conflicts.lock().probe(monotonic_now(), ip, resolved);
        self.shared.changed.wake();
    }

    /// Leaves `ip`, which is not answered any more, to another node for as long as that answers.
    pub(crate) fn stand_back(&self, ip: IpAddr, interfaces: &model::Interfaces) {
        let resolved = self.resolve(interfaces);
        self.shared.conflicts.lock().stand_back(monotonic_now(), ip, resolved);
        self.shared.changed.wake();
    }

    /// Nothing more is to be found out about `ip`.
    pub(crate) fn forget(&self, ip: IpAddr) {
        self.shared.conflicts.lock().forget(ip);
    }

    /// The addresses of all nodes of the cluster.
    pub(crate) fn set_hosts(&self, hosts: BTreeSet<IpAddr>) {
        self.shared.conflicts.lock().set_hosts(hosts);
        self.shared.changed.wake();
    }

    /// Tells the network once more who has `ip`.
    pub(crate) fn defend(&self, ip: IpAddr, interface: IfIndex) {
        self.shared.schedule.lock().defend(ip, interface);
        self.shared.changed.wake();
    }

    /// What is found out about who else speaks for our addresses.
    pub(crate) fn findings(&self) -> Findings {
        self.shared.findings.clone()
    }

    /// The name of an interface that answers.
    pub(crate) fn name_of(&self, index: IfIndex) -> &str {
        self.open.get(&index).map_or("", Answerer::name)
    }

    /// Tells the network again about every address that is answered: after a partition the loser
    /// may have spoken last.
    pub(crate) fn announce_again(&self) {
        let mut schedule = self.shared.schedule.lock();
        for index in self.open.keys() {
            schedule.link_up(*index);
        }
        drop(schedule);
        self.shared.changed.wake();
    }

    /// Whether the node has one of these interfaces, fit or not.
    pub(crate) fn has_any(&self, interfaces: &model::Interfaces) -> bool {
        match interfaces {
            model::Interfaces::All => true,
            model::Interfaces::Named(names) => names.iter().any(|name| self.names.contains(name)),
        }
    }

    /// Those of `links` that may announce.
    pub(crate) fn admitted<'a>(
        &self,
        links: &'a [ferrolb_sys::Link],
    ) -> impl Iterator<Item = &'a ferrolb_sys::Link> {
        links.iter().filter(|link| !self.exclusion.matches(&link.name))
    }

    /// Names of the interfaces the node has, for messages.
    pub(crate) fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// Whether every interface that can answer does.
    pub(crate) fn is_complete(&self) -> bool {
        !self.incomplete && self.open.values().all(Answerer::is_running)
    }

    /// Takes over the interfaces of the host as they are now: opens, closes and follows changes of
    /// address or name. Returns whether the set of names changed.
    pub(crate) fn take_links(&mut self, links: &[ferrolb_sys::Link]) -> bool {
        let names: BTreeSet<String> = links
            .iter()
            .filter(|link| !self.exclusion.matches(&link.name))
            .map(|link| link.name.clone())
            .collect();
        let usable: BTreeMap<IfIndex, Usable> = links
            .iter()
            .filter(|link| names.contains(&link.name))
            .filter_map(|link| Usable::of(link).map(|usable| (usable.port.index, usable)))
            .collect();
        let closed: Vec<_> =
            self.open.keys().filter(|index| !usable.contains_key(index)).copied().collect();
        for index in closed {
            self.close(index);
        }
        self.incomplete = false;
        for usable in usable.values() {
            self.open_or_update(usable);
        }
        let changed = names != self.names;
        self.names = names;
        self.resolve_all();
        self.shared.changed.wake();
        changed
    }

    fn close(&mut self, index: IfIndex) {
        let Some(answerer) = self.open.remove(&index) else { return };
        self.metrics.closed(answerer.name());
        self.shared.outlets.write().remove(&index);
        self.shared.schedule.lock().remove_port(index);
        self.shared.conflicts.lock().remove_port(index);
        for kind in kinds(answerer.speaks_arp(), answerer.speaks_ndp()) {
            let event = format!("delete{kind}Responder");
            info!(event, interface = answerer.name(), "interface does not answer any more");
        }
    }

    fn open_or_update(&mut self, usable: &Usable) {
        let index = usable.port.index;
        if let Some(answerer) = self.open.get_mut(&index)
            && answerer.serves(usable)
        {
            let passes_again = answerer.update(usable);
            if let Some(outlet) = self.shared.outlets.write().get_mut(&index) {
                outlet.port = usable.port;
            }
            self.shared.conflicts.lock().set_port(usable.port);
            let mut schedule = self.shared.schedule.lock();
            schedule.set_port(usable.port);
            if passes_again {
                schedule.link_up(index);
            }
            return;
        }
        self.close(index);
        let name = usable.name.clone();
        let answers = self.metrics.answers_on(&name);
        match Answerer::start(usable, Arc::clone(&self.shared), answers) {
            Ok(answerer) => {
                let outlet = Outlet { port: usable.port, sockets: answerer.sockets() };
                self.shared.outlets.write().insert(index, outlet);
                self.shared.schedule.lock().set_port(usable.port);
                self.shared.conflicts.lock().set_port(usable.port);
                for kind in kinds(usable.arp, usable.ndp) {
                    let (event, mac) = (format!("create{kind}Responder"), usable.port.mac);
                    info!(event, interface = name, %mac, "interface answers");
                }
                self.open.insert(index, answerer);
            }
            Err(error) => {
                self.incomplete = true;
                for kind in kinds(usable.arp, usable.ndp) {
                    let op = format!("create{kind}Responder");
                    error!(op, interface = name, %error, "interface cannot answer");
                }
            }
        }
    }

    /// Resolves names anew; a name may have got another interface behind it.
    fn resolve_all(&self) {
        let mut answers = self.shared.answers.write();
        let mut schedule = self.shared.schedule.lock();
        for (&ip, interfaces) in &self.wanted {
            if let model::Interfaces::Named(_) = interfaces {
                let resolved = self.resolve(interfaces);
                if answers.table.interfaces(ip) != Some(&resolved) {
                    answers.table.set(ip, resolved.clone());
                    schedule.own(ip, resolved.clone());
                    self.shared.conflicts.lock().watch(monotonic_now(), ip, resolved);
                }
            }
        }
    }

    fn resolve(&self, interfaces: &model::Interfaces) -> Interfaces {
        match interfaces {
            model::Interfaces::All => Interfaces::All,
            model::Interfaces::Named(names) => Interfaces::Only(
                self.open
                    .iter()
                    .filter(|(_, answerer)| names.contains(answerer.name()))
                    .map(|(index, _)| *index)
                    .collect(),
            ),
        }
    }
}

/// What an interface answers, as upstream's log lines name it.
fn kinds(arp: bool, ndp: bool) -> impl Iterator<Item = &'static str> {
    [(arp, "ARP"), (ndp, "NDP")].into_iter().filter_map(|(is, kind)| is.then_some(kind))
}

impl Drop for Layer2 {
    fn drop(&mut self) {
        if !self.wanted.is_empty() {
            warn!(addresses = self.wanted.len(), "addresses are not answered any more");
        }
    }
}
