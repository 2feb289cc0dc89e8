//! An API server that is away, refuses, or forgets.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn an_outage_changes_nothing_and_ends_by_itself() {
    let world = World::new().await;
    let _controller = world.start();
    world.pool("lan", &["192.0.2.0/28"]).await;
    world.service("before").await;
    world.expect_ips("before", &["192.0.2.0"]).await;
    world.expect_event("before", "IPAllocated").await;
    let writes = world.quiet().await;
    world.server.stop().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.server.resume().unwrap();
    assert_eq!(world.quiet().await, writes, "nothing is written again");
    world.service("after").await;
    world.expect_ips("after", &["192.0.2.1"]).await;
    world.expect_ips("before", &["192.0.2.0"]).await;
}

#[tokio::test]
async fn a_list_anew_writes_nothing() {
    let world = World::new().await;
    let _controller = world.start();
    world.pool("lan", &["192.0.2.0/28"]).await;
    world.service("web").await;
    world.expect_event("web", "IPAllocated").await;
    let writes = world.quiet().await;
    world.server.expire_history();
    world.server.drop_watches();
    assert_eq!(world.quiet().await, writes);
    world.service("next").await;
    world.expect_ips("next", &["192.0.2.1"]).await;
}

#[tokio::test]
async fn conflicts_are_decided_again() {
    let world = World::new().await;
    let _controller = world.start();
    world.pool("lan", &["192.0.2.0/28"]).await;
    world.server.set_latency(Duration::from_millis(20));
    world.service("web").await;
    for label in ["a", "b", "c", "d", "e"] {
        world.edit("web", json!({ "metadata": { "labels": { label: "x" } } })).await;
    }
    world.expect_ips("web", &["192.0.2.0"]).await;
}

#[tokio::test]
async fn a_conflict_that_no_change_explains_is_tried_again() {
    // The Event and the status of the pool may come before it.
    refused_at_first(3, StatusCode::CONFLICT).await;
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again() {
    refused_at_first(3, StatusCode::SERVICE_UNAVAILABLE).await;
}

/// The first writes for a new Service are refused with `code`.
async fn refused_at_first(times: u32, code: StatusCode) {
    let world = World::new().await;
    let _controller = world.start();
    world.pool("lan", &["192.0.2.0/28"]).await;
    world.quiet().await;
    // Leaves time between the Service and the first write.
    world.server.set_latency(Duration::from_millis(100));
    world.service("web").await;
    world.server.fail_writes(times, code);
    world.expect_ips("web", &["192.0.2.0"]).await;
    assert!(world.server.count("patch", "services/status") > 1);
}

#[tokio::test]
async fn without_the_permission_to_patch_it_updates() {
    let world = World::new().await;
    world.server.deny("patch", "services/status");
    let _controller = world.start();
    world.pool("lan", &["192.0.2.0/28"]).await;
    world.service("web").await;
    world.expect_ips("web", &["192.0.2.0"]).await;
    assert_eq!(world.pool_of("web").await.as_deref(), Some("lan"));
}
