//! Where a Service can be served, over all of its slices.

use std::collections::{BTreeMap, BTreeSet};

use ferrolb_ipam::{NodeName, ServiceKey};

use crate::rows::{EndpointSlice, SliceKey};

/// Endpoint slices by the Service they belong to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoints {
    service_of: BTreeMap<SliceKey, ServiceKey>,
    slices_of: BTreeMap<ServiceKey, BTreeMap<SliceKey, EndpointSlice>>,
}

/// All that a decision can read about a Service's endpoints.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Facts {
    can_serve: bool,
    /// Empty where the traffic policy does not ask for it.
    nodes: BTreeSet<NodeName>,
}

impl Endpoints {
    /// Some endpoint can serve, wherever it is.
    pub(crate) fn can_serve(&self, service: &ServiceKey) -> bool {
        self.slices(service).any(|slice| slice.can_serve)
    }

    /// Some endpoint on `node` can serve.
    pub(crate) fn can_serve_on(&self, service: &ServiceKey, node: &NodeName) -> bool {
        self.slices(service).any(|slice| slice.nodes.contains(node))
    }

    pub(super) fn facts(&self, service: &ServiceKey, local_traffic_only: bool) -> Facts {
        let nodes = self.slices(service).flat_map(|slice| &slice.nodes).cloned();
        Facts {
            can_serve: self.can_serve(service),
            nodes: if local_traffic_only { nodes.collect() } else { BTreeSet::new() },
        }
    }

    /// The Service that slice `key` belongs to.
    pub(super) fn service_of(&self, key: &SliceKey) -> Option<&ServiceKey> {
        self.service_of.get(key)
    }

    pub(super) fn set(&mut self, key: SliceKey, slice: Option<EndpointSlice>) {
        if let Some(service) = self.service_of.remove(&key)
            && let Some(slices) = self.slices_of.get_mut(&service)
        {
            slices.remove(&key);
            if slices.is_empty() {
                self.slices_of.remove(&service);
            }
        }
        if let Some(slice) = slice {
            self.service_of.insert(key.clone(), slice.service.clone());
            self.slices_of.entry(slice.service.clone()).or_default().insert(key, slice);
        }
    }

    pub(super) fn slice(&self, key: &SliceKey) -> Option<&EndpointSlice> {
        self.slices_of.get(self.service_of.get(key)?)?.get(key)
    }

    pub(super) fn slices(&self, service: &ServiceKey) -> impl Iterator<Item = &EndpointSlice> {
        self.slices_of.get(service).into_iter().flat_map(BTreeMap::values)
    }
}
