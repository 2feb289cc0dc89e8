//! Whom a change of one node concerns.
//!
//! A verdict reads other nodes only through the election. So a change of node X can alter it only
//! where X is the owner, where X now comes before the owner, where nobody owns the Service, or
//! where X is this node. Everything else is left alone, however many Services there are.

use std::collections::BTreeSet;

use ferrolb_ipam::{NodeName, PoolName, ServiceKey};

use super::Snapshot;
use crate::decide::Subject;
use crate::verdict::{Outcome, Reason, Verdict};

impl Snapshot {
    /// Services of `pools` whose verdict the change of `node`, already taken over, can alter.
    /// `pools` are those in whose advertisements the node is, or was, listed.
    pub(super) fn concerned_by(
        &self,
        node: &NodeName,
        pools: &BTreeSet<PoolName>,
    ) -> BTreeSet<ServiceKey> {
        if pools.is_empty() {
            return BTreeSet::new();
        }
        if *node == self.settings.own {
            return self.services_in(pools).cloned().collect();
        }
        let in_pools = |key: &&ServiceKey| {
            let pool = self.entry(key).and_then(|entry| entry.pool.as_ref());
            pool.is_some_and(|pool| pools.contains(pool))
        };
        let owned = self.owned_by(Some(node)).filter(in_pools);
        let unowned = self.owned_by(None).filter(in_pools).filter(|key| self.waits_for_node(key));
        let mut keys: BTreeSet<ServiceKey> = owned.chain(unowned).cloned().collect();
        if self.unfit(node).is_none() {
            keys.extend(self.services_in(pools).filter(|key| self.is_won_by(key, node)).cloned());
        }
        keys
    }

    pub(super) fn services_in<'a>(
        &'a self,
        pools: impl IntoIterator<Item = &'a PoolName>,
    ) -> impl Iterator<Item = &'a ServiceKey> {
        pools.into_iter().filter_map(|pool| self.services_of.get(&Some(pool.clone()))).flatten()
    }

    /// The Services that `node` owns as seen from here, or that nobody does.
    pub fn owned_by(&self, node: Option<&NodeName>) -> impl Iterator<Item = &ServiceKey> {
        self.services_by_owner.get(&node.cloned()).into_iter().flatten()
    }

    /// Whether node `rival`, which announces `key` as this node does, comes before it in the election:
    /// both computed the same and differ in whom they take for dead, so only names can settle it.
    pub fn outranks(&self, key: &ServiceKey, rival: &NodeName) -> bool {
        let own = &self.settings.own;
        Subject::admit(self, key).is_ok_and(|subject| subject.outranks(rival, own))
    }

    /// Nobody owns it, and the nodes are why.
    fn waits_for_node(&self, key: &ServiceKey) -> bool {
        let outcome = self.verdict(key).map(|verdict| &verdict.outcome);
        matches!(
            outcome,
            Some(Outcome::Silent(
                Reason::NoEligibleNodes { .. } | Reason::NoMatchingAdvertisement { .. }
            ))
        )
    }

    /// `node` would take `key` from its owner.
    fn is_won_by(&self, key: &ServiceKey, node: &NodeName) -> bool {
        let Some(Verdict { owner: Some(owner), .. }) = self.verdict(key) else { return false };
        owner != node && Subject::admit(self, key).is_ok_and(|subject| subject.prefers(node, owner))
    }
}
