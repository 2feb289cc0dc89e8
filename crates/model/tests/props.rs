//! Whatever happens in whatever order: the verdicts kept by refreshing only affected Services equal
//! those of a snapshot that was told the final state at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_addr::Family;
use ferrolb_ipam::{NodeName, ServiceKey};
use ferrolb_model::verdict::EXCLUDE_LABEL;
use ferrolb_model::{
    Change, Config, ConfigObjects, EndpointSlice, Ingress, IpFamilyPolicy, Labels, Lack, Lacks,
    Members, Node, Service, ServiceAnnotations, Settings, SliceKey, Snapshot, bgp, decide,
    decide_bgp,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

const NODES: [&str; 4] = ["n0", "n1", "n2", "n3"];
const SERVICES: [&str; 5] = ["s0", "s1", "s2", "s3", "s4"];
const SLICES: [&str; 6] = ["e0", "e1", "e2", "e3", "e4", "e5"];
const ADDRESSES: [&str; 7] =
    ["10.0.0.1", "10.0.0.200", "10.0.1.1", "2001:db8::1", "2001:db8::2", "10.9.9.9", "nonsense"];

#[derive(Clone, Debug)]
enum Event {
    Change(Change),
    Config(ConfigObjects),
    /// Decides about everything that is due.
    Drain,
}

/// The facts of a cluster, newest version of each.
#[derive(Default)]
struct Facts {
    services: BTreeMap<ServiceKey, Service>,
    slices: BTreeMap<SliceKey, EndpointSlice>,
    nodes: BTreeMap<NodeName, Node>,
    config: Option<Arc<Config>>,
    members: Members,
    lacks: Lacks,
}

impl Facts {
    fn take(&mut self, change: &Change) {
        match change.clone() {
            Change::Service(key, row) => put(&mut self.services, key, row),
            Change::Slice(key, row) => put(&mut self.slices, key, row),
            Change::Node(name, row) => put(&mut self.nodes, name, row),
            Change::Config(config) => self.config = Some(config),
            Change::Members(members) => self.members = members,
            Change::Lacks(lacks) => self.lacks = lacks,
        }
    }

    fn snapshot(&self, settings: &Settings) -> Snapshot {
        let services =
            self.services.iter().map(|(key, row)| Change::Service(key.clone(), Some(row.clone())));
        let slices =
            self.slices.iter().map(|(key, row)| Change::Slice(key.clone(), Some(row.clone())));
        let nodes =
            self.nodes.iter().map(|(key, row)| Change::Node(key.clone(), Some(row.clone())));
        let config = self.config.iter().cloned().map(Change::Config);
        let members = Change::Members(self.members.clone());
        let lacks = Change::Lacks(self.lacks.clone());
        let mut snapshot = Snapshot::new(settings.clone());
        for change in config.chain([members, lacks]).chain(nodes).chain(slices).chain(services) {
            let _ = snapshot.apply(change);
        }
        snapshot
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Addresses, application, (local traffic, shared address), (not ours by type, by class).
type ServiceRow = (Vec<&'static str>, &'static str, [bool; 2], [bool; 2]);

fn service() -> impl Strategy<Value = Change> {
    let row = (
        prop_oneof![
            4 => subsequence(ADDRESSES[..5].to_vec(), 1),
            1 => subsequence(ADDRESSES.to_vec(), 0..=2),
        ],
        select(vec!["web", "db"]),
        prop::array::uniform2(prop::bool::weighted(0.25)),
        prop::array::uniform2(prop::bool::weighted(0.05)),
    );
    let mk_row = |name: &'static str,
                  (addresses, app, [local, shared], [plain, classy]): ServiceRow| {
        Service {
            key: ServiceKey::new("test", name),
            uid: name.into(),
            resource_version: "1".into(),
            labels: labels(&[("app", app)]),
            annotations: ServiceAnnotations {
                allow_shared_ip: shared.then(String::new),
                ..ServiceAnnotations::default()
            },
            is_load_balancer: !plain,
            class: classy.then(|| "other".into()),
            cluster_ips: Vec::new(),
            primary_family: Family::V4,
            ip_family_policy: IpFamilyPolicy::SingleStack,
            load_balancer_ip: None,
            ports: Vec::new(),
            local_traffic_only: local,
            selector: Labels::new(),
            ingress: addresses
                .into_iter()
                .map(|ip| Ingress { ip: Some(ip.to_owned()), hostname: None })
                .collect(),
        }
    };
    (select(SERVICES.to_vec()), prop::option::weighted(0.9, row)).prop_map(move |(name, row)| {
        Change::Service(ServiceKey::new("test", name), row.map(|row| mk_row(name, row)))
    })
}

fn slice() -> impl Strategy<Value = Change> {
    let row = (select(SERVICES.to_vec()), any::<bool>(), subsequence(NODES.to_vec(), 0..=4));
    (select(SLICES.to_vec()), prop::option::weighted(0.9, row)).prop_map(|(name, row)| {
        let key = SliceKey { namespace: "test".into(), name: name.into() };
        let row = row.map(|(service, elsewhere, nodes)| EndpointSlice {
            key: key.clone(),
            service: ServiceKey::new("test", service),
            can_serve: elsewhere || !nodes.is_empty(),
            nodes: nodes.into_iter().map(NodeName::from).collect(),
        });
        Change::Slice(key, row)
    })
}

fn node() -> impl Strategy<Value = Change> {
    let flags = prop::array::uniform2(prop::bool::weighted(0.3));
    let row = (select(vec!["a", "b"]), select(vec!["", "yes"]), flags);
    (select(NODES.to_vec()), prop::option::weighted(0.9, row)).prop_map(|(name, row)| {
        let row = row.map(|(zone, unrelated, [excluded, network_unavailable])| {
            let mut labels = labels(&[("zone", zone), ("unrelated", unrelated)]);
            if excluded {
                labels.extend([(EXCLUDE_LABEL.to_owned(), String::new())]);
            }
            let addresses = BTreeSet::<IpAddr>::new();
            Node { name: name.into(), labels, network_unavailable, addresses }
        });
        Change::Node(name.into(), row)
    })
}

fn members() -> impl Strategy<Value = Change> {
    prop::option::weighted(0.8, subsequence(NODES.to_vec(), 0..=4)).prop_map(|names| {
        Change::Members(names.map_or(Members::Unknown, |names| {
            Members::Known(names.into_iter().map(NodeName::from).collect())
        }))
    })
}

#[expect(clippy::unwrap_used, reason = "the networks are written here")]
fn lacks() -> impl Strategy<Value = Change> {
    let all = vec![
        Lack::NODE,
        Lack::interface("eth0"),
        Lack::interface("eth1"),
        Lack::network("10.0.0.0/25".parse().unwrap()),
        Lack::network("2001:db8::/64".parse().unwrap()),
    ];
    let of_one = subsequence(all, 1..=3).prop_map(|lacks| lacks.into_iter().collect());
    let node = select(NODES.to_vec()).prop_map(NodeName::from);
    prop::collection::btree_map(node, of_one, 0..=4).prop_map(Change::Lacks)
}

#[expect(clippy::unwrap_used, reason = "the objects are written here")]
fn config() -> impl Strategy<Value = ConfigObjects> {
    let addresses = select(vec![
        json!(["10.0.0.0/24"]),
        json!(["10.0.0.0/25", "2001:db8::/64"]),
        json!(["10.0.0.128/25", "10.0.1.0/24"]),
        json!(["2001:db8::2/127", "10.0.1.0/24"]),
        json!(["10.0.0.0/33", "10.0.0.0/23"]),
    ]);
    let pools = prop::collection::btree_map(select(vec!["p0", "p1"]), addresses, 1..=2);
    let zone = |zone: &str| json!({ "matchLabels": { "zone": zone } });
    let spec = (
        select(vec![json!([]), json!(["p0"]), json!(["p1"]), json!(["p0", "ghost"])]),
        select(vec![json!([]), json!([zone("a")]), json!([zone("a"), zone("b")])]),
        select(vec![json!([]), json!(["eth0"]), json!(["eth1"])]),
        select(vec![
            json!([]),
            json!([]),
            json!([{ "matchLabels": { "app": "web" } }]),
            json!([{ "matchExpressions": [{ "key": "app", "operator": "Is" }] }]),
        ]),
        select(vec![json!([]), json!([{ "weight": 10, "preference": zone("b") }])]),
    )
        .prop_map(|(pools, nodes, interfaces, services, preferences)| {
            json!({
                "ipAddressPools": pools, "nodeSelectors": nodes, "interfaces": interfaces,
                "serviceSelectors": services, "preferredNodeSelectors": preferences,
            })
        });
    let advertisements = prop::collection::btree_map(select(vec!["a0", "a1", "a2"]), spec, 0..=3);
    let bgp = (
        select(vec![json!([]), json!(["p0"]), json!(["p1"])]),
        select(vec![json!([]), json!([zone("a")]), json!([zone("b")])]),
        select(vec![json!([]), json!([]), json!([{ "matchLabels": { "app": "web" } }])]),
        select(vec![24, 32]),
        select(vec![0, 0, 100]),
        select(vec![json!([]), json!(["65000:1"]), json!(["unknown"])]),
    )
        .prop_map(|(pools, nodes, services, length, local_pref, communities)| {
            json!({
                "ipAddressPools": pools, "nodeSelectors": nodes, "serviceSelectors": services,
                "aggregationLength": length, "localPref": local_pref, "communities": communities,
            })
        });
    let bgp = prop::collection::btree_map(select(vec!["b0", "b1", "b2"]), bgp, 0..=3);
    (pools, advertisements, bgp).prop_map(|(pools, advertisements, bgp)| {
        let object = |kind: &str, name: &str, spec: Value| {
            json!({
                "apiVersion": "metallb.io/v1beta1", "kind": kind,
                "metadata": { "name": name }, "spec": spec,
            })
        };
        let pool = |(name, addresses): (&str, Value)| {
            let written = object("IPAddressPool", name, json!({ "addresses": addresses }));
            (name.to_owned(), serde_json::from_value(written).unwrap())
        };
        let advertisement = |(name, spec): (&str, Value)| {
            let written = object("L2Advertisement", name, spec);
            (name.to_owned(), serde_json::from_value(written).unwrap())
        };
        let bgp_advertisement = |(name, spec): (&str, Value)| {
            let written = object("BGPAdvertisement", name, spec);
            (name.to_owned(), serde_json::from_value(written).unwrap())
        };
        ConfigObjects {
            bgp_advertisements: bgp.into_iter().map(bgp_advertisement).collect(),
            pools: pools.into_iter().map(pool).collect(),
            l2_advertisements: advertisements.into_iter().map(advertisement).collect(),
            ..ConfigObjects::default()
        }
    })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => service().prop_map(Event::Change),
        3 => slice().prop_map(Event::Change),
        3 => node().prop_map(Event::Change),
        2 => members().prop_map(Event::Change),
        2 => lacks().prop_map(Event::Change),
        2 => config().prop_map(Event::Config),
        3 => Just(Event::Drain),
    ]
}

/// Services with endpoints and nodes to begin with, so that most events find something to alter.
fn beginning() -> impl Strategy<Value = Vec<Event>> {
    let many = |events: BoxedStrategy<Event>, count: usize| prop::collection::vec(events, count);
    (
        many(config().prop_map(Event::Config).boxed(), 1),
        many(node().prop_map(Event::Change).boxed(), 6),
        many(slice().prop_map(Event::Change).boxed(), 8),
        many(service().prop_map(Event::Change).boxed(), 8),
    )
        .prop_map(|(config, nodes, slices, services)| {
            [config, nodes, slices, services].into_iter().flatten().collect()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn kept_verdicts_equal_fresh_ones(
        own in select(NODES.to_vec()),
        ignore_exclude_lb in any::<bool>(),
        beginning in beginning(),
        events in prop::collection::vec(event(), 1..60),
    ) {
        let settings = Settings { own: own.into(), class: None, ignore_exclude_lb };
        let mut snapshot = Snapshot::new(settings.clone());
        let (mut facts, mut due) = (Facts::default(), BTreeSet::new());
        let mut told: BTreeMap<ServiceKey, bgp::Verdict> = BTreeMap::new();
        for event in beginning.into_iter().chain(events).chain([Event::Drain]) {
            let change = match event {
                Event::Change(change) => change,
                Event::Config(objects) => {
                    let config = Config::build(&objects, facts.config.as_deref());
                    Change::Config(Arc::new(config))
                }
                Event::Drain => {
                    for key in std::mem::take(&mut due) {
                        snapshot.refresh(&key);
                        told.insert(key.clone(), decide_bgp(&snapshot, &key));
                    }
                    let fresh = facts.snapshot(&settings);
                    for name in SERVICES {
                        let key = ServiceKey::new("test", name);
                        let expected = facts.services.contains_key(&key).then(|| decide(&fresh, &key));
                        prop_assert_eq!(snapshot.verdict(&key), expected.as_ref(), "{}", key);
                        if let Some(told) = told.get(&key) {
                            prop_assert_eq!(told, &decide_bgp(&fresh, &key), "{}", key);
                        } else {
                            prop_assert!(expected.is_none(), "{}", key);
                        }
                    }
                    continue;
                }
            };
            facts.take(&change);
            due.extend(snapshot.apply(change));
        }
    }

    #[test]
    fn the_same_objects_settle(first in config(), second in config()) {
        let start = Config::build(&first, None);
        let next = Config::build(&second, Some(&start));
        prop_assert_eq!(&Config::build(&second, Some(&next)), &next);
        for pool in next.pools.values() {
            for other in next.pools.values().filter(|other| other.name != pool.name) {
                let mut pairs =
                    pool.ranges.iter().flat_map(|one| other.ranges.iter().map(move |two| (one, two)));
                prop_assert!(pairs.all(|(one, two)| !one.overlaps(two)), "{pool:?} {other:?}");
            }
        }
    }
}
