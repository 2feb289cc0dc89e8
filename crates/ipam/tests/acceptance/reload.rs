//! controller.md 7.6: new pools while addresses are held.

use ferrolb_ipam::{Allocator, Pool, ServiceKey};
use rstest::rstest;

use crate::script::*;

#[rstest]
#[case::a_163_unused_pool_is_gone(
    vec![mk_pool("test", &["1.2.3.0/30", "1000::/126"])], Some("test"), Some("test"))]
#[case::a_164_widened(
    vec![mk_pool("test", &["1.2.3.0/24", "1000::/120"])], Some("test"), Some("test"))]
#[case::a_165_back_again(
    vec![mk_pool("test", &["1.2.3.0/30", "1000::/126"])], Some("test"), Some("test"))]
#[case::a_166_v4_shrunk(
    vec![mk_pool("test", &["1.2.3.2/31", "1000::/126"])], None, Some("test"))]
#[case::a_167_v6_shrunk(
    vec![mk_pool("test", &["1.2.3.0/30", "1000::2/127"])], Some("test"), None)]
#[case::a_168_renamed(
    vec![mk_pool("test2", &["1.2.3.0/30", "1000::/126"])], Some("test2"), Some("test2"))]
#[case::a_169_split_over_two_pools(
    vec![
        mk_pool("test", &["1.2.3.0/31", "1000::2/127"]),
        mk_pool("test2", &["1.2.3.2/31", "1000::/127"]),
    ],
    Some("test"), Some("test2"))]
#[case::a_170_renamed_and_buggy_ips_avoided(
    vec![avoiding(mk_pool("test2", &["1.2.3.0/31", "1000::/127"]))], None, Some("test2"))]
fn pools_are_replaced(
    #[case] pools: Vec<Pool>,
    #[case] of_s1: Option<&str>,
    #[case] of_s2: Option<&str>,
) {
    let mut allocator = Allocator::new();
    allocator.set_pools(vec![
        mk_pool("test", &["1.2.3.0/30", "1000::/126"]),
        mk_pool("testunused", &["5.6.7.0/30"]),
    ]);
    s("s1").takes(&["1.2.3.0"]).run(&mut allocator).unwrap();
    s("s2").takes(&["1000::"]).run(&mut allocator).unwrap();

    let change = allocator.set_pools(pools);

    for (name, expected) in [("s1", of_s1), ("s2", of_s2)] {
        let key = ServiceKey::new("default", name);
        let pool = allocator.assignment(&key).map(|assignment| assignment.pool.as_str());
        assert_eq!(pool, expected, "{name}");
        let released = change.released.iter().any(|(service, _)| *service == key);
        assert_eq!(released, expected.is_none(), "{name}");
        let moved = change.moved.iter().any(|moved| moved.service == key);
        assert_eq!(moved, expected == Some("test2"), "{name}");
    }
}
