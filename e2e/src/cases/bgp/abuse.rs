//! Objects that make no sense: said clearly, and the others go on.

use ferrolb_addr::Family;
use ferrolb_lab::api::wait_until;
use ferrolb_lab::router::{Router, Software};
use ferrolb_lab::{Error, NAMESPACE, Result};
use ipnet::IpNet;
use serde_json::json;

use super::truth::expect_sessions;
use super::{Link, announce, bgp_advertisement, case, dual, each, routed_by_all, single};
use crate::manifest::{advertisement, configuration, pool};
use crate::stage::{PATIENCE, Stage, check, fail};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("peer_twice", "two BGPPeers for one router: one session, told; the others go on", twice),
    case(
        "dangling_references",
        "BGP-104 a BFD profile, a community and a peer that do not exist; the others go on",
        dangling,
    ),
    case(
        "layer2_goes_on",
        "whatever is wrong with BGP, an address on the LAN is answered for without a break",
        layer2_goes_on,
    ),
    case(
        "wrong_as",
        "a router of another AS: said by the session's object, not retried in haste",
        wrong_as,
    ),
];

/// Waits until one of our processes has written a line with these words.
fn told(stage: &Stage, words: &[&str]) -> Result<()> {
    wait_until(&format!("{words:?} is told"), PATIENCE, || {
        let is_told = |line: &str| words.iter().all(|word| line.contains(word));
        let logs = stage.lab().own_processes();
        let found = logs.iter().any(|process| process.log().lines().any(is_told));
        Ok(if found { Ok(()) } else { Err("no such line") })
    })
}

/// The routes are there, and sessions are the ones from before.
fn goes_on(stage: &Stage, feature: &'static str, prefixes: &[IpNet]) -> Result<()> {
    each(stage, feature, &Software::ALL, |router| {
        prefixes.iter().try_for_each(|one| routed_by_all(stage, router, *one).map(drop))
    })
}

fn counts(stage: &Stage) -> Result<Vec<Option<u64>>> {
    let sessions = stage.routers().iter().map(Router::sessions).collect::<Result<Vec<_>>>()?;
    Ok(sessions.concat().iter().map(|session| session.established).collect())
}

fn twice(stage: &mut Stage) -> Result<()> {
    announce(stage)?;
    stage.apply(&dual("web"))?;
    let prefixes: Vec<_> = stage.addresses("web")?.into_iter().map(IpNet::from).collect();
    let link = Link::about_both(Family::V4);
    link.join(stage)?;
    goes_on(stage, "a router named twice", &prefixes)?;
    let [first, ..] = stage.routers() else { return Ok(()) };
    let again = link.peer(first).with(&json!({ "metadata": { "name": "router1-again" } }));
    match stage.apply(&again) {
        Err(Error::Api { message, .. }) if message.contains("router1") => {}
        other => return Err(fail(format!("the second of two was taken: {other:?}"))),
    }
    // Where nobody is asked it gets in.
    stage.without_webhooks(|stage| {
        let before = counts(stage)?;
        stage.apply(&again)?;
        told(stage, &["router1-again"])?;
        goes_on(stage, "a router named twice", &prefixes)?;
        let after = counts(stage)?;
        check(before == after, || format!("sessions were reset: {before:?} {after:?}"))?;
        stage.kubectl(&["delete", "bgppeers", "router1-again", "-n", NAMESPACE]).map(drop)
    })
}

fn dangling(stage: &mut Stage) -> Result<()> {
    announce(stage)?;
    stage.apply(&dual("web"))?;
    let prefixes: Vec<_> = stage.addresses("web")?.into_iter().map(IpNet::from).collect();
    let link = Link::about_both(Family::V4);
    let [first, others @ ..] = stage.routers() else { return Ok(()) };
    for router in stage.routers() {
        router.configure(&link.config(stage, router))?;
    }
    stage.apply(&link.peer(first).spec(&json!({ "bfdProfile": "nowhere" })))?;
    others.iter().try_for_each(|router| stage.apply(&link.peer(router)))?;
    told(stage, &["router1", "nowhere"])?;
    stage.apply(&bgp_advertisement("wrong").spec(&json!({ "communities": ["NO_SUCH_NAME"] })))?;
    told(stage, &["NO_SUCH_NAME"])?;
    stage.apply(&bgp_advertisement("strange").spec(&json!({ "peers": ["nobody"] })))?;
    let feature = "bad objects beside good ones";
    each(stage, feature, &[Software::Bird, Software::GoBgp], |router| {
        prefixes.iter().try_for_each(|one| routed_by_all(stage, router, *one).map(drop))
    })?;
    let before = counts(stage)?;
    stage.apply(&configuration("BFDProfile", "nowhere"))?;
    stage.apply(&link.peer(first).spec(&json!({ "bfdProfile": serde_json::Value::Null })))?;
    goes_on(stage, feature, &prefixes)?;
    let after = counts(stage)?;
    // Those of the first router are new.
    let is_kept = after.ends_with(before.get(3..).unwrap_or_default());
    check(is_kept, || format!("sessions were reset: {before:?} {after:?}"))
}

fn layer2_goes_on(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("lan", &["172.30.1.200/29"]))?;
    stage.apply(&advertisement("lan"))?;
    stage.apply(&single("near", Family::V4))?;
    let near = stage.address("near")?;
    stage.owner(near)?;
    let steadiness = stage.steadiness(near)?;
    let link = Link::over(Family::V4);
    stage.without_webhooks(|stage| {
        let [first, second, third] = stage.routers() else { return Err(fail("three routers")) };
        // Nobody listens at the first, the second is in another AS, the third is named twice.
        stage.apply(&link.peer(first).spec(&json!({ "bfdProfile": "nowhere" })))?;
        second.configure(&link.config(stage, second))?;
        stage.apply(&link.peer(second).spec(&json!({ "peerASN": 65_000 })))?;
        stage.apply(&link.peer(third))?;
        stage.apply(&link.peer(third).with(&json!({ "metadata": { "name": "again" } })))?;
        stage
            .apply(&bgp_advertisement("wrong").spec(&json!({ "communities": ["NO_SUCH_NAME"] })))?;
        told(stage, &["NO_SUCH_NAME"])?;
        told(stage, &["router1", "nowhere"])?;
        expect_sessions(stage, second, "what was wrong", |status| {
            let message = status["lastError"]["message"].as_str().unwrap_or_default();
            message.contains("Bad Peer AS")
        })?;
        stage.kubectl(&["delete", "bgppeers", "again", "-n", NAMESPACE]).map(drop)
    })?;
    // And what is new.
    stage.apply(&single("new", Family::V4))?;
    stage.owner(stage.address("new")?)?;
    steadiness.expect_from_anybody()
}

fn wrong_as(stage: &mut Stage) -> Result<()> {
    announce(stage)?;
    stage.apply(&dual("web"))?;
    let prefixes: Vec<_> = stage.addresses("web")?.into_iter().map(IpNet::from).collect();
    let link = Link::about_both(Family::V4);
    let [first, others @ ..] = stage.routers() else { return Ok(()) };
    for router in stage.routers() {
        router.configure(&link.config(stage, router))?;
    }
    stage.apply(&link.peer(first).spec(&json!({ "peerASN": 65_000 })))?;
    others.iter().try_for_each(|router| stage.apply(&link.peer(router)))?;
    expect_sessions(stage, first, "what was wrong", |status| {
        let message = status["lastError"]["message"].as_str().unwrap_or_default();
        status["bgpStatus"] != "Established" && message.contains("Bad Peer AS")
    })?;
    each(stage, "bad objects beside good ones", &[Software::Bird, Software::GoBgp], |router| {
        prefixes.iter().try_for_each(|one| routed_by_all(stage, router, *one).map(drop))
    })?;
    stage.apply(&link.peer(first))?;
    goes_on(stage, "bad objects beside good ones", &prefixes)
}
