//! controller.md 7.6 and 7.7: how much a pool holds, and how much of it is in use.

use ferrolb_addr::Family;
use ferrolb_ipam::{Allocator, Counters, Pool, PoolName};
use rstest::rstest;

use crate::script::*;

#[rstest]
#[case::a_192_slash_24(mk_pool("p", &["1.2.3.0/24"]), 256, 256, 0)]
#[case::a_193_two_prefixes(mk_pool("p", &["1.2.3.0/24", "2.3.4.128/25"]), 384, 384, 0)]
#[case::a_194_avoiding(avoiding(mk_pool("p", &["1.2.3.0/24", "2.3.4.128/25"])), 381, 381, 0)]
#[case::a_195_huge(
    avoiding(mk_pool("p", &["1.2.3.0/24", "2.3.4.128/25", "1000::/64"])),
    i64::MAX, 381, i64::MAX)]
#[case::a_196_small(avoiding(mk_pool("p", &["1.2.3.0/31", "1000::/127"])), 3, 1, 2)]
#[case::q_10_no_usable_address(avoiding(mk_pool("p", &["1.2.3.0/32", "1.2.3.255/32"])), 0, 0, 0)]
#[case::q_11_huge_first(
    mk_pool("p", &["1000::/64", "2000::/120", "1.2.3.0/24"]), i64::MAX, 256, i64::MAX)]
#[case::unaligned_range_avoiding(avoiding(mk_pool("p", &["1.2.3.200-1.2.5.10"])), 55 + 254 + 10, 319, 0)]
#[case::slash_65_is_countable(mk_pool("p", &["1000::/67"]), 1 << 61, 0, 1 << 61)]
#[case::slash_66_is_not(mk_pool("p", &["1000::/66"]), i64::MAX, 0, i64::MAX)]
fn capacity(#[case] pool: Pool, #[case] total: i64, #[case] v4: i64, #[case] v6: i64) {
    let mut allocator = Allocator::new();
    allocator.set_pools(vec![pool]);
    let counters = allocator.counters(&"p".into());
    assert_eq!(counters.total_capacity(), total);
    assert_eq!(counters.capacity(Family::V4), v4);
    assert_eq!(counters.capacity(Family::V6), v6);
    assert_eq!(counters.total_assigned(), 0);
}

/// Every row: the pool is named as touched once, and its counters say what is in use.
fn check(rows: &[(&str, Option<Step>, i64)], until: &str) {
    let pool = PoolName::from("test");
    let mut allocator = Allocator::new();
    allocator.set_pools(vec![mk_pool("test", &["1.2.3.4/30", "1000::4/126"])]);
    for (row, step, in_use) in rows {
        if let Some(step) = step {
            step.run(&mut allocator).unwrap();
        }
        let touched = allocator.take_touched().counters;
        assert!(touched.iter().eq([&pool]), "{row}: {touched:?}");
        assert!(allocator.take_touched().counters.is_empty(), "{row}: reported once");
        let expected = Counters {
            assigned_v4: *in_use,
            assigned_v6: 0,
            available_v4: 4 - in_use,
            available_v6: 4,
        };
        assert_eq!(allocator.counters(&pool), expected, "{row}");
        if *row == until {
            return;
        }
    }
    panic!("no row {until}");
}

fn mk_rows() -> Vec<(&'static str, Option<Step>, i64)> {
    let shared = |name, port| s(name).tcp(port).shares("key", "").takes(&["1.2.3.4"]);
    vec![
        ("a_197", None, 0),
        ("a_198", Some(s("s1").takes(&["1.2.3.4"])), 1),
        ("a_199", Some(s("s2").takes(&["1.2.3.5"])), 2),
        ("a_200", Some(s("s1").leaves()), 1),
        ("a_201", Some(s("s2").leaves()), 0),
        ("a_202", Some(shared("s1", 80)), 1),
        ("a_203", Some(shared("s2", 443)), 1),
        ("a_204", Some(shared("s3", 23)), 1),
        ("a_205", Some(s("s1").leaves()), 1),
        ("a_206", Some(s("s2").leaves()), 1),
        ("a_207", Some(s("s3").leaves()), 0),
    ]
}

#[rstest]
#[case::a_197_pools_set("a_197")]
#[case::a_198_first_address("a_198")]
#[case::a_199_second_address("a_199")]
#[case::a_200_first_freed("a_200")]
#[case::a_201_second_freed("a_201")]
#[case::a_202_with_sharing_key("a_202")]
#[case::a_203_shared_counts_once("a_203")]
#[case::a_204_shared_by_three("a_204")]
#[case::a_205_one_left("a_205")]
#[case::a_206_two_left("a_206")]
#[case::a_207_all_left("a_207")]
fn in_use(#[case] row: &str) {
    check(&mk_rows(), row);
}

#[test]
fn a_208_a_pool_that_is_gone_counts_zero() {
    let pool = PoolName::from("test");
    let mut allocator = Allocator::new();
    allocator.set_pools(vec![mk_pool("test", &["1.2.3.4/30", "1000::4/126"])]);
    s("s1").takes(&["1.2.3.4"]).run(&mut allocator).unwrap();
    assert_eq!(allocator.counters(&pool).assigned_v4, 1);
    allocator.take_touched();
    allocator.set_pools(Vec::new());
    assert_eq!(allocator.counters(&pool), Counters::default());
    assert!(allocator.take_touched().counters.contains(&pool));
    assert_eq!(allocator.pools().count(), 0);
}
