//! Objects are written as the API server sends them.

use std::collections::BTreeSet;

use rstest::rstest;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

fn mk_object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn mk_key() -> ObjectKey {
    ObjectKey::new("team", "web")
}

/// A Service of type `LoadBalancer` with `annotations` and further `spec` fields.
fn mk_service(annotations: &Value, extra: &Value) -> core::Service {
    let mut spec = json!({ "type": "LoadBalancer" });
    for (name, value) in extra.as_object().unwrap() {
        spec[name] = value.clone();
    }
    mk_object(json!({
        "metadata": { "name": "web", "namespace": "team", "annotations": annotations },
        "spec": spec,
    }))
}

#[test]
fn service_keeps_what_decisions_read() {
    let object = mk_object(json!({
        "metadata": {
            "name": "web", "namespace": "team", "uid": "u-1", "resourceVersion": "42",
            "labels": { "app": "web" },
            "annotations": { "metallb.io/ip-allocated-from-pool": "gold" },
            "managedFields": [{ "manager": "kubectl", "operation": "Update" }],
        },
        "spec": {
            "type": "LoadBalancer",
            "loadBalancerClass": "example.org/lb",
            "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"],
            "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack",
            "loadBalancerIP": "192.0.2.7",
            "externalTrafficPolicy": "Local",
            "selector": { "app": "web" },
            "ports": [{ "port": 80 }, { "port": 53, "protocol": "UDP" }, { "port": 7, "protocol": "SCTP" }],
        },
        "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.7" }, { "hostname": "x" }] } },
    }));
    let row = service(&mk_key(), object).unwrap();
    assert_eq!(
        row,
        rows::Service {
            key: ServiceKey::new("team", "web"),
            uid: "u-1".into(),
            resource_version: "42".into(),
            labels: [("app".to_owned(), "web".to_owned())].into(),
            annotations: rows::ServiceAnnotations {
                allocated_from_pool: Some("gold".to_owned()),
                ..Default::default()
            },
            is_load_balancer: true,
            class: Some("example.org/lb".into()),
            cluster_ips: vec!["10.0.0.1".to_owned(), "fd00::1".to_owned()],
            primary_family: Family::V4,
            ip_family_policy: rows::IpFamilyPolicy::RequireDualStack,
            load_balancer_ip: Some("192.0.2.7".to_owned()),
            ports: vec![Port::tcp(80), Port::udp(53), Port { protocol: Protocol::Sctp, number: 7 }],
            local_traffic_only: true,
            selector: [("app".to_owned(), "web".to_owned())].into(),
            ingress: vec![
                rows::Ingress { ip: Some("192.0.2.7".to_owned()), hostname: None },
                rows::Ingress { ip: None, hostname: Some("x".to_owned()) },
            ],
        }
    );
}

#[test]
fn service_with_nothing_set_has_the_defaults() {
    let row = service(&mk_key(), mk_service(&json!({}), &json!({}))).unwrap();
    assert_eq!(row.primary_family, Family::V4);
    assert_eq!(row.ip_family_policy, rows::IpFamilyPolicy::SingleStack);
    assert!(!row.local_traffic_only);
    assert!(row.cluster_ips.is_empty() && row.ports.is_empty() && row.ingress.is_empty());
    assert_eq!((row.class, row.load_balancer_ip), (None, None));
}

#[rstest]
#[case::cluster_ip(json!("ClusterIP"))]
#[case::node_port(json!("NodePort"))]
#[case::external_name(json!("ExternalName"))]
#[case::unset(Value::Null)]
fn service_of_another_type_is_of_no_interest(#[case] kind: Value) {
    assert_eq!(service(&mk_key(), mk_service(&json!({}), &json!({ "type": kind }))), None);
}

#[rstest]
#[case::both(json!({"clusterIP": "a", "clusterIPs": ["a", "b"]}), &["a", "b"])]
#[case::only_singular(json!({"clusterIP": "a"}), &["a"])]
#[case::empty_list(json!({"clusterIP": "a", "clusterIPs": []}), &["a"])]
#[case::empty_texts(json!({"clusterIP": "", "clusterIPs": ["", ""]}), &[])]
#[case::headless(json!({"clusterIP": "None", "clusterIPs": ["None"]}), &["None"])]
fn cluster_ips_fall_back_to_the_singular_field(#[case] spec: Value, #[case] expected: &[&str]) {
    assert_eq!(service(&mk_key(), mk_service(&json!({}), &spec)).unwrap().cluster_ips, expected);
}

#[rstest]
#[case::stable(json!({"metallb.io/address-pool": "new"}), Some("new"))]
#[case::deprecated(json!({"metallb.universe.tf/address-pool": "old"}), Some("old"))]
#[case::stable_wins(json!({"metallb.io/address-pool": "new", "metallb.universe.tf/address-pool": "old"}), Some("new"))]
#[case::empty_stable_hides(json!({"metallb.io/address-pool": "", "metallb.universe.tf/address-pool": "old"}), Some(""))]
#[case::foreign(json!({"example.org/address-pool": "x"}), None)]
fn annotation_precedence_is_by_presence(#[case] given: Value, #[case] pool: Option<&str>) {
    let row = service(&mk_key(), mk_service(&given, &json!({}))).unwrap();
    assert_eq!(row.annotations.address_pool.as_deref(), pool);
}

#[test]
fn every_annotation_is_read_and_deprecated_keys_are_listed() {
    let given = json!({
        "metallb.universe.tf/loadBalancerIPs": "192.0.2.1",
        "metallb.universe.tf/allow-shared-ip": "",
        "metallb.universe.tf/ip-allocated-from-pool": "never-read",
    });
    let annotations = service(&mk_key(), mk_service(&given, &json!({}))).unwrap().annotations;
    assert_eq!(annotations.load_balancer_ips.as_deref(), Some("192.0.2.1"));
    assert_eq!(annotations.allow_shared_ip.as_deref(), Some(""));
    assert_eq!(annotations.allocated_from_pool, None);
    assert_eq!(
        annotations.deprecated_keys,
        [
            "metallb.universe.tf/allow-shared-ip",
            "metallb.universe.tf/ip-allocated-from-pool",
            "metallb.universe.tf/loadBalancerIPs",
        ]
    );
}

#[rstest]
#[case::l2_row_79_k_082_ready(json!({"ready": true}), true)]
#[case::l2_row_80_k_083_serving_only(json!({"serving": true}), true)]
#[case::l2_row_81_k_084_ready_not_serving(json!({"ready": true, "serving": false}), true)]
#[case::l2_row_82_k_085_nothing_set(json!({}), true)]
#[case::l2_row_83_k_086_ready_unset_not_serving(json!({"serving": false}), true)]
#[case::l2_row_84_k_087_not_ready(json!({"ready": false}), false)]
#[case::terminating_but_serving(json!({"ready": false, "serving": true, "terminating": true}), true)]
#[case::not_ready_not_serving(json!({"ready": false, "serving": false}), false)]
#[case::no_conditions(Value::Null, true)]
fn endpoint_can_serve(#[case] conditions: Value, #[case] expected: bool) {
    let slice = mk_slice(&json!([
        { "addresses": ["10.1.0.1"], "nodeName": "n1", "conditions": conditions }
    ]));
    let row = endpoint_slice(&mk_key(), slice).unwrap();
    assert_eq!(row.can_serve, expected);
    assert_eq!(row.nodes.contains(&"n1".into()), expected);
}

fn mk_slice(endpoints: &Value) -> discovery::EndpointSlice {
    mk_object(json!({
        "metadata": {
            "name": "web", "namespace": "team", "labels": { "kubernetes.io/service-name": "front" },
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
    }))
}

#[test]
fn slice_is_reduced_to_the_nodes_that_can_serve() {
    let slice = mk_slice(&json!([
        { "addresses": ["10.1.0.1"], "nodeName": "n1" },
        { "addresses": ["10.1.0.2"], "nodeName": "n1" },
        { "addresses": ["10.1.0.3"], "nodeName": "n2", "conditions": { "ready": false } },
        { "addresses": ["10.1.0.4"] },
    ]));
    let row = endpoint_slice(&mk_key(), slice).unwrap();
    assert_eq!(row.service, ServiceKey::new("team", "front"));
    assert_eq!(*row.nodes, [NodeName::from("n1")]);
    assert!(row.can_serve);
}

#[rstest]
#[case::null_endpoints(Value::Null)]
#[case::no_endpoints(json!([]))]
fn slice_without_endpoints_cannot_serve(#[case] endpoints: Value) {
    assert!(!endpoint_slice(&mk_key(), mk_slice(&endpoints)).unwrap().can_serve);
}

#[rstest]
#[case::no_labels(Value::Null)]
#[case::other_label(json!({"app": "web"}))]
#[case::empty_name(json!({"kubernetes.io/service-name": ""}))]
fn slice_without_a_service_is_of_no_interest(#[case] labels: Value) {
    let slice = mk_object(json!({
        "metadata": { "name": "web", "namespace": "team", "labels": labels },
        "addressType": "IPv4", "endpoints": [],
    }));
    assert_eq!(endpoint_slice(&mk_key(), slice), None);
}

#[rstest]
#[case::not_there(json!([]), false)]
#[case::yes(json!([{"type": "NetworkUnavailable", "status": "True"}]), true)]
#[case::no(json!([{"type": "NetworkUnavailable", "status": "False"}]), false)]
#[case::unknown(json!([{"type": "NetworkUnavailable", "status": "Unknown"}]), false)]
#[case::other(json!([{"type": "Ready", "status": "True"}]), false)]
fn node_network_condition(#[case] conditions: Value, #[case] expected: bool) {
    let object = mk_object(json!({ "status": { "conditions": conditions } }));
    let row = node(&ObjectKey::new("", "n1"), object).unwrap();
    assert_eq!(row.network_unavailable, expected);
    assert_eq!(row.name.as_str(), "n1");
}

#[test]
fn node_addresses_are_its_ips_and_not_its_names() {
    let object = mk_object(json!({ "status": { "addresses": [
        { "type": "Hostname", "address": "n1" },
        { "type": "InternalIP", "address": "192.0.2.10" },
        { "type": "ExternalIP", "address": "2001:db8::10" },
        { "type": "InternalIP", "address": "not-an-ip" },
    ]}}));
    let row = node(&ObjectKey::new("", "n1"), object).unwrap();
    let expected = ["192.0.2.10", "2001:db8::10"].map(|ip| ip.parse().unwrap());
    assert_eq!(row.addresses, BTreeSet::from(expected));
}

#[test]
fn namespace_keeps_its_labels() {
    let object = mk_object(json!({ "metadata": { "name": "team", "labels": { "tier": "gold" } } }));
    let row = namespace(&ObjectKey::new("", "team"), object).unwrap();
    assert_eq!(row.labels.get("tier"), Some("gold"));
    assert_eq!(&*row.name, "team");
}

#[rstest]
#[case::running(json!("Running"), true)]
#[case::pending(json!("Pending"), true)]
#[case::unset(Value::Null, true)]
#[case::failed(json!("Failed"), false)]
#[case::succeeded(json!("Succeeded"), false)]
fn speaker_pod_that_ended_is_gone(#[case] phase: Value, #[case] there: bool) {
    let object = mk_object(json!({
        "metadata": { "name": "speaker-a", "uid": "u-7" },
        "spec": { "nodeName": "n1", "containers": [] },
        "status": { "phase": phase, "podIP": "10.1.0.9" },
    }));
    let row = speaker_pod(&ObjectKey::new("metallb-system", "speaker-a"), object);
    assert_eq!(
        row,
        there.then(|| rows::SpeakerPod {
            name: "speaker-a".into(),
            uid: "u-7".into(),
            node: Some("n1".into()),
            address: Some("10.1.0.9".parse().unwrap()),
        })
    );
}
