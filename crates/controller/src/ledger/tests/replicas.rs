//! Several processes: who stands by, who leads, and what became of the other's last words.

use super::*;

const POOLS: &[(&str, &[&str])] = &[("lan", &["192.0.2.0/31"])];

impl Cluster {
    /// Another process takes over, which has watched from the beginning.
    fn take_over(&mut self, successor: &mut Ledger) {
        self.ledger.stand_by();
        std::mem::swap(&mut self.ledger, successor);
        self.ledger.confirm();
        for key in self.services.keys().cloned().collect::<Vec<_>>() {
            self.show(&key);
        }
        self.ledger.lead();
    }
}

fn mk_follower() -> Ledger {
    let options = Options { conditions: false, ..Options::default() };
    let mut follower = Ledger::new(options);
    follower.stand_by();
    for (name, addresses) in POOLS {
        let pool = Some(Box::new(mk_pool(name, addresses)));
        follower.apply(Change::Pool((*name).to_owned(), pool));
    }
    follower
}

#[test]
fn k_045_who_stands_by_decides_nothing_and_knows_everything() {
    let mut cluster = Cluster::new(POOLS);
    cluster.ledger.stand_by();
    cluster.edit("web", |_| {});
    assert_eq!(cluster.work(), []);
    assert!(cluster.events.is_empty());
    cluster.ledger.confirm();
    cluster.show(&ServiceKey::new("default", "web"));
    cluster.ledger.lead();
    cluster.settle();
    assert_eq!(cluster.status("web"), ["192.0.2.0"]);
}

#[test]
fn what_the_confirming_list_lacks_is_gone() {
    let mut cluster = Cluster::new(POOLS);
    cluster.edit("old", |_| {});
    cluster.settle();
    cluster.ledger.stand_by();
    cluster.services.remove(&ServiceKey::new("default", "old"));
    cluster.ledger.confirm();
    cluster.ledger.lead();
    cluster.edit("new", |_| {});
    cluster.settle();
    assert_eq!(cluster.status("new"), ["192.0.2.0"]);
}

#[test]
fn a_leader_that_comes_back_has_forgotten_what_it_wanted() {
    let mut cluster = Cluster::new(POOLS);
    cluster.edit("a", |_| {});
    let lost = cluster.work();
    assert_eq!(given(&lost[0]), ["192.0.2.0"]);
    cluster.ledger.stand_by();
    // Meanwhile somebody else led and gave the address away.
    cluster.edit("b", |service| {
        service.ingress = vec![Ingress { ip: Some("192.0.2.0".into()), hostname: None }];
        service.annotations.allocated_from_pool = Some("lan".into());
    });
    cluster.ledger.confirm();
    for name in ["a", "b"] {
        cluster.show(&ServiceKey::new("default", name));
    }
    cluster.ledger.lead();
    cluster.settle();
    assert_eq!(cluster.status("b"), ["192.0.2.0"]);
    assert_eq!(cluster.status("a"), ["192.0.2.1"]);
}

/// A write that slipped through the guard makes a duplicate. `late`: it arrives after the
/// successor's write, else before it.
fn duplicate(late: bool) {
    let mut cluster = Cluster::new(POOLS);
    cluster.edit("a", |_| {});
    let slipped = cluster.work();
    cluster.edit("b", |_| {});
    let mut successor = mk_follower();
    cluster.take_over(&mut successor);
    // The list still lacks the slipped write; the successor decides about `b` first.
    cluster.ledger.apply(Change::ServiceGone(ServiceKey::new("default", "a")));
    let writes = cluster.work();
    assert_eq!((&*writes[0].key.name, given(&writes[0])), ("b", vec!["192.0.2.0".to_owned()]));
    let (first, second) = if late { (&writes[0], &slipped[0]) } else { (&slipped[0], &writes[0]) };
    cluster.accept(first);
    let early = cluster.work();
    cluster.accept(second);
    for write in early {
        cluster.accept(&write);
    }
    cluster.settle();
    let (keeps, loses) = if late { ("b", "a") } else { ("a", "b") };
    assert_eq!(cluster.status(keeps), ["192.0.2.0"], "who wrote first keeps it");
    assert_eq!(cluster.status(loses), ["192.0.2.1"]);
    assert_eq!(cluster.events_of(loses).iter().filter(|r| **r == "AddressDuplicate").count(), 1);
    assert!(!cluster.events_of(keeps).contains(&"AddressDuplicate"));
    // Whoever lists all this comes to the same end.
    cluster.restart(POOLS);
    let writes = cluster.writes;
    cluster.settle();
    assert_eq!(cluster.writes, writes);
}

#[test]
fn of_two_that_show_an_address_the_later_one_loses_it() {
    duplicate(true);
}

#[test]
fn of_two_that_show_an_address_the_later_one_loses_it_even_if_it_is_our_own() {
    duplicate(false);
}

#[test]
fn a_duplicate_that_is_listed_is_settled_by_version_and_not_by_order() {
    for order in [["a", "b"], ["b", "a"]] {
        let mut cluster = Cluster::new(POOLS);
        for name in ["a", "b"] {
            cluster.edit(name, |service| {
                service.ingress = vec![Ingress { ip: Some("192.0.2.0".into()), hostname: None }];
                service.annotations.allocated_from_pool = Some("lan".into());
            });
        }
        cluster.ledger = mk_follower();
        cluster.ledger.confirm();
        for name in order {
            cluster.show(&ServiceKey::new("default", name));
        }
        cluster.ledger.lead();
        cluster.settle();
        assert_eq!(cluster.status("a"), ["192.0.2.0"], "{order:?}");
        assert_eq!(cluster.status("b"), ["192.0.2.1"], "{order:?}");
    }
}
