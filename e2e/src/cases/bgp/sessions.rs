//! How sessions come up, and what keeps them from it.

use std::net::SocketAddr;

use ferrolb_addr::Family;
use ferrolb_lab::api::wait_until;
use ferrolb_lab::router::{Config, Neighbour, Remote, Router, Session, Software};
use ferrolb_lab::{NAMESPACE, Result};
use ipnet::IpNet;
use serde_json::{Value, json};

use super::truth::expect_sessions;
use super::{
    ASN, Link, announce, case, dual, each, net, own_asn, peered, reached, routed_by_all, single,
    title,
};
use crate::cases::metrics::Scraper;
use crate::manifest::pool;
use crate::stage::{PATIENCE, QUIET, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case(
        "password_of_a_secret",
        "BGP-32 BGP-33 E6 TCP MD5: a wrong one keeps the session down, the right one brings it up; it \
         is told nowhere",
        password,
    ),
    case("router_id", "BGP-26 BGP-27 E6 the same on all nodes", router_id),
    case("local_as", "BGP-30 BGP-31 Q2 E6 another AS towards routers", local_as),
    case(
        "as_learned_from_the_router",
        "BGP-78 BGP-79 BGP-80 BGP-81 W-02 E15 dynamicASN right and wrong",
        dynamic,
    ),
    case("dynamic_neighbours", "Q3 Q9 routers take any speaker of a range", range),
    case("short_hold_time", "BGP-74 hold time 3 s; changed while it runs", hold_time),
    case(
        "no_hold_time",
        "Q4 Q8 a hold time of 0: no keepalives at all; routers that propose more than we do",
        no_hold_time,
    ),
    case(
        "refused_for_ever",
        "Q15 routers that want another AS of us: each attempt waits longer than the last",
        refused,
    ),
    case("two_hops_away", "Q16 eBGP with a router behind a router", multihop),
    case("one_by_one", "BGP-43 BGP-44 BGP-45 BGP-46 E9 the others do not notice", one_by_one),
    case("reset_by_the_router", "BGP-75 E13 back after the router hung up", reset),
];

/// Only this case knows it, so that it can be looked for everywhere.
const PASSWORD: &str = "Tr0ub4dor-only-here";

fn password(stage: &mut Stage) -> Result<()> {
    let secret = |password: &str| {
        stage.api().apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/basic-auth",
            "metadata": { "name": "router-password", "namespace": NAMESPACE },
            "stringData": { "password": password },
        }))
    };
    secret("another")?;
    announce(stage)?;
    stage.apply(&single("web", Family::V4))?;
    let address = IpNet::from(stage.address("web")?);
    let link = Link::over(Family::V4)
        .with(&json!({ "passwordSecret": { "name": "router-password" } }))
        .tuned(|neighbour| neighbour.password = Some(PASSWORD.to_owned()));
    link.tie(stage)?;
    std::thread::sleep(QUIET);
    let feature = "TCP MD5 (RFC 2385), right and wrong";
    each(stage, feature, &Software::ALL, |router| peered(stage, router, Family::V4, &[]))?;
    secret(PASSWORD)?;
    each(stage, feature, &Software::ALL, |router| {
        link.is_up(stage, router)?;
        routed_by_all(stage, router, address).map(drop)
    })?;
    let told = is_told(stage);
    stage.kubectl(&["delete", "secret", "router-password", "-n", NAMESPACE])?;
    told?;
    // The same in the object itself, where whoever may read it sees it.
    let link = Link::over(Family::V6)
        .with(&json!({ "password": PASSWORD, "passwordSecret": Value::Null }))
        .tuned(|neighbour| neighbour.password = Some(PASSWORD.to_owned()));
    link.join(stage)?;
    each(stage, feature, &Software::ALL, |router| link.is_up(stage, router))
}

/// An error if the password stands where it must not.
fn is_told(stage: &Stage) -> Result<()> {
    for process in stage.lab().own_processes() {
        check(!process.log().contains(PASSWORD), || format!("in the log of {}", process.name()))?;
    }
    for kinds in ["bgppeers,bgpsessions,servicebgpstatuses,configurationstates", "events"] {
        let objects = stage.kubectl(&["get", kinds, "-A", "-o", "yaml"])?;
        check(!objects.contains(PASSWORD), || format!("in {kinds}"))?;
    }
    Ok(())
}

fn router_id(stage: &mut Stage) -> Result<()> {
    for transport in [Family::V4, Family::V6] {
        Link::over(transport).with(&json!({ "routerID": "10.10.10.1" })).join(stage)?;
        each(stage, "routerID, the same on all nodes", &Software::ALL, |router| {
            session_has(router, "router ID 10.10.10.1", |session| {
                session.router_id == "10.10.10.1".parse().ok()
            })
        })?;
        stage.kubectl(&["delete", "bgppeers", "--all", "-n", NAMESPACE])?;
    }
    Ok(())
}

/// Waits until every session of a router is up and has something.
fn session_has(router: &Router, wanted: &str, has: impl Fn(&Session) -> bool) -> Result<()> {
    wait_until(&format!("sessions of {}: {wanted}", title(router)), PATIENCE, || {
        let sessions = router.sessions()?;
        let all = !sessions.is_empty() && sessions.iter().all(|one| one.is_up && has(one));
        Ok(if all { Ok(()) } else { Err(format!("{sessions:?}")) })
    })
}

fn local_as(stage: &mut Stage) -> Result<()> {
    const LOCAL: u32 = 64_520;
    announce(stage)?;
    stage.apply(&dual("web"))?;
    let addresses = stage.addresses("web")?;
    let link = Link::about_both(Family::V4)
        .with(&json!({ "localASN": LOCAL }))
        .tuned(|neighbour| neighbour.asn = LOCAL);
    link.join(stage)?;
    each(stage, "localASN", &Software::ALL, |router| {
        session_has(router, "AS 64520", |session| session.asn == LOCAL)?;
        for address in &addresses {
            let paths = routed_by_all(stage, router, IpNet::from(*address))?;
            check(paths.iter().all(|path| path.as_path == [LOCAL]), || format!("{paths:?}"))?;
        }
        Ok(())
    })
}

fn dynamic(stage: &mut Stage) -> Result<()> {
    let feature = "dynamicASN, right and wrong";
    for (transport, is_internal) in [(Family::V4, false), (Family::V6, true)] {
        let link = Link::over(transport);
        let link = if is_internal { link.internal() } else { link };
        let words = ["external", "internal"];
        let (right, wrong) = (words[usize::from(is_internal)], words[usize::from(!is_internal)]);
        let wrongly = link.clone().with(&json!({ "peerASN": Value::Null, "dynamicASN": wrong }));
        wrongly.tie(stage)?;
        std::thread::sleep(QUIET);
        each(stage, feature, &Software::ALL, |router| {
            peered(stage, router, transport, &[])?;
            let asn = link.asn(router);
            expect_sessions(stage, router, "both AS numbers", |status| {
                let text = status["lastError"]["message"].as_str().unwrap_or_default();
                text.contains("Bad Peer AS (2/2): expected") && text.contains(&asn.to_string())
            })
        })?;
        let rightly = link.with(&json!({ "peerASN": Value::Null, "dynamicASN": right }));
        stage.routers().iter().try_for_each(|router| stage.apply(&rightly.peer(router)))?;
        each(stage, feature, &Software::ALL, |router| rightly.is_up(stage, router))?;
        stage.kubectl(&["delete", "bgppeers", "--all", "-n", NAMESPACE])?;
    }
    Ok(())
}

fn range(stage: &mut Stage) -> Result<()> {
    announce(stage)?;
    stage.apply(&single("web", Family::V4))?;
    let address = IpNet::from(stage.address("web")?);
    let link = Link::over(Family::V4);
    let range = net("172.30.1.0/28")?;
    for router in stage.routers() {
        let mut neighbour = Neighbour::new(range.addr(), ASN);
        neighbour.remote = Remote::Range(range);
        neighbour.families = vec![Family::V4];
        router.configure(&Config::new(own_asn(router.software()), [neighbour]))?;
        stage.apply(&link.peer(router))?;
    }
    each(stage, "the router takes neighbours of a range", &Software::ALL, |router| {
        link.is_up(stage, router)?;
        routed_by_all(stage, router, address).map(drop)
    })
}

fn hold_time(stage: &mut Stage) -> Result<()> {
    let short = json!({ "holdTime": "3s", "keepaliveTime": "1s" });
    let link = Link::over(Family::V4).with(&short);
    let feature = "hold time 3 s, changed while it runs";
    link.join(stage)?;
    each(stage, feature, &Software::ALL, |router| {
        session_has(router, "hold time 3", |session| session.hold_time == Some(3))
    })?;
    // Longer than the hold time: nobody may have missed anything.
    let before = established(stage)?;
    std::thread::sleep(QUIET * 2);
    check(before == established(stage)?, || "a session was lost at rest".to_owned())?;
    let link = link.with(&json!({ "holdTime": "30s", "keepaliveTime": "10s" }));
    stage.routers().iter().try_for_each(|router| stage.apply(&link.peer(router)))?;
    // Sessions keep what they agreed on; the next ones agree anew.
    each(stage, feature, &Software::ALL, |router| {
        router.restart()?;
        session_has(router, "hold time 30", |session| session.hold_time == Some(30))
    })
}

fn no_hold_time(stage: &mut Stage) -> Result<()> {
    let link = Link::over(Family::V4)
        .with(&json!({ "holdTime": "0s", "keepaliveTime": "0s" }))
        .tuned(|neighbour| {
            neighbour.families = vec![Family::V4];
            neighbour.hold_time = 240;
        });
    let count = |feature, wanted: &str| {
        each(stage, feature, &Software::ALL, |router| {
            link.is_up(stage, router)?;
            expect_sessions(stage, router, wanted, |status| {
                status["bgpStatus"] == "Established" && status["timers"]["holdTime"] == wanted
            })
        })
    };
    link.join(stage)?;
    let feature = "no hold time";
    count(feature, "0s")?;
    let ups = established(stage)?;
    std::thread::sleep(QUIET * 2);
    check(ups == established(stage)?, || "a session was lost at rest".to_owned())?;
    count(feature, "0s")?;
    // Without an opinion of ours, the smaller of both proposals.
    let link = Link::over(Family::V4).tuned(link.tune);
    stage.kubectl(&["delete", "bgppeers", "--all", "-n", NAMESPACE])?;
    link.join(stage)?;
    each(stage, "hold time 240 s proposed, 90 s agreed", &Software::ALL, |router| {
        session_has(router, "hold time 90", |session| session.hold_time == Some(90))
    })
}

/// Waits double from a second: in a few seconds there are so many at most, where without there would be hundreds.
const MOST_ATTEMPTS: u64 = 4;

/// How often each session came up.
fn established(stage: &Stage) -> Result<Vec<Option<u64>>> {
    let all = stage.routers().iter().map(Router::sessions);
    Ok(all.collect::<Result<Vec<_>>>()?.concat().iter().map(|one| one.established).collect())
}

fn refused(stage: &mut Stage) -> Result<()> {
    let feature = "the router wants another AS of us";
    let link = Link::over(Family::V4).tuned(|neighbour| {
        neighbour.families = vec![Family::V4];
        neighbour.asn = 64_999;
    });
    link.tie(stage)?;
    each(stage, feature, &Software::ALL, |router| {
        expect_sessions(stage, router, "why it is refused", |status| {
            let text = status["lastError"]["message"].as_str().unwrap_or_default();
            status["bgpStatus"] != "Established" && text.contains("Bad Peer AS (2/2)")
        })
    })?;
    let scraper = Scraper::may(stage)?;
    let attempts = |router: &Router| -> Result<u64> {
        let peer = SocketAddr::new(router.address(Family::V4), 179);
        let series = format!("metallb_bgp_opens_sent{{peer=\"{peer}\",vrf=\"default\"}}");
        let value = scraper.read(stage.lab().host("node1")?, &series)?;
        Ok(value.and_then(|value| value.parse().ok()).unwrap_or_default())
    };
    each(stage, feature, &Software::ALL, |router| {
        let before = attempts(router)?;
        std::thread::sleep(QUIET * 3);
        let more = attempts(router)? - before;
        check(more <= MOST_ATTEMPTS, || format!("{more} attempts in {:?}", QUIET * 3))
    })
}

fn multihop(stage: &mut Stage) -> Result<()> {
    announce(stage)?;
    stage.apply(&single("web", Family::V4))?;
    let address = IpNet::from(stage.address("web")?);
    let link = Link::over(Family::V4).with(&json!({ "ebgpMultiHop": true })).tuned(|neighbour| {
        neighbour.families = vec![Family::V4];
        neighbour.hops = Some(4);
    });
    each(stage, "eBGP over two hops", &Software::ALL, |near| {
        let far = stage.lab().add_far_router(near.software(), near)?;
        far.configure(&link.config(stage, &far))?;
        stage.apply(&link.peer(&far))?;
        peered(stage, &far, Family::V4, &["node1", "node2", "node3"])?;
        wait_until(&format!("{} knows {address}", title(&far)), PATIENCE, || {
            let paths = far.paths(address)?;
            let hops = super::names(stage, paths.iter().filter_map(|path| path.next_hop));
            let right = hops.iter().eq(&stage.nodes());
            Ok(if right { Ok(()) } else { Err(format!("{paths:?}")) })
        })
    })
}

fn one_by_one(stage: &mut Stage) -> Result<()> {
    stage.apply(&super::bgp_advertisement("all"))?;
    let link = Link::about_both(Family::V4);
    let mut before = Vec::new();
    let counts = |routers: &[Router]| -> Result<Vec<_>> {
        let sessions = routers.iter().map(Router::sessions).collect::<Result<Vec<_>>>()?;
        Ok(sessions.concat().iter().map(|one| (one.peer, one.established)).collect())
    };
    for (index, router) in stage.routers().iter().enumerate() {
        let name = format!("pool{index}");
        let v4 = format!("203.0.113.{}/28", index * 16);
        let v6 = format!("2001:db8:6:{index}::/124");
        stage.apply(&pool(&name, &[&v4, &v6]))?;
        stage.apply(&dual(&format!("web{index}")).annotate("metallb.io/address-pool", &name))?;
        router.configure(&link.config(stage, router))?;
        stage.apply(&link.peer(router))?;
        each(stage, "peers and pools come one by one", &[router.software()], |router| {
            link.is_up(stage, router)?;
            for service in 0..=index {
                for address in stage.addresses(&format!("web{service}"))? {
                    routed_by_all(stage, router, IpNet::from(address))?;
                    reached(router, address)?;
                }
            }
            Ok(())
        })?;
        let now = counts(&stage.routers()[..=index])?;
        check(now.starts_with(&before), || format!("flapped: {before:?} {now:?}"))?;
        before = now;
    }
    Ok(())
}

fn reset(stage: &mut Stage) -> Result<()> {
    announce(stage)?;
    stage.apply(&single("web", Family::V4))?;
    let address = stage.address("web")?;
    let link = Link::over(Family::V4).with(&json!({ "connectTime": "1s" }));
    link.join(stage)?;
    each(stage, "back after the router restarted", &Software::ALL, |router| {
        routed_by_all(stage, router, address.into())?;
        router.restart()?;
        link.is_up(stage, router)?;
        routed_by_all(stage, router, address.into())?;
        reached(router, address)?;
        router.terminate()?;
        router.configure(&link.config(stage, router))?;
        link.is_up(stage, router)?;
        reached(router, address)
    })
}
