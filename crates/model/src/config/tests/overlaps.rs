//! Which of two pools that share addresses is the invalid one.

use super::*;

/// Pools as `(name, seconds of creation, addresses)`.
fn mk_pools(pools: &[(&str, u32, &str)]) -> ConfigObjects {
    let pools: serde_json::Map<String, Value> = pools
        .iter()
        .map(|(name, second, addresses)| {
            let created = format!("2026-01-01T00:00:{second:02}Z");
            let spec = json!({
                "metadata": { "creationTimestamp": created }, "addresses": [addresses],
            });
            ((*name).to_owned(), spec)
        })
        .collect();
    mk_objects(&json!({ "pools": pools }))
}

/// What acts, as `name addresses`.
fn acting(config: &Config) -> Vec<String> {
    let text = |pool: &Pool| pool.ranges.iter().map(ToString::to_string).collect::<Vec<_>>();
    config.pools.iter().map(|(name, pool)| format!("{name} {}", text(pool).join(","))).collect()
}

#[rstest]
#[case::older_wins(
    &[("a", 2, "10.0.0.0/24"), ("b", 1, "10.0.0.0/16")],
    &["b 10.0.0.0/16"],
    "parsing address pool a: spec.addresses[0]: 10.0.0.0/24 overlaps with already defined CIDR 10.0.0.0/16 of address pool b"
)]
#[case::lower_name_wins_a_tie(
    &[("a", 1, "10.0.0.0/24"), ("b", 1, "10.0.0.0/16")],
    &["a 10.0.0.0/24"],
    "parsing address pool b: spec.addresses[0]: 10.0.0.0/16 overlaps with already defined CIDR 10.0.0.0/24 of address pool a"
)]
#[case::others_are_not_touched(
    &[("a", 1, "10.0.0.0/24"), ("b", 2, "10.0.0.9-10.0.1.9"), ("c", 3, "10.0.1.0/24")],
    &["a 10.0.0.0/24", "c 10.0.1.0/24"],
    "parsing address pool b: spec.addresses[0]: 10.0.0.9-10.0.1.9 overlaps with already defined CIDR 10.0.0.0/24 of address \
     pool a"
)]
fn at_start(#[case] pools: &[(&str, u32, &str)], #[case] expected: &[&str], #[case] message: &str) {
    let config = Config::build(&mk_pools(pools), None);
    assert_eq!(acting(&config), expected);
    assert_eq!(messages(&config), [message]);
    assert_eq!(config.held_invalid.len(), 1);
}

const START: [(&str, u32, &str); 2] = [("a", 1, "10.0.0.0/24"), ("b", 2, "10.0.1.0/24")];

#[rstest]
#[case::newcomer_with_an_older_stamp_loses(
    &[START[0], START[1], ("c", 0, "10.0.0.0/8")], &["a 10.0.0.0/24", "b 10.0.1.0/24"], &["c"]
)]
#[case::older_object_that_grows_loses(
    &[("a", 1, "10.0.0.0/23"), START[1]], &["a 10.0.0.0/24", "b 10.0.1.0/24"], &["a"]
)]
#[case::grown_into_space_left_in_the_same_step(
    &[("a", 1, "10.0.0.0/23"), ("b", 2, "10.0.2.0/24")], &["a 10.0.0.0/23", "b 10.0.2.0/24"], &[]
)]
#[case::swapped(
    &[("a", 1, "10.0.1.0/24"), ("b", 2, "10.0.0.0/24")], &["a 10.0.1.0/24", "b 10.0.0.0/24"], &[]
)]
#[case::both_edits_want_the_same(
    &[("a", 1, "10.0.3.0/24"), ("b", 2, "10.0.2.0/23")], &["a 10.0.3.0/24", "b 10.0.1.0/24"], &["b"]
)]
#[case::older_edit_falls_with_the_younger(
    // b's edit collides with a's; b's old version then collides with a's edit as well, so a's
    // falls too, and with it the reason against b's.
    &[("a", 1, "10.0.1.0-10.0.2.255"), ("b", 2, "10.0.2.0/24")],
    &["a 10.0.0.0/24", "b 10.0.2.0/24"], &["a"]
)]
#[case::deleted_makes_room(
    &[("b", 2, "10.0.0.0/23")], &["b 10.0.0.0/23"], &[]
)]
fn while_running(
    #[case] pools: &[(&str, u32, &str)],
    #[case] expected: &[&str],
    #[case] invalid: &[&str],
) {
    let start = Config::build(&mk_pools(&START), None);
    assert_eq!(messages(&start), [""; 0]);
    let config = Config::build(&mk_pools(pools), Some(&start));
    assert_eq!(acting(&config), expected);
    let names: Vec<&str> = config.problems.iter().map(|problem| &*problem.name).collect();
    assert_eq!(names, invalid);
    assert_eq!(Config::build(&mk_pools(pools), Some(&config)), config, "settled");
}

#[test]
fn the_last_valid_version_of_a_broken_pool_keeps_its_place() {
    let start = Config::build(&mk_pools(&START), None);
    let pools = [("a", 1, "nonsense"), ("b", 2, "10.0.0.0/23")];
    let config = Config::build(&mk_pools(&pools), Some(&start));
    assert_eq!(acting(&config), ["a 10.0.0.0/24", "b 10.0.1.0/24"]);
    assert!(config.problems.iter().all(|problem| problem.acting));
}
