//! One `BGPAdvertisement`, read and checked on its own (`bgp.md` 1.6), and what it means with the
//! pools and communities there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ferrolb_addr::{AddrRange, Family};
use ferrolb_api as api;
use ferrolb_ipam::{PoolName, Selector};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::pool::PoolSource;
use super::problem::{Fault, Kind, Problem, ProblemReason};
use super::selectors;
use crate::bgp::{Community, CommunityError, PeerName, PeerScope};
use crate::rows::Labels;

/// Which nodes tell which peers about which pools, for which Services, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BgpAdvertisement {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// `metadata.creationTimestamp`: of two that contradict each other, the older one acts.
    pub created: Option<Time>,
    /// The pools it advertises, each once; names of pools that do not act are not in it.
    pub pools: BTreeSet<PoolName>,
    /// Nodes that announce: those any of these matches, all if there are none.
    pub node_selectors: Vec<Selector>,
    /// Services it is for: those any of these matches, all if there are none.
    pub service_selectors: Vec<Selector>,
    /// Who is told.
    pub peers: PeerScope,
    /// As which prefixes.
    pub aggregation: Aggregation,
    /// `LOCAL_PREF` of the routes; none is the default of the engine.
    pub local_pref: Option<u32>,
    /// Communities of the routes.
    pub communities: BTreeSet<Community>,
}

/// Lengths of the prefixes that addresses are announced as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Aggregation {
    /// For IPv4.
    pub v4: u8,
    /// For IPv6.
    pub v6: u8,
}

impl Default for Aggregation {
    /// Each address by itself.
    fn default() -> Self {
        Self { v4: Family::V4.width(), v6: Family::V6.width() }
    }
}

impl Aggregation {
    /// The length for `family`.
    pub const fn of(self, family: Family) -> u8 {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }
}

impl BgpAdvertisement {
    /// Whether a node with `labels` announces.
    pub fn lists(&self, labels: &Labels) -> bool {
        matches_any(&self.node_selectors, labels)
    }

    /// Whether it is for a Service with `labels`.
    pub fn selects(&self, labels: &Labels) -> bool {
        matches_any(&self.service_selectors, labels)
    }

    /// All that decides how a pool of it is treated.
    pub(crate) fn without_pools(&self) -> Self {
        Self { pools: BTreeSet::new(), ..self.clone() }
    }

    /// Sorts older before younger, one that is not stored yet last.
    pub(crate) fn age(&self) -> (bool, Option<&Time>, &Arc<str>) {
        (self.created.is_none(), self.created.as_ref(), &self.name)
    }

    /// What is wrong with this one beside an `older` one of the same pool and node.
    pub(crate) fn contradicts(&self, older: &Self, pool: &PoolName) -> Problem {
        let text = |local_pref: Option<u32>| local_pref.unwrap_or_default().to_string();
        let cause = format!(
            "invalid local preference {} for pool {pool}: BGPAdvertisement {} gives the same \
             routes {}",
            text(self.local_pref),
            older.name,
            text(older.local_pref),
        );
        let fault = Fault::at("spec.localPref", &text(self.local_pref), &cause)
            .because(ProblemReason::Conflict);
        Kind::BgpAdvertisement.problem(&self.name, fault, false)
    }
}

fn matches_any(selectors: &[Selector], labels: &Labels) -> bool {
    selectors.is_empty() || selectors.iter().any(|selector| selector.matches(labels))
}

/// A valid advertisement before its references are resolved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct BgpAdvertisementSource {
    created: Option<Time>,
    pub(super) pool_names: BTreeSet<String>,
    pool_selectors: Vec<Selector>,
    node_selectors: Vec<Selector>,
    service_selectors: Vec<Selector>,
    pub(super) peers: BTreeSet<String>,
    aggregation: Aggregation,
    local_pref: Option<u32>,
    /// As written: aliases and literals.
    communities: BTreeSet<String>,
}

impl BgpAdvertisementSource {
    /// Reads `object`; every fault in it is reported, not just the first.
    pub(super) fn parse(object: &api::BGPAdvertisement) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let spec = &object.spec;
        let mut parse_all = |field, list| selectors::parse_all(field, list, &mut faults);
        let pool_selectors =
            parse_all("spec.ipAddressPoolSelectors", &spec.ip_address_pool_selectors);
        let node_selectors = parse_all("spec.nodeSelectors", &spec.node_selectors);
        let service_selectors = parse_all("spec.serviceSelectors", &spec.service_selectors);
        let mut names = |field, list| selectors::names(field, list, &mut faults);
        let pool_names = names("spec.ipAddressPools", &spec.ip_address_pools);
        let peers = names("spec.peers", &spec.peers);
        let communities = names("spec.communities", &spec.communities);
        let aggregation = aggregation(spec, &mut faults);
        let local_pref = u32::try_from(spec.local_pref).ok();
        if local_pref.is_none() {
            let range = 0..=i64::from(u32::MAX);
            faults.push(Fault::out_of_range("spec.localPref", spec.local_pref, &range));
        }
        if !service_selectors.is_empty() && aggregation != Aggregation::default() {
            let cause = "serviceSelectors and an aggregation length other than 32 (IPv4) or 128 \
                         (IPv6) are mutually exclusive";
            let fault = Fault::at("spec.serviceSelectors", "", &cause);
            faults.push(fault.because(ProblemReason::Conflict));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            created: object.metadata.creation_timestamp.clone(),
            pool_names,
            pool_selectors,
            node_selectors,
            service_selectors,
            peers,
            aggregation,
            local_pref: local_pref.filter(|local_pref| *local_pref != 0),
            communities,
        })
    }

    /// What the communities stand for: a name first, then a literal.
    pub(super) fn communities(
        &self,
        aliases: &BTreeMap<Arc<str>, Community>,
    ) -> Result<BTreeSet<Community>, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut communities = BTreeSet::new();
        for text in &self.communities {
            let found = aliases.get(text.as_str()).copied().map_or_else(|| text.parse(), Ok);
            match found {
                Ok(community) => {
                    communities.insert(community);
                }
                Err(CommunityError::Format { .. }) => {
                    let cause = format!("no Community object defines {text:?}");
                    let fault = Fault::at("spec.communities", text, &cause);
                    faults.push(fault.because(ProblemReason::DanglingReference));
                }
                Err(error) => faults.push(Fault::at("spec.communities", text, &error)),
            }
        }
        if faults.is_empty() { Ok(communities) } else { Err(faults) }
    }

    /// The advertisement with its pools resolved among those that act, and what keeps it from
    /// some of them.
    pub(super) fn advertisement(
        &self,
        name: &Arc<str>,
        pools: &BTreeMap<PoolName, PoolSource>,
        communities: BTreeSet<Community>,
    ) -> (BgpAdvertisement, Vec<(PoolName, Fault)>) {
        let all = self.pool_names.is_empty() && self.pool_selectors.is_empty();
        let chosen = |(pool, source): &(&PoolName, &PoolSource)| {
            all || self.pool_names.contains(pool.as_str())
                || self.pool_selectors.iter().any(|selector| selector.matches(&source.labels))
        };
        let mut faults = Vec::new();
        let mut covered = BTreeSet::new();
        for (pool, source) in pools.iter().filter(chosen) {
            match source.ranges.iter().find_map(|range| self.too_wide(pool, range)) {
                Some(fault) => faults.push((pool.clone(), fault)),
                None => {
                    covered.insert(pool.clone());
                }
            }
        }
        let peers = if self.peers.is_empty() {
            PeerScope::All
        } else {
            PeerScope::Named(self.peers.iter().map(|peer| PeerName::new(peer.as_str())).collect())
        };
        let advertisement = BgpAdvertisement {
            name: name.clone(),
            created: self.created.clone(),
            pools: covered,
            node_selectors: self.node_selectors.clone(),
            service_selectors: self.service_selectors.clone(),
            peers,
            aggregation: self.aggregation,
            local_pref: self.local_pref,
            communities,
        };
        (advertisement, faults)
    }

    /// An aggregate wider than every prefix of `range` would draw traffic for foreign addresses.
    fn too_wide(&self, pool: &PoolName, range: &AddrRange) -> Option<Fault> {
        let length = self.aggregation.of(range.family());
        let shortest = range.prefixes().map(|prefix| prefix.prefix_len()).min()?;
        let field = match range.family() {
            Family::V4 => "spec.aggregationLength",
            Family::V6 => "spec.aggregationLengthV6",
        };
        // Upstream's tests compare the words up to the range literally (row WH-02).
        let cause = format!(
            "invalid aggregation length {length}: prefix {shortest} in this pool is more specific \
             than the aggregation length for addresses {range} (pool {pool})"
        );
        (length < shortest)
            .then(|| Fault::at(field, &length.to_string(), &cause).because(ProblemReason::Conflict))
    }
}

fn aggregation(spec: &api::BGPAdvertisementSpec, faults: &mut Vec<Fault>) -> Aggregation {
    let mut length = |field, value: Option<i64>, family: Family| {
        let Some(value) = value else { return family.width() };
        let range = 1..=i64::from(family.width());
        if !range.contains(&value) {
            faults.push(Fault::out_of_range(field, value, &range));
        }
        u8::try_from(value).unwrap_or(family.width())
    };
    Aggregation {
        v4: length("spec.aggregationLength", spec.aggregation_length, Family::V4),
        v6: length("spec.aggregationLengthV6", spec.aggregation_length_v6, Family::V6),
    }
}
