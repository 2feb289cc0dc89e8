//! Watches: what they show, from where, and how they end.

use futures::{Stream, StreamExt, TryStreamExt, pin_mut};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, VersionMatch, WatchEvent, WatchParams,
};
use kube::runtime::watcher::{Config, Event, watcher};
use serde_json::json;

use crate::{create, mk_server};

type Watch = WatchEvent<ConfigMap>;

fn show(event: &Watch) -> String {
    match event {
        WatchEvent::Added(object) => format!("added {}", object.name_any()),
        WatchEvent::Modified(object) => format!("modified {}", object.name_any()),
        WatchEvent::Deleted(object) => format!("deleted {}", object.name_any()),
        WatchEvent::Bookmark(bookmark) => {
            format!("bookmark {}", bookmark.metadata.annotations.len())
        }
        WatchEvent::Error(status) => format!("error {}", status.code),
    }
}

async fn next(events: &mut (impl Stream<Item = kube::Result<Watch>> + Unpin)) -> String {
    show(&events.try_next().await.unwrap().unwrap())
}

#[tokio::test]
async fn a_watch_goes_on_where_a_list_ended() {
    let (_server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client.clone(), "a");
    let other = Api::<ConfigMap>::namespaced(client, "b");
    create(&api, "x", &[]).await;
    let version =
        api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    create(&api, "y", &[]).await;

    let events = api.watch(&WatchParams::default(), &version).await.unwrap();
    pin_mut!(events);
    create(&other, "z", &[]).await;
    let patch = json!({ "data": { "a": "b" } });
    api.patch("x", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    api.delete("y", &DeleteParams::default()).await.unwrap();
    assert_eq!(next(&mut events).await, "added y");
    assert_eq!(next(&mut events).await, "modified x");
    assert_eq!(next(&mut events).await, "deleted y");
}

#[tokio::test]
async fn a_watch_from_nowhere_begins_with_what_is_there() {
    let (_server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    create(&api, "x", &[]).await;
    let events = api.watch(&WatchParams::default(), "0").await.unwrap();
    pin_mut!(events);
    assert_eq!(next(&mut events).await, "added x");
    create(&api, "y", &[]).await;
    assert_eq!(next(&mut events).await, "added y");
}

#[tokio::test]
async fn the_end_of_the_initial_events_is_marked_on_request() {
    let (_server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    create(&api, "x", &[]).await;
    let events = api.watch(&WatchParams::default().initial_events(), "0").await.unwrap();
    pin_mut!(events);
    assert_eq!(next(&mut events).await, "added x");
    assert_eq!(next(&mut events).await, "bookmark 1");
}

#[tokio::test]
async fn an_object_comes_and_goes_with_its_labels() {
    let (_server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    let events = api.watch(&WatchParams::default().labels("app=web"), "0").await.unwrap();
    pin_mut!(events);
    create(&api, "x", &[("app", "db")]).await;
    for (label, data) in [("web", "1"), ("web", "2"), ("db", "3"), ("db", "4")] {
        let patch = json!({ "metadata": { "labels": { "app": label } }, "data": { "a": data } });
        api.patch("x", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }
    create(&api, "y", &[("app", "web")]).await;
    assert_eq!(next(&mut events).await, "added x");
    assert_eq!(next(&mut events).await, "modified x");
    let Some(Ok(WatchEvent::Deleted(gone))) = events.next().await else { panic!("a deletion") };
    assert_eq!(gone.labels()["app"], "web", "as it was when it fitted");
    assert_eq!(next(&mut events).await, "added y");
}

#[tokio::test]
async fn a_watch_from_too_long_ago_is_told_to_list_again() {
    let (server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    let made = create(&api, "x", &[]).await;
    create(&api, "y", &[]).await;
    server.expire_history();
    let version = made.resource_version().unwrap();
    let events = api.watch(&WatchParams::default(), &version).await.unwrap();
    pin_mut!(events);
    assert_eq!(next(&mut events).await, "error 410");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_watch_ends_after_its_time() {
    let (_server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    let events = api.watch(&WatchParams::default().timeout(1), "0").await.unwrap();
    pin_mut!(events);
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn kubes_watcher_survives_dropped_and_expired_watches() {
    let (server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    create(&api, "x", &[]).await;
    for config in [Config::default(), Config::default().streaming_lists()] {
        let mut events = watcher(api.clone(), config).boxed();
        let mut applied = async |wanted: &str| loop {
            match events.next().await.unwrap() {
                Ok(Event::Apply(object) | Event::InitApply(object))
                    if object.name_any() == wanted =>
                {
                    break;
                }
                _ => {}
            }
        };
        applied("x").await;
        create(&api, "y", &[]).await;
        applied("y").await;
        server.drop_watches();
        create(&api, "z", &[]).await;
        applied("z").await;
        server.drop_watches();
        create(&api, "v", &[]).await;
        server.expire_history();
        create(&api, "w", &[]).await;
        applied("w").await;
        for name in ["v", "w", "y", "z"] {
            api.delete(name, &DeleteParams::default()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn lists_at_a_version_are_answered() {
    let (_server, client) = mk_server();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    let made = create(&api, "x", &[]).await;
    let params = ListParams::default()
        .at(&made.resource_version().unwrap())
        .matching(VersionMatch::NotOlderThan);
    assert_eq!(api.list(&params).await.unwrap().items.len(), 1);
}
