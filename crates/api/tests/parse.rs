//! What users and upstream write, read by our types.

#![expect(clippy::unwrap_used, reason = "a test")]

use ferrolb_api::{IPAddressPool, L2Advertisement, ServiceL2Status, crds, crds_yaml};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use rstest::rstest;
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
