//! What a Service costs a speaker in memory, by part. The only test of its process: all of the heap
//! is counted, as the allocator counts it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ferrolb_kube_rt::{ObjectKey, rows};
use ferrolb_model::bgp::Table;
use ferrolb_model::{
    Change, Config, ConfigObjects, EndpointSlice, Members, Node, Service, Settings, Snapshot,
    decide_bgp,
};
use ferrolb_sys::heap_in_use;
use serde_json::json;

const SERVICES: usize = 5000;

#[test]
fn a_service_costs_so_much_at_most() {
    if heap_in_use().is_none() {
        eprintln!("skipped: this allocator does not count");
        return;
    }
    let (rows, cost) = counted(|| (0..SERVICES).map(mk_service).collect::<Vec<_>>());
    let (slices, slice_cost) = counted(|| (0..SERVICES).map(mk_slice).collect::<Vec<_>>());
    let mut snapshot = mk_snapshot();
    let ((), indexed) = counted(|| {
        for slice in slices {
            let _ = snapshot.apply(Change::Slice(slice.key.clone(), Some(slice)));
        }
        for service in rows {
            let _ = snapshot.apply(Change::Service(service.key.clone(), Some(service)));
        }
    });
    let keys: Vec<_> = snapshot.services().map(|service| service.key.clone()).collect();
    let ((), verdicts) = counted(|| {
        for key in &keys {
            assert!(snapshot.refresh(key).after.announcement().is_some());
        }
    });
    let mut table = Table::new();
    let ((), routes) = counted(|| {
        for key in &keys {
            let verdict = decide_bgp(&snapshot, key);
            assert_eq!(verdict.routes().len(), 1);
            table.set(key, verdict.routes().to_vec());
        }
    });
    let all = cost + slice_cost + indexed + verdicts + routes;
    eprintln!(
        "octets a Service: {all} (row {cost}, slice {slice_cost}, index {indexed}, verdict \
         {verdicts}, routes {routes})"
    );
    assert!(all < 3500, "{all}");
}

/// Runs `make`, and says by how many octets a Service the heap has grown.
fn counted<T>(make: impl FnOnce() -> T) -> (T, i64) {
    let used = || i64::try_from(heap_in_use().unwrap_or_default()).unwrap();
    let before = used();
    let made = make();
    let services = i64::try_from(SERVICES).unwrap();
    (made, (used() - before) / services)
}

fn mk_snapshot() -> Snapshot {
    let settings = Settings { own: "node1".into(), class: None, ignore_exclude_lb: false };
    let mut snapshot = Snapshot::new(settings);
    let node = Node {
        name: "node1".into(),
        labels: [("kubernetes.io/hostname".to_owned(), "node1".to_owned())].into(),
        network_unavailable: false,
        addresses: BTreeSet::new(),
    };
    let object = |kind: &str, spec| {
        json!({
            "apiVersion": "metallb.io/v1beta1", "kind": kind, "metadata": { "name": "all" },
            "spec": spec,
        })
    };
    let objects = ConfigObjects {
        pools: BTreeMap::from([(
            "all".to_owned(),
            serde_json::from_value(object(
                "IPAddressPool",
                json!({ "addresses": ["198.18.0.0/16"] }),
            ))
            .unwrap(),
        )]),
        l2_advertisements: BTreeMap::from([(
            "all".to_owned(),
            serde_json::from_value(object("L2Advertisement", json!({}))).unwrap(),
        )]),
        bgp_advertisements: BTreeMap::from([(
            "all".to_owned(),
            serde_json::from_value(object("BGPAdvertisement", json!({}))).unwrap(),
        )]),
        ..ConfigObjects::default()
    };
    let config = Config::build(&objects, None);
    assert_eq!(config.problems, []);
    let members = Members::Known([node.name.clone()].into());
    let _ = snapshot.apply(Change::Node(node.name.clone(), Some(node)));
    let _ = snapshot.apply(Change::Members(members));
    let _ = snapshot.apply(Change::Config(Arc::new(config)));
    snapshot
}

fn mk_service(number: usize) -> Service {
    let name = format!("many-{number}");
    let object = json!({
        "metadata": {
            "name": name, "namespace": "default", "resourceVersion": format!("{}", 10_000 + number),
            "uid": format!("9c6bfd60-6c1e-4dcb-8dd1-{number:012}"),
            "labels": { "app": name, "tier": "front" },
            "annotations": { "metallb.io/ip-allocated-from-pool": "all" },
        },
        "spec": {
            "type": "LoadBalancer",
            "clusterIPs": [format!("10.96.{}.{}", number / 250, number % 250)],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "ports": [{ "port": 80 }, { "port": 443 }],
            "selector": { "app": name },
        },
        "status": { "loadBalancer": {
            "ingress": [{ "ip": format!("198.18.{}.{}", number / 250, number % 250) }],
        } },
    });
    let key = ObjectKey::new("default", name);
    let row = rows::service(&key, serde_json::from_value(object).unwrap()).unwrap();
    row.without_wishes()
}

fn mk_slice(number: usize) -> EndpointSlice {
    let service = format!("many-{number}");
    let name = format!("{service}-x7k2p");
    let object = json!({
        "metadata": {
            "name": name, "namespace": "default",
            "labels": { "kubernetes.io/service-name": service },
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": ["10.244.1.10"], "nodeName": "node1" }],
    });
    let key = ObjectKey::new("default", name);
    rows::endpoint_slice(&key, serde_json::from_value(object).unwrap()).unwrap()
}
