//! What refusals say, word for word: events are told apart, and merged, by their text.

use ferrolb_ipam::{Allocator, Owner, Pool};
use rstest::rstest;

use crate::script::*;

fn mk_pools() -> Vec<Pool> {
    vec![
        mk_pool("a", &["10.0.0.0/30"]),
        pinned(mk_pool("b", &["10.0.1.0/30"]), 0, &["test", "prod"], &[]),
        pinned(mk_pool("c", &["10.0.2.0/30"]), 0, &[], &["team=net", "team=web"]),
        Pool { auto_assign: false, ..mk_pool("d", &["10.0.3.0/30"]) },
        mk_pool("e", &["fd00::5/128"]),
    ]
}

fn mk_full_allocator() -> Allocator {
    let mut allocator = Allocator::new();
    allocator.set_pools(mk_pools());
    for name in ["s1", "s2", "s3", "s4"] {
        s(name).tcp(80).shares("k", "").asks(V4).run(&mut allocator).unwrap();
    }
    s("s5").asks(V6).run(&mut allocator).unwrap();
    allocator
}

fn sentence(step: &Step, allocator: &mut Allocator) -> String {
    step.answer(allocator).unwrap_err().to_string()
}

#[test]
fn no_address_names_each_pool_and_why() {
    let mut allocator = mk_full_allocator();
    let others = "pool \"b\": only for namespaces prod, test; \
         pool \"c\": only for Services with labels team=net or team=web; \
         pool \"d\": only on request (autoAssign is off)";
    assert_eq!(
        sentence(&s("next").asks(V4), &mut allocator),
        format!(
            "no available IPs: pool \"a\": all 4 IPv4 addresses are in use; \
             pool \"e\": has no IPv4 addresses; {others}"
        )
    );
    assert_eq!(
        sentence(&s("next").asks(REQUIRE), &mut allocator),
        format!(
            "no available IPs: pool \"a\": all 4 IPv4 addresses are in use, \
             has no IPv6 addresses; pool \"e\": has no IPv4 addresses, \
             its only IPv6 address is in use; {others}"
        )
    );
    allocator.set_pools(Vec::new());
    assert_eq!(
        sentence(&s("next").asks(V4), &mut allocator),
        "no available IPs: no address pool is configured"
    );
}

#[rstest]
#[case::nobody(&[], "")]
#[case::node(&[("10.0.0.3", Owner::Node)], " or kept back (nodes' own)")]
#[case::station(&[("10.0.0.3", Owner::Station)], " or kept back (other hosts')")]
#[case::each_once(
    &[("10.0.0.2", Owner::Station), ("10.0.0.3", Owner::Station), ("10.0.0.1", Owner::Node)],
    " or kept back (nodes' own, other hosts')"
)]
#[case::keeper(&[("10.0.0.3", Owner::Service)], " or kept back (kept from an invalid pool)")]
#[case::routers(&[("fd00::5", Owner::SubnetRouters)], "")]
fn a_full_pool_tells_whose_the_rest_is(#[case] others: &[(&str, Owner)], #[case] expected: &str) {
    let mut allocator = mk_full_allocator();
    let entry = |(ip, owner): &(&str, Owner)| (ip.parse().unwrap(), *owner, "name");
    allocator.set_reserved(others.iter().map(entry).collect());
    assert_eq!(
        sentence(&s("next").asks_pool(V4, "a"), &mut allocator),
        format!("pool \"a\": all 4 IPv4 addresses are in use{expected}")
    );
}

#[rstest]
#[case::holder_shares_not(
    "fd00::5",
    "k",
    "",
    81,
    "fd00::5 is in use by default/s5: that Service has no sharing key"
)]
#[case::asker_shares_not(
    "10.0.0.0",
    "",
    "",
    81,
    "10.0.0.0 is in use by default/s1: this Service has no sharing key"
)]
#[case::other_key(
    "10.0.0.0",
    "j",
    "",
    81,
    "10.0.0.0 is in use by default/s1: its sharing key is \"k\", not \"j\""
)]
#[case::other_backend(
    "10.0.0.0",
    "k",
    "x",
    81,
    "10.0.0.0 is in use by default/s1: to share, both need externalTrafficPolicy Cluster, \
     or Local and the same selector"
)]
#[case::port("10.0.0.0", "k", "", 80, "10.0.0.0 is in use by default/s1: it has port 80/TCP too")]
#[case::outside("192.0.2.1", "", "", 80, "192.0.2.1 is in no pool")]
#[case::namespace("10.0.1.0", "", "", 80, "pool \"b\": only for namespaces prod, test")]
fn an_address_asked_for_names_who_is_in_the_way(
    #[case] ip: &str,
    #[case] sharing_key: &'static str,
    #[case] backend_key: &'static str,
    #[case] port: u16,
    #[case] expected: &str,
) {
    let asker = s("next").tcp(port).shares(sharing_key, backend_key).takes(&[ip]);
    assert_eq!(sentence(&asker, &mut mk_full_allocator()), expected);
}

#[test]
fn long_lists_of_namespaces_are_cut() {
    let namespaces: Vec<String> = (0..5_000).map(|i| format!("ns-{i:04}")).collect();
    let namespaces: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    let mut allocator = Allocator::new();
    allocator.set_pools(vec![pinned(mk_pool("p", &["10.0.0.0/30"]), 0, &namespaces, &[])]);
    let sentence = sentence(&s("next").asks(V4), &mut allocator);
    assert!(sentence.ends_with("ns-0006, ns-0007 and 4992 more"), "{sentence}");
}
