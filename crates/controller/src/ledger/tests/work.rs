//! Work follows the change, not the cluster: counted in steps, each of which decides about one
//! Service at most.

use super::*;

impl Cluster {
    /// Lets everything happen; returns how many steps that took.
    fn steps(&mut self) -> usize {
        let mut steps = 0;
        while let Some(effects) = self.ledger.step() {
            steps += 1;
            for effect in effects {
                if let Effect::Write(write) = effect {
                    self.accept(&write);
                }
            }
        }
        steps
    }
}

fn mk_namespaces(cluster: &mut Cluster, count: usize) {
    for n in 0..count {
        relabel(cluster, n, "none");
    }
}

fn relabel(cluster: &mut Cluster, n: usize, team: &str) {
    let namespace = ferrolb_model::Namespace {
        name: format!("ns{n}").into(),
        labels: ferrolb_model::Labels::from([("team".to_owned(), team.to_owned())]),
    };
    let name = Arc::clone(&namespace.name);
    cluster.ledger.apply(Change::Namespace(name, Some(namespace)));
}

#[test]
fn k_040_one_service_more_or_less_among_a_thousand_is_a_handful_of_steps() {
    for count in [10, 100, 1_000] {
        let mut cluster = Cluster::with(Options::default(), &[("lan", &["10.0.0.0/16"])]);
        for n in 0..count {
            cluster.edit(&format!("s{n}"), |_| {});
        }
        cluster.settle();
        cluster.edit("one", |_| {});
        assert!(cluster.steps() <= 3, "created among {count}");
        cluster.delete("one");
        assert!(cluster.steps() <= 2, "deleted among {count}");
    }
}

#[test]
fn one_of_two_hundred_pools_widened_concerns_its_services_and_one_that_waits() {
    let mut cluster = Cluster::new(&[]);
    for n in 0..200 {
        cluster.pool(&format!("p{n}"), Some(&[&format!("10.0.{n}.0/31")]));
    }
    for n in 0..400 {
        cluster.edit(&format!("s{n}"), |_| {});
    }
    cluster.settle();
    for n in 0..50 {
        cluster.edit(&format!("w{n:02}"), |_| {});
    }
    cluster.settle();
    cluster.pool("p7", Some(&["10.0.7.0/31", "10.0.7.2/32"]));
    let steps = cluster.steps();
    assert_eq!(cluster.status("w00"), ["10.0.7.2"], "who waited longest");
    assert!(steps <= 8, "{steps} steps");
}

#[test]
fn one_namespace_of_thousands_relabelled_concerns_who_may_use_the_pool() {
    let mut cluster = Cluster::new(&[("lan", &["10.1.0.0/16"])]);
    mk_namespaces(&mut cluster, 2_000);
    let mut pool = mk_pool("team", &["192.0.2.0/31"]);
    pool.spec.service_allocation = serde_json::from_value(serde_json::json!({
        "namespaceSelectors": [{ "matchLabels": { "team": "metallb" } }],
    }))
    .unwrap();
    cluster.ledger.apply(Change::Pool("team".to_owned(), Some(Box::new(pool))));
    for n in 0..300 {
        cluster.edit(&format!("s{n}"), |_| {});
    }
    cluster.settle();
    let writes = cluster.writes;
    relabel(&mut cluster, 1_234, "metallb");
    let steps = cluster.steps();
    assert!(steps <= 3, "{steps} steps");
    assert_eq!(cluster.writes, writes);
}

#[test]
fn a_status_of_a_pool_is_no_work_and_neither_is_a_label_nobody_selects_by() {
    let mut cluster = Cluster::new(&[("lan", &["10.1.0.0/16"])]);
    mk_namespaces(&mut cluster, 10);
    cluster.settle();
    relabel(&mut cluster, 3, "any");
    assert_eq!(cluster.steps(), 0);
    let mut pool = mk_pool("lan", &["10.1.0.0/16"]);
    pool.status = Some(ferrolb_api::IPAddressPoolStatus::default());
    cluster.ledger.apply(Change::Pool("lan".to_owned(), Some(Box::new(pool))));
    assert_eq!(cluster.steps(), 0);
}

#[test]
fn k_043_and_k_049_thousands_that_nothing_can_help_are_asked_once() {
    let mut cluster = Cluster::with(Options::default(), &[("lan", &["192.0.2.0/32"])]);
    cluster.edit("holder", |_| {});
    for n in 0..2_000 {
        cluster.edit(&format!("w{n}"), |service| {
            service.annotations.address_pool = Some("nowhere".to_owned());
        });
    }
    cluster.settle();
    let writes = cluster.writes;
    cluster.delete("holder");
    assert!(cluster.steps() <= 2);
    assert_eq!(cluster.writes, writes);
    for n in 0..10 {
        cluster.tick(1_000 * n);
    }
    assert_eq!(cluster.writes, writes, "time alone is no reason");
}
