//! Warnings: what is let in and yet seldom meant.

use super::*;

const POOL: Kind = Kind::IpAddressPool;

fn mk_pool(address: &str) -> Value {
    json!({ "addresses": [address] })
}

fn mk_covered(pools: &Value) -> Stage {
    mk_stage(&json!({ "pools": pools, "advertisements": { "all": {} } }))
}

#[rstest]
fn a_pool_without_advertisement() {
    let stage = mk_stage(&json!({ "bgp": { "ad": { "ipAddressPools": ["other"] } } }));
    assert_eq!(
        stage.create(POOL, "new", &mk_pool("10.0.0.0/24")).warnings,
        ["IPAddressPool new: no L2Advertisement and no BGPAdvertisement covers this pool, its \
          addresses will not be announced"]
    );
    let none: [&str; 0] = [];
    let stage = mk_covered(&json!({}));
    assert_eq!(stage.create(POOL, "new", &mk_pool("10.0.0.0/24")).warnings, none);
}

#[rstest]
#[case::same_family(json!({ "addresses": ["10.0.1.0/24"] }), true)]
#[case::other_family(json!({ "addresses": ["2001:db8::/64"] }), false)]
#[case::on_demand_only(json!({ "addresses": ["10.0.1.0/24"], "autoAssign": false }), false)]
#[case::with_a_priority(
    json!({ "addresses": ["10.0.1.0/24"], "serviceAllocation": { "priority": 7 } }), false
)]
fn two_default_pools(#[case] spec: Value, #[case] warned: bool) {
    let stage = mk_covered(&json!({
        "first": mk_pool("10.0.0.0/24"),
        "reserve": { "addresses": ["10.0.9.0/24"], "autoAssign": false },
        "ordered": { "addresses": ["10.0.8.0/24"], "serviceAllocation": { "priority": 7 } },
    }));
    let expected = "IPAddressPool new: Services that ask for no pool also get addresses from pool \
                    first; set autoAssign: false on all but one, or serviceAllocation.priority";
    let warnings = stage.create(POOL, "new", &spec).warnings;
    assert_eq!(warnings, if warned { vec![expected] } else { vec![] });
}

#[rstest]
fn a_pool_in_use() {
    let stage = mk_covered(&json!({ "pool": mk_pool("10.0.0.0/24") }))
        .holder("pool", "low", "10.0.0.1")
        .holder("pool", "high", "10.0.0.200")
        .holder("other", "elsewhere", "10.0.1.1");
    let old = mk_pool("10.0.0.0/24");
    assert_eq!(
        stage.delete(POOL, "pool", &old),
        Response {
            denied: None,
            warnings: vec![
                "IPAddressPool pool: Services test/low, test/high will lose the addresses that \
                 leave this pool"
                    .to_owned()
            ],
        }
    );
    assert_eq!(
        stage.update(POOL, "pool", &old, &mk_pool("10.0.0.0/25")).warnings,
        ["IPAddressPool pool: Service test/high will lose the addresses that leave this pool"]
    );
    assert_eq!(stage.update(POOL, "pool", &old, &mk_pool("10.0.0.0/23")), Response::default());
}

#[rstest]
fn a_long_list_is_cut() {
    let names: Vec<String> = (0..8).map(|number| format!("s{number}")).collect();
    assert_eq!(warnings::list("Service", &names), "Services s0, s1, s2, s3, s4 and 3 more");
}

#[rstest]
#[case::l2(Kind::L2Advertisement, "L2Advertisement")]
#[case::bgp(Kind::BgpAdvertisement, "BGPAdvertisement")]
fn an_advertisement_of_nothing(#[case] kind: Kind, #[case] name: &str) {
    let stage = mk_stage(&json!({ "pools": { "pool": mk_pool("10.0.0.0/24") } })).nodes(&["a"]);
    let spec = json!({
        "ipAddressPools": ["ghost"], "nodeSelectors": [{ "matchLabels": { "name": "b" } }],
    });
    assert_eq!(
        stage.create(kind, "ad", &spec),
        Response {
            denied: None,
            warnings: vec![
                format!(
                    "parsing {name} ad: spec.ipAddressPools[0]: no IPAddressPool \"ghost\" exists"
                ),
                format!("{name} ad: no IPAddressPool matches it"),
                format!("{name} ad: no node matches its nodeSelectors"),
            ],
        }
    );
    let spec = json!({ "ipAddressPools": ["pool"], "nodeSelectors": [{ "matchLabels": { "name": "a" } }] });
    assert_eq!(stage.create(kind, "ad", &spec), Response::default());
}

#[rstest]
#[case::disable_mp(
    json!({ "disableMP": true }), "BGPPeer peer: spec.disableMP is deprecated and has no effect"
)]
#[case::vrf(
    json!({ "vrf": "red" }), "parsing peer peer spec.vrf: sessions in a VRF are not supported yet"
)]
#[case::t_330_profile_to_come(
    json!({ "bfdProfile": "fast" }),
    "parsing peer peer spec.bfdProfile: no BFDProfile \"fast\" exists, the path to the router is \
     not watched"
)]
fn a_peer_with_more(#[case] more: Value, #[case] expected: &str) {
    let mut spec = mk_valid(Kind::BgpPeer, 1);
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let response = mk_stage(&json!({})).create(Kind::BgpPeer, "peer", &spec);
    assert_eq!(response, Response { denied: None, warnings: vec![expected.to_owned()] });
}

/// Upstream checks nothing else about a peer with this flag, not even its namespace.
#[rstest]
fn a_deprecated_flag_is_no_pass() {
    let spec = json!({ "myASN": 0, "disableMP": true });
    assert!(mk_stage(&json!({})).create(Kind::BgpPeer, "peer", &spec).denied.is_some());
}

#[rstest]
fn t_330_an_alias_to_come() {
    let stage = mk_covered(&json!({ "pool": mk_pool("10.0.0.0/24") }));
    assert_eq!(
        stage.create(Kind::BgpAdvertisement, "ad", &json!({ "communities": ["later"] })),
        Response {
            denied: None,
            warnings: vec![
                "parsing BGPAdvertisement ad: spec.communities: no Community object defines \
                 \"later\""
                    .to_owned()
            ],
        }
    );
}

#[rstest]
fn what_others_lose() {
    let stage = mk_stage(&json!({
        "pools": { "pool": mk_pool("10.0.0.0/24") },
        "bgp": { "ad": { "aggregationLength": 24, "communities": ["alias"] } },
        "communities": { "names": { "communities": [{ "name": "alias", "value": "1:1" }] } },
    }));
    let old = mk_pool("10.0.0.0/24");
    assert_eq!(
        stage.update(POOL, "pool", &old, &mk_pool("10.0.0.0/28")).warnings,
        [
            "IPAddressPool pool: no L2Advertisement and no BGPAdvertisement covers this pool, its \
             addresses will not be announced",
            "parsing BGPAdvertisement ad: spec.aggregationLength: invalid aggregation length 24: \
             prefix 28 in this pool is more specific than the aggregation length for addresses \
             10.0.0.0/28 (pool pool)",
        ]
    );
    assert_eq!(
        stage.delete(Kind::Community, "names", &json!({})).warnings,
        ["parsing BGPAdvertisement ad: spec.communities: no Community object defines \"alias\""]
    );
}

#[rstest]
fn t_331_a_bad_literal_is_no_alias_to_come() {
    let spec = json!({ "communities": ["1:99999"] });
    assert!(mk_stage(&json!({})).create(Kind::BgpAdvertisement, "ad", &spec).denied.is_some());
}
