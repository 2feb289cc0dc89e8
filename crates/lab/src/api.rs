//! The lab's own way to the API server: a few blocking verbs on plain JSON objects.
//!
//! It knows the kinds a lab deals with by table, so it needs no discovery and talks to the embedded
//! server and the real one alike. Scenarios that want everything `kubectl` can do run `kubectl`.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, Result};

mod watch;

use watch::Watch;

/// Kind, path of its group and version, plural, whether it lives in a namespace.
const KINDS: [(&str, &str, &str, bool); 28] = [
    ("Namespace", "api/v1", "namespaces", false),
    ("Node", "api/v1", "nodes", false),
    ("Pod", "api/v1", "pods", true),
    ("Service", "api/v1", "services", true),
    ("Secret", "api/v1", "secrets", true),
    ("ConfigMap", "api/v1", "configmaps", true),
    ("ServiceAccount", "api/v1", "serviceaccounts", true),
    ("Event", "api/v1", "events", true),
    ("EndpointSlice", "apis/discovery.k8s.io/v1", "endpointslices", true),
    ("Deployment", "apis/apps/v1", "deployments", true),
    ("DaemonSet", "apis/apps/v1", "daemonsets", true),
    ("ClusterRole", "apis/rbac.authorization.k8s.io/v1", "clusterroles", false),
    ("ClusterRoleBinding", "apis/rbac.authorization.k8s.io/v1", "clusterrolebindings", false),
    ("Role", "apis/rbac.authorization.k8s.io/v1", "roles", true),
    ("RoleBinding", "apis/rbac.authorization.k8s.io/v1", "rolebindings", true),
    ("NetworkPolicy", "apis/networking.k8s.io/v1", "networkpolicies", true),
    (
        "ValidatingWebhookConfiguration",
        "apis/admissionregistration.k8s.io/v1",
        "validatingwebhookconfigurations",
        false,
    ),
    ("Lease", "apis/coordination.k8s.io/v1", "leases", true),
    (
        "CustomResourceDefinition",
        "apis/apiextensions.k8s.io/v1",
        "customresourcedefinitions",
        false,
    ),
    ("IPAddressPool", "apis/metallb.io/v1beta1", "ipaddresspools", true),
    ("L2Advertisement", "apis/metallb.io/v1beta1", "l2advertisements", true),
    ("BGPPeer", "apis/metallb.io/v1beta2", "bgppeers", true),
    ("BGPAdvertisement", "apis/metallb.io/v1beta1", "bgpadvertisements", true),
    ("BFDProfile", "apis/metallb.io/v1beta1", "bfdprofiles", true),
    ("Community", "apis/metallb.io/v1beta1", "communities", true),
    ("ServiceBGPStatus", "apis/metallb.io/v1beta1", "servicebgpstatuses", true),
    ("ServiceL2Status", "apis/metallb.io/v1beta1", "servicel2statuses", true),
    ("ConfigurationState", "apis/metallb.io/v1beta1", "configurationstates", true),
];

/// Names a collection of objects, or one of them.
#[derive(Clone, Copy, Debug)]
pub struct Ref<'a> {
    /// The kind, as in a manifest.
    pub kind: &'a str,
    /// The namespace; ignored for kinds that have none.
    pub namespace: &'a str,
    /// The name.
    pub name: &'a str,
}

impl<'a> Ref<'a> {
    /// One object.
    pub fn new(kind: &'a str, namespace: &'a str, name: &'a str) -> Self {
        Self { kind, namespace, name }
    }

    fn of(object: &'a Value) -> Result<Self> {
        let kind = object["kind"].as_str().unwrap_or_default();
        let name = object["metadata"]["name"].as_str();
        let name = name.ok_or_else(|| Error::Manifest(format!("a {kind} has no name")))?;
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
        Ok(Self { kind, namespace, name })
    }

    fn collection(&self) -> Result<String> {
        let (_, group, plural, namespaced) =
            KINDS.iter().find(|(kind, ..)| *kind == self.kind).ok_or_else(|| {
                Error::Manifest(format!("the lab does not know kind {:?}", self.kind))
            })?;
        Ok(if *namespaced && !self.namespace.is_empty() {
            format!("/{group}/namespaces/{}/{plural}", self.namespace)
        } else {
            format!("/{group}/{plural}")
        })
    }

    fn path(&self) -> Result<String> {
        Ok(format!("{}/{}", self.collection()?, self.name))
    }
}

/// A blocking client; cheap to clone.
#[derive(Clone)]
pub struct Api {
    client: Client,
    runtime: Arc<Runtime>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Api")
    }
}

impl Api {
    /// A client of the server at this URL, with a bearer token if it wants one, and the DER of its
    /// authority.
    pub fn new(url: &str, token: Option<&str>, authority: &[u8]) -> Result<Self> {
        let failed = |message: String| Error::Api { request: url.to_owned(), message };
        let uri = url.parse().map_err(|error: http::uri::InvalidUri| failed(error.to_string()))?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(Error::io("runtime"))?;
        let mut config = kube::Config::new(uri);
        config.connect_timeout = Some(Duration::from_secs(2));
        config.read_timeout = Some(Duration::from_secs(10));
        config.reset_reader_on_write = true;
        config.auth_info.token = token.map(Into::into);
        config.root_cert = Some(vec![authority.to_vec()]);
        let client = runtime
            .block_on(async { Client::try_from(config) })
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { client, runtime: Arc::new(runtime) })
    }

    /// The object, if it exists.
    pub fn get(&self, object: Ref<'_>) -> Result<Option<Value>> {
        self.send(&Method::GET, &object.path()?, None)
    }

    /// All objects of a kind; an empty namespace means all namespaces. `query` goes behind the `?`.
    pub fn list(&self, kind: &str, namespace: &str, query: &str) -> Result<Vec<Value>> {
        Ok(self.list_with_version(kind, namespace, query)?.0)
    }

    /// As [`Self::list`], with the list's resource version.
    pub fn list_with_version(
        &self,
        kind: &str,
        namespace: &str,
        query: &str,
    ) -> Result<(Vec<Value>, String)> {
        let path = Ref::new(kind, namespace, "").collection()?;
        let path = if query.is_empty() { path } else { format!("{path}?{query}") };
        let Some(mut list) = self.send(&Method::GET, &path, None)? else {
            return Ok((Vec::new(), String::new()));
        };
        let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        match list["items"].take() {
            Value::Array(items) => Ok((items, version)),
            _ => Ok((Vec::new(), version)),
        }
    }

    /// Creates the object, or merges it into the one that exists.
    pub fn apply(&self, object: &Value) -> Result<Value> {
        let target = Ref::of(object)?;
        if let Some(created) = self.create_unless_exists(target, object)? {
            return Ok(created);
        }
        self.merge(target, "", object)
    }

    /// Applies every document of a YAML text, in its order.
    pub fn apply_yaml(&self, text: &str) -> Result<()> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text)
            .map_err(|error| Error::Manifest(error.to_string()))?;
        for document in documents.iter().filter(|document| !document.is_null()) {
            self.apply(document)?;
        }
        Ok(())
    }

    /// Merges a patch into an object.
    pub fn patch(&self, object: Ref<'_>, patch: &Value) -> Result<Value> {
        self.merge(object, "", patch)
    }

    /// Merges a patch into an object's status.
    pub fn patch_status(&self, object: Ref<'_>, status: &Value) -> Result<Value> {
        self.merge(object, "/status", &json!({ "status": status }))
    }

    /// Deletes an object; one that is not there is fine.
    pub fn delete(&self, object: Ref<'_>) -> Result<()> {
        self.send(&Method::DELETE, &object.path()?, None).map(drop)
    }

    /// Deletes an object without the grace its kind may have.
    pub(crate) fn delete_now(&self, object: Ref<'_>) -> Result<()> {
        let path = format!("{}?gracePeriodSeconds=0", object.path()?);
        self.send(&Method::DELETE, &path, None).map(drop)
    }

    /// Places a Pod on a node, as the scheduler does.
    pub(crate) fn bind(&self, pod: Ref<'_>, node: &str) -> Result<()> {
        let path = format!("{}/binding", pod.path()?);
        let body = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": { "name": pod.name, "namespace": pod.namespace },
            "target": { "apiVersion": "v1", "kind": "Node", "name": node },
        });
        self.send(&Method::POST, &path, Some((&body, "application/json"))).map(drop)
    }

    /// A token of a `ServiceAccount`, bound to the Pod it is mounted in.
    pub(crate) fn token(&self, pod: Ref<'_>, uid: &str, account: &str) -> Result<String> {
        let path = format!("/api/v1/namespaces/{}/serviceaccounts/{account}/token", pod.namespace);
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "expirationSeconds": 86_400,
                "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": uid },
            },
        });
        let answer = self.send(&Method::POST, &path, Some((&body, "application/json")))?;
        let token = answer.as_ref().and_then(|answer| answer["status"]["token"].as_str());
        token.map(str::to_owned).ok_or_else(|| Error::Api {
            request: format!("POST {path}"),
            message: "no token in the answer".to_owned(),
        })
    }

    /// Changes to the objects of a kind from now on, each with the moment it was heard, over as many
    /// connections as it takes.
    pub fn watch(&self, kind: &str, namespace: &str) -> Result<Receiver<(Instant, Value)>> {
        let (_, version) = self.list_with_version(kind, namespace, "limit=1")?;
        let path = Ref::new(kind, namespace, "").collection()?;
        let request = format!("GET {path}?watch=true");
        let watch = self
            .runtime
            .block_on(Watch::open(self.client.clone(), path, version))
            .map_err(|error| Error::Api { request, message: chain(&error) })?;
        let (post, heard) = mpsc::channel();
        self.runtime.spawn(watch.follow(post));
        Ok(heard)
    }

    /// Whether the server says it is ready.
    pub fn is_ready(&self) -> bool {
        let request = Request::get("/readyz").body(Vec::new());
        request
            .is_ok_and(|request| self.runtime.block_on(self.client.request_text(request)).is_ok())
    }

    fn create_unless_exists(&self, target: Ref<'_>, object: &Value) -> Result<Option<Value>> {
        let path = target.collection()?;
        match self.send(&Method::POST, &path, Some((object, "application/json"))) {
            // Behind a quoted name: webhooks have words about rivals that are close to these.
            Err(Error::Api { message, .. }) if message.contains("\" already exists") => Ok(None),
            other => other,
        }
    }

    fn merge(&self, target: Ref<'_>, subresource: &str, patch: &Value) -> Result<Value> {
        let path = format!("{}{subresource}", target.path()?);
        let answer =
            self.send(&Method::PATCH, &path, Some((patch, "application/merge-patch+json")))?;
        answer.ok_or_else(|| Error::Api {
            request: format!("PATCH {path}"),
            message: "not found".to_owned(),
        })
    }

    /// One request; `None` for 404.
    fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<(&Value, &str)>,
    ) -> Result<Option<Value>> {
        let line = format!("{method} {path}");
        let failed = |message: String| Error::Api { request: line.clone(), message };
        let mut request = Request::builder().method(method.clone()).uri(path);
        let bytes = match body {
            None => Vec::new(),
            Some((value, content_type)) => {
                request = request.header("content-type", content_type);
                serde_json::to_vec(value).map_err(|error| failed(error.to_string()))?
            }
        };
        let request = request.body(bytes).map_err(|error| failed(error.to_string()))?;
        match self.runtime.block_on(self.client.request::<Value>(request)) {
            Ok(value) => Ok(Some(value)),
            Err(kube::Error::Api(status)) if status.code == 404 && *method != Method::POST => {
                Ok(None)
            }
            Err(kube::Error::Api(status)) => Err(failed(status.message.clone())),
            Err(error) => Err(failed(chain(&error))),
        }
    }
}

/// Asks again and again until there is an answer; the error says what was seen last.
pub fn wait_until<T, D: Display>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Result<T, D>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        match look()? {
            Ok(found) => return Ok(found),
            Err(last) if start.elapsed() >= limit => {
                return Err(Error::Waited { what: what.to_owned(), limit, last: last.to_string() });
            }
            // Soon at first, so that a short time is measured well.
            Err(_) if start.elapsed() < Duration::from_millis(200) => {
                thread::sleep(Duration::from_millis(2));
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_kind_and_namespace() {
        let service = Ref::new("Service", "shop", "web");
        assert_eq!(service.path().unwrap(), "/api/v1/namespaces/shop/services/web");
        let node = Ref::new("Node", "shop", "node1");
        assert_eq!(node.path().unwrap(), "/api/v1/nodes/node1");
        let all = Ref::new("IPAddressPool", "", "");
        assert_eq!(all.collection().unwrap(), "/apis/metallb.io/v1beta1/ipaddresspools");
    }

    #[test]
    fn a_kind_nobody_told_is_an_error_with_its_name() {
        let error = Ref::new("Gadget", "", "x").path().unwrap_err();
        assert_eq!(error.to_string(), "manifest: the lab does not know kind \"Gadget\"");
    }
}
