//! BGP, seen from real routers: FRR, BIRD and `GoBGP` beside the nodes, clients behind them.
//!
//! A case ties the speakers to all routers by one [`Link`], applies what a user applies, and asks each
//! router: its sessions, its routes and their attributes, its kernel's next hops, and a client behind
//! it. What was found goes into the table of [`crate::interop`], by router.

mod abuse;
mod attributes;
mod example;
mod faults;
mod routes;
mod selectors;
mod sessions;
mod truth;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::thread;
use std::time::Instant;

use ferrolb_addr::Family;
use ferrolb_lab::api::wait_until;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::router::{Config, Neighbour, Path, Router, Software};
use ferrolb_lab::{Error, Host, Result};
use ipnet::IpNet;
use serde_json::{Value, json};

use super::case;
use crate::interop::{FAILED, WORKS};
use crate::manifest::{Manifest, configuration, pool, service};
use crate::stage::{PATIENCE, QUIET, Stage, check, fail};
use crate::suite::Case;

/// All cases about routers.
pub(super) const PARTS: &[&[Case]] = &[
    routes::CASES,
    attributes::CASES,
    selectors::CASES,
    sessions::CASES,
    truth::CASES,
    abuse::CASES,
    example::CASES,
    faults::CASES,
];

/// The AS of the cluster.
const ASN: u32 = 64_512;

/// Addresses of the pool most cases use; on no LAN.
const POOL: [&str; 2] = ["203.0.113.0/28", "2001:db8:6::/124"];

/// The AS of a router that is not in the cluster's.
fn own_asn(software: Software) -> u32 {
    match software {
        Software::Frr => 64_601,
        Software::Bird => 64_602,
        Software::GoBgp => 64_603,
    }
}

/// How the speakers and every router are tied.
#[derive(Clone, Debug)]
struct Link {
    /// What sessions run over.
    transport: Family,
    /// Whether routers are in the cluster's AS.
    is_internal: bool,
    /// More of the spec of each `BGPPeer`.
    peer: Value,
    /// The rest of what a router has to know about each node.
    tune: fn(&mut Neighbour),
}

impl Link {
    /// External sessions over a family, about that family.
    fn over(transport: Family) -> Self {
        let tune: fn(&mut Neighbour) = match transport {
            Family::V4 => |neighbour| neighbour.families = vec![Family::V4],
            Family::V6 => |neighbour| neighbour.families = vec![Family::V6],
        };
        Self { transport, is_internal: false, peer: json!({}), tune }
    }

    /// External sessions over a family, about both.
    fn about_both(transport: Family) -> Self {
        let peer = json!({ "dualStackAddressFamily": true });
        Self { transport, is_internal: false, peer, tune: |_| {} }
    }

    /// Sessions inside of one AS.
    fn internal(mut self) -> Self {
        self.is_internal = true;
        self
    }

    /// With more in each `BGPPeer`.
    fn with(mut self, spec: &Value) -> Self {
        if let (Some(own), Some(more)) = (self.peer.as_object_mut(), spec.as_object()) {
            own.extend(more.clone());
        }
        self
    }

    /// With another idea of each node at the routers.
    fn tuned(mut self, tune: fn(&mut Neighbour)) -> Self {
        self.tune = tune;
        self
    }

    fn asn(&self, router: &Router) -> u32 {
        if self.is_internal { ASN } else { own_asn(router.software()) }
    }

    /// What a router does.
    fn config(&self, stage: &Stage, router: &Router) -> Config {
        let nodes = stage.lab().network().nodes().into_iter();
        let neighbours = nodes.map(|node| {
            let mut neighbour = Neighbour::new(node.address(Lan::One, self.transport), ASN);
            (self.tune)(&mut neighbour);
            neighbour
        });
        Config::new(self.asn(router), neighbours)
    }

    /// The `BGPPeer` of a router, which is called as the router.
    fn peer(&self, router: &Router) -> Manifest {
        configuration("BGPPeer", router.name())
            .with(&json!({ "apiVersion": "metallb.io/v1beta2" }))
            .spec(&json!({
                "myASN": ASN,
                "peerASN": self.asn(router),
                "peerAddress": router.address(self.transport),
            }))
            .spec(&self.peer)
    }

    /// Starts the routers and applies a `BGPPeer` for each.
    fn tie(&self, stage: &Stage) -> Result<()> {
        for router in stage.routers() {
            router.configure(&self.config(stage, router))?;
        }
        stage.routers().iter().try_for_each(|router| stage.apply(&self.peer(router)))
    }

    /// As [`Self::tie`], and waits until every node has a session with every router.
    fn join(&self, stage: &Stage) -> Result<()> {
        self.tie(stage)?;
        stage.routers().iter().try_for_each(|router| self.is_up(stage, router))
    }

    /// Waits until a router has a session with every node.
    fn is_up(&self, stage: &Stage, router: &Router) -> Result<()> {
        let nodes = stage.nodes();
        let nodes: Vec<_> = nodes.iter().map(String::as_str).collect();
        peered(stage, router, self.transport, &nodes)
    }
}

/// Waits until a router has sessions with these nodes and no others.
fn peered(stage: &Stage, router: &Router, family: Family, nodes: &[&str]) -> Result<()> {
    let wanted = addresses(stage, family, nodes)?;
    wait_until(&format!("{} has sessions with {nodes:?}", title(router)), PATIENCE, || {
        let sessions = router.sessions()?;
        let up: BTreeSet<_> = sessions.iter().filter(|one| one.is_up).map(|one| one.peer).collect();
        Ok(if up == wanted { Ok(()) } else { Err(format!("{up:?}; {sessions:?}")) })
    })
}

/// Does something with every router of these kinds, and notes what came of it.
fn each(
    stage: &Stage,
    feature: &'static str,
    kinds: &[Software],
    look: impl Fn(&Router) -> Result<()>,
) -> Result<()> {
    each_says(stage, feature, kinds, |router| look(router).map(|()| WORKS.to_owned()))
}

/// As [`each`], with words of its own for the table.
fn each_says(
    stage: &Stage,
    feature: &'static str,
    kinds: &[Software],
    look: impl Fn(&Router) -> Result<String>,
) -> Result<()> {
    let mut first = Ok(());
    for router in stage.routers().iter().filter(|router| kinds.contains(&router.software())) {
        let result = look(router);
        let words = result.as_ref().map_or(FAILED, String::as_str);
        stage.interop().note(feature, router.software(), words);
        if let Err(error) = result {
            first = first.and(Err(fail(format!("{}: {error}", title(router)))));
        }
    }
    first
}

fn title(router: &Router) -> String {
    format!("{} ({})", router.name(), router.software())
}

/// Addresses of nodes on the LAN.
fn addresses(stage: &Stage, family: Family, nodes: &[&str]) -> Result<BTreeSet<IpAddr>> {
    nodes.iter().map(|node| Ok(stage.lab().host(node)?.address(Lan::One, family))).collect()
}

fn family(address: IpAddr) -> Family {
    if address.is_ipv4() { Family::V4 } else { Family::V6 }
}

/// A prefix as it stands in a case.
fn net(text: &str) -> Result<IpNet> {
    text.parse().map_err(|error| fail(format!("{text}: {error}")))
}

/// Waits until a router knows ways to a prefix over exactly these nodes, and forwards to exactly
/// them; no nodes: until it knows none. Returns the ways.
fn routed(stage: &Stage, router: &Router, prefix: IpNet, nodes: &[&str]) -> Result<Vec<Path>> {
    wait_until(&format!("{} routes {prefix} over {nodes:?}", title(router)), PATIENCE, || {
        Ok(ways(stage, router, prefix, nodes)?.ok_or_else(|| format!("{:?}", router.paths(prefix))))
    })
}

/// The ways to a prefix, if they are these, fresh, and in force.
fn ways(
    stage: &Stage,
    router: &Router,
    prefix: IpNet,
    nodes: &[&str],
) -> Result<Option<Vec<Path>>> {
    let paths = router.paths(prefix)?;
    let is_fresh = paths.iter().all(|path| path.origin_is_igp && !path.is_stale);
    let hops = paths.iter().filter_map(|path| path.next_hop);
    let are_right = names(stage, hops).iter().map(String::as_str).eq(nodes.iter().copied());
    let is_in_force = !router.software().forwards() || {
        let hops = router.kernel_next_hops(prefix)?;
        names(stage, hops).iter().map(String::as_str).eq(nodes.iter().copied())
    };
    Ok((is_fresh && are_right && is_in_force).then_some(paths))
}

/// Whose addresses on the LAN these are; either family's, because a next hop may be of the other one
/// than the prefix (RFC 8950).
fn names(stage: &Stage, addresses: impl IntoIterator<Item = IpAddr>) -> BTreeSet<String> {
    let nodes = stage.lab().network().nodes();
    let name = |address: IpAddr| {
        let is_own = |node: &&&Host| {
            node.address(Lan::One, family(address)) == address || link_local(node) == address
        };
        let owner = nodes.iter().find(is_own);
        owner.map_or_else(|| address.to_string(), |node| node.name().to_owned())
    };
    addresses.into_iter().map(name).collect()
}

/// What the kernel makes of a node's hardware address (RFC 4291, appendix A); FRR forwards to it
/// where it is told both kinds.
fn link_local(node: &Host) -> IpAddr {
    let mac = node.mac(Lan::One).0;
    let mut octets = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 0];
    octets[8..11].copy_from_slice(&mac[..3]);
    octets[13..].copy_from_slice(&mac[3..]);
    octets[8] ^= 2;
    Ipv6Addr::from(octets).into()
}

/// As [`routed`], over all nodes.
fn routed_by_all(stage: &Stage, router: &Router, prefix: IpNet) -> Result<Vec<Path>> {
    let nodes = stage.nodes();
    let nodes: Vec<_> = nodes.iter().map(String::as_str).collect();
    routed(stage, router, prefix, &nodes)
}

/// Looks for a while whether a router does without these prefixes.
fn never_routed(router: &Router, prefixes: &[IpNet]) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < QUIET / 2 {
        for prefix in prefixes {
            let paths = router.paths(*prefix)?;
            check(paths.is_empty(), || format!("{} knows {prefix}: {paths:?}", title(router)))?;
        }
        thread::sleep(QUIET / 10);
    }
    Ok(())
}

/// Waits until a client behind a router gets an answer of a backend over TCP port 80.
fn reached(router: &Router, address: IpAddr) -> Result<()> {
    if !router.software().forwards() {
        return Ok(());
    }
    let server = SocketAddr::new(address, 80);
    let far = router.far()?;
    wait_until(&format!("{} reaches {server}", far.name()), PATIENCE, || {
        Ok(Stage::curl_from(far, server).map(drop).map_err(|error: Error| error.to_string()))
    })
}

/// An advertisement of every pool to every peer.
fn bgp_advertisement(name: &str) -> Manifest {
    configuration("BGPAdvertisement", name).spec(&json!({}))
}

/// The pool of most cases, and an advertisement of it.
fn announce(stage: &Stage) -> Result<()> {
    stage.apply(&pool("bgp", &POOL))?;
    stage.apply(&bgp_advertisement("bgp"))
}

/// A Service of one family.
fn single(name: &str, family: Family) -> Manifest {
    service(name).families("SingleStack", &[word(family)])
}

/// A Service of both families.
fn dual(name: &str) -> Manifest {
    service(name).families("RequireDualStack", &["IPv4", "IPv6"])
}

fn word(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}
