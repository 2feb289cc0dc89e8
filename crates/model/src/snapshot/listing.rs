//! An advertisement with the nodes it lists now.

use std::collections::BTreeMap;

use ferrolb_ipam::{NodeName, PoolName};

use crate::config::L2Advertisement;
use crate::rows::Node;

/// An [`L2Advertisement`] and, for each node it lists, the weight it gives to that node.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    pub(crate) rule: L2Advertisement,
    weights: BTreeMap<NodeName, i64>,
}

impl Listing {
    pub(super) fn new<'a>(
        rule: L2Advertisement,
        nodes: impl IntoIterator<Item = &'a Node>,
    ) -> Self {
        let weights = nodes
            .into_iter()
            .filter_map(|node| Some((node.name.clone(), rule.weight(&node.labels)?)))
            .collect();
        Self { rule, weights }
    }

    /// The weight of `node`, none if it is not listed.
    pub(crate) fn weight(&self, node: &NodeName) -> Option<i64> {
        self.weights.get(node).copied()
    }

    /// The listed nodes and their weights.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&NodeName, i64)> {
        self.weights.iter().map(|(node, weight)| (node, *weight))
    }

    /// The pools it advertises.
    pub(super) fn pools(&self) -> impl Iterator<Item = &PoolName> {
        self.rule.pools.iter()
    }

    /// Takes over what became of node `name`; whether that made a difference.
    pub(super) fn update(&mut self, name: &NodeName, node: Option<&Node>) -> bool {
        let before = self.weight(name);
        let after = node.and_then(|node| self.rule.weight(&node.labels));
        match after {
            Some(weight) => {
                self.weights.insert(name.clone(), weight);
            }
            None => {
                self.weights.remove(name);
            }
        }
        before != after
    }
}
