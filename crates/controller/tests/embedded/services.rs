//! What a Service gets, and when.

use std::net::Ipv4Addr;

use ferrolb_controller::Options;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_service_gets_status_annotation_event_and_is_counted() {
    let world = World::new().await;
    let controller = world.start();
    world.pool("lan", &["192.0.2.0/30"]).await;
    world.service("web").await;
    world.expect_ips("web", &["192.0.2.0"]).await;
    assert_eq!(world.pool_of("web").await.as_deref(), Some("lan"));
    let (kind, message, count) = world.expect_event("web", "IPAllocated").await;
    assert_eq!((kind.as_str(), count), ("Normal", 1));
    assert!(message.contains("192.0.2.0"), "{message}");
    let metric =
        |name: &str| controller.metric(&format!("metallb_allocator_{name}{{pool=\"lan\"}}"));
    assert_eq!(metric("addresses_in_use_total").as_deref(), Some("1"));
    assert_eq!(metric("addresses_total").as_deref(), Some("4"));
    world.delete("web").await;
    crate::world::eventually("the address is free", async || {
        metric("addresses_in_use_total").as_deref() == Some("0")
    })
    .await;
}

#[tokio::test]
async fn a_pool_may_come_after_the_service() {
    let world = World::new().await;
    let _controller = world.start();
    world.service("web").await;
    let (_, message, _) = world.expect_event("web", "AllocationFailed").await;
    assert!(message.ends_with("no address pool is configured"), "{message}");
    world.pool("lan", &["192.0.2.0/30"]).await;
    world.expect_ips("web", &["192.0.2.0"]).await;
}

#[tokio::test]
async fn who_gets_nothing_is_told_once_which_pools_refused_and_why() {
    let world = World::new().await;
    let _controller = world.start();
    world.pool("small", &["192.0.2.0/32"]).await;
    world.pool("v6", &["2001:db8::/126"]).await;
    world.service("first").await;
    world.expect_ips("first", &["192.0.2.0"]).await;
    world.service("second").await;
    let (kind, message, _) = world.expect_event("second", "AllocationFailed").await;
    assert_eq!(kind, "Warning");
    for part in ["default/second", "small", "v6"] {
        assert!(message.contains(part), "{message}");
    }
    for label in ["a", "b", "c"] {
        world.edit("second", json!({ "metadata": { "labels": { label: "x" } } })).await;
    }
    world.quiet().await;
    assert_eq!(world.event("second", "AllocationFailed").await.unwrap().2, 1);
    world.delete("first").await;
    world.expect_ips("second", &["192.0.2.0"]).await;
}

#[tokio::test]
async fn dual_stack_by_policy() {
    let world = World::new().await;
    let _controller = world.start();
    world.pool("both", &["192.0.2.0/30", "2001:db8::/126"]).await;
    let policy = |policy: &str| json!({ "ipFamilyPolicy": policy });
    world.service_with("both", policy("RequireDualStack")).await;
    world.expect_ips("both", &["192.0.2.0", "2001:db8::"]).await;
    world.service_with("single", policy("SingleStack")).await;
    world.expect_ips("single", &["192.0.2.1"]).await;
    world.service_with("prefer", policy("PreferDualStack")).await;
    world.expect_ips("prefer", &["192.0.2.2", "2001:db8::1"]).await;
}

#[tokio::test]
async fn the_address_of_a_node_is_given_on_request_only() {
    let world = World::new().await;
    world.node("node1", "192.0.2.0").await;
    world.pool("lan", &["192.0.2.0/30"]).await;
    let _controller = world.start();
    world.service("web").await;
    world.expect_ips("web", &["192.0.2.1"]).await;
    world.service_with("fixed", json!({ "loadBalancerIP": "192.0.2.0" })).await;
    world.expect_ips("fixed", &["192.0.2.0"]).await;
    let (kind, message, _) = world.expect_event("fixed", "NodeAddress").await;
    assert_eq!(kind, "Warning");
    assert!(message.starts_with("192.0.2.0 is the address of node node1;"), "{message}");
}

#[tokio::test]
async fn another_type_frees_the_address_and_removes_the_annotation() {
    let world = World::new().await;
    let _controller = world.start();
    world.pool("lan", &["192.0.2.0/32"]).await;
    world.service("web").await;
    world.expect_ips("web", &["192.0.2.0"]).await;
    world.service("next").await;
    world.edit("web", json!({ "spec": { "type": "ClusterIP" } })).await;
    world.expect_ips("next", &["192.0.2.0"]).await;
    world.expect_ips("web", &[]).await;
    crate::world::eventually("no annotation", async || world.pool_of("web").await.is_none()).await;
}

#[tokio::test]
async fn a_restart_moves_nothing_and_writes_nothing() {
    let world = World::new().await;
    let controller = world.start();
    world.pool("lan", &["192.0.2.0/28"]).await;
    for name in ["z", "y", "x"] {
        world.service(name).await;
        world.expect_event(name, "IPAllocated").await;
    }
    world.delete("z").await;
    let writes = world.quiet().await;
    controller.stop().await;
    let _controller = world.start();
    assert_eq!(world.quiet().await, writes);
    world.expect_ips("y", &["192.0.2.1"]).await;
    world.expect_ips("x", &["192.0.2.2"]).await;
    world.service("new").await;
    world.expect_ips("new", &["192.0.2.0"]).await;
}

/// The new one comes first by name, and the lowest address is somebody's: whoever decided before all
/// statuses were read would give it away. `KNOWN_SERVICES` says how many there are; `make soak` takes
/// 10,000.
#[tokio::test]
async fn all_addresses_are_known_before_the_first_new_one_is_given() {
    let known: u32 = std::env::var("KNOWN_SERVICES").map_or(1_000, |count| count.parse().unwrap());
    let world = World::new().await;
    let address = |n: u32| Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 1, 0, 0)) + n);
    world.pool("lan", &[&format!("{}-{}", address(0), address(known))]).await;
    let hands = (0..10).map(|hand| {
        let world = &world;
        async move {
            for n in (hand..known).step_by(10) {
                world.holder(&format!("s{n}"), "lan", address(n)).await;
            }
        }
    });
    futures::future::join_all(hands).await;
    world.service("a-new-one").await;
    world.server.reset_counts();
    let options = Options { conditions: false, ..Options::default() };
    let _controller = world.start_with(options, None);
    world.expect_ips("a-new-one", &[&address(known).to_string()]).await;
    world.quiet().await;
    assert_eq!(world.server.count("patch", "services/status"), 1, "nobody else was touched");
}

#[tokio::test]
async fn a_thousand_services_are_served_each_with_one_write_and_then_nothing() {
    let world = World::new().await;
    // Else it would be told after a while that nobody announces them.
    world.server.deny("list", "servicel2statuses");
    let _controller = world.start();
    world.pool("lan", &["10.1.0.0/16"]).await;
    for n in 0..1_000 {
        world.service(&format!("s{n}")).await;
    }
    world.quiet().await;
    let list = world.services.list(&kube::api::ListParams::default()).await.unwrap();
    let mut ips: Vec<String> = list
        .items
        .into_iter()
        .filter_map(|service| service.status?.load_balancer?.ingress?.pop()?.ip)
        .collect();
    ips.sort();
    ips.dedup();
    assert_eq!(ips.len(), 1_000);
    assert_eq!(world.server.count("patch", "services/status"), 1_000);
    let writes = world.server.writes();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(world.server.writes(), writes, "at rest nobody writes");
}
