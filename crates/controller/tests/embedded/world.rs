//! An API server, a controller on it, and the hands of a user.

use std::net::Ipv4Addr;
use std::time::Duration;

use ferrolb_api::IPAddressPool;
use ferrolb_controller::{Controller, Duties, Options};
use ferrolb_embedded_api::{Config, EmbeddedApi};
use ferrolb_kube_rt::client;
use ferrolb_kube_rt::clock::WallClock;
use ferrolb_kube_rt::election::{Election, Leadership, Settings};
use ferrolb_kube_rt::metrics::{Registry, encode};
use ferrolb_kube_rt::probes::Probes;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Where pools live.
pub(crate) const NAMESPACE: &str = "metallb-system";
/// More than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);
/// Longer than anybody waits with a write that is due: the status of a pool, a second at most.
const QUIET: Duration = Duration::from_secs(3);

/// An API server with the clients of a user.
pub(crate) struct World {
    pub(crate) server: EmbeddedApi,
    client: Client,
    pub(crate) services: Api<Service>,
    pub(crate) pools: Api<IPAddressPool>,
}

/// A controller that runs until it is stopped.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    registry: Registry,
    probes: Probes,
}

impl World {
    /// A server that knows our kinds.
    pub(crate) async fn new() -> Self {
        let definitions = ferrolb_api::crds();
        let definitions = definitions.iter().map(|crd| serde_json::to_value(crd).unwrap());
        Self::with_definitions(definitions.collect()).await
    }

    pub(crate) async fn with_definitions(definitions: Vec<Value>) -> Self {
        let server = EmbeddedApi::start(&Config { definitions, ..Config::default() }).unwrap();
        client::install_crypto();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), server.kubeconfig()).unwrap();
        let client = client::connect(Some(file.path())).await.unwrap();
        Self {
            services: Api::namespaced(client.clone(), "default"),
            pools: Api::namespaced(client.clone(), NAMESPACE),
            client,
            server,
        }
    }

    /// A client of a user.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Waits until nothing is written about Services for a while; Leases are renewed all the time.
    pub(crate) async fn quiet_services(&self) {
        let count = || self.server.count("patch", "services/status");
        let mut writes = count();
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            if count() == writes {
                return;
            }
            writes = count();
        }
    }

    /// Starts a controller that is alone, as the process does.
    pub(crate) fn start(&self) -> Running {
        self.start_with(Options::default(), None)
    }

    /// Starts a controller that takes part in the election as `identity`.
    pub(crate) fn start_candidate(&self, identity: &str) -> Running {
        let settings = Settings::new(NAMESPACE, identity);
        let election = Election::new(self.client.clone(), settings);
        self.start_with(Options::default(), Some(election.spawn(CancellationToken::new())))
    }

    pub(crate) fn start_with(&self, options: Options, leadership: Option<Leadership>) -> Running {
        // Applying is beyond the embedded server, so nothing is reported.
        let reporter = None;
        let mut registry = Registry::default();
        let duties = Duties {
            namespace: NAMESPACE.into(),
            options,
            leadership,
            reporter,
            clock: WallClock::system(),
        };
        let probes = Probes::new();
        let controller = Controller::start(self.client.clone(), duties, &mut registry, &probes);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(controller.run(async {
            // An end without a word is an end too.
            let _ = stopped.await;
        }));
        Running { stop, task, registry, probes }
    }

    pub(crate) async fn define(&self) {
        let api = Api::<CustomResourceDefinition>::all(self.client.clone());
        for crd in ferrolb_api::crds() {
            api.create(&PostParams::default(), &crd).await.unwrap();
        }
    }

    pub(crate) async fn pool(&self, name: &str, addresses: &[&str]) {
        self.pools.create(&PostParams::default(), &mk_pool(name, addresses)).await.unwrap();
    }

    /// Gives an existing pool other ranges.
    pub(crate) async fn resize(&self, name: &str, addresses: &[&str]) {
        let patch = Patch::Merge(json!({ "spec": { "addresses": addresses } }));
        self.pools.patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    pub(crate) async fn node(&self, name: &str, address: &str) {
        let node: Node = serde_json::from_value(json!({
            "metadata": { "name": name },
            "status": { "addresses": [{ "type": "InternalIP", "address": address }] },
        }))
        .unwrap();
        let nodes = Api::<Node>::all(self.client.clone());
        nodes.create(&PostParams::default(), &node).await.unwrap();
        let patch = Patch::Merge(json!({ "status": node.status }));
        nodes.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// A `ConfigMap` with one key of its own name.
    pub(crate) async fn config_map(&self, name: &str, text: &str) {
        let object: ConfigMap =
            serde_json::from_value(json!({ "metadata": { "name": name }, "data": { name: text } }))
                .unwrap();
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), NAMESPACE);
        api.create(&PostParams::default(), &object).await.unwrap();
    }

    pub(crate) async fn service(&self, name: &str) {
        self.service_with(name, json!({})).await;
    }

    /// Creates a Service whose `spec` has these fields besides the usual ones.
    pub(crate) async fn service_with(&self, name: &str, spec: Value) {
        let mut service = json!({
            "metadata": { "name": name },
            "spec": { "type": "LoadBalancer", "ports": [{ "port": 80 }] },
        });
        let fields = service["spec"].as_object_mut().unwrap();
        fields.extend(spec.as_object().unwrap().clone());
        let service: Service = serde_json::from_value(service).unwrap();
        self.services.create(&PostParams::default(), &service).await.unwrap();
    }

    /// A Service that has an address already.
    pub(crate) async fn holder(&self, name: &str, pool: &str, address: Ipv4Addr) {
        self.service(name).await;
        let patch = Patch::Merge(json!({
            "metadata": { "annotations": { "metallb.io/ip-allocated-from-pool": pool } },
            "status": { "loadBalancer": { "ingress": [{ "ip": address }] } },
        }));
        self.services.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }

    pub(crate) async fn edit(&self, name: &str, patch: Value) {
        let patch = Patch::Merge(patch);
        self.services.patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.services.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// What the condition `kind` of a Service says: status, reason, message.
    pub(crate) async fn condition(&self, name: &str, kind: &str) -> Option<[String; 3]> {
        let conditions = self.services.get(name).await.unwrap().status?.conditions?;
        let condition = conditions.into_iter().find(|condition| condition.type_ == kind)?;
        Some([condition.status, condition.reason, condition.message])
    }

    /// The addresses in the status of a Service.
    pub(crate) async fn ips(&self, name: &str) -> Vec<String> {
        let service = self.services.get(name).await.unwrap();
        let ingress = service.status.unwrap_or_default().load_balancer.unwrap_or_default().ingress;
        ingress.unwrap_or_default().into_iter().filter_map(|entry| entry.ip).collect()
    }

    /// Waits until a Service has exactly these addresses.
    pub(crate) async fn expect_ips(&self, name: &str, ips: &[&str]) {
        eventually(&format!("{name} has {ips:?}"), async || self.ips(name).await == ips).await;
    }

    /// The pool that the annotation of a Service names.
    pub(crate) async fn pool_of(&self, name: &str) -> Option<String> {
        let mut annotations = self.services.get(name).await.unwrap().metadata.annotations?;
        annotations.remove("metallb.io/ip-allocated-from-pool")
    }

    /// Waits for an event with `reason` on the object `name`; returns its type, message and count.
    pub(crate) async fn expect_event(&self, name: &str, reason: &str) -> (String, String, i32) {
        let mut found = None;
        eventually(&format!("event {reason} on {name}"), async || {
            found = self.event(name, reason).await;
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    pub(crate) async fn event(&self, name: &str, reason: &str) -> Option<(String, String, i32)> {
        let events = Api::<Event>::all(self.client.clone());
        let list = events.list(&ListParams::default()).await.unwrap();
        let mut found = list.items.into_iter().filter(|event| {
            event.involved_object.name.as_deref() == Some(name)
                && event.reason.as_deref() == Some(reason)
        });
        let event = found.next()?;
        assert!(found.next().is_none(), "event {reason} on {name} more than once");
        assert_eq!(event.source.unwrap().component.as_deref(), Some("metallb-controller"));
        Some((event.type_.unwrap(), event.message.unwrap(), event.count.unwrap()))
    }

    /// Waits until nobody has written for a while; returns how often anybody did until then.
    pub(crate) async fn quiet(&self) -> u64 {
        let mut writes = self.server.writes();
        let mut since = tokio::time::Instant::now();
        while since.elapsed() < QUIET {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if self.server.writes() != writes {
                writes = self.server.writes();
                since = tokio::time::Instant::now();
            }
        }
        writes
    }
}

impl Running {
    /// Stops as the process does on a signal.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }

    /// Ends without a word, as a process that is killed.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Whether it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.probes.readiness().iter().all(|line| line.missing.is_none())
    }

    /// The value of a metric, such as `metallb_allocator_addresses_total{pool="p"}`.
    pub(crate) fn metric(&self, series: &str) -> Option<String> {
        let page = encode(&self.registry).unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(str::to_owned)
    }
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = tokio::time::Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn mk_pool(name: &str, addresses: &[&str]) -> IPAddressPool {
    serde_json::from_value(json!({
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "addresses": addresses },
    }))
    .unwrap()
}
