//! What a client behind a router notices when something breaks.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_addr::Family;
use ferrolb_lab::api::wait_until;
use ferrolb_lab::fault::Cable;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::probe::traffic::{Outcome, Traffic};
use ferrolb_lab::router::{Bfd, Neighbour, Router, Software};
use ferrolb_lab::{NAMESPACE, Result};
use ipnet::IpNet;
use serde_json::{Value, json};

use super::{
    Link, announce, case, each, each_says, peered, reached, routed, routed_by_all, single, title,
};
use crate::manifest::{TARGET_PORT, configuration};
use crate::stage::{EXCLUDE, PATIENCE, Stage, check, fail};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case(
        "speakers_restart_gracefully",
        "BGP-06 BGP-07 BGP-08 E2 every speaker is killed at once: no packet is lost",
        graceful,
    ),
    case(
        "speakers_are_replaced",
        "BGP-06 E2 every speaker's Pod is deleted at once, others come: no packet is lost",
        replaced,
    ),
    case(
        "speakers_restart_with_bfd",
        "the same with BFD beside it: whether the router keeps the routes is the router's decision",
        graceful_with_bfd,
    ),
    case(
        "speakers_restart",
        "BGP-09 BGP-10 BGP-11 E2 without graceful restart routes are gone",
        plain,
    ),
    case(
        "bfd_timers",
        "BGP-37 BGP-38 BGP-40 BGP-41 BGP-42 BGP-100 E8 profiles are in force at the router, both families",
        bfd_timers,
    ),
    case("node_dies_bfd_50", "3 x 50 ms: the router leaves a silent node out", |stage| {
        dies(stage, 50)
    }),
    case("node_dies_bfd_300", "3 x 300 ms: the same", |stage| dies(stage, 300)),
    case("router_freezes", "hold time: frozen for long and thawed, cable cut and plugged", frozen),
    case("node_drained", "E3 a node leaves by its label: no connection attempt is lost", drained),
    case(
        "speaker_leaves",
        "a speaker ends for good: routers take other ways first, hardly a datagram is lost",
        leaves,
    ),
];

/// Probes a second; a packet in flight at any moment of a fault.
const RATE: u32 = 1000;

/// A Service that answers over UDP as well, and what it is tied by.
fn set_up(stage: &Stage, link: &Link) -> Result<SocketAddr> {
    announce(stage)?;
    stage.apply(&single("web", Family::V4).spec(&json!({ "ports": [
        { "name": "tcp", "protocol": "TCP", "port": 80, "targetPort": TARGET_PORT },
        { "name": "udp", "protocol": "UDP", "port": 80, "targetPort": TARGET_PORT },
    ] })))?;
    let address = stage.address("web")?;
    link.join(stage)?;
    for router in stage.routers() {
        routed_by_all(stage, router, address.into())?;
        reached(router, address)?;
    }
    Ok(SocketAddr::new(address, 80))
}

fn forwarding(stage: &Stage) -> impl Iterator<Item = &Router> {
    stage.routers().iter().filter(|router| router.software().forwards())
}

/// Probes from behind every router that forwards, while something is done.
fn probed(
    stage: &Stage,
    service: SocketAddr,
    work: impl FnOnce() -> Result<()>,
) -> Result<Vec<(Software, Outcome)>> {
    let mut traffic = Vec::new();
    for router in forwarding(stage) {
        traffic.push((router.software(), Traffic::start(router.far()?, service, RATE)?));
    }
    thread::sleep(Duration::from_millis(300));
    work()?;
    thread::sleep(Duration::from_millis(300));
    traffic.into_iter().map(|(software, traffic)| Ok((software, traffic.stop()?))).collect()
}

fn outcome(outcomes: &[(Software, Outcome)], router: &Router) -> Result<Outcome> {
    let found = outcomes.iter().find(|(software, _)| *software == router.software());
    found.map(|(_, outcome)| outcome.clone()).ok_or_else(|| fail("was not probed"))
}

fn restart_all(stage: &Stage) -> Result<()> {
    for node in stage.nodes() {
        stage.lab().speaker(&node)?.kill()?;
    }
    for node in stage.nodes() {
        stage.lab().speaker(&node)?.restart()?;
    }
    stage.lab().wait_ready(PATIENCE)
}

fn graceful(stage: &mut Stage) -> Result<()> {
    let link = Link::over(Family::V4).with(&json!({ "enableGracefulRestart": true }));
    let service = set_up(stage, &link)?;
    let prefix = IpNet::from(service.ip());
    let outcomes = probed(stage, service, || {
        restart_all(stage)?;
        for router in stage.routers() {
            link.is_up(stage, router)?;
            routed_by_all(stage, router, prefix)?;
        }
        Ok(())
    })?;
    each_says(stage, "graceful restart of all speakers", &Software::FORWARDING, |router| {
        let outcome = outcome(&outcomes, router)?;
        let (lost, all) = (outcome.lost(), outcome.probes.len());
        check(lost == 0, || format!("{lost} of {all} lost"))?;
        Ok(format!("0 of {all} lost"))
    })
}

/// Our BFD ends with the process, and says so by its C bit (RFC 5882 4.3.2): a router may then take its silence for
/// a failure of the path, graceful restart or not. What each does is noted, and all must be well again.
fn graceful_with_bfd(stage: &mut Stage) -> Result<()> {
    let tuned: fn(&mut Neighbour) = |neighbour| {
        neighbour.families = vec![Family::V4];
        neighbour.bfd = Some(Bfd { interval: 50, multiplier: 3 });
    };
    let link = Link::over(Family::V4).with(&json!({ "enableGracefulRestart": true })).tuned(tuned);
    let link = with_bfd(stage, link, 50)?;
    let service = set_up(stage, &link)?;
    let prefix = IpNet::from(service.ip());
    let whole = || {
        for router in forwarding(stage) {
            link.is_up(stage, router)?;
            bfd_is_up(stage, router, (50, 50))?;
            routed_by_all(stage, router, prefix)?;
        }
        Ok(())
    };
    let note = |feature, outcomes: &[(Software, Outcome)]| {
        each_says(stage, feature, &Software::FORWARDING, |router| {
            let outcome = outcome(outcomes, router)?;
            let silence = outcome.longest_silence().length().as_millis();
            let (lost, all) = (outcome.lost(), outcome.probes.len());
            Ok(format!("{lost} of {all} lost, {silence} ms at most"))
        })
    };
    whole()?;
    let killed = probed(stage, service, || {
        restart_all(stage)?;
        whole()
    })?;
    note("graceful restart with BFD, all speakers killed", &killed)?;
    let ended = probed(stage, service, || {
        for node in stage.nodes() {
            stage.lab().speaker(&node)?.terminate(Duration::from_secs(20))?;
            stage.lab().speaker(&node)?.restart()?;
        }
        stage.lab().wait_ready(PATIENCE)?;
        whole()
    })?;
    note("graceful restart with BFD, speakers ended one by one", &ended)
}

fn replaced(stage: &mut Stage) -> Result<()> {
    let link = Link::over(Family::V4).with(&json!({ "enableGracefulRestart": true }));
    let service = set_up(stage, &link)?;
    let prefix = IpNet::from(service.ip());
    let before: Vec<_> = speakers(stage)?;
    let outcomes = probed(stage, service, || {
        let selector = stage.own_selector("DaemonSet", "speaker")?;
        let words = ["delete", "pods", "-n", NAMESPACE, "-l", &selector, "--wait=false"];
        stage.kubectl(&words)?;
        wait_until("every speaker is another one", PATIENCE * 2, || {
            let now = speakers(stage).unwrap_or_default();
            let new = now.len() == before.len() && now.iter().all(|pid| !before.contains(pid));
            Ok(if new { Ok(()) } else { Err(format!("{before:?} {now:?}")) })
        })?;
        stage.lab().wait_ready(PATIENCE * 2)?;
        for router in stage.routers() {
            link.is_up(stage, router)?;
            routed_by_all(stage, router, prefix)?;
        }
        Ok(())
    })?;
    each_says(stage, "replacement of all speakers", &Software::FORWARDING, |router| {
        let outcome = outcome(&outcomes, router)?;
        let (lost, all) = (outcome.lost(), outcome.probes.len());
        check(lost == 0, || format!("{lost} of {all} lost"))?;
        Ok(format!("0 of {all} lost"))
    })
}

/// The process numbers of the speakers.
fn speakers(stage: &Stage) -> Result<Vec<u32>> {
    stage.nodes().iter().map(|node| Ok(stage.lab().speaker(node)?.pid())).collect()
}

fn plain(stage: &mut Stage) -> Result<()> {
    let link = Link::over(Family::V4);
    let service = set_up(stage, &link)?;
    let prefix = IpNet::from(service.ip());
    for node in stage.nodes() {
        stage.lab().speaker(&node)?.kill()?;
    }
    let gone = each(stage, "restart without graceful restart", &Software::ALL, |router| {
        routed(stage, router, prefix, &[]).map(drop)
    });
    for node in stage.nodes() {
        stage.lab().speaker(&node)?.restart()?;
    }
    stage.lab().wait_ready(PATIENCE)?;
    gone?;
    each(stage, "restart without graceful restart", &Software::ALL, |router| {
        routed_by_all(stage, router, prefix).map(drop)
    })
}

/// A profile, and sessions that use it.
fn with_bfd(stage: &Stage, link: Link, interval: u32) -> Result<Link> {
    stage.apply(&configuration("BFDProfile", "fast").spec(&json!({
        "receiveInterval": interval, "transmitInterval": interval, "detectMultiplier": 3,
    })))?;
    Ok(link.with(&json!({ "bfdProfile": "fast" })))
}

/// Waits until BFD is up between a router and every node.
fn bfd_is_up(stage: &Stage, router: &Router, intervals: (u64, u64)) -> Result<()> {
    wait_until(&format!("BFD of {} is up", title(router)), PATIENCE, || {
        let sessions = router.bfd()?;
        let up = sessions.iter().filter(|session| session.is_up).count();
        let told = sessions.iter().all(|one| one.intervals.is_none_or(|told| told == intervals));
        Ok(if up == stage.nodes().len() && told { Ok(()) } else { Err(format!("{sessions:?}")) })
    })
}

fn bfd_timers(stage: &mut Stage) -> Result<()> {
    const SLOW: Bfd = Bfd { interval: 300, multiplier: 3 };
    for (transport, feature) in [(Family::V4, "BFD over IPv4"), (Family::V6, "BFD over IPv6")] {
        let link = Link::over(transport).tuned(|neighbour| neighbour.bfd = Some(SLOW));
        stage.apply(&configuration("BFDProfile", "tested").spec(&json!({})))?;
        // GoBGP does not know BFD: a session that waits for it would never be.
        let link = link.with(&json!({ "bfdProfile": "tested" }));
        for router in forwarding(stage) {
            router.configure(&link.config(stage, router))?;
            stage.apply(&link.peer(router))?;
        }
        each(stage, feature, &Software::FORWARDING, |router| {
            link.is_up(stage, router)?;
            bfd_is_up(stage, router, (300, 300))
        })?;
        stage.apply(&configuration("BFDProfile", "tested").spec(&json!({
            "receiveInterval": 60, "transmitInterval": 61, "echoMode": false, "minimumTtl": 254,
        })))?;
        each(stage, feature, &Software::FORWARDING, |router| bfd_is_up(stage, router, (60, 61)))?;
        stage.kubectl(&["delete", "bgppeers", "--all", "-n", NAMESPACE])?;
        each(stage, feature, &Software::FORWARDING, |router| {
            peered(stage, router, transport, &[])
        })?;
        stage.apply(&configuration("BFDProfile", "tested").spec(&json!({
            "receiveInterval": Value::Null, "transmitInterval": Value::Null,
            "echoMode": Value::Null, "minimumTtl": Value::Null,
        })))?;
    }
    Ok(())
}

fn dies(stage: &mut Stage, interval: u32) -> Result<()> {
    let (feature, tune): (_, fn(&mut ferrolb_lab::router::Neighbour)) = match interval {
        50 => ("a silent node is left out, BFD 3 x 50 ms", |neighbour| {
            neighbour.bfd = Some(Bfd { interval: 50, multiplier: 3 });
        }),
        _ => ("a silent node is left out, BFD 3 x 300 ms", |neighbour| {
            neighbour.bfd = Some(Bfd { interval: 300, multiplier: 3 });
        }),
    };
    announce(stage)?;
    stage.apply(&single("web", Family::V4).spec(&json!({ "ports": [
        { "name": "udp", "protocol": "UDP", "port": 80, "targetPort": TARGET_PORT },
    ] })))?;
    let service = SocketAddr::new(stage.address("web")?, 80);
    let prefix = IpNet::from(service.ip());
    let link = with_bfd(stage, Link::over(Family::V4).tuned(tune), interval)?;
    for router in forwarding(stage) {
        router.configure(&link.config(stage, router))?;
        stage.apply(&link.peer(router))?;
    }
    for router in forwarding(stage) {
        link.is_up(stage, router)?;
        bfd_is_up(stage, router, (interval.into(), interval.into()))?;
        routed_by_all(stage, router, prefix)?;
    }
    // Its endpoint is gone as well, which Kubernetes would take longer to notice.
    stage.set_ready("node3", false)?;
    let cable = Cable::of(stage.lab().host("node3")?, Lan::One);
    let killed = Instant::now();
    cable.silence()?;
    let times = each_says(stage, feature, &Software::FORWARDING, |router| {
        wait_until(&format!("{} leaves node3 out", title(router)), PATIENCE, || {
            let hops = super::names(stage, router.kernel_next_hops(prefix)?);
            let gone = !hops.contains("node3") && hops.len() == 2;
            Ok(if gone { Ok(()) } else { Err(format!("{hops:?}")) })
        })?;
        let time = killed.elapsed();
        // The hold time is 90 s: what is seen within seconds was seen by BFD.
        check(time < Duration::from_secs(5), || format!("after {time:?}"))?;
        Ok("works".to_owned())
    });
    cable.restore()?;
    times?;
    stage.set_ready("node3", true)?;
    each(stage, feature, &Software::FORWARDING, |router| {
        routed_by_all(stage, router, prefix)?;
        reached_by_udp(router, service)
    })
}

fn reached_by_udp(router: &Router, service: SocketAddr) -> Result<()> {
    let far = router.far()?;
    wait_until(&format!("{} reaches {service} over UDP", far.name()), PATIENCE, || {
        let traffic = Traffic::start(far, service, RATE)?;
        thread::sleep(Duration::from_millis(100));
        let outcome = traffic.stop()?;
        Ok(if outcome.lost() == 0 { Ok(()) } else { Err(format!("{} lost", outcome.lost())) })
    })
}

fn frozen(stage: &mut Stage) -> Result<()> {
    let link = Link::over(Family::V4)
        .with(&json!({ "holdTime": "3s", "keepaliveTime": "1s", "connectTime": "1s" }));
    let service = set_up(stage, &link)?;
    let prefix = IpNet::from(service.ip());
    let is_down = |router: &Router| {
        super::truth::expect_sessions(stage, router, "down", |status| {
            status["bgpStatus"] != "Established"
        })
    };
    let frozen = "frozen beyond the hold time, and thawed";
    stage.routers().iter().try_for_each(Router::freeze)?;
    each(stage, frozen, &Software::ALL, is_down)?;
    stage.routers().iter().try_for_each(Router::thaw)?;
    each(stage, frozen, &Software::ALL, |router| {
        link.is_up(stage, router)?;
        routed_by_all(stage, router, prefix).map(drop)
    })?;
    let cut = "its cable is cut, and plugged";
    let cable = |router: &Router| Cable::of(router.host(), Lan::One);
    stage.routers().iter().try_for_each(|router| cable(router).cut())?;
    each(stage, cut, &Software::ALL, is_down)?;
    stage.routers().iter().try_for_each(|router| cable(router).plug())?;
    each(stage, cut, &Software::ALL, |router| {
        link.is_up(stage, router)?;
        routed_by_all(stage, router, prefix)?;
        reached(router, service.ip())
    })
}

fn drained(stage: &mut Stage) -> Result<()> {
    let link = Link::over(Family::V4);
    let service = set_up(stage, &link)?;
    let prefix = IpNet::from(service.ip());
    let outcomes = probed(stage, service, || {
        stage.label_node("node1", EXCLUDE, Some(""))?;
        for router in stage.routers() {
            routed(stage, router, prefix, &["node2", "node3"])?;
        }
        stage.label_node("node1", EXCLUDE, None)?;
        stage.routers().iter().try_for_each(|one| routed_by_all(stage, one, prefix).map(drop))
    })?;
    each_says(stage, "a node is drained", &Software::FORWARDING, |router| {
        let outcome = outcome(&outcomes, router)?;
        let (lost, all) = (outcome.lost(), outcome.probes.len());
        check(lost == 0, || format!("{lost} of {all} lost"))?;
        Ok(format!("0 of {all} lost"))
    })
}

fn leaves(stage: &mut Stage) -> Result<()> {
    let link = Link::over(Family::V4);
    let service = set_up(stage, &link)?;
    let prefix = IpNet::from(service.ip());
    let speaker = stage.lab().speaker("node1")?;
    let outcomes = probed(stage, service, || {
        let (status, _) = speaker.terminate(Duration::from_secs(20))?;
        check(status.success(), || format!("ended with {status}"))?;
        for router in stage.routers() {
            routed(stage, router, prefix, &["node2", "node3"])?;
        }
        Ok(())
    });
    speaker.restart()?;
    stage.lab().wait_ready(PATIENCE)?;
    let outcomes = outcomes?;
    each_says(stage, "a speaker ends", &Software::FORWARDING, |router| {
        routed_by_all(stage, router, prefix)?;
        let outcome = outcome(&outcomes, router)?;
        let (lost, all) = (outcome.lost(), outcome.probes.len());
        check(lost == 0, || format!("{lost} of {all} lost"))?;
        Ok(format!("0 of {all} lost"))
    })
}
