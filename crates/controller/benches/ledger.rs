//! What one event costs the controller among 100, 1,000 and 10,000 Services, from the change to the
//! last decision that follows from it. An API server that takes every write at once is played here, and
//! its part is in the times.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ferrolb_controller::{
    Balancer, Change, Effect, Ledger, Options, Row, StatusWrite, WriteResult,
};
use ferrolb_ipam::ServiceKey;
use ferrolb_model::{Labels, Namespace};
use serde_json::json;

#[path = "../src/objects.rs"]
mod objects;

use objects::{hold, mk_pool, mk_service};

const CURVE: [usize; 3] = [100, 1_000, 10_000];

fn main() {
    divan::main();
}

/// One Service is created and gets an address, and is deleted again.
#[divan::bench(args = CURVE)]
fn one_created_and_deleted(bencher: divan::Bencher, services: usize) {
    let mut cluster = Cluster::default();
    cluster.pool("lan", &range(1 << 16), None);
    cluster.fill(services, "lan");
    bencher.bench_local(|| {
        cluster.create("one", None);
        cluster.delete("one");
    });
}

/// One Service of a full pool is deleted while 500 wait, one of which gets the address; another one
/// begins to wait.
#[divan::bench(args = CURVE)]
fn one_deleted_while_500_wait(bencher: divan::Bencher, services: usize) {
    let mut cluster = Cluster::default();
    cluster.pool("lan", &range(services), None);
    cluster.fill(services + 500, "lan");
    let mut oldest = 0;
    bencher.bench_local(|| {
        cluster.delete(&format!("s{oldest}"));
        cluster.create(&format!("s{}", oldest + services + 500), Some("lan"));
        oldest += 1;
    });
    assert_eq!(cluster.holders(), services);
}

/// One of 5,000 namespaces gets a label that a pool selects by, or loses it.
#[divan::bench(args = CURVE)]
fn one_namespace_of_5000_relabelled(bencher: divan::Bencher, services: usize) {
    let mut cluster = Cluster::default();
    cluster.pool("lan", &range(1 << 16), None);
    cluster.pool("team", "192.0.2.0/24", Some("metallb"));
    for number in 0..5_000 {
        cluster.namespace(number, "none");
    }
    cluster.fill(services, "lan");
    let mut teams = ["metallb", "none"].into_iter().cycle();
    bencher.bench_local(|| {
        cluster.namespace(1_234, teams.next().unwrap_or_default());
    });
}

/// One of 200 pools, which two Services use, is widened or made narrow again.
#[divan::bench(args = CURVE)]
fn one_of_200_pools_widened(bencher: divan::Bencher, services: usize) {
    let mut cluster = Cluster::default();
    cluster.pool("lan", &range(1 << 16), None);
    for number in 0..199 {
        cluster.pool(&format!("p{number}"), &format!("192.168.{number}.0/31"), None);
    }
    cluster.fill(services, "lan");
    cluster.create("one", Some("p7"));
    cluster.create("two", Some("p7"));
    let mut ranges = ["192.168.7.0/30", "192.168.7.0/31"].into_iter().cycle();
    bencher.bench_local(|| cluster.pool("p7", ranges.next().unwrap_or_default(), None));
}

/// A ledger and an API server that takes every write at once and shows it.
struct Cluster {
    ledger: Ledger,
    rows: BTreeMap<ServiceKey, Row>,
    version: u64,
}

impl Default for Cluster {
    fn default() -> Self {
        Self { ledger: Ledger::new(Options::default()), rows: BTreeMap::new(), version: 0 }
    }
}

impl Cluster {
    fn fill(&mut self, services: usize, pool: &str) {
        for number in 0..services {
            self.create(&format!("s{number}"), Some(pool));
        }
    }

    fn create(&mut self, name: &str, pool: Option<&str>) {
        let key = ServiceKey::new("default", name);
        let mut service = mk_service(name);
        service.annotations.address_pool = pool.map(str::to_owned);
        self.rows.insert(key.clone(), Row::from(service));
        self.show(&key);
        self.settle();
    }

    fn delete(&mut self, name: &str) {
        let key = ServiceKey::new("default", name);
        self.rows.remove(&key);
        self.ledger.apply(Change::ServiceGone(key));
        self.settle();
    }

    fn pool(&mut self, name: &str, addresses: &str, team: Option<&str>) {
        let mut pool = mk_pool(name, &[addresses]);
        if let Some(team) = team {
            let selectors = json!([{ "matchLabels": { "team": team } }]);
            let allocation = serde_json::from_value(json!({ "namespaceSelectors": selectors }));
            pool.spec.service_allocation = allocation.unwrap_or_else(|error| panic!("{error}"));
        }
        self.ledger.apply(Change::Pool(name.to_owned(), Some(Box::new(pool))));
        self.settle();
    }

    fn namespace(&mut self, number: usize, team: &str) {
        let name: Arc<str> = format!("ns{number}").into();
        let labels = Labels::from([("team".to_owned(), team.to_owned())]);
        let namespace = Namespace { name: Arc::clone(&name), labels };
        self.ledger.apply(Change::Namespace(name, Some(namespace)));
        self.settle();
    }

    /// Lets everything happen that follows.
    fn settle(&mut self) {
        while let Some(effects) = self.ledger.step() {
            for effect in effects {
                if let Effect::Write(write) = effect {
                    self.accept(write);
                }
            }
        }
    }

    fn accept(&mut self, write: StatusWrite) {
        let Some(row) = self.rows.get_mut(&write.key) else { return };
        self.version += 1;
        row.service.resource_version = self.version.to_string().into();
        if let Some(Balancer { addresses, pool }) = &write.balancer {
            hold(&mut row.service, addresses, pool.as_ref());
        }
        if let Some(conditions) = write.conditions {
            row.conditions = conditions;
        }
        let done = WriteResult::Done(Arc::clone(&row.service.resource_version));
        self.ledger.apply(Change::Written(write.key.clone(), done));
        self.show(&write.key);
    }

    /// The watch shows a Service as it is.
    fn show(&mut self, key: &ServiceKey) {
        self.ledger.apply(Change::Service(Box::new(self.rows[key].clone())));
    }

    fn holders(&self) -> usize {
        self.rows.values().filter(|row| !row.service.ingress.is_empty()).count()
    }
}

/// So many addresses from 10.0.0.0 on.
fn range(size: usize) -> String {
    let first = u32::from(Ipv4Addr::new(10, 0, 0, 0));
    let last = first + u32::try_from(size).unwrap_or(u32::MAX - first) - 1;
    format!("{}-{}", Ipv4Addr::from(first), Ipv4Addr::from(last))
}
