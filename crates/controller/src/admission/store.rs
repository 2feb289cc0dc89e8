//! What exists, as far as admission asks.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ferrolb_ipam::{NodeName, PoolName, ServiceKey};
use ferrolb_model::admission::{Holder, Objects};
use ferrolb_model::{ConfigObjects, Node, Service};
use parking_lot::RwLock;

/// The objects, kept by watches and read by reviews.
#[derive(Debug)]
pub struct Store {
    namespace: String,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    config: ConfigObjects,
    nodes: BTreeMap<NodeName, Node>,
    shares: BTreeMap<ServiceKey, Share>,
}

/// What a Service has of a pool.
#[derive(Debug)]
pub struct Share {
    pool: PoolName,
    addresses: Box<[IpAddr]>,
}

impl Share {
    /// What `service` has, if it has something.
    pub fn of(service: &Service) -> Option<Self> {
        let pool = service.annotations.allocated_from_pool.as_deref()?.into();
        let texts = service.ingress.iter().filter_map(|entry| entry.ip.as_deref());
        let addresses: Box<[IpAddr]> = texts.filter_map(|text| text.parse().ok()).collect();
        (!addresses.is_empty()).then_some(Self { pool, addresses })
    }
}

impl Store {
    /// An empty store of the configuration in `namespace`.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), known: RwLock::default() }
    }

    /// Lets `judge` look at everything at one moment.
    pub fn with_objects<T>(&self, judge: impl FnOnce(&Objects<'_>) -> T) -> T {
        let known = self.known.read();
        let holders = |pool: &PoolName| -> Vec<Holder> {
            let shares = known.shares.iter().filter(|(_, share)| share.pool == *pool);
            shares
                .map(|(service, share)| Holder {
                    service: service.clone(),
                    addresses: share.addresses.to_vec(),
                })
                .collect()
        };
        judge(&Objects {
            namespace: &self.namespace,
            config: &known.config,
            nodes: &known.nodes,
            holders: &holders,
        })
    }

    /// Changes the configuration.
    pub(super) fn change(&self, change: impl FnOnce(&mut ConfigObjects)) {
        change(&mut self.known.write().config);
    }

    /// A Node is there, or gone.
    pub(super) fn node(&self, name: NodeName, node: Option<Node>) {
        super::watches::set(&mut self.known.write().nodes, name, node);
    }

    /// A Service has something of a pool, or nothing.
    pub fn service(&self, key: ServiceKey, share: Option<Share>) {
        super::watches::set(&mut self.known.write().shares, key, share);
    }
}
