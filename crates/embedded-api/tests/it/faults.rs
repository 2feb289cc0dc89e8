//! Faults on demand, and counts.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, WatchParams};
use serde_json::json;

use crate::{create, mk_config_map, mk_server, refusal};

#[tokio::test]
async fn requests_are_counted() {
    let (server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    create(&api, "x", &[]).await;
    api.get("x").await.unwrap();
    api.list(&ListParams::default()).await.unwrap();
    drop(api.watch(&WatchParams::default(), "0").await.unwrap());
    assert_eq!(server.count("create", "configmaps"), 1);
    assert_eq!(server.count("get", "configmaps"), 1);
    assert_eq!(server.count("list", "configmaps"), 1);
    assert_eq!(server.count("watch", "configmaps"), 1);
    assert_eq!(server.writes(), 1);
    server.reset_counts();
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn writes_fail_as_often_as_ordered() {
    let (server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    // Not 503: of that kube's client makes no error before it tried some times itself.
    server.fail_writes(2, axum::http::StatusCode::INTERNAL_SERVER_ERROR);
    let params = PostParams::default();
    for _ in 0..2 {
        let failed = api.create(&params, &mk_config_map("x", &[])).await;
        assert_eq!(refusal(failed).0, 500);
        assert_eq!(refusal(api.get("x").await).0, 404);
    }
    create(&api, "x", &[]).await;
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let (server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    create(&api, "x", &[]).await;
    server.deny("patch", "configmaps");
    let patch = json!({ "data": { "a": "b" } });
    let denied = api.patch("x", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap_err();
    let text = denied.to_string();
    assert!(text.contains("patch") && text.contains("configmaps"), "{text}");
    assert_eq!(refusal::<()>(Err(denied)), (403, "Forbidden".to_owned()));
    server.allow_all();
    api.patch("x", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
}

#[tokio::test]
async fn answers_can_be_late() {
    let (server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    server.set_latency(Duration::from_millis(50));
    let before = std::time::Instant::now();
    api.list(&ListParams::default()).await.unwrap();
    assert!(before.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn an_outage_ends_connections_and_keeps_the_state() {
    let (server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client.clone(), "a");
    let made = create(&api, "x", &[]).await;
    let mut events = api.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    events.next().await.unwrap().unwrap();

    server.stop().await;
    assert!(!matches!(events.next().await, Some(Ok(_))), "the watch ended");
    assert!(tokio::net::TcpStream::connect(server.address()).await.is_err(), "nobody listens");

    server.resume().unwrap();
    server.resume().unwrap();
    let again = Api::<ConfigMap>::namespaced(crate::mk_client(&server), "a");
    assert_eq!(again.get("x").await.unwrap(), made);
    drop(server);
}
