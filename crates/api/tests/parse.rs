//! What users and upstream write, read by our types.

#![expect(clippy::unwrap_used, reason = "a test")]

use ferrolb_api::{
    BFDProfile, BGPAdvertisement, BGPPeer, BGPSession, Community, ConfigurationState,
    IPAddressPool, L2Advertisement, ServiceBGPStatus, ServiceL2Status, crds, crds_yaml,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use rstest::rstest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn mk_object(kind: &str, rest: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "metallb.io/v1beta1",
        "kind": kind,
        "metadata": { "name": "x", "namespace": "metallb-system" },
    });
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    object
}

#[rstest]
#[case::no_spec(&json!({}))]
#[case::null_spec(&json!({ "spec": null }))]
#[case::empty_spec(&json!({ "spec": {} }))]
#[case::unknown_fields(&json!({ "spec": { "later": 1 }, "status": {} }))]
fn missing_fields_parse_to_their_defaults(#[case] rest: &Value) {
    let pool: IPAddressPool = serde_json::from_value(mk_object("IPAddressPool", rest)).unwrap();
    assert!(pool.spec.addresses.is_empty());
    assert!(pool.spec.auto_assign);
    assert!(!pool.spec.avoid_buggy_ips);
    assert_eq!(pool.spec.service_allocation, None);

    let l2: L2Advertisement = serde_json::from_value(mk_object("L2Advertisement", rest)).unwrap();
    assert_eq!(l2.spec, L2Advertisement::default().spec);

    serde_json::from_value::<ServiceL2Status>(mk_object("ServiceL2Status", rest)).unwrap();

    let peer: BGPPeer = serde_json::from_value(mk_object("BGPPeer", rest)).unwrap();
    assert_eq!(peer.spec, BGPPeer::default().spec);
    let bgp: BGPAdvertisement =
        serde_json::from_value(mk_object("BGPAdvertisement", rest)).unwrap();
    assert_eq!(bgp.spec, BGPAdvertisement::default().spec);
    let bfd: BFDProfile = serde_json::from_value(mk_object("BFDProfile", rest)).unwrap();
    assert_eq!(bfd.spec, BFDProfile::default().spec);
    let community: Community = serde_json::from_value(mk_object("Community", rest)).unwrap();
    assert!(community.spec.communities.is_empty());
}

/// One odd number must not hide the other objects of its kind from a watch.
#[rstest]
fn numbers_out_of_range_are_read() {
    let rest = json!({ "spec": { "localPref": -1, "aggregationLength": 77 } });
    let bgp: BGPAdvertisement =
        serde_json::from_value(mk_object("BGPAdvertisement", &rest)).unwrap();
    assert_eq!(bgp.spec.local_pref, -1);
    let rest = json!({ "spec": { "myASN": -1, "peerPort": 0, "holdTime": "soon" } });
    let peer: BGPPeer = serde_json::from_value(mk_object("BGPPeer", &rest)).unwrap();
    assert_eq!(peer.spec.my_asn, -1);
}

#[rstest]
fn a_password_is_not_printed() {
    let rest = json!({ "spec": { "myASN": 1, "password": "letmein" } });
    let peer: BGPPeer = serde_json::from_value(mk_object("BGPPeer", &rest)).unwrap();
    assert_eq!(peer.spec.password.expose(), "letmein");
    assert!(!format!("{peer:?}").contains("letmein"));
}

fn is_kept<K: DeserializeOwned + Serialize>(object: &Value) {
    let read: K = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), *object);
}

#[rstest]
#[case::peer("BGPPeer", json!({ "spec": {
    "myASN": 64500, "peerASN": 64501, "dynamicASN": "external", "localASN": 64502,
    "peerAddress": "10.0.0.1", "interface": "eth0", "sourceAddress": "10.0.0.2", "peerPort": 1179,
    "holdTime": "90s", "keepaliveTime": "30s", "connectTime": "10s", "routerID": "10.0.0.3",
    "nodeSelectors": [{ "matchLabels": { "a": "b" } }], "password": "secret",
    "passwordSecret": { "name": "a", "namespace": "b" }, "bfdProfile": "fast",
    "enableGracefulRestart": true, "ebgpMultiHop": true, "vrf": "red", "disableMP": true,
    "dualStackAddressFamily": true,
} }), is_kept::<BGPPeer>)]
#[case::bgp_advertisement("BGPAdvertisement", json!({ "spec": {
    "aggregationLength": 24, "aggregationLengthV6": 64, "localPref": 100,
    "communities": ["65000:1", "large:1:2:3", "name"], "ipAddressPools": ["a"],
    "ipAddressPoolSelectors": [{ "matchLabels": { "a": "b" } }],
    "nodeSelectors": [{ "matchLabels": { "a": "b" } }], "peers": ["a"],
    "serviceSelectors": [{ "matchLabels": { "a": "b" } }],
} }), is_kept::<BGPAdvertisement>)]
#[case::bfd_profile("BFDProfile", json!({ "spec": {
    "receiveInterval": 10, "transmitInterval": 20, "detectMultiplier": 3, "echoInterval": 50,
    "echoMode": false, "passiveMode": true, "minimumTtl": 254,
} }), is_kept::<BFDProfile>)]
#[case::community("Community", json!({ "spec": {
    "communities": [{ "name": "a", "value": "1:2" }],
} }), is_kept::<Community>)]
#[case::bgp_status("ServiceBGPStatus", json!({ "spec": {}, "status": {
    "node": "a", "serviceName": "b", "serviceNamespace": "c", "peers": ["d"],
} }), is_kept::<ServiceBGPStatus>)]
#[case::configuration_state("ConfigurationState", json!({ "spec": {}, "status": {
    "result": "Invalid", "errorSummary": "a", "conditions": [{
        "type": "poolReconcilerValid", "status": "True", "reason": "Reconciled", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }],
} }), is_kept::<ConfigurationState>)]
#[case::session("BGPSession", json!({ "spec": {}, "status": {
    "node": "a", "peer": "b", "peerAddress": "10.0.0.1", "peerASN": 64501, "vrf": "red",
    "bgpStatus": "Established", "bfdStatus": "Up", "since": "2026-01-01T00:00:00Z",
    "lastError": { "message": "hold timer expired", "time": "2026-01-01T00:00:00Z" },
    "families": ["ipv4-unicast"], "prefixes": { "wanted": 3, "sent": 2, "received": 1 },
    "timers": { "holdTime": "90s", "keepaliveTime": "30s", "connectTime": "30s" },
} }), is_kept::<BGPSession>)]
fn every_field_is_read_and_written(
    #[case] kind: &str,
    #[case] rest: Value,
    #[case] check: fn(&Value),
) {
    let mut object = mk_object(kind, &rest);
    object["apiVersion"] = match kind {
        "BGPPeer" => json!("metallb.io/v1beta2"),
        "BGPSession" => json!("ferrolb.io/v1alpha1"),
        _ => json!("metallb.io/v1beta1"),
    };
    check(&object);
}

#[rstest]
fn a_pool_reads_and_writes_every_field() {
    let rest = json!({
        "spec": {
            "addresses": ["192.0.2.0/24"],
            "autoAssign": false,
            "avoidBuggyIPs": true,
            "serviceAllocation": {
                "priority": 50,
                "namespaces": ["a"],
                "namespaceSelectors": [{ "matchLabels": { "foo": "bar" } }],
                "serviceSelectors": [{ "matchExpressions": [{ "key": "app", "operator": "In", "values": ["bar"] }] }],
            },
        },
        "status": { "assignedIPv4": 0, "assignedIPv6": 1, "availableIPv4": 254, "availableIPv6": i64::MAX },
    });
    let object = mk_object("IPAddressPool", &rest);
    let pool: IPAddressPool = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(pool.spec.service_allocation.as_ref().map(|s| s.priority), Some(50));
    assert_eq!(pool.status.map(|s| s.available_ipv6), Some(i64::MAX));
    assert_eq!(serde_json::to_value(&pool).unwrap(), object);
}

#[rstest]
fn an_advertisement_reads_and_writes_every_field() {
    let rest = json!({ "spec": {
        "ipAddressPools": ["a"],
        "ipAddressPoolSelectors": [{ "matchLabels": { "zone": "east" } }],
        "nodeSelectors": [{ "matchLabels": { "kubernetes.io/hostname": "node-1" } }],
        "interfaces": ["eth1"],
        "serviceSelectors": [{}],
        "preferredNodeSelectors": [{ "weight": 7, "preference": { "matchLabels": { "rack": "1" } } }],
    }});
    let object = mk_object("L2Advertisement", &rest);
    let l2: L2Advertisement = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(serde_json::to_value(&l2).unwrap(), object);
}

#[rstest]
fn a_status_reads_and_writes_every_field() {
    let rest = json!({ "spec": {}, "status": {
        "node": "node-1", "serviceName": "web", "serviceNamespace": "default", "interfaces": [{ "name": "eth1" }],
    }});
    let object = mk_object("ServiceL2Status", &rest);
    let status: ServiceL2Status = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(serde_json::to_value(&status).unwrap(), object);
}

#[rstest]
fn the_yaml_stream_holds_all_definitions() {
    let text = crds_yaml();
    assert_eq!(text, crds_yaml());
    let read: Vec<CustomResourceDefinition> = serde_saphyr::from_multiple(&text).unwrap();
    assert_eq!(read, crds());
}
