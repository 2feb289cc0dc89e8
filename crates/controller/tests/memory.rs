//! What a Service costs the controller in memory, by part: at rest, and at most while thousands are
//! given their addresses. The only test of its process: all of the heap is counted, as the allocator
//! counts it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ferrolb_controller::announcers::{Announcers, layer2};
use ferrolb_controller::{
    Change, Effect, Ledger, Options, Row, Share, StatusWrite, Store, WriteResult,
};
use ferrolb_kube_rt::ObjectKey;
use ferrolb_sys::heap_in_use;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

const SERVICES: usize = 5000;

#[test]
fn a_service_costs_so_much_at_most() {
    if heap_in_use().is_none() {
        eprintln!("skipped: this allocator does not count");
        return;
    }
    let mut cluster = Cluster::new();
    let blank = json!({});
    let ((), listed) = counted(|| (0..SERVICES).for_each(|number| cluster.show(number, &blank)));
    let (writes, deciding) = counted(|| cluster.decide());
    assert_eq!(writes.len(), SERVICES);
    let ((), given) = counted(|| cluster.store(writes));
    let ((), reported) = counted(|| (0..SERVICES).for_each(|number| cluster.announce(number)));
    let ((), said) = counted(|| {
        cluster.now += Duration::from_mins(1);
        while let writes = cluster.decide()
            && !writes.is_empty()
        {
            cluster.store(writes);
        }
    });
    let given = deciding + given;
    let store = Store::new("metallb-system");
    let ((), admission) = counted(|| {
        for number in 0..SERVICES {
            let ingress = json!({ "ingress": [{ "ip": cluster.addresses[number] }] });
            let row = cluster.row(number, &json!({ "loadBalancer": ingress }));
            store.service(row.service.key.clone(), Share::of(&row.service));
        }
    });
    let all = listed + given + reported + said + admission;
    eprintln!(
        "octets a Service: {all} (listed {listed}, its address {given}, reports {reported}, what is \
         said of them {said}, for admission {admission}); while they are written {deciding} more \
         than listed"
    );
    assert!(all < 3800, "{all}");
    assert!(deciding < 2100, "{deciding}");
}

/// Runs `make`, and says by how many octets a Service the heap has grown.
fn counted<T>(make: impl FnOnce() -> T) -> (T, i64) {
    let used = || i64::try_from(heap_in_use().unwrap_or_default()).unwrap();
    let before = used();
    let made = make();
    let services = i64::try_from(SERVICES).unwrap();
    (made, (used() - before) / services)
}

/// The controller's state, and an API server that stores what it is told and shows it again.
struct Cluster {
    ledger: Ledger,
    announcers: Announcers,
    namespace: Arc<str>,
    addresses: Vec<IpAddr>,
    now: Duration,
    version: usize,
}

impl Cluster {
    fn new() -> Self {
        let mut ledger = Ledger::new(Options::default());
        let pool = json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
            "metadata": { "name": "all", "namespace": "metallb-system" },
            "spec": { "addresses": ["198.18.0.0/16"] },
        });
        let pool = serde_json::from_value(pool).unwrap();
        ledger.apply(Change::Pool("all".to_owned(), Some(Box::new(pool))));
        ledger.apply(Change::AnnouncedComplete);
        Self {
            ledger,
            announcers: Announcers::default(),
            namespace: "default".into(),
            addresses: vec![Ipv4Addr::UNSPECIFIED.into(); SERVICES],
            now: Duration::ZERO,
            version: 10_000,
        }
    }

    /// The watch shows a Service with this status.
    fn show(&mut self, number: usize, status: &Value) {
        let row = self.row(number, status);
        self.ledger.apply(Change::Service(Box::new(row)));
    }

    /// Lets the ledger do what there is to do, and returns what it has written.
    fn decide(&mut self) -> Vec<StatusWrite> {
        self.ledger.tick(self.now, Timestamp::UNIX_EPOCH);
        let effects = std::iter::from_fn(|| self.ledger.step()).flatten();
        let write = |effect| if let Effect::Write(write) = effect { Some(write) } else { None };
        effects.filter_map(write).collect()
    }

    /// The API server takes each write, and the watch shows it.
    fn store(&mut self, writes: Vec<StatusWrite>) {
        for write in writes {
            let number: usize = write.key.name.strip_prefix("many-").unwrap().parse().unwrap();
            self.version += 1;
            let done = WriteResult::Done(self.version.to_string().into());
            self.ledger.apply(Change::Written(write.key.clone(), done));
            if let Some(balancer) = &write.balancer {
                self.addresses[number] = balancer.addresses[0];
            }
            let ingress = json!({ "ingress": [{ "ip": self.addresses[number] }] });
            let status = json!({ "loadBalancer": ingress, "conditions": write.conditions.as_deref().unwrap() });
            self.show(number, &status);
        }
    }

    /// A speaker reports that it announces a Service.
    fn announce(&mut self, number: usize) {
        let object = json!({
            "metadata": { "name": "l2-x" },
            "status": {
                "node": "node1", "serviceName": format!("many-{number}"),
                "serviceNamespace": "default", "interfaces": [{ "name": "eth0" }],
            },
        });
        let announcer = layer2(serde_json::from_value(object).unwrap());
        let key = (
            "servicel2statuses",
            ObjectKey::new(Arc::clone(&self.namespace), format!("l2-{number:05}")),
        );
        for (service, reports) in self.announcers.set(key, announcer) {
            self.ledger.apply(Change::Announced(service, reports.announcers));
        }
    }

    fn row(&self, number: usize, status: &Value) -> Row {
        let name = format!("many-{number}");
        let object = json!({
            "metadata": {
                "name": name, "namespace": "default", "resourceVersion": self.version.to_string(),
                "uid": format!("9c6bfd60-6c1e-4dcb-8dd1-{number:012}"),
                "labels": { "app": name, "tier": "front" },
                "annotations": status.get("loadBalancer").map(|_| {
                    json!({ "metallb.io/ip-allocated-from-pool": "all" })
                }),
            },
            "spec": {
                "type": "LoadBalancer",
                "clusterIPs": [format!("10.96.{}.{}", number / 250, number % 250)],
                "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
                "ports": [{ "port": 80 }, { "port": 443 }],
                "selector": { "app": name },
            },
            "status": status,
        });
        let key = ObjectKey::new(Arc::clone(&self.namespace), name);
        Row::prune(&key, serde_json::from_value(object).unwrap()).unwrap()
    }
}
