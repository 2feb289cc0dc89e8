//! Stories of one speaker, step by step.

use super::*;

const READY: Option<bool> = Some(true);
const NOT: Option<bool> = Some(false);

fn mk_written(peers: &[(&str, &str)], ads: &Value) -> Value {
    let peers: serde_json::Map<String, Value> =
        peers.iter().map(|(name, address)| ((*name).to_owned(), mk_peer(address))).collect();
    json!({ "pools": { "pool": { "addresses": ["10.20.30.0/24"] } }, "peers": peers, "bgp": ads })
}

fn at(address: &str) -> Service {
    mk_service("web", &[address])
}

fn second(addresses: &[&str]) -> Service {
    mk_service("second", addresses)
}

#[test]
fn t_001_to_022_a_day_of_one_speaker() {
    let mut speaker = Speaker::new();
    speaker.node(mk_node("iris"));
    let one = [("peer1", "1.2.3.4")];
    let none: Vec<String> = Vec::new();
    let only_pandora = json!({ "ad": { "nodeSelectors": mk_nodes_selector(&["pandora"]) } });

    // T1, T2: nothing without configuration, then a session that sends nothing.
    speaker.service(at("10.20.30.1"));
    speaker.endpoints("web", &[("iris", READY, None)]);
    assert!(speaker.sent().is_empty());
    speaker.delete("web");
    speaker.configure(&mk_written(&one, &only_pandora));
    assert_eq!(speaker.sent()["peer1"], none);

    // T3, T4: of the right type, with its endpoint elsewhere.
    let mut cluster_ip = at("10.20.30.1");
    cluster_ip.is_load_balancer = false;
    speaker.service(cluster_ip);
    assert_eq!(speaker.sent()["peer1"], none);
    speaker.service(at("10.20.30.1"));
    assert_eq!(speaker.sent()["peer1"], ["10.20.30.1/32"]);

    // T5 to T7: local traffic needs an endpoint here.
    let announced = vec!["10.20.30.1/32".to_owned()];
    speaker.service(mk_local(at("10.20.30.1")));
    assert_eq!((speaker.outcome("web"), &speaker.sent()["peer1"]), ("noLocalEndpoints", &none));
    speaker.endpoints("web", &[("iris", READY, None), ("pandora", READY, None)]);
    assert_eq!(speaker.sent()["peer1"], announced);
    speaker.endpoints("web", &[("pandora", NOT, None), ("pandora", READY, None)]);
    assert_eq!(speaker.sent()["peer1"], announced);

    // T8 to T12: any endpoint that can serve.
    speaker.service(at("10.20.30.1"));
    for (row, endpoints, expected) in [
        (8, &[][..], "noEndpoints"),
        (9, &[("iris", NOT, None)], "noEndpoints"),
        (10, &[("iris", READY, None), ("pandora", NOT, None)], "announce"),
        (11, &[("pandora", NOT, READY)], "announce"),
        (12, &[("pandora", READY, NOT)], "announce"),
    ] {
        speaker.endpoints("web", endpoints);
        assert_eq!(speaker.outcome("web"), expected, "T{row}");
        let expected = if expected == "announce" { &announced } else { &none };
        assert_eq!(&speaker.sent()["peer1"], expected, "T{row}");
    }

    // T13 to T15: attributes, nodes and peers of advertisements.
    let ads = |node: &str, peers: &[&str]| {
        json!({
            "host": {
                "localPref": 100, "communities": ["2345:2345", "1234:1234"], "peers": peers,
            },
            "net": {
                "aggregationLength": 24, "localPref": 1000,
                "nodeSelectors": mk_nodes_selector(&[node]),
            },
        })
    };
    speaker.configure(&mk_written(&one, &ads("pandora", &[])));
    let both = ["10.20.30.0/24 [1000]", "10.20.30.1/32 [100] 1234:1234 2345:2345"];
    assert_eq!(speaker.sent()["peer1"], both);
    speaker.configure(&mk_written(&one, &ads("iris", &[])));
    assert_eq!(speaker.sent()["peer1"], both[1..]);
    speaker.configure(&mk_written(&one, &ads("pandora", &["peer1"])));
    assert_eq!(speaker.sent()["peer1"], both);
    let scopes: Vec<PeerScope> =
        routes(&speaker.snapshot, &mk_key("web")).into_iter().map(|route| route.peers).collect();
    assert_eq!(scopes, [PeerScope::All, PeerScope::Named(["peer1".into()].into())]);

    // T16 to T18: two peers, two Services.
    let two = [("peer1", "1.2.3.4"), ("peer2", "1.2.3.5")];
    speaker.configure(&mk_written(&two, &json!({ "ad": {} })));
    speaker.service(second(&[]));
    speaker.endpoints("second", &[("iris", READY, None)]);
    assert_eq!(speaker.sent(), [("peer1", announced.clone()), ("peer2", announced.clone())].into());
    speaker.service(second(&["10.20.30.5"]));
    let hosts = vec!["10.20.30.1/32".to_owned(), "10.20.30.5/32".to_owned()];
    assert_eq!(speaker.sent(), [("peer1", hosts.clone()), ("peer2", hosts)].into());

    // T19, T20: a shared address stays as long as one holds it.
    speaker.service(second(&["10.20.30.1"]));
    assert_eq!(speaker.sent()["peer1"], announced);
    speaker.delete("web");
    assert_eq!(speaker.sent()["peer2"], announced);

    // T21, T22: a session ends, the other goes on until nothing is left to send.
    speaker.configure(&mk_written(&[("peer1", "1.2.3.5")], &json!({ "ad": {} })));
    assert_eq!(speaker.sent(), [("peer1", announced)].into());
    speaker.delete("second");
    assert_eq!(speaker.sent(), [("peer1", none)].into());
    assert!(speaker.table.is_empty());
}

#[test]
fn k_016_t_023_to_031_sessions_follow_the_labels_of_the_node() {
    let mut speaker = Speaker::new();
    let labelled = |pairs: &[(&str, &str)]| Node { labels: mk_labels(pairs), ..mk_node("pandora") };
    let write = |selectors: &Value| {
        let mut choosy = mk_peer("1.2.3.5");
        choosy["nodeSelectors"] = selectors.clone();
        json!({ "peers": { "any": mk_peer("1.2.3.4"), "choosy": choosy } })
    };
    let foo = json!({ "matchLabels": { "foo": "bar" } });
    let either = json!({ "matchExpressions": [{ "key": "foo", "operator": "In", "values": ["bar", "baz"] }] });
    let host = json!({ "matchLabels": { "host": "frontend" } });

    assert!(speaker.sessions().is_empty());
    speaker.node(labelled(&[]));
    speaker.configure(&json!({ "peers": { "any": mk_peer("1.2.3.4") } }));
    assert_eq!(speaker.sessions(), ["any"]);
    speaker.configure(&write(&json!([foo])));
    assert_eq!(speaker.sessions(), ["any"]);
    speaker.node(labelled(&[("foo", "bar")]));
    assert_eq!(speaker.sessions(), ["any", "choosy"]);
    speaker.node(labelled(&[("foo", "baz")]));
    assert_eq!(speaker.sessions(), ["any"]);
    speaker.configure(&write(&json!([either])));
    assert_eq!(speaker.sessions(), ["any", "choosy"]);
    speaker.node(labelled(&[("foo", "bar")]));
    assert_eq!(speaker.sessions(), ["any", "choosy"]);
    speaker.configure(&write(&json!([host, either])));
    assert_eq!(speaker.sessions(), ["any", "choosy"]);
    speaker.node(labelled(&[("host", "frontend")]));
    assert_eq!(speaker.sessions(), ["any", "choosy"]);
}

#[test]
fn t_042_to_047_who_is_told_about_a_service() {
    let mut speaker = Speaker::new();
    let write = |peers: &[&str], ad: &Value| {
        let peers: serde_json::Map<String, Value> = peers
            .iter()
            .zip(1..)
            .map(|(p, n)| ((*p).to_owned(), mk_peer(&format!("1.2.3.{n}"))))
            .collect();
        json!({
            "pools": {
                "pool1": { "addresses": ["10.1.0.0/24"] }, "pool2": { "addresses": ["10.2.0.0/24"] },
            },
            "peers": peers,
            "bgp": { "ad1": ad, "ad2": { "ipAddressPools": ["pool2"] } },
        })
    };
    let everyone = json!({ "ipAddressPools": ["pool1"] });
    let one = json!({ "ipAddressPools": ["pool1"], "peers": ["peer1"] });
    let nobody: [&str; 0] = [];

    speaker.configure(&write(&["peer1", "peer2"], &everyone));
    for name in ["web", "second"] {
        speaker.endpoints(name, &[("pandora", None, None)]);
    }
    assert_eq!(
        (speaker.peers_of("web"), speaker.peers_of("second")),
        (nobody.to_vec(), nobody.to_vec())
    );
    assert_eq!(speaker.service(at("10.1.0.1")), 1);
    assert_eq!(speaker.peers_of("web"), ["peer1", "peer2"]);
    assert_eq!(speaker.service(second(&["10.2.0.1"])), 1);
    assert_eq!(speaker.peers_of("second"), ["peer1", "peer2"]);
    assert_eq!(
        speaker.configure(&write(&["peer1", "peer2"], &one)),
        1,
        "only the Service of pool1"
    );
    assert_eq!(speaker.peers_of("web"), ["peer1"]);
    assert_eq!(speaker.delete("web"), 1);
    assert_eq!(speaker.peers_of("web"), nobody);
    let config = write(&["gone", "peer2"], &one);
    assert_eq!(speaker.configure(&config), 0, "sessions change, routes do not");
    assert_eq!(speaker.peers_of("second"), ["gone", "peer2"]);
}
