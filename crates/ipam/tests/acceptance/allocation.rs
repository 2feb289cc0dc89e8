//! controller.md 7.5: any address.

use ferrolb_ipam::Pool;

use crate::script::*;

fn mk_pools() -> Vec<Pool> {
    vec![
        mk_pool("test1", &["1.2.3.4/31", "1000::4/127"]),
        mk_pool("test2", &["1.2.3.10/31", "1000::10/127"]),
    ]
}

sequence! { allocation on mk_pools();
    a_114_v4_1: s("s1").asks(V4) => Holds(&["1.2.3.4"]);
    a_115_v4_2: s("s2").asks(V4) => Holds(&["1.2.3.5"]);
    a_116_v4_3: s("s3").asks(V4) => Holds(&["1.2.3.10"]);
    a_117_v4_4: s("s4").asks(V4) => Holds(&["1.2.3.11"]);
    a_118_v4_exhausted_for_s5: s("s5").asks(V4) => Refused("NoAddressAvailable");
    a_119_v4_exhausted_for_s6: s("s6").asks(V4) => Refused("NoAddressAvailable");
    a_120_freed: s("s1").leaves() => Nothing;
    a_121_v4_with_sharing_key: s("s5").tcp(80).shares("share", "").asks(V4) => Holds(&["1.2.3.4"]);
    a_122_v4_exhausted_without_key: s("s6").asks(V4) => Refused("NoAddressAvailable");
    a_123_v4_shared: s("s6").tcp(443).shares("share", "").asks(V4) => Holds(&["1.2.3.4"]);
    a_124_s1_freed: s("s1").leaves() => Nothing;
    a_125_s2_freed: s("s2").leaves() => Nothing;
    a_126_s3_freed: s("s3").leaves() => Nothing;
    a_127_s4_freed: s("s4").leaves() => Nothing;
    a_128_s5_freed: s("s5").leaves() => Nothing;
    a_129_s6_freed: s("s6").leaves() => Nothing;
    a_130_v6_1: s("s1").asks(V6) => Holds(&["1000::4"]);
    a_131_v6_2: s("s2").asks(V6) => Holds(&["1000::5"]);
    a_132_v6_3: s("s3").asks(V6) => Holds(&["1000::10"]);
    a_133_v6_4: s("s4").asks(V6) => Holds(&["1000::11"]);
    a_134_v6_exhausted_for_s5: s("s5").asks(V6) => Refused("NoAddressAvailable");
    a_135_v6_exhausted_for_s6: s("s6").asks(V6) => Refused("NoAddressAvailable");
    a_136_freed: s("s1").leaves() => Nothing;
    a_137_v6_with_sharing_key: s("s5").tcp(80).shares("share", "").asks(V6) => Holds(&["1000::4"]);
    a_138_v6_exhausted_without_key: s("s6").asks(V6) => Refused("NoAddressAvailable");
    a_139_v6_shared: s("s6").tcp(443).shares("share", "").asks(V6) => Holds(&["1000::4"]);
    a_140_s1_freed: s("s1").leaves() => Nothing;
    a_141_s2_freed: s("s2").leaves() => Nothing;
    a_142_s3_freed: s("s3").leaves() => Nothing;
    a_143_s4_freed: s("s4").leaves() => Nothing;
    a_144_s5_freed: s("s5").leaves() => Nothing;
    a_145_s6_freed: s("s6").leaves() => Nothing;
    a_146_pair_1: s("s1").asks(REQUIRE) => Holds(&["1.2.3.4", "1000::4"]);
    a_147_pair_2: s("s2").asks(REQUIRE) => Holds(&["1.2.3.5", "1000::5"]);
    a_148_pair_3: s("s3").asks(REQUIRE) => Holds(&["1.2.3.10", "1000::10"]);
    a_149_pair_4: s("s4").asks(REQUIRE) => Holds(&["1.2.3.11", "1000::11"]);
    a_150_pair_exhausted_for_s5: s("s5").asks(REQUIRE) => Refused("NoAddressAvailable");
    a_151_pair_exhausted_for_s6: s("s6").asks(REQUIRE) => Refused("NoAddressAvailable");
    a_152_freed: s("s1").leaves() => Nothing;
    a_153_pair_with_sharing_key:
        s("s5").tcp(80).shares("share", "").asks(REQUIRE)
            => Holds(&["1.2.3.4", "1000::4"]);
    a_154_pair_exhausted_without_key: s("s6").asks(REQUIRE) => Refused("NoAddressAvailable");
    a_155_pair_shared:
        s("s6").tcp(443).shares("share", "").asks(REQUIRE)
            => Holds(&["1.2.3.4", "1000::4"]);
}
