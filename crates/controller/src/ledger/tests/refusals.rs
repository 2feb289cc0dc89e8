//! Addresses that somebody outside the cluster has.

use ferrolb_api::conditions::ALLOCATED;

use super::*;

const STATION: &str = "06:00:00:00:00:01";

impl Cluster {
    fn refuse(&mut self, name: &str, addresses: &[&str]) {
        let refused = addresses.iter().map(|ip| (ip.parse().unwrap(), STATION.to_owned()));
        let key = ServiceKey::new("default", name);
        self.ledger.apply(Change::Refused(key, refused.collect()));
        self.settle();
    }

    fn announce(&mut self, name: &str) {
        let reports = ["n1 (layer2)".into()].into();
        self.ledger.apply(Change::Announced(ServiceKey::new("default", name), reports));
        self.settle();
    }

    fn created(&mut self, name: &str) {
        self.edit(name, |_| {});
        self.settle();
    }

    fn count(&self, reason: &str) -> usize {
        self.events.iter().filter(|(_, told)| *told == reason).count()
    }
}

fn mk_cluster(pools: &[(&str, &[&str])]) -> Cluster {
    let mut cluster = Cluster::with(Options::default(), pools);
    cluster.tick(10);
    cluster
}

#[test]
fn a_service_that_was_never_announced_gets_another_address() {
    let mut cluster = mk_cluster(&[("lan", &["192.0.2.0/30"])]);
    cluster.created("web");
    cluster.refuse("web", &["192.0.2.0"]);
    assert_eq!(cluster.status("web"), ["192.0.2.1"]);
    assert_eq!(cluster.condition("web", ALLOCATED).unwrap().reason, "Allocated");
    assert_eq!((cluster.count("AddressConflict"), cluster.count("IPAllocated")), (1, 2));
    // The speaker takes its refusal back, as the address is no concern of the Service any more.
    cluster.refuse("web", &[]);
    assert_eq!(cluster.status("web"), ["192.0.2.1"]);
    // Nobody else is given it unasked, for a while.
    cluster.created("next");
    assert_eq!(cluster.status("next"), ["192.0.2.2"]);
    cluster.tick(10 + 600);
    cluster.created("later");
    assert_eq!(cluster.status("later"), ["192.0.2.0"]);
}

#[test]
fn a_refusal_that_was_heard_before_the_service_counts() {
    let mut cluster = mk_cluster(&[("lan", &["192.0.2.0/30"])]);
    cluster.refuse("web", &["192.0.2.0"]);
    cluster.created("web");
    assert_eq!(cluster.status("web"), ["192.0.2.1"]);
    assert_eq!(cluster.writes, 1);
}

#[test]
fn an_address_that_was_asked_for_stays_and_the_condition_says_who_has_it() {
    let mut cluster = mk_cluster(&[("lan", &["192.0.2.0/30"])]);
    cluster.edit("web", |service| service.load_balancer_ip = Some("192.0.2.0".to_owned()));
    cluster.settle();
    cluster.refuse("web", &["192.0.2.0"]);
    assert_eq!(cluster.status("web"), ["192.0.2.0"]);
    let said = cluster.condition("web", ALLOCATED).unwrap();
    assert_eq!((said.holds, &*said.reason), (true, "AddressRefused"));
    assert!(said.message.contains(STATION), "{}", said.message);
    cluster.refuse("web", &[]);
    assert_eq!(cluster.condition("web", ALLOCATED).unwrap().reason, "Allocated");
}

#[test]
fn who_asks_for_an_address_that_was_refused_to_another_is_told_who_has_it() {
    let mut cluster = mk_cluster(&[("lan", &["192.0.2.0/31"])]);
    cluster.created("web");
    cluster.refuse("web", &["192.0.2.0"]);
    cluster.refuse("web", &[]);
    cluster.created("late");
    let said = cluster.condition("late", ALLOCATED).unwrap();
    assert!(said.message.ends_with("are in use or kept back (other hosts')"), "{}", said.message);
    cluster.edit("asker", |service| service.load_balancer_ip = Some("192.0.2.0".to_owned()));
    cluster.settle();
    assert_eq!(cluster.status("asker"), ["192.0.2.0"]);
    assert_eq!((cluster.count("AddressConflict"), cluster.count("NodeAddress")), (2, 0));
}

#[test]
fn an_address_that_is_announced_stays() {
    let mut cluster = mk_cluster(&[("lan", &["192.0.2.0/30"])]);
    cluster.created("web");
    cluster.announce("web");
    cluster.refuse("web", &["192.0.2.0"]);
    assert_eq!(cluster.status("web"), ["192.0.2.0"]);
}

#[test]
fn where_there_is_no_other_address_it_stays_and_moves_when_there_is_one() {
    let mut cluster = mk_cluster(&[("lan", &["192.0.2.0/31"])]);
    cluster.created("first");
    cluster.created("web");
    cluster.refuse("web", &["192.0.2.1"]);
    assert_eq!(cluster.status("web"), ["192.0.2.1"]);
    let said = cluster.condition("web", ALLOCATED).unwrap();
    assert_eq!((said.holds, &*said.reason), (true, "AddressRefused"));
    let writes = cluster.writes;
    cluster.tick(60);
    assert_eq!(cluster.writes, writes, "nothing new");
    cluster.delete("first");
    cluster.settle();
    assert_eq!(cluster.status("web"), ["192.0.2.0"]);
}

/// Every address is somebody else's.
#[test]
fn it_is_not_moved_without_end() {
    let mut cluster = mk_cluster(&[("lan", &["192.0.2.0/24"])]);
    cluster.created("web");
    for second in 11..100 {
        let shown = cluster.status("web").join("");
        cluster.refuse("web", &[&shown]);
        cluster.tick(second);
    }
    assert_eq!(cluster.status("web"), ["192.0.2.5"]);
    assert_eq!(cluster.count("AddressConflict"), 5);
}

#[test]
fn a_shared_address_is_left_too() {
    let mut cluster = mk_cluster(&[("lan", &["192.0.2.0/30"])]);
    for (name, port) in [("one", 80), ("two", 81)] {
        cluster.edit(name, |service| {
            service.annotations.allow_shared_ip = Some("key".to_owned());
            service.ports[0].number = port;
        });
    }
    cluster.settle();
    assert_eq!(cluster.status("two"), cluster.status("one"));
    cluster.refuse("one", &["192.0.2.0"]);
    cluster.refuse("two", &["192.0.2.0"]);
    let moved = vec!["192.0.2.1".to_owned()];
    assert_eq!((cluster.status("one"), cluster.status("two")), (moved.clone(), moved));
}
