//! The controller process: watches in, effects out.
//!
//! [`run`] is the process with its signals and ports; [`Controller`] is what turns inside, on any
//! client.

use std::sync::Arc;
use std::time::Duration;

use ferrolb_addr::Family;
use ferrolb_api::reasons::EventReason;
use ferrolb_api::{IPAddressPool, L2Advertisement, names};
use ferrolb_ipam::{Counters, ServiceKey};
use ferrolb_kube_rt::events::{ObjectRef, Recorder};
use ferrolb_kube_rt::metrics::{
    ClientMetrics, ControllerMetrics, PoolUsage, ProcessFacts, Registry, register_process,
};
use ferrolb_kube_rt::probes::{Probes, Pulse};
use ferrolb_kube_rt::status::{Action, Outcome, WriteError, Writer};
use ferrolb_kube_rt::watch::{self, Update, Watch, WatchSpec};
use ferrolb_kube_rt::{Inbox, ObjectKey, Post, admin, client, inbox, rows, shutdown};
use ferrolb_model::Problem;
use ferrolb_model::config::Kind;
use k8s_openapi::api::core::v1::{Namespace, Node, Service};
use kube::Client;
use parking_lot::Mutex;
use tracing::{debug, error, info, warn};

use crate::ledger::{Change, Effect, Ledger, ServiceRef, StatusWrite, WriteResult};
use crate::retirement::{self, Retirement};
use crate::settings::Settings;
use crate::status;

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

/// Why the controller could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No way to the API server.
    #[error(transparent)]
    Connect(#[from] client::ConnectError),
    /// A port cannot be opened.
    #[error(transparent)]
    Admin(#[from] admin::AdminError),
    /// Signals cannot be caught.
    #[error("cannot listen for signals: {0}")]
    Signals(#[from] std::io::Error),
}

/// What an entry of the inbox is about; a newer entry replaces an older one.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Topic {
    Service(ServiceKey),
    Pool(Arc<str>),
    L2Advertisement(Arc<str>),
    Namespace(Arc<str>),
    Node(Arc<str>),
    Written(ServiceKey),
    Again(ServiceKey),
    Synced(&'static str),
}

#[derive(Debug)]
enum Message {
    Change(Change),
    /// A watch has said everything there is.
    Synced,
}

/// Runs a controller until it is asked to stop.
pub async fn run(settings: Settings) -> Result<(), Error> {
    let Settings { namespace, kubeconfig, class, metrics_port, health_port } = settings;
    client::install_crypto();
    let stop = shutdown::Signal::listen()?.token();
    let client = client::connect(kubeconfig.as_deref()).await?;
    let mut registry = Registry::default();
    register_process(&mut registry, ProcessFacts::read);
    let probes = Probes::new();
    info!(namespace, class = class.as_deref().unwrap_or_default(), "controller started");
    let controller = Controller::start(client, &namespace, class, &mut registry, &probes);
    let _admin = admin::serve(
        admin::everywhere(health_port),
        admin::everywhere(metrics_port),
        probes,
        Arc::new(registry),
        stop.clone(),
    )
    .await?;
    controller.run(stop.cancelled()).await;
    Ok(())
}

/// The running watches. Nothing is decided before the required ones are complete.
struct Watches {
    required: Vec<(&'static str, Watch)>,
    _optional: Watch,
}

fn watch_all(
    client: &Client,
    namespace: &str,
    metrics: &ClientMetrics,
    post: &Post<Topic, Message>,
) -> Watches {
    let services = watch::spawn(
        WatchSpec::<Service>::all(client.clone())
            .fields_if_possible(rows::LOAD_BALANCERS)
            .metrics(metrics),
        rows::service,
        post.clone(),
        |update| {
            let topic = |key: &ObjectKey| Topic::Service(service_key(key));
            entry("services", update, topic, |key, row| match row {
                Some(row) => Change::Service(Box::new(row)),
                None => Change::ServiceGone(service_key(&key)),
            })
        },
    );
    let pools = watch::spawn(
        WatchSpec::<IPAddressPool>::namespaced(client.clone(), namespace).metrics(metrics),
        |_, pool| Some(pool),
        post.clone(),
        |update| {
            let topic = |key: &ObjectKey| Topic::Pool(Arc::clone(&key.name));
            entry("pools", update, topic, |key, pool| {
                Change::Pool(key.name.to_string(), pool.map(Box::new))
            })
        },
    );
    let advertisements = watch::spawn(
        WatchSpec::<L2Advertisement>::namespaced(client.clone(), namespace).metrics(metrics),
        |_, advertisement| Some(advertisement),
        post.clone(),
        |update| {
            let topic = |key: &ObjectKey| Topic::L2Advertisement(Arc::clone(&key.name));
            entry("l2advertisements", update, topic, |key, advertisement| {
                Change::L2Advertisement(key.name.to_string(), advertisement.map(Box::new))
            })
        },
    );
    let namespaces = watch::spawn(
        WatchSpec::<Namespace>::all(client.clone()).metrics(metrics),
        rows::namespace,
        post.clone(),
        |update| {
            let topic = |key: &ObjectKey| Topic::Namespace(Arc::clone(&key.name));
            entry("namespaces", update, topic, |key, row| Change::Namespace(key.name, row))
        },
    );
    let nodes = watch::spawn(
        WatchSpec::<Node>::all(client.clone()).metrics(metrics),
        rows::node,
        post.clone(),
        |update| {
            let topic = |key: &ObjectKey| Topic::Node(Arc::clone(&key.name));
            entry("nodes", update, topic, |key, row| Change::Node((&*key.name).into(), row))
        },
    );
    Watches {
        required: vec![
            ("services", services),
            ("pools", pools),
            ("namespaces", namespaces),
            ("nodes", nodes),
        ],
        _optional: advertisements,
    }
}

/// Makes an inbox entry of what a watch says.
fn entry<R>(
    name: &'static str,
    update: Update<R>,
    topic: impl Fn(&ObjectKey) -> Topic,
    change: impl Fn(ObjectKey, Option<R>) -> Change,
) -> (Topic, Message) {
    match update {
        Update::Set(key, row) => (topic(&key), Message::Change(change(key, Some(row)))),
        Update::Gone(key) => (topic(&key), Message::Change(change(key, None))),
        Update::Synced => (Topic::Synced(name), Message::Synced),
    }
}

fn service_key(key: &ObjectKey) -> ServiceKey {
    ServiceKey::new(Arc::clone(&key.namespace), Arc::clone(&key.name))
}

/// A writer of Service statuses. What keeps the server from taking writes is said once, not for each
/// Service and each attempt.
fn status_writer(client: Client, post: Post<Topic, Message>) -> Writer<ServiceKey> {
    let said: Mutex<Option<WriteError>> = Mutex::default();
    Writer::new(client, post, move |key: ServiceKey, outcome| {
        if let Outcome::Failed(reason) = &outcome
            && said.lock().replace(reason.clone()).as_ref() != Some(reason)
        {
            error!(service = %key, error = %reason, "cannot write the status of a Service");
        }
        let result = match outcome {
            Outcome::Written { resource_version, .. } => {
                said.lock().take();
                WriteResult::Done(resource_version)
            }
            Outcome::Conflict => WriteResult::Conflict,
            Outcome::Missing => WriteResult::Missing,
            Outcome::Failed(_) => WriteResult::Failed,
        };
        (Topic::Written(key.clone()), Message::Change(Change::Written(key, result)))
    })
}

/// All parts of a controller; one task owns them.
pub struct Controller {
    ledger: Ledger,
    writer: Writer<ServiceKey>,
    recorder: Recorder,
    retirement: Retirement,
    post: Post<Topic, Message>,
    metrics: ControllerMetrics,
    client_metrics: ClientMetrics,
    /// Watches that have not said everything yet.
    missing: Vec<&'static str>,
    pulse: Pulse,
    inbox: Inbox<Topic, Message>,
    _watches: Watches,
}

impl Controller {
    /// Starts to watch for Services of class `class` and for pools in `namespace`; nothing is decided
    /// before [`Controller::run`]. Needs a tokio runtime.
    pub fn start(
        client: Client,
        namespace: &str,
        class: Option<Arc<str>>,
        registry: &mut Registry,
        probes: &Probes,
    ) -> Self {
        let client_metrics = ClientMetrics::register(registry);
        let metrics = ControllerMetrics::register(registry);
        let (post, inbox) = inbox(INBOX);
        let watches = watch_all(&client, namespace, &client_metrics, &post);
        for (name, watch) in &watches.required {
            let state = watch.state();
            probes.require(*name, move || state.missing());
        }
        Self {
            ledger: Ledger::new(class),
            writer: status_writer(client.clone(), post.clone()),
            recorder: Recorder::new(client.clone(), names::CONTROLLER),
            retirement: retirement::start(client),
            post,
            metrics,
            client_metrics,
            missing: watches.required.iter().map(|(name, _)| *name).collect(),
            pulse: probes.watchdog("allocation"),
            inbox,
            _watches: watches,
        }
    }

    /// Gives addresses until `stop`, then waits a little for what is being written.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        self.turn(stop).await;
        info!("stopping");
        let Self { writer, recorder, .. } = self;
        // What was not written is decided again by the next process.
        let _ = tokio::time::timeout(GRACE, writer.idle()).await;
        recorder.finish(GRACE).await;
    }

    /// Takes in changes and carries out what follows, until `stop`.
    async fn turn(&mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut beat = tokio::time::interval(BEAT);
        let mut busy = false;
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return,
                entries = self.inbox.recv_ready(INBOX) => self.take_in(entries),
                _ = beat.tick() => {}
                () = tokio::task::yield_now(), if busy => {}
            }
            self.pulse.beat();
            busy = self.missing.is_empty() && self.work();
        }
    }

    fn take_in(&mut self, entries: Vec<(Topic, Message)>) {
        for (topic, message) in entries {
            match (topic, message) {
                (Topic::Synced(name), _) => {
                    self.missing.retain(|missing| *missing != name);
                    if self.missing.is_empty() {
                        info!("everything is listed, allocation begins");
                    }
                }
                (_, Message::Change(change)) => {
                    match &change {
                        Change::Written(key, WriteResult::Failed) => {
                            self.try_again(key.clone(), REFUSED_PAUSE);
                        }
                        Change::Written(key, WriteResult::Conflict) => {
                            self.try_again(key.clone(), CONFLICT_PAUSE);
                        }
                        _ => {}
                    }
                    if let Some(effect) = self.ledger.apply(change) {
                        self.carry_out(effect);
                    }
                }
                (_, Message::Synced) => {}
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
            Effect::Figures(pool, Some(counters)) => {
                self.metrics.set_pool(pool.as_str(), usage(counters));
            }
            Effect::Figures(pool, None) => self.metrics.remove_pool(pool.as_str()),
            Effect::Configured { new_problems, stale } => {
                self.client_metrics.config_loaded(stale);
                for problem in &new_problems {
                    self.complain(problem);
                }
                info!(event = "configLoaded", stale, "configuration taken over");
            }
            Effect::Retired(key) => {
                info!(event = "serviceRetired", service = %key, "address is free again");
                self.retirement.add(key);
            }
        }
    }

    fn write(&self, write: &StatusWrite) {
        let addresses: Vec<_> = write.addresses.iter().map(ToString::to_string).collect();
        if addresses.is_empty() {
            info!(event = "clearAssignment", service = %write.key, "Service has no address");
        } else {
            let pool = write.pool.as_ref().map(ToString::to_string).unwrap_or_default();
            let ips = addresses.join(",");
            info!(event = "ipAllocated", service = %write.key, ips, pool, "Service has its address");
        }
        let action = Action::Patch {
            body: status::patch(write),
            resource_version: Some(Arc::clone(&write.resource_version)),
        };
        self.writer.submit(write.key.clone(), status::write(&write.key, action));
    }

    /// Says in the log and on the object what is wrong with it.
    fn complain(&self, problem: &Problem) {
        let Problem { kind, name, field, value, message, acting } = problem;
        warn!(%kind, name = &**name, field, value, acting, "{message}");
        let objects = self.ledger.objects();
        let object = match kind {
            Kind::IpAddressPool => objects.pools.get(&**name).map(ObjectRef::of),
            Kind::L2Advertisement => objects.l2_advertisements.get(&**name).map(ObjectRef::of),
        };
        if let Some(object) = object {
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
