//! Services as their authors may write them, a field a line and an empty line between two: nobody is
//! given an address that another one was given, unless both agreed to share it, none from a pool that is
//! not for them, and the address of a node only to who names it. Lines that begin with `@` are such
//! addresses.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ferrolb_api::IPAddressPool;
use ferrolb_controller::{Change, Effect, Ledger, Options, Row};
use ferrolb_fuzz::set;
use ferrolb_ipam::{NodeName, ServiceKey};
use ferrolb_kube_rt::{ObjectKey, rows};
use ferrolb_model::{Change as Fact, Settings, Snapshot};
use k8s_openapi::api::core::v1::{Node, Service};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// Services at a time.
const MOST: usize = 6;
/// Decisions that so many may cost.
const STEPS: usize = 1000;

/// Where a line goes, by its first character.
const FIELDS: [(char, &str); 17] = [
    ('a', "/metadata/annotations/metallb.io~1loadBalancerIPs"),
    ('b', "/metadata/annotations/metallb.universe.tf~1loadBalancerIPs"),
    ('c', "/metadata/annotations/metallb.io~1allow-shared-ip"),
    ('d', "/metadata/annotations/metallb.io~1address-pool"),
    ('e', "/metadata/annotations/metallb.universe.tf~1address-pool"),
    ('f', "/metadata/annotations/metallb.io~1ip-allocated-from-pool"),
    ('g', "/metadata/labels/app"),
    ('h', "/spec/loadBalancerIP"),
    ('i', "/spec/clusterIPs/-"),
    ('j', "/spec/ipFamilyPolicy"),
    ('k', "/spec/ipFamilies/-"),
    ('l', "/spec/ports/-/port"),
    ('m', "/spec/externalTrafficPolicy"),
    ('n', "/spec/selector/app"),
    ('o', "/status/loadBalancer/ingress/-/ip"),
    ('p', "/status/loadBalancer/ingress/-/hostname"),
    ('q', "/spec/loadBalancerClass"),
];

/// Of these, those that name addresses.
const NAMES_ADDRESSES: [char; 4] = ['a', 'b', 'h', 'o'];

fuzz_target!(|text: &str| {
    let mut ledger = Ledger::new(Options::default());
    for (name, spec) in [
        ("lan", json!({ "addresses": ["192.0.2.0/30", "2001:db8::/126"] })),
        (
            "denied",
            json!({
                "addresses": ["198.51.100.0/30"],
                "serviceAllocation": { "namespaces": ["elsewhere"] },
            }),
        ),
    ] {
        let pool = json!({ "metadata": { "name": name }, "spec": spec });
        let pool: IPAddressPool = serde_json::from_value(pool).expect("a pool");
        ledger.apply(Change::Pool(name.to_owned(), Some(Box::new(pool))));
    }
    let mut snapshot = Snapshot::new(Settings {
        own: NodeName::from("n1"),
        class: None,
        ignore_exclude_lb: false,
    });
    let nodes = read_node(text, &mut ledger, &mut snapshot);
    let mut sharing: BTreeMap<ServiceKey, Option<String>> = BTreeMap::new();
    let mut asking: BTreeSet<ServiceKey> = BTreeSet::new();
    for (number, block) in text.split("\n\n").take(MOST).enumerate() {
        let name = format!("s{number}");
        let Ok(object) = serde_json::from_value::<Service>(read(block, &name)) else { continue };
        let Some(service) = rows::service(&ObjectKey::new("default", name.as_str()), object) else {
            continue;
        };
        let key = service.key.clone();
        sharing.insert(key.clone(), service.annotations.allow_shared_ip.clone());
        if block.lines().any(|line| line.starts_with(NAMES_ADDRESSES)) {
            asking.insert(key.clone());
        }
        let change = Fact::Service(key, Some(service.clone()));
        for key in snapshot.apply(change) {
            snapshot.refresh(&key);
        }
        ledger.apply(Change::Service(Box::new(Row::from(service))));
    }
    let mut given: BTreeMap<ServiceKey, Vec<IpAddr>> = BTreeMap::new();
    let mut steps = 0;
    while let Some(effects) = ledger.step() {
        steps += 1;
        assert!(steps < STEPS, "no end");
        for effect in effects {
            if let Effect::Write(write) = effect
                && let Some(balancer) = write.balancer
            {
                let pool = balancer.pool.as_ref().map(|pool| pool.as_str());
                assert_ne!(pool, Some("denied"), "{}", write.key);
                given.insert(write.key, balancer.addresses);
            }
        }
    }
    let mut owners: BTreeMap<IpAddr, &ServiceKey> = BTreeMap::new();
    for (key, address) in given.iter().flat_map(|(key, all)| all.iter().map(move |ip| (key, *ip))) {
        assert!(asking.contains(key) || !nodes.contains(&address), "{address} for {key}");
        if let Some(other) = owners.insert(address, key) {
            let agreed = sharing[key].is_some() && sharing[key] == sharing[other];
            assert!(agreed, "{address} for {key} and {other}");
        }
    }
});

/// A node with all of the addresses that are told of; returns them.
fn read_node(text: &str, ledger: &mut Ledger, snapshot: &mut Snapshot) -> BTreeSet<IpAddr> {
    let told = text.lines().filter_map(|line| line.strip_prefix('@'));
    let addresses: Vec<_> =
        told.map(|address| json!({ "type": "InternalIP", "address": address })).collect();
    let object = json!({ "metadata": { "name": "n1" }, "status": { "addresses": addresses } });
    let object: Node = serde_json::from_value(object).expect("a node");
    let node = rows::node(&ObjectKey::new("", "n1"), object).expect("every node counts");
    for key in snapshot.apply(Fact::Node("n1".into(), Some(node.clone()))) {
        snapshot.refresh(&key);
    }
    ledger.apply(Change::Node("n1".into(), Some(node.clone())));
    node.addresses
}

fn read(block: &str, name: &str) -> Value {
    let mut service = json!({
        "metadata": { "name": name, "namespace": "default", "uid": name, "resourceVersion": "1" },
        "spec": { "type": "LoadBalancer", "clusterIPs": ["10.0.0.1"] },
    });
    for line in block.lines() {
        let mut rest = line.chars();
        let found = rest.next().and_then(|key| FIELDS.iter().find(|(known, _)| *known == key));
        let Some((_, path)) = found else { continue };
        let text = rest.as_str();
        let value = match text.parse::<i32>() {
            Ok(number) if path.ends_with("/port") => number.into(),
            _ => Value::from(text),
        };
        set(&mut service, path, value);
    }
    service
}
