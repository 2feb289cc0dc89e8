//! Gates before the election, and what the reasons say.

use super::*;
use crate::rows::{Ingress, Service};
use crate::snapshot::Settings;

fn single() -> Cluster {
    Cluster::new(&["node1"]).advertise(json!({})).ready(&["node1"])
}

fn set(change: impl FnOnce(&mut Service)) -> Cluster {
    single().web(change)
}

#[rstest]
#[case::announces(single(), "announce")]
#[case::not_load_balancer(set(|web| web.is_load_balancer = false), "notLoadBalancer")]
#[case::k_053_class_of_ours_only(
    Cluster { class: Some("foo".into()), ..single() }, "otherLoadBalancerClass"
)]
#[case::k_054_class_of_service_only(
    set(|web| web.class = Some("foo".into())), "otherLoadBalancerClass"
)]
#[case::k_056_class_agrees(
    Cluster { class: Some("foo".into()), ..set(|web| web.class = Some("foo".into())) }, "announce"
)]
#[case::no_address(set(|web| web.ingress.clear()), "noIPAllocated")]
#[case::no_ip_in_entry(
    set(|web| web.ingress.push(Ingress { ip: None, hostname: Some("a.example".to_owned()) })),
    "invalidIP"
)]
#[case::unparsable(set(|web| web.ingress = vec![mk_ingress("10.20.30")]), "invalidIP")]
#[case::outside_all_pools(set(|web| web.ingress = vec![mk_ingress("10.9.9.9")]), "ipNotAllowed")]
#[case::one_of_two_outside(set(|web| web.ingress.push(mk_ingress("2001:db9::"))), "ipNotAllowed")]
#[case::no_endpoint(Cluster { slices: Vec::new(), ..single() }, "noEndpoints")]
#[case::no_advertisement(
    Cluster { advertisements: Vec::new(), ..single() }, "noMatchingAdvertisement"
)]
#[case::endpoint_without_node_is_enough(single().slice("web", &[""]), "announce")]
fn gates(#[case] cluster: Cluster, #[case] expected: &str) {
    assert_eq!(outcome(&cluster.verdict("node1", "web")), expected);
}

#[test]
fn unknown_service_is_deleted() {
    assert_eq!(outcome(&single().verdict("node1", "other")), "serviceDeleted");
}

#[test]
fn without_configuration_nothing_is_announced() {
    let mut snapshot =
        Snapshot::new(Settings { own: "node1".into(), class: None, ignore_exclude_lb: false });
    let service = mk_service("web", &["10.20.30.1"]);
    crate::fixture::apply(
        &mut snapshot,
        crate::snapshot::Change::Service(service.key.clone(), Some(service)),
    );
    assert_eq!(outcome(&decide(&snapshot, &mk_key("web"))), "noConfig");
}

#[test]
fn an_address_of_an_invalid_pool_names_the_pool() {
    let objects = crate::fixture::mk_objects(&json!({
        "pools": { "bad": { "addresses": ["10.20.30.0/24", "10.20.31.0/33"] } },
    }));
    let config = crate::config::Config::build(&objects, None);
    let mut snapshot = single().seen_from("node1");
    let affected =
        crate::fixture::apply(&mut snapshot, crate::snapshot::Change::Config(config.into()));
    assert_eq!(affected, 1);
    let reason = snapshot.verdict(&mk_key("web")).and_then(Verdict::reason).unwrap();
    assert_eq!(reason.code(), "ipNotAllowed");
    assert_eq!(
        reason.to_string(),
        "no single pool holds 10.20.30.1 (pool bad does, but is invalid)"
    );
}

#[test]
fn a_node_without_node_object_is_not_listed() {
    let verdict = single().verdict("node2", "web");
    assert_eq!(outcome(&verdict), "noMatchingAdvertisement");
    assert_eq!(verdict.owner, Some("node1".into()));
}

#[rstest]
#[case::label_silences_single_node(
    single().excluded("node1"),
    "every node with the address's advertisement is excluded: node1 has label \
     node.kubernetes.io/exclude-from-external-load-balancers (start the speaker with \
     --ignore-exclude-lb to announce anyway)"
)]
#[case::network_unavailable(
    single().node("node1", |node| node.network_unavailable = true),
    "every node with the address's advertisement is excluded: node1 has condition NetworkUnavailable"
)]
#[case::local_without_endpoint(
    Cluster::new(&["node1"]).advertise(json!({})).local().ready(&["node2"]),
    "every node with the address's advertisement is excluded: node1 has no endpoint that can serve \
     (externalTrafficPolicy: Local)"
)]
#[case::other_class(
    set(|web| web.class = Some("foo".into())),
    "the Service has loadBalancerClass foo, this process serves no loadBalancerClass"
)]
#[case::host_name(
    set(|web| web.ingress = vec![Ingress { ip: None, hostname: Some("a.example".to_owned()) }]),
    "status.loadBalancer.ingress holds \"a.example\", which is not an address"
)]
#[case::outside(
    set(|web| web.ingress = vec![mk_ingress("10.9.9.9"), mk_ingress("::1")]),
    "no single pool holds 10.9.9.9, ::1"
)]
#[case::pool_without_advertisement(
    Cluster { advertisements: Vec::new(), ..single() }, "no L2Advertisement covers pool pool"
)]
#[case::service_not_selected(
    Cluster { advertisements: vec![mk_selecting(&["other"])], ..single() },
    "no L2Advertisement of pool pool selects this Service"
)]
#[case::node_not_listed(
    Cluster { advertisements: Vec::new(), ..single() }.advertise_from(&["node2"]),
    "no L2Advertisement of pool pool that selects this Service lists node node1"
)]
#[case::shared(
    shared(Cluster { advertisements: vec![mk_selecting(&["nginx"])], ..single() }.labelled("nginx")),
    "the Service shares its address, and L2Advertisement ad-0 has serviceSelectors: sharers could \
     end up on different nodes"
)]
#[case::not_owner(
    Cluster::new(&["node1", "zone-1", "zone-2", "zone-3"]).advertise(json!({
        "preferredNodeSelectors": [{ "weight": 1, "preference": { "matchLabels": { "name": "zone-2" } } }],
    })).ready(&["node1"]),
    "node zone-2 owns the address"
)]
fn sentences(#[case] cluster: Cluster, #[case] expected: &str) {
    let verdict = cluster.verdict("node1", "web");
    assert_eq!(verdict.reason().map(ToString::to_string).unwrap_or_default(), expected);
}

#[test]
fn a_long_list_of_dropped_nodes_is_cut() {
    let names: Vec<String> = (0..8).map(|number| format!("n{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let cluster = Cluster::new(&names).advertise(json!({})).members(mk_members(&[])).ready(&["n0"]);
    assert_eq!(
        cluster.verdict("n0", "web").reason().unwrap().to_string(),
        "every node with the address's advertisement is excluded: n0 is not a living member, n1 is \
         not a living member, n2 is not a living member, n3 is not a living member, n4 is not a \
         living member and 3 more"
    );
}
