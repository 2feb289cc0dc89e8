//! The routers this node holds sessions with, and what contradicts itself on this node.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ferrolb_addr::Family;
use ferrolb_ipam::PoolName;

use super::Peer;
use crate::config::{BgpAdvertisement, Config, Problem};
use crate::rows::Labels;
use crate::snapshot::Snapshot;

/// The peers this node holds sessions with, by name. Two peers with the same address cannot both
/// act on one node; the older one does. To be asked again after a change of the configuration or of
/// this Node; nothing else alters it.
pub fn peers_here(snapshot: &Snapshot) -> Vec<&Peer> {
    let (mut acting, _) = settle(snapshot);
    acting.sort_by(|one, other| one.name.cmp(&other.name));
    acting
}

/// Objects that are valid, but do not act on this node, because older ones stand against them:
/// peers with the address of another one, advertisements with another local preference.
pub fn refused_here(snapshot: &Snapshot) -> Vec<Problem> {
    let (_, mut refused) = settle(snapshot);
    refused.extend(snapshot.bgp_rules().refused().iter().cloned());
    refused.sort();
    refused
}

fn settle(snapshot: &Snapshot) -> (Vec<&Peer>, Vec<Problem>) {
    let no_labels = Labels::new();
    let own = snapshot.node(&snapshot.settings().own);
    let labels = own.map_or(&no_labels, |node| &node.labels);
    let peers = snapshot.config().into_iter().flat_map(|config| config.peers.values());
    let mut here: Vec<&Peer> = peers.filter(|peer| peer.is_for(labels)).collect();
    here.sort_by(|one, other| one.age().cmp(&other.age()));

    let mut at: BTreeMap<IpAddr, &Peer> = BTreeMap::new();
    let mut refused = Vec::new();
    let mut acting = Vec::new();
    for peer in here {
        if let Some(older) = at.get(&peer.address) {
            refused.push(peer.duplicates(older));
        } else {
            at.insert(peer.address, peer);
            acting.push(peer);
        }
    }
    (acting, refused)
}

/// Whether two advertisements of `pool` that list the same node give the same route different local
/// preferences to the same peer (`bgp.md` 1.6, L1 to L5).
pub(crate) fn conflict(
    config: &Config,
    pool: &PoolName,
    one: &BgpAdvertisement,
    other: &BgpAdvertisement,
) -> bool {
    let ranges = config.pools.get(pool).map_or(&[][..], |pool| &pool.ranges);
    let same_routes = Family::BOTH.into_iter().any(|family| {
        ranges.iter().any(|range| range.family() == family)
            && one.aggregation.of(family) == other.aggregation.of(family)
    });
    one.local_pref != other.local_pref && same_routes && !one.peers.is_disjoint(&other.peers)
}
