//! Objects: what each verb does, and how it is refused.

use std::collections::BTreeMap;

use ferrolb_embedded_api::{Config, EmbeddedApi};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, ObjectReference, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, ObjectMeta,
    PartialObjectMeta, Patch, PatchParams, PostParams, Preconditions,
};
use kube::runtime::wait::{await_condition, conditions};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{create, mk_config_map, mk_server, refusal};

fn data(text: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("a".to_owned(), text.to_owned())])
}

fn names<K: ResourceExt>(objects: impl IntoIterator<Item = K>) -> Vec<String> {
    objects.into_iter().map(|object| object.name_any()).collect()
}

fn merge(patch: &Value) -> Patch<&Value> {
    Patch::Merge(patch)
}

#[tokio::test]
async fn a_new_object_is_stamped() {
    let (_server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    let made = create(&api, "x", &[]).await;
    assert_eq!(made.uid().unwrap().len(), 36);
    assert_eq!(made.namespace().as_deref(), Some("a"));
    assert!(made.resource_version().is_some());
    assert!(made.creation_timestamp().is_some());
    assert_eq!(api.get("x").await.unwrap(), made);
    assert_ne!(create(&api, "y", &[]).await.uid(), made.uid());
}

#[tokio::test]
async fn a_name_can_be_generated() {
    let (_server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    let mut object = mk_config_map("", &[]);
    object.metadata = ObjectMeta { generate_name: Some("l2-".to_owned()), ..ObjectMeta::default() };
    let params = PostParams::default();
    let (one, two) = (
        api.create(&params, &object).await.unwrap().name_any(),
        api.create(&params, &object).await.unwrap().name_any(),
    );
    assert!(one.starts_with("l2-") && one.len() == 8, "{one}");
    assert_ne!(one, two);
}

#[tokio::test]
async fn refusals_have_the_codes_and_reasons_of_kubernetes() {
    let (_server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client.clone(), "a");
    let params = PostParams::default();
    let made = create(&api, "x", &[]).await;

    let again = api.create(&params, &mk_config_map("x", &[])).await;
    assert_eq!(refusal(again), (409, "AlreadyExists".to_owned()));
    assert_eq!(refusal(api.get("y").await), (404, "NotFound".to_owned()));
    assert_eq!(
        refusal(api.delete("y", &DeleteParams::default()).await),
        (404, "NotFound".to_owned())
    );
    assert_eq!(refusal(api.create(&params, &made).await).0, 400, "resourceVersion at creation");
    assert_eq!(refusal(api.replace("y", &params, &mk_config_map("x", &[])).await).0, 400);
    assert_eq!(
        refusal(api.replace("y", &params, &mk_config_map("y", &[])).await),
        (404, "NotFound".to_owned())
    );
    assert_eq!(refusal(api.list(&ListParams::default().fields("data.a=b")).await).0, 400);
    assert_eq!(refusal(api.list(&ListParams::default().labels("a b")).await).0, 400);
    let strategic = json!({ "data": {} });
    let patched = api.patch("x", &PatchParams::default(), &Patch::Strategic(&strategic)).await;
    assert_eq!(refusal(patched).0, 415);

    let mut elsewhere = mk_config_map("z", &[]);
    elsewhere.metadata.namespace = Some("b".to_owned());
    assert_eq!(refusal(api.create(&params, &elsewhere).await).0, 400);
    let nameless = refusal(api.create(&params, &ConfigMap::default()).await);
    assert_eq!(nameless, (422, "Invalid".to_owned()));

    let gvk = GroupVersionKind::gvk("metallb.io", "v1beta1", "IPAddressPool");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "ipaddresspools");
    let pools = Api::<DynamicObject>::namespaced_with(client, "a", &resource);
    assert_eq!(refusal(pools.list(&ListParams::default()).await).0, 404, "no definition");
}

#[tokio::test]
async fn an_update_of_an_older_version_conflicts() {
    let (_server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    let params = PostParams::default();
    let first = create(&api, "x", &[]).await;
    let second = ConfigMap { data: Some(data("1")), ..first.clone() };
    let second = api.replace("x", &params, &second).await.unwrap();
    assert_ne!(second.resource_version(), first.resource_version());
    assert_eq!(second.uid(), first.uid());

    let late = ConfigMap { data: Some(data("2")), ..first.clone() };
    assert_eq!(refusal(api.replace("x", &params, &late).await), (409, "Conflict".to_owned()));

    // Without a version the last writer wins, for most built-in kinds.
    let blind = ConfigMap { data: Some(data("3")), ..mk_config_map("x", &[]) };
    let third = api.replace("x", &params, &blind).await.unwrap();
    assert_eq!(third.data, Some(data("3")));
    assert_eq!(third.creation_timestamp(), first.creation_timestamp());
}

#[tokio::test]
async fn a_lease_is_not_overwritten_blindly() {
    let (_server, client) = mk_server();
    let api = Api::<Lease>::namespaced(client, "a");
    let params = PostParams::default();
    let metadata = ObjectMeta { name: Some("x".to_owned()), ..ObjectMeta::default() };
    let lease = Lease { metadata, ..Lease::default() };
    let made = api.create(&params, &lease).await.unwrap();
    assert_eq!(refusal(api.replace("x", &params, &lease).await).0, 422);
    api.replace("x", &params, &made).await.unwrap();
}

#[tokio::test]
async fn a_write_that_changes_nothing_makes_no_new_version() {
    let (_server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    let made = create(&api, "x", &[("a", "b")]).await;
    let same = api.replace("x", &PostParams::default(), &made).await.unwrap();
    assert_eq!(same.resource_version(), made.resource_version());
    let patch = json!({ "metadata": { "labels": { "a": "b" } } });
    let same = api.patch("x", &PatchParams::default(), &merge(&patch)).await.unwrap();
    assert_eq!(same.resource_version(), made.resource_version());
}

#[tokio::test]
async fn a_merge_patch_merges_and_minds_its_version() {
    let (_server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    let params = PatchParams::default();
    let made = create(&api, "x", &[("keep", "1"), ("drop", "1")]).await;
    let patch =
        json!({ "metadata": { "labels": { "drop": null, "add": "2" } }, "data": { "a": "b" } });
    let patched = api.patch("x", &params, &merge(&patch)).await.unwrap();
    let labels: Vec<_> = patched.labels().keys().map(String::as_str).collect();
    assert_eq!(labels, ["add", "keep"]);
    assert_eq!(patched.data, Some(data("b")));

    let stale =
        json!({ "metadata": { "resourceVersion": made.resource_version() }, "data": { "a": "c" } });
    let refused = refusal(api.patch("x", &params, &merge(&stale)).await);
    assert_eq!(refused, (409, "Conflict".to_owned()));
    let fresh = json!({ "metadata": { "resourceVersion": patched.resource_version() }, "data": { "a": "c" } });
    assert_eq!(api.patch("x", &params, &merge(&fresh)).await.unwrap().data, Some(data("c")));
}

#[tokio::test]
async fn lists_select_and_order() {
    let (_server, client) = mk_server();
    let a = Api::<ConfigMap>::namespaced(client.clone(), "a");
    let b = Api::<ConfigMap>::namespaced(client.clone(), "b");
    let all = Api::<ConfigMap>::all(client);
    create(&b, "x", &[("app", "web")]).await;
    create(&a, "z", &[("app", "web")]).await;
    create(&a, "y", &[("app", "db")]).await;
    let everything = ListParams::default();
    assert_eq!(names(all.list(&everything).await.unwrap()), ["y", "z", "x"]);
    assert_eq!(names(a.list(&everything).await.unwrap()), ["y", "z"]);
    assert_eq!(names(all.list(&everything.clone().labels("app=web")).await.unwrap()), ["z", "x"]);
    let by_name = everything.clone().fields("metadata.name=y");
    assert_eq!(names(all.list(&by_name).await.unwrap()), ["y"]);

    let listed = all.list(&everything).await.unwrap();
    assert_eq!(listed.types.kind, "ConfigMapList");
    let newest = listed.items.iter().filter_map(ResourceExt::resource_version).max();
    assert_eq!(listed.metadata.resource_version, newest);

    let metadata = all.list_metadata(&everything).await.unwrap();
    assert_eq!(metadata.items.len(), 3);
    let one: PartialObjectMeta<ConfigMap> = a.get_metadata("y").await.unwrap();
    assert_eq!(one.labels()["app"], "db");
}

#[tokio::test]
async fn events_are_selected_by_what_they_are_about() {
    let (_server, client) = mk_server();
    let api = Api::<Event>::namespaced(client, "a");
    for (name, about) in [("one", "web"), ("two", "db")] {
        let event = Event {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            involved_object: ObjectReference {
                kind: Some("Service".to_owned()),
                name: Some(about.to_owned()),
                ..ObjectReference::default()
            },
            ..Event::default()
        };
        api.create(&PostParams::default(), &event).await.unwrap();
    }
    let fields = "involvedObject.kind=Service,involvedObject.name=db";
    assert_eq!(names(api.list(&ListParams::default().fields(fields)).await.unwrap()), ["two"]);
}

#[tokio::test]
async fn deletion_minds_preconditions_and_finalizers() {
    let (_server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    let made = create(&api, "x", &[]).await;
    let preconditions = |uid: Option<String>| Some(Preconditions { uid, resource_version: None });
    let wrong = DeleteParams {
        preconditions: preconditions(Some("other".to_owned())),
        ..DeleteParams::default()
    };
    assert_eq!(refusal(api.delete("x", &wrong).await), (409, "Conflict".to_owned()));

    let held = json!({ "metadata": { "finalizers": ["example.org/held"] } });
    api.patch("x", &PatchParams::default(), &merge(&held)).await.unwrap();
    let right = DeleteParams { preconditions: preconditions(made.uid()), ..wrong };
    let going = api.delete("x", &right).await.unwrap().left().unwrap();
    assert!(going.metadata.deletion_timestamp.is_some());
    let released = json!({ "metadata": { "finalizers": null } });
    api.patch("x", &PatchParams::default(), &merge(&released)).await.unwrap();
    assert_eq!(refusal(api.get("x").await).0, 404);

    create(&api, "y", &[]).await;
    assert!(api.delete("y", &DeleteParams::default()).await.unwrap().is_right());
}

#[tokio::test]
async fn a_selection_can_be_deleted() {
    let (_server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    create(&api, "x", &[("app", "web")]).await;
    create(&api, "y", &[("app", "db")]).await;
    let selection = ListParams::default().labels("app=web");
    api.delete_collection(&DeleteParams::default(), &selection).await.unwrap();
    assert_eq!(names(api.list(&ListParams::default()).await.unwrap()), ["y"]);
}

#[rstest]
#[case::main("", "spec")]
#[case::status("status", "status")]
#[tokio::test]
async fn spec_and_status_are_written_apart(#[case] subresource: &str, #[case] written: &str) {
    let (_server, client) = mk_server();
    let api = Api::<Pod>::namespaced(client, "a");
    let metadata = ObjectMeta { name: Some("x".to_owned()), ..ObjectMeta::default() };
    let pod = Pod { metadata, ..Pod::default() };
    let made = api.create(&PostParams::default(), &pod).await.unwrap();
    assert_eq!(made.status.and_then(|status| status.phase).as_deref(), Some("Pending"));

    let patch = json!({
        "metadata": { "annotations": { "a": "b" } },
        "spec": { "nodeName": "n", "containers": [] },
        "status": { "phase": "Running" },
    });
    let params = PatchParams::default();
    let patched = match subresource {
        "" => api.patch("x", &params, &merge(&patch)).await.unwrap(),
        _ => api.patch_status("x", &params, &merge(&patch)).await.unwrap(),
    };
    assert_eq!(patched.annotations().get("a").map(String::as_str), Some("b"));
    let phase = patched.status.and_then(|status| status.phase).unwrap();
    let node = patched.spec.and_then(|spec| spec.node_name);
    assert_eq!((phase == "Running", node.is_some()), (written == "status", written == "spec"));
}

#[tokio::test]
async fn nodes_begin_with_the_status_they_bring_and_namespaces_with_their_name() {
    let (_server, client) = mk_server();
    let node: Node = serde_json::from_value(json!({
        "metadata": { "name": "n" },
        "status": { "addresses": [{ "type": "InternalIP", "address": "192.0.2.1" }] },
    }))
    .unwrap();
    let made =
        Api::<Node>::all(client.clone()).create(&PostParams::default(), &node).await.unwrap();
    assert_eq!(made.status, node.status);

    let default = Api::<Namespace>::all(client).get("default").await.unwrap();
    assert_eq!(default.labels()["kubernetes.io/metadata.name"], "default");
}

fn mk_definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": "ipaddresspools.metallb.io" },
        "spec": {
            "group": "metallb.io",
            "names": { "kind": "IPAddressPool", "plural": "ipaddresspools" },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1beta1", "served": true, "storage": true, "subresources": { "status": {} },
            }],
        },
    })
}

fn mk_pools(client: kube::Client) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("metallb.io", "v1beta1", "IPAddressPool");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "ipaddresspools");
    Api::namespaced_with(client, "a", &resource)
}

#[tokio::test]
async fn a_definition_makes_a_kind_and_takes_it_along() {
    let (_server, client) = mk_server();
    let crds = Api::<CustomResourceDefinition>::all(client.clone());
    let crd = serde_json::from_value(mk_definition()).unwrap();
    crds.create(&PostParams::default(), &crd).await.unwrap();
    let established = await_condition(
        crds.clone(),
        "ipaddresspools.metallb.io",
        conditions::is_crd_established(),
    );
    established.await.unwrap();

    let pools = mk_pools(client);
    let params = PostParams::default();
    let pool: DynamicObject = serde_json::from_value(json!({
        "metadata": { "name": "p" }, "spec": { "addresses": [] }, "status": { "assignedIPv4": 7 },
    }))
    .unwrap();
    let made = pools.create(&params, &pool).await.unwrap();
    assert_eq!(made.data.get("status"), None);
    assert_eq!(made.metadata.generation, Some(1));

    // Custom kinds: no blind update, nothing but status through status, generation counts specs.
    assert_eq!(refusal(pools.replace("p", &params, &pool).await).0, 422);
    let patch = json!({ "metadata": { "labels": { "a": "b" } }, "status": { "assignedIPv4": 1 } });
    let patched = pools.patch_status("p", &PatchParams::default(), &merge(&patch)).await.unwrap();
    assert_eq!(patched.data["status"]["assignedIPv4"], 1);
    assert_eq!(patched.labels().len(), 0);
    assert_eq!(patched.metadata.generation, Some(1));
    let patch =
        json!({ "spec": { "addresses": ["192.0.2.0/24"] }, "status": { "assignedIPv4": 9 } });
    let patched = pools.patch("p", &PatchParams::default(), &merge(&patch)).await.unwrap();
    assert_eq!(patched.data["status"]["assignedIPv4"], 1);
    assert_eq!(patched.metadata.generation, Some(2));

    crds.delete("ipaddresspools.metallb.io", &DeleteParams::default()).await.unwrap();
    assert_eq!(refusal(pools.get("p").await).0, 404);
}

#[tokio::test]
async fn definitions_can_be_there_from_the_start() {
    let config = Config { definitions: vec![mk_definition()], ..Config::default() };
    let server = EmbeddedApi::start(&config).unwrap();
    let pools = mk_pools(crate::mk_client(&server));
    assert_eq!(pools.list(&ListParams::default()).await.unwrap().items.len(), 0);

    let bad =
        Config { definitions: vec![json!({ "metadata": { "name": "x" } })], ..Config::default() };
    assert!(EmbeddedApi::start(&bad).is_err());
}

#[tokio::test]
async fn owner_references_survive_a_status_write() {
    let (_server, client) = mk_server();
    let api = Api::<Pod>::namespaced(client, "a");
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: "n".to_owned(),
        uid: "u".to_owned(),
        ..OwnerReference::default()
    };
    let metadata = ObjectMeta {
        name: Some("x".to_owned()),
        owner_references: Some(vec![owner.clone()]),
        ..ObjectMeta::default()
    };
    let pod = Pod { metadata, ..Pod::default() };
    api.create(&PostParams::default(), &pod).await.unwrap();
    let patch = json!({ "status": { "phase": "Running" } });
    let patched = api.patch_status("x", &PatchParams::default(), &merge(&patch)).await.unwrap();
    assert_eq!(patched.owner_references(), [owner]);
}
