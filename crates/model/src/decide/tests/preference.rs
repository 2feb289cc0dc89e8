//! Preferred nodes: scores and who wins by them.

use super::*;
use crate::fixture::mk_nodes_selector;

const FOUR: [&str; 4] = ["edge-a", "edge-b", "worker-a", "worker-b"];

/// Weights by node name.
fn mk_preferences(weights: &[(&str, i32)]) -> serde_json::Value {
    let terms: Vec<_> = weights
        .iter()
        .map(|(node, weight)| {
            json!({ "weight": weight, "preference": { "matchLabels": { "name": node } } })
        })
        .collect();
    json!({ "preferredNodeSelectors": terms })
}

fn mk_listed(mut spec: serde_json::Value, nodes: &[&str]) -> serde_json::Value {
    spec["nodeSelectors"] = mk_nodes_selector(nodes);
    spec
}

#[rstest]
#[case::l2_row_60_no_advertisement(&[], &[])]
#[case::l2_row_61_no_preferences(&[json!({})], &[("a", 0), ("b", 0)])]
#[case::l2_row_62_sums(
    &[mk_preferences(&[("a", 70)]), mk_preferences(&[("a", 30), ("b", 50)])], &[("a", 100), ("b", 50)]
)]
#[case::x_07_equal_advertisements_add_up(
    &[mk_preferences(&[("a", 70)]), mk_preferences(&[("a", 70)])], &[("a", 140), ("b", 0)]
)]
#[case::x_08_one_listed_and_preferred(
    &[mk_listed(mk_preferences(&[("a", 70)]), &["a"])], &[("a", 70)]
)]
#[case::x_08_disjoint_from_listed(
    &[mk_listed(mk_preferences(&[("a", 70)]), &["b"])], &[("b", 0)]
)]
#[case::x_10_empty_preference_scores_all(
    &[json!({ "preferredNodeSelectors": [{ "weight": 50, "preference": {} }] })],
    &[("a", 50), ("b", 50)]
)]
#[case::x_10_cumulative(
    &[json!({ "preferredNodeSelectors": [
        { "weight": 60, "preference": {} },
        { "weight": 50, "preference": { "matchLabels": { "name": "a" } } },
    ] })],
    &[("a", 110), ("b", 60)]
)]
#[case::x_10_no_match(&[mk_preferences(&[("ghost", 70)])], &[("a", 0), ("b", 0)])]
fn scores(#[case] advertisements: &[serde_json::Value], #[case] expected: &[(&str, i64)]) {
    let cluster = Cluster::new(&["a", "b"]).ready(&["a"]);
    let cluster = advertisements.iter().fold(cluster, |all, spec| all.advertise(spec.clone()));
    let (snapshot, key) = (cluster.seen_from("a"), mk_key("web"));
    let Ok(subject) = Subject::admit(&snapshot, &key) else { panic!("refused") };
    let field = subject.field();
    let scores: Vec<(&str, i64)> =
        field.candidates.iter().map(|(node, rank)| (node.as_str(), rank.preference)).collect();
    assert_eq!(scores, expected);
}

#[rstest]
#[case::l2_row_63_preferred_without_endpoint(
    Cluster::new(&FOUR).advertise(mk_preferences(&[("edge-a", 100)])).ready(&["worker-a"]), "edge-a"
)]
#[case::l2_row_64_local_endpoint_needed(
    Cluster::new(&FOUR).advertise(mk_preferences(&[("edge-a", 100)])).local().ready(&["worker-a"]),
    "worker-a"
)]
#[case::l2_row_65_other_services_do_not_count(
    Cluster::new(&["edge-a", "worker-a"])
        .advertise(mk_listed(mk_preferences(&[("edge-a", 100)]), &["edge-a"]))
        .advertise(json!({}))
        .advertise({
            let mut other = mk_selecting(&["other"]);
            other["preferredNodeSelectors"] =
                mk_preferences(&[("worker-a", 1000)])["preferredNodeSelectors"].clone();
            other
        })
        .ready(&["worker-a"]),
    "edge-a"
)]
#[case::l2_row_66_next_preferred(
    Cluster::new(&FOUR).advertise(mk_preferences(&[("edge-a", 100), ("edge-b", 100)]))
        .members(mk_members(&["edge-b", "worker-a"])).ready(&["worker-a"]),
    "edge-b"
)]
#[case::l2_row_67_hash_among_equals(
    Cluster::new(&FOUR).advertise(mk_preferences(&[("edge-a", 100), ("edge-b", 100)]))
        .members(mk_members(&["edge-a", "edge-b", "worker-a"])).ready(&["worker-a"]),
    "edge-b"
)]
#[case::l2_row_68_none_preferred_left(
    Cluster::new(&FOUR).advertise(mk_preferences(&[("edge-a", 100), ("edge-b", 100)]))
        .members(mk_members(&["worker-a", "worker-b"])).ready(&["worker-a"]),
    "worker-a"
)]
fn preferred(#[case] cluster: Cluster, #[case] expected: &str) {
    let announcing: Vec<_> = cluster
        .nodes
        .iter()
        .map(|node| node.name.as_str())
        .filter(|own| cluster.verdict(own, "web").announcement().is_some())
        .collect();
    assert_eq!(announcing, [expected]);
}
