//! The facts that Layer 2 is decided by, in a form of their own: rows may change from version to
//! version, and each field that is added has to be looked at here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_addr::Family;
use ferrolb_api::{IPAddressPool, L2Advertisement};
use ferrolb_ipam::{NodeName, ServiceKey};
use ferrolb_kube_rt::ObjectKey;
use ferrolb_model::rows::{self, Ingress, IpFamilyPolicy, ServiceAnnotations};
use ferrolb_model::{
    ConfigObjects, EndpointSlice, Namespace, Node, Service, SliceKey, Snapshot, SpeakerPod,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

use crate::topics::{Message, NodeRow, Topic};

type Labels = BTreeMap<String, String>;

/// Everything that is remembered.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Facts {
    services: Vec<ServiceFacts>,
    slices: Vec<SliceFacts>,
    nodes: Vec<NodeFacts>,
    namespaces: BTreeMap<String, Labels>,
    pools: BTreeMap<String, IPAddressPool>,
    advertisements: BTreeMap<String, L2Advertisement>,
    speakers: Vec<SpeakerFacts>,
}

/// What the owner knows, to be written as [`Facts`]. Each of its rows is copied when its turn comes:
/// copies of thousands at a time would leave the heap full of holes.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) objects: &'a ConfigObjects,
    pub(crate) pods: &'a BTreeMap<Arc<str>, SpeakerPod>,
    /// The node that is known to be cordoned, if one is.
    pub(crate) cordoned: Option<&'a NodeName>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct ServiceFacts {
    namespace: String,
    name: String,
    uid: String,
    labels: Labels,
    class: Option<String>,
    /// Address and host name of each entry.
    ingress: Vec<(Option<String>, Option<String>)>,
    local: bool,
    shared: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct SliceFacts {
    namespace: String,
    name: String,
    service: String,
    can_serve: bool,
    nodes: BTreeSet<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct NodeFacts {
    name: String,
    labels: Labels,
    network_unavailable: bool,
    addresses: BTreeSet<IpAddr>,
    cordoned: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct SpeakerFacts {
    name: String,
    uid: String,
    node: Option<String>,
    address: Option<IpAddr>,
}

impl Facts {
    /// How many Services there are.
    pub(crate) fn services(&self) -> usize {
        self.services.len()
    }

    /// The facts as the watches would tell them.
    pub(crate) fn entries(self) -> Vec<(Topic, Message)> {
        let services = self.services.into_iter().map(|service| {
            let row = service.row();
            let key = row.key.clone();
            let topic = Topic::Service(object_key(&key.namespace, &key.name));
            (topic, Message::Service(key, Some(Box::new(row))))
        });
        let slices = self.slices.into_iter().map(|slice| {
            let row = slice.row();
            let key = row.key.clone();
            (Topic::Slice(object_key(&key.namespace, &key.name)), Message::Slice(key, Some(row)))
        });
        let nodes = self.nodes.into_iter().map(|node| {
            let cordoned = node.cordoned;
            let row = NodeRow { node: node.row(), lost: false, cordoned };
            let name = row.node.name.clone();
            (Topic::Node(name.as_str().into()), Message::Node(name, Some(row)))
        });
        let namespaces = self.namespaces.into_iter().map(|(name, labels)| {
            let row = Namespace { name: name.into(), labels: labels.into() };
            let name = row.name.clone();
            (Topic::Namespace(name.clone()), Message::Namespace(name, Some(row)))
        });
        let pools = self.pools.into_iter().map(|(name, pool)| {
            (Topic::Pool(name.as_str().into()), Message::Pool(name, Some(Box::new(pool))))
        });
        let advertisements = self.advertisements.into_iter().map(|(name, it)| {
            let topic = Topic::L2Advertisement(name.as_str().into());
            (topic, Message::L2Advertisement(name, Some(Box::new(it))))
        });
        let speakers = self.speakers.into_iter().map(|speaker| {
            let row = speaker.row();
            let name = row.name.clone();
            (Topic::Pod(name.clone()), Message::Pod(name, Some(row)))
        });
        let configuration = namespaces.chain(pools).chain(advertisements);
        services.chain(slices).chain(nodes).chain(configuration).chain(speakers).collect()
    }
}

impl Serialize for Known<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { snapshot, objects, pods, cordoned } = *self;
        let slices = || snapshot.services().flat_map(|service| snapshot.slices(&service.key));
        let nodes = || snapshot.nodes().map(|node| (node, cordoned == Some(&node.name)));
        let mut facts = serializer.serialize_struct("Facts", 7)?;
        let services = Each(|| snapshot.services().filter_map(ServiceFacts::of));
        facts.serialize_field("services", &services)?;
        facts.serialize_field("slices", &Each(|| slices().map(SliceFacts::of)))?;
        facts.serialize_field(
            "nodes",
            &Each(|| nodes().map(|(node, cordoned)| NodeFacts::of(node, cordoned))),
        )?;
        let namespaces: BTreeMap<_, _> =
            objects.namespaces.iter().map(|(name, it)| (&**name, written(&it.labels))).collect();
        facts.serialize_field("namespaces", &namespaces)?;
        let pools: BTreeMap<_, _> =
            objects.pools.iter().map(|(name, pool)| (name, remembered_pool(pool))).collect();
        facts.serialize_field("pools", &pools)?;
        let advertisements: BTreeMap<_, _> = objects
            .l2_advertisements
            .iter()
            .map(|(name, it)| (name, remembered_advertisement(it)))
            .collect();
        facts.serialize_field("advertisements", &advertisements)?;
        facts.serialize_field("speakers", &Each(|| pods.values().map(SpeakerFacts::of)))?;
        facts.end()
    }
}

/// What comes one after the other, as a list.
struct Each<F>(F);

impl<F: Fn() -> I, I: Iterator<Item: Serialize>> Serialize for Each<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

impl ServiceFacts {
    /// None if it has no address that could be announced.
    fn of(service: &Service) -> Option<Self> {
        (!service.ingress.is_empty()).then(|| Self {
            namespace: service.key.namespace.to_string(),
            name: service.key.name.to_string(),
            uid: service.uid.to_string(),
            labels: written(&service.labels),
            class: service.class.as_deref().map(str::to_owned),
            ingress: service.ingress.iter().map(|i| (i.ip.clone(), i.hostname.clone())).collect(),
            local: service.local_traffic_only,
            shared: service.annotations.allow_shared_ip.is_some(),
        })
    }

    fn row(self) -> Service {
        Service {
            key: ServiceKey::new(self.namespace, self.name),
            uid: self.uid.into(),
            resource_version: "".into(),
            labels: self.labels.into(),
            annotations: ServiceAnnotations {
                allow_shared_ip: self.shared.then(String::new),
                ..ServiceAnnotations::default()
            },
            is_load_balancer: true,
            class: self.class.map(Into::into),
            // What follows is for the controller only.
            cluster_ips: Vec::new(),
            primary_family: Family::V4,
            ip_family_policy: IpFamilyPolicy::SingleStack,
            load_balancer_ip: None,
            ports: Vec::new(),
            local_traffic_only: self.local,
            selector: rows::Labels::new(),
            ingress: self
                .ingress
                .into_iter()
                .map(|(ip, hostname)| Ingress { ip, hostname })
                .collect(),
        }
    }
}

impl SliceFacts {
    fn of(slice: &EndpointSlice) -> Self {
        let EndpointSlice { key, service, can_serve, nodes } = slice;
        Self {
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            service: service.name.to_string(),
            can_serve: *can_serve,
            nodes: nodes.iter().map(ToString::to_string).collect(),
        }
    }

    fn row(self) -> EndpointSlice {
        EndpointSlice {
            service: ServiceKey::new(self.namespace.as_str(), self.service),
            key: SliceKey { namespace: self.namespace.into(), name: self.name.into() },
            can_serve: self.can_serve,
            nodes: self.nodes.into_iter().map(NodeName::from).collect(),
        }
    }
}

impl NodeFacts {
    fn of(node: &Node, cordoned: bool) -> Self {
        let Node { name, labels, network_unavailable, addresses } = node;
        Self {
            name: name.to_string(),
            labels: written(labels),
            network_unavailable: *network_unavailable,
            addresses: addresses.clone(),
            cordoned,
        }
    }

    fn row(self) -> Node {
        Node {
            name: self.name.into(),
            labels: self.labels.into(),
            network_unavailable: self.network_unavailable,
            addresses: self.addresses,
        }
    }
}

impl SpeakerFacts {
    fn of(pod: &SpeakerPod) -> Self {
        let SpeakerPod { name, uid, node, address } = pod;
        Self {
            name: name.to_string(),
            uid: uid.to_string(),
            node: node.as_ref().map(ToString::to_string),
            address: *address,
        }
    }

    fn row(self) -> SpeakerPod {
        SpeakerPod {
            name: self.name.into(),
            uid: self.uid.into(),
            node: self.node.map(NodeName::from),
            address: self.address,
        }
    }
}

/// Labels as they are written.
fn written(labels: &rows::Labels) -> Labels {
    labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn remembered_pool(pool: &IPAddressPool) -> IPAddressPool {
    let metadata = remembered(&pool.metadata);
    IPAddressPool { metadata, spec: pool.spec.clone(), status: None }
}

fn remembered_advertisement(advertisement: &L2Advertisement) -> L2Advertisement {
    let metadata = remembered(&advertisement.metadata);
    L2Advertisement { metadata, ..advertisement.clone() }
}

/// What the configuration is made from, without what others note in it.
fn remembered(metadata: &ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        labels: metadata.labels.clone(),
        creation_timestamp: metadata.creation_timestamp.clone(),
        ..ObjectMeta::default()
    }
}

fn object_key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey { namespace: namespace.into(), name: name.into() }
}

#[cfg(test)]
pub(super) mod tests {
    use ferrolb_api::{IPAddressPoolSpec, L2AdvertisementSpec};
    use ferrolb_model::{Change, Settings};
    use proptest::prelude::*;

    use super::*;

    /// One of each kind.
    pub(in crate::memory) fn mk_facts() -> Facts {
        mk_facts_of("web", true, &["172.30.1.200".parse().unwrap()])
    }

    fn mk_facts_of(name: &str, flag: bool, ips: &[IpAddr]) -> Facts {
        let labels = rows::Labels::from([(name.to_owned(), name.to_owned())]);
        let key = ServiceKey::new("default", name);
        let service = ServiceFacts {
            namespace: "default".into(),
            name: name.into(),
            uid: format!("uid of {name}"),
            labels: written(&labels),
            class: flag.then(|| "class".to_owned()),
            ingress: ips.iter().map(|ip| (Some(ip.to_string()), None)).collect(),
            local: flag,
            shared: !flag,
        };
        let slice = EndpointSlice {
            key: SliceKey { namespace: "default".into(), name: format!("{name}-1").into() },
            service: key,
            can_serve: flag,
            nodes: ["node1".into()].into(),
        };
        let node = Node {
            name: name.into(),
            labels: labels.clone(),
            network_unavailable: flag,
            addresses: ips.iter().copied().collect(),
        };
        let spec = IPAddressPoolSpec {
            addresses: ips.iter().map(ToString::to_string).collect(),
            ..IPAddressPoolSpec::default()
        };
        let pool = IPAddressPool::new(name, spec);
        let advertisement = L2Advertisement::new(name, L2AdvertisementSpec::default());
        let speaker = SpeakerPod {
            name: format!("speaker-{name}").into(),
            uid: "uid".into(),
            node: flag.then(|| name.into()),
            address: ips.first().copied(),
        };
        Facts {
            services: ServiceFacts::of(&service.row()).into_iter().collect(),
            slices: vec![SliceFacts::of(&slice)],
            nodes: vec![NodeFacts::of(&node, flag)],
            namespaces: [(name.to_owned(), written(&labels))].into(),
            pools: [(name.to_owned(), remembered_pool(&pool))].into(),
            advertisements: [(name.to_owned(), remembered_advertisement(&advertisement))].into(),
            speakers: vec![SpeakerFacts::of(&speaker)],
        }
    }

    prop_compose! {
        pub(in crate::memory) fn any_facts()(
            name in "\\PC{0,12}",
            flag in any::<bool>(),
            ips in prop::collection::vec(any::<IpAddr>(), 0..3),
        ) -> Facts {
            mk_facts_of(&name, flag, &ips)
        }
    }

    /// The facts that rows make, and the rows that facts make, are the same.
    #[test]
    fn entries_say_what_was_remembered() {
        let facts = mk_facts();
        let settings = Settings { own: "web".into(), class: None, ignore_exclude_lb: false };
        let mut snapshot = Snapshot::new(settings);
        let (mut objects, mut pods, mut cordoned) =
            (ConfigObjects::default(), BTreeMap::new(), None);
        for (topic, message) in facts.clone().entries() {
            assert!(topic.watch().is_some(), "{topic:?}");
            let change = match message {
                Message::Service(key, row) => Change::Service(key, row.map(|row| *row)),
                Message::Slice(key, row) => Change::Slice(key, row),
                Message::Node(name, Some(row)) => {
                    cordoned = row.cordoned.then(|| name.clone());
                    Change::Node(name, Some(row.node))
                }
                Message::Namespace(name, Some(row)) => {
                    objects.namespaces.insert(name, row);
                    continue;
                }
                Message::Pool(name, Some(pool)) => {
                    objects.pools.insert(name, *pool);
                    continue;
                }
                Message::L2Advertisement(name, Some(it)) => {
                    objects.l2_advertisements.insert(name, *it);
                    continue;
                }
                Message::Pod(name, Some(row)) => {
                    pods.insert(name, row);
                    continue;
                }
                other => panic!("{other:?}"),
            };
            let _ = snapshot.apply(change);
        }
        let cordoned = cordoned.as_ref();
        let known = Known { snapshot: &snapshot, objects: &objects, pods: &pods, cordoned };
        let text = serde_json::to_string(&known).unwrap();
        assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts);
    }

    #[test]
    fn a_service_without_address_is_not_remembered() {
        assert_eq!(mk_facts_of("web", true, &[]).services(), 0);
    }
}
