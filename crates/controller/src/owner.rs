//! The task that owns all state: watches in, effects out.
//!
//! ```text
//!   role ─────┐
//!   inbox ────┤                                  ┌──► Term ──► status of Services and pools
//!   deadlines ┴──► ledger · pool reports ──step──┼──► recorder, metrics
//!                                                └──► retirement
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_addr::Family;
use ferrolb_api::names;
use ferrolb_api::reasons::EventReason;
use ferrolb_ipam::{Counters, ServiceKey};
use ferrolb_kube_rt::clock::WallClock;
use ferrolb_kube_rt::configuration_state::Reporter;
use ferrolb_kube_rt::election::{Leadership, Role};
use ferrolb_kube_rt::events::{ObjectRef, Recorder};
use ferrolb_kube_rt::metrics::{
    ClientMetrics, ControllerMetrics, ElectionMetrics, PendingMetrics, PoolUsage, Registry,
};
use ferrolb_kube_rt::probes::{Probes, Pulse};
use ferrolb_kube_rt::tidy::Tidy;
use ferrolb_kube_rt::{Inbox, Post, inbox};
use ferrolb_model::Problem;
use ferrolb_model::config::Kind;
use ferrolb_model::report::{self, Component};
use kube::Client;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::announcers::{Announcers, Reports};
use crate::ledger::{Change, Effect, Ledger, Options, ServiceRef, StatusWrite, WriteResult};
use crate::legacy;
use crate::pool_status::PoolReports;
use crate::retirement::{self, Retirement};
use crate::topics::{Message, REPORTS, Target, Topic, Watches};
use crate::writes::Writes;

/// Changes that wait to be taken in; beyond that the watches wait.
const INBOX: usize = 4096;
/// Decisions between two looks at everything else.
const BURST: usize = 64;
/// How often an idle loop shows that it turns.
const BEAT: Duration = Duration::from_secs(5);
/// Time between two attempts of a write that the server refuses.
const REFUSED_PAUSE: Duration = Duration::from_secs(15);
/// Time for the change that was in the way of a write to be shown by the watch.
const CONFLICT_PAUSE: Duration = Duration::from_secs(1);
/// Time for writes under way when the process is asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// What a controller is made with.
#[derive(Clone, Debug)]
pub struct Duties {
    /// Namespace of pools and of our own objects.
    pub namespace: Arc<str>,
    /// Which Services are ours, and what is written about them.
    pub options: Options,
    /// Who leads among several; none: this process does.
    pub leadership: Option<Leadership>,
    /// Who is told what the configuration is worth.
    pub reporter: Option<Reporter>,
    /// The time for conditions.
    pub clock: WallClock,
}

/// All parts of a controller; one task owns them.
pub struct Controller {
    ledger: Ledger,
    duties: Duties,
    client: Client,
    /// How many times this process has begun to lead.
    terms: u64,
    /// It leads, or is about to.
    in_office: bool,
    /// The list that a term begins with is under way.
    confirming: bool,
    writes: Writes,
    recorder: Recorder,
    retirement: Retirement,
    reports: PoolReports,
    announcers: Announcers,
    post: Post<Topic, Message>,
    metrics: ControllerMetrics,
    client_metrics: ClientMetrics,
    pending_metrics: PendingMetrics,
    election_metrics: ElectionMetrics,
    /// Watches that have not said everything yet.
    missing: BTreeSet<(&'static str, u64)>,
    /// Kinds of reports that were not all heard yet.
    unheard: BTreeSet<&'static str>,
    origin: Instant,
    pulse: Pulse,
    inbox: Inbox<Topic, Message>,
    watches: Watches,
}

impl Controller {
    /// Starts to watch; nothing is decided before [`Controller::run`]. Needs a tokio runtime.
    pub fn start(client: Client, duties: Duties, registry: &mut Registry, probes: &Probes) -> Self {
        let client_metrics = ClientMetrics::register(registry);
        let metrics = ControllerMetrics::register(registry);
        let (post, inbox) = inbox(INBOX);
        let watches = Watches::start(&client, &duties.namespace, &client_metrics, &post, probes);
        let mut ledger = Ledger::new(duties.options.clone());
        ledger.stand_by();
        let writes = Writes::new(client.clone(), duties.leadership.clone(), post.clone());
        Self {
            ledger,
            terms: 0,
            in_office: false,
            confirming: false,
            recorder: Recorder::behind(client.clone(), names::CONTROLLER, writes.places()),
            writes,
            retirement: retirement::start(client.clone()),
            reports: PoolReports::default(),
            announcers: Announcers::default(),
            post,
            metrics,
            client_metrics,
            pending_metrics: PendingMetrics::register(registry),
            election_metrics: ElectionMetrics::register(registry),
            missing: watches.required().into_iter().collect(),
            unheard: REPORTS.into(),
            origin: Instant::now(),
            pulse: probes.watchdog("allocation"),
            inbox,
            watches,
            client,
            duties,
        }
    }

    /// Gives addresses, whenever this process leads, until `stop`; then waits a little for what is
    /// being written, and lets the next one in.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        self.turn(stop).await;
        info!("stopping");
        let Self { writes, recorder, duties, .. } = self;
        // What was not written is decided again by the next leader.
        let _ = tokio::time::timeout(GRACE, writes.idle()).await;
        if let Some(leadership) = duties.leadership {
            let _ = tokio::time::timeout(GRACE, leadership.release()).await;
        }
        recorder.finish(GRACE).await;
    }

    /// Takes in changes and carries out what follows, until `stop`.
    async fn turn(&mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut beat = tokio::time::interval(BEAT);
        let mut leadership = self.duties.leadership.clone();
        match &leadership {
            Some(leadership) => self.take_role(&leadership.role()),
            None => self.lead(),
        }
        let mut busy = false;
        let mut tidy = Tidy::begin();
        loop {
            let deadline = self.deadline();
            tokio::select! {
                biased;
                () = &mut stop => return,
                role = changed(&mut leadership) => self.take_role(&role),
                entries = self.inbox.recv_ready(INBOX) => {
                    tidy.took(entries.len());
                    self.take_in(entries);
                }
                _ = beat.tick() => {}
                () = sleep_until(deadline), if !busy => {}
                () = sleep_until(tidy.due()), if !busy => tidy.tidy_up(),
                () = tokio::task::yield_now(), if busy => {}
            }
            self.pulse.beat();
            self.ledger.tick(self.now(), self.duties.clock.now());
            busy = self.missing.is_empty() && self.work();
            if !busy {
                self.report();
            }
        }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn deadline(&self) -> Option<Instant> {
        let reports = self.reports.poll_timeout().filter(|_| self.ledger.leads());
        let next = [self.ledger.poll_timeout(), reports].into_iter().flatten().min()?;
        Some(self.origin + next)
    }

    fn take_role(&mut self, role: &Role) {
        match role {
            Role::Leading | Role::Unelected { .. } if !self.in_office => {
                info!(event = "leading", term = self.terms + 1, "this process leads");
                if let Role::Unelected { why } = role {
                    warn!(%why, "no election: nobody keeps two controllers from writing at once");
                }
                self.lead();
            }
            Role::Following { leader } => {
                let leader = leader.as_deref().unwrap_or_default();
                info!(event = "following", leader, "another process leads, or nobody yet");
                self.follow();
            }
            _ => {}
        }
    }

    /// Begins a term, once nothing is under way of the one before.
    fn lead(&mut self) {
        self.terms += 1;
        self.in_office = true;
        self.election_metrics.set_leading(true);
        if let Some(reporter) = &self.duties.reporter {
            reporter.look_again();
        }
        let (writes, post, term) = (self.writes.clone(), self.post.clone(), self.terms);
        tokio::spawn(async move {
            writes.idle().await;
            post.send(Topic::Quiet(term), Message::Synced).await;
        });
    }

    /// What everybody holds is read once more before anything is decided.
    fn confirm(&mut self) {
        self.ledger.confirm();
        self.missing.retain(|(name, _)| *name != "services");
        self.missing.insert(self.watches.list_services_anew());
        self.confirming = true;
    }

    fn follow(&mut self) {
        self.in_office = false;
        self.election_metrics.set_leading(false);
        self.confirming = false;
        if !self.ledger.leads() {
            return;
        }
        for effect in self.ledger.blank_figures().collect::<Vec<_>>() {
            self.carry_out(effect);
        }
        self.ledger.stand_by();
        self.reports.stand_by();
    }

    fn take_in(&mut self, entries: Vec<(Topic, Message)>) {
        for (topic, message) in entries {
            match (topic, message) {
                (Topic::Synced(name, _), _) if REPORTS.contains(&name) => {
                    self.unheard.remove(name);
                    if self.unheard.is_empty() {
                        self.ledger.apply(Change::AnnouncedComplete);
                    }
                }
                (Topic::Synced(name, generation), _) => self.complete(name, generation),
                (Topic::Report(kind, key), Message::Report(announcer)) => {
                    for (service, reports) in self.announcers.set((kind, key), announcer) {
                        let Reports { announcers, refused } = reports;
                        self.ledger.apply(Change::Announced(service.clone(), announcers));
                        self.ledger.apply(Change::Refused(service, refused));
                    }
                }
                (Topic::Quiet(term), _) if self.in_office && term == self.terms => self.confirm(),
                // Who stands by has forgotten what it asked for.
                (Topic::Written(_), _) if !self.ledger.leads() => {}
                (Topic::Written(target), Message::Written(result)) => {
                    self.answered(target, result);
                }
                (_, Message::Change(change)) => {
                    if let Change::Pool(name, pool) = &change {
                        self.reports.shown(name, pool.as_deref());
                    }
                    self.ledger.apply(change);
                }
                _ => {}
            }
        }
    }

    fn complete(&mut self, name: &'static str, generation: u64) {
        self.missing.remove(&(name, generation));
        if !self.missing.is_empty() {
            return;
        }
        if std::mem::take(&mut self.confirming) {
            info!(term = self.terms, "everything is listed, allocation begins");
            self.ledger.lead();
            if self.ledger.objects().pools.is_empty() && self.terms == 1 {
                let namespace = Arc::clone(&self.duties.namespace);
                tokio::spawn(legacy::look(self.client.clone(), namespace, self.recorder.clone()));
            }
        }
    }

    fn answered(&mut self, target: Target, result: WriteResult) {
        match target {
            Target::Service(key) => {
                match result {
                    WriteResult::Failed => self.try_again(key.clone(), REFUSED_PAUSE),
                    WriteResult::Conflict => self.try_again(key.clone(), CONFLICT_PAUSE),
                    _ => {}
                }
                self.ledger.apply(Change::Written(key, result));
            }
            Target::Pool(name) => {
                let done = matches!(result, WriteResult::Done(_));
                self.reports.written(&name, done, self.now());
            }
        }
    }

    /// Does a burst of queued work; returns whether there may be more.
    fn work(&mut self) -> bool {
        for _ in 0..BURST {
            let Some(effects) = self.ledger.step() else { return false };
            for effect in effects {
                self.carry_out(effect);
            }
        }
        true
    }

    /// Has the status of pools written, now that all that is known is decided.
    fn report(&mut self) {
        let now = self.now();
        if !self.ledger.leads() {
            return;
        }
        while let Some((pool, status)) = self.reports.poll_transmit(now) {
            self.writes.pool(&self.duties.namespace, pool, status);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Write(write) => self.write(&write),
            Effect::Event { service, note } => {
                debug!(service = %service.key, reason = note.reason.as_str(), note.message);
                self.recorder.record(
                    &reference(&service),
                    note.reason.event_type(),
                    note.reason.as_str(),
                    note.message,
                );
            }
            Effect::Figures(pool, counters) => {
                self.reports.figures(&pool, counters);
                match counters {
                    Some(counters) => self.metrics.set_pool(pool.as_str(), usage(counters)),
                    None => self.metrics.remove_pool(pool.as_str()),
                }
            }
            Effect::Pending(reason, count) => self.pending_metrics.set(&reason, count),
            Effect::Configured { new_problems, stale } => {
                self.client_metrics.config_loaded(stale);
                for problem in &new_problems {
                    self.complain(problem);
                }
                self.judge();
                info!(event = "configLoaded", stale, "configuration taken over");
            }
            Effect::Retired(key) => {
                info!(event = "serviceRetired", service = %key, "address is free again");
                self.retirement.add(key);
            }
        }
    }

    fn write(&self, write: &StatusWrite) {
        if let Some(balancer) = &write.balancer {
            let ips: Vec<_> = balancer.addresses.iter().map(ToString::to_string).collect();
            if ips.is_empty() {
                info!(event = "clearAssignment", service = %write.key, "Service has no address");
            } else {
                let pool = balancer.pool.as_ref().map(ToString::to_string).unwrap_or_default();
                let ips = ips.join(",");
                info!(event = "ipAllocated", service = %write.key, ips, pool, "Service has its address");
            }
        }
        self.writes.service(write);
    }

    /// Says on the `ConfigurationState` what the pools are worth.
    fn judge(&self) {
        let Some(reporter) = &self.duties.reporter else { return };
        reporter.post(report::conditions(Component::Controller, self.ledger.config(), &[]));
    }

    /// Says in the log and on the object what is wrong with it.
    fn complain(&self, problem: &Problem) {
        let Problem { kind, name, field, value, message, acting, .. } = problem;
        warn!(%kind, name = &**name, field, value, acting, "{message}");
        let objects = self.ledger.objects();
        let object = match kind {
            Kind::IpAddressPool => objects.pools.get(&**name).map(ObjectRef::of),
            Kind::L2Advertisement => objects.l2_advertisements.get(&**name).map(ObjectRef::of),
            Kind::BgpAdvertisement => objects.bgp_advertisements.get(&**name).map(ObjectRef::of),
            Kind::BgpPeer => objects.peers.get(&**name).map(ObjectRef::of),
            Kind::BfdProfile => objects.bfd_profiles.get(&**name).map(ObjectRef::of),
            Kind::Community => objects.communities.get(&**name).map(ObjectRef::of),
        };
        if let Some(object) = object.filter(|_| self.in_office) {
            let reason = EventReason::ConfigurationError;
            self.recorder.record(&object, reason.event_type(), reason.as_str(), message.as_str());
        }
    }

    fn try_again(&self, key: ServiceKey, pause: Duration) {
        let post = self.post.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            post.send(Topic::Again(key.clone()), Message::Change(Change::Again(key))).await;
        });
    }
}

/// Waits for another role; for ever if there is no election.
async fn changed(leadership: &mut Option<Leadership>) -> Role {
    match leadership {
        Some(leadership) => leadership.changed().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn reference(service: &ServiceRef) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: "Service".into(),
        namespace: Arc::clone(&service.key.namespace),
        name: Arc::clone(&service.key.name),
        uid: Arc::clone(&service.uid),
        resource_version: Arc::clone(&service.resource_version),
    }
}

fn usage(counters: Counters) -> PoolUsage {
    let positive = |count: i64| u64::try_from(count).unwrap_or_default();
    PoolUsage {
        ipv4: positive(counters.capacity(Family::V4)),
        ipv6: positive(counters.capacity(Family::V6)),
        ipv4_in_use: positive(counters.assigned_v4),
        ipv6_in_use: positive(counters.assigned_v6),
    }
}
