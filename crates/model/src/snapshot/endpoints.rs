//! Where a Service can be served, over all of its slices.

use std::collections::{BTreeMap, BTreeSet};

use ferrolb_ipam::{NodeName, ServiceKey};

use crate::rows::{EndpointSlice, SliceKey};

/// Endpoint slices, and by the Service they belong to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoints {
    slices: BTreeMap<SliceKey, Box<EndpointSlice>>,
    by_service: BTreeSet<(ServiceKey, SliceKey)>,
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
        self.slices(service).any(|slice| slice.nodes.binary_search(node).is_ok())
    }

    pub(super) fn facts(&self, service: &ServiceKey, local_traffic_only: bool) -> Facts {
        let nodes = self.slices(service).flat_map(|slice| &*slice.nodes).cloned();
        Facts {
            can_serve: self.can_serve(service),
            nodes: if local_traffic_only { nodes.collect() } else { BTreeSet::new() },
        }
    }

    /// The Service that slice `key` belongs to.
    pub(super) fn service_of(&self, key: &SliceKey) -> Option<&ServiceKey> {
        self.slice(key).map(|slice| &slice.service)
    }

    pub(super) fn set(&mut self, key: SliceKey, slice: Option<EndpointSlice>) {
        if let Some(old) = self.slices.remove(&key) {
            self.by_service.remove(&(old.service, key.clone()));
        }
        if let Some(slice) = slice {
            self.by_service.insert((slice.service.clone(), key.clone()));
            self.slices.insert(key, Box::new(slice));
        }
    }

    pub(super) fn slice(&self, key: &SliceKey) -> Option<&EndpointSlice> {
        self.slices.get(key).map(|slice| &**slice)
    }

    /// By name.
    pub(super) fn slices(&self, service: &ServiceKey) -> impl Iterator<Item = &EndpointSlice> {
        let first = (service.clone(), SliceKey::default());
        let keys = self.by_service.range(first..).take_while(move |(of, _)| of == service);
        keys.filter_map(|(_, key)| self.slice(key))
    }
}
