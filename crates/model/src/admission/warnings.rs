//! What is allowed and yet seldom meant.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ferrolb_addr::Family;
use ferrolb_ipam::{Pool, PoolName, ServiceKey};

use super::{Object, Objects, Request, denies, is_about};
use crate::config::{Config, Kind, Problem};
use crate::rows::Labels;

/// Names listed in a sentence before the rest is only counted.
const NAMED_AT_MOST: usize = 5;

/// Warnings about an object that is created or changed.
pub(super) fn of_change(
    objects: &Objects<'_>,
    request: &Request,
    new: &Object,
    before: &Config,
    after: &Config,
) -> Vec<String> {
    let own = after.problems.iter().filter(|problem| is_about(problem, request));
    let dangling = after.dangling.iter().filter(|problem| is_about(problem, request));
    let mut warnings: Vec<String> = own
        .filter(|problem| !denies(problem))
        .chain(dangling)
        .map(|problem| problem.message.clone())
        .collect();
    match new {
        Object::IpAddressPool(_) => {
            if let Some(pool) = after.pools.get(request.name.as_str()) {
                warnings.extend(lost(objects, request, Some(pool)));
                warnings.extend(unannounced(pool, after));
                warnings.extend(second_default(pool, after));
            }
        }
        Object::L2Advertisement(_) => {
            let ad = after.l2_advertisements.iter().find(|ad| *ad.name == *request.name);
            warnings.extend(ad.into_iter().flat_map(|ad| {
                idle(objects, request, ad.pools.is_empty(), &|labels| ad.weight(labels).is_some())
            }));
        }
        Object::BgpAdvertisement(_) => {
            let ad = after.bgp_advertisements.iter().find(|ad| *ad.name == *request.name);
            warnings.extend(ad.into_iter().flat_map(|ad| {
                idle(objects, request, ad.pools.is_empty(), &|labels| ad.lists(labels))
            }));
        }
        Object::BgpPeer(peer) if peer.spec.disable_mp => warnings.push(format!(
            "BGPPeer {}: spec.disableMP is deprecated and has no effect",
            request.name
        )),
        _ => {}
    }
    warnings.extend(broken(request, before, after));
    warnings
}

/// Warnings about an object that is deleted.
pub(super) fn of_deletion(
    objects: &Objects<'_>,
    request: &Request,
    before: &Config,
    after: &Config,
) -> Vec<String> {
    let pool = (request.kind == Kind::IpAddressPool).then(|| lost(objects, request, None));
    pool.flatten().into_iter().chain(broken(request, before, after)).collect()
}

/// Names of one kind, as many as fit in a sentence.
pub(super) fn list(kind: &str, names: &[impl ToString]) -> String {
    let listed: Vec<String> = names.iter().take(NAMED_AT_MOST).map(ToString::to_string).collect();
    let more = names.len().saturating_sub(NAMED_AT_MOST);
    let plural = if names.len() == 1 { "" } else { "s" };
    let tail = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{kind}{plural} {}{tail}", listed.join(", "))
}

/// Services with addresses that the pool will no longer have.
fn lost(objects: &Objects<'_>, request: &Request, pool: Option<&Pool>) -> Option<String> {
    let name = &request.name;
    let goes = |address: &IpAddr| !pool.is_some_and(|pool| pool.contains(*address));
    let losers: Vec<ServiceKey> = (objects.holders)(&PoolName::new(name.as_str()))
        .into_iter()
        .filter(|holder| holder.addresses.iter().any(goes))
        .map(|holder| holder.service)
        .collect();
    (!losers.is_empty()).then(|| {
        let services = list("Service", &losers);
        format!("IPAddressPool {name}: {services} will lose the addresses that leave this pool")
    })
}

fn unannounced(pool: &Pool, after: &Config) -> Option<String> {
    let announced = after.l2_advertisements.iter().any(|ad| ad.pools.contains(&pool.name))
        || after.bgp_advertisements.iter().any(|ad| ad.pools.contains(&pool.name));
    (!announced).then(|| {
        format!(
            "IPAddressPool {}: no L2Advertisement and no BGPAdvertisement covers this pool, its \
             addresses will not be announced",
            pool.name
        )
    })
}

/// Two pools that serve whoever asks for nothing. Pools with `serviceAllocation` have an order.
fn second_default(pool: &Pool, after: &Config) -> Option<String> {
    let is_default = |pool: &&Pool| pool.auto_assign && pool.pinning.is_none();
    if !is_default(&pool) {
        return None;
    }
    let families = |pool: &Pool| -> BTreeSet<Family> {
        pool.ranges.iter().map(ferrolb_addr::AddrRange::family).collect()
    };
    let own = families(pool);
    let others: Vec<&PoolName> = after
        .pools
        .values()
        .filter(|other| other.name != pool.name)
        .filter(is_default)
        .filter(|other| !families(other).is_disjoint(&own))
        .map(|other| &other.name)
        .collect();
    (!others.is_empty()).then(|| {
        let pools = list("pool", &others);
        format!(
            "IPAddressPool {}: Services that ask for no pool also get addresses from {pools}; set \
             autoAssign: false on all but one, or serviceAllocation.priority",
            pool.name
        )
    })
}

/// An advertisement that no pool or no node is in.
fn idle(
    objects: &Objects<'_>,
    request: &Request,
    no_pool: bool,
    lists: &dyn Fn(&Labels) -> bool,
) -> Vec<String> {
    let (kind, name) = (request.kind, &request.name);
    let no_node =
        !objects.nodes.is_empty() && !objects.nodes.values().any(|node| lists(&node.labels));
    let pools = no_pool.then(|| format!("{kind} {name}: no IPAddressPool matches it"));
    let nodes = no_node.then(|| format!("{kind} {name}: no node matches its nodeSelectors"));
    pools.into_iter().chain(nodes).collect()
}

/// What the change makes wrong with other objects.
fn broken(request: &Request, before: &Config, after: &Config) -> Vec<String> {
    let all = |config: &Config| -> BTreeSet<Problem> {
        config.problems.iter().chain(&config.dangling).cloned().collect()
    };
    let (before, after) = (all(before), all(after));
    let new = after.difference(&before).filter(|problem| !is_about(problem, request));
    new.take(NAMED_AT_MOST).map(|problem| problem.message.clone()).collect()
}
