//! Several controllers on one API server.

use std::time::Duration;

use crate::world::{World, eventually};

#[tokio::test]
async fn one_leads_the_other_is_ready_and_takes_over_at_once_when_asked_to() {
    let world = World::new().await;
    let first = world.start_candidate("one");
    world.pool("lan", &["192.0.2.0/29"]).await;
    world.service("a").await;
    world.expect_ips("a", &["192.0.2.0"]).await;
    let second = world.start_candidate("two");
    eventually("the follower is ready", async || second.is_ready()).await;
    world.service("b").await;
    world.expect_ips("b", &["192.0.2.1"]).await;
    let in_use = "metallb_allocator_addresses_in_use_total{pool=\"lan\"}";
    assert_eq!(first.metric(in_use).as_deref(), Some("2"));
    assert_eq!(second.metric(in_use), None, "who follows does not count");
    let writes = world.server.count("patch", "services/status");
    first.stop().await;
    let begun = tokio::time::Instant::now();
    world.service("c").await;
    world.expect_ips("c", &["192.0.2.2"]).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(world.server.count("patch", "services/status"), writes + 1, "nobody else moved");
    assert_eq!(second.metric(in_use).as_deref(), Some("3"));
}

#[tokio::test]
async fn a_leader_that_dies_is_followed_when_its_lease_is_over() {
    let world = World::new().await;
    let first = world.start_candidate("one");
    world.pool("lan", &["192.0.2.0/29"]).await;
    world.service("a").await;
    world.expect_ips("a", &["192.0.2.0"]).await;
    let _second = world.start_candidate("two");
    world.quiet_services().await;
    first.kill().await;
    world.delete("a").await;
    world.service("b").await;
    world.expect_ips("b", &["192.0.2.0"]).await;
}

#[tokio::test]
async fn without_the_permission_for_leases_it_works_alone() {
    let world = World::new().await;
    for verb in ["get", "create", "update"] {
        world.server.deny(verb, "leases");
    }
    let _controller = world.start_candidate("one");
    world.pool("lan", &["192.0.2.0/29"]).await;
    world.service("a").await;
    world.expect_ips("a", &["192.0.2.0"]).await;
}
