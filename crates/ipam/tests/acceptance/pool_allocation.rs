//! controller.md 7.4: addresses of a pool asked for by name.

use ferrolb_ipam::Pool;

use crate::script::*;

const V4_RANGES: [&str; 2] = ["1.2.3.4/31", "1.2.3.10/31"];
const V6_RANGES: [&str; 2] = ["1000::/127", "2000::/127"];

fn mk_pools() -> Vec<Pool> {
    let both = [V4_RANGES, V6_RANGES].concat();
    vec![
        mk_pool("not_this_one", &["192.168.0.0/16", "fc00::1:0/112"]),
        mk_pool("test", &both),
        mk_pool("test-dualstack", &both),
        mk_pool("test-v4", &V4_RANGES),
        mk_pool("test-v6", &V6_RANGES),
        mk_pool("test2", &["10.20.30.0/24", "fc00::2:0/120"]),
    ]
}

sequence! { pool_allocation on mk_pools();
    a_051_v4_1: s("s1").asks_pool(V4, "test") => Holds(&["1.2.3.4"]);
    a_052_v4_2: s("s2").asks_pool(V4, "test") => Holds(&["1.2.3.5"]);
    a_053_v4_3: s("s3").asks_pool(V4, "test") => Holds(&["1.2.3.10"]);
    a_054_v4_4: s("s4").asks_pool(V4, "test") => Holds(&["1.2.3.11"]);
    a_055_v4_exhausted_for_s5: s("s5").asks_pool(V4, "test") => Refused("PoolExhausted");
    a_056_v4_exhausted_for_s6: s("s6").asks_pool(V4, "test") => Refused("PoolExhausted");
    a_057_freed: s("s1").leaves() => Nothing;
    a_058_v4_the_freed_one: s("s5").asks_pool(V4, "test") => Holds(&["1.2.3.4"]);
    a_059_v4_exhausted_again: s("s6").asks_pool(V4, "test") => Refused("PoolExhausted");
    a_060_freed: s("s5").leaves() => Nothing;
    a_061_v4_with_sharing_key:
        s("s5").tcp(80).shares("share", "").asks_pool(V4, "test")
            => Holds(&["1.2.3.4"]);
    a_062_v4_shared:
        s("s6").tcp(443).shares("share", "").asks_pool(V4, "test")
            => Holds(&["1.2.3.4"]);
    a_063_s1_freed: s("s1").leaves() => Nothing;
    a_064_s2_freed: s("s2").leaves() => Nothing;
    a_065_s3_freed: s("s3").leaves() => Nothing;
    a_066_s4_freed: s("s4").leaves() => Nothing;
    a_067_s5_freed: s("s5").leaves() => Nothing;
    a_068_s6_freed: s("s6").leaves() => Nothing;
    a_069_v6_1: s("s1").asks_pool(V6, "test") => Holds(&["1000::"]);
    a_070_v6_2: s("s2").asks_pool(V6, "test") => Holds(&["1000::1"]);
    a_071_v6_3: s("s3").asks_pool(V6, "test") => Holds(&["2000::"]);
    a_072_v6_4: s("s4").asks_pool(V6, "test") => Holds(&["2000::1"]);
    a_073_v6_exhausted_for_s5: s("s5").asks_pool(V6, "test") => Refused("PoolExhausted");
    a_074_v6_exhausted_for_s6: s("s6").asks_pool(V6, "test") => Refused("PoolExhausted");
    a_075_freed: s("s1").leaves() => Nothing;
    a_076_v6_the_freed_one: s("s5").asks_pool(V6, "test") => Holds(&["1000::"]);
    a_077_v6_exhausted_again: s("s6").asks_pool(V6, "test") => Refused("PoolExhausted");
    a_078_freed: s("s5").leaves() => Nothing;
    a_079_v6_with_sharing_key:
        s("s5").tcp(80).shares("share", "").asks_pool(V6, "test")
            => Holds(&["1000::"]);
    a_080_v6_shared:
        s("s6").tcp(443).shares("share", "").asks_pool(V6, "test")
            => Holds(&["1000::"]);
    a_081_freed: s("s1").leaves() => Nothing;
    a_082_asks_v4: s("s1").asks_pool(V4, "test") => Holds(&["1.2.3.4"]);
    a_083_asks_v6_while_holding_v4: s("s1").asks_pool(V6, "test") => Refused("OtherFamilyHeld");
    a_084_s1_freed: s("s1").leaves() => Nothing;
    a_085_s2_freed: s("s2").leaves() => Nothing;
    a_086_s3_freed: s("s3").leaves() => Nothing;
    a_087_s4_freed: s("s4").leaves() => Nothing;
    a_088_s5_freed: s("s5").leaves() => Nothing;
    a_089_s6_freed: s("s6").leaves() => Nothing;
    a_090_pair_1: s("s1").asks_pool(REQUIRE, "test") => Holds(&["1.2.3.4", "1000::"]);
    a_091_pair_2: s("s2").asks_pool(REQUIRE, "test") => Holds(&["1.2.3.5", "1000::1"]);
    a_092_pair_3: s("s3").asks_pool(REQUIRE, "test") => Holds(&["1.2.3.10", "2000::"]);
    a_093_pair_4: s("s4").asks_pool(REQUIRE, "test") => Holds(&["1.2.3.11", "2000::1"]);
    a_094_pair_exhausted_for_s5: s("s5").asks_pool(REQUIRE, "test") => Refused("PoolExhausted");
    a_095_pair_exhausted_for_s6: s("s6").asks_pool(REQUIRE, "test") => Refused("PoolExhausted");
    a_096_freed: s("s1").leaves() => Nothing;
    a_097_pair_the_freed_one: s("s5").asks_pool(REQUIRE, "test") => Holds(&["1.2.3.4", "1000::"]);
    a_098_pair_exhausted_again: s("s6").asks_pool(REQUIRE, "test") => Refused("PoolExhausted");
    a_099_freed: s("s5").leaves() => Nothing;
    a_100_pair_with_sharing_key:
        s("s5").tcp(80).shares("share", "").asks_pool(REQUIRE, "test")
            => Holds(&["1.2.3.4", "1000::"]);
    a_101_pair_shared:
        s("s6").tcp(443).shares("share", "").asks_pool(REQUIRE, "test")
            => Holds(&["1.2.3.4", "1000::"]);
    a_102_s1_freed: s("s1").leaves() => Nothing;
    a_103_s2_freed: s("s2").leaves() => Nothing;
    a_104_s3_freed: s("s3").leaves() => Nothing;
    a_105_s4_freed: s("s4").leaves() => Nothing;
    a_106_s5_freed: s("s5").leaves() => Nothing;
    a_107_s6_freed: s("s6").leaves() => Nothing;
    a_108_prefers_pair: s("s1").asks_pool(PREFER, "test") => Holds(&["1.2.3.4", "1000::"]);
    a_109_v4_of_the_v4_pool: s("s2").asks_pool(V4, "test-v4") => Holds(&["1.2.3.5"]);
    a_110_v6_of_the_v6_pool: s("s3").asks_pool(V6, "test-v6") => Holds(&["1000::1"]);
    a_111_freed: s("s2").leaves() => Nothing;
    a_112_prefers_pair_but_keeps_what_it_holds:
        s("s3").asks_pool(PREFER, "test-dualstack")
            => Holds(&["1000::1"]);
    a_113_unknown_pool: s("s5").asks_pool(V4, "nowhere") => Refused("UnknownPool");
}
