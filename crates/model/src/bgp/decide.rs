//! One Service, this node, one verdict for BGP (`bgp.md` 1.2).

use ferrolb_ipam::{PoolName, ServiceKey};
use ipnet::IpNet;

use super::{Attributes, Route, conflict};
use crate::config::BgpAdvertisement;
use crate::gates::{self, Admitted};
use crate::snapshot::Snapshot;
use crate::verdict::{AdvertisementLack, Reason};

/// What this node tells its routers about a Service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The Service is announced.
    Announce {
        /// The pool that holds every address of the Service.
        pool: PoolName,
        /// What is told, and to whom.
        routes: Vec<Route>,
    },
    /// It is not.
    Silent(Reason),
}

impl Verdict {
    /// Why nothing is announced, if so.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Announce { .. } => None,
            Self::Silent(reason) => Some(reason),
        }
    }

    /// The routes; none when silent.
    pub fn routes(&self) -> &[Route] {
        match self {
            Self::Announce { routes, .. } => routes,
            Self::Silent(_) => &[],
        }
    }
}

/// What the snapshot's own node tells about Service `key`, and why not if nothing.
pub fn decide_bgp(snapshot: &Snapshot, key: &ServiceKey) -> Verdict {
    match consider(snapshot, key) {
        Ok((pool, routes)) => Verdict::Announce { pool, routes },
        Err(reason) => Verdict::Silent(reason),
    }
}

/// The routes of Service `key` from this node; none if it is not announced.
pub fn routes(snapshot: &Snapshot, key: &ServiceKey) -> Vec<Route> {
    consider(snapshot, key).map(|(_, routes)| routes).unwrap_or_default()
}

fn consider(snapshot: &Snapshot, key: &ServiceKey) -> Result<(PoolName, Vec<Route>), Reason> {
    let Admitted { service, addresses, pool, .. } = gates::admit(snapshot, key)?;
    let own = &snapshot.settings().own;
    let lack = |lack| Reason::NoBgpAdvertisement { pool: pool.clone(), lack };

    let rules = snapshot.bgp_rules();
    let here = rules.of(pool);
    if here.is_empty() {
        return Err(lack(if rules.covers(pool) {
            AdvertisementLack::Node { node: own.clone() }
        } else {
            AdvertisementLack::Pool
        }));
    }
    let matching: Vec<&BgpAdvertisement> =
        here.iter().map(|ad| &**ad).filter(|ad| ad.selects(&service.labels)).collect();
    if matching.is_empty() {
        return Err(lack(AdvertisementLack::Service));
    }
    check_agreement(snapshot, pool, &matching)?;
    if let Some(exclusion) = snapshot.barred(own) {
        return Err(Reason::excluded(own.clone(), exclusion));
    }
    let endpoints = snapshot.endpoints();
    if service.local_traffic_only && !endpoints.can_serve_on(key, own) {
        return Err(Reason::NoLocalEndpoints { node: own.clone() });
    }
    if !endpoints.can_serve(key) {
        return Err(Reason::NoEndpoints);
    }

    let mut routes: Vec<Route> = matching
        .iter()
        .flat_map(|ad| addresses.iter().map(move |address| (ad, *address)))
        .filter_map(|(ad, address)| {
            let length = ad.aggregation.of(ferrolb_addr::Family::of(address));
            let prefix = IpNet::new(address, length).ok()?.trunc();
            let attributes =
                Attributes { local_pref: ad.local_pref, communities: ad.communities.clone() };
            Some(Route { prefix, peers: ad.peers.clone(), attributes })
        })
        .collect();
    routes.sort_unstable();
    routes.dedup();
    Ok((pool.clone(), routes))
}

/// The advertisements of one Service must agree on the local preference of each route.
fn check_agreement(
    snapshot: &Snapshot,
    pool: &PoolName,
    ads: &[&BgpAdvertisement],
) -> Result<(), Reason> {
    let Some(config) = snapshot.config() else { return Err(Reason::NoConfig) };
    for (place, one) in ads.iter().enumerate() {
        let others = ads.iter().skip(place + 1);
        if let Some(other) = others.into_iter().find(|other| conflict(config, pool, one, other)) {
            let (one, other) = (one.name.clone(), other.name.clone());
            return Err(Reason::ConflictingAdvertisements { one, other });
        }
    }
    Ok(())
}
