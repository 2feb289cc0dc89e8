//! The BGP advertisements as they concern this node.
//!
//! Of two that contradict each other for the whole of a pool, the older acts and the younger is
//! left out for that pool: a new object never silences what another one announced before. Those
//! with service selectors can only be compared Service by Service, see [`crate::bgp::decide_bgp`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ferrolb_ipam::{PoolName, ServiceKey};

use super::Snapshot;
use crate::bgp::conflict;
use crate::config::{BgpAdvertisement, Config, Problem};
use crate::rows::Labels;

/// What acts on this node, by pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct BgpRules {
    /// Pools that some advertisement covers, on this node or another one.
    covered: BTreeSet<PoolName>,
    /// Without their pools.
    acting: BTreeMap<PoolName, Vec<Arc<BgpAdvertisement>>>,
    refused: Vec<Problem>,
}

impl BgpRules {
    /// What of `config` concerns a node with `labels`; nothing as long as the node is not known.
    fn new(config: &Config, labels: Option<&Labels>) -> Self {
        let mut rules = Self {
            covered: config.bgp_advertisements.iter().flat_map(|ad| &ad.pools).cloned().collect(),
            ..Self::default()
        };
        let Some(labels) = labels else { return rules };
        let mut here: Vec<&BgpAdvertisement> =
            config.bgp_advertisements.iter().filter(|ad| ad.lists(labels)).collect();
        here.sort_by(|one, other| one.age().cmp(&other.age()));
        for ad in here {
            let shared = Arc::new(ad.without_pools());
            for pool in &ad.pools {
                let acting = rules.acting.entry(pool.clone()).or_default();
                let opponent = acting
                    .iter()
                    .filter(|one| {
                        one.service_selectors.is_empty() && ad.service_selectors.is_empty()
                    })
                    .find(|one| conflict(config, pool, one, ad));
                match opponent {
                    Some(older) => rules.refused.push(ad.contradicts(older, pool)),
                    None => acting.push(shared.clone()),
                }
            }
        }
        rules.acting.retain(|_, ads| !ads.is_empty());
        rules
    }

    /// Whether some advertisement covers `pool`, wherever.
    pub(crate) fn covers(&self, pool: &PoolName) -> bool {
        self.covered.contains(pool)
    }

    /// The advertisements of `pool` that act here.
    pub(crate) fn of(&self, pool: &PoolName) -> &[Arc<BgpAdvertisement>] {
        self.acting.get(pool).map_or(&[], Vec::as_slice)
    }

    /// The pools that are announced from here.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &PoolName> {
        self.acting.keys()
    }

    /// Advertisements that do not act here because they contradict older ones.
    pub(crate) fn refused(&self) -> &[Problem] {
        &self.refused
    }
}

impl Snapshot {
    /// Looks at the advertisements and this node anew. Returns the Services of pools that are
    /// treated otherwise now.
    pub(super) fn apply_bgp_rules(&mut self) -> BTreeSet<ServiceKey> {
        let Some(config) = &self.config else { return BTreeSet::new() };
        let labels = self.nodes.get(&self.settings.own).map(|node| &node.labels);
        let rules = BgpRules::new(config, labels);
        let old = std::mem::replace(&mut self.bgp_rules, rules);
        let new = &self.bgp_rules;
        let pools: BTreeSet<&PoolName> = old.covered.union(&new.covered).collect();
        let changed = pools
            .into_iter()
            .filter(|pool| old.covers(pool) != new.covers(pool) || old.of(pool) != new.of(pool));
        self.services_in(changed).cloned().collect()
    }
}
