//! What comes in by the inbox: everything the API server has to say to a speaker.

use std::sync::Arc;

use ferrolb_api::{IPAddressPool, L2Advertisement, ServiceL2Status};
use ferrolb_ipam::{NodeName, ServiceKey};
use ferrolb_kube_rt::metrics::ClientMetrics;
use ferrolb_kube_rt::status::Outcome;
use ferrolb_kube_rt::watch::{self, Update, Watch, WatchSpec};
use ferrolb_kube_rt::{ObjectKey, Post, rows};
use ferrolb_model::{EndpointSlice, Namespace, Node, Service, SliceKey, SpeakerPod};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use kube::Client;

use crate::l2status;

/// Name of the watch of status objects, in [`Message::Synced`].
pub(crate) const STATUSES: &str = "servicel2statuses";
/// Name of the watch of speaker Pods.
pub(crate) const PODS: &str = "pods";

/// What an entry is about; a newer entry replaces an older one.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Topic {
    Service(ObjectKey),
    Slice(ObjectKey),
    Node(Arc<str>),
    Namespace(Arc<str>),
    Pool(Arc<str>),
    L2Advertisement(Arc<str>),
    Pod(Arc<str>),
    Status(Arc<str>),
    StatusWritten(Arc<str>),
    StatusAgain(ServiceKey),
    Synced(&'static str),
}

/// One new fact; none means gone.
#[derive(Debug)]
pub(crate) enum Message {
    Service(ServiceKey, Option<Box<Service>>),
    Slice(SliceKey, Option<EndpointSlice>),
    Node(NodeName, Option<NodeRow>),
    Namespace(Arc<str>, Option<Namespace>),
    Pool(String, Option<Box<IPAddressPool>>),
    L2Advertisement(String, Option<Box<L2Advertisement>>),
    Pod(Arc<str>, Option<SpeakerPod>),
    Status(Arc<str>, Option<l2status::Row>),
    /// The write of a status object ended.
    StatusWritten(StatusKey, Outcome),
    /// Look at the status objects of a Service once more.
    StatusAgain(ServiceKey),
    /// A watch has said everything there is.
    Synced(&'static str),
}

/// A Node, and what only a speaker without membership looks at.
#[derive(Clone, Debug)]
pub(crate) struct NodeRow {
    pub(crate) node: Node,
    /// The control plane has not heard of it for so long that nobody knows how it is.
    pub(crate) lost: bool,
}

impl NodeRow {
    fn of(key: &ObjectKey, object: core::Node) -> Option<Self> {
        let conditions = object.status.iter().filter_map(|status| status.conditions.as_ref());
        let lost = conditions
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "Unknown");
        Some(Self { node: rows::node(key, object)?, lost })
    }
}

/// A status object and the Service it is about.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct StatusKey {
    pub(crate) name: Arc<str>,
    pub(crate) service: ServiceKey,
}

impl StatusKey {
    /// An inbox entry of how a write ended.
    pub(crate) fn report(self, outcome: Outcome) -> (Topic, Message) {
        (Topic::StatusWritten(Arc::clone(&self.name)), Message::StatusWritten(self, outcome))
    }
}

/// The running watches.
pub(crate) struct Watches {
    /// Nothing is decided before these are complete.
    pub(crate) required: Vec<(&'static str, Watch)>,
    _others: Vec<Watch>,
}

/// Watches everything a speaker decides by. `speakers` is the label selector of speaker Pods; without
/// one, only the own Pod `own_pod` is followed, unless its name is empty.
pub(crate) fn watch_all(
    client: &Client,
    namespace: &str,
    speakers: Option<&str>,
    own_pod: &str,
    metrics: &ClientMetrics,
    post: &Post<Topic, Message>,
) -> Watches {
    let services = watch::spawn(
        WatchSpec::<core::Service>::all(client.clone())
            .fields_if_possible(rows::LOAD_BALANCERS)
            .metrics(metrics),
        rows::service,
        post.clone(),
        |update| {
            entry("services", update, Topic::Service, |key, row| {
                Message::Service(ServiceKey::new(key.namespace, key.name), row.map(Box::new))
            })
        },
    );
    let slices = watch::spawn(
        WatchSpec::<discovery::EndpointSlice>::all(client.clone()).metrics(metrics),
        rows::endpoint_slice,
        post.clone(),
        |update| {
            entry("endpointslices", update, Topic::Slice, |key, row| {
                Message::Slice(SliceKey { namespace: key.namespace, name: key.name }, row)
            })
        },
    );
    let nodes = watch::spawn(
        WatchSpec::<core::Node>::all(client.clone()).metrics(metrics),
        NodeRow::of,
        post.clone(),
        |update| {
            entry(
                "nodes",
                update,
                |key| Topic::Node(key.name),
                |key, row| Message::Node((&*key.name).into(), row),
            )
        },
    );
    let namespaces = watch::spawn(
        WatchSpec::<core::Namespace>::all(client.clone()).metrics(metrics),
        rows::namespace,
        post.clone(),
        |update| {
            entry(
                "namespaces",
                update,
                |key| Topic::Namespace(key.name),
                |key, row| Message::Namespace(key.name, row),
            )
        },
    );
    let pools = watch::spawn(
        WatchSpec::<IPAddressPool>::namespaced(client.clone(), namespace).metrics(metrics),
        |_, pool| Some(pool),
        post.clone(),
        |update| {
            entry(
                "ipaddresspools",
                update,
                |key| Topic::Pool(key.name),
                |key, pool| Message::Pool(key.name.to_string(), pool.map(Box::new)),
            )
        },
    );
    let advertisements = watch::spawn(
        WatchSpec::<L2Advertisement>::namespaced(client.clone(), namespace).metrics(metrics),
        |_, advertisement| Some(advertisement),
        post.clone(),
        |update| {
            entry(
                "l2advertisements",
                update,
                |key| Topic::L2Advertisement(key.name),
                |key, row| Message::L2Advertisement(key.name.to_string(), row.map(Box::new)),
            )
        },
    );
    let statuses = watch::spawn(
        WatchSpec::<ServiceL2Status>::namespaced(client.clone(), namespace).metrics(metrics),
        |_, object| l2status::Row::of(object),
        post.clone(),
        |update| {
            entry(
                STATUSES,
                update,
                |key| Topic::Status(key.name),
                |key, row| Message::Status(key.name, row),
            )
        },
    );
    let pods = WatchSpec::<core::Pod>::namespaced(client.clone(), namespace).metrics(metrics);
    let pods = match speakers {
        Some(labels) => Some(pods.labels(labels)),
        None if own_pod.is_empty() => None,
        None => Some(pods.fields(format!("metadata.name={own_pod}"))),
    };
    let pods = pods.map(|spec| {
        watch::spawn(spec, rows::speaker_pod, post.clone(), |update| {
            entry(PODS, update, |key| Topic::Pod(key.name), |key, row| Message::Pod(key.name, row))
        })
    });
    let mut required = vec![
        ("services", services),
        ("endpointslices", slices),
        ("nodes", nodes),
        ("namespaces", namespaces),
        ("ipaddresspools", pools),
        ("l2advertisements", advertisements),
    ];
    let mut others = vec![statuses];
    match pods {
        Some(pods) if speakers.is_some() => required.push((PODS, pods)),
        pods => others.extend(pods),
    }
    Watches { required, _others: others }
}

/// Makes an inbox entry of what a watch says.
fn entry<R>(
    name: &'static str,
    update: Update<R>,
    topic: impl Fn(ObjectKey) -> Topic,
    message: impl Fn(ObjectKey, Option<R>) -> Message,
) -> (Topic, Message) {
    match update {
        Update::Set(key, row) => (topic(key.clone()), message(key, Some(row))),
        Update::Gone(key) => (topic(key.clone()), message(key, None)),
        Update::Synced => (Topic::Synced(name), Message::Synced(name)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("Ready", "True", false)]
    #[case("Ready", "False", false)]
    #[case("Ready", "Unknown", true)]
    #[case("MemoryPressure", "Unknown", false)]
    fn a_node_is_lost_when_nobody_knows(
        #[case] kind: &str,
        #[case] status: &str,
        #[case] lost: bool,
    ) {
        let key = ObjectKey { namespace: "".into(), name: "a".into() };
        let object = json!({
            "metadata": { "name": "a" },
            "status": { "conditions": [{ "type": kind, "status": status }] },
        });
        let row = NodeRow::of(&key, serde_json::from_value(object).unwrap()).unwrap();
        assert_eq!((row.lost, row.node.name), (lost, "a".into()));
    }
}
