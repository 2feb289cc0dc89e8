//! What a Service costs a speaker in memory, by part. The heap is that of a whole process, as its
//! allocator counts it, so the test has a process of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_ipam::ServiceKey;
use ferrolb_kube_rt::metrics::{AnnouncedLabels, Registry, Shown, SpeakerMetrics};
use ferrolb_kube_rt::status::Outcome;
use ferrolb_kube_rt::{ObjectKey, rows};
use ferrolb_l2_proto::conflict::Conflicts;
use ferrolb_l2_proto::{Gratuitous, IfIndex, Interfaces, Mac, Port, Table};
use ferrolb_model::bgp;
use ferrolb_model::{
    Change, Config, ConfigObjects, EndpointSlice, Members, Node, Service, Settings, Snapshot,
    decide_bgp,
};
use ferrolb_sys::heap_in_use;
use serde_json::json;

use super::addresses;
use crate::announced::Announced;
use crate::objects::{OwnerPod, Reports, ServiceL2};
use crate::topics::Subject;
use crate::vetting::{ConflictPolicy, Role, Vetting};

const SERVICES: usize = 5000;
/// Set in the process that counts.
const ALONE: &str = "FERROLB_COUNTS_HEAP";

#[test]
fn a_service_costs_so_much_at_most() {
    if std::env::var_os(ALONE).is_some() {
        count();
        return;
    }
    let name = "owner::kept::a_service_costs_so_much_at_most";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(ALONE, "yes")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    eprintln!("{said}");
    assert!(output.status.success(), "{said}");
    assert!(said.contains("octets a Service") || heap_in_use().is_none(), "{said}");
}

fn count() {
    if heap_in_use().is_none() {
        eprintln!("skipped: this allocator does not count");
        return;
    }
    let (rows, row) = counted(|| (0..SERVICES).map(mk_service).collect::<Vec<_>>());
    let (slices, slice) = counted(|| (0..SERVICES).map(mk_slice).collect::<Vec<_>>());
    let mut snapshot = mk_snapshot();
    let ((), index) = counted(|| {
        for slice in slices {
            let _ = snapshot.apply(Change::Slice(slice.key.clone(), Some(slice)));
        }
        for service in rows {
            let _ = snapshot.apply(Change::Service(service.key.clone(), Some(service)));
        }
    });
    let keys: Vec<_> = snapshot.services().map(|service| service.key.clone()).collect();
    let ((), verdict) = counted(|| {
        for key in &keys {
            assert!(snapshot.refresh(key).after.announcement().is_some());
        }
    });
    let (_layer2, layer2) = counted(|| mk_layer2(&snapshot, &keys));
    let (_reports, reports) = counted(|| mk_reports(&snapshot, &keys));
    let (_series, series) = counted(|| mk_series(&snapshot, &keys));
    let mut table = bgp::Table::new();
    let ((), routes) = counted(|| {
        for key in &keys {
            let verdict = decide_bgp(&snapshot, key);
            assert_eq!(verdict.routes().len(), 1);
            table.set(key, verdict.routes().to_vec());
        }
    });
    let known = row + slice + index + verdict;
    let all = known + layer2 + reports + series + routes;
    eprintln!(
        "octets a Service: {all} (row {row}, slice {slice}, index {index}, verdict {verdict}, \
         Layer 2 {layer2}, report {reports}, series {series}, routes {routes})"
    );
    assert!(known < 2000, "{known}");
    assert!(all < 5000, "{all}");
}

/// Everything that is kept of an address that is answered.
fn mk_layer2(snapshot: &Snapshot, keys: &[ServiceKey]) -> impl Sized {
    let (mut announced, mut vetting) = (Announced::default(), Vetting::new(ConflictPolicy::Warn));
    let (mut table, mut schedule) =
        (Table::new(), Gratuitous::new(Some(Duration::from_mins(1)), 1));
    let (mut conflicts, mut wanted) = (Conflicts::new(1), BTreeMap::new());
    schedule.set_port(Port { index: IfIndex(1), mac: Mac([2; 6]), link_local: None });
    for key in keys {
        let announcement = snapshot.verdict(key).unwrap().announcement();
        let ips: Vec<_> = addresses(snapshot.service(key).unwrap()).collect();
        vetting.find(key.clone(), ips.iter().copied());
        let _ = vetting.review(key, &ips, Role::Own, &BTreeSet::new(), |_| false);
        assert_eq!(announced.set(key, announcement).len(), 1);
        for ip in ips {
            wanted.insert(ip, ferrolb_model::Interfaces::All);
            table.set(ip, Interfaces::All);
            schedule.own(ip, Interfaces::All);
            conflicts.watch(Duration::ZERO, ip, Interfaces::All);
        }
    }
    (announced, vetting, table, schedule, conflicts, wanted)
}

/// Everything that is kept of what is reported.
fn mk_reports(snapshot: &Snapshot, keys: &[ServiceKey]) -> impl Sized {
    let mut reports = Reports::new(&"node1".into(), "metallb-system");
    reports.set_owner(&OwnerPod { name: "speaker-1".into(), uid: "uid-1".into() });
    reports.layer2.set_listed();
    let mut assigned = BTreeMap::new();
    for (number, key) in keys.iter().enumerate() {
        let announcement = snapshot.verdict(key).unwrap().announcement();
        assert!(reports.layer2.want(key, ServiceL2::content(announcement, std::iter::empty())));
        assigned.insert(key.clone(), Arc::clone(&snapshot.service(key).unwrap().uid));
        // Made, then given its status.
        for _ in 0..2 {
            let (name, _) = reports.reconcile(&Subject::Layer2(key.clone())).remove(0);
            let version = format!("{}", 20_000 + number).into();
            let outcome = Outcome::Written { name: Arc::clone(&name), resource_version: version };
            let _ = reports.layer2.written(&name, &outcome);
        }
    }
    (reports, assigned)
}

/// Everything that is kept for those who scrape.
fn mk_series(snapshot: &Snapshot, keys: &[ServiceKey]) -> impl Sized {
    let metrics = SpeakerMetrics::register(&mut Registry::default());
    let mut counters = HashMap::new();
    for key in keys {
        for ip in addresses(snapshot.service(key).unwrap()) {
            counters.insert(ip, metrics.layer2(ip));
            metrics.announced(&AnnouncedLabels {
                service: Shown(key.clone()),
                protocol: "layer2",
                node: "node1".into(),
                ip: Shown(ip),
            });
        }
    }
    (metrics, counters)
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
    // Read as from the wire: lists of unknown length keep room for more.
    let object = serde_json::from_str(&object.to_string()).unwrap();
    let row = rows::service(&key, object).unwrap();
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
    let object = serde_json::from_str(&object.to_string()).unwrap();
    rows::endpoint_slice(&key, object).unwrap()
}
