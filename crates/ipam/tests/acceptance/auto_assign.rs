//! controller.md 7.6: `avoidBuggyIPs` and `autoAssign`.

use ferrolb_ipam::Pool;

use crate::script::*;

fn mk_buggy_pools() -> Vec<Pool> {
    vec![
        mk_pool("test", &["1.2.3.0/31"]),
        mk_pool("test2", &["1.2.3.254/31"]),
        avoiding(mk_pool("test3", &["1.2.4.0/31"])),
        avoiding(mk_pool("test4", &["1.2.4.254/31"])),
    ]
}

sequence! { buggy_ips on mk_buggy_pools();
    a_156_usable_1: s("s1").asks(V4) => Holds(&["1.2.3.0"]);
    a_157_usable_2: s("s2").asks(V4) => Holds(&["1.2.3.1"]);
    a_158_usable_3: s("s3").asks(V4) => Holds(&["1.2.3.254"]);
    a_159_usable_4: s("s4").asks(V4) => Holds(&["1.2.3.255"]);
    a_160_usable_5: s("s5").asks(V4) => Holds(&["1.2.4.1"]);
    a_161_usable_6: s("s6").asks(V4) => Holds(&["1.2.4.254"]);
    a_162_exhausted: s("s7").asks(V4) => Refused("NoAddressAvailable");
}

fn mk_pools() -> Vec<Pool> {
    let test1 = mk_pool("test1", &["1.2.3.4/31", "1000::4/127"]);
    vec![Pool { auto_assign: false, ..test1 }, mk_pool("test2", &["1.2.3.10/31", "1000::10/127"])]
}

sequence! { auto_assign on mk_pools();
    a_171_v4_1: s("s1").asks(V4) => Holds(&["1.2.3.10"]);
    a_172_v4_2: s("s2").asks(V4) => Holds(&["1.2.3.11"]);
    a_173_v4_exhausted_for_s3: s("s3").asks(V4) => Refused("NoAddressAvailable");
    a_174_v4_exhausted_for_s4: s("s4").asks(V4) => Refused("NoAddressAvailable");
    a_175_v4_exhausted_for_s5: s("s5").asks(V4) => Refused("NoAddressAvailable");
    a_176_s1_freed: s("s1").leaves() => Nothing;
    a_177_s2_freed: s("s2").leaves() => Nothing;
    a_178_s3_freed: s("s3").leaves() => Nothing;
    a_179_s4_freed: s("s4").leaves() => Nothing;
    a_180_s5_freed: s("s5").leaves() => Nothing;
    a_181_s6_freed: s("s6").leaves() => Nothing;
    a_182_v6_1: s("s1").asks(V6) => Holds(&["1000::10"]);
    a_183_v6_2: s("s2").asks(V6) => Holds(&["1000::11"]);
    a_184_v6_exhausted_for_s3: s("s3").asks(V6) => Refused("NoAddressAvailable");
    a_185_v6_exhausted_for_s4: s("s4").asks(V6) => Refused("NoAddressAvailable");
    a_186_v6_exhausted_for_s5: s("s5").asks(V6) => Refused("NoAddressAvailable");
    a_187_s1_keeps_its_v6: s("s1").asks(NO_POLICY) => Holds(&["1000::10"]);
    a_188_s2_keeps_its_v6: s("s2").asks(NO_POLICY) => Holds(&["1000::11"]);
    a_189_contradiction_for_s3: s("s3").asks(NO_POLICY) => Refused("SingleStackPolicy");
    a_190_contradiction_for_s4: s("s4").asks(NO_POLICY) => Refused("SingleStackPolicy");
    a_191_contradiction_for_s5: s("s5").asks(NO_POLICY) => Refused("SingleStackPolicy");
}
