//! controller.md 7.3: addresses asked for by value.

use ferrolb_ipam::Pool;

use crate::script::*;

fn mk_pools() -> Vec<Pool> {
    let team = ["team=metallb"];
    vec![
        mk_pool("test", &["1.2.3.4/31", "1000::4/127"]),
        avoiding(mk_pool("test2", &["1.2.4.0/24", "1000::4:0/120"])),
        pinned(avoiding(mk_pool("test3", &["1.2.5.0/24", "1000::5:0/120"])), 0, &["test-ns1"], &[]),
        pinned(avoiding(mk_pool("test4", &["1.2.6.0/24", "1000::6:0/120"])), 0, &[], &team),
        pinned(
            avoiding(mk_pool("test5", &["1.2.7.0/24", "1000::7:0/120"])),
            20,
            &["test-ns1"],
            &team,
        ),
        pinned(
            avoiding(mk_pool("test6", &["1.2.8.0/24", "1000::9:0/120"])),
            20,
            &["test-ns2"],
            &["foo=bar"],
        ),
    ]
}

sequence! { assignment on mk_pools();
    a_001_free_address: s("s1").takes(&["1.2.3.4"]) => Holds(&["1.2.3.4"]);
    a_002_same_again: s("s1").takes(&["1.2.3.4"]) => Holds(&["1.2.3.4"]);
    a_003_held_by_another: s("s2").takes(&["1.2.3.4"]) => Refused("AddressInUse");
    a_004_another_address: s("s2").takes(&["1.2.3.5"]) => Holds(&["1.2.3.5"]);
    a_005_held_by_the_second: s("s1").takes(&["1.2.3.5"]) => Refused("AddressInUse");
    a_006_freed: s("s1").leaves() => Nothing;
    a_007_moves_to_the_freed_one: s("s2").takes(&["1.2.3.4"]) => Holds(&["1.2.3.4"]);
    a_008_takes_the_one_that_was_left: s("s1").takes(&["1.2.3.5"]) => Holds(&["1.2.3.5"]);
    a_009_buggy_zero: s("s3").takes(&["1.2.4.0"]) => Refused("AvoidedAddress");
    a_010_buggy_255: s("s3").takes(&["1.2.4.255"]) => Refused("AvoidedAddress");
    a_011_254_is_fine: s("s3").takes(&["1.2.4.254"]) => Holds(&["1.2.4.254"]);
    a_012_with_sharing_key:
        s("s4").tcp(80).shares("sharing", "backend").takes(&["1.2.4.3"]) => Holds(&["1.2.4.3"]);
    a_013_sole_user_changes_key:
        s("s4").tcp(80).shares("share", "backend").takes(&["1.2.4.3"]) => Holds(&["1.2.4.3"]);
    a_014_port_clash:
        s("s3").tcp(80).shares("share", "backend").takes(&["1.2.4.3"]) => Refused("AddressInUse");
    a_015_other_sharing_key:
        s("s3").tcp(443).shares("othershare", "backend").takes(&["1.2.4.3"])
            => Refused("AddressInUse");
    a_016_other_backend_key:
        s("s3").tcp(443).shares("share", "otherbackend").takes(&["1.2.4.3"])
            => Refused("AddressInUse");
    a_017_shared:
        s("s3").tcp(443).shares("share", "backend").takes(&["1.2.4.3"]) => Holds(&["1.2.4.3"]);
    a_018_ports_change_in_place:
        s("s3").udp(53).shares("share", "backend").takes(&["1.2.4.3"]) => Holds(&["1.2.4.3"]);
    a_019_shared_key_cannot_change:
        s("s3").tcp(443).shares("othershare", "backend").takes(&["1.2.4.3"])
            => Refused("AddressInUse");
    a_020_shared_backend_cannot_change:
        s("s3").tcp(443).shares("share", "otherbackend").takes(&["1.2.4.3"])
            => Refused("AddressInUse");
    a_021_takes_what_the_other_left: s("s4").takes(&["1.2.4.254"]) => Holds(&["1.2.4.254"]);

    a_022_v6_free_address: s("s1").takes(&["1000::4"]) => Holds(&["1000::4"]);
    a_023_v6_same_again: s("s1").takes(&["1000::4"]) => Holds(&["1000::4"]);
    a_024_v6_held_by_another: s("s2").takes(&["1000::4"]) => Refused("AddressInUse");
    a_025_v6_another_address: s("s2").takes(&["1000::4:5"]) => Holds(&["1000::4:5"]);
    a_026_v6_held_by_the_second: s("s1").takes(&["1000::4:5"]) => Refused("AddressInUse");
    a_027_v6_freed: s("s1").leaves() => Nothing;
    a_028_v6_moves_to_the_freed_one: s("s2").takes(&["1000::4"]) => Holds(&["1000::4"]);
    a_029_v6_takes_the_one_that_was_left: s("s1").takes(&["1000::4:5"]) => Holds(&["1000::4:5"]);
    a_030_v6_ff_is_fine: s("s3").takes(&["1000::4:ff"]) => Holds(&["1000::4:ff"]);
    a_031_v6_with_sharing_key:
        s("s4").tcp(80).shares("sharing", "backend").takes(&["1000::4:3"]) => Holds(&["1000::4:3"]);
    a_032_v6_sole_user_changes_key:
        s("s4").tcp(80).shares("share", "backend").takes(&["1000::4:3"]) => Holds(&["1000::4:3"]);
    a_033_v6_port_clash:
        s("s3").tcp(80).shares("share", "backend").takes(&["1000::4:3"])
            => Refused("AddressInUse");
    a_034_v6_other_sharing_key:
        s("s3").tcp(443).shares("othershare", "backend").takes(&["1000::4:3"])
            => Refused("AddressInUse");
    a_035_v6_other_backend_key:
        s("s3").tcp(443).shares("share", "otherbackend").takes(&["1000::4:3"])
            => Refused("AddressInUse");
    a_036_v6_shared:
        s("s3").tcp(443).shares("share", "backend").takes(&["1000::4:3"]) => Holds(&["1000::4:3"]);
    a_037_v6_ports_change_in_place:
        s("s3").udp(53).shares("share", "backend").takes(&["1000::4:3"]) => Holds(&["1000::4:3"]);
    a_038_v6_shared_key_cannot_change:
        s("s3").tcp(443).shares("othershare", "backend").takes(&["1000::4:3"])
            => Refused("AddressInUse");
    a_039_v6_shared_backend_cannot_change:
        s("s3").tcp(443).shares("share", "otherbackend").takes(&["1000::4:3"])
            => Refused("AddressInUse");
    a_040_v6_takes_what_the_other_left: s("s4").takes(&["1000::4:ff"]) => Holds(&["1000::4:ff"]);

    a_041_freed: s("s2").leaves() => Nothing;
    a_042_pair_of_one_pool:
        s("s1").takes(&["1.2.3.4", "1000::4"]) => Holds(&["1.2.3.4", "1000::4"]);
    a_043_pair_of_two_pools: s("s1").takes(&["1.2.4.5", "1000::4"]) => Refused("DifferentPools");
    a_044_pinned_namespace: s("s1").of("test-ns1").takes(&["1.2.5.10"]) => Holds(&["1.2.5.10"]);
    a_045_other_namespace:
        s("s1").of("test-ns2").takes(&["1.2.5.10"]) => Refused("NamespaceNotAllowed");
    a_046_pinned_label:
        s("s1").of("other").labelled("team", "metallb").takes(&["1.2.6.10"])
            => Holds(&["1.2.6.10"]);
    a_047_other_label:
        s("s1").labelled("team", "red").takes(&["1.2.6.10"]) => Refused("LabelsNotAllowed");
    a_048_namespace_and_label:
        s("s1").of("test-ns1").labelled("team", "metallb").takes(&["1.2.7.10"])
            => Holds(&["1.2.7.10"]);
    a_049_label_is_wrong:
        s("s1").of("test-ns2").labelled("team", "metallb").takes(&["1.2.8.10"])
            => Refused("LabelsNotAllowed");
    a_050_namespace_is_wrong:
        s("s1").of("other").labelled("foo", "bar").takes(&["1.2.8.10"])
            => Refused("NamespaceNotAllowed");
}
