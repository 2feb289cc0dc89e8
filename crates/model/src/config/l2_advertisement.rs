//! One `L2Advertisement`, read and checked on its own (`layer2.md` 1.7).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ferrolb_api as api;
use ferrolb_ipam::{PoolName, Selector};

use super::problem::Fault;
use super::selectors;
use crate::rows::Labels;
use crate::verdict::Interfaces;

/// Who may announce which pools, for which Services, and on which interfaces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct L2Advertisement {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// The pools it advertises, each once; names of pools that do not act are not in it.
    pub pools: BTreeSet<PoolName>,
    /// Nodes that may announce: those any of these matches, all if there are none.
    pub node_selectors: Vec<Selector>,
    /// Interfaces to answer on.
    pub interfaces: Interfaces,
    /// Services it is for: those any of these matches, all if there are none.
    pub service_selectors: Vec<Selector>,
    /// Nodes to prefer among those that may announce.
    pub preferences: Vec<Preference>,
}

/// A weight for the nodes a selector matches.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Preference {
    /// How much.
    pub weight: i64,
    /// Whom.
    pub nodes: Selector,
}

impl L2Advertisement {
    /// The sum of the preferences for a node with `labels`; none if the node may not announce.
    pub fn weight(&self, labels: &Labels) -> Option<i64> {
        let listed = self.node_selectors.is_empty()
            || self.node_selectors.iter().any(|selector| selector.matches(labels));
        let preferred = self.preferences.iter().filter(|one| one.nodes.matches(labels));
        listed.then(|| preferred.map(|one| one.weight).sum())
    }

    /// All that decides how a pool of it is treated.
    pub(crate) fn without_pools(&self) -> impl PartialEq + use<'_> {
        let Self { name, pools: _, node_selectors, interfaces, service_selectors, preferences } =
            self;
        (name, node_selectors, interfaces, service_selectors, preferences)
    }
}

/// A valid advertisement before its pools are resolved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct AdvertisementSource {
    pool_names: BTreeSet<String>,
    pool_selectors: Vec<Selector>,
    node_selectors: Vec<Selector>,
    interfaces: Interfaces,
    service_selectors: Vec<Selector>,
    preferences: Vec<Preference>,
}

impl AdvertisementSource {
    /// Reads `object`; every fault in it is reported, not just the first.
    pub(super) fn parse(object: &api::L2Advertisement) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let spec = &object.spec;
        let mut parse_all = |field, list| selectors::parse_all(field, list, &mut faults);
        let source = Self {
            pool_selectors: parse_all(
                "spec.ipAddressPoolSelectors",
                &spec.ip_address_pool_selectors,
            ),
            node_selectors: parse_all("spec.nodeSelectors", &spec.node_selectors),
            service_selectors: parse_all("spec.serviceSelectors", &spec.service_selectors),
            interfaces: interfaces(&spec.interfaces),
            pool_names: selectors::names(
                "spec.ipAddressPools",
                &spec.ip_address_pools,
                &mut faults,
            ),
            preferences: preferences(&spec.preferred_node_selectors, &mut faults),
        };
        if faults.is_empty() { Ok(source) } else { Err(faults) }
    }

    /// The advertisement with its pools resolved among those that act.
    pub(super) fn advertisement(
        &self,
        name: &Arc<str>,
        pools: &BTreeMap<PoolName, Labels>,
    ) -> L2Advertisement {
        let all = self.pool_names.is_empty() && self.pool_selectors.is_empty();
        let chosen = |(pool, labels): &(&PoolName, &Labels)| {
            all || self.pool_names.contains(pool.as_str())
                || self.pool_selectors.iter().any(|selector| selector.matches(labels))
        };
        L2Advertisement {
            name: name.clone(),
            pools: pools.iter().filter(chosen).map(|(pool, _)| pool.clone()).collect(),
            node_selectors: self.node_selectors.clone(),
            interfaces: self.interfaces.clone(),
            service_selectors: self.service_selectors.clone(),
            preferences: self.preferences.clone(),
        }
    }
}

fn interfaces(names: &[String]) -> Interfaces {
    if names.is_empty() {
        Interfaces::All
    } else {
        Interfaces::Named(names.iter().cloned().collect())
    }
}

/// Reads the preferences. The same one twice is legal and counts twice, as upstream adds them up.
fn preferences(list: &[api::PreferredNodeSelector], faults: &mut Vec<Fault>) -> Vec<Preference> {
    let mut preferences = Vec::with_capacity(list.len());
    for (place, entry) in list.iter().enumerate() {
        let field = format!("spec.preferredNodeSelectors[{place}].preference");
        if let Some(nodes) = selectors::parse(&field, &entry.preference, faults) {
            preferences.push(Preference { weight: entry.weight.into(), nodes });
        }
    }
    preferences.sort_unstable();
    preferences
}
