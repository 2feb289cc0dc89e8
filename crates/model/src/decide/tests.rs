//! The acceptance rows of `layer2.md` 9.1. Upstream says `notOwner` for five different causes; the
//! rows are read as "does not announce", and what is expected here is our finer reason.

use std::collections::{BTreeMap, BTreeSet};

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::fixture::{Cluster, apply, mk_ingress, mk_key, mk_members, mk_service, mk_slice};
use crate::snapshot::Members;

mod gates;
mod preference;

const I: [&str; 2] = ["iris1", "iris2"];

/// `announce`, or the code of the reason not to.
fn outcome(verdict: &Verdict) -> &'static str {
    verdict.reason().map_or("announce", Reason::code)
}

fn iris() -> Cluster {
    Cluster::new(&I).advertise_from(&I)
}

fn iris_on_2() -> Cluster {
    iris().web(|web| web.ingress = vec![mk_ingress("10.20.30.2")])
}

#[rstest]
#[case::l2_row_01_members_unknown(
    iris().members(Members::Unknown).local().ready(&["iris1", "iris1"]), ["announce", "noLocalEndpoints"]
)]
#[case::l2_row_08_both_endpoints_on_one_node(
    iris().local().ready(&["iris1", "iris1"]), ["announce", "noLocalEndpoints"]
)]
#[case::l2_row_09_none_ready(
    iris().local().ready(&["!iris1", "!iris1"]), ["noEndpoints", "noEndpoints"]
)]
#[case::l2_row_10_serving_counts(
    iris().local().ready(&["iris1", "~iris2"]), ["notOwner", "announce"]
)]
#[case::l2_row_11_not_ready_on_both(
    iris().local().ready(&["!iris1", "!iris2"]), ["noEndpoints", "noEndpoints"]
)]
#[case::l2_row_12_ready_on_one(
    iris().local().ready(&["iris1", "!iris2"]), ["announce", "noLocalEndpoints"]
)]
#[case::l2_row_13_first_service(
    iris().local().ready(&I), ["notOwner", "announce"]
)]
#[case::l2_row_13_second_service(
    iris_on_2().local().ready(&I), ["announce", "notOwner"]
)]
#[case::l2_row_14_second_service(
    iris_on_2().local().ready(&["iris1", "!iris2"]), ["announce", "noLocalEndpoints"]
)]
#[case::l2_row_15_first_service(
    iris().local().ready(&["iris2"]), ["noLocalEndpoints", "announce"]
)]
#[case::l2_row_15_second_service(
    iris_on_2().local().ready(&["iris1"]), ["announce", "noLocalEndpoints"]
)]
#[case::l2_row_16_two_slices(
    iris().local().ready(&I).ready(&["iris2"]), ["notOwner", "announce"]
)]
#[case::l2_row_17_more_on_the_first(
    iris().local().ready(&["iris1", "iris2", "iris1"]), ["notOwner", "announce"]
)]
#[case::l2_row_18_more_on_the_second(
    iris().local().ready(&["iris1", "iris2", "iris2"]), ["notOwner", "announce"]
)]
#[case::l2_row_19_one_of_two_ready(
    iris().local().ready(&["iris1", "iris2", "!iris1"]), ["notOwner", "announce"]
)]
#[case::l2_row_20_none_ready_on_the_second(
    iris().local().ready(&["iris1", "!iris2", "!iris2"]), ["announce", "noLocalEndpoints"]
)]
#[case::l2_row_21_one_node_listed(
    Cluster::new(&I).advertise_from(&["iris1"]).ready(&["iris1"]), ["announce", "noMatchingAdvertisement"]
)]
#[case::l2_row_22_two_advertisements(
    Cluster::new(&I).advertise_from(&["iris1"]).advertise_from(&["iris2"]).local().ready(&["iris1"]),
    ["announce", "noLocalEndpoints"]
)]
#[case::l2_row_23_endpoint_elsewhere(
    iris().ready(&["iris1"]), ["notOwner", "announce"]
)]
#[case::l2_row_24_endpoints_on_both(
    Cluster::new(&I).advertise_from(&["iris1"]).ready(&I), ["announce", "noMatchingAdvertisement"]
)]
#[case::l2_row_25_endpoint_where_nothing_is_listed(
    Cluster::new(&I).advertise_from(&["iris2"]).local().ready(&["iris1"]),
    ["noMatchingAdvertisement", "noEligibleNodes"]
)]
#[case::l2_row_26_second_excluded(
    iris().excluded("iris2").ready(&I), ["announce", "nodeLabeledExcludeBalancers"]
)]
#[case::l2_row_27_first_excluded(
    iris().excluded("iris1").ready(&I), ["nodeLabeledExcludeBalancers", "announce"]
)]
#[case::l2_row_28_both_excluded(
    iris().excluded("iris1").excluded("iris2").ready(&I), ["noEligibleNodes", "noEligibleNodes"]
)]
#[case::l2_row_29_label_ignored(
    Cluster { ignore_exclude_lb: true, ..iris() }
        .excluded("iris1").excluded("iris2").local().ready(&["iris1"]),
    ["announce", "noLocalEndpoints"]
)]
#[case::network_unavailable(
    iris().node("iris2", |node| node.network_unavailable = true).ready(&I),
    ["announce", "nodeNetworkUnavailable"]
)]
#[case::not_a_member(
    iris().members(mk_members(&["iris1"])).ready(&I), ["announce", "nodeNotMember"]
)]
#[case::no_selectors_list_every_node(
    Cluster::new(&I).advertise(json!({})).ready(&["iris1"]), ["notOwner", "announce"]
)]
fn elections(#[case] cluster: Cluster, #[case] expected: [&str; 2]) {
    let verdicts = I.map(|own| cluster.verdict(own, "web"));
    assert_eq!(verdicts.each_ref().map(outcome), expected, "{verdicts:?}");
    // All nodes that see the same agree on the owner, and only the owner announces.
    assert_eq!(verdicts[0].owner, verdicts[1].owner);
    for (own, verdict) in I.iter().zip(&verdicts) {
        let owns = verdict.owner.as_ref().is_some_and(|owner| owner.as_str() == *own);
        assert_eq!(verdict.announcement().is_some(), owns);
    }
}

/// `iris2` owns 10.20.30.1 unless it lacks what others have.
#[rstest]
#[case::nobody_lacks(json!({}), &[], "iris2")]
#[case::its_network(json!({}), &[("iris2", "10.20.30.0/24")], "iris1")]
#[case::another_network(json!({}), &[("iris2", "10.20.31.0/24")], "iris2")]
#[case::everybody_lacks(json!({}), &[("iris1", "10.20.30.0/24"), ("iris2", "10.20.30.0/24")], "iris2")]
#[case::its_interface(json!({ "interfaces": ["eth1"] }), &[("iris2", "eth1")], "iris1")]
#[case::another_interface(json!({ "interfaces": ["eth0"] }), &[("iris2", "eth1")], "iris2")]
#[case::before_preference(
    json!({ "preferredNodeSelectors": [{ "weight": 100, "preference": { "matchLabels": { "name": "iris2" } } }] }),
    &[("iris2", "10.20.30.0/24")], "iris1"
)]
fn whoever_lacks_nothing_comes_first(
    #[case] advertisement: serde_json::Value,
    #[case] lacks: &[(&str, &str)],
    #[case] owner: &str,
) {
    let cluster = Cluster::new(&I).advertise(advertisement).ready(&["iris2"]);
    let mk_lack = |what: &str| {
        what.parse().map_or_else(|_| crate::Lack::interface(what), crate::Lack::network)
    };
    let lacks: crate::Lacks =
        lacks.iter().map(|(node, what)| ((*node).into(), [mk_lack(what)].into())).collect();
    for own in I {
        let mut snapshot = cluster.seen_from(own);
        apply(&mut snapshot, crate::Change::Lacks(lacks.clone()));
        let verdict = snapshot.verdict(&mk_key("web")).unwrap();
        assert_eq!(verdict.owner.as_ref().map(NodeName::as_str), Some(owner));
        assert_eq!(verdict.announcement().is_some(), owner == own);
    }
}

#[rstest]
#[case::l2_row_02_two_slices(&["iris1", "iris2"], &I)]
#[case::l2_row_03_one_slice(&["iris1 iris2"], &I)]
#[case::l2_row_04_twice_on_one_node(&["iris1 iris1"], &["iris1"])]
#[case::l2_row_05_one_not_ready(&["iris1 !iris1"], &["iris1"])]
#[case::l2_row_06_serving_only(&["~iris1 ~iris2"], &I)]
#[case::not_ready_anywhere(&["!iris1 !iris2"], &[])]
fn nodes_with_endpoint(#[case] slices: &[&str], #[case] expected: &[&str]) {
    let cluster = slices.iter().fold(iris(), |cluster, nodes| {
        cluster.ready(&nodes.split_whitespace().collect::<Vec<_>>())
    });
    let snapshot = cluster.seen_from("iris1");
    let found: Vec<&str> = I
        .into_iter()
        .filter(|node| snapshot.endpoints().can_serve_on(&mk_key("web"), &(*node).into()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn l2_row_30_every_address_has_one_announcer() {
    let mut cluster = iris();
    cluster.services.clear();
    for last in 1..=255 {
        for (who, node) in [("a", "iris1"), ("b", "iris2")] {
            let name = format!("{who}-{last}");
            cluster.services.push(mk_service(&name, &[&format!("10.20.30.{last}")]));
            cluster.slices.push(mk_slice(&format!("slice-{name}"), &name, &[node]));
        }
    }
    let views = I.map(|own| cluster.seen_from(own));
    let mut won: BTreeMap<&str, usize> = BTreeMap::new();
    for last in 1..=255 {
        let announcers = |who: &str| -> Vec<&str> {
            let key = mk_key(&format!("{who}-{last}"));
            let announces = |view: &&Snapshot| decide(view, &key).announcement().is_some();
            views.iter().filter(announces).map(|view| view.settings().own.as_str()).collect()
        };
        let (one, other) = (announcers("a"), announcers("b"));
        assert_eq!(one.len(), 1, "10.20.30.{last}");
        assert_eq!(one, other, "10.20.30.{last}");
        *won.entry(if one == ["iris1"] { "iris1" } else { "iris2" }).or_default() += 1;
    }
    let counts: BTreeSet<usize> = won.into_values().collect();
    assert_eq!(counts, [121, 134].into());
}

fn nginx_from_iris1(advertisements: &[serde_json::Value]) -> Cluster {
    let cluster = Cluster::new(&["iris1"]).labelled("nginx").ready(&["iris1"]);
    advertisements.iter().fold(cluster, |cluster, spec| cluster.advertise(spec.clone()))
}

fn shared(cluster: Cluster) -> Cluster {
    cluster.web(|web| web.annotations.allow_shared_ip = Some(String::new()))
}

fn mk_selecting(apps: &[&str]) -> serde_json::Value {
    let selectors: Vec<_> =
        apps.iter().map(|app| json!({ "matchLabels": { "app": app } })).collect();
    json!({ "serviceSelectors": selectors })
}

#[rstest]
#[case::l2_row_31_no_selectors(nginx_from_iris1(&[json!({})]), "announce")]
#[case::l2_row_32_matching(nginx_from_iris1(&[mk_selecting(&["nginx"])]), "announce")]
#[case::l2_row_33_not_matching(
    nginx_from_iris1(&[mk_selecting(&["apache"])]), "noMatchingAdvertisement"
)]
#[case::l2_row_34_one_of_two_matching(
    nginx_from_iris1(&[mk_selecting(&["apache", "nginx"])]), "announce"
)]
#[case::l2_row_35_shared_and_selected(
    shared(nginx_from_iris1(&[mk_selecting(&["nginx"])])), "sharedIPWithServiceSelector"
)]
#[case::l2_row_36_shared_without_selectors(shared(nginx_from_iris1(&[json!({})])), "announce")]
#[case::l2_row_37_selected_not_shared(nginx_from_iris1(&[mk_selecting(&["nginx"])]), "announce")]
// Row 38 differs from 35 by the deprecated annotation only, which the row of a Service has merged.
#[case::l2_row_38_shared_by_any_value(
    nginx_from_iris1(&[mk_selecting(&["nginx"])])
        .web(|web| web.annotations.allow_shared_ip = Some("key".to_owned())),
    "sharedIPWithServiceSelector"
)]
#[case::l2_row_39_one_of_two_has_selectors(
    shared(nginx_from_iris1(&[json!({}), mk_selecting(&["nginx"])])), "sharedIPWithServiceSelector"
)]
#[case::shared_and_the_selecting_one_does_not_match(
    shared(nginx_from_iris1(&[json!({}), mk_selecting(&["apache"])])), "announce"
)]
fn service_selectors(#[case] cluster: Cluster, #[case] expected: &str) {
    assert_eq!(outcome(&cluster.verdict("iris1", "web")), expected);
}

#[rstest]
#[case::l2_row_40_no_selectors(&[json!({})], &["ad-0"])]
#[case::l2_row_41_matching(&[mk_selecting(&["nginx"])], &["ad-0"])]
#[case::l2_row_42_not_matching(&[mk_selecting(&["apache"])], &[])]
#[case::l2_row_43_of_another_node(
    &[json!({ "nodeSelectors": [{ "matchLabels": { "name": "ghost" } }] })], &["ad-0"]
)]
#[case::l2_row_44_three(
    &[mk_selecting(&["apache"]), mk_selecting(&["nginx"]), json!({})], &["ad-1", "ad-2"]
)]
fn advertisements_for_service(
    #[case] advertisements: &[serde_json::Value],
    #[case] expected: &[&str],
) {
    let snapshot = nginx_from_iris1(advertisements).seen_from("iris1");
    let key = mk_key("web");
    let Ok(subject) = Subject::admit(&snapshot, &key) else { panic!("refused") };
    let names: Vec<&str> = subject.listings.iter().map(|listing| &*listing.rule.name).collect();
    assert_eq!(names, expected);
}

fn mk_rule(node: &str, app: &str, interfaces: &[&str]) -> serde_json::Value {
    let mut rule = mk_selecting(&[app]);
    rule["nodeSelectors"] = crate::fixture::mk_nodes_selector(&[node]);
    rule["interfaces"] = json!(interfaces);
    rule
}

#[rstest]
#[case::l2_row_46_no_rule_for_both(
    Cluster::new(&I).advertise(mk_rule("iris1", "other", &[])).advertise(mk_rule("ghost", "web", &[]))
        .labelled("web"),
    ["noMatchingAdvertisement", "noMatchingAdvertisement"]
)]
#[case::l2_row_47_rule_of_the_first(
    Cluster::new(&I).advertise(mk_rule("iris1", "foo", &[])).advertise(mk_rule("iris2", "bar", &[]))
        .labelled("foo"),
    ["announce", "noMatchingAdvertisement"]
)]
#[case::l2_row_48_rule_of_the_second(
    Cluster::new(&I).advertise(mk_rule("iris1", "foo", &[])).advertise(mk_rule("iris2", "bar", &[]))
        .labelled("bar"),
    ["noMatchingAdvertisement", "announce"]
)]
fn rules_per_node(#[case] cluster: Cluster, #[case] expected: [&str; 2]) {
    let cluster = cluster.ready(&I);
    assert_eq!(I.map(|own| outcome(&cluster.verdict(own, "web"))), expected);
}

fn interfaces_of(verdict: &Verdict) -> String {
    verdict.announcement().unwrap().addresses[0].1.to_string()
}

#[rstest]
#[case::iris1("10.20.30.2", "iris1", "eth0")]
#[case::iris2("10.20.30.1", "iris2", "eth1")]
fn l2_row_45_interfaces_of_the_winner(
    #[case] address: &str,
    #[case] winner: &str,
    #[case] interfaces: &str,
) {
    let cluster = Cluster::new(&I)
        .advertise(mk_rule("iris1", "web", &["eth0"]))
        .advertise(mk_rule("iris2", "web", &["eth1"]))
        .labelled("web")
        .web(|web| web.ingress = vec![mk_ingress(address)])
        .ready(&I);
    let announcing: Vec<_> =
        I.into_iter().filter(|own| cluster.verdict(own, "web").announcement().is_some()).collect();
    assert_eq!(announcing, [winner]);
    assert_eq!(interfaces_of(&cluster.verdict(winner, "web")), interfaces);
}

#[rstest]
#[case::l2_row_49_all(&[""], "all interfaces")]
#[case::l2_row_50_two_named(&["eth1 eth2"], "eth1, eth2")]
#[case::l2_row_51_union(&["eth0 eth1", "eth0 eth2"], "eth0, eth1, eth2")]
#[case::x_06_equal_advertisements(&["eth0", "eth0"], "eth0")]
#[case::l2_row_52_all_beats_named(&["eth0 eth1", ""], "all interfaces")]
fn interface_sets(#[case] advertisements: &[&str], #[case] expected: &str) {
    let mk_spec =
        |names: &&str| json!({ "interfaces": names.split_whitespace().collect::<Vec<_>>() });
    let specs: Vec<_> = advertisements.iter().map(mk_spec).collect();
    assert_eq!(interfaces_of(&nginx_from_iris1(&specs).verdict("iris1", "web")), expected);
}

#[test]
fn both_addresses_follow_the_first() {
    let ingress = |texts: [&str; 2]| texts.map(mk_ingress).to_vec();
    let cluster = |texts| iris().ready(&I).web(|web| web.ingress = ingress(texts));
    // 10.20.30.2 alone would be won by iris1, 2001:db8::1 alone by the node its own hash names.
    let verdict = cluster(["10.20.30.2", "2001:db8::1"]).verdict("iris1", "web");
    let addresses: Vec<String> = verdict
        .announcement()
        .unwrap()
        .addresses
        .iter()
        .map(|(address, interfaces)| format!("{address} on {interfaces}"))
        .collect();
    assert_eq!(addresses, ["10.20.30.2 on all interfaces", "2001:db8::1 on all interfaces"]);

    let alone = iris().ready(&I).web(|web| web.ingress = vec![mk_ingress("2001:db8::1")]);
    let reversed = cluster(["2001:db8::1", "10.20.30.2"]);
    assert_eq!(reversed.verdict("iris1", "web").owner, alone.verdict("iris1", "web").owner);
}
