//! From a Service to a route, and back.

use std::net::IpAddr;

use ferrolb_addr::Family;
use ferrolb_lab::Result;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::router::{Router, Software};
use ipnet::IpNet;
use serde_json::json;

use super::{
    Link, announce, bgp_advertisement, case, dual, each, net, never_routed, peered, reached,
    routed, routed_by_all, single,
};
use crate::manifest::{advertisement, pool};
use crate::stage::{QUIET, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case(
        "service_v4",
        "BGP-01 BGP-04 BGP-16 BGP-20 BGP-21 E1 a route over every node, a client gets through, and it goes",
        service_v4,
    ),
    case("service_v6", "BGP-02 BGP-17 BGP-22 BGP-23 the same over IPv6", service_v6),
    case("both_families_over_v4", "BGP-82 BGP-84 BGP-85 E16 one session, both families", both_v4),
    case("both_families_over_v6", "BGP-83 E16 one session, both families", both_v6),
    case("both_families_two_sessions", "BGP-03 BGP-05 BGP-24 BGP-25 two peers a router", two),
    case("local_traffic", "BGP-13 BGP-14 BGP-15 only nodes with an endpoint", local),
    case("shared_address", "BGP-18 BGP-19 E4 two Services on one address, one route", shared),
    case("node_without_network", "BGP-12 W-04 E3 NetworkUnavailable withdraws", unavailable),
    case("announced_both_ways", "BGP-76 BGP-77 E14 Layer 2 and BGP at once", both_ways),
    case("routes_of_others", "BGP-61 BGP-62 E11 what routers announce goes nowhere", refused),
];

const PLAIN: &str = "a route over every node; withdrawn with its Service";
const THROUGH: &str = "a client behind the router gets through";

fn service_v4(stage: &mut Stage) -> Result<()> {
    comes_and_goes(stage, Family::V4)
}

fn service_v6(stage: &mut Stage) -> Result<()> {
    comes_and_goes(stage, Family::V6)
}

fn comes_and_goes(stage: &Stage, family: Family) -> Result<()> {
    let over = ["eBGP over IPv4", "eBGP over IPv6"][usize::from(family == Family::V6)];
    announce(stage)?;
    stage.apply(&single("web", family))?;
    let address = stage.address("web")?;
    let link = Link::over(family);
    link.tie(stage)?;
    each(stage, over, &Software::ALL, |router| link.is_up(stage, router))?;
    each(stage, PLAIN, &Software::ALL, |router| {
        let paths = routed_by_all(stage, router, address.into())?;
        check(paths.iter().all(|path| path.as_path == [super::ASN]), || format!("{paths:?}"))
    })?;
    each(stage, THROUGH, &Software::FORWARDING, |router| reached(router, address))?;
    each(stage, "route refresh", &Software::ALL, |router| {
        refreshed(stage, router, address.into())
    })?;
    stage.delete_service("web")?;
    each(stage, PLAIN, &Software::ALL, |router| {
        routed(stage, router, address.into(), &[])?;
        link.is_up(stage, router)
    })?;
    let wanted = ["203.0.113.9", "2001:db8:6::9"][usize::from(family == Family::V6)];
    stage.apply(&single("wish", family).annotate("metallb.io/loadBalancerIPs", wanted))?;
    stage.expect_addresses("wish", &[wanted])?;
    let address = stage.address("wish")?;
    each(stage, PLAIN, &Software::ALL, |router| {
        routed_by_all(stage, router, address.into()).map(drop)
    })
}

/// Asked for everything again, the speakers say the same again, over the same session.
fn refreshed(stage: &Stage, router: &Router, prefix: IpNet) -> Result<()> {
    let count = || -> Result<Vec<_>> {
        Ok(router.sessions()?.iter().map(|session| session.established).collect())
    };
    let before = count()?;
    router.refresh()?;
    std::thread::sleep(QUIET / 8);
    routed_by_all(stage, router, prefix)?;
    let after = count()?;
    check(before == after, || format!("sessions were reset: {before:?} {after:?}"))
}

fn both_v4(stage: &mut Stage) -> Result<()> {
    both(stage, "both families over one IPv4 session", Family::V4)
}

fn both_v6(stage: &mut Stage) -> Result<()> {
    both(stage, "both families over one IPv6 session", Family::V6)
}

fn both(stage: &Stage, feature: &'static str, transport: Family) -> Result<()> {
    announce(stage)?;
    stage.apply(&dual("web"))?;
    stage.apply(&single("one", Family::V6))?;
    let mut addresses = stage.addresses("web")?;
    addresses.extend(stage.addresses("one")?);
    Link::about_both(transport).join(stage)?;
    each(stage, feature, &Software::ALL, |router| all_routed(stage, router, &addresses))
}

fn all_routed(stage: &Stage, router: &Router, addresses: &[IpAddr]) -> Result<()> {
    for address in addresses {
        routed_by_all(stage, router, IpNet::from(*address))?;
        reached(router, *address)?;
    }
    Ok(())
}

fn two(stage: &mut Stage) -> Result<()> {
    announce(stage)?;
    let wanted = "203.0.113.7,2001:db8:6::7";
    stage.apply(&dual("web").annotate("metallb.io/loadBalancerIPs", wanted))?;
    stage.expect_addresses("web", &["203.0.113.7", "2001:db8:6::7"])?;
    let (first, second) = (Link::over(Family::V4), Link::over(Family::V6));
    for router in stage.routers() {
        let mut config = first.config(stage, router);
        config.neighbours.extend(second.config(stage, router).neighbours);
        router.configure(&config)?;
        stage.apply(&first.peer(router))?;
        let name = format!("{}-v6", router.name());
        stage.apply(&second.peer(router).with(&json!({ "metadata": { "name": name } })))?;
    }
    let addresses = stage.addresses("web")?;
    each(stage, "a session for each family", &Software::ALL, |router| {
        all_routed(stage, router, &addresses)
    })
}

fn local(stage: &mut Stage) -> Result<()> {
    announce(stage)?;
    stage.apply(&dual("web").local())?;
    stage.set_ready("node3", false)?;
    let addresses = stage.addresses("web")?;
    Link::about_both(Family::V4).join(stage)?;
    let over = |nodes: &[&str]| {
        each(stage, "externalTrafficPolicy Local", &Software::ALL, |router| {
            for address in &addresses {
                routed(stage, router, IpNet::from(*address), nodes)?;
                reached(router, *address)?;
            }
            Ok(())
        })
    };
    over(&["node1", "node2"])
}

fn shared(stage: &mut Stage) -> Result<()> {
    announce(stage)?;
    for (name, port) in [("first", 80), ("second", 81)] {
        let service = dual(name).annotate("metallb.io/allow-shared-ip", "foo").port("TCP", port);
        let wanted = "203.0.113.1,2001:db8:6::1";
        stage.apply(&service.annotate("metallb.io/loadBalancerIPs", wanted))?;
        stage.expect_addresses(name, &["203.0.113.1", "2001:db8:6::1"])?;
    }
    let addresses = stage.addresses("first")?;
    Link::about_both(Family::V4).join(stage)?;
    each(stage, "two Services share an address", &Software::ALL, |router| {
        all_routed(stage, router, &addresses)
    })?;
    stage.delete_service("second")?;
    each(stage, "two Services share an address", &Software::ALL, |router| {
        all_routed(stage, router, &addresses)
    })?;
    stage.delete_service("first")?;
    stage.routers().iter().try_for_each(|router| {
        addresses
            .iter()
            .try_for_each(|address| routed(stage, router, IpNet::from(*address), &[]).map(drop))
    })
}

fn unavailable(stage: &mut Stage) -> Result<()> {
    announce(stage)?;
    stage.apply(&single("web", Family::V4))?;
    let address = IpNet::from(stage.address("web")?);
    Link::over(Family::V4).join(stage)?;
    let feature = "a node without network is no next hop";
    let over = |nodes: &[&str]| {
        each(stage, feature, &Software::ALL, |router| {
            routed(stage, router, address, nodes).map(drop)
        })
    };
    over(&["node1", "node2", "node3"])?;
    stage.set_condition("node1", "NetworkUnavailable", "True")?;
    over(&["node2", "node3"])?;
    stage.set_condition("node1", "NetworkUnavailable", "False")?;
    over(&["node1", "node2", "node3"])
}

fn both_ways(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("lan", &["172.30.1.200-172.30.1.209", "fd00:172:30:1::200/124"]))?;
    stage.apply(&bgp_advertisement("all"))?;
    stage.apply(&dual("web"))?;
    let addresses = stage.addresses("web")?;
    Link::about_both(Family::V4).join(stage)?;
    let announced = || {
        each(stage, "Layer 2 and BGP at once", &Software::ALL, |router| {
            addresses.iter().try_for_each(|address| {
                routed_by_all(stage, router, IpNet::from(*address)).map(drop)
            })
        })
    };
    announced()?;
    for address in &addresses {
        stage.expect_answerers(Lan::One, *address, &[])?;
    }
    stage.apply(&advertisement("all"))?;
    for address in &addresses {
        stage.owner(*address)?;
        stage.curl(*address)?;
    }
    announced()?;
    stage.kubectl(&["delete", "l2advertisements", "all", "-n", ferrolb_lab::NAMESPACE])?;
    for address in &addresses {
        stage.expect_answerers(Lan::One, *address, &[])?;
    }
    announced()
}

fn refused(stage: &mut Stage) -> Result<()> {
    announce(stage)?;
    stage.apply(&single("web", Family::V4))?;
    let address = stage.address("web")?;
    let link = Link::about_both(Family::V4);
    let theirs = [net("198.51.100.1/32")?, net("2001:db8:7::1/128")?];
    for router in stage.routers() {
        let mut config = link.config(stage, router);
        config.announce = theirs.to_vec();
        router.configure(&config)?;
        stage.apply(&link.peer(router))?;
    }
    each(stage, "routes of the router are not installed", &Software::FORWARDING, |router| {
        peered(stage, router, Family::V4, &["node1", "node2", "node3"])?;
        routed_by_all(stage, router, address.into()).map(drop)
    })?;
    std::thread::sleep(QUIET);
    for node in stage.nodes() {
        for (family, prefix) in [("-4", theirs[0]), ("-6", theirs[1])] {
            let prefix = prefix.to_string();
            let words = ["ip", family, "route", "show", "table", "all", "exact", &prefix];
            let routes = stage.lab().host(&node)?.success(words)?;
            check(routes.trim().is_empty(), || format!("{node} has {routes}"))?;
        }
    }
    // Nor does one router hear of another's by us.
    for router in stage.routers() {
        let own = if router.software() == Software::GoBgp { theirs.to_vec() } else { vec![] };
        never_routed(router, &own)?;
    }
    Ok(())
}
