//! Rows of `api.md` 3.4 and 3.6 and rows X1 to X10 of `layer2.md` 9.3, as far as configuration
//! decides them; `decide/tests` holds those about scores.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::fixture::{mk_config, mk_labels, mk_namespaces, mk_objects};
use crate::verdict::Interfaces;

mod bgp;
mod bgp_references;
mod overlaps;

fn messages(config: &Config) -> Vec<&str> {
    config.problems.iter().map(|problem| problem.message.as_str()).collect()
}

/// The only problem as `field`, `value`, `message`.
fn only_problem(written: &Value) -> [String; 3] {
    let config = Config::build(&mk_objects(written), None);
    let [problem] = config.problems.as_slice() else { panic!("{:?}", config.problems) };
    [problem.field.clone(), problem.value.clone(), problem.message.clone()]
}

fn mk_pool(spec: &Value) -> Value {
    json!({ "pools": { "pool1": spec } })
}

#[rstest]
#[case::k_010_no_addresses(
    json!({ "addresses": [] }),
    ["spec.addresses", "", "parsing address pool pool1: pool has no prefixes defined"]
)]
#[case::bare_address(
    json!({ "addresses": ["1.2.3.0/24", "1.2.4.4"] }),
    ["spec.addresses[1]", "1.2.4.4",
     "parsing address pool pool1: spec.addresses[1]: \"1.2.4.4\" is a single address, a prefix or \
      a range is expected: write \"1.2.4.4/32\""]
)]
#[case::overlap_inside(
    json!({ "addresses": ["1.2.3.0/24", "1.2.3.77-1.2.4.1"] }),
    ["spec.addresses[1]", "1.2.3.77-1.2.4.1",
     "parsing address pool pool1: spec.addresses[1]: 1.2.3.77-1.2.4.1 overlaps 1.2.3.0/24, which \
      the pool lists before"]
)]
#[case::same_entry_twice(
    json!({ "addresses": ["1.2.3.0/24", "1.2.3.0/24"] }),
    ["spec.addresses[1]", "1.2.3.0/24",
     "parsing address pool pool1: spec.addresses[1]: 1.2.3.0/24 overlaps 1.2.3.0/24, which the \
      pool lists before"]
)]
#[case::namespace_twice(
    json!({ "addresses": ["1.2.3.0/24"], "serviceAllocation": { "namespaces": ["a", "b", "a"] } }),
    ["spec.serviceAllocation.namespaces[2]", "a",
     "parsing address pool pool1: spec.serviceAllocation.namespaces[2]: \"a\" is listed twice"]
)]
#[case::selector_twice(
    json!({ "addresses": ["1.2.3.0/24"], "serviceAllocation": { "serviceSelectors": [
        { "matchExpressions": [{ "key": "app", "operator": "In", "values": ["a", "b"] }] },
        { "matchExpressions": [{ "key": "app", "operator": "In", "values": ["b", "a"] }] },
    ] } }),
    ["spec.serviceAllocation.serviceSelectors[1]", "app in (a,b)",
     "parsing address pool pool1: spec.serviceAllocation.serviceSelectors[1]: \"app in (a,b)\" is \
      listed twice"]
)]
#[case::bad_operator(
    json!({ "addresses": ["1.2.3.0/24"], "serviceAllocation": { "namespaceSelectors": [
        { "matchExpressions": [{ "key": "app", "operator": "Is" }] },
    ] } }),
    ["spec.serviceAllocation.namespaceSelectors[0]", "Is",
     "parsing address pool pool1: spec.serviceAllocation.namespaceSelectors[0]: label \"app\": \
      \"Is\" is no operator: In, NotIn, Exists or DoesNotExist is expected"]
)]
fn invalid_pools(#[case] spec: Value, #[case] expected: [&str; 3]) {
    assert_eq!(only_problem(&mk_pool(&spec)), expected);
}

fn mk_advertisement(spec: &Value) -> Value {
    json!({ "pools": { "pool1": { "addresses": ["1.2.3.0/24"] } }, "advertisements": { "ad": spec } })
}

fn mk_in(values: &[&str]) -> Value {
    json!({ "matchExpressions": [{ "key": "a", "operator": "In", "values": values }] })
}

#[rstest]
#[case::x_01_pool_twice(
    json!({ "ipAddressPools": ["pool1", "pool1"] }), "spec.ipAddressPools[1]", "pool1"
)]
#[case::x_04_pool_selector_twice(
    json!({ "ipAddressPoolSelectors": [mk_in(&["b"]), mk_in(&["b"])] }),
    "spec.ipAddressPoolSelectors[1]", "a in (b)"
)]
#[case::x_04_node_selector_twice(
    json!({ "nodeSelectors": [{ "matchLabels": { "a": "b" } }, { "matchLabels": { "a": "b" } }] }),
    "spec.nodeSelectors[1]", "a=b"
)]
#[case::x_04_value_twice(
    json!({ "nodeSelectors": [mk_in(&["b", "b"])] }), "spec.nodeSelectors[0]", "b"
)]
#[case::x_04_service_selector_twice(
    json!({ "serviceSelectors": [mk_in(&["b", "c"]), {}, mk_in(&["c", "b"])] }),
    "spec.serviceSelectors[2]", "a in (b,c)"
)]
#[case::x_10_bad_operator(
    json!({ "preferredNodeSelectors": [{ "weight": 1, "preference": {
        "matchExpressions": [{ "key": "a", "operator": "Gt", "values": ["1"] }] } }] }),
    "spec.preferredNodeSelectors[0].preference", "Gt"
)]
fn invalid_advertisements(#[case] spec: Value, #[case] field: &str, #[case] value: &str) {
    let problem = only_problem(&mk_advertisement(&spec));
    assert_eq!(problem[..2], [field, value]);
    let start = format!("parsing L2Advertisement ad: {field}: ");
    assert!(problem[2].starts_with(&start) && problem[2].contains(value), "{}", problem[2]);
}

#[test]
fn every_fault_of_an_object_is_reported() {
    let config = Config::build(
        &mk_objects(&mk_pool(&json!({
            "addresses": ["x", "1.2.3.4-1.2.3.1"],
            "serviceAllocation": { "namespaces": ["a", "a"] },
        }))),
        None,
    );
    let fields: Vec<&str> = config.problems.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(
        fields,
        ["spec.addresses[0]", "spec.addresses[1]", "spec.serviceAllocation.namespaces[1]"]
    );
}

#[rstest]
#[case::no_stanza(json!({ "addresses": ["1.2.3.0/24"] }), None)]
#[case::empty_stanza_is_for_all(
    json!({ "addresses": ["1.2.3.0/24"], "serviceAllocation": { "priority": 7 } }),
    Some((7, None, 0))
)]
#[case::named(
    json!({ "addresses": ["1.2.3.0/24"], "serviceAllocation": { "namespaces": ["b", "gone"] } }),
    Some((0, Some(vec!["b", "gone"]), 0))
)]
#[case::selected_join_named(
    json!({ "addresses": ["1.2.3.0/24"], "serviceAllocation": {
        "namespaces": ["gone"], "namespaceSelectors": [{ "matchLabels": { "team": "x" } }] } }),
    Some((0, Some(vec!["a", "b", "gone"]), 0))
)]
#[case::q_08_matching_nothing_is_closed(
    json!({ "addresses": ["1.2.3.0/24"], "serviceAllocation": {
        "namespaceSelectors": [{ "matchLabels": { "team": "y" } }] } }),
    Some((0, Some(vec![]), 0))
)]
#[case::service_selectors(
    json!({ "addresses": ["1.2.3.0/24"], "serviceAllocation": {
        "serviceSelectors": [{ "matchLabels": { "app": "x" } }, {}] } }),
    Some((0, None, 2))
)]
fn pinning(#[case] spec: Value, #[case] expected: Option<(i64, Option<Vec<&str>>, usize)>) {
    let mut objects = mk_objects(&mk_pool(&spec));
    objects.namespaces =
        mk_namespaces(&[("a", &[("team", "x")]), ("b", &[("team", "x")]), ("c", &[])]);
    let config = Config::build(&objects, None);
    assert_eq!(messages(&config), [""; 0]);
    let found = config.pools["pool1"].pinning.as_ref().map(|pinning| {
        let namespaces = pinning.namespaces.as_ref();
        let namespaces = namespaces.map(|all| all.iter().map(String::as_str).collect());
        (pinning.priority, namespaces, pinning.service_selectors.len())
    });
    assert_eq!(found, expected);
}

#[rstest]
#[case::neither_is_all(json!({}), &["blue", "green", "plain"])]
#[case::named(json!({ "ipAddressPools": ["green", "ghost"] }), &["green"])]
#[case::only_unknown_is_none(json!({ "ipAddressPools": ["ghost"] }), &[])]
#[case::x_02_selected(
    json!({ "ipAddressPoolSelectors": [{ "matchLabels": { "color": "blue" } }] }), &["blue"]
)]
#[case::x_02_selector_matching_nothing(
    json!({ "ipAddressPoolSelectors": [{ "matchLabels": { "color": "red" } }] }), &[]
)]
#[case::x_09_named_and_selected_once(
    json!({ "ipAddressPools": ["blue"],
            "ipAddressPoolSelectors": [{ "matchLabels": { "color": "blue" } }] }),
    &["blue"]
)]
fn pools_of_an_advertisement(#[case] spec: Value, #[case] expected: &[&str]) {
    let config = mk_config(&json!({
        "pools": {
            "blue": { "metadata": { "labels": { "color": "blue" } }, "addresses": ["10.0.0.0/24"] },
            "green": { "metadata": { "labels": { "color": "green" } }, "addresses": ["10.0.1.0/24"] },
            "plain": { "addresses": ["10.0.2.0/24"] },
        },
        "advertisements": { "ad": spec },
    }));
    let pools: Vec<&str> = config.l2_advertisements[0].pools.iter().map(PoolName::as_str).collect();
    assert_eq!(pools, expected);
}

#[test]
fn x_03_named_interface_is_not_all() {
    let config = mk_config(&mk_advertisement(&json!({ "interfaces": ["eth0"] })));
    let expected = Interfaces::Named(["eth0".to_owned()].into());
    assert_eq!(config.l2_advertisements[0].interfaces, expected);
}

#[rstest]
#[case::x_05_matching(json!({ "nodeSelectors": [mk_in(&["b"])] }), Some(0))]
#[case::x_05_other(json!({ "nodeSelectors": [mk_in(&["c"])] }), None)]
#[case::any_of_several(json!({ "nodeSelectors": [mk_in(&["c"]), mk_in(&["b"])] }), Some(0))]
#[case::empty_selector_is_everything(json!({ "nodeSelectors": [{}] }), Some(0))]
#[case::x_09_terms_sum(
    json!({ "preferredNodeSelectors": [
        { "weight": 30, "preference": mk_in(&["b"]) },
        { "weight": 40, "preference": mk_in(&["b"]) },
        { "weight": 50, "preference": mk_in(&["c"]) },
    ] }),
    Some(70)
)]
fn weight_of_a_node(#[case] spec: Value, #[case] expected: Option<i64>) {
    let config = mk_config(&mk_advertisement(&spec));
    let weight = config.l2_advertisements[0].weight(&mk_labels(&[("a", "b")]));
    assert_eq!(weight, expected);
}

#[test]
fn one_bad_object_does_not_stop_the_others() {
    let config = Config::build(
        &mk_objects(&json!({
            "pools": { "bad": { "addresses": ["x"] }, "good": { "addresses": ["10.0.0.0/24"] } },
            "advertisements": {
                "bad": { "nodeSelectors": [mk_in(&[])] }, "good": { "ipAddressPools": ["good"] },
            },
        })),
        None,
    );
    let pools: Vec<&str> = config.pools.keys().map(PoolName::as_str).collect();
    let advertisements: Vec<&str> = config.l2_advertisements.iter().map(|one| &*one.name).collect();
    assert_eq!((pools, advertisements), (vec!["good"], vec!["good"]));
    let kinds: Vec<String> =
        config.problems.iter().map(|one| format!("{} {}", one.kind, one.name)).collect();
    assert_eq!(kinds, ["IPAddressPool bad", "L2Advertisement bad"]);
    assert!(config.problems.iter().all(|problem| !problem.acting));
}

#[test]
fn an_object_that_becomes_invalid_acts_in_its_last_valid_version() {
    let written = |addresses: &str, operator: &str| {
        mk_objects(&json!({
            "pools": { "pool1": {
                "addresses": [addresses],
                "serviceAllocation": { "namespaceSelectors": [{ "matchLabels": { "team": "x" } }] },
            } },
            "advertisements": { "ad": { "nodeSelectors": [
                { "matchExpressions": [{ "key": "a", "operator": operator }] },
            ] } },
        }))
    };
    let good = Config::build(&written("10.0.0.0/24", "Exists"), None);
    let mut objects = written("10.0.0.0/33", "Is");
    objects.namespaces = mk_namespaces(&[("a", &[("team", "x")])]);
    let held = Config::build(&objects, Some(&good));

    assert_eq!(held.l2_advertisements, good.l2_advertisements);
    assert_eq!(held.pools["pool1"].ranges, good.pools["pool1"].ranges);
    // Its references are resolved anew all the same.
    let pinning = held.pools["pool1"].pinning.clone().unwrap();
    assert_eq!(pinning.namespaces, Some(["a".to_owned()].into()));
    assert_eq!(held.problems.len(), 2);
    assert!(held.problems.iter().all(|problem| problem.acting));
    assert!(held.held_invalid.is_empty());

    let again = Config::build(&objects, Some(&held));
    assert_eq!(again, held, "held as long as the process lives");
    let mended = Config::build(&written("10.0.0.0/24", "Exists"), Some(&again));
    assert_eq!(mended, good);
    let deleted = Config::build(&ConfigObjects::default(), Some(&held));
    assert_eq!(deleted, Config::default(), "only what exists is held");
}

#[test]
fn addresses_of_a_pool_invalid_at_start_are_held() {
    let config = Config::build(
        &mk_objects(&json!({ "pools": {
            "bad": { "addresses": ["10.0.0.0/24", "10.0.1.0/33"] },
            "good": { "addresses": ["10.0.2.0/24"] },
        } })),
        None,
    );
    let holder = |annotation: Option<&str>, address: &str| {
        config.left_out_holder(annotation, &[address.parse().unwrap()]).map(PoolName::as_str)
    };
    assert_eq!(holder(None, "10.0.0.7"), Some("bad"));
    assert_eq!(holder(Some("bad"), "10.0.1.7"), Some("bad"), "known by the annotation alone");
    assert_eq!(holder(None, "10.0.1.7"), None);
    assert_eq!(holder(Some("good"), "10.0.2.7"), None);
}

#[test]
fn k_018_order_of_writing_does_not_matter() {
    let written = |names: [&str; 2], values: [&str; 2]| {
        mk_objects(&json!({
            "pools": { "pool1": {
                "addresses": ["10.0.0.0/24"],
                "serviceAllocation": {
                    "namespaces": names,
                    "serviceSelectors": [mk_in(&[values[0]]), mk_in(&[values[1]])],
                },
            } },
            "advertisements": { "ad": {
                "interfaces": names,
                "nodeSelectors": [mk_in(&[values[0]]), mk_in(&[values[1]])],
                "serviceSelectors": [mk_in(&values)],
                "preferredNodeSelectors": [
                    { "weight": 1, "preference": mk_in(&[values[0]]) },
                    { "weight": 1, "preference": mk_in(&[values[1]]) },
                ],
            } },
        }))
    };
    let (one, other) = (written(["a", "b"], ["c", "d"]), written(["b", "a"], ["d", "c"]));
    assert_eq!(Config::build(&one, None), Config::build(&other, None));
}
