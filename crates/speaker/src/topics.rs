//! What comes in by the inbox: everything the API server has to say to a speaker.

use std::fmt::{self, Debug};
use std::sync::Arc;

use ferrolb_api::{
    BFDProfile, BGPAdvertisement, BGPPeer, BGPSession, Community, IPAddressPool, L2Advertisement,
    ServiceBGPStatus, ServiceL2Status, labels,
};
use ferrolb_ipam::{NodeName, ServiceKey};
use ferrolb_kube_rt::metrics::ClientMetrics;
use ferrolb_kube_rt::status::Outcome;
use ferrolb_kube_rt::watch::{self, Update, Watch, WatchSpec};
use ferrolb_kube_rt::{ObjectKey, Post, rows};
use ferrolb_model::bgp::{PeerName, SecretRow};
use ferrolb_model::{EndpointSlice, Namespace, Node, Service, SliceKey, SpeakerPod};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use kube::Client;
use serde::de::DeserializeOwned;

use crate::objects::{Row, ServiceBgp, ServiceL2, Session};

/// Names of the watches that nothing is decided before, in [`Message::Synced`].
const SERVICES: &str = "services";
const SLICES: &str = "endpointslices";
const NODES: &str = "nodes";
const NAMESPACES: &str = "namespaces";
const POOLS: &str = "ipaddresspools";
const ADVERTISEMENTS: &str = "l2advertisements";
/// Name of the watch of reports on Layer 2.
pub(crate) const L2_STATUSES: &str = "servicel2statuses";
/// Name of the watch of reports on BGP.
pub(crate) const BGP_STATUSES: &str = "servicebgpstatuses";
/// Name of the watch of reports on sessions.
pub(crate) const SESSIONS: &str = "bgpsessions";
/// Names of the watches that BGP begins after, and Layer 2 does not wait for.
pub(crate) const BGP: [&str; 4] = ["bgppeers", "bgpadvertisements", "bfdprofiles", "communities"];
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
    /// An object of BGP: which watch, and its name.
    Bgp(&'static str, Arc<str>),
    Secret(Arc<str>),
    SecretListed(Arc<str>),
    Pod(Arc<str>),
    /// A report: which watch, and its name.
    Status(&'static str, Arc<str>),
    StatusWritten(StatusKey),
    StatusAgain(Subject),
    KubeProxy,
    Synced(&'static str),
}

impl Topic {
    /// The watch that tells it, of those that Layer 2 is decided by.
    pub(crate) const fn watch(&self) -> Option<&'static str> {
        Some(match self {
            Self::Service(_) => SERVICES,
            Self::Slice(_) => SLICES,
            Self::Node(_) => NODES,
            Self::Namespace(_) => NAMESPACES,
            Self::Pool(_) => POOLS,
            Self::L2Advertisement(_) => ADVERTISEMENTS,
            Self::Pod(_) => PODS,
            _ => return None,
        })
    }
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
    BgpPeer(String, Option<Box<BGPPeer>>),
    BgpAdvertisement(String, Option<Box<BGPAdvertisement>>),
    BfdProfile(String, Option<Box<BFDProfile>>),
    Community(String, Option<Box<Community>>),
    Secret(Arc<str>, Option<SecretRow>),
    /// It is known whether that Secret exists.
    SecretListed(Arc<str>),
    Pod(Arc<str>, Option<SpeakerPod>),
    L2Status(Arc<str>, Option<Row<ServiceL2>>),
    BgpStatus(Arc<str>, Option<Row<ServiceBgp>>),
    Session(Arc<str>, Option<Row<Session>>),
    /// The write of a report ended.
    StatusWritten(StatusKey, Outcome),
    /// Look at the reports on something once more.
    StatusAgain(Subject),
    /// Whether kube-proxy on this node is well.
    KubeProxy(bool),
    /// A watch has said everything there is.
    Synced(&'static str),
}

/// A Node, and what not every speaker looks at.
#[derive(Clone, Debug)]
pub(crate) struct NodeRow {
    pub(crate) node: Node,
    /// The control plane has not heard of it for so long that nobody knows how it is.
    pub(crate) lost: bool,
    /// `spec.unschedulable`.
    pub(crate) cordoned: bool,
}

impl NodeRow {
    fn of(key: &ObjectKey, object: core::Node) -> Option<Self> {
        let conditions = object.status.iter().filter_map(|status| status.conditions.as_ref());
        let lost = conditions
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "Unknown");
        let spec = object.spec.as_ref();
        let cordoned = spec.and_then(|spec| spec.unschedulable).unwrap_or_default();
        Some(Self { node: rows::node(key, object)?, lost, cordoned })
    }
}

/// What is reported on.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Subject {
    /// A Service that this node answers for.
    Layer2(ServiceKey),
    /// A Service that this node tells its routers of.
    Bgp(ServiceKey),
    /// The session with a peer.
    Session(PeerName),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer2(key) | Self::Bgp(key) => write!(f, "{key}"),
            Self::Session(peer) => write!(f, "{peer}"),
        }
    }
}

/// A report and what it is on.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct StatusKey {
    pub(crate) name: Arc<str>,
    pub(crate) subject: Subject,
}

impl StatusKey {
    /// An inbox entry of how a write ended.
    pub(crate) fn report(self, outcome: Outcome) -> (Topic, Message) {
        (Topic::StatusWritten(self.clone()), Message::StatusWritten(self, outcome))
    }
}

/// The running watches.
pub(crate) struct Watches {
    /// Nothing is decided before these are complete.
    pub(crate) required: Vec<(&'static str, Watch)>,
    _others: Vec<Watch>,
}

/// Watches everything a speaker decides by. `speakers` is the label selector of speaker Pods; without
/// one, only the own Pod `own_pod` is followed, unless its name is empty. What was refused is in reports,
/// so who `refuses` waits for those too.
pub(crate) fn watch_all(
    client: &Client,
    namespace: &str,
    speakers: Option<&str>,
    own_pod: &str,
    refuses: bool,
    metrics: &ClientMetrics,
    post: &Post<Topic, Message>,
) -> Watches {
    let services = watch::spawn(
        WatchSpec::<core::Service>::all(client.clone())
            .fields_if_possible(rows::LOAD_BALANCERS)
            .metrics(metrics),
        |key, object| rows::service(key, object).map(Service::without_wishes),
        post.clone(),
        |update| {
            entry(SERVICES, update, Topic::Service, |key, row| {
                Message::Service(ServiceKey::new(key.namespace, key.name), row.map(Box::new))
            })
        },
    );
    let slices = watch::spawn(
        WatchSpec::<discovery::EndpointSlice>::all(client.clone()).metrics(metrics),
        rows::endpoint_slice,
        post.clone(),
        |update| {
            entry(SLICES, update, Topic::Slice, |key, row| {
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
                NODES,
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
                NAMESPACES,
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
                POOLS,
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
                ADVERTISEMENTS,
                update,
                |key| Topic::L2Advertisement(key.name),
                |key, row| Message::L2Advertisement(key.name.to_string(), row.map(Box::new)),
            )
        },
    );
    let statuses = watch::spawn(
        WatchSpec::<ServiceL2Status>::namespaced(client.clone(), namespace).metrics(metrics),
        |_, object| ServiceL2::row(object),
        post.clone(),
        |update| {
            entry(
                L2_STATUSES,
                update,
                |key| Topic::Status(L2_STATUSES, key.name),
                |key, row| Message::L2Status(key.name, row),
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
        (SERVICES, services),
        (SLICES, slices),
        (NODES, nodes),
        (NAMESPACES, namespaces),
        (POOLS, pools),
        (ADVERTISEMENTS, advertisements),
    ];
    let mut others = Vec::new();
    if refuses {
        required.push((L2_STATUSES, statuses));
    } else {
        others.push(statuses);
    }
    match pods {
        Some(pods) if speakers.is_some() => required.push((PODS, pods)),
        pods => others.extend(pods),
    }
    Watches { required, _others: others }
}

/// Watches what only BGP is decided by, and the reports of `node`: every node has its own, and those of
/// all together would be many. None of it holds up Layer 2.
pub(crate) fn watch_bgp(
    client: &Client,
    namespace: &str,
    node: &NodeName,
    metrics: &ClientMetrics,
    post: &Post<Topic, Message>,
) -> Vec<Watch> {
    let [peers, advertisements, profiles, communities] = BGP;
    let own = format!("{}={node}", labels::NODE);
    vec![
        watch_own(client, namespace, metrics, post, peers, Message::BgpPeer),
        watch_own(client, namespace, metrics, post, advertisements, Message::BgpAdvertisement),
        watch_own(client, namespace, metrics, post, profiles, Message::BfdProfile),
        watch_own(client, namespace, metrics, post, communities, Message::Community),
        watch::spawn(
            WatchSpec::<ServiceBGPStatus>::namespaced(client.clone(), namespace)
                .labels(own.as_str())
                .metrics(metrics),
            |_, object| ServiceBgp::row(object),
            post.clone(),
            |update| {
                entry(
                    BGP_STATUSES,
                    update,
                    |key| Topic::Status(BGP_STATUSES, key.name),
                    |key, row| Message::BgpStatus(key.name, row),
                )
            },
        ),
        watch::spawn(
            WatchSpec::<BGPSession>::namespaced(client.clone(), namespace)
                .labels(own)
                .metrics(metrics),
            |_, object| Session::row(object),
            post.clone(),
            |update| {
                entry(
                    SESSIONS,
                    update,
                    |key| Topic::Status(SESSIONS, key.name),
                    |key, row| Message::Session(key.name, row),
                )
            },
        ),
    ]
}

/// Watches a kind of the configuration, whole objects.
fn watch_own<K>(
    client: &Client,
    namespace: &str,
    metrics: &ClientMetrics,
    post: &Post<Topic, Message>,
    name: &'static str,
    message: impl Fn(String, Option<Box<K>>) -> Message + Send + 'static,
) -> Watch
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    watch::spawn(
        WatchSpec::<K>::namespaced(client.clone(), namespace).metrics(metrics),
        |_, object| Some(object),
        post.clone(),
        move |update| {
            entry(
                name,
                update,
                |key| Topic::Bgp(name, key.name),
                |key, object| message(key.name.to_string(), object.map(Box::new)),
            )
        },
    )
}

/// Watches one Secret, so that nothing is read that no peer refers to.
pub(crate) fn watch_secret(
    client: &Client,
    namespace: &str,
    name: &Arc<str>,
    metrics: &ClientMetrics,
    post: &Post<Topic, Message>,
) -> Watch {
    let listed = Arc::clone(name);
    watch::spawn(
        WatchSpec::<core::Secret>::namespaced(client.clone(), namespace)
            .fields(format!("metadata.name={name}"))
            .metrics(metrics),
        rows::secret,
        post.clone(),
        move |update| match update {
            Update::Set(key, row) => {
                (Topic::Secret(Arc::clone(&key.name)), Message::Secret(key.name, Some(row)))
            }
            Update::Gone(key) => {
                (Topic::Secret(Arc::clone(&key.name)), Message::Secret(key.name, None))
            }
            Update::Synced => (
                Topic::SecretListed(Arc::clone(&listed)),
                Message::SecretListed(Arc::clone(&listed)),
            ),
        },
    )
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
