//! What `examples/bgp` promises.

use ferrolb_addr::Family;
use ferrolb_lab::api::{Ref, wait_until};
use ferrolb_lab::router::{Bfd, Config, Neighbour, Software};
use ferrolb_lab::{NAMESPACE, Result};
use ipnet::IpNet;

use super::{ASN, Link, case, each, net, never_routed, own_asn, reached, routed_by_all};
use crate::stage::{PATIENCE, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[case(
    "example",
    "two routers with a password and BFD; each Service with communities, all as one prefix to one router",
    example,
)];

/// What the example's Secret holds.
const PASSWORD: &str = "put-your-own-here";

fn example(stage: &mut Stage) -> Result<()> {
    let link = Link::over(Family::V4);
    for router in stage.routers().iter().filter(|router| router.software().forwards()) {
        let neighbours = stage.lab().network().nodes().into_iter().map(|node| Neighbour {
            families: vec![Family::V4],
            password: Some(PASSWORD.to_owned()),
            bfd: Some(Bfd { interval: 300, multiplier: 3 }),
            ..Neighbour::new(node.address(ferrolb_lab::plan::Lan::One, Family::V4), ASN)
        });
        router.configure(&Config::new(own_asn(router.software()), neighbours))?;
    }
    stage.example("bgp")?;
    let outcome = promised(stage, &link);
    stage.api().delete(Ref::new("Secret", NAMESPACE, "routers"))?;
    outcome
}

fn promised(stage: &Stage, link: &Link) -> Result<()> {
    let address = stage.address("web")?;
    let (service, whole) = (IpNet::from(address), net("203.0.113.0/28")?);
    each(stage, "examples/bgp", &Software::FORWARDING, |router| {
        link.is_up(stage, router)?;
        wait_until(&format!("BFD of {} is up", router.name()), PATIENCE, || {
            let up = router.bfd()?.iter().filter(|session| session.is_up).count();
            Ok(if up == stage.nodes().len() { Ok(()) } else { Err(up) })
        })?;
        let ways = routed_by_all(stage, router, service)?;
        let has = ways.iter().all(|way| {
            way.communities == ["65535:65281"] && way.large_communities == ["64512:1:7"]
        });
        check(has, || format!("{ways:?}"))?;
        if router.software() == Software::Frr {
            let ways = routed_by_all(stage, router, whole)?;
            check(ways.iter().all(|way| way.communities.is_empty()), || format!("{ways:?}"))?;
        } else {
            never_routed(router, &[whole])?;
        }
        reached(router, address)
    })
}
