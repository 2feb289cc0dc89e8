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
    /// Pool, Service, addresses.
    holders: BTreeMap<PoolName, BTreeMap<ServiceKey, Vec<IpAddr>>>,
    pool_of: BTreeMap<ServiceKey, PoolName>,
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
            let holders = known.holders.get(pool).into_iter().flatten();
            holders
                .map(|(service, addresses)| Holder {
                    service: service.clone(),
                    addresses: addresses.clone(),
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

    /// A Service is there, or gone.
    pub(super) fn service(&self, key: &ServiceKey, service: Option<&Service>) {
        let mut known = self.known.write();
        if let Some(pool) = known.pool_of.remove(key)
            && let Some(services) = known.holders.get_mut(&pool)
        {
            services.remove(key);
        }
        let Some(service) = service else { return };
        let pool = service.annotations.allocated_from_pool.as_deref().map(PoolName::from);
        let texts = service.ingress.iter().filter_map(|entry| entry.ip.as_deref());
        let addresses: Vec<IpAddr> = texts.filter_map(|text| text.parse().ok()).collect();
        if let Some(pool) = pool.filter(|_| !addresses.is_empty()) {
            known.holders.entry(pool.clone()).or_default().insert(key.clone(), addresses);
            known.pool_of.insert(key.clone(), pool);
        }
    }
}
