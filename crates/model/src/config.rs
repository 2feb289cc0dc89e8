//! API objects to a configuration that can be acted on.
//!
//! Validity is judged per object: a bad one never stops the others. An object that is or becomes
//! invalid keeps acting in its last valid version for as long as the process lives, which is what
//! the previous [`Config`] is for; without one it is left out. Each fault is a [`Problem`].
//!
//! ```text
//!  IPAddressPool ──parse──► PoolSource ──settle overlaps──► acting sources ──┐
//!  L2Advertisement ──parse──► AdvertisementSource ───────────────────────────┼──► Config
//!  BGPPeer, BFDProfile, Community, BGPAdvertisement ──parse──► (see bgp.rs) ──┤
//!  Namespace ────────────────────────────────────────────────────────────────┘
//! ```
//!
//! References are resolved last and on every build, so a held version still follows its
//! Namespaces and pools. Nodes are not resolved here: their labels change far more often than the
//! configuration, so the snapshot does it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_addr::AddrRange;
use ferrolb_api as api;
use ferrolb_ipam::{Pool, PoolName};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::bgp::{BfdProfile, Community, Peer, PeerName};
use crate::rows::{Labels, Namespace};

mod bfd_profile;
mod bgp;
mod bgp_advertisement;
mod bgp_peer;
mod community;
mod duration;
mod l2_advertisement;
mod overlap;
mod pool;
mod problem;
mod selectors;

use bgp_advertisement::BgpAdvertisementSource;
pub use bgp_advertisement::{Aggregation, BgpAdvertisement};
use community::CommunitySource;
use l2_advertisement::AdvertisementSource;
pub use l2_advertisement::{L2Advertisement, Preference};
pub(crate) use overlap::already_defined;
use pool::PoolSource;
pub(crate) use pool::readable_ranges;
pub(crate) use problem::Fault;
pub use problem::{Kind, Problem, ProblemReason};

/// The API objects a configuration is made from, by name.
#[derive(Clone, Debug, Default)]
pub struct ConfigObjects {
    /// Pools in the configuration namespace.
    pub pools: BTreeMap<String, api::IPAddressPool>,
    /// Layer 2 advertisements in the configuration namespace.
    pub l2_advertisements: BTreeMap<String, api::L2Advertisement>,
    /// BGP advertisements in the configuration namespace.
    pub bgp_advertisements: BTreeMap<String, api::BGPAdvertisement>,
    /// Peers in the configuration namespace.
    pub peers: BTreeMap<String, api::BGPPeer>,
    /// BFD profiles in the configuration namespace.
    pub bfd_profiles: BTreeMap<String, api::BFDProfile>,
    /// Communities in the configuration namespace.
    pub communities: BTreeMap<String, api::Community>,
    /// All Namespaces of the cluster.
    pub namespaces: BTreeMap<Arc<str>, Namespace>,
}

impl ConfigObjects {
    /// The metadata of an object, if there is such an object.
    pub fn metadata(&self, kind: Kind, name: &str) -> Option<&ObjectMeta> {
        match kind {
            Kind::IpAddressPool => self.pools.get(name).map(|object| &object.metadata),
            Kind::L2Advertisement => self.l2_advertisements.get(name).map(|o| &o.metadata),
            Kind::BgpAdvertisement => self.bgp_advertisements.get(name).map(|o| &o.metadata),
            Kind::BgpPeer => self.peers.get(name).map(|object| &object.metadata),
            Kind::BfdProfile => self.bfd_profiles.get(name).map(|object| &object.metadata),
            Kind::Community => self.communities.get(name).map(|object| &object.metadata),
        }
    }
}

/// A configuration in which everything that acts is valid. Two are equal if they mean the same
/// and have the same problems; order never depends on how the objects were read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Config {
    /// The pools that act.
    pub pools: BTreeMap<PoolName, Pool>,
    /// `metadata.labels` of the pools that act.
    pub pool_labels: BTreeMap<PoolName, Labels>,
    /// The advertisements that act, by name.
    pub l2_advertisements: Vec<L2Advertisement>,
    /// The BGP advertisements that act, by name.
    pub bgp_advertisements: Vec<BgpAdvertisement>,
    /// The peers that act. Two with the same address act on different nodes, see
    /// [`crate::bgp::peers_here`].
    pub peers: BTreeMap<PeerName, Peer>,
    /// The BFD profiles that act.
    pub bfd_profiles: BTreeMap<Arc<str>, BfdProfile>,
    /// What names of communities stand for.
    pub communities: BTreeMap<Arc<str>, Community>,
    /// What is wrong, by kind, name and place in the object.
    pub problems: Vec<Problem>,
    /// Names of pools and peers in advertisements that belong to no object. As upstream has it,
    /// that is not wrong, but it is seldom meant.
    pub dangling: Vec<Problem>,
    /// Pools that exist, are invalid and have no valid version that could act, with those of
    /// their ranges that can be read. Addresses held from them are neither cleared nor given away.
    pub held_invalid: BTreeMap<PoolName, Vec<AddrRange>>,
    pool_sources: BTreeMap<PoolName, PoolSource>,
    advertisement_sources: BTreeMap<Arc<str>, AdvertisementSource>,
    bgp_advertisement_sources: BTreeMap<Arc<str>, BgpAdvertisementSource>,
    community_sources: BTreeMap<Arc<str>, CommunitySource>,
}

impl Config {
    /// Makes the configuration that `objects` describe. `previous` is the configuration that acts
    /// now; it lends the last valid versions of what is invalid.
    pub fn build(objects: &ConfigObjects, previous: Option<&Self>) -> Self {
        let mut config = Self::default();
        config.take_pools(objects, previous);
        config.take_advertisements(objects, previous);
        config.resolve(&objects.namespaces);
        config.take_bgp(objects, previous);
        config.find_dangling(objects);
        config.problems.sort();
        config.dangling.sort();
        config
    }

    /// A left-out pool that lists `address`.
    pub fn left_out_at(&self, address: IpAddr) -> Option<&PoolName> {
        self.held_invalid
            .iter()
            .find(|(_, ranges)| ranges.iter().any(|range| range.contains(address)))
            .map(|(pool, _)| pool)
    }

    /// The left-out pool that a Service got its `addresses` from, told by the annotation the
    /// controller wrote or else by the addresses. While it is left out, they must stay as they are.
    pub fn left_out_holder(
        &self,
        allocated_from: Option<&str>,
        addresses: &[IpAddr],
    ) -> Option<&PoolName> {
        allocated_from
            .and_then(|pool| self.held_invalid.get_key_value(pool))
            .map(|(pool, _)| pool)
            .or_else(|| addresses.iter().find_map(|address| self.left_out_at(*address)))
    }

    fn take_pools(&mut self, objects: &ConfigObjects, previous: Option<&Self>) {
        let mut candidates = Vec::new();
        for (name, object) in &objects.pools {
            let name = PoolName::new(name.as_str());
            let acting = previous.and_then(|config| config.pool_sources.get(&name)).cloned();
            match PoolSource::parse(object) {
                Ok(source) => candidates.push(overlap::Candidate {
                    created: object.metadata.creation_timestamp.clone(),
                    name,
                    source,
                    acting,
                }),
                Err(faults) => {
                    let problem =
                        |fault| Kind::IpAddressPool.problem(&name, fault, acting.is_some());
                    self.problems.extend(faults.into_iter().map(problem));
                    if let Some(source) = acting {
                        self.pool_sources.insert(name, source);
                    } else {
                        self.held_invalid.insert(name, pool::readable_ranges(object));
                    }
                }
            }
        }
        let settled = overlap::settle(&self.pool_sources, candidates);
        self.pool_sources.extend(settled.acting);
        self.held_invalid.extend(settled.left_out);
        self.problems.extend(settled.problems);
    }

    fn take_advertisements(&mut self, objects: &ConfigObjects, previous: Option<&Self>) {
        for (name, object) in &objects.l2_advertisements {
            let name: Arc<str> = name.as_str().into();
            let source = match AdvertisementSource::parse(object) {
                Ok(source) => Some(source),
                Err(faults) => {
                    let acting =
                        previous.and_then(|config| config.advertisement_sources.get(&name));
                    let problem =
                        |fault| Kind::L2Advertisement.problem(&name, fault, acting.is_some());
                    self.problems.extend(faults.into_iter().map(problem));
                    acting.cloned()
                }
            };
            self.advertisement_sources.extend(source.map(|source| (name, source)));
        }
    }

    fn resolve(&mut self, namespaces: &BTreeMap<Arc<str>, Namespace>) {
        for (name, source) in &self.pool_sources {
            self.pools.insert(name.clone(), source.pool(name, namespaces));
            self.pool_labels.insert(name.clone(), source.labels.clone());
        }
        self.l2_advertisements = self
            .advertisement_sources
            .iter()
            .map(|(name, source)| source.advertisement(name, &self.pool_labels))
            .collect();
    }
}

#[cfg(test)]
mod tests;
