//! What becomes of a packet behind the owner: traffic policies and endpoints.

use std::net::SocketAddr;

use ferrolb_addr::Family;
use ferrolb_lab::Result;
use ferrolb_lab::api::Ref;
use ferrolb_lab::plan::Lan;
use serde_json::json;

use super::case;
use crate::manifest::{TARGET_PORT, service};
use crate::stage::{Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("local_traffic", "L2-29 the owner has an endpoint, the backend sees the client", local),
    case("cluster_traffic", "L2-27 a backend on another node sees a node's address", cluster),
    case("no_endpoint_no_answer", "L2-29 without a ready endpoint nobody answers", no_endpoint),
    case("mixed_protocols", "L2-30 one Service with TCP and UDP on one address", mixed),
];

fn local(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start/pool.yaml")?;
    stage.example("local-traffic")?;
    let address = stage.address("echo-local")?;
    let own = stage.client(Lan::One)?.address(Lan::One, Family::V4);
    let first = stage.announced("echo-local", Lan::One, address)?;
    for _ in 0..5 {
        let answer = stage.curl(address)?;
        check(answer.node == first && answer.client == own, || format!("{answer:?}"))?;
    }
    stage.set_ready(&first, false)?;
    let server = SocketAddr::new(address, 80);
    let moved = stage.curl_until(Lan::One, server, "another node", |a| a.node != first)?;
    check(moved.client == own, || format!("the backend saw {}", moved.client))?;
    let second = stage.announced("echo-local", Lan::One, address)?;
    check(second == moved.node, || format!("{second} answers, {} served", moved.node))?;
    stage.set_ready(&first, true)?;
    stage.expect_owner(address, &first)?;
    stage.announced("echo-local", Lan::One, address).map(drop)
}

fn cluster(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start")?;
    let address = stage.address("echo")?;
    let owner = stage.announced("echo", Lan::One, address)?;
    let own = stage.client(Lan::One)?.address(Lan::One, Family::V4);
    let server = SocketAddr::new(address, 80);
    let answer = stage.curl_until(Lan::One, server, "from another node", |a| a.node != owner)?;
    check(answer.client != own, || format!("the backend saw {}", answer.client))
}

fn no_endpoint(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start")?;
    let address = stage.address("echo")?;
    stage.announced("echo", Lan::One, address)?;
    for node in stage.nodes() {
        stage.set_ready(&node, false)?;
    }
    stage.expect_answerers(Lan::One, address, &[])?;
    stage.expect_no_status("echo")?;
    check(stage.addresses_now("echo")? == [address], || "the address was taken away".to_owned())?;
    stage.set_ready("node2", true)?;
    stage.announced("echo", Lan::One, address)?;
    // kube-proxy may be behind us.
    let server = SocketAddr::new(address, 80);
    stage.curl_until(Lan::One, server, "of node2", |answer| answer.node == "node2").map(drop)
}

fn mixed(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start/pool.yaml")?;
    stage.apply(&service("mixed").spec(&json!({ "ports": [
        { "name": "tcp", "protocol": "TCP", "port": 80, "targetPort": TARGET_PORT },
        { "name": "udp", "protocol": "UDP", "port": 81, "targetPort": TARGET_PORT },
    ] })))?;
    let address = stage.address("mixed")?;
    stage.udp(SocketAddr::new(address, 81))?;
    stage.curl(address)?;
    let service = stage.api().get(Ref::new("Service", "default", "mixed"))?.unwrap_or_default();
    check(service["status"]["loadBalancer"]["ingress"][0]["ipMode"] == "VIP", || {
        service["status"].to_string()
    })
}
