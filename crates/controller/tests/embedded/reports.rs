//! What is reported besides the addresses: conditions and the status of pools.

use ferrolb_api::ServiceL2Status;
use ferrolb_api::conditions::{ALLOCATED, ANNOUNCED};
use ferrolb_controller::Options;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use crate::world::{NAMESPACE, World, eventually};

#[tokio::test]
async fn a_service_says_how_it_stands() {
    let world = World::new().await;
    let _controller = world.start();
    world.pool("lan", &["192.0.2.0/32"]).await;
    world.service("first").await;
    world.expect_ips("first", &["192.0.2.0"]).await;
    let [status, reason, message] = world.condition("first", ALLOCATED).await.unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("True", "Allocated"));
    assert_eq!(message, "192.0.2.0 of pool \"lan\"");
    world.service("second").await;
    eventually("second waits", async || world.condition("second", ALLOCATED).await.is_some()).await;
    let [status, reason, message] = world.condition("second", ALLOCATED).await.unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("False", "NoAddressAvailable"));
    assert!(message.contains("\"lan\""), "{message}");
    assert_eq!(world.server.count("patch", "services/status"), 2);
    // Another type is none of our business: what we said goes.
    world.edit("first", json!({ "spec": { "type": "ClusterIP" } })).await;
    world.expect_ips("second", &["192.0.2.0"]).await;
    eventually("it is gone", async || world.condition("first", ALLOCATED).await.is_none()).await;
}

#[tokio::test]
async fn conditions_can_be_switched_off() {
    let world = World::new().await;
    let options = Options { conditions: false, ..Options::default() };
    let _controller = world.start_with(options, None);
    world.pool("lan", &["192.0.2.0/32"]).await;
    world.service("first").await;
    world.expect_ips("first", &["192.0.2.0"]).await;
    assert_eq!(world.condition("first", ALLOCATED).await, None);
}

#[tokio::test]
async fn who_announces_is_gathered_from_the_speakers() {
    let world = World::new().await;
    let _controller = world.start();
    world.pool("lan", &["192.0.2.0/32"]).await;
    world.service("web").await;
    world.expect_ips("web", &["192.0.2.0"]).await;
    let statuses = kube::Api::<ServiceL2Status>::namespaced(world.client(), NAMESPACE);
    let object = serde_json::from_value(json!({ "metadata": { "name": "l2-x" }, "spec": {} }));
    statuses.create(&PostParams::default(), &object.unwrap()).await.unwrap();
    let status = json!({ "node": "n1", "serviceName": "web", "serviceNamespace": "default" });
    let patch = Patch::Merge(json!({ "status": status }));
    statuses.patch_status("l2-x", &PatchParams::default(), &patch).await.unwrap();
    eventually("it is told", async || {
        let said = world.condition("web", ANNOUNCED).await;
        said.is_some_and(|[status, _, message]| status == "True" && message == "by n1 (layer2)")
    })
    .await;
    assert_eq!(world.condition("web", ALLOCATED).await.unwrap()[0], "True");
}

/// E-23: 4/4/0/0, then 3/3/1/1, 7/7/1/1, 8/8/0/0; an edit by hand is reverted.
#[tokio::test]
async fn e_23_the_status_of_a_pool_follows_its_use_and_no_edit_lasts() {
    let world = World::new().await;
    let _controller = world.start();
    world.pool("lan", &["192.0.2.0/30", "2001:db8::/126"]).await;
    let expect = async |free: i64, used: i64| {
        eventually(&format!("{free} free, {used} in use"), async || {
            let status = world.pools.get("lan").await.unwrap().status;
            status.is_some_and(|status| {
                (status.available_ipv4, status.available_ipv6) == (free, free)
                    && (status.assigned_ipv4, status.assigned_ipv6) == (used, used)
            })
        })
        .await;
    };
    expect(4, 0).await;
    world.service_with("web", json!({ "ipFamilyPolicy": "RequireDualStack" })).await;
    expect(3, 1).await;
    world.resize("lan", &["192.0.2.0/29", "2001:db8::/125"]).await;
    expect(7, 1).await;
    world.delete("web").await;
    expect(8, 0).await;
    let forged = Patch::Merge(json!({ "status": { "assignedIPv4": 5 } }));
    world.pools.patch_status("lan", &PatchParams::default(), &forged).await.unwrap();
    expect(8, 0).await;
    let writes = world.server.count("patch", "ipaddresspools/status");
    assert!(writes <= 6, "one for each change and the forgery: {writes}");
    world.quiet().await;
    assert_eq!(world.server.count("patch", "ipaddresspools/status"), writes);
}

#[tokio::test]
async fn many_services_at_once_are_a_few_writes_for_their_pool() {
    let world = World::new().await;
    let _controller = world.start();
    world.pool("lan", &["10.1.0.0/16"]).await;
    for n in 0..100 {
        world.service(&format!("s{n}")).await;
    }
    let begun = tokio::time::Instant::now();
    eventually("all are counted", async || {
        world
            .pools
            .get("lan")
            .await
            .unwrap()
            .status
            .is_some_and(|status| status.assigned_ipv4 == 100)
    })
    .await;
    let writes = world.server.count("patch", "ipaddresspools/status");
    assert!(writes <= 4 + begun.elapsed().as_secs() + 10, "{writes} writes");
}
