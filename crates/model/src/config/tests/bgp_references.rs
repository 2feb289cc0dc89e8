//! What the objects of BGP mean to each other, and that a bad one takes no other down.

use super::*;
use crate::bgp::Community;

fn build(written: &Value, previous: Option<&Config>) -> Config {
    Config::build(&mk_objects(written), previous)
}

fn mk_peer(profile: &str) -> Value {
    json!({ "myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.1", "bfdProfile": profile })
}

#[test]
fn t_295_a_missing_profile_is_told_and_the_session_goes_on() {
    let config = build(&json!({ "peers": { "peer": mk_peer("ghost") } }), None);
    assert!(config.peers.contains_key("peer") && config.bfd_profiles.is_empty());
    let [problem] = config.problems.as_slice() else { panic!("one problem") };
    assert_eq!((problem.reason, problem.acting), (ProblemReason::DanglingReference, true));
    assert_eq!(
        problem.message,
        "parsing peer peer spec.bfdProfile: no BFDProfile \"ghost\" exists, the path to the router \
         is not watched"
    );
    let written = json!({ "peers": { "peer": mk_peer("slow") }, "profiles": { "slow": {} } });
    assert_eq!(build(&written, Some(&config)).problems, []);
}

/// One of each kind is broken; the others act, and the broken ones in their last valid version.
#[test]
fn a_bad_object_takes_no_other_down() {
    let good = |broken: bool| {
        let bad = |valid: Value, invalid: Value| if broken { invalid } else { valid };
        json!({
            "pools": { "pool": { "addresses": ["10.0.0.0/24"] } },
            "peers": {
                "good": { "myASN": 1, "peerASN": 2, "peerAddress": "10.1.0.1" },
                "bad": bad(
                    json!({ "myASN": 1, "peerASN": 2, "peerAddress": "10.1.0.2" }), json!({ "myASN": 1 })
                ),
            },
            "profiles": {
                "good": {}, "bad": bad(json!({ "detectMultiplier": 9 }), json!({ "detectMultiplier": 1 })),
            },
            "communities": {
                "good": { "communities": [{ "name": "good", "value": "1:1" }] },
                "bad": { "communities": [{ "name": "bad", "value": bad(json!("2:2"), json!("two")) }] },
            },
            "bgp": {
                "good": { "communities": ["good"] },
                "bad": { "communities": ["bad"], "peers": bad(json!(["p"]), json!(["p", "p"])) },
            },
        })
    };
    let alone = build(&good(true), None);
    assert_eq!(alone.peers.len(), 1);
    assert_eq!(alone.bfd_profiles.len(), 1);
    assert_eq!(alone.communities.len(), 1);
    assert_eq!(alone.bgp_advertisements.len(), 1);
    assert!(alone.problems.iter().all(|problem| &*problem.name == "bad" && !problem.acting));

    let valid = build(&good(false), None);
    assert_eq!(valid.problems, []);
    let held = build(&good(true), Some(&valid));
    assert!(held.problems.iter().all(|problem| &*problem.name == "bad" && problem.acting));
    assert_eq!((&held.peers, &held.bfd_profiles), (&valid.peers, &valid.bfd_profiles));
    assert_eq!(held.communities, valid.communities);
    assert_eq!(held.bgp_advertisements, valid.bgp_advertisements);
    assert_eq!(build(&good(true), Some(&held)).bgp_advertisements, valid.bgp_advertisements);
    assert_eq!(build(&good(false), Some(&held)).problems, []);
}

/// Without its community, a route could go where it must not; so it stays as it was, or out.
#[test]
fn an_alias_that_goes_leaves_its_routes_as_they_were() {
    let with = |aliases: Value| {
        json!({
            "pools": { "pool": { "addresses": ["10.0.0.0/24"] } },
            "bgp": { "ad": { "communities": ["internal", "7:7"] } },
            "communities": { "names": { "communities": aliases } },
        })
    };
    let named = with(json!([{ "name": "internal", "value": "1:1" }]));
    let gone = with(json!([]));
    assert_eq!(build(&gone, None).bgp_advertisements, []);
    let valid = build(&named, None);
    let held = build(&gone, Some(&valid));
    assert_eq!(held.bgp_advertisements, valid.bgp_advertisements);
    let [problem] = held.problems.as_slice() else { panic!("one problem") };
    assert_eq!((problem.reason, problem.acting), (ProblemReason::DanglingReference, true));
    assert_eq!(build(&gone, Some(&held)).bgp_advertisements, valid.bgp_advertisements);
}

#[test]
fn an_alias_comes_before_a_literal() {
    let written = json!({
        "pools": { "pool": { "addresses": ["10.0.0.0/24"] } },
        "bgp": { "ad": { "communities": ["1:1"] } },
        "communities": { "names": { "communities": [{ "name": "1:1", "value": "2:2" }] } },
    });
    let config = build(&written, None);
    assert_eq!(config.bgp_advertisements[0].communities, [Community::Standard(0x2_0002)].into());
}

/// A pool cut into smaller parts does not end what is announced, and cannot begin so.
#[test]
fn an_aggregate_outlives_its_pool() {
    let with = |address: &str| {
        json!({
            "pools": {
                "pool": { "addresses": [address] }, "other": { "addresses": ["10.9.0.0/16"] },
            },
            "bgp": { "ad": { "aggregationLength": 24 } },
        })
    };
    let pools = |config: &Config| -> Vec<String> {
        config.bgp_advertisements[0].pools.iter().map(ToString::to_string).collect()
    };
    let narrow = build(&with("10.0.0.0/28"), None);
    assert_eq!((pools(&narrow), narrow.problems[0].acting), (vec!["other".to_owned()], false));
    let wide = build(&with("10.0.0.0/24"), None);
    assert_eq!(pools(&wide), ["other", "pool"]);
    let cut = build(&with("10.0.0.0/28"), Some(&wide));
    assert_eq!((pools(&cut).len(), cut.problems[0].acting), (2, true));
    assert_eq!(pools(&build(&with("10.0.0.0/28"), Some(&cut))), ["other", "pool"]);
}

#[rstest]
#[case::t_309_by_label(json!({ "ipAddressPoolSelectors": [{ "matchLabels": { "v": "4" } }] }), &["four"])]
#[case::t_310_label_of_none(json!({ "ipAddressPoolSelectors": [{ "matchLabels": { "v": "5" } }] }), &[])]
#[case::by_name_and_label(
    json!({
        "ipAddressPools": ["four", "six"],
        "ipAddressPoolSelectors": [{ "matchLabels": { "v": "4" } }],
    }),
    &["four", "six"]
)]
#[case::all(json!({}), &["four", "six"])]
#[case::missing_names_are_not_all(json!({ "ipAddressPools": ["ghost"] }), &[])]
fn pools_of_an_advertisement(#[case] spec: Value, #[case] expected: &[&str]) {
    let pool = |address: &str, label: &str| json!({ "addresses": [address], "metadata": { "labels": { "v": label } } });
    let written = json!({
        "pools": { "four": pool("10.0.0.0/24", "4"), "six": pool("2001:db8::/64", "6") },
        "bgp": { "ad": spec },
    });
    let config = build(&written, None);
    assert_eq!(config.problems, []);
    let pools = config.bgp_advertisements[0].pools.iter();
    let pools: Vec<&str> = pools.map(ferrolb_ipam::PoolName::as_str).collect();
    assert_eq!(pools, expected);
}

#[rstest]
#[case::t_311_k_014_selected(json!([{ "matchLabels": { "zone": "a" } }]), true, false)]
#[case::t_312_k_014_all(json!([]), true, true)]
fn nodes_of_an_advertisement(#[case] nodes: Value, #[case] a: bool, #[case] b: bool) {
    let config = build(&json!({ "bgp": { "ad": { "nodeSelectors": nodes } } }), None);
    let lists = |zone: &str| config.bgp_advertisements[0].lists(&mk_labels(&[("zone", zone)]));
    assert_eq!((lists("a"), lists("b")), (a, b));
}

/// Upstream lets such names pass, and so do we, but not silently.
#[test]
fn names_of_nothing_are_told() {
    let config = build(
        &json!({
            "pools": { "pool": { "addresses": ["10.0.0.0/24"] } },
            "advertisements": { "l2": { "ipAddressPools": ["pool", "no-pool"] } },
            "bgp": { "ad": { "ipAddressPools": ["no-pool"], "peers": ["no-peer"] } },
        }),
        None,
    );
    assert_eq!(config.problems, []);
    let told: Vec<&str> = config.dangling.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "parsing L2Advertisement l2: spec.ipAddressPools[1]: no IPAddressPool \"no-pool\" exists",
            "parsing BGPAdvertisement ad: spec.ipAddressPools[0]: no IPAddressPool \"no-pool\" exists",
            "parsing BGPAdvertisement ad: spec.peers[0]: no BGPPeer \"no-peer\" exists",
        ]
    );
}

#[test]
fn k_018_the_order_of_writing_makes_no_difference() {
    let written = |backwards: bool| {
        let list = |mut items: Vec<Value>| {
            if backwards {
                items.reverse();
            }
            Value::from(items)
        };
        let selector = |value: &str| json!({ "matchLabels": { "a": value } });
        let selectors = || list(vec![selector("b"), selector("c")]);
        let alias = |name: &str| json!({ "name": name, "value": "1:1" });
        let mut peer = mk_peer("");
        peer["nodeSelectors"] = selectors();
        json!({
            "pools": { "pool": { "addresses": ["10.0.0.0/24"] } },
            "peers": { "p": peer },
            "communities": { "c": { "communities": list(vec![alias("x"), alias("y")]) } },
            "bgp": { "ad": {
                "ipAddressPools": list(vec![json!("pool"), json!("ghost")]),
                "ipAddressPoolSelectors": selectors(),
                "nodeSelectors": selectors(),
                "serviceSelectors": selectors(),
                "peers": list(vec![json!("p"), json!("q")]),
                "communities": list(vec![json!("x"), json!("2:2")]),
            } },
        })
    };
    let (forwards, backwards) = (build(&written(false), None), build(&written(true), None));
    assert_eq!(forwards.problems, []);
    // Where a name stands is told, so this part follows the order.
    assert_eq!(forwards.dangling.len(), backwards.dangling.len());
    assert_eq!(
        Config { dangling: Vec::new(), ..forwards },
        Config { dangling: Vec::new(), ..backwards }
    );
}
