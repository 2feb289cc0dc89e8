//! BGP: what this node tells its routers, and what became of that.
//!
//! ```text
//!  owner ── set_routes, set_peers ──► Bgp ── orders ──► task of a peer ──► TCP
//!    ▲                                 │                  │     └── BFD
//!    └── tidings ◄── news ◄────────────┼──────────────────┘
//!                                      └ Table: what is wanted, by prefix
//! ```
//!
//! One task a peer, each with a queue of its own that holds the newest wish for each prefix. What is
//! wanted is decided once and shared; each peer is sent the difference to what it knows.
//!
//! Not here: what is wanted (`model`), the protocol (`bgp-proto`), API objects (`owner`, `objects`).

mod counting;
mod line;
mod news;
mod orders;
mod path;
mod task;
mod terms;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_addr::Family;
use ferrolb_bgp_proto::{
    Community, LargeCommunity, PathAttributes, Session, State, TooManyCommunities,
};
use ferrolb_ipam::ServiceKey;
use ferrolb_kube_rt::metrics::{BfdCounter, BfdMetrics, BfdSessionMetrics, BgpMetrics};
use ferrolb_model::bgp::{self as model, Attributes, PeerName, Route, Table};
use ferrolb_sys::monotonic_now;
use ipnet::IpNet;
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, error, warn};

use self::counting::Counting;
use self::line::Line;
pub(crate) use self::news::{Happening, News, View};
use self::news::{Life, Tidings};
use self::orders::{Leave, Orders, Wish};
use self::path::{Engine, Watched, path_to};
pub(crate) use self::task::name_of;
use self::task::{Books, Leaving, Task};
pub(crate) use self::terms::{Common, Terms};

/// Pause before a task that ended by a bug is started again, the first time; doubles each time.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Beyond the grace: time for the withdrawals and the last word.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The running BGP sessions of this node. Dropping it drops all connections without a word.
pub(crate) struct Bgp {
    common: Common,
    metrics: BgpMetrics,
    bfd_metrics: BfdMetrics,
    engine: Engine,
    news: News,
    table: Table,
    /// Prefixes that peers may have to be told something else of.
    changed: BTreeSet<IpNet>,
    shared: HashMap<Attributes, Wish>,
    peers: BTreeMap<PeerName, Running>,
    lives: Life,
    seed: u64,
    /// BFD packets that belonged to no session.
    discarded: u64,
    /// Sessions that begin now follow those of a former process.
    is_first: bool,
}

/// A peer with a task.
struct Running {
    terms: Terms,
    life: Life,
    orders: Orders,
    task: JoinHandle<()>,
    /// What the peer knows.
    told: BTreeSet<IpNet>,
    view: Option<Box<View>>,
    deaths: u32,
    bfd: Option<BfdSeries>,
}

/// The metrics of a BFD session.
struct BfdSeries {
    series: BfdSessionMetrics,
    last: [u64; 4],
    /// Why the session cannot begin.
    problem: Option<String>,
}

/// What tidings amount to, for the owner.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// Services whose peers changed.
    pub(crate) services: BTreeSet<ServiceKey>,
    /// Peers whose session changed.
    pub(crate) peers: BTreeSet<PeerName>,
    /// What people are told.
    pub(crate) happened: Vec<(PeerName, Happening)>,
}

/// Whom a Service is told.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Audience {
    /// Peers that were sent all routes that are for them, over a session that is up.
    pub(crate) told: BTreeSet<PeerName>,
    /// Peers that are still to be told.
    pub(crate) untold: BTreeSet<PeerName>,
}

impl Bgp {
    /// No peers, no routes. The seed gives jitter.
    pub(crate) fn new(
        common: Common,
        metrics: BgpMetrics,
        bfd_metrics: BfdMetrics,
        seed: u64,
    ) -> Self {
        Self {
            common,
            metrics,
            bfd_metrics,
            engine: Engine::new(seed),
            news: News::default(),
            table: Table::new(),
            changed: BTreeSet::new(),
            shared: HashMap::new(),
            peers: BTreeMap::new(),
            lives: 0,
            seed,
            discarded: 0,
            is_first: true,
        }
    }

    /// What is common to all peers.
    pub(crate) fn common(&self) -> &Common {
        &self.common
    }

    /// Where tasks report; [`Self::take`] makes sense of it.
    pub(crate) fn news(&self) -> News {
        self.news.clone()
    }

    /// A Service is announced by these routes, or not at all. Peers hear of it at [`Self::flush`].
    pub(crate) fn set_routes(&mut self, service: &ServiceKey, routes: Vec<Route>) {
        self.changed.extend(self.table.set(service, routes));
    }

    /// Tells every peer what changed for it.
    pub(crate) fn flush(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        if changed.is_empty() {
            return;
        }
        for (name, running) in &self.peers {
            let wishes: Vec<(IpNet, Wish)> = changed
                .iter()
                .map(|prefix| (*prefix, wish(&mut self.shared, self.table.told(prefix, name))))
                .collect();
            running.orders.wish(wishes);
        }
        if self.shared.len() > 2 * self.table.len() + 64 {
            self.shared.retain(|_, wish| wish.as_ref().is_none_or(|it| Arc::strong_count(it) > 1));
        }
    }

    /// Holds sessions with exactly these peers. Returns those of which there is something to write.
    pub(crate) fn set_peers(&mut self, wanted: Vec<Terms>) -> BTreeSet<PeerName> {
        self.flush();
        let mut concerned = BTreeSet::new();
        let names: BTreeSet<PeerName> = wanted.iter().map(|it| it.peer().name.clone()).collect();
        let gone: Vec<PeerName> =
            self.peers.keys().filter(|name| !names.contains(*name)).cloned().collect();
        for name in gone {
            if let Some(running) = self.peers.remove(&name) {
                // The task says goodbye on its own time.
                running.orders.leave(Leave::Deconfigured);
            }
            concerned.insert(name);
        }
        for terms in wanted {
            let name = terms.peer().name.clone();
            match self.peers.get_mut(&name) {
                Some(running) if running.terms == terms => {}
                Some(running) => {
                    running.orders.set_terms(terms.clone());
                    running.terms = terms;
                    concerned.insert(name);
                }
                None => {
                    let running = self.start(terms, Duration::ZERO, 0);
                    self.peers.insert(name.clone(), running);
                    concerned.insert(name);
                }
            }
        }
        self.is_first = false;
        self.count_bfd();
        concerned
    }

    fn start(&mut self, terms: Terms, pause: Duration, deaths: u32) -> Running {
        self.lives += 1;
        let life = self.lives;
        let name = &terms.peer().name;
        let orders = Orders::default();
        let told = self.table.all_told(name);
        let wishes: Vec<(IpNet, Wish)> =
            told.map(|(prefix, it)| (prefix, wish(&mut self.shared, Some(it)))).collect();
        orders.wish(wishes);
        let seed = self.seed ^ life.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let config = terms.session(self.is_first);
        let (metrics, engine) = (self.metrics.clone(), self.engine.clone());
        let (reporter, own) = (self.news.reporter(life), orders.clone());
        let task_terms = terms.clone();
        let work = async move {
            tokio::time::sleep(pause).await;
            let mut session = Session::new(config, monotonic_now(), seed);
            // Nothing begins before everything is listed, so what comes first is all there is.
            session.set_complete();
            let mut task = Task {
                counting: Counting::new(metrics, task_terms.target().to_string()),
                terms: task_terms,
                session,
                orders: own,
                reporter,
                engine,
                line: Line::Idle,
                watched: Watched::default(),
                books: Books::new(),
                leaving: Leaving::No,
                farewells: JoinSet::new(),
            };
            task.begin();
            task.run().await;
        };
        let guard = self.news.reporter(life);
        let task = tokio::spawn(async move {
            let mut inner = JoinSet::new();
            inner.spawn(work);
            if let Some(Err(error)) = inner.join_next().await
                && error.is_panic()
            {
                guard.died();
            }
        });
        Running { terms, life, orders, task, told: BTreeSet::new(), view: None, deaths, bfd: None }
    }

    /// Makes sense of what tasks reported.
    pub(crate) fn take(&mut self, news: BTreeMap<Life, Tidings>) -> Outcome {
        let mut outcome = Outcome::default();
        let names: HashMap<Life, PeerName> =
            self.peers.iter().map(|(name, running)| (running.life, name.clone())).collect();
        for (life, tidings) in news {
            // A peer that is gone may still say something.
            let Some(name) = names.get(&life) else { continue };
            self.take_one(name, tidings, &mut outcome);
        }
        outcome
    }

    fn take_one(&mut self, name: &PeerName, tidings: Tidings, outcome: &mut Outcome) {
        let Some(running) = self.peers.get_mut(name) else { return };
        let mut prefixes = BTreeSet::new();
        if tidings.forgotten || tidings.died {
            prefixes.append(&mut running.told);
        }
        for (prefix, is_told) in tidings.told {
            let changed =
                if is_told { running.told.insert(prefix) } else { running.told.remove(&prefix) };
            if changed {
                prefixes.insert(prefix);
            }
        }
        for prefix in prefixes {
            outcome.services.extend(self.table.services_of(&prefix).cloned());
        }
        if let Some(view) = tidings.view {
            running.view = Some(view);
            outcome.peers.insert(name.clone());
        }
        outcome.happened.extend(tidings.happened.into_iter().map(|it| (name.clone(), it)));
        if tidings.died {
            let deaths = running.deaths.saturating_add(1);
            let pause = PAUSE.saturating_mul(1 << running.deaths.min(6)).min(LONGEST_PAUSE);
            error!(op = "bgpSession", peer = %name, ?pause, "ended by a bug, begins anew");
            let terms = running.terms.clone();
            let anew = self.start(terms, pause, deaths);
            self.peers.insert(name.clone(), anew);
            outcome.peers.insert(name.clone());
        }
    }

    /// Whom Service `key` is told.
    pub(crate) fn audience(&self, key: &ServiceKey) -> Audience {
        let prefixes = self.table.prefixes_of(key);
        let mut audience = Audience::default();
        for (name, running) in &self.peers {
            let families = running.terms.families();
            let mut own = prefixes
                .iter()
                .filter(|prefix| families[Family::of(prefix.addr())])
                .filter(|prefix| self.table.told(prefix, name).is_some())
                .peekable();
            if own.peek().is_none() {
                continue;
            }
            let is_told = own.all(|prefix| running.told.contains(prefix));
            let names = if is_told { &mut audience.told } else { &mut audience.untold };
            names.insert(name.clone());
        }
        audience
    }

    /// The configuration and the state of a session.
    pub(crate) fn session(&self, name: &PeerName) -> Option<(&Terms, Option<&View>)> {
        self.peers.get(name).map(|running| (&running.terms, running.view.as_deref()))
    }

    /// Whether there is any session to have.
    pub(crate) fn is_idle(&self) -> bool {
        self.peers.is_empty()
    }

    /// Whether some router has agreed to keep routes while this process restarts.
    pub(crate) fn may_restart(&self) -> bool {
        let agreed = |view: &View| view.terms.as_ref().is_some_and(|it| it.graceful_restart);
        self.peers.values().any(|running| running.view.as_deref().is_some_and(agreed))
    }

    /// Brings the metrics of BFD up to date.
    pub(crate) fn count_bfd(&mut self) {
        let snapshot = self.engine.snapshot();
        let discarded = snapshot.as_ref().map_or(0, |snapshot| snapshot.discarded);
        if discarded > self.discarded {
            debug!(discarded, "BFD packets that belong to no session");
        }
        self.discarded = discarded;
        for running in self.peers.values_mut() {
            if running.terms.bfd().is_none() {
                running.bfd = None;
                continue;
            }
            let peer: IpAddr = running.terms.target().ip();
            let series = running.bfd.get_or_insert_with(|| BfdSeries {
                series: self.bfd_metrics.session(&peer.to_string(), ""),
                last: [0; 4],
                problem: None,
            });
            let path = path_to(&running.terms);
            let sessions = snapshot.iter().flat_map(|snapshot| &snapshot.sessions);
            let session = sessions.into_iter().find(|session| session.path == path);
            let problem = session.and_then(|session| session.problem.clone());
            if let Some(problem) =
                problem.as_ref().filter(|new| series.problem.as_ref() != Some(new))
            {
                warn!(op = "startBFD", %peer, problem, "the path to a router is not watched");
            }
            series.problem = problem;
            if let Some(view) = session.and_then(|session| session.view) {
                let counters = view.counters;
                series.series.set_up(counters.ups > counters.downs);
                series.count([counters.received, counters.sent, counters.ups, counters.downs]);
            }
        }
    }

    /// Ends all sessions, as the end of the process demands. `restart`: another process takes over.
    pub(crate) async fn leave(self, grace: Duration, restart: bool, text: &str) {
        let mut tasks = JoinSet::new();
        for running in self.peers.into_values() {
            let text = text.into();
            running.orders.leave(if restart {
                Leave::Restart { grace, text }
            } else {
                Leave::Shutdown { grace, text }
            });
            tasks.spawn(running.task);
        }
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(grace.saturating_add(LAST_WORDS), all).await.is_err() {
            warn!(op = "bgpLeave", "some routers did not take the last word in time");
        }
    }
}

impl BfdSeries {
    fn count(&mut self, now: [u64; 4]) {
        let counters = [
            BfdCounter::ControlInput,
            BfdCounter::ControlOutput,
            BfdCounter::UpEvents,
            BfdCounter::DownEvents,
        ];
        // A session that began anew counts from zero.
        let last = if now.iter().zip(&self.last).any(|(now, last)| now < last) {
            [0; 4]
        } else {
            self.last
        };
        for ((counter, now), last) in counters.into_iter().zip(now).zip(last) {
            self.series.count(counter, now - last);
        }
        let changes = |counts: [u64; 4]| counts[2] + counts[3];
        self.series.count(BfdCounter::Notifications, changes(now) - changes(last));
        self.last = now;
    }
}

/// The shared form of `attributes`.
fn wish(shared: &mut HashMap<Attributes, Wish>, attributes: Option<Attributes>) -> Wish {
    let attributes = attributes?;
    if let Some(known) = shared.get(&attributes) {
        return known.clone();
    }
    let wish = match path_attributes(&attributes) {
        Ok(path) => Some(Arc::new(path)),
        Err(error) => {
            error!(op = "bgpAttributes", %error, "routes with these communities are not announced");
            None
        }
    };
    shared.insert(attributes, wish.clone());
    wish
}

fn path_attributes(attributes: &Attributes) -> Result<PathAttributes, TooManyCommunities> {
    let standard = attributes.communities.iter().filter_map(|community| match community {
        model::Community::Standard(value) => Some(Community(*value)),
        model::Community::Large(_) => None,
    });
    let large = attributes.communities.iter().filter_map(|community| match *community {
        model::Community::Standard(_) => None,
        model::Community::Large([global, local_1, local_2]) => {
            Some(LargeCommunity { global, local_1, local_2 })
        }
    });
    PathAttributes::new(attributes.local_pref, standard, large)
}

/// A state, as RFC 4271 spells it.
pub(crate) const fn word_of(state: State) -> &'static str {
    match state {
        State::Idle => "Idle",
        State::Connect => "Connect",
        State::Active => "Active",
        State::OpenSent => "OpenSent",
        State::OpenConfirm => "OpenConfirm",
        State::Established => "Established",
    }
}
