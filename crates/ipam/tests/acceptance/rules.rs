//! What upstream's tests leave open: order of pools, shared and reserved addresses, second families.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ferrolb_addr::Family;
use ferrolb_ipam::{
    Allocator, DualPolicy, Families, Owner, Pinning, Pool, PoolName, PoolsChange, Reserved,
    Selector, ServiceKey,
};
use rstest::rstest;

use crate::script::*;

fn mk_allocator(pools: Vec<Pool>) -> Allocator {
    let mut allocator = Allocator::new();
    allocator.set_pools(pools);
    allocator
}

fn pool_of(allocator: &Allocator, name: &str) -> Option<String> {
    let key = ServiceKey::new("default", name);
    allocator.assignment(&key).map(|held| held.pool.to_string())
}

/// One address a pool; Services come one after another and empty them in the order of preference.
#[rstest]
#[case::q_09_open_pools_go_by_name(&[("c", None), ("a", None), ("b", None)], &["a", "b", "c"])]
#[case::pinned_before_open(&[("a", None), ("z", Some(0))], &["z", "a"])]
#[case::lower_number_first(&[("a", Some(20)), ("b", Some(10))], &["b", "a"])]
#[case::zero_is_last_of_the_pinned(&[("a", Some(0)), ("b", Some(9)), ("c", None)], &["b", "a", "c"])]
#[case::negative_is_as_zero(&[("b", Some(-1)), ("a", Some(0)), ("c", Some(7))], &["c", "a", "b"])]
#[case::equal_priorities_go_by_name(&[("b", Some(5)), ("a", Some(5))], &["a", "b"])]
fn pools_are_tried_in_a_total_order(
    #[case] pools: &[(&str, Option<i64>)],
    #[case] expected: &[&str],
) {
    let mk = |(index, (name, priority)): (usize, &(&str, Option<i64>))| {
        let pool = mk_pool(name, &[&format!("10.0.{index}.1/32")]);
        let pinning = priority.map(|priority| Pinning { priority, ..Pinning::default() });
        Pool { pinning, ..pool }
    };
    let mut allocator = mk_allocator(pools.iter().enumerate().map(mk).collect());
    for (index, expected) in expected.iter().enumerate() {
        let name = format!("s{index}");
        s(&name).asks(V4).run(&mut allocator).unwrap();
        assert_eq!(pool_of(&allocator, &name).as_deref(), Some(*expected));
    }
}

sequence! { ranges_go_in_the_order_of_the_spec on [mk_pool("p", &["10.9.0.1/32", "10.1.0.1/32"])];
    first_range_first: s("s1").asks(V4) => Holds(&["10.9.0.1"]);
    then_the_second: s("s2").asks(V4) => Holds(&["10.1.0.1"]);
    a_hole_in_the_first_wins: s("s1").leaves() => Nothing;
    although_it_is_higher: s("s3").asks(V4) => Holds(&["10.9.0.1"]);
}

sequence! { sharing on [mk_pool("p", &["10.0.0.1-10.0.0.6"])];
    somebody: s("s1").asks(V4) => Holds(&["10.0.0.1"]);
    sharer: s("s2").tcp(80).shares("k", "").takes(&["10.0.0.3"]) => Holds(&["10.0.0.3"]);
    free_and_lower_beats_shared: s("s3").tcp(81).shares("k", "").asks(V4) => Holds(&["10.0.0.2"]);
    shared_and_lower_beats_free: s("s4").tcp(80).shares("k", "").asks(V4) => Holds(&["10.0.0.2"]);
    port_taken_on_the_lowest: s("s5").tcp(80).shares("k", "").asks(V4) => Holds(&["10.0.0.4"]);
    other_port_may_join: s("s6").tcp(443).shares("k", "").asks(V4) => Holds(&["10.0.0.2"]);
    other_protocol_is_another_port: s("s7").udp(80).shares("k", "").asks(V4) => Holds(&["10.0.0.2"]);
    other_backend_may_not: s("s8").tcp(99).shares("k", "x").asks(V4) => Holds(&["10.0.0.5"]);
    no_ports_clash_with_nobody: s("s9").shares("k", "").asks(V4) => Holds(&["10.0.0.2"]);
    a_port_is_given_back: s("s4").leaves() => Nothing;
    it_can_be_asked_for: s("s10").tcp(80).shares("k", "").takes(&["10.0.0.2"]) => Holds(&["10.0.0.2"]);
    a_port_changes: s("s10").tcp(22).shares("k", "").takes(&["10.0.0.2"]) => Holds(&["10.0.0.2"]);
    the_old_one_can_be_had: s("s11").tcp(80).shares("k", "").asks(V4) => Holds(&["10.0.0.2"]);
    the_last_sharer_leaves: s("s2").leaves() => Nothing;
    the_address_is_free: s("s12").asks(V4) => Holds(&["10.0.0.3"]);
}

sequence! { q_23_a_sharer_without_ports_keeps_the_key on [mk_pool("p", &["10.0.0.1/32"])];
    with_port: s("s1").tcp(80).shares("k", "").asks(V4) => Holds(&["10.0.0.1"]);
    without: s("s2").shares("k", "").asks(V4) => Holds(&["10.0.0.1"]);
    the_port_leaves: s("s1").leaves() => Nothing;
    nobody_else_gets_in: s("s3").tcp(80).asks(V4) => Refused("NoAddressAvailable");
    other_key_neither: s("s3").tcp(80).shares("l", "").takes(&["10.0.0.1"]) => Refused("AddressInUse");
    same_key_does: s("s3").tcp(80).shares("k", "").asks(V4) => Holds(&["10.0.0.1"]);
}

/// Overlapping pools, which configuration forbids: the address is used, whoever gave it.
fn mk_overlapping_pools() -> Vec<Pool> {
    let strict = avoiding(mk_pool("strict", &["10.0.0.254-10.0.1.1"]));
    vec![mk_pool("lax", &["10.0.0.254-10.0.1.1"]), strict]
}

sequence! { overlapping_pools on mk_overlapping_pools();
    from_the_lax_one: s("s1").asks_pool(V4, "lax") => Holds(&["10.0.0.254"]);
    a_buggy_one: s("s2").tcp(80).shares("k", "").asks_pool(V4, "lax") => Holds(&["10.0.0.255"]);
    is_not_shared_by_the_strict_one:
        s("s3").tcp(81).shares("k", "").asks_pool(V4, "strict") => Holds(&["10.0.1.1"]);
    used_is_used: s("s4").asks_pool(V4, "strict") => Refused("PoolExhausted");
    but_by_the_lax_one:
        s("s4").tcp(82).shares("k", "").asks_pool(V4, "lax") => Holds(&["10.0.0.255"]);
    which_has_one_left: s("s5").asks_pool(V4, "lax") => Holds(&["10.0.1.0"]);
}

fn mk_dual_pools() -> Vec<Pool> {
    vec![
        mk_pool("a-v6", &["fd00::a/128"]),
        mk_pool("b-v4", &["10.0.0.1/32"]),
        mk_pool("c-both", &["10.0.1.1/32", "fd00::c/128"]),
    ]
}

sequence! { pairs_come_from_one_pool on mk_dual_pools();
    prefers_the_pair: s("s1").asks(PREFER) => Holds(&["10.0.1.1", "fd00::c"]);
    then_the_primary_family: s("s2").asks(PREFER) => Holds(&["10.0.0.1"]);
    then_the_other: s("s3").asks(PREFER) => Holds(&["fd00::a"]);
    then_nothing: s("s4").asks(PREFER) => Refused("NoAddressAvailable");
    one_leaves: s("s2").leaves() => Nothing;
    another_leaves: s("s3").leaves() => Nothing;
    two_pools_make_no_pair: s("s4").asks(REQUIRE) => Refused("NoAddressAvailable");
}

#[test]
fn the_primary_family_decides_between_single_pools() {
    let mut pools = mk_dual_pools();
    pools.pop();
    let mut allocator = mk_allocator(pools);
    let families = Families::Dual { policy: DualPolicy::Prefer, primary: Family::V6 };
    assert_eq!(s("s1").asks(families).run(&mut allocator), Ok(mk_ips(&["fd00::a"])));
}

/// E-21 and upstream's order: pinned pools that have anything are taken before a pair elsewhere.
#[test]
fn a_pinned_single_pool_beats_an_open_pair() {
    let pool = pinned(mk_pool("z", &["10.0.9.1/32"]), 0, &["default"], &[]);
    let mut allocator = mk_allocator([mk_dual_pools(), vec![pool]].concat());
    assert_eq!(s("s1").asks(PREFER).run(&mut allocator), Ok(mk_ips(&["10.0.9.1"])));
}

///
#[test]
fn a_pool_for_namespaces_that_do_not_exist_is_closed() {
    let nobody = Pinning { namespaces: Some(BTreeSet::new()), ..Pinning::default() };
    let pool = Pool { pinning: Some(nobody), ..mk_pool("p", &["10.0.0.1/32"]) };
    let mut allocator = mk_allocator(vec![pool]);
    assert_eq!(s("s1").asks(V4).run(&mut allocator), Err("NoAddressAvailable"));
    assert_eq!(s("s1").asks_pool(V4, "p").run(&mut allocator), Err("PoolClosed"));
    assert_eq!(s("s1").takes(&["10.0.0.1"]).run(&mut allocator), Err("PoolClosed"));
}

#[test]
fn a_pinning_without_conditions_is_for_everybody_and_first() {
    let everybody =
        Pinning { service_selectors: vec![Selector::everything()], ..Pinning::default() };
    let pool = Pool { pinning: Some(everybody), ..mk_pool("z", &["10.0.0.9/32"]) };
    let mut allocator = mk_allocator(vec![mk_pool("a", &["10.0.0.1/32"]), pool]);
    assert_eq!(s("s1").asks(V4).run(&mut allocator), Ok(mk_ips(&["10.0.0.9"])));
}

fn mk_reserved(owners: &[(IpAddr, Owner)]) -> Reserved {
    owners.iter().map(|(ip, owner)| (*ip, *owner, "its name")).collect()
}

#[test]
fn reserved_addresses_are_given_to_who_asks_for_them() {
    let node: IpAddr = "10.0.0.1".parse().unwrap();
    let mut allocator = mk_allocator(vec![mk_pool("p", &["10.0.0.1-10.0.0.2"])]);
    allocator.set_reserved(mk_reserved(&[(node, Owner::Station), (node, Owner::Node)]));
    assert_eq!(allocator.owner(node), Some((Owner::Node, "its name")));
    assert_eq!(s("s1").asks(V4).run(&mut allocator), Ok(mk_ips(&["10.0.0.2"])));
    assert_eq!(s("s2").asks(V4).run(&mut allocator), Err("NoAddressAvailable"));
    assert_eq!(s("s2").asks_pool(V4, "p").run(&mut allocator), Err("PoolExhausted"));

    let node_ip = &["10.0.0.1"];
    let sharer = s("s2").tcp(80).shares("k", "");
    assert_eq!(sharer.takes(node_ip).run(&mut allocator), Ok(vec![node]));
    let joiner = s("s3").tcp(81).shares("k", "");
    assert_eq!(joiner.clone().asks(V4).run(&mut allocator), Err("NoAddressAvailable"));
    assert_eq!(joiner.takes(node_ip).run(&mut allocator), Ok(vec![node]));
    assert_eq!(allocator.counters(&"p".into()).assigned_v4, 2);

    // Freed by its holders it stays reserved; when the node goes it is an address like any other.
    s("s2").leaves().run(&mut allocator).unwrap();
    s("s3").leaves().run(&mut allocator).unwrap();
    assert_eq!(s("s4").asks(V4).run(&mut allocator), Err("NoAddressAvailable"));
    allocator.take_touched();
    allocator.set_reserved(Reserved::default());
    assert!(allocator.take_touched().openings.contains("p"));
    assert_eq!(s("s4").asks(V4).run(&mut allocator), Ok(vec![node]));
}

#[test]
fn who_holds_an_address_that_becomes_reserved_keeps_it() {
    let node: IpAddr = "10.0.0.1".parse().unwrap();
    let mut allocator = mk_allocator(vec![mk_pool("p", &["10.0.0.1-10.0.0.2"])]);
    s("s1").asks(V4).run(&mut allocator).unwrap();
    allocator.set_reserved(mk_reserved(&[(node, Owner::Node)]));
    assert_eq!(s("s1").takes(&["10.0.0.1"]).run(&mut allocator), Ok(vec![node]));
    allocator.set_reserved(Reserved::default());
    assert_eq!(s("s2").asks(V4).run(&mut allocator), Ok(mk_ips(&["10.0.0.2"])), "still held");
}

#[rstest]
#[case::v6_is_added("p", &["10.0.0.1"], Ok(&["10.0.0.1", "fd00::1"][..]))]
#[case::v4_is_added_behind("p", &["fd00::2"], Ok(&["fd00::2", "10.0.0.1"][..]))]
#[case::pool_lacks_it("v4", &["10.0.1.1"], Err("FamilyMissing"))]
#[case::pair_is_held("p", &["10.0.0.1", "fd00::1"], Err("NotExtendable"))]
#[case::nothing_is_held("p", &[], Err("NotExtendable"))]
fn a_second_family_comes_from_the_same_pool(
    #[case] pool: &str,
    #[case] held: &[&str],
    #[case] expected: Result<&[&str], &'static str>,
) {
    let mut allocator = mk_allocator(vec![
        mk_pool("p", &["10.0.0.1/32", "fd00::1-fd00::2"]),
        mk_pool("v4", &["10.0.1.1/32"]),
        mk_pool("v6", &["fd00:1::/64"]),
    ]);
    if !held.is_empty() {
        s("s1").takes(held).run(&mut allocator).unwrap();
        assert_eq!(pool_of(&allocator, "s1").as_deref(), Some(pool));
    }
    let result = s("s1").adds_family().run(&mut allocator);
    assert_eq!(result, expected.map(mk_ips));
    let key = ServiceKey::new("default", "s1");
    let holds = allocator.assignment(&key).map(|held| held.ips.clone()).unwrap_or_default();
    assert_eq!(holds, mk_ips(expected.unwrap_or(held)), "a refusal changes nothing");
}

/// 2.6: never rebalanced, but given up where the pool is not for the Service any more.
#[test]
fn a_pool_that_becomes_pinned_turns_its_services_away_when_they_ask_again() {
    let open = mk_pool("p", &["10.0.0.0/30"]);
    let mut allocator = mk_allocator(vec![open.clone()]);
    s("s1").asks(V4).run(&mut allocator).unwrap();
    let change = allocator.set_pools(vec![pinned(open, 0, &["prod"], &[])]);
    assert_eq!(change.changed, BTreeSet::from([PoolName::from("p")]));
    assert!(change.released.is_empty() && change.moved.is_empty());
    let again = s("s1").takes(&["10.0.0.0"]).run(&mut allocator);
    assert_eq!(again, Err("NamespaceNotAllowed"));
    assert_eq!(pool_of(&allocator, "s1").as_deref(), Some("p"), "until somebody releases it");
}

#[test]
fn the_same_pools_again_change_nothing() {
    let pools = vec![mk_pool("a", &["10.0.0.0/24"]), mk_pool("b", &["10.0.1.0/24"])];
    let mut allocator = mk_allocator(pools.clone());
    s("s1").asks(V4).run(&mut allocator).unwrap();
    allocator.take_touched();
    let before = allocator.clone();
    assert_eq!(allocator.set_pools(pools), PoolsChange::default());
    assert_eq!(allocator, before);
}

#[test]
fn a_pool_asked_for_by_name_must_have_what_is_held() {
    let mut allocator =
        mk_allocator(vec![mk_pool("a", &["10.0.0.0/24"]), mk_pool("b", &["10.0.1.0/24"])]);
    s("s1").asks(V4).run(&mut allocator).unwrap();
    assert_eq!(s("s1").asks_pool(V4, "b").run(&mut allocator), Err("OtherPoolHeld"));
    assert_eq!(s("s1").asks_pool(V4, "a").run(&mut allocator), Ok(mk_ips(&["10.0.0.0"])));
}

#[rstest]
#[case::none(&[], "AddressCount")]
#[case::three(&["10.0.0.1", "fd00::1", "10.0.0.2"], "AddressCount")]
#[case::same_family(&["10.0.0.1", "10.0.0.2"], "SameFamily")]
#[case::same_twice(&["10.0.0.1", "10.0.0.1"], "SameFamily")]
#[case::outside(&["192.0.2.1"], "OutsidePools")]
#[case::half_outside(&["10.0.0.1", "2001:db8::1"], "OutsidePools")]
fn odd_lists_are_refused(#[case] ips: &[&str], #[case] reason: &'static str) {
    let mut allocator = mk_allocator(vec![mk_pool("p", &["10.0.0.0/24", "fd00::/120"])]);
    assert_eq!(s("s1").takes(ips).run(&mut allocator), Err(reason));
}

#[test]
fn whole_families_can_be_pools() {
    let mut allocator = mk_allocator(vec![avoiding(mk_pool("all", &["0.0.0.0/0", "::/0"]))]);
    assert_eq!(s("s1").asks(REQUIRE).run(&mut allocator), Ok(mk_ips(&["0.0.0.1", "::"])));
    let last = ["255.255.255.254", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"];
    assert_eq!(s("s2").takes(&last).run(&mut allocator), Ok(mk_ips(&last)));
    let counters = allocator.counters(&"all".into());
    assert_eq!(counters.capacity(Family::V4), 254 << 24);
    assert_eq!(counters.total_assigned(), 4);
}
