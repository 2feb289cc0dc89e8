//! Advertisements and peers that contradict each other.

use super::*;

/// Two advertisements of one pool; whether the second is refused on node `pandora`.
fn refused(pool: &[&str], one: &Value, two: &Value) -> Vec<String> {
    let mut speaker = Speaker::new();
    speaker.node(mk_node("iris"));
    speaker.configure(&json!({
        "pools": { "pool": { "addresses": pool } }, "bgp": { "a": one, "b": two },
    }));
    refused_here(&speaker.snapshot).into_iter().map(|problem| problem.message).collect()
}

fn mk_ad(local_pref: u32, nodes: &[&str], peers: &[&str]) -> Value {
    json!({
        "localPref": local_pref, "peers": peers, "nodeSelectors": mk_nodes_selector(nodes),
    })
}

const HERE: &[&str] = &["pandora"];
const BOTH: &[&str] = &["pandora", "iris"];
const GHOST: &[&str] = &["ghost"];

#[rstest]
#[case::t_054_same_preference(mk_ad(100, HERE, &[]), mk_ad(100, HERE, &[]), false)]
#[case::t_055_t_276_other_nodes(mk_ad(100, HERE, &[]), mk_ad(200, &["iris"], &[]), false)]
#[case::t_056_subset_of_nodes(mk_ad(100, HERE, &[]), mk_ad(200, BOTH, &[]), true)]
#[case::t_057_superset_of_nodes(mk_ad(100, BOTH, &[]), mk_ad(200, HERE, &[]), true)]
#[case::t_058_no_node(mk_ad(100, GHOST, &[]), mk_ad(200, HERE, &[]), false)]
#[case::t_059_no_node_reversed(mk_ad(100, HERE, &[]), mk_ad(200, GHOST, &[]), false)]
#[case::t_060_t_277_other_peers(mk_ad(100, HERE, &["p"]), mk_ad(200, HERE, &["q"]), false)]
#[case::t_063_t_273_same_node_no_peers(mk_ad(100, HERE, &[]), mk_ad(200, HERE, &[]), true)]
#[case::t_064_subset_of_peers(mk_ad(100, HERE, &["p"]), mk_ad(200, HERE, &["p", "q"]), true)]
#[case::t_065_superset_of_peers(mk_ad(100, HERE, &["p", "q"]), mk_ad(200, HERE, &["p"]), true)]
#[case::t_066_peers_overlap(mk_ad(100, HERE, &["p", "q"]), mk_ad(200, HERE, &["q", "r"]), true)]
#[case::t_067_reversed(mk_ad(100, HERE, &["q", "r"]), mk_ad(200, HERE, &["p", "q"]), true)]
#[case::t_068_all_peers(mk_ad(100, HERE, &[]), mk_ad(200, HERE, &["p"]), true)]
#[case::t_069_reversed(mk_ad(100, HERE, &["p"]), mk_ad(200, HERE, &[]), true)]
fn local_preferences(#[case] one: Value, #[case] two: Value, #[case] conflict: bool) {
    assert_eq!(!refused(&["10.0.0.0/24"], &one, &two).is_empty(), conflict);
}

#[rstest]
#[case::t_274_other_v4_length(&["10.0.0.0/24"], (24, 128), false)]
#[case::v6_length_of_a_v4_pool(&["10.0.0.0/24"], (32, 64), true)]
#[case::other_v6_length(&["2001:db8::/64"], (32, 64), false)]
#[case::t_275_both_lengths(&["10.0.0.0/24", "2001:db8::/64"], (24, 64), false)]
#[case::one_length_of_two(&["10.0.0.0/24", "2001:db8::/64"], (24, 128), true)]
fn lengths(#[case] pool: &[&str], #[case] (v4, v6): (u8, u8), #[case] conflict: bool) {
    let two = json!({ "localPref": 200, "aggregationLength": v4, "aggregationLengthV6": v6 });
    assert_eq!(!refused(pool, &json!({ "localPref": 100 }), &two).is_empty(), conflict);
}

#[rstest]
#[case::t_061_single(json!({ "a": { "localPref": 100 } }))]
#[case::t_062_none(json!({}))]
fn alone(#[case] ads: Value) {
    let mut speaker = Speaker::new();
    speaker
        .configure(&json!({ "pools": { "pool": { "addresses": ["10.0.0.0/24"] } }, "bgp": ads }));
    assert_eq!(refused_here(&speaker.snapshot), []);
}

/// The younger one is left out; what the older one announced stays.
#[test]
fn the_older_advertisement_acts() {
    let at = |year: u32, local_pref: u32| {
        json!({
            "metadata": { "creationTimestamp": format!("{year}-01-01T00:00:00Z") },
            "localPref": local_pref,
        })
    };
    let mut speaker = Speaker::new();
    speaker.service(mk_service("web", &["10.0.0.1"]));
    speaker.endpoints("web", &[("iris", None, None)]);
    speaker.configure(&json!({
        "pools": { "pool": { "addresses": ["10.0.0.0/24"] } },
        "peers": { "peer": mk_peer("1.2.3.4") },
        "bgp": { "a": at(2026, 200), "b": at(2020, 100) },
    }));
    assert_eq!(speaker.sent()["peer"], ["10.0.0.1/32 [100]"]);
    let [problem] = &refused_here(&speaker.snapshot)[..] else { panic!("one is refused") };
    assert_eq!((&*problem.name, problem.acting), ("a", false));
    assert_eq!(
        problem.message,
        "parsing BGPAdvertisement a: spec.localPref: invalid local preference 200 for pool pool: \
         BGPAdvertisement b gives the same routes 100"
    );
}

/// Two peers with one address hold one session, that of the older.
#[test]
fn t_237_one_session_for_one_address() {
    let at = |year: u32, asn: u32| {
        json!({
            "metadata": { "creationTimestamp": format!("{year}-01-01T00:00:00Z") },
            "myASN": asn, "peerASN": 64501, "peerAddress": "1.2.3.4",
        })
    };
    let mut speaker = Speaker::new();
    speaker.configure(&json!({ "peers": { "a": at(2026, 1), "b": at(2020, 2) } }));
    assert_eq!(speaker.sessions(), ["b"]);
    let messages: Vec<String> =
        refused_here(&speaker.snapshot).into_iter().map(|problem| problem.message).collect();
    assert_eq!(
        messages,
        [
            "parsing peer a spec.peerAddress: peer b with the same address already exists on this node"
        ]
    );
    speaker.configure(&json!({ "peers": { "a": at(2026, 1) } }));
    assert_eq!(speaker.sessions(), ["a"]);
}

/// Whatever is wrong with BGP, Layer 2 announces what it announced.
#[rstest]
#[case::no_as(json!({ "peers": { "p": { "myASN": 0, "peerASN": 1, "peerAddress": "1.2.3.4" } } }))]
#[case::no_address(json!({ "peers": { "p": { "myASN": 1, "peerASN": 1, "peerAddress": "x" } } }))]
#[case::no_profile(json!({ "peers": { "p": {
    "myASN": 1, "peerASN": 2, "peerAddress": "1.2.3.4", "bfdProfile": "nowhere",
} } }))]
#[case::profile(json!({ "profiles": { "b": { "receiveInterval": 1 } } }))]
#[case::community(json!({ "communities": { "c": { "communities": [{ "name": "a", "value": "x" }] } } }))]
#[case::advertisement(json!({ "bgp": { "ad": { "aggregationLength": 99, "communities": ["x"] } } }))]
#[case::no_peer(json!({ "bgp": { "ad": { "peers": ["nobody"] } } }))]
fn layer_2_goes_on_beside_broken_bgp(#[case] broken: Value) {
    let mut written = json!({
        "pools": { "pool": { "addresses": ["10.20.30.0/24"] } },
        "advertisements": { "ad": {} },
    });
    let mut speaker = Speaker::new();
    speaker.configure(&written);
    speaker.service(mk_service("web", &["10.20.30.1"]));
    speaker.endpoints("web", &[("pandora", Some(true), None)]);
    let announced = |speaker: &Speaker, name: &str| {
        let verdict = speaker.snapshot.verdict(&mk_key(name));
        verdict.and_then(|verdict| verdict.announcement()).cloned()
    };
    let before = announced(&speaker, "web");
    assert!(before.is_some());
    written.as_object_mut().unwrap().extend(broken.as_object().unwrap().clone());
    speaker.configure(&written);
    assert_eq!(announced(&speaker, "web"), before);
    speaker.service(mk_service("another", &["10.20.30.2"]));
    speaker.endpoints("another", &[("pandora", Some(true), None)]);
    assert!(announced(&speaker, "another").is_some());
}

/// And the other way round.
#[rstest]
#[case::node(json!({ "nodeSelectors": [{ "matchExpressions": [{ "key": "a", "operator": "Is" }] }] }))]
#[case::pool(
    json!({ "ipAddressPoolSelectors": [{ "matchExpressions": [{ "key": "a", "operator": "Is" }] }] })
)]
#[case::no_pool(json!({ "ipAddressPools": ["nowhere"] }))]
fn bgp_goes_on_beside_broken_layer_2(#[case] broken: Value) {
    let mut written = json!({
        "pools": { "pool": { "addresses": ["10.20.30.0/24"] } },
        "peers": { "peer": mk_peer("1.2.3.4") },
        "bgp": { "ad": {} },
    });
    let mut speaker = Speaker::new();
    speaker.configure(&written);
    speaker.service(mk_service("web", &["10.20.30.1"]));
    speaker.endpoints("web", &[("iris", Some(true), None)]);
    let routes = |speaker: &Speaker| speaker.sent()["peer"].clone();
    let before = routes(&speaker);
    assert_eq!(before.len(), 1);
    written["advertisements"] = json!({ "broken": broken });
    speaker.configure(&written);
    assert_eq!((speaker.sessions(), routes(&speaker)), (vec!["peer"], before.clone()));
    speaker.service(mk_service("another", &["10.20.30.2"]));
    speaker.endpoints("another", &[("iris", Some(true), None)]);
    let after = routes(&speaker);
    assert_eq!((after.len(), &after[..1]), (2, &before[..]));
}
