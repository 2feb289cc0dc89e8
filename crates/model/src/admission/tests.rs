//! Rows H-01 to H-24 of `controller.md` 7.10, upstream's webhook cases WH-01 to WH-19, and what we
//! add. Upstream's rows ask whether a validator sees the right objects; here the same is asked by
//! what that validator finds.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::fixture::{mk_node, mk_objects};

const NAMESPACE: &str = "metallb-system";

/// What exists, and who holds addresses of which pool.
struct Stage {
    config: ConfigObjects,
    nodes: BTreeMap<NodeName, Node>,
    holders: Vec<(&'static str, Holder)>,
}

fn mk_stage(written: &Value) -> Stage {
    Stage { config: mk_objects(written), nodes: BTreeMap::new(), holders: Vec::new() }
}

impl Stage {
    fn nodes(mut self, names: &[&str]) -> Self {
        self.nodes = names.iter().map(|name| ((*name).into(), mk_node(name))).collect();
        self
    }

    fn holder(mut self, pool: &'static str, service: &str, address: &str) -> Self {
        let service = ServiceKey::new("test", service);
        self.holders.push((pool, Holder { service, addresses: vec![address.parse().unwrap()] }));
        self
    }

    fn ask(&self, request: &Request) -> Response {
        let holders = |pool: &PoolName| -> Vec<Holder> {
            let of_pool = self.holders.iter().filter(|(name, _)| *name == pool.as_str());
            of_pool.map(|(_, holder)| holder.clone()).collect()
        };
        let objects = Objects {
            namespace: NAMESPACE,
            config: &self.config,
            nodes: &self.nodes,
            holders: &holders,
        };
        validate(&objects, request)
    }

    fn create(&self, kind: Kind, name: &str, spec: &Value) -> Response {
        self.ask(&mk_request(Operation::Create, kind, name, None, Some(spec)))
    }

    fn update(&self, kind: Kind, name: &str, old: &Value, new: &Value) -> Response {
        self.ask(&mk_request(Operation::Update, kind, name, Some(old), Some(new)))
    }

    fn delete(&self, kind: Kind, name: &str, old: &Value) -> Response {
        self.ask(&mk_request(Operation::Delete, kind, name, Some(old), None))
    }
}

fn mk_object(kind: Kind, name: &str, spec: &Value) -> Object {
    let object = json!({
        "apiVersion": if kind == Kind::BgpPeer { "metallb.io/v1beta2" } else { "metallb.io/v1beta1" },
        "kind": kind.to_string(),
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": spec,
    });
    Object::read(kind, object).unwrap()
}

fn mk_request(
    operation: Operation,
    kind: Kind,
    name: &str,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Request {
    Request {
        kind,
        operation,
        namespace: NAMESPACE.to_owned(),
        name: name.to_owned(),
        old: old.map(|spec| mk_object(kind, name, spec)),
        new: new.map(|spec| mk_object(kind, name, spec)),
    }
}

/// One valid object of each kind, that stands in the others' way as little as possible.
fn mk_valid(kind: Kind, number: u8) -> Value {
    match kind {
        Kind::IpAddressPool => json!({ "addresses": [format!("10.0.{number}.0/24")] }),
        Kind::L2Advertisement => json!({ "interfaces": [format!("eth{number}")] }),
        Kind::BgpAdvertisement => json!({ "communities": [format!("65000:{number}")] }),
        Kind::BgpPeer => {
            json!({ "myASN": 64500, "peerASN": 64501, "peerAddress": format!("10.1.0.{number}") })
        }
        Kind::BfdProfile => json!({ "detectMultiplier": 10 + number }),
        Kind::Community => {
            json!({ "communities": [{ "name": format!("c{number}"), "value": "1:1" }] })
        }
    }
}

/// An object that cannot stand beside `mk_valid(kind, 1)`, or by itself.
fn mk_invalid(kind: Kind) -> Value {
    match kind {
        Kind::IpAddressPool => json!({ "addresses": ["10.0.1.7-10.0.1.9"] }),
        Kind::L2Advertisement => json!({ "ipAddressPools": ["a", "a"] }),
        Kind::BgpAdvertisement => json!({ "localPref": 100, "peers": ["p", "p"] }),
        Kind::BgpPeer => json!({ "myASN": 64500, "peerASN": 64501, "peerAddress": "10.1.0.1" }),
        Kind::BfdProfile => json!({ "detectMultiplier": 1 }),
        Kind::Community => json!({ "communities": [{ "name": "c1", "value": "2:2" }] }),
    }
}

fn list_of(kind: Kind) -> &'static str {
    match kind {
        Kind::IpAddressPool => "pools",
        Kind::L2Advertisement => "advertisements",
        Kind::BgpAdvertisement => "bgp",
        Kind::BgpPeer => "peers",
        Kind::BfdProfile => "profiles",
        Kind::Community => "communities",
    }
}

fn mk_existing(kind: Kind) -> Stage {
    mk_stage(&json!({ list_of(kind): { "one": mk_valid(kind, 1), "two": mk_valid(kind, 2) } }))
}

#[rstest]
#[case::h_03_bgp_advertisement(Kind::BgpAdvertisement)]
#[case::h_07_community(Kind::Community)]
#[case::h_11_x_11_l2_advertisement(Kind::L2Advertisement)]
#[case::h_15_pool(Kind::IpAddressPool)]
#[case::h_19_peer(Kind::BgpPeer)]
#[case::profile(Kind::BfdProfile)]
fn another_one_is_let_in(#[case] kind: Kind) {
    assert_eq!(mk_existing(kind).create(kind, "three", &mk_valid(kind, 3)).denied, None);
}

#[rstest]
#[case::h_04_bgp_advertisement(Kind::BgpAdvertisement)]
#[case::h_08_community(Kind::Community)]
#[case::h_12_x_11_l2_advertisement(Kind::L2Advertisement)]
#[case::h_16_pool(Kind::IpAddressPool)]
#[case::h_20_peer(Kind::BgpPeer)]
#[case::profile(Kind::BfdProfile)]
fn an_update_is_not_judged_beside_the_old_version(#[case] kind: Kind) {
    // What only the old version of the object itself stands against.
    let mut new = mk_valid(kind, 1);
    new.as_object_mut().unwrap().extend(
        match kind {
            Kind::IpAddressPool => json!({ "addresses": ["10.0.1.0/25"] }),
            Kind::BgpPeer => json!({ "bfdProfile": "" , "holdTime": "9s" }),
            Kind::Community => json!({ "communities": [{ "name": "c1", "value": "7:7" }] }),
            Kind::BfdProfile => json!({ "passiveMode": true }),
            _ => json!({ "nodeSelectors": [{}] }),
        }
        .as_object()
        .unwrap()
        .clone(),
    );
    let response = mk_existing(kind).update(kind, "one", &mk_valid(kind, 1), &new);
    assert_eq!(response.denied, None);
}

#[rstest]
#[case::h_05_bgp_advertisement(Kind::BgpAdvertisement)]
#[case::h_09_community(Kind::Community)]
#[case::h_13_l2_advertisement(Kind::L2Advertisement)]
#[case::h_17_pool(Kind::IpAddressPool)]
#[case::h_21_peer(Kind::BgpPeer)]
#[case::profile(Kind::BfdProfile)]
fn an_invalid_one_is_refused(#[case] kind: Kind) {
    let stage = mk_existing(kind);
    let (old, new) = (mk_valid(kind, 2), mk_invalid(kind));
    assert!(stage.update(kind, "two", &old, &new).denied.is_some());
    assert!(stage.create(kind, "two", &new).denied.is_some(), "by a name that exists");
    assert!(stage.create(kind, "three", &new).denied.is_some());
}

#[rstest]
#[case::h_02_wh_14_profile(Kind::BfdProfile)]
#[case::h_06_wh_17_bgp_advertisement(Kind::BgpAdvertisement)]
#[case::h_10_wh_19_community(Kind::Community)]
#[case::h_14_wh_18_l2_advertisement(Kind::L2Advertisement)]
#[case::h_18_wh_15_pool(Kind::IpAddressPool)]
#[case::h_22_wh_16_peer(Kind::BgpPeer)]
fn elsewhere_nothing_is_created(#[case] kind: Kind) {
    let stage = mk_existing(kind);
    // The namespace is told before anything else that is wrong.
    let mut request = mk_request(Operation::Create, kind, "three", None, Some(&mk_invalid(kind)));
    request.namespace = "elsewhere".to_owned();
    let why = stage.ask(&request).denied.unwrap();
    assert_eq!(why, format!("{kind}: resource must be created in metallb-system namespace"));

    request.operation = Operation::Update;
    assert_eq!(stage.ask(&request), Response::default());
    request.operation = Operation::Delete;
    assert_eq!(stage.ask(&request), Response::default());
}

#[rstest]
#[case::h_23_wh_05_to_06_create(Operation::Create)]
#[case::h_24_update(Operation::Update)]
fn peers_are_judged_by_the_nodes_there_are(#[case] operation: Operation) {
    let mk_peer = |node: &str| {
        json!({
            "myASN": 64500, "peerASN": 64500, "peerAddress": "10.200.200.1",
            "nodeSelectors": [{ "matchLabels": { "name": node } }],
        })
    };
    let stage = mk_stage(&json!({ "peers": { "one": mk_peer("a"), "two": mk_peer("b") } }));
    let ask = |stage: &Stage, node: &str| {
        let old = mk_peer("b");
        let name = if operation == Operation::Create { "three" } else { "two" };
        let new = mk_peer(node);
        stage.ask(&mk_request(operation, Kind::BgpPeer, name, Some(&old), Some(&new))).denied
    };
    // Without nodes, nothing tells them apart.
    assert!(ask(&stage, "c").is_some());
    let stage = stage.nodes(&["a", "b", "c"]);
    assert_eq!(ask(&stage, "c"), None);
    assert_eq!(
        ask(&stage, "a").unwrap(),
        format!(
            "BGPPeer {}: a peer with address 10.200.200.1 already exists on node a: BGPPeer one",
            if operation == Operation::Create { "three" } else { "two" },
        )
    );
}

#[rstest]
fn h_01_wh_13_a_profile_in_use_stays() {
    let mut peer = mk_valid(Kind::BgpPeer, 1);
    peer["bfdProfile"] = json!("fast");
    let stage = mk_stage(&json!({ "profiles": { "fast": {} }, "peers": { "p": peer } }));
    let denied = stage.delete(Kind::BfdProfile, "fast", &json!({})).denied.unwrap();
    assert_eq!(denied, "failed to delete BFDProfile fast: used by BGPPeer p");
    assert_eq!(stage.delete(Kind::BfdProfile, "slow", &json!({})), Response::default());
    assert_eq!(stage.delete(Kind::BgpPeer, "p", &json!({})), Response::default());
}

#[rstest]
#[case::wh_01_overlap(
    Kind::IpAddressPool, json!({ "addresses": ["1.1.1.15-1.1.1.20"] }),
    Some("1.1.1.15-1.1.1.20 overlaps with already defined CIDR 1.1.1.1-1.1.1.100 of address pool first")
)]
#[case::wh_01_beside(Kind::IpAddressPool, json!({ "addresses": ["1.1.1.101-1.1.1.200"] }), None)]
#[case::wh_02_aggregate(
    Kind::BgpAdvertisement, json!({ "aggregationLength": 26, "ipAddressPools": ["narrow"] }),
    Some("invalid aggregation length 26: prefix 28 in this pool is more specific than the \
          aggregation length for addresses 1.1.2.0/28")
)]
#[case::wh_03_exclusive(
    Kind::BgpAdvertisement, json!({ "aggregationLength": 24, "serviceSelectors": [{}] }),
    Some("mutually exclusive")
)]
#[case::wh_04_address(
    Kind::BgpPeer, json!({ "myASN": 1000, "peerASN": 64500, "peerAddress": "1.1.1" }),
    Some("invalid BGPPeer address")
)]
#[case::wh_07_wh_09_section(
    Kind::Community, json!({ "communities": [{ "name": "INVALID", "value": "99999999:1" }] }),
    Some("invalid community value: invalid section")
)]
#[case::wh_08_wh_10_marker(
    Kind::Community, json!({ "communities": [{ "name": "INVALID", "value": "lar:123:9999:123" }] }),
    Some("expected community to be of format large")
)]
#[case::wh_11_twice_in_one(
    Kind::Community,
    json!({ "communities": [{ "name": "D", "value": "1:2" }, { "name": "D", "value": "1:2" }] }),
    Some("duplicate definition of community")
)]
#[case::wh_12_twice_in_two(
    Kind::Community, json!({ "communities": [{ "name": "DUP", "value": "large:123:9999:123" }] }),
    Some("duplicate definition of community \"DUP\" (Community known has it)")
)]
fn upstream_refuses(#[case] kind: Kind, #[case] spec: Value, #[case] expected: Option<&str>) {
    let stage = mk_stage(&json!({
        "pools": {
            "first": { "addresses": ["1.1.1.1-1.1.1.100"] },
            "narrow": { "addresses": ["1.1.2.0/28"] },
        },
        "communities": { "known": { "communities": [{ "name": "DUP", "value": "1:1" }] } },
    }));
    for response in
        [stage.create(kind, "new", &spec), stage.update(kind, "new", &mk_valid(kind, 7), &spec)]
    {
        match (response.denied, expected) {
            (Some(denied), Some(expected)) => assert!(denied.contains(expected), "{denied}"),
            (denied, expected) => assert_eq!(denied.as_deref(), expected),
        }
    }
}

/// Upstream parses all objects of the kind, so one that slipped in blocks every other.
#[rstest]
#[case::pool(Kind::IpAddressPool)]
#[case::l2_advertisement(Kind::L2Advertisement)]
#[case::bgp_advertisement(Kind::BgpAdvertisement)]
#[case::peer(Kind::BgpPeer)]
#[case::profile(Kind::BfdProfile)]
#[case::community(Kind::Community)]
fn an_invalid_object_blocks_no_other(#[case] kind: Kind) {
    let stage = mk_stage(&json!({
        list_of(kind): { "one": mk_valid(kind, 1), "bad": mk_invalid(kind), "worse": mk_broken(kind) },
    }));
    assert_eq!(stage.create(kind, "three", &mk_valid(kind, 3)).denied, None);
    assert!(stage.create(kind, "four", &mk_broken(kind)).denied.is_some());
    assert_eq!(stage.delete(kind, "bad", &mk_invalid(kind)).denied, None);
}

fn mk_broken(kind: Kind) -> Value {
    match kind {
        Kind::IpAddressPool => json!({ "addresses": ["10.0.0.0/99"] }),
        Kind::BgpPeer => json!({ "myASN": 0 }),
        Kind::BfdProfile => json!({ "minimumTtl": 255 }),
        Kind::Community => json!({ "communities": [{ "name": "c9", "value": "x" }] }),
        _ => {
            json!({ "nodeSelectors": [{ "matchExpressions": [{ "key": "a", "operator": "Is" }] }] })
        }
    }
}

#[rstest]
fn what_does_not_change_the_spec_is_let_through() {
    let bad = mk_invalid(Kind::IpAddressPool);
    let stage =
        mk_stage(&json!({ "pools": { "one": mk_valid(Kind::IpAddressPool, 1), "bad": bad } }));
    assert_eq!(stage.update(Kind::IpAddressPool, "bad", &bad, &bad), Response::default());

    let mut request = mk_request(Operation::Update, Kind::IpAddressPool, "bad", None, Some(&bad));
    assert!(stage.ask(&request).denied.is_some());
    let Some(Object::IpAddressPool(new)) = &mut request.new else { panic!("a pool") };
    new.metadata.deletion_timestamp =
        serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(stage.ask(&request), Response::default());
}

/// T242 to T249: each peer is a list of the nodes its selectors name, none for every node.
#[rstest]
#[case::t_242_disjoint(&["a", "b"], &[Some("a"), Some("b")], true)]
#[case::t_243_overlap(&["a", "b"], &[Some("a"), Some("a")], false)]
#[case::t_244_one_for_all(&["a", "b"], &[Some("a"), None], false)]
#[case::t_245_no_nodes_known(&[], &[Some("a"), Some("b")], false)]
#[case::t_246_three_disjoint(&["a", "b", "c"], &[Some("a"), Some("b"), Some("c")], true)]
#[case::t_247_third_overlaps_first(&["a", "b"], &[Some("a"), Some("b"), Some("a")], false)]
#[case::t_248_alternatives_disjoint(&["a", "b", "c", "d"], &[Some("a b"), Some("c d")], true)]
#[case::t_249_alternatives_overlap(&["a", "b", "c"], &[Some("a b"), Some("b c")], false)]
fn peers_with_one_address(
    #[case] nodes: &[&str],
    #[case] peers: &[Option<&str>],
    #[case] accepted: bool,
) {
    let mk_peer = |nodes: Option<&str>| {
        let names = nodes.iter().flat_map(|nodes| nodes.split(' '));
        let selectors: Vec<Value> =
            names.map(|name| json!({ "matchLabels": { "name": name } })).collect();
        json!({
            "myASN": 100, "peerASN": 200, "peerAddress": "10.0.0.1", "nodeSelectors": selectors,
        })
    };
    let (last, before) = peers.split_last().unwrap();
    let existing: serde_json::Map<String, Value> =
        (0..).zip(before).map(|(n, peer)| (format!("p{n}"), mk_peer(*peer))).collect();
    let stage = mk_stage(&json!({ "peers": existing })).nodes(nodes);
    assert_eq!(stage.create(Kind::BgpPeer, "last", &mk_peer(*last)).denied.is_none(), accepted);
}

/// The older of two peers would win while running; asked for, the change is refused all the same.
#[rstest]
fn an_old_object_cannot_take_what_a_young_one_has() {
    let at = |time: &str, address: &str| {
        json!({
            "metadata": { "creationTimestamp": time },
            "addresses": [address],
        })
    };
    let stage = mk_stage(&json!({ "pools": {
        "old": at("2020-01-01T00:00:00Z", "10.0.0.0/24"),
        "young": at("2026-01-01T00:00:00Z", "10.0.1.0/24"),
    } }));
    let old = json!({ "addresses": ["10.0.0.0/24"] });
    let new = json!({ "addresses": ["10.0.0.0/23"] });
    assert!(stage.update(Kind::IpAddressPool, "old", &old, &new).denied.is_some());
}

mod warned;
