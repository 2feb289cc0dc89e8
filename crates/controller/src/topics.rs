//! What reaches the owner task, and the watches it comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ferrolb_ipam::{PoolName, ServiceKey};
use ferrolb_kube_rt::metrics::ClientMetrics;
use ferrolb_kube_rt::probes::Probes;
use ferrolb_kube_rt::watch::{self, Update, Watch, WatchSpec, WatchState};
use ferrolb_kube_rt::{ObjectKey, Post, rows};
use k8s_openapi::api::core::v1::{Namespace, Node, Service};
use kube::Client;
use parking_lot::Mutex;

use crate::announcers::{self, Announcer};
use crate::configuration::{self, Namespaced};
use crate::ledger::{Change, WriteResult};
use crate::row::Row;

/// What an entry of the inbox is about; a newer entry replaces an older one.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Topic {
    Service(ServiceKey),
    Pool(Arc<str>),
    L2Advertisement(Arc<str>),
    Namespace(Arc<str>),
    Node(Arc<str>),
    /// A status object of a speaker.
    Report(&'static str, ObjectKey),
    /// The answer to a write.
    Written(Target),
    /// Nothing is left to send of earlier terms than this one.
    Quiet(u64),
    Again(ServiceKey),
    /// A watch, and the how manieth of its kind.
    Synced(&'static str, u64),
}

/// What a write is about.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Target {
    /// The status of a Service.
    Service(ServiceKey),
    /// The status of a pool.
    Pool(PoolName),
}

#[derive(Debug)]
pub(crate) enum Message {
    Change(Change),
    Report(Option<Announcer>),
    Written(WriteResult),
    /// A watch has said everything there is, or nothing is left to send.
    Synced,
}

/// Names of the watches whose first list is waited for.
const REQUIRED: [&str; 4] = ["services", "pools", "namespaces", "nodes"];
/// The watches of what speakers report.
pub(crate) const REPORTS: [&str; 2] = ["servicel2statuses", "servicebgpstatuses"];

/// The running watches. Nothing is decided before the required ones are complete.
pub(crate) struct Watches {
    client: Client,
    metrics: ClientMetrics,
    post: Post<Topic, Message>,
    services: Watch,
    services_ready: Arc<Readiness>,
    /// How many watches of Services there were before this one.
    generation: u64,
    _others: Vec<Watch>,
}

/// Whether the first list of Services is complete, whichever watch made it.
struct Readiness {
    once: AtomicBool,
    state: Mutex<WatchState>,
}

impl Watches {
    /// Starts all watches.
    pub(crate) fn start(
        client: &Client,
        namespace: &str,
        metrics: &ClientMetrics,
        post: &Post<Topic, Message>,
        probes: &Probes,
    ) -> Self {
        let services = watch_services(client, metrics, post, 0);
        let services_ready = Arc::new(Readiness {
            once: AtomicBool::new(false),
            state: Mutex::new(services.state()),
        });
        let ready = Arc::clone(&services_ready);
        probes.require("services", move || ready.missing());
        let required = [
            (
                "pools",
                watch_configuration(
                    "pools",
                    client,
                    namespace,
                    metrics,
                    post,
                    Topic::Pool,
                    Change::Pool,
                ),
            ),
            ("namespaces", watch_namespaces(client, metrics, post)),
            ("nodes", watch_nodes(client, metrics, post)),
        ];
        for (name, watch) in &required {
            let state = watch.state();
            probes.require(*name, move || state.missing());
        }
        let mut others: Vec<_> = required.into_iter().map(|(_, watch)| watch).collect();
        others.push(watch_configuration(
            "l2advertisements",
            client,
            namespace,
            metrics,
            post,
            Topic::L2Advertisement,
            Change::L2Advertisement,
        ));
        let layer2 = announcers::layer2;
        others.push(watch_reports(REPORTS[0], layer2, client, namespace, metrics, post));
        let bgp = announcers::bgp;
        others.push(watch_reports(REPORTS[1], bgp, client, namespace, metrics, post));
        Self {
            client: client.clone(),
            metrics: metrics.clone(),
            post: post.clone(),
            services,
            services_ready,
            generation: 0,
            _others: others,
        }
    }

    /// All that must be complete before anything is decided.
    pub(crate) fn required(&self) -> Vec<(&'static str, u64)> {
        let generation = |name| if name == "services" { self.generation } else { 0 };
        REQUIRED.into_iter().map(|name| (name, generation(name))).collect()
    }

    /// Lists all Services once more, and watches from there. Returns what is said when the list is
    /// complete.
    pub(crate) fn list_services_anew(&mut self) -> (&'static str, u64) {
        self.generation += 1;
        self.services = watch_services(&self.client, &self.metrics, &self.post, self.generation);
        *self.services_ready.state.lock() = self.services.state();
        ("services", self.generation)
    }
}

impl Readiness {
    fn missing(&self) -> Option<String> {
        if self.once.load(Ordering::Relaxed) {
            return None;
        }
        let missing = self.state.lock().missing();
        self.once.store(missing.is_none(), Ordering::Relaxed);
        missing
    }
}

fn watch_services(
    client: &Client,
    metrics: &ClientMetrics,
    post: &Post<Topic, Message>,
    generation: u64,
) -> Watch {
    watch::spawn(
        WatchSpec::<Service>::all(client.clone())
            .fields_if_possible(rows::LOAD_BALANCERS)
            .metrics(metrics),
        Row::prune,
        post.clone(),
        move |update| {
            let topic = |key: &ObjectKey| Topic::Service(service_key(key));
            entry(("services", generation), update, topic, |key, row| match row {
                Some(row) => Change::Service(Box::new(row)),
                None => Change::ServiceGone(service_key(&key)),
            })
        },
    )
}

/// Watches objects that users write in our namespace.
fn watch_configuration<K: Namespaced>(
    name: &'static str,
    client: &Client,
    namespace: &str,
    metrics: &ClientMetrics,
    post: &Post<Topic, Message>,
    topic: fn(Arc<str>) -> Topic,
    change: fn(String, Option<Box<K>>) -> Change,
) -> Watch {
    let spec = WatchSpec::<K>::namespaced(client.clone(), namespace).metrics(metrics);
    configuration::watch(spec, post.clone(), move |update| {
        entry(
            (name, 0),
            update,
            |key| topic(Arc::clone(&key.name)),
            |key, object| change(key.name.to_string(), object.map(Box::new)),
        )
    })
}

fn watch_namespaces(
    client: &Client,
    metrics: &ClientMetrics,
    post: &Post<Topic, Message>,
) -> Watch {
    watch::spawn(
        WatchSpec::<Namespace>::all(client.clone()).metrics(metrics),
        rows::namespace,
        post.clone(),
        |update| {
            let topic = |key: &ObjectKey| Topic::Namespace(Arc::clone(&key.name));
            entry(("namespaces", 0), update, topic, |key, row| Change::Namespace(key.name, row))
        },
    )
}

fn watch_nodes(client: &Client, metrics: &ClientMetrics, post: &Post<Topic, Message>) -> Watch {
    watch::spawn(
        WatchSpec::<Node>::all(client.clone()).metrics(metrics),
        rows::node,
        post.clone(),
        |update| {
            let topic = |key: &ObjectKey| Topic::Node(Arc::clone(&key.name));
            entry(("nodes", 0), update, topic, |key, row| Change::Node((&*key.name).into(), row))
        },
    )
}

fn watch_reports<K: Namespaced>(
    name: &'static str,
    prune: impl Fn(K) -> Option<Announcer> + Send + 'static,
    client: &Client,
    namespace: &str,
    metrics: &ClientMetrics,
    post: &Post<Topic, Message>,
) -> Watch {
    watch::spawn(
        WatchSpec::<K>::namespaced(client.clone(), namespace).metrics(metrics),
        move |_, status| prune(status),
        post.clone(),
        move |update| match update {
            Update::Set(key, row) => (Topic::Report(name, key), Message::Report(Some(row))),
            Update::Gone(key) => (Topic::Report(name, key), Message::Report(None)),
            Update::Synced => (Topic::Synced(name, 0), Message::Synced),
        },
    )
}

/// Makes an inbox entry of what a watch says.
fn entry<R>(
    watch: (&'static str, u64),
    update: Update<R>,
    topic: impl Fn(&ObjectKey) -> Topic,
    change: impl Fn(ObjectKey, Option<R>) -> Change,
) -> (Topic, Message) {
    match update {
        Update::Set(key, row) => (topic(&key), Message::Change(change(key, Some(row)))),
        Update::Gone(key) => (topic(&key), Message::Change(change(key, None))),
        Update::Synced => (Topic::Synced(watch.0, watch.1), Message::Synced),
    }
}

fn service_key(key: &ObjectKey) -> ServiceKey {
    ServiceKey::new(Arc::clone(&key.namespace), Arc::clone(&key.name))
}
