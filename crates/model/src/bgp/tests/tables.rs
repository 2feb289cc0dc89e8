//! Rows that are one decision each.

use super::*;

/// Everything that an announcement of `web` needs, with these advertisements.
fn mk_speaker(ads: &Value) -> Speaker {
    let mut speaker = Speaker::new();
    speaker.node(mk_node("iris"));
    speaker.configure(&json!({
        "pools": { "pool": { "addresses": ["10.20.30.0/24"] } },
        "peers": { "peer": mk_peer("1.2.3.4") },
        "bgp": ads,
    }));
    let mut web = mk_service("web", &["10.20.30.1"]);
    web.labels = mk_labels(&[("app", "nginx")]);
    speaker.service(web);
    speaker.endpoints("web", &[("pandora", Some(true), None)]);
    speaker
}

fn mk_app(apps: &[&str]) -> Value {
    let selectors: Vec<Value> =
        apps.iter().map(|app| json!({ "matchLabels": { "app": app } })).collect();
    json!({ "serviceSelectors": selectors })
}

#[rstest]
#[case::t_032_excluded(false, "nodeLabeledExcludeBalancers")]
#[case::t_033_ignored(true, "announce")]
fn exclude_label(#[case] ignore_exclude_lb: bool, #[case] expected: &str) {
    for own in ["iris1", "iris2"] {
        let settings = Settings { own: own.into(), class: None, ignore_exclude_lb };
        let mut speaker = Speaker::with(settings);
        for name in ["iris1", "iris2"] {
            let mut node = mk_node(name);
            node.labels.extend([(EXCLUDE_LABEL.to_owned(), String::new())]);
            speaker.node(node);
        }
        speaker.configure(&json!({
            "pools": { "pool": { "addresses": ["10.20.30.0/24"] } }, "bgp": { "ad": {} },
        }));
        speaker.service(mk_service("web", &["10.20.30.1"]));
        speaker.endpoints("web", &[("iris1", Some(true), None)]);
        assert_eq!(speaker.outcome("web"), expected);
    }
}

#[rstest]
#[case::t_048_t_070_no_selectors(json!({ "a": {} }), "announce", &[""])]
#[case::t_049_t_071_matching(json!({ "a": mk_app(&["nginx"]) }), "announce", &[""])]
#[case::t_050_t_072_not_matching(json!({ "a": mk_app(&["apache"]) }), "noMatchingAdvertisement", &[])]
#[case::t_051_other_node(
    json!({ "a": { "nodeSelectors": mk_nodes_selector(&["iris"]) } }), "noMatchingAdvertisement", &[]
)]
#[case::t_052_three(
    json!({
        "a": marked(mk_app(&["apache"]), "1:1"), "b": marked(mk_app(&["nginx"]), "2:2"),
        "c": marked(json!({}), "3:3"),
    }),
    "announce", &[" 2:2 3:3"]
)]
#[case::t_053_t_073_one_of_two_selectors(
    json!({ "a": mk_app(&["apache", "nginx"]) }), "announce", &[""]
)]
#[case::t_074_one_of_two_advertisements(
    json!({ "a": mk_app(&["apache"]), "b": mk_app(&["nginx"]) }), "announce", &[""]
)]
#[case::t_075_two_preferences(
    json!({ "a": preferring(mk_app(&["nginx"]), 100), "b": preferring(mk_app(&["nginx"]), 200) }),
    "conflictingAdvertisements", &[]
)]
#[case::no_advertisement(json!({}), "noMatchingAdvertisement", &[])]
fn advertisements_of_a_service(
    #[case] ads: Value,
    #[case] outcome: &str,
    #[case] communities: &[&str],
) {
    let speaker = mk_speaker(&ads);
    assert_eq!(speaker.outcome("web"), outcome);
    let expected: Vec<String> =
        communities.iter().map(|communities| format!("10.20.30.1/32{communities}")).collect();
    assert_eq!(speaker.sent()["peer"], expected);
}

fn marked(mut ad: Value, community: &str) -> Value {
    ad["communities"] = json!([community]);
    ad
}

fn preferring(mut ad: Value, local_pref: u32) -> Value {
    ad["localPref"] = json!(local_pref);
    ad
}

#[rstest]
#[case::t_076_ready(&[Some(true)], "announce")]
#[case::t_077_not_ready(&[Some(false)], "noEndpoints")]
#[case::t_078_ready_then_not(&[Some(true), Some(false)], "announce")]
#[case::t_079_not_then_ready(&[Some(false), Some(true)], "announce")]
#[case::t_080_both_not(&[Some(false), Some(false)], "noEndpoints")]
#[case::t_081_one_of_two(&[Some(false), Some(true)], "announce")]
fn endpoints(#[case] ready: &[Option<bool>], #[case] expected: &str) {
    let mut speaker = mk_speaker(&json!({ "ad": {} }));
    let endpoints: Vec<_> = ready.iter().map(|ready| ("iris", *ready, None)).collect();
    speaker.endpoints("web", &endpoints);
    assert_eq!(speaker.outcome("web"), expected);
}

/// Each protocol decides for itself.
#[test]
fn t_082_to_084_l2_row_69_to_71_both_protocols() {
    let mut speaker = mk_speaker(&json!({ "ad": {} }));
    let key = mk_key("web");
    let mut written = json!({
        "pools": { "pool": { "addresses": ["10.20.30.0/24"] } },
        "bgp": { "ad": {} },
        "advertisements": { "l2": { "nodeSelectors": mk_nodes_selector(&["pandora"]) } },
    });
    let announces = |speaker: &Speaker| {
        let layer2 = crate::decide::decide(&speaker.snapshot, &key);
        (layer2.announcement().is_some(), speaker.outcome("web") == "announce")
    };
    speaker.configure(&written);
    assert_eq!(announces(&speaker), (true, true));
    written["advertisements"] = json!({});
    speaker.configure(&written);
    assert_eq!(announces(&speaker), (false, true));
    written["bgp"] = json!({});
    speaker.configure(&written);
    assert_eq!(announces(&speaker), (false, false));
    assert!(speaker.table.is_empty());
}

#[rstest]
#[case::no_such_service("other", "serviceDeleted")]
#[case::network_unavailable("web", "nodeNetworkUnavailable")]
fn silence(#[case] service: &str, #[case] expected: &str) {
    let mut speaker = mk_speaker(&json!({ "ad": {} }));
    assert_eq!(speaker.node(Node { network_unavailable: true, ..mk_node("pandora") }), 1);
    assert_eq!(speaker.outcome(service), expected);
}

#[rstest]
#[case::no_advertisement(json!({}), "no BGPAdvertisement covers pool pool")]
#[case::other_node(
    json!({ "a": { "nodeSelectors": mk_nodes_selector(&["iris"]) } }),
    "no BGPAdvertisement of pool pool that selects this Service lists node pandora"
)]
#[case::other_service(
    json!({ "a": mk_app(&["apache"]) }), "no BGPAdvertisement of pool pool selects this Service"
)]
#[case::preferences(
    json!({ "a": preferring(mk_app(&["nginx"]), 100), "b": mk_app(&["nginx"]) }),
    "BGPAdvertisements a and b give the same routes different localPref"
)]
fn sentences(#[case] ads: Value, #[case] expected: &str) {
    let verdict = decide_bgp(&mk_speaker(&ads).snapshot, &mk_key("web"));
    assert_eq!(verdict.reason().unwrap().to_string(), expected);
}

#[test]
fn both_families_and_their_lengths() {
    let mut speaker = mk_speaker(&json!({}));
    speaker.configure(&json!({
        "pools": { "pool": { "addresses": ["10.20.30.0/24", "2001:db8::/64"] } },
        "peers": { "peer": mk_peer("1.2.3.4") },
        "bgp": { "hosts": {}, "nets": { "aggregationLength": 28, "aggregationLengthV6": 80 } },
    }));
    let mut web = mk_service("web", &[]);
    web.ingress = ["10.20.30.17", "2001:db8::7"].map(mk_ingress).to_vec();
    speaker.service(web);
    assert_eq!(
        speaker.sent()["peer"],
        ["10.20.30.16/28", "10.20.30.17/32", "2001:db8::/80", "2001:db8::7/128"]
    );
}

/// 1.5: one route per prefix, with the communities of all and the higher preference.
#[test]
fn routes_of_one_prefix_merge() {
    let route = |community: &str, local_pref, peers| Route {
        prefix: "10.0.0.0/24".parse().unwrap(),
        peers,
        attributes: Attributes { local_pref, communities: [community.parse().unwrap()].into() },
    };
    let only = |peer: &str| PeerScope::Named([peer.into()].into());
    let all = [
        route("2:2", None, PeerScope::All),
        route("1:1", Some(50), PeerScope::All),
        route("3:3", Some(70), only("other")),
    ];
    for routes in [all.to_vec(), all.iter().rev().cloned().collect()] {
        let told = merge(&routes, &"peer".into());
        let texts: Vec<String> = told.iter().map(|(prefix, what)| text(*prefix, what)).collect();
        assert_eq!(texts, ["10.0.0.0/24 [50] 1:1 2:2"]);
        assert_eq!(merge(&routes, &"other".into()).values().next().unwrap().local_pref, Some(70));

        let (mut table, mut expected) = (Table::new(), 0);
        for (number, route) in routes.iter().enumerate() {
            let key = ServiceKey::new("test", number.to_string());
            assert_eq!(table.set(&key, vec![route.clone()]).len(), 1);
            assert_eq!(table.set(&key, vec![route.clone()]).len(), 0, "nothing changed");
            expected += 1;
            assert_eq!(table.services_of(&route.prefix).count(), expected);
        }
        assert_eq!(table.told(&all[0].prefix, &"peer".into()), told.values().next().cloned());
    }
}

/// A Service more behind an aggregate changes nothing on the wire.
#[test]
fn an_aggregate_is_told_once() {
    let route = Route {
        prefix: "10.0.0.0/24".parse().unwrap(),
        peers: PeerScope::All,
        attributes: Attributes::default(),
    };
    let mut table = Table::new();
    let keys: Vec<_> = (0..3).map(|n: u8| ServiceKey::new("test", n.to_string())).collect();
    let changes: Vec<usize> =
        keys.iter().map(|key| table.set(key, vec![route.clone()]).len()).collect();
    assert_eq!(changes, [1, 0, 0]);
    let changes: Vec<usize> = keys.iter().map(|key| table.set(key, Vec::new()).len()).collect();
    assert_eq!(changes, [0, 0, 1]);
    assert!(table.is_empty());
}

#[test]
fn labels_that_no_advertisement_reads_change_no_route() {
    let mut speaker = mk_speaker(&json!({ "ad": {} }));
    let before = speaker.sent()["peer"].clone();
    let mut web = mk_service("web", &["10.20.30.1"]);
    web.labels = mk_labels(&[("app", "nginx"), ("version", "2")]);
    assert_eq!(speaker.service(web), 1);
    assert_eq!(speaker.sent()["peer"], before);
    assert_eq!(speaker.node(mk_node("iris")), 0);
    let mut iris = mk_node("iris");
    iris.labels.extend([("zone".to_owned(), "b".to_owned())]);
    assert_eq!(speaker.node(iris), 0, "other nodes do not matter");
}

#[rstest]
#[case(json!({ "peerAddress": "1.2.3.5" }), Some(ResetReason::PeerAddress))]
#[case(json!({ "peerPort": 1179 }), Some(ResetReason::PeerPort))]
#[case(json!({ "sourceAddress": "1.2.3.5" }), Some(ResetReason::SourceAddress))]
#[case(json!({ "myASN": 7 }), Some(ResetReason::MyAsn))]
#[case(json!({ "peerASN": 7 }), Some(ResetReason::PeerAsn))]
#[case(json!({ "localASN": 7 }), Some(ResetReason::LocalAsn))]
#[case(json!({ "routerID": "1.1.1.1" }), Some(ResetReason::RouterId))]
#[case::t_211_nothing(json!({}), None)]
#[case(json!({ "ebgpMultiHop": true }), Some(ResetReason::EbgpMultiHop))]
#[case(json!({ "dualStackAddressFamily": true }), Some(ResetReason::DualStackAddressFamily))]
#[case(json!({ "password": "a" }), Some(ResetReason::Password))]
#[case(json!({ "passwordSecret": { "name": "a" } }), Some(ResetReason::Password))]
#[case::timers(json!({ "holdTime": "9s" }), None)]
#[case::connect_time(json!({ "connectTime": "9s" }), None)]
#[case::bfd(json!({ "bfdProfile": "fast" }), None)]
#[case::graceful_restart(json!({ "enableGracefulRestart": true }), None)]
#[case::nodes(json!({ "nodeSelectors": [{}] }), None)]
fn changes_that_end_a_session(#[case] more: Value, #[case] expected: Option<ResetReason>) {
    let peer = |spec: &Value| {
        let config = Config::build(&mk_objects(&json!({ "peers": { "peer": spec } })), None);
        config.peers["peer"].clone()
    };
    let old = mk_peer("1.2.3.4");
    let mut new = old.clone();
    new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    assert_eq!(reset_reason(&peer(&old), &peer(&new)), expected);
    assert_eq!(reset_reason(&peer(&new), &peer(&old)), expected);
}

/// Which of the AS numbers 7 and 8 a side that shows 7 takes from its router.
#[rstest]
#[case::numeric_internal(RemoteAs::Number(Asn(7)), [true, false])]
#[case::numeric_external(RemoteAs::Number(Asn(8)), [false, true])]
#[case::dynamic_internal(RemoteAs::Internal, [true, false])]
#[case::dynamic_external(RemoteAs::External, [false, true])]
fn remote_as(#[case] remote: RemoteAs, #[case] expected: [bool; 2]) {
    assert_eq!([7, 8].map(|shown| remote.accepts(Asn(shown), Asn(7))), expected);
}

/// One byte more than TCP MD5 takes.
const LONG: &str =
    "012345678901234567890123456789012345678901234567890123456789012345678901234567890";

/// The password, or the reason that there is none.
fn join(spec: &Value, secret: Option<&SecretRow>) -> Result<String, &'static str> {
    let mut written = mk_peer("1.2.3.4");
    written.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let config = Config::build(&mk_objects(&json!({ "peers": { "peer": written } })), None);
    let peer = &config.peers["peer"];
    join_password(peer, |name| secret.filter(|_| name == "secret"))
        .map(|password| password.map(|text| text.expose().to_owned()).unwrap_or_default())
        .map_err(|problem| {
            assert_eq!(problem.field, "spec.passwordSecret.name");
            problem.reason.code()
        })
}

#[rstest]
#[case::none(json!({}), None, Ok(""))]
#[case::t_034_to_036_written(json!({ "password": "a" }), None, Ok("a"))]
#[case::t_303_wrong_type(
    json!({ "passwordSecret": { "name": "secret" } }), Some(("Opaque", Some("a"))),
    Err("InvalidValue")
)]
#[case::t_304_without_key(
    json!({ "passwordSecret": { "name": "secret" } }), Some(("kubernetes.io/basic-auth", None)),
    Err("Missing")
)]
#[case::t_037_to_038_t_305_valid(
    json!({ "passwordSecret": { "name": "secret" } }),
    Some(("kubernetes.io/basic-auth", Some("a"))), Ok("a")
)]
#[case::empty_value(
    json!({ "passwordSecret": { "name": "secret" } }),
    Some(("kubernetes.io/basic-auth", Some(""))), Ok("")
)]
#[case::too_long(
    json!({ "passwordSecret": { "name": "secret" } }),
    Some(("kubernetes.io/basic-auth", Some(LONG))), Err("InvalidValue")
)]
#[case::t_306_missing(
    json!({ "passwordSecret": { "name": "secret" } }), None, Err("DanglingReference")
)]
fn passwords(
    #[case] spec: Value,
    #[case] secret: Option<(&str, Option<&str>)>,
    #[case] expected: Result<&str, &str>,
) {
    let secret = secret.map(|(type_, password)| SecretRow::new(type_, password.map(str::as_bytes)));
    assert!(!format!("{secret:?}").contains("\"a\""));
    assert_eq!(join(&spec, secret.as_ref()), expected.map(str::to_owned));
}
