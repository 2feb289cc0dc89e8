//! Leader election by a Lease: which of several controllers writes.
//!
//! ```text
//!   lease::Candidate (pure) ──step──▶ task ──GET, POST, PUT──▶ API server
//!          ▲ answers                   │
//!          └───────────────────────────┤
//!                                      ▼
//!                     Leadership: role, may_write (one atomic read)
//! ```
//!
//! The renewal of the Lease is the only write of a cluster at rest. Times are taken from this
//! process' monotonic clock; a step of the wall clock, here or elsewhere, changes nothing.
//!
//! Not here: what a new leader does first (list anew, then decide), which is its owner's.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use self::lease::{Candidate, Failed, Record, Spans, Step};
use crate::clock::WallClock;
use crate::resource::Resource;
use crate::trouble::{Failure, Trouble};

mod lease;

/// How often somebody else's lease is looked at.
const POLL: Duration = Duration::from_millis(500);
/// Attempts to empty the record on release.
const RELEASES: usize = 3;
/// What [`Shared::writable_until`] holds when there is no end.
const FOREVER: u64 = u64::MAX;

/// Which Lease, who we are, and how long things take.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Who we are: unique among processes that can be alive at the same time. A process that was
    /// started again under the same name takes its lease back after one request timeout.
    pub identity: String,
    /// How long a renewal is good for; at most a minute.
    pub lease: Duration,
    /// From one renewal to the next.
    pub renew: Duration,
    /// How long a write that was sent in the last moment of a lease may be under way.
    pub request_timeout: Duration,
}

impl Settings {
    /// Lease `metallb-controller` of 6 s, renewed every 2 s, with 1 s for what is under way: after
    /// a crash the next one leads within 8 s.
    pub fn new(namespace: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: "metallb-controller".to_owned(),
            identity: identity.into(),
            lease: Duration::from_secs(6),
            renew: Duration::from_secs(2),
            request_timeout: Duration::from_secs(1),
        }
    }
}

/// Where a candidate stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Role {
    /// Somebody else leads, or nobody yet.
    Following {
        /// Who leads, as far as known.
        leader: Option<String>,
    },
    /// This process leads, until [`Leadership::may_write`] says otherwise.
    Leading,
    /// There is no election, because a permission for Leases is missing: this process writes.
    Unelected {
        /// What is missing.
        why: String,
    },
}

/// A candidate that was not started yet.
#[derive(Debug)]
pub struct Election {
    leases: Api<Lease>,
    settings: Settings,
    clock: WallClock,
}

/// What the rest of the process sees of the election. Cheap to clone; once all clones are gone, the
/// lease is not renewed any more.
#[derive(Clone)]
pub struct Leadership {
    shared: Arc<Shared>,
    roles: watch::Receiver<Role>,
    releases: mpsc::Sender<oneshot::Sender<()>>,
}

struct Shared {
    origin: Instant,
    request_timeout: Duration,
    /// Nanoseconds since `origin`; 0: must not write.
    writable_until: AtomicU64,
}

impl Election {
    /// A candidate for the Lease that `settings` names.
    pub fn new(client: Client, settings: Settings) -> Self {
        let leases = Api::namespaced(client, &settings.namespace);
        Self { leases, settings, clock: WallClock::system() }
    }

    /// The same candidate with another clock for the times that people read in the Lease.
    #[must_use]
    pub fn with_clock(self, clock: WallClock) -> Self {
        Self { clock, ..self }
    }

    /// Starts to take part; needs a tokio runtime. After `shutdown` no lease is taken or renewed; one
    /// that is held stays until [`Leadership::release`], or until it lapses.
    pub fn spawn(self, shutdown: CancellationToken) -> Leadership {
        let Settings { lease, renew, request_timeout, .. } = self.settings;
        let shared = Arc::new(Shared {
            origin: Instant::now(),
            request_timeout,
            writable_until: AtomicU64::new(0),
        });
        let (role, roles) = watch::channel(Role::Following { leader: None });
        let (releases, release) = mpsc::channel(1);
        let spans = Spans { lease, renew, request_timeout, poll: POLL };
        let task = Task {
            candidate: Candidate::new(self.settings.identity.clone(), spans),
            election: self,
            object: None,
            shared: Arc::clone(&shared),
            role,
            said: None,
        };
        tokio::spawn(task.run(release, shutdown));
        Leadership { shared, roles, releases }
    }
}

impl Leadership {
    /// Where this process stands now.
    pub fn role(&self) -> Role {
        let role = self.roles.borrow().clone();
        if role == Role::Leading && !self.may_write() {
            return Role::Following { leader: None };
        }
        role
    }

    /// Waits until the role is another one than this clone was last told.
    pub async fn changed(&mut self) -> Role {
        if self.roles.changed().await.is_err() {
            // The election is over and nothing changes any more.
            std::future::pending::<()>().await;
        }
        self.roles.borrow_and_update().clone()
    }

    /// Whether a write may be sent at this very moment.
    pub fn may_write(&self) -> bool {
        self.time_to_write().is_some()
    }

    /// How long a write that is sent now may be under way; `None` if it must not be sent.
    pub fn time_to_write(&self) -> Option<Duration> {
        let until = self.shared.writable_until.load(Ordering::Acquire);
        if until == FOREVER {
            return Some(Duration::MAX);
        }
        let until = Duration::from_nanos(until);
        let left =
            until.checked_sub(self.shared.origin.elapsed()).filter(|left| !left.is_zero())?;
        Some(left + self.shared.request_timeout)
    }

    /// Stops writing for good and lets the next one in at once. Call it when nothing is under way.
    pub async fn release(&self) {
        self.shared.writable_until.store(0, Ordering::Release);
        let (done, released) = oneshot::channel();
        if self.releases.send(done).await.is_ok() {
            // An error means that the task ended, which is as good.
            let _ = released.await;
        }
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leadership").field(&self.role()).finish()
    }
}

/// Owns the candidate and speaks with the server for it.
struct Task {
    election: Election,
    candidate: Candidate,
    /// The Lease as last read or written.
    object: Option<Lease>,
    shared: Arc<Shared>,
    role: watch::Sender<Role>,
    /// The trouble that was said last.
    said: Option<std::mem::Discriminant<Trouble>>,
}

impl Task {
    async fn run(
        mut self,
        mut releases: mpsc::Receiver<oneshot::Sender<()>>,
        shutdown: CancellationToken,
    ) {
        let done = tokio::select! {
            biased;
            done = releases.recv() => done,
            () = self.take_part() => None,
            () = shutdown.cancelled() => {
                tokio::select! {
                    done = releases.recv() => done,
                    () = self.lapse() => {
                        self.publish();
                        releases.recv().await
                    }
                }
            }
        };
        self.shared.writable_until.store(0, Ordering::Release);
        if let Some(done) = done {
            self.give_up().await;
            // Nobody needs to wait for it.
            let _ = done.send(());
        }
        self.candidate.release();
        self.publish();
    }

    /// Does not end.
    async fn take_part(&mut self) {
        loop {
            self.publish();
            let now = self.now();
            match self.candidate.next(now) {
                Step::Wait(until) => {
                    let lapse = self.candidate.deadline().filter(|deadline| *deadline > now);
                    let until = lapse.map_or(until, |deadline| until.min(deadline));
                    sleep_until(self.shared.origin + until).await;
                }
                Step::Read => {
                    let answer = self.until_lapse(self.read()).await;
                    self.was_read(answer);
                }
                Step::Claim => {
                    let identity = self.election.settings.identity.clone();
                    let sent = self.now();
                    let answer = self.until_lapse(self.write(Some(identity))).await;
                    self.was_written(sent, answer);
                }
            }
        }
    }

    /// Awaits `answer`; a lease that lapses meanwhile is told at once.
    async fn until_lapse<T>(&self, answer: impl Future<Output = T>) -> T {
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            () = self.lapse() => self.publish(),
        }
        answer.await
    }

    /// Ends when the lease does that is held now.
    async fn lapse(&self) {
        match self.candidate.deadline() {
            Some(deadline) if deadline > self.now() => {
                sleep_until(self.shared.origin + deadline).await;
            }
            _ => std::future::pending().await,
        }
    }

    fn was_read(&mut self, answer: Result<Option<Lease>, Failure>) {
        match answer {
            Ok(object) => {
                self.candidate.read(self.now(), object.as_ref().map(record));
                self.object = object;
                self.over();
            }
            Err(failure) => self.failed(&failure),
        }
    }

    fn was_written(&mut self, sent: Duration, answer: Result<Lease, Failure>) {
        match answer {
            Ok(object) => {
                self.candidate.written(sent, self.now(), record(&object));
                self.object = Some(object);
                self.over();
            }
            Err(failure) => self.failed(&failure),
        }
    }

    fn failed(&mut self, failure: &Failure) {
        let why = match &failure.trouble {
            Trouble::Conflict => Failed::Stale,
            Trouble::Missing if failure.verb == "update" => Failed::Stale,
            Trouble::Forbidden(_) => Failed::Forbidden(failure.to_string()),
            _ => Failed::Unknown,
        };
        // Losing a race is nothing to tell, and what is forbidden is told with the role.
        if why == Failed::Unknown && self.said.replace(failure.trouble.kind()).is_none() {
            tracing::warn!(op = "leaderElection", "{failure}; trying again");
        }
        self.candidate.failed(self.now(), why);
    }

    fn over(&mut self) {
        if self.said.take().is_some() {
            tracing::info!(op = "leaderElection", "the API server answers again");
        }
    }

    /// Empties the record if it is ours.
    async fn give_up(&mut self) {
        for _ in 0..RELEASES {
            let answer = self.read().await;
            self.was_read(answer);
            if !self.candidate.release() {
                return;
            }
            if self.write(None).await.is_ok() {
                tracing::info!(event = "leaderElection", "lease released");
                return;
            }
        }
    }

    async fn read(&self) -> Result<Option<Lease>, Failure> {
        let Settings { name, .. } = &self.election.settings;
        match self.bounded("get", self.election.leases.get(name)).await {
            Err(failure) if failure.trouble == Trouble::Missing => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Writes the Lease as last read, with `holder`.
    async fn write(&self, holder: Option<String>) -> Result<Lease, Failure> {
        let Settings { name, .. } = &self.election.settings;
        let leases = &self.election.leases;
        let lease = self.renewed(holder);
        let params = PostParams::default();
        if self.object.is_some() {
            self.bounded("update", leases.replace(name, &params, &lease)).await
        } else {
            self.bounded("create", leases.create(&params, &lease)).await
        }
    }

    /// The Lease as last read, with `holder` and new times; everything else stays as others want it.
    fn renewed(&self, holder: Option<String>) -> Lease {
        let Settings { name, namespace, lease: span, .. } = &self.election.settings;
        let mut lease = self.object.clone().unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        let now = MicroTime(later_than(spec.renew_time.as_ref(), self.election.clock.now()));
        if spec.holder_identity != holder {
            spec.acquire_time = Some(now.clone());
            if holder.is_some() {
                spec.lease_transitions =
                    spec.lease_transitions.map_or(Some(0), |n| n.checked_add(1));
            }
        }
        spec.holder_identity = holder;
        spec.lease_duration_seconds =
            Some(i32::try_from(span.as_secs()).unwrap_or(i32::MAX).max(1));
        spec.renew_time = Some(now);
        lease
    }

    /// A request that does not outlive half a lease.
    async fn bounded<T>(
        &self,
        verb: &'static str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Failure> {
        let Settings { namespace, lease, .. } = &self.election.settings;
        let trouble = match timeout(*lease / 2, request).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error.into(),
            Err(elapsed) => elapsed.into(),
        };
        Err(Failure::new(verb, &Resource::of::<Lease>(), None, Some(namespace), trouble))
    }

    /// Makes known where we stand; the gate closes before anybody hears of it, and opens before too.
    fn publish(&self) {
        let role = self.candidate.role(self.now());
        let until = match &role {
            Role::Unelected { .. } => FOREVER,
            Role::Leading => {
                let deadline = self.candidate.deadline().unwrap_or_default();
                u64::try_from(deadline.as_nanos()).unwrap_or(0)
            }
            Role::Following { .. } => 0,
        };
        self.shared.writable_until.store(until, Ordering::Release);
        self.role.send_if_modified(|told| {
            let is_news = *told != role;
            if is_news {
                say(told, &role);
                *told = role;
            }
            is_news
        });
    }

    fn now(&self) -> Duration {
        self.shared.origin.elapsed()
    }
}

fn say(before: &Role, role: &Role) {
    match role {
        Role::Leading => tracing::info!(event = "leaderElection", "leading"),
        Role::Unelected { why } => tracing::warn!(
            event = "leaderElection",
            "{why}; running without leader election: never run two controllers like this"
        ),
        Role::Following { leader: Some(leader) } => {
            tracing::info!(event = "leaderElection", leader, "following");
        }
        Role::Following { leader: None } if *before == Role::Leading => {
            tracing::warn!(event = "leaderElection", "no longer leading");
        }
        Role::Following { leader: None } => {}
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or(0);
    let stamp = |time: Option<&MicroTime>| time.map(|time| time.0.to_string()).unwrap_or_default();
    Record {
        holder: spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_default(),
        lease: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        stamp: stamp(spec.and_then(|spec| spec.renew_time.as_ref())),
    }
}

/// `now`, moved by a microsecond if a clock that was set back shows just the time of the last
/// renewal: an update that changes nothing is none to whoever looks.
fn later_than(last: Option<&MicroTime>, now: Timestamp) -> Timestamp {
    let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
    match last {
        Some(last) if last.0.as_microsecond() == now.as_microsecond() => {
            now.checked_add(jiff::SignedDuration::from_micros(1)).unwrap_or(now)
        }
        _ => now,
    }
}

#[cfg(test)]
mod tests;
