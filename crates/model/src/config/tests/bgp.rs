//! Rows T213 to T329 of `bgp.md` 8.10, as far as one object decides them.

use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::bgp::{Asn, BfdProfile, Peer, PeerScope, RemoteAs, Timers};

/// Every problem as `field reason`.
fn faults(written: &Value) -> Vec<String> {
    let config = Config::build(&mk_objects(written), None);
    config.problems.iter().map(|p| format!("{} {}", p.field, p.reason.code())).collect()
}

fn mk_peer(more: &Value) -> Value {
    let mut peer = json!({ "myASN": 100, "peerASN": 200, "peerAddress": "10.0.0.1" });
    let fields = peer.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    fields.retain(|_, value| !value.is_null());
    peer
}

fn peer(more: &Value) -> Peer {
    mk_config(&json!({ "peers": { "peer": mk_peer(more) } })).peers["peer"].clone()
}

#[test]
fn t_251_what_a_peer_leaves_open() {
    let peer = peer(&json!({}));
    assert_eq!(peer.remote_as, RemoteAs::Number(Asn(200)));
    assert_eq!((peer.my_asn, peer.shown_asn(), peer.local_asn), (Asn(100), Asn(100), None));
    assert_eq!((peer.address, peer.port), ("10.0.0.1".parse::<IpAddr>().unwrap(), 179));
    assert_eq!((peer.timers, peer.connect_time, peer.router_id), (None, None, None));
    assert_eq!((peer.source_address, peer.bfd_profile.clone()), (None, None));
    assert_eq!((peer.multihop, peer.graceful_restart, peer.dual_stack), (false, false, false));
    assert_eq!(peer.password, crate::bgp::PasswordSource::None);
    assert!(peer.is_for(&Labels::new()) && !peer.is_internal());
}

#[test]
fn t_250_t_314_t_321_a_peer_reads_every_field() {
    let peer = peer(&json!({
        "peerASN": null, "dynamicASN": "external", "localASN": 300, "peerAddress": "2001:db8::1",
        "sourceAddress": "2001:db8::2", "peerPort": 1179, "routerID": "10.9.8.7",
        "holdTime": "9s", "keepaliveTime": "3s", "connectTime": "10s", "ebgpMultiHop": true,
        "passwordSecret": { "name": "secret" }, "enableGracefulRestart": true,
        "dualStackAddressFamily": true, "disableMP": true,
        "nodeSelectors": [{ "matchLabels": { "name": "a" } }],
    }));
    assert_eq!((peer.remote_as, peer.local_asn), (RemoteAs::External, Some(Asn(300))));
    assert_eq!((peer.shown_asn(), peer.port), (Asn(300), 1179));
    assert_eq!(peer.source_address, "2001:db8::2".parse().ok());
    assert_eq!(peer.router_id, "10.9.8.7".parse().ok());
    assert_eq!(peer.connect_time, Some(Duration::from_secs(10)));
    assert_eq!(peer.password, crate::bgp::PasswordSource::Secret("secret".into()));
    assert!(peer.multihop && peer.graceful_restart && peer.dual_stack);
    assert!(peer.is_for(&mk_labels(&[("name", "a")])) && !peer.is_for(&Labels::new()));
}

#[rstest]
#[case::t_252_bad_address(json!({ "peerAddress": "10.0.0" }), &["spec.peerAddress InvalidValue"])]
#[case::t_253_no_own_as(json!({ "myASN": 0 }), &["spec.myASN Missing"])]
#[case::t_254_t_315_no_peer_as(json!({ "peerASN": null }), &["spec.peerASN Missing"])]
#[case::t_255_multihop_inside(
    json!({ "peerASN": 100, "ebgpMultiHop": true }), &["spec.ebgpMultiHop Conflict"]
)]
#[case::dynamic_multihop_inside(
    json!({ "peerASN": null, "dynamicASN": "internal", "ebgpMultiHop": true }),
    &["spec.ebgpMultiHop Conflict"]
)]
#[case::t_256_bad_router_id(json!({ "routerID": "10.0.0" }), &["spec.routerID InvalidValue"])]
#[case::router_id_of_six(json!({ "routerID": "2001:db8::1" }), &["spec.routerID InvalidValue"])]
#[case::bad_source(json!({ "sourceAddress": "x" }), &["spec.sourceAddress InvalidValue"])]
#[case::t_257_keepalive_too_long(
    json!({ "holdTime": "9s", "keepaliveTime": "10s" }), &["spec.keepaliveTime Conflict"]
)]
#[case::t_258_hold_too_short(json!({ "holdTime": "2s" }), &["spec.holdTime InvalidValue"])]
#[case::hold_too_long(json!({ "holdTime": "18h13m" }), &["spec.holdTime InvalidValue"])]
#[case::hold_negative(json!({ "holdTime": "-9s" }), &["spec.holdTime InvalidValue"])]
#[case::connect_time_in_parts(
    json!({ "connectTime": "1500ms" }), &["spec.connectTime InvalidValue"]
)]
#[case::t_264_expression_without_key(
    selecting(&json!({ "key": "", "operator": "Exists" })), &["spec.nodeSelectors[0] InvalidValue"]
)]
#[case::t_265_expression_without_operator(
    selecting(&json!({ "key": "a", "operator": "" })), &["spec.nodeSelectors[0] InvalidValue"]
)]
#[case::t_266_k_017_bad_operator(
    selecting(&json!({ "key": "a", "operator": "Is" })), &["spec.nodeSelectors[0] InvalidValue"]
)]
#[case::t_267_value_twice(
    selecting(&json!({ "key": "a", "operator": "In", "values": ["b", "b"] })),
    &["spec.nodeSelectors[0] InvalidValue"]
)]
#[case::t_302_two_passwords(
    json!({ "password": "a", "passwordSecret": { "name": "b" } }),
    &["spec.passwordSecret.name Conflict"]
)]
#[case::t_316_both_kinds_of_as(json!({ "dynamicASN": "internal" }), &["spec.dynamicASN Conflict"])]
#[case::other_dynamic_as(
    json!({ "peerASN": null, "dynamicASN": "any" }), &["spec.dynamicASN InvalidValue"]
)]
#[case::t_221_t_317_interface(
    json!({ "peerAddress": null, "interface": "eth0" }), &["spec.interface Unsupported"]
)]
#[case::t_318_nowhere(json!({ "peerAddress": null }), &["spec.peerAddress Missing"])]
#[case::t_319_two_places(
    json!({ "interface": "eth0" }), &["spec.interface Unsupported", "spec.peerAddress Conflict"]
)]
#[case::vrf(json!({ "vrf": "red" }), &["spec.vrf Unsupported"])]
#[case::numbers_out_of_range(
    json!({ "myASN": -1, "peerASN": 4_294_967_296_i64, "localASN": 0, "peerPort": 70000 }),
    &["spec.localASN InvalidValue", "spec.myASN InvalidValue", "spec.peerASN InvalidValue",
      "spec.peerPort InvalidValue"]
)]
fn a_peer_is_refused(#[case] more: Value, #[case] expected: &[&str]) {
    assert_eq!(faults(&json!({ "peers": { "peer": mk_peer(&more) } })), expected);
}

fn selecting(expression: &Value) -> Value {
    json!({ "nodeSelectors": [{ "matchExpressions": [expression] }] })
}

#[test]
fn a_password_is_in_no_problem() {
    let long = "letmein".repeat(20);
    let config = Config::build(
        &mk_objects(&json!({ "peers": {
            "a": mk_peer(&json!({ "password": long })),
            "b": mk_peer(&json!({ "password": "letmein", "passwordSecret": { "name": "s" } })),
        } })),
        None,
    );
    assert_eq!(config.problems.len(), 2);
    assert!(!format!("{config:?}").contains("letmein"));
}

#[rstest]
#[case::t_259_hold_only(json!({ "holdTime": "90s" }), Some((90_000, 30_000)))]
#[case::t_260_keepalive_only(json!({ "keepaliveTime": "5s" }), Some((15_000, 5_000)))]
#[case::t_261_both_zero(json!({ "holdTime": "0s", "keepaliveTime": "0s" }), Some((0, 0)))]
#[case::t_262_none(json!({}), None)]
#[case::parts_of_seconds_drop(
    json!({ "holdTime": "9500ms", "keepaliveTime": "1500ms" }), Some((9_000, 1_500))
)]
#[case::less_than_a_second_is_none(json!({ "holdTime": "500ms" }), Some((0, 0)))]
fn timers(#[case] more: Value, #[case] expected: Option<(u64, u64)>) {
    let expected = expected.map(|(hold, keepalive)| Timers {
        hold: Duration::from_millis(hold),
        keepalive: Duration::from_millis(keepalive),
    });
    assert_eq!(peer(&more).timers, expected);
}

#[rstest]
#[case::t_263_empty_selector(json!({ "nodeSelectors": [{}] }))]
#[case::secret(json!({ "passwordSecret": { "name": "s" } }))]
#[case::secret_to_come(json!({ "passwordSecret": { "name": "ghost" } }))]
#[case::t_320_disable_mp(json!({ "disableMP": true }))]
#[case::port_zero(json!({ "peerPort": 0 }))]
fn a_peer_is_fine(#[case] more: Value) {
    let peer = peer(&more);
    assert!(peer.is_for(&Labels::new()));
    assert_eq!(peer.port, 179);
}

/// What upstream's native mode refuses is possible here, since there is one engine for all of it.
#[rstest]
#[case::t_213_bfd_profile(json!({ "peers": { "p": mk_peer(&json!({ "bfdProfile": "fast" })) } }))]
#[case::t_214_profile_object(json!({}))]
#[case::t_215_v6_pool(json!({ "bgp": { "ad": {} } }))]
#[case::t_216_v6_pool_by_name(json!({ "bgp": { "ad": { "ipAddressPools": ["six"] } } }))]
#[case::t_217_v6_pool_by_label(
    json!({ "bgp": { "ad": { "ipAddressPoolSelectors": [{ "matchLabels": { "v": "6" } }] } } })
)]
#[case::t_218_graceful_restart(
    json!({ "peers": { "p": mk_peer(&json!({ "enableGracefulRestart": true })) } })
)]
#[case::t_219_disable_mp(json!({ "peers": { "p": mk_peer(&json!({ "disableMP": true })) } }))]
#[case::t_220_dynamic_as(
    json!({ "peers": { "p": mk_peer(&json!({ "peerASN": null, "dynamicASN": "internal" })) } })
)]
#[case::t_222_local_as(json!({ "peers": { "p": mk_peer(&json!({ "localASN": 300 })) } }))]
#[case::t_223_keepalive(json!({ "peers": { "p": mk_peer(&json!({ "keepaliveTime": "3s" })) } }))]
#[case::t_224_connect_time(json!({ "peers": { "p": mk_peer(&json!({ "connectTime": "3s" })) } }))]
#[case::t_225_large_community(json!({ "bgp": { "ad": { "communities": ["large:1:2:3"] } } }))]
#[case::t_226_large_alias(
    json!({ "communities": { "c": { "communities": [{ "name": "a", "value": "large:1:2:3" }] } } })
)]
#[case::t_227_v6_pool_unselected(json!({ "bgp": { "ad": { "ipAddressPools": ["four"] } } }))]
#[case::t_228_plain_peer(json!({ "peers": { "p": mk_peer(&json!({})) } }))]
// What FRR cannot hold on one node, and we can.
#[case::t_229_one_router_id(two_peers(&json!({ "routerID": "1.1.1.1" }), &json!({ "routerID": "1.1.1.1" })))]
#[case::t_230_two_router_ids(two_peers(&json!({ "routerID": "1.1.1.1" }), &json!({ "routerID": "2.2.2.2" })))]
#[case::t_231_one_unset(two_peers(&json!({ "routerID": "1.1.1.1" }), &json!({})))]
#[case::t_232_with_bfd(two_peers(&json!({ "bfdProfile": "fast" }), &json!({ "bfdProfile": "fast" })))]
#[case::t_233_one_as(two_peers(&json!({}), &json!({})))]
#[case::t_234_two_as(two_peers(&json!({ "myASN": 101 }), &json!({})))]
fn limits_of_others_are_not_ours(#[case] mut written: Value) {
    written["profiles"] = json!({ "fast": {} });
    written["pools"] = json!({
        "four": { "addresses": ["10.0.0.0/24"] },
        "six": { "addresses": ["2001:db8::/64"], "metadata": { "labels": { "v": "6" } } },
    });
    assert_eq!(Config::build(&mk_objects(&written), None).problems, []);
}

fn two_peers(one: &Value, two: &Value) -> Value {
    let mut two = mk_peer(two);
    two["peerAddress"] = json!("10.0.0.2");
    json!({ "peers": { "one": mk_peer(one), "two": two } })
}

#[rstest]
#[case::t_294_default(json!({}), BfdProfile::default())]
#[case::t_297_all_set(
    json!({
        "receiveInterval": 50, "transmitInterval": 60, "detectMultiplier": 5, "echoInterval": 90,
        "echoMode": false, "passiveMode": true, "minimumTtl": 60,
    }),
    BfdProfile {
        receive_interval: Duration::from_millis(50),
        transmit_interval: Duration::from_millis(60),
        detect_multiplier: 5,
        passive: true,
        minimum_ttl: 60,
    }
)]
fn bfd_profiles(#[case] spec: Value, #[case] expected: BfdProfile) {
    let config = mk_config(&json!({ "profiles": { "fast": spec } }));
    assert_eq!(config.bfd_profiles["fast"], expected);
}

#[rstest]
#[case::t_298_interval_too_short(
    json!({ "receiveInterval": 9 }), &["spec.receiveInterval InvalidValue"]
)]
#[case::t_299_interval_too_long(
    json!({ "transmitInterval": 60_001 }), &["spec.transmitInterval InvalidValue"]
)]
#[case::the_rest(
    json!({ "detectMultiplier": 1, "echoInterval": -1, "minimumTtl": 255 }),
    &["spec.detectMultiplier InvalidValue", "spec.echoInterval InvalidValue",
      "spec.minimumTtl InvalidValue"]
)]
#[case::echo(json!({ "echoMode": true }), &["spec.echoMode Unsupported"])]
fn a_profile_is_refused(#[case] spec: Value, #[case] expected: &[&str]) {
    assert_eq!(faults(&json!({ "profiles": { "fast": spec } })), expected);
}

fn mk_pools() -> Value {
    json!({ "pool": { "addresses": ["10.20.0.0/16", "10.50.0.10-10.50.0.40"] } })
}

#[rstest]
#[case::t_269_simple(json!({ "aggregationLength": 32, "localPref": 100 }), &[])]
#[case::t_270_default(json!({}), &[])]
#[case::t_271_too_long(
    json!({ "aggregationLength": 34 }), &["spec.aggregationLength InvalidValue"]
)]
#[case::t_271_too_long_v6(
    json!({ "aggregationLengthV6": 129 }), &["spec.aggregationLengthV6 InvalidValue"]
)]
#[case::t_271_none(json!({ "aggregationLengthV6": 0 }), &["spec.aggregationLengthV6 InvalidValue"])]
#[case::t_272_wider_than_the_pool(
    json!({ "aggregationLength": 15 }), &["spec.aggregationLength Conflict"]
)]
#[case::t_278_of_a_range(json!({ "aggregationLength": 29 }), &[])]
#[case::t_279_wider_than_the_range(
    json!({ "aggregationLength": 26 }), &["spec.aggregationLength Conflict"]
)]
#[case::t_280_pool_twice(
    json!({ "ipAddressPools": ["pool", "pool"] }), &["spec.ipAddressPools[1] Duplicate"]
)]
#[case::t_281_peer_twice(json!({ "peers": ["p", "p"] }), &["spec.peers[1] Duplicate"])]
#[case::t_282_selector_twice(
    json!({ "nodeSelectors": [{}, {}] }), &["spec.nodeSelectors[1] Duplicate"]
)]
#[case::t_283_bad_format(
    json!({ "communities": ["1:2:3"] }), &["spec.communities DanglingReference"]
)]
#[case::t_284_first_too_big(
    json!({ "communities": ["99999999:1"] }), &["spec.communities InvalidValue"]
)]
#[case::t_285_second_too_big(
    json!({ "communities": ["1:99999999"] }), &["spec.communities InvalidValue"]
)]
#[case::t_286_unknown_alias(
    json!({ "communities": ["ghost"] }), &["spec.communities DanglingReference"]
)]
#[case::t_287_community_twice(
    json!({ "communities": ["1:2", "1:2"] }), &["spec.communities[1] Duplicate"]
)]
#[case::t_322_service_selector(json!({ "serviceSelectors": [{ "matchLabels": { "a": "b" } }] }), &[])]
#[case::t_323_service_selectors(
    json!({ "serviceSelectors": [{ "matchLabels": { "a": "b" } }, {}] }), &[]
)]
#[case::t_324_with_a_length(
    json!({ "serviceSelectors": [{}], "aggregationLength": 24 }), &["spec.serviceSelectors Conflict"]
)]
#[case::t_325_with_a_v6_length(
    json!({ "serviceSelectors": [{}], "aggregationLengthV6": 64 }),
    &["spec.serviceSelectors Conflict"]
)]
#[case::t_326_with_the_default(json!({ "serviceSelectors": [{}], "aggregationLength": 32 }), &[])]
#[case::t_327_with_the_v6_default(
    json!({ "serviceSelectors": [{}], "aggregationLengthV6": 128 }), &[]
)]
#[case::t_328_with_both_defaults(
    json!({ "serviceSelectors": [{}], "aggregationLength": 32, "aggregationLengthV6": 128 }), &[]
)]
#[case::t_329_service_selector_twice(
    json!({ "serviceSelectors": [{}, {}] }), &["spec.serviceSelectors[1] Duplicate"]
)]
#[case::k_015_bad_operator(
    json!({ "nodeSelectors": [{ "matchExpressions": [{ "key": "a", "operator": "invalid" }] }] }),
    &["spec.nodeSelectors[0] InvalidValue"]
)]
#[case::negative_preference(json!({ "localPref": -1 }), &["spec.localPref InvalidValue"])]
fn an_advertisement(#[case] spec: Value, #[case] expected: &[&str]) {
    assert_eq!(faults(&json!({ "pools": mk_pools(), "bgp": { "ad": spec } })), expected);
}

#[test]
fn t_313_the_peers_of_an_advertisement() {
    let config =
        Config::build(&mk_objects(&json!({ "bgp": { "ad": { "peers": ["b", "a"] } } })), None);
    let expected = PeerScope::Named(["a".into(), "b".into()].into());
    assert_eq!(config.bgp_advertisements[0].peers, expected);
}

#[rstest]
#[case::t_288_format("x", "1:2:3", &["spec.communities[0].value InvalidValue"])]
#[case::t_289_first_too_big("x", "99999999:1", &["spec.communities[0].value InvalidValue"])]
#[case::t_290_second_too_big("x", "1:99999999", &["spec.communities[0].value InvalidValue"])]
#[case::t_291_defined_elsewhere("dup", "1:2", &["spec.communities Duplicate"])]
#[case::t_293_large("x", "large:1:2:3", &[])]
fn a_community(#[case] name: &str, #[case] value: &str, #[case] expected: &[&str]) {
    let written = json!({ "communities": {
        "first": { "communities": [{ "name": "dup", "value": "9:9" }] },
        "second": { "communities": [{ "name": name, "value": value }] },
    } });
    assert_eq!(faults(&written), expected);
    let config = Config::build(&mk_objects(&written), None);
    assert_eq!(config.communities["dup"].to_string(), "9:9");
    assert_eq!(config.communities.contains_key("x"), expected.is_empty());
}

#[test]
fn t_292_an_alias_twice_in_one_object() {
    let alias = json!({ "name": "dup", "value": "9:9" });
    let written = json!({ "communities": { "c": { "communities": [alias, alias] } } });
    assert_eq!(faults(&written), ["spec.communities[1].name Duplicate"]);
}
