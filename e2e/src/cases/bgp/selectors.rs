//! Which node tells which router of which Service.

use ferrolb_addr::Family;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::router::{Config, Neighbour, Router, Software};
use ferrolb_lab::{NAMESPACE, Result};
use ipnet::IpNet;
use serde_json::json;

use super::{
    ASN, Link, POOL, bgp_advertisement, case, dual, each, never_routed, own_asn, peered, routed,
    routed_by_all,
};
use crate::manifest::{configuration, pool};
use crate::stage::{QUIET, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case(
        "advertisements_choose_nodes",
        "BGP-105 BGP-106 BGP-107 BGP-108 W-01 E18 two pools, two sets of nodes, one of them empty",
        nodes,
    ),
    case(
        "communities_by_node",
        "BGP-109 BGP-110 BGP-111 BGP-112 E18 one Service, a community for some nodes",
        by_node,
    ),
    case(
        "node_labels_change",
        "BGP-113 BGP-114 BGP-115 BGP-116 E18 a label given, a selector narrowed; the other stays",
        labels,
    ),
    case(
        "advertisements_choose_peers",
        "BGP-88 BGP-89 BGP-90 BGP-91 BGP-92 BGP-93 BGP-94 BGP-95 W-03 E17 two advertisements, two routers",
        peers,
    ),
    case(
        "peers_choose_nodes",
        "BGP-117 BGP-118 BGP-119 W-02 E18 each router is for some nodes",
        peer_nodes,
    ),
    case("own_as_of_each_node", "BGP-120 E18 another myASN on each node", own_asns),
    case(
        "advertisements_choose_services",
        "BGP-121 BGP-122 BGP-123 BGP-124 W-14 E19 with a pool selector, and several selectors",
        services,
    ),
    case(
        "service_labels_change",
        "BGP-125 BGP-126 BGP-127 BGP-128 E19 the selector changes, then the labels",
        service_labels,
    ),
    case(
        "split_aggregation",
        "BGP-129 BGP-130 BGP-131 BGP-132 BGP-133 BGP-134 E19 one Service alone, all as one prefix",
        split,
    ),
];

/// Two pools, named `a` and `b`, and a Service from each.
fn two_services(stage: &Stage) -> Result<[Vec<IpNet>; 2]> {
    stage.apply(&pool("a", &POOL).label("pool", "a"))?;
    stage.apply(&pool("b", &["203.0.113.32/28", "2001:db8:7::/124"]).label("pool", "b"))?;
    for name in ["a", "b"] {
        stage
            .apply(&dual(name).annotate("metallb.io/address-pool", name).label("service", name))?;
    }
    Ok([prefixes(stage, "a")?, prefixes(stage, "b")?])
}

fn prefixes(stage: &Stage, service: &str) -> Result<Vec<IpNet>> {
    Ok(stage.addresses(service)?.into_iter().map(IpNet::from).collect())
}

/// Every prefix over exactly these nodes; none: known to nobody, for a while.
fn over(stage: &Stage, router: &Router, prefixes: &[IpNet], nodes: &[&str]) -> Result<()> {
    prefixes.iter().try_for_each(|prefix| routed(stage, router, *prefix, nodes).map(drop))
}

fn names_of_nodes(names: &[&str]) -> serde_json::Value {
    json!([{ "matchExpressions": [
        { "key": "kubernetes.io/hostname", "operator": "In", "values": names },
    ] }])
}

fn nodes(stage: &mut Stage) -> Result<()> {
    let [a, b] = two_services(stage)?;
    Link::about_both(Family::V4).join(stage)?;
    let sets: [(&[&str], &[&str]); 3] = [
        (&["node1", "node2"], &["node2", "node3"]),
        (&["node1"], &["node1", "node2"]),
        (&["node9"], &["node1", "node2"]),
    ];
    for (first, second) in sets {
        for (name, nodes) in [("a", first), ("b", second)] {
            stage.apply(&bgp_advertisement(name).spec(&json!({
                "ipAddressPools": [name], "nodeSelectors": names_of_nodes(nodes),
            })))?;
        }
        let first = if first == ["node9"] { &[][..] } else { first };
        each(stage, "advertisements choose nodes", &Software::ALL, |router| {
            over(stage, router, &a, first)?;
            over(stage, router, &b, second)
        })?;
    }
    each(stage, "advertisements choose nodes", &Software::ALL, |router| never_routed(router, &a))
}

fn by_node(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("bgp", &POOL))?;
    stage.apply(&dual("web"))?;
    let prefixes = prefixes(stage, "web")?;
    Link::about_both(Family::V4).join(stage)?;
    let sets: [(&[&str], &[&str]); 3] = [
        (&["node1", "node2"], &["node1", "node2"]),
        (&["node1"], &["node2", "node3"]),
        (&["node9"], &["node1", "node2"]),
    ];
    for (first, second) in sets {
        for (name, community, nodes) in [("a", "65535:65282", first), ("b", "65000:9", second)] {
            stage.apply(&bgp_advertisement(name).spec(&json!({
                "communities": [community], "nodeSelectors": names_of_nodes(nodes),
            })))?;
        }
        each(stage, "a community for some nodes", &Software::ALL, |router| {
            for prefix in &prefixes {
                carried_by(stage, router, *prefix, "65535:65282", first)?;
                carried_by(stage, router, *prefix, "65000:9", second)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Waits until the ways to a prefix that carry a community are exactly over these nodes.
fn carried_by(
    stage: &Stage,
    router: &Router,
    prefix: IpNet,
    community: &str,
    nodes: &[&str],
) -> Result<()> {
    let nodes = if nodes == ["node9"] { &[][..] } else { nodes };
    let what = format!("{} has {prefix} with {community} over {nodes:?}", router.name());
    ferrolb_lab::api::wait_until(&what, crate::stage::PATIENCE, || {
        let mut paths = router.paths(prefix)?;
        paths.retain(|path| path.communities.iter().any(|one| one == community));
        let hops = paths.iter().filter_map(|path| path.next_hop);
        let found = super::names(stage, hops);
        let right = found.iter().map(String::as_str).eq(nodes.iter().copied());
        Ok(if right { Ok(()) } else { Err(format!("{found:?}")) })
    })
}

fn labels(stage: &mut Stage) -> Result<()> {
    let [a, b] = two_services(stage)?;
    let advertise = |name: &str, selector: serde_json::Value| {
        let spec = json!({ "ipAddressPools": [name], "nodeSelectors": selector });
        stage.apply(&bgp_advertisement(name).spec(&spec))
    };
    advertise("a", json!([{ "matchLabels": { "e2e/a": "yes" } }]))?;
    advertise("b", json!([]))?;
    Link::about_both(Family::V4).join(stage)?;
    let feature = "labels of nodes change";
    each(stage, feature, &Software::ALL, |router| {
        over(stage, router, &b, &["node1", "node2", "node3"])?;
        over(stage, router, &a, &[])
    })?;
    stage.label_node("node1", "e2e/a", Some("yes"))?;
    each(stage, feature, &Software::ALL, |router| over(stage, router, &a, &["node1"]))?;
    advertise("a", json!([{ "matchLabels": { "e2e/b": "nobody" } }]))?;
    each(stage, feature, &Software::ALL, |router| {
        over(stage, router, &a, &[])?;
        over(stage, router, &b, &["node1", "node2", "node3"])
    })
}

fn peers(stage: &mut Stage) -> Result<()> {
    let [a, b] = two_services(stage)?;
    for (name, peer) in [("a", "router1"), ("b", "router2")] {
        let spec = json!({ "ipAddressPools": [name], "peers": [peer] });
        stage.apply(&bgp_advertisement(name).spec(&spec))?;
    }
    Link::about_both(Family::V4).join(stage)?;
    let feature = "advertisements choose peers";
    let all = ["node1", "node2", "node3"];
    each(stage, feature, &Software::ALL, |router| {
        let (own, others): (&[IpNet], Vec<IpNet>) = match router.name() {
            "router1" => (&a, b.clone()),
            "router2" => (&b, a.clone()),
            _ => (&[], [a.clone(), b.clone()].concat()),
        };
        over(stage, router, own, &all)?;
        never_routed(router, &others)
    })?;
    for name in ["a", "b"] {
        stage.apply(&bgp_advertisement(name).spec(&json!({ "peers": [] })))?;
    }
    each(stage, feature, &Software::ALL, |router| {
        over(stage, router, &a, &all)?;
        over(stage, router, &b, &all)
    })?;
    // The same pool to two routers, a community for each.
    for (name, peer, community) in [("a", "router1", "65531:1"), ("b", "router2", "65532:2")] {
        stage.apply(&bgp_advertisement(name).spec(&json!({
            "ipAddressPools": ["a"], "peers": [peer], "communities": [community],
        })))?;
    }
    each(stage, feature, &Software::ALL, |router| {
        let wanted: &[&str] = match router.name() {
            "router1" => &["65531:1"],
            "router2" => &["65532:2"],
            _ => return over(stage, router, &a, &[]),
        };
        over(stage, router, &b, &[])?;
        for prefix in &a {
            let paths = routed_by_all(stage, router, *prefix)?;
            check(paths.iter().all(|path| path.communities == wanted), || format!("{paths:?}"))?;
        }
        Ok(())
    })
}

fn peer_nodes(stage: &mut Stage) -> Result<()> {
    let link = Link::over(Family::V4);
    let set = |router: &Router, nodes: &[&str]| {
        let spec = json!({ "nodeSelectors": names_of_nodes(nodes) });
        stage.apply(&link.peer(router).spec(&spec))
    };
    for router in stage.routers() {
        router.configure(&link.config(stage, router))?;
    }
    let rounds: [[&[&str]; 3]; 3] = [
        [&["node1"], &["node2", "node3"], &["node9"]],
        [&["node1"], &["node2"], &["node1", "node2", "node3"]],
        [&["node1"], &["node2"], &["node1"]],
    ];
    for round in rounds {
        for (router, nodes) in stage.routers().iter().zip(round) {
            set(router, nodes)?;
        }
        let wanted = |router: &Router| {
            let index = stage.routers().iter().position(|one| one.name() == router.name());
            let nodes = index.and_then(|index| round.get(index)).copied().unwrap_or_default();
            if nodes == ["node9"] { &[][..] } else { nodes }
        };
        let feature = "a peer for some nodes";
        let right = |router: &Router| peered(stage, router, Family::V4, wanted(router));
        each(stage, feature, &Software::ALL, right)?;
        std::thread::sleep(QUIET / 2);
        each(stage, feature, &Software::ALL, right)?;
    }
    Ok(())
}

fn own_asns(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("bgp", &POOL))?;
    stage.apply(&bgp_advertisement("all"))?;
    stage.apply(&dual("web"))?;
    let prefixes = prefixes(stage, "web")?;
    let nodes = stage.lab().network().nodes();
    for router in stage.routers() {
        let asns = (ASN..).zip(&nodes);
        let neighbours =
            asns.clone().map(|(asn, node)| Neighbour::new(node.address(Lan::One, Family::V4), asn));
        router.configure(&Config::new(own_asn(router.software()), neighbours))?;
        for (asn, node) in asns {
            let name = format!("{}-{}", router.name(), node.name());
            let peer = Link::about_both(Family::V4).peer(router);
            stage.apply(&peer.with(&json!({ "metadata": { "name": name }, "spec": {
                "myASN": asn, "nodeSelectors": names_of_nodes(&[node.name()]),
            } })))?;
        }
    }
    each(stage, "another AS on each node", &Software::ALL, |router| {
        peered(stage, router, Family::V4, &["node1", "node2", "node3"])?;
        over(stage, router, &prefixes, &["node1", "node2", "node3"])
    })
}

fn services(stage: &mut Stage) -> Result<()> {
    let [a, b] = two_services(stage)?;
    let hidden = dual("hidden").annotate("metallb.io/address-pool", "a");
    stage.apply(&hidden.label("service", "hidden"))?;
    let hidden = prefixes(stage, "hidden")?;
    let advertise = |selectors: &[&str], pools: serde_json::Value| {
        let selectors: Vec<_> =
            selectors.iter().map(|name| json!({ "matchLabels": { "service": name } })).collect();
        let spec = json!({ "serviceSelectors": selectors, "ipAddressPoolSelectors": pools });
        stage.apply(&bgp_advertisement("some").spec(&spec))
    };
    advertise(&["a", "b"], json!([{ "matchLabels": { "pool": "a" } }]))?;
    Link::about_both(Family::V4).join(stage)?;
    let feature = "advertisements choose Services";
    let all = ["node1", "node2", "node3"];
    each(stage, feature, &Software::ALL, |router| {
        over(stage, router, &a, &all)?;
        never_routed(router, &b)?;
        never_routed(router, &hidden)
    })?;
    advertise(&["a", "b"], json!([]))?;
    each(stage, feature, &Software::ALL, |router| {
        over(stage, router, &a, &all)?;
        over(stage, router, &b, &all)?;
        over(stage, router, &hidden, &[])
    })
}

fn service_labels(stage: &mut Stage) -> Result<()> {
    let [a, b] = two_services(stage)?;
    let advertise = |name: &str| {
        let spec = json!({ "serviceSelectors": [{ "matchLabels": { "service": name } }] });
        stage.apply(&bgp_advertisement("some").spec(&spec))
    };
    advertise("a")?;
    Link::about_both(Family::V4).join(stage)?;
    let all = ["node1", "node2", "node3"];
    let only = |there: &[IpNet], gone: &[IpNet]| {
        each(stage, "labels of Services change", &Software::ALL, |router| {
            over(stage, router, there, &all)?;
            over(stage, router, gone, &[])
        })
    };
    only(&a, &b)?;
    advertise("b")?;
    only(&b, &a)?;
    for (service, label) in [("a", "b"), ("b", "a")] {
        stage.kubectl(&[
            "label",
            "service",
            service,
            &format!("service={label}"),
            "--overwrite",
        ])?;
    }
    only(&a, &b)
}

fn split(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("bgp", &["203.0.113.0/24", "2001:db8:6::/124"]))?;
    let production = json!([{ "matchLabels": { "service": "production" } }]);
    stage.apply(&bgp_advertisement("one").spec(&json!({
        "serviceSelectors": production, "communities": ["65000:300"],
    })))?;
    stage.apply(&bgp_advertisement("all").spec(&json!({
        "aggregationLength": 24, "aggregationLengthV6": 124, "communities": ["65000:400"],
    })))?;
    for name in ["production", "staged"] {
        stage.apply(&dual(name).label("service", name))?;
    }
    let (production, staged) = (prefixes(stage, "production")?, prefixes(stage, "staged")?);
    Link::about_both(Family::V4).join(stage)?;
    each(stage, "a Service alone, all as one prefix", &Software::ALL, |router| {
        for prefix in &production {
            let paths = routed_by_all(stage, router, *prefix)?;
            check(paths.iter().all(|one| one.communities == ["65000:300"]), || {
                format!("{paths:?}")
            })?;
        }
        for prefix in ["203.0.113.0/24", "2001:db8:6::/124"] {
            let paths = routed_by_all(stage, router, super::net(prefix)?)?;
            check(paths.iter().all(|one| one.communities == ["65000:400"]), || {
                format!("{paths:?}")
            })?;
        }
        never_routed(router, &staged)
    })?;
    stage.apply(&configuration("Community", "unused"))?;
    stage.kubectl(&["delete", "bgpadvertisements", "all", "-n", NAMESPACE])?;
    each(stage, "a Service alone, all as one prefix", &Software::ALL, |router| {
        over(stage, router, &[super::net("203.0.113.0/24")?], &[])?;
        over(stage, router, &production, &["node1", "node2", "node3"])
    })
}
