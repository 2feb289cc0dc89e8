//! Services: what the server adds to them.

use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{mk_server, refusal};

fn mk_service(name: &str, spec: &Value) -> Service {
    serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).unwrap()
}

fn spec(service: &Service, field: &str) -> Value {
    serde_json::to_value(&service.spec).unwrap()[field].clone()
}

#[tokio::test]
async fn defaults_are_those_of_the_real_server() {
    let (_server, client) = mk_server();
    let api = Api::<Service>::namespaced(client, "default");
    let asked = mk_service("web", &json!({ "type": "LoadBalancer", "ports": [{ "port": 80 }] }));
    let made = api.create(&PostParams::default(), &asked).await.unwrap();
    for (field, value) in [
        ("externalTrafficPolicy", json!("Cluster")),
        ("internalTrafficPolicy", json!("Cluster")),
        ("sessionAffinity", json!("None")),
        ("allocateLoadBalancerNodePorts", json!(true)),
        ("ipFamilies", json!(["IPv4"])),
        ("ipFamilyPolicy", json!("SingleStack")),
        ("clusterIP", json!("10.96.0.2")),
        ("clusterIPs", json!(["10.96.0.2"])),
        ("ports", json!([{ "port": 80, "protocol": "TCP", "targetPort": 80 }])),
    ] {
        assert_eq!(spec(&made, field), value, "{field}");
    }
    let status = serde_json::to_value(&made.status).unwrap();
    assert_eq!(status, json!({ "loadBalancer": {} }));
}

#[rstest]
#[case::v4_by_default(&json!({}), &["IPv4"], "SingleStack")]
#[case::v6(&json!({ "ipFamilies": ["IPv6"] }), &["IPv6"], "SingleStack")]
#[case::by_address(&json!({ "clusterIP": "fd00:10:96::99" }), &["IPv6"], "SingleStack")]
#[case::prefer(&json!({ "ipFamilyPolicy": "PreferDualStack" }), &["IPv4", "IPv6"], "PreferDualStack")]
#[case::require(&json!({ "ipFamilyPolicy": "RequireDualStack" }), &["IPv4", "IPv6"], "RequireDualStack")]
#[case::open(&json!({ "clusterIP": "None" }), &["IPv4", "IPv6"], "RequireDualStack")]
#[case::v6_first(&json!({ "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"] }), &["IPv6", "IPv4"], "RequireDualStack")]
#[tokio::test]
async fn families_follow_the_policy(
    #[case] asked: &Value,
    #[case] families: &[&str],
    #[case] policy: &str,
) {
    let (_server, client) = mk_server();
    let api = Api::<Service>::namespaced(client, "default");
    let made = api.create(&PostParams::default(), &mk_service("web", asked)).await.unwrap();
    assert_eq!(spec(&made, "ipFamilies"), json!(families));
    assert_eq!(spec(&made, "ipFamilyPolicy"), policy);
    let addresses = made.spec.unwrap().cluster_ips.unwrap();
    if addresses == ["None"] {
        return;
    }
    let found: Vec<_> =
        addresses.iter().map(|ip| if ip.contains(':') { "IPv6" } else { "IPv4" }).collect();
    assert_eq!(found, families);
}

#[rstest]
#[case::two_families_single(&json!({ "ipFamilies": ["IPv4", "IPv6"] }))]
#[case::outside(&json!({ "clusterIP": "192.0.2.1" }))]
#[case::no_address(&json!({ "clusterIP": "web" }))]
#[case::unknown_family(&json!({ "ipFamilies": ["IPX"] }))]
#[case::unknown_policy(&json!({ "ipFamilyPolicy": "Some" }))]
#[tokio::test]
async fn nonsense_is_invalid(#[case] asked: &Value) {
    let (_server, client) = mk_server();
    let api = Api::<Service>::namespaced(client, "default");
    let made = api.create(&PostParams::default(), &mk_service("web", asked)).await;
    assert_eq!(refusal(made), (422, "Invalid".to_owned()));
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn addresses_are_kept_given_up_and_taken_again() {
    let (_server, client) = mk_server();
    let api = Api::<Service>::namespaced(client, "default");
    let params = PostParams::default();
    let first = api.create(&params, &mk_service("one", &json!({}))).await.unwrap();
    let address = spec(&first, "clusterIP");
    let taken = mk_service("two", &json!({ "clusterIP": address }));
    assert_eq!(refusal(api.create(&params, &taken).await).0, 422);

    let patch = |patch: Value| {
        let api = api.clone();
        async move { api.patch("one", &PatchParams::default(), &Patch::Merge(&patch)).await }
    };
    let dual = patch(json!({ "spec": { "ipFamilyPolicy": "PreferDualStack" } })).await.unwrap();
    assert_eq!(spec(&dual, "clusterIPs")[0], address);
    assert_eq!(spec(&dual, "clusterIPs").as_array().map(Vec::len), Some(2));
    let single = patch(json!({ "spec": { "ipFamilyPolicy": "SingleStack" } })).await.unwrap();
    assert_eq!(spec(&single, "clusterIPs"), json!([address]));
    assert_eq!(spec(&single, "ipFamilies"), json!(["IPv4"]));
    let moved = patch(json!({ "spec": { "clusterIP": "10.96.9.9", "clusterIPs": ["10.96.9.9"] } }));
    assert_eq!(refusal(moved.await).0, 422);

    // An update that leaves the address out keeps it.
    let bare = mk_service("one", &json!({ "ports": [{ "port": 1 }] }));
    assert_eq!(spec(&api.replace("one", &params, &bare).await.unwrap(), "clusterIP"), address);

    api.delete("one", &DeleteParams::default()).await.unwrap();
    api.create(&params, &taken).await.unwrap();
}

#[rstest]
#[case::headless(&json!({ "clusterIP": "None", "selector": { "a": "b" } }), &json!(["None"]))]
#[case::headless_and_open(&json!({ "clusterIP": "None" }), &json!(["None"]))]
#[case::external_name(&json!({ "type": "ExternalName", "externalName": "example.org" }), &Value::Null)]
#[tokio::test]
async fn some_services_have_no_address(#[case] asked: &Value, #[case] addresses: &Value) {
    let (_server, client) = mk_server();
    let api = Api::<Service>::namespaced(client, "default");
    let made = api.create(&PostParams::default(), &mk_service("web", asked)).await.unwrap();
    assert_eq!(&spec(&made, "clusterIPs"), addresses);
}

#[tokio::test]
async fn an_address_in_the_status_gets_its_mode() {
    let (_server, client) = mk_server();
    let api = Api::<Service>::namespaced(client, "default");
    let asked = mk_service("web", &json!({ "type": "LoadBalancer" }));
    api.create(&PostParams::default(), &asked).await.unwrap();
    let patch = json!({
        "metadata": { "annotations": { "metallb.io/ip-allocated-from-pool": "p" } },
        "spec": { "type": "ClusterIP" },
        "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }, { "hostname": "x" }] } },
    });
    let patched =
        api.patch_status("web", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    assert_eq!(spec(&patched, "type"), "LoadBalancer");
    assert_eq!(patched.metadata.annotations.as_ref().map(std::collections::BTreeMap::len), Some(1));
    let status = serde_json::to_value(&patched.status).unwrap();
    let ingress = json!([{ "ip": "192.0.2.1", "ipMode": "VIP" }, { "hostname": "x" }]);
    assert_eq!(status["loadBalancer"]["ingress"], ingress);

    // The same again is no change, with or without the mode.
    let again =
        api.patch_status("web", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    assert_eq!(again.metadata.resource_version, patched.metadata.resource_version);
}

#[tokio::test]
async fn a_service_that_is_no_load_balancer_any_more_loses_its_status() {
    let (_server, client) = mk_server();
    let api = Api::<Service>::namespaced(client, "default");
    let asked = mk_service("web", &json!({ "type": "LoadBalancer" }));
    api.create(&PostParams::default(), &asked).await.unwrap();
    let params = PatchParams::default();
    let status = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } } });
    api.patch_status("web", &params, &Patch::Merge(&status)).await.unwrap();
    let patch = json!({ "spec": { "type": "ClusterIP" } });
    let patched = api.patch("web", &params, &Patch::Merge(&patch)).await.unwrap();
    let status = serde_json::to_value(&patched.status).unwrap();
    assert_eq!(status, json!({ "loadBalancer": {} }));
    assert_eq!(spec(&patched, "externalTrafficPolicy"), Value::Null);
    assert_eq!(spec(&patched, "allocateLoadBalancerNodePorts"), Value::Null);
}

#[tokio::test]
async fn load_balancers_can_be_selected() {
    let (_server, client) = mk_server();
    let api = Api::<Service>::namespaced(client, "default");
    for (name, kind) in [("one", "LoadBalancer"), ("two", "ClusterIP")] {
        let service = mk_service(name, &json!({ "type": kind }));
        api.create(&PostParams::default(), &service).await.unwrap();
    }
    let listed = api.list(&ListParams::default().fields("spec.type=LoadBalancer")).await.unwrap();
    let names: Vec<_> = listed.items.iter().filter_map(|s| s.metadata.name.clone()).collect();
    assert_eq!(names, ["one"]);
}
