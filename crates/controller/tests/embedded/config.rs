//! Pools that are wrong, and kinds that are not there yet.

use crate::world::World;

#[tokio::test]
async fn a_pool_that_becomes_invalid_acts_on_as_it_was_and_says_what_is_wrong() {
    let world = World::new().await;
    let controller = world.start();
    world.pool("lan", &["192.0.2.0/30"]).await;
    world.service("first").await;
    world.expect_ips("first", &["192.0.2.0"]).await;
    world.resize("lan", &["192.0.2.0/30", "nonsense"]).await;
    let (kind, message, _) = world.expect_event("lan", "ConfigurationError").await;
    assert_eq!(kind, "Warning");
    assert!(message.contains("nonsense"), "{message}");
    let stale = || controller.metric("metallb_k8s_client_config_stale_bool");
    assert_eq!(stale().as_deref(), Some("1"));
    world.service("second").await;
    world.expect_ips("second", &["192.0.2.1"]).await;
    world.resize("lan", &["192.0.2.0/30"]).await;
    crate::world::eventually("no longer stale", async || stale().as_deref() == Some("0")).await;
    world.expect_ips("first", &["192.0.2.0"]).await;
}

#[tokio::test]
async fn overlapping_pools_are_told_and_the_older_one_acts() {
    let world = World::new().await;
    let _controller = world.start();
    world.pool("old", &["192.0.2.0/31"]).await;
    world.service("first").await;
    world.expect_ips("first", &["192.0.2.0"]).await;
    world.pool("a-new", &["192.0.2.0/24"]).await;
    let (_, message, _) = world.expect_event("a-new", "ConfigurationError").await;
    assert!(message.contains("old"), "{message}");
    world.service("second").await;
    world.expect_ips("second", &["192.0.2.1"]).await;
}

#[tokio::test]
async fn kinds_that_are_not_there_at_start_are_waited_for() {
    let world = World::with_definitions(Vec::new()).await;
    let _controller = world.start();
    world.service("web").await;
    world.quiet().await;
    assert_eq!(world.ips("web").await, [""; 0]);
    world.define().await;
    world.pool("lan", &["192.0.2.0/30"]).await;
    world.expect_ips("web", &["192.0.2.0"]).await;
}

#[tokio::test]
async fn a_pool_that_goes_takes_its_addresses_along() {
    let world = World::new().await;
    let _controller = world.start();
    world.pool("one", &["192.0.2.0/30"]).await;
    world.service("web").await;
    world.expect_ips("web", &["192.0.2.0"]).await;
    world.pool("two", &["198.51.100.0/30"]).await;
    world.pools.delete("one", &kube::api::DeleteParams::default()).await.unwrap();
    world.expect_ips("web", &["198.51.100.0"]).await;
    assert_eq!(world.pool_of("web").await.as_deref(), Some("two"));
}

#[tokio::test]
async fn a_configuration_that_nobody_reads_any_more_is_told_while_there_are_no_pools() {
    let world = World::new().await;
    world.config_map("config", "address-pools:\n- name: default\n").await;
    let _controller = world.start();
    let (kind, message, _) = world.expect_event("config", "LegacyConfig").await;
    assert_eq!(kind, "Warning");
    assert!(message.contains("configmaptocrs"), "{message}");
}
