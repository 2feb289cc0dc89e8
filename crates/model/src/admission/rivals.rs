//! The incoming object beside those that exist: what two objects must not both say.
//!
//! While running, the older of two objects wins. Here the incoming one is refused whatever its age,
//! because it is the one that can still be kept out.

use std::collections::BTreeSet;

use ferrolb_ipam::{NodeName, PoolName};

use super::{Object, Objects, Request};
use crate::bgp::{Peer, conflict};
use crate::config::{BgpAdvertisement, Config, already_defined, readable_ranges};
use crate::ranges::RangeTable;
use crate::rows::Labels;

/// A pool with addresses of another pool, valid or not.
pub(super) fn overlap(objects: &Objects<'_>, request: &Request, new: &Object) -> Option<String> {
    let Object::IpAddressPool(new) = new else { return None };
    let mut taken = RangeTable::default();
    for (name, pool) in objects.config.pools.iter().filter(|(name, _)| **name != request.name) {
        let pool_name = PoolName::new(name.as_str());
        for range in readable_ranges(pool) {
            // Pools that overlap each other already are no fault of this one.
            if taken.overlap(&range).is_none() {
                taken.insert(range, &pool_name);
            }
        }
    }
    readable_ranges(new).iter().find_map(|range| {
        let (other, pool) = taken.overlap(range)?;
        Some(format!("IPAddressPool {}: {}", request.name, already_defined(range, &other, pool)))
    })
}

/// A name of a community, the address of a router or a local preference that another object claims.
pub(super) fn contradiction(
    objects: &Objects<'_>,
    request: &Request,
    new: &Object,
    after: &Config,
) -> Option<String> {
    match new {
        Object::Community(new) => defined_before(objects, request, new),
        Object::BgpPeer(_) => peer_before(objects, after.peers.get(request.name.as_str())?, after),
        Object::BgpAdvertisement(_) => {
            let ads = &after.bgp_advertisements;
            preferred_before(objects, ads.iter().find(|ad| *ad.name == *request.name)?, after)
        }
        _ => None,
    }
}

fn defined_before(
    objects: &Objects<'_>,
    request: &Request,
    new: &ferrolb_api::Community,
) -> Option<String> {
    let others = objects.config.communities.iter().filter(|(name, _)| **name != request.name);
    let taken = others.flat_map(|(owner, object)| {
        object.spec.communities.iter().map(move |alias| (&alias.name, owner))
    });
    taken.into_iter().find_map(|(alias, owner)| {
        let again = new.spec.communities.iter().any(|own| own.name == *alias);
        let name = &request.name;
        again.then(|| {
            format!("Community {name}: duplicate definition of community {alias:?} (Community {owner} has it)")
        })
    })
}

fn peer_before(objects: &Objects<'_>, new: &Peer, after: &Config) -> Option<String> {
    let others = after.peers.values().filter(|peer| peer.name != new.name);
    let mut same = others.filter(|peer| peer.address == new.address);
    same.find_map(|peer| {
        let shared = objects.nodes.values().find(|n| peer.is_for(&n.labels) && new.is_for(&n.labels));
        let place = match shared {
            Some(node) => format!("node {}", node.name),
            // Without nodes nothing says that they are apart.
            None if objects.nodes.is_empty() => "some node".to_owned(),
            None => return None,
        };
        let (name, address) = (&new.name, new.address);
        let other = &peer.name;
        Some(format!(
            "BGPPeer {name}: a peer with address {address} already exists on {place}: BGPPeer {other}"
        ))
    })
}

fn preferred_before(
    objects: &Objects<'_>,
    new: &BgpAdvertisement,
    after: &Config,
) -> Option<String> {
    let nodes = |ad: &BgpAdvertisement| -> BTreeSet<&NodeName> {
        let listed = |labels: &Labels| ad.lists(labels);
        objects.nodes.values().filter(|node| listed(&node.labels)).map(|node| &node.name).collect()
    };
    let here = nodes(new);
    let others = after.bgp_advertisements.iter().filter(|ad| ad.name != new.name);
    // Those with selectors are compared Service by Service, when they are announced.
    let whole = |ad: &&BgpAdvertisement| {
        ad.service_selectors.is_empty() && new.service_selectors.is_empty()
    };
    others.filter(whole).find_map(|ad| {
        let pool = ad.pools.intersection(&new.pools).find(|pool| conflict(after, pool, ad, new))?;
        let meet = !nodes(ad).is_disjoint(&here);
        meet.then(|| new.contradicts(ad, pool).message)
    })
}
