//! The owner task: all state of the speaker, and what follows from each change of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_ipam::{NodeName, ServiceKey};
use ferrolb_kube_rt::events::Recorder;
use ferrolb_kube_rt::metrics::{ClientMetrics, SpeakerMetrics};
use ferrolb_kube_rt::probes::{Check, Pulse};
use ferrolb_kube_rt::status::Writer;
use ferrolb_kube_rt::tidy::Tidy;
use ferrolb_kube_rt::{Inbox, Post};
use ferrolb_model as model;
use ferrolb_model::{
    Announcement, Change, Config, ConfigObjects, Interfaces, Revision, Service, Snapshot,
    SpeakerPod,
};
use ferrolb_sys::{Link, LinkWatch};
use kube::Client;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

mod bgp;
mod claims;
mod health;
#[cfg(test)]
mod kept;
mod others;
mod recall;
mod report;
mod statuses;

use self::bgp::Side;
use self::health::Health;
pub(crate) use self::recall::Recall;
use crate::announced::{Announced, Answer};
use crate::bgp::{Bgp, News};
use crate::fitness::Unfit;
use crate::l2::Layer2;
use crate::members::{self, Lost, Members, View};
use crate::objects::{OwnerPod, Reports, ServiceL2};
use crate::standing::Standing;
use crate::topics::{
    self, BGP_STATUSES, L2_STATUSES, Message, SESSIONS, StatusKey, Subject, Topic,
};
use crate::vetting::{ConflictPolicy, Vetting};

/// Facts taken in at once.
const BATCH: usize = 4096;
/// How often an idle loop shows that it turns.
const BEAT: Duration = Duration::from_secs(5);
/// The longest a leaving speaker answers for successors that have not confirmed.
const LEAVE: Duration = Duration::from_millis(500);
/// The longest it waits until all members know that it leaves.
const DEPARTURE: Duration = Duration::from_secs(1);
/// Pause when interfaces cannot be followed.
const LINK_PAUSE: Duration = Duration::from_secs(1);
/// Pause before a status object that somebody else has written is looked at again.
const SOON: Duration = Duration::from_secs(1);
/// Pause before a write that the server refuses is tried again.
const LATE: Duration = Duration::from_secs(15);

/// What an owner is made of.
pub(crate) struct Parts {
    pub(crate) node: NodeName,
    pub(crate) pod: String,
    pub(crate) namespace: String,
    pub(crate) snapshot: model::Settings,
    pub(crate) layer2: Layer2,
    pub(crate) conflicts: ConflictPolicy,
    /// Interfaces that were lost count again after that.
    pub(crate) hold_down: Duration,
    /// A cordoned node gives its addresses away.
    pub(crate) yield_when_cordoned: bool,
    pub(crate) links: LinkWatch,
    /// None: this process does no BGP.
    pub(crate) bgp: Option<BgpParts>,
    pub(crate) members: Option<Members>,
    pub(crate) members_port: u16,
    pub(crate) members_known: Check,
    pub(crate) shared: members::Shared,
    pub(crate) writer: Writer<StatusKey>,
    pub(crate) post: Post<Topic, Message>,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: SpeakerMetrics,
    pub(crate) client_metrics: ClientMetrics,
    pub(crate) standing: Standing,
    pub(crate) recall: Recall,
    pub(crate) missing: Vec<&'static str>,
    pub(crate) pulse: Pulse,
}

/// What BGP takes.
pub(crate) struct BgpParts {
    pub(crate) bgp: Bgp,
    pub(crate) client: Client,
    /// How long routers are asked to take other ways before routes are taken back.
    pub(crate) drain: Duration,
}

/// The owner task.
pub(crate) struct Owner {
    parts: Parts,
    snapshot: Snapshot,
    objects: ConfigObjects,
    config: Arc<Config>,
    reconfigure: bool,
    pods: BTreeMap<Arc<str>, SpeakerPod>,
    /// Membership does not know of the newest.
    pods_due: bool,
    announced: Announced,
    /// The Services this node has said it announces, by their uid.
    assigned: BTreeMap<ServiceKey, Arc<str>>,
    /// Addresses that are ours and not answered all the same.
    vetting: Vetting,
    /// The addresses of nodes.
    hosts: BTreeMap<NodeName, BTreeSet<IpAddr>>,
    /// Who does not count while membership is off.
    lost: Lost,
    health: Health,
    /// Services have been decided about.
    begun: bool,
    /// Services that nobody announces, about which nothing is said before that is known.
    unexplained: BTreeSet<ServiceKey>,
    /// Addresses that cannot be announced here, for want of their interfaces.
    impossible: BTreeMap<ServiceKey, Vec<IpAddr>>,
    bgp: Option<Side>,
    drain: Duration,
    reports: Reports,
    /// Services to decide about.
    due: BTreeSet<ServiceKey>,
    /// What the reports on are to be looked at.
    statuses_due: BTreeSet<Subject>,
    returns: u64,
    /// The view that is not acted on yet.
    unsettled: Option<u64>,
    /// When interfaces may be asked for again after an error.
    links_rest: Option<Instant>,
}

impl Owner {
    pub(crate) fn new(mut parts: Parts) -> Self {
        let mut snapshot = Snapshot::new(parts.snapshot.clone());
        if parts.members.is_some() {
            // Until the detector has spoken, nobody is a candidate.
            let nobody = Change::Members(model::Members::Known(BTreeSet::new()));
            let _nothing_known_yet = snapshot.apply(nobody);
        }
        let vetting = Vetting::new(parts.conflicts);
        let bgp = parts.bgp.take();
        Self {
            snapshot,
            drain: bgp.as_ref().map(|bgp| bgp.drain).unwrap_or_default(),
            bgp: bgp.map(|bgp| Side::new(bgp.bgp, bgp.client)),
            reports: Reports::new(&parts.node, &parts.namespace),
            objects: ConfigObjects::default(),
            config: Arc::default(),
            reconfigure: true,
            pods: BTreeMap::new(),
            pods_due: true,
            announced: Announced::default(),
            assigned: BTreeMap::new(),
            vetting,
            hosts: BTreeMap::new(),
            lost: Lost::default(),
            health: Health::new(parts.hold_down, parts.members.is_none()),
            begun: false,
            unexplained: BTreeSet::new(),
            impossible: BTreeMap::new(),
            due: BTreeSet::new(),
            statuses_due: BTreeSet::new(),
            returns: 0,
            unsettled: None,
            links_rest: None,
            parts,
        }
    }

    /// Takes in facts and acts on them until `stop`, then takes leave.
    pub(crate) async fn turn(
        mut self,
        mut inbox: Inbox<Topic, Message>,
        stop: impl Future<Output = ()>,
    ) -> Recorder {
        let mut stop = std::pin::pin!(stop);
        let mut beat = tokio::time::interval(BEAT);
        let mut view = self.parts.members.as_ref().map(Members::view);
        let findings = self.parts.layer2.findings();
        let news = self.bgp.as_ref().map(Side::news);
        let mut tidy = Tidy::begin();
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = changed(&mut view) => self.take_view(&mut view),
                links = next_links(&mut self.parts.links, self.links_rest) => match links {
                    Ok(links) => {
                        self.links_rest = None;
                        self.take_links(&links);
                    }
                    Err(error) => {
                        error!(op = "watchInterfaces", %error, "cannot follow interfaces");
                        self.links_rest = Some(Instant::now() + LINK_PAUSE);
                    }
                },
                events = findings.next() => self.take_findings(events),
                entries = inbox.recv_ready(BATCH) => {
                    tidy.took(entries.len());
                    for (topic, message) in entries {
                        let is_news = self.is_news(&message);
                        self.parts.recall.hear(&topic, is_news);
                        self.take(message);
                    }
                }
                () = told(news.as_ref()) => self.take_news(),
                () = until(self.bgp.as_ref().and_then(Side::reports_at)) => {}
                () = until(self.health.wake()) => {}
                () = until(self.parts.recall.due()) => self.tend_memory(),
                () = until(tidy.due()) => tidy.tidy_up(),
                _ = beat.tick() => {
                    if let Some(side) = &mut self.bgp {
                        side.beat();
                    }
                    self.retry_links();
                    self.probe_again();
                }
            }
            self.parts.pulse.beat();
            self.work();
        }
        self.leave(view).await
    }

    /// Goes on answering until successors have taken over, then stops and tells all members.
    async fn leave(self, view: Option<watch::Receiver<View>>) -> Recorder {
        let Self { parts, bgp, drain, .. } = self;
        let Parts { node, layer2, members, recorder, .. } = parts;
        let routers = async {
            if let Some(side) = bgp {
                side.leave(&node, drain).await;
            }
        };
        tokio::join!(leave_layer2(layer2, members, view), routers);
        recorder
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Service(key, row) => {
                self.apply(Change::Service(key, row.map(|row| *row)));
            }
            Message::Slice(key, row) => self.apply(Change::Slice(key, row)),
            Message::Node(name, row) => {
                let cordoned = row.as_ref().is_some_and(|row| row.cordoned);
                let (node, lost) = row.map(|row| (row.node, row.lost)).unzip();
                self.take_hosts(&name, node.as_ref());
                if name == self.parts.node {
                    let yields = cordoned && self.parts.yield_when_cordoned;
                    self.take_unfit(Unfit::Cordoned, yields);
                    self.health.stir();
                    self.review_peers();
                }
                self.apply(Change::Node(name.clone(), node));
                if self.parts.members.is_none()
                    && let Some(members) =
                        self.lost.take(name, lost.unwrap_or_default(), self.hosts.keys())
                {
                    self.apply(Change::Members(members));
                }
            }
            Message::Namespace(name, row) => {
                set(&mut self.objects.namespaces, name, row);
                self.reconfigure = true;
            }
            Message::Pool(name, pool) => {
                set(&mut self.objects.pools, name, pool.map(|pool| *pool));
                self.reconfigure = true;
            }
            Message::L2Advertisement(name, advertisement) => {
                let advertisement = advertisement.map(|advertisement| *advertisement);
                set(&mut self.objects.l2_advertisements, name, advertisement);
                self.reconfigure = true;
            }
            Message::Pod(name, pod) => self.take_pod(name, pod),
            Message::KubeProxy(well) => self.take_unfit(Unfit::KubeProxy, !well),
            Message::L2Status(..)
            | Message::BgpStatus(..)
            | Message::Session(..)
            | Message::StatusWritten(..)
            | Message::StatusAgain(_)
            | Message::Synced(BGP_STATUSES | SESSIONS) => self.take_report(message),
            Message::BgpPeer(..)
            | Message::BgpAdvertisement(..)
            | Message::BfdProfile(..)
            | Message::Community(..)
            | Message::Secret(..)
            | Message::SecretListed(_) => self.take_bgp(message),
            Message::Synced(name) if topics::BGP.contains(&name) => self.take_bgp(message),
            Message::Synced(name) => {
                if name == L2_STATUSES {
                    self.take_report(message);
                }
                self.take_listed(name);
            }
        }
    }

    fn take_listed(&mut self, name: &'static str) {
        for message in self.parts.recall.complete(name) {
            self.take(message);
        }
        let missing = &mut self.parts.missing;
        if missing.extract_if(.., |missing| *missing == name).next().is_some() && missing.is_empty()
        {
            self.parts.recall.end();
            info!("everything is listed, announcing begins");
        }
    }

    fn apply(&mut self, change: Change) {
        let affected = self.snapshot.apply(change);
        self.due.extend(affected);
    }

    fn take_pod(&mut self, name: Arc<str>, pod: Option<SpeakerPod>) {
        if let Some(pod) = pod.as_ref().filter(|pod| *pod.name == *self.parts.pod) {
            let owner = OwnerPod { name: Arc::clone(&pod.name), uid: Arc::clone(&pod.uid) };
            self.parts.standing.begin(&owner);
            let concerned = self.reports.set_owner(&owner);
            self.statuses_due.extend(concerned);
        }
        set(&mut self.pods, name, pod);
        self.pods_due = true;
    }

    /// Interfaces that could not be opened may have recovered without a word.
    fn retry_links(&mut self) {
        if !self.parts.layer2.is_complete() {
            match ferrolb_sys::links() {
                Ok(links) => self.take_links(&links),
                Err(error) => error!(op = "watchInterfaces", %error, "cannot list interfaces"),
            }
        }
    }

    fn take_links(&mut self, links: &[Link]) {
        self.take_fitness(links);
        if self.parts.layer2.take_links(links) {
            // Some named interface may have come or gone.
            let named = |interfaces: &Interfaces| matches!(interfaces, Interfaces::Named(_));
            let concerned = self.snapshot.services().map(|service| &service.key).filter(|key| {
                let announcement = self.snapshot.verdict(key).and_then(|v| v.announcement());
                announcement.is_some_and(|a| a.addresses.iter().any(|(_, i)| named(i)))
            });
            let concerned: Vec<_> = concerned.cloned().collect();
            self.due.extend(concerned);
        }
    }

    /// Does everything that is due.
    fn work(&mut self) {
        let is_complete = self.parts.missing.is_empty();
        if !is_complete && !self.parts.recall.is_acting() {
            return;
        }
        if is_complete {
            self.begin_bgp();
        }
        if std::mem::take(&mut self.reconfigure) {
            self.configure();
        }
        self.review_health();
        self.tell_pods();
        self.decide_due();
        if let (Some(revision), Some(members)) = (self.unsettled.take(), &self.parts.members) {
            members.settled(revision);
        }
        self.settle_peers();
        self.judge();
        self.report_bgp();
        self.write_statuses();
    }

    /// Says on the `ConfigurationState` what the configuration is worth on this node.
    fn judge(&mut self) {
        let here = self.bgp_errors();
        let component = model::report::Component::Speaker;
        let conditions = model::report::conditions(component, &self.config, &here);
        self.parts.standing.judge(conditions);
    }

    fn configure(&mut self) {
        let config = Config::build(&self.objects, Some(&self.config));
        if config == *self.config && self.snapshot.config().is_some() {
            return;
        }
        for problem in &config.problems {
            if !self.config.problems.contains(problem) {
                warn!(
                    kind = %problem.kind,
                    name = &*problem.name,
                    field = problem.field,
                    value = problem.value,
                    acting = problem.acting,
                    "{problem}"
                );
            }
        }
        self.parts.client_metrics.config_loaded(!config.problems.is_empty());
        self.config = Arc::new(config);
        self.apply(Change::Config(Arc::clone(&self.config)));
        self.review_peers();
        self.health.stir();
        let stale = !self.config.problems.is_empty();
        info!(event = "configLoaded", stale, "configuration taken over");
    }

    fn decide_due(&mut self) {
        if self.snapshot.config().is_none() {
            return;
        }
        if !std::mem::replace(&mut self.begun, true) {
            self.meet_services();
        }
        let mut owners = BTreeSet::new();
        for key in std::mem::take(&mut self.due) {
            let revision = self.snapshot.refresh(&key);
            owners.extend(revision.before.as_ref().and_then(|verdict| verdict.owner.clone()));
            owners.extend(revision.after.owner.clone());
            self.act(&key, &revision);
            self.decide_bgp(&key);
        }
        self.flush_bgp();
        self.follow_announcers(owners);
    }

    fn act(&mut self, key: &ServiceKey, revision: &Revision) {
        self.vet(key, &revision.after);
        let before = self.announced.service(key).cloned();
        let after = self.possible(key, revision);
        if before != after {
            let last_sign = self.last_sign(revision);
            for answer in self.announced.set(key, after.as_ref()) {
                match answer {
                    Answer::On(ip, interfaces) => {
                        self.keep_answering(ip);
                        if let Some(last_sign) = last_sign.filter(|_| before.is_none()) {
                            self.parts.layer2.takes_over(ip, last_sign);
                        }
                        self.parts.layer2.answer_on(ip, &interfaces);
                    }
                    Answer::Off(ip) => self.answer_off(ip),
                }
            }
            self.count(key, before.as_ref(), after.as_ref());
        }
        let ips = self.snapshot.service(key).into_iter().flat_map(addresses);
        let refused = ips.filter_map(|ip| Some((ip, self.vetting.refused(ip)?)));
        let report = ServiceL2::content(after.as_ref(), refused);
        if self.reports.layer2.want(key, report) || before != after {
            self.statuses_due.insert(Subject::Layer2(key.clone()));
        }
        match &after {
            Some(announcement) => self.tell_announced(key, announcement, before != after),
            None => self.tell_silent(key, revision, before.as_ref()),
        }
    }

    /// When the owner until now was heard last, if it is dead.
    fn last_sign(&self, revision: &Revision) -> Option<Duration> {
        let owner = revision.before.as_ref()?.owner.as_ref()?;
        self.parts.shared.last_signs.lock().get(owner.as_str()).copied()
    }

    /// What of the verdict this node can do: an address whose interfaces it has none of cannot be
    /// announced.
    fn possible(&mut self, key: &ServiceKey, revision: &Revision) -> Option<Announcement> {
        let Some(announcement) = revision.after.announcement() else {
            self.impossible.remove(key);
            return None;
        };
        let layer2 = &self.parts.layer2;
        let (mut addresses, impossible): (Vec<_>, Vec<_>) = announcement
            .addresses
            .iter()
            .cloned()
            .partition(|(_, interfaces)| layer2.has_any(interfaces));
        let ips: Vec<IpAddr> = impossible.iter().map(|(ip, _)| *ip).collect();
        let known = if ips.is_empty() {
            self.impossible.remove(key)
        } else {
            self.impossible.insert(key.clone(), ips)
        };
        for (ip, interfaces) in &impossible {
            if !known.iter().flatten().any(|known| known == ip) {
                self.tell_impossible(key, *ip, interfaces);
            }
        }
        addresses.retain(|(ip, _)| self.vetting.hold(*ip).is_none());
        let pool = announcement.pool.clone();
        (!addresses.is_empty()).then_some(Announcement { pool, addresses })
    }
}

/// The interfaces as they are next, but not before `rest`. Cancel safe.
async fn next_links(
    links: &mut LinkWatch,
    rest: Option<Instant>,
) -> Result<Vec<Link>, ferrolb_sys::Error> {
    if let Some(rest) = rest {
        sleep_until(rest).await;
    }
    links.next().await
}

/// Answers until successors have taken over, and tells all members.
async fn leave_layer2(
    layer2: Layer2,
    members: Option<Members>,
    view: Option<watch::Receiver<View>>,
) {
    let (Some(members), Some(mut view)) = (members, view) else { return };
    members.drain();
    let released = view.wait_for(|view| view.released);
    if tokio::time::timeout(LEAVE, released).await.is_err() {
        warn!("no successor has confirmed in time");
    }
    // Whoever sends no heartbeats takes over once it is told, and is answered for until then.
    let answering = (!members.hands_over()).then_some(layer2);
    members.leave();
    let departed = view.wait_for(|view| view.departed);
    if tokio::time::timeout(DEPARTURE, departed).await.is_err() {
        warn!("some members may not know that this node leaves");
    }
    drop(answering);
}

/// Waits until sessions tell something; for ever without BGP. Cancel safe.
async fn told(news: Option<&News>) {
    match news {
        Some(news) => news.arrived().await,
        None => std::future::pending().await,
    }
}

/// Waits until `at`; for ever if there is no such time.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Waits for the next view; for ever if failure detection is off.
async fn changed(view: &mut Option<watch::Receiver<View>>) {
    if let Some(view) = view
        && view.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// The addresses in a Service's status.
fn addresses(service: &Service) -> impl Iterator<Item = IpAddr> {
    let texts = service.ingress.iter().filter_map(|entry| entry.ip.as_ref());
    texts.filter_map(|text| text.parse().ok()).map(|ip: IpAddr| ip.to_canonical())
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}
