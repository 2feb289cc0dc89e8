//! What is said about BGP: status objects, sessions, events.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use ferrolb_addr::Family;
use ferrolb_lab::api::wait_until;
use ferrolb_lab::router::{Bfd, Neighbour, Router};
use ferrolb_lab::{NAMESPACE, Result};
use serde_json::{Value, json};

use super::{Link, announce, bgp_advertisement, case, dual, routed_by_all};
use crate::cases::metrics::Scraper;
use crate::manifest::configuration;
use crate::stage::{PATIENCE, QUIET, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case(
        "service_status",
        "BGP-34 BGP-35 BGP-36 E7 names the routers that were told, follows peers, advertisements, Services",
        service_status,
    ),
    case(
        "session_status",
        "BGP-28 BGP-29 each node says how its sessions are, and why not",
        sessions,
    ),
    case(
        "figures",
        "BGP-96 BGP-97 BGP-98 BGP-99 BGP-100 BGP-102 BGP-103 W-11 E21 of each session, scraped from every speaker",
        figures,
    ),
];

/// Objects of a kind, as kubectl shows them.
pub(super) fn objects(stage: &Stage, kind: &str) -> Result<Vec<Value>> {
    let text = stage.kubectl(&["get", kind, "-n", NAMESPACE, "-o", "json"])?;
    let all: Value = serde_json::from_str(&text).unwrap_or_default();
    Ok(all["items"].as_array().cloned().unwrap_or_default())
}

/// Waits until exactly these nodes say of a Service that these peers were told.
fn expect_status(stage: &Stage, service: &str, nodes: &[&str], peers: &[&str]) -> Result<()> {
    wait_until(&format!("{nodes:?} told {peers:?} of {service}"), PATIENCE, || {
        let mut all = objects(stage, "servicebgpstatuses")?;
        all.retain(|object| object["status"]["serviceName"] == service);
        let found: BTreeSet<_> =
            all.iter().filter_map(|one| one["status"]["node"].as_str()).collect();
        let right = found.iter().eq(nodes.iter())
            && all.len() == nodes.len()
            && all.iter().all(|object| object["status"]["peers"] == json!(peers));
        let seen = || all.iter().map(|one| one["status"].to_string()).collect::<String>();
        Ok(if right { Ok(()) } else { Err(seen()) })
    })
}

fn service_status(stage: &mut Stage) -> Result<()> {
    let all = ["node1", "node2", "node3"];
    announce(stage)?;
    stage.apply(&dual("web"))?;
    Link::about_both(Family::V4).join(stage)?;
    expect_status(stage, "web", &all, &["router1", "router2", "router3"])?;
    let named = json!(["nobody", "router1", "router2", "router3"]);
    stage.apply(&bgp_advertisement("bgp").spec(&json!({ "peers": named })))?;
    std::thread::sleep(QUIET / 2);
    expect_status(stage, "web", &all, &["router1", "router2", "router3"])?;
    stage.kubectl(&["delete", "bgppeers", "router1", "-n", NAMESPACE])?;
    expect_status(stage, "web", &all, &["router2", "router3"])?;
    stage.apply(&bgp_advertisement("bgp").spec(&json!({ "nodeSelectors": [{
        "matchExpressions": [
            { "key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["node1"] },
        ],
    }] })))?;
    expect_status(stage, "web", &["node2", "node3"], &["router2", "router3"])?;
    stage.delete_service("web")?;
    expect_status(stage, "web", &[], &[])
}

fn sessions(stage: &mut Stage) -> Result<()> {
    announce(stage)?;
    stage.apply(&dual("web"))?;
    let addresses = stage.addresses("web")?;
    let link = Link::about_both(Family::V4).with(&json!({ "enableGracefulRestart": true }));
    link.join(stage)?;
    super::each(
        stage,
        "graceful restart is offered",
        &ferrolb_lab::router::Software::ALL,
        |router| {
            let sessions = router.sessions()?;
            check(sessions.iter().all(|one| one.restarts_gracefully), || format!("{sessions:?}"))?;
            addresses
                .iter()
                .try_for_each(|one| routed_by_all(stage, router, (*one).into()).map(drop))
        },
    )?;
    for router in stage.routers() {
        expect_sessions(stage, router, "two prefixes sent", |status| {
            status["bgpStatus"] == "Established" && status["prefixes"]["sent"] == 2
        })?;
    }
    // A router that goes away is missed by name.
    let [first, ..] = stage.routers() else { return Ok(()) };
    first.terminate()?;
    expect_sessions(stage, first, "why it is not up", |status| {
        status["bgpStatus"] != "Established"
            && status["lastError"]["message"].as_str().is_some_and(|text| !text.is_empty())
    })
}

/// Waits until every node says something of its session with a router.
pub(super) fn expect_sessions(
    stage: &Stage,
    router: &Router,
    wanted: &str,
    is_wanted: impl Fn(&Value) -> bool,
) -> Result<()> {
    let nodes = stage.nodes().len();
    wait_until(&format!("BGPSessions with {}: {wanted}", router.name()), PATIENCE, || {
        let mut all = objects(stage, "bgpsessions")?;
        all.retain(|object| object["status"]["peer"] == router.name());
        let right = all.len() == nodes && all.iter().all(|object| is_wanted(&object["status"]));
        let seen = || all.iter().map(|one| one["status"].to_string()).collect::<String>();
        Ok(if right { Ok(()) } else { Err(seen()) })
    })
}

fn figures(stage: &mut Stage) -> Result<()> {
    let scraper = Scraper::may(stage)?;
    announce(stage)?;
    for transport in [Family::V4, Family::V6] {
        stage.apply(&configuration("BFDProfile", "default"))?;
        let bfd: fn(&mut Neighbour) = |neighbour| {
            neighbour.bfd = Some(Bfd { interval: 300, multiplier: 3 });
        };
        let link = Link::about_both(transport).with(&json!({ "bfdProfile": "default" })).tuned(bfd);
        let [router, ..] = stage.routers() else { return Ok(()) };
        router.configure(&link.config(stage, router))?;
        stage.apply(&link.peer(router))?;
        link.is_up(stage, router)?;
        // BFD has no port of the peer's to tell.
        let address = router.address(transport);
        let peer = SocketAddr::new(address, 179);
        let full = |name: &str| {
            let peer = if name.starts_with("bfd") { address.to_string() } else { peer.to_string() };
            format!("metallb_{name}{{peer=\"{peer}\",vrf=\"default\"}}")
        };
        let expect = |name: &str, wanted: &str| {
            stage.nodes().iter().try_for_each(|node| {
                scraper.expect(stage.lab().host(node)?, &full(name), Some(wanted))
            })
        };
        expect("bgp_session_up", "1")?;
        expect("bgp_announced_prefixes_total", "0")?;
        expect("bfd_session_up", "1")?;
        stage.apply(&dual("web"))?;
        for address in stage.addresses("web")? {
            routed_by_all(stage, router, address.into())?;
        }
        expect("bgp_announced_prefixes_total", "2")?;
        for counter in [
            "bgp_opens_sent",
            "bgp_opens_received",
            "bgp_keepalives_sent",
            "bgp_keepalives_received",
            "bgp_updates_total",
            "bgp_total_sent",
            "bgp_total_received",
            "bfd_control_packet_input",
            "bfd_control_packet_output",
            "bfd_session_up_events",
        ] {
            scraper.expect_some(stage.lab().host("node1")?, &full(counter))?;
        }
        router.kill();
        expect("bgp_session_up", "0")?;
        expect("bfd_session_up", "0")?;
        stage.delete_service("web")?;
        stage.kubectl(&["delete", "bgppeers", "--all", "-n", NAMESPACE])?;
    }
    Ok(())
}
