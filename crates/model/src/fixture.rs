//! Builders for tests of this crate: a small cluster and how it is seen from a node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ferrolb_addr::Family;
use ferrolb_ipam::{NodeName, Port, ServiceKey};
use serde_json::{Value, json};

use crate::config::{Config, ConfigObjects};
use crate::rows::{
    Endpoint, EndpointSlice, Ingress, IpFamilyPolicy, Labels, Namespace, Node, Service,
    ServiceAnnotations, SliceKey,
};
use crate::snapshot::{Change, Members, Settings, Snapshot};
use crate::verdict::Verdict;

pub(crate) fn mk_labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A load balancer Service in namespace `test` with these addresses in its status.
pub(crate) fn mk_service(name: &str, addresses: &[&str]) -> Service {
    Service {
        key: mk_key(name),
        uid: format!("uid of {name}").into(),
        resource_version: "1".into(),
        labels: Labels::new(),
        annotations: ServiceAnnotations::default(),
        is_load_balancer: true,
        class: None,
        cluster_ips: vec!["172.16.0.1".to_owned()],
        primary_family: Family::V4,
        ip_family_policy: IpFamilyPolicy::SingleStack,
        load_balancer_ip: None,
        ports: vec![Port::tcp(80)],
        local_traffic_only: false,
        selector: Labels::new(),
        ingress: addresses.iter().map(|text| mk_ingress(text)).collect(),
    }
}

pub(crate) fn mk_key(name: &str) -> ServiceKey {
    ServiceKey::new("test", name)
}

pub(crate) fn mk_ingress(ip: &str) -> Ingress {
    Ingress { ip: Some(ip.to_owned()), hostname: None }
}

/// A node whose only label is its name.
pub(crate) fn mk_node(name: &str) -> Node {
    Node {
        name: name.into(),
        labels: mk_labels(&[("name", name)]),
        network_unavailable: false,
        addresses: BTreeSet::new(),
    }
}

/// A slice of Service `service` with one ready endpoint on each of `nodes`.
pub(crate) fn mk_slice(name: &str, service: &str, nodes: &[&str]) -> EndpointSlice {
    let endpoints =
        nodes.iter().map(|node| Endpoint { node: Some((*node).into()), ..Endpoint::default() });
    EndpointSlice::reduce(mk_slice_key(name), mk_key(service), endpoints)
}

pub(crate) fn mk_slice_key(name: &str) -> SliceKey {
    SliceKey { namespace: "test".into(), name: name.into() }
}

pub(crate) fn mk_members(names: &[&str]) -> Members {
    Members::Known(names.iter().map(|name| NodeName::from(*name)).collect())
}

/// Selects nodes by the label [`mk_node`] gives them.
pub(crate) fn mk_nodes_selector(names: &[&str]) -> Value {
    json!([{ "matchExpressions": [{ "key": "name", "operator": "In", "values": names }] }])
}

/// Objects from `{"pools": {name: spec}, "advertisements": {name: spec}}`, further `bgp`, `peers`,
/// `profiles` and `communities`; a key `metadata` inside a spec is the object's metadata.
pub(crate) fn mk_objects(written: &Value) -> ConfigObjects {
    ConfigObjects {
        pools: mk_kind(written, "pools", "IPAddressPool", serde_json::from_value),
        l2_advertisements: mk_kind(
            written,
            "advertisements",
            "L2Advertisement",
            serde_json::from_value,
        ),
        bgp_advertisements: mk_kind(written, "bgp", "BGPAdvertisement", serde_json::from_value),
        peers: mk_kind(written, "peers", "BGPPeer", serde_json::from_value),
        bfd_profiles: mk_kind(written, "profiles", "BFDProfile", serde_json::from_value),
        communities: mk_kind(written, "communities", "Community", serde_json::from_value),
        namespaces: BTreeMap::new(),
    }
}

pub(crate) fn mk_namespaces(rows: &[(&str, &[(&str, &str)])]) -> BTreeMap<Arc<str>, Namespace> {
    let row = |name: &str, labels| Namespace { name: name.into(), labels: mk_labels(labels) };
    rows.iter().map(|(name, labels)| (Arc::from(*name), row(name, labels))).collect()
}

fn mk_kind<K>(
    written: &Value,
    list: &str,
    kind: &str,
    read: fn(Value) -> serde_json::Result<K>,
) -> BTreeMap<String, K> {
    let objects = written.get(list).and_then(Value::as_object);
    let mk_object = |(name, spec): (&String, &Value)| {
        let mut spec = spec.clone();
        let fields = spec.as_object_mut().unwrap();
        let mut metadata = fields.remove("metadata").unwrap_or_else(|| json!({}));
        metadata["name"] = json!(name);
        let object = json!({
            "apiVersion": "metallb.io/v1beta1", "kind": kind, "metadata": metadata, "spec": spec,
        });
        (name.clone(), read(object).unwrap())
    };
    objects.into_iter().flatten().map(mk_object).collect()
}

pub(crate) fn mk_config(written: &Value) -> Arc<Config> {
    let config = Config::build(&mk_objects(written), None);
    assert_eq!(config.problems, []);
    Arc::new(config)
}

/// A cluster whose facts every node sees alike. It starts with pool `pool` of `10.20.30.0/24`
/// and `2001:db8::/64`, one Service `web` on 10.20.30.1, and no node, endpoint or advertisement.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) services: Vec<Service>,
    pub(crate) slices: Vec<EndpointSlice>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) members: Members,
    pub(crate) advertisements: Vec<Value>,
    pub(crate) class: Option<Arc<str>>,
    pub(crate) ignore_exclude_lb: bool,
}

impl Cluster {
    pub(crate) fn new(nodes: &[&str]) -> Self {
        Self {
            services: vec![mk_service("web", &["10.20.30.1"])],
            slices: Vec::new(),
            nodes: nodes.iter().map(|name| mk_node(name)).collect(),
            members: mk_members(nodes),
            advertisements: Vec::new(),
            class: None,
            ignore_exclude_lb: false,
        }
    }

    /// Changes the first Service.
    pub(crate) fn web(mut self, change: impl FnOnce(&mut Service)) -> Self {
        change(&mut self.services[0]);
        self
    }

    pub(crate) fn labelled(self, app: &str) -> Self {
        self.web(|web| web.labels = mk_labels(&[("app", app)]))
    }

    pub(crate) fn local(mut self) -> Self {
        for service in &mut self.services {
            service.local_traffic_only = true;
        }
        self
    }

    /// One more slice of `service`, with an endpoint on each of `nodes`; those marked `!` are not
    /// ready, those marked `~` are not ready but still serving.
    pub(crate) fn slice(mut self, service: &str, nodes: &[&str]) -> Self {
        let endpoints = nodes.iter().map(|marked| {
            let node = marked.trim_start_matches(['!', '~']);
            Endpoint {
                ready: Some(node == *marked),
                serving: marked.starts_with('~').then_some(true),
                node: Some(node.into()),
            }
        });
        let key = mk_slice_key(&format!("slice-{}", self.slices.len()));
        self.slices.push(EndpointSlice::reduce(key, mk_key(service), endpoints));
        self
    }

    /// A ready endpoint of `web` on each of `nodes`.
    pub(crate) fn ready(self, nodes: &[&str]) -> Self {
        self.slice("web", nodes)
    }

    pub(crate) fn advertise(mut self, spec: Value) -> Self {
        self.advertisements.push(spec);
        self
    }

    /// An advertisement that lists exactly `nodes`.
    pub(crate) fn advertise_from(self, nodes: &[&str]) -> Self {
        self.advertise(json!({ "nodeSelectors": mk_nodes_selector(nodes) }))
    }

    pub(crate) fn node(mut self, name: &str, change: impl FnOnce(&mut Node)) -> Self {
        change(self.nodes.iter_mut().find(|node| node.name.as_str() == name).unwrap());
        self
    }

    pub(crate) fn excluded(self, name: &str) -> Self {
        let label = crate::verdict::EXCLUDE_LABEL;
        self.node(name, |node| node.labels = mk_labels(&[("name", name), (label, "")]))
    }

    pub(crate) fn members(mut self, members: Members) -> Self {
        self.members = members;
        self
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        let advertisements: serde_json::Map<String, Value> = (0..)
            .zip(&self.advertisements)
            .map(|(place, spec)| (format!("ad-{place}"), spec.clone()))
            .collect();
        mk_config(&json!({
            "pools": { "pool": { "addresses": ["10.20.30.0/24", "2001:db8::/64"] } },
            "advertisements": advertisements,
        }))
    }

    /// Everything as `own` sees it, each Service decided once.
    pub(crate) fn seen_from(&self, own: &str) -> Snapshot {
        let mut snapshot = Snapshot::new(Settings {
            own: own.into(),
            class: self.class.clone(),
            ignore_exclude_lb: self.ignore_exclude_lb,
        });
        let services =
            self.services.iter().map(|row| Change::Service(row.key.clone(), Some(row.clone())));
        let slices =
            self.slices.iter().map(|row| Change::Slice(row.key.clone(), Some(row.clone())));
        let nodes = self.nodes.iter().map(|row| Change::Node(row.name.clone(), Some(row.clone())));
        let rest = [Change::Config(self.config()), Change::Members(self.members.clone())];
        for change in services.chain(slices).chain(nodes).chain(rest) {
            apply(&mut snapshot, change);
        }
        snapshot
    }

    /// The verdict of node `own` about Service `name`.
    pub(crate) fn verdict(&self, own: &str, name: &str) -> Verdict {
        crate::decide::decide(&self.seen_from(own), &mk_key(name))
    }
}

/// Applies `change`, refreshes what it returned, and returns how many verdicts that were.
pub(crate) fn apply(snapshot: &mut Snapshot, change: Change) -> usize {
    let affected = snapshot.apply(change);
    for key in &affected {
        snapshot.refresh(key);
    }
    affected.len()
}
