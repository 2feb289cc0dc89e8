//! The gates a Service passes before either protocol looks at it (`bgp.md` 1.1, `layer2.md` 1.2).

use std::net::IpAddr;

use ferrolb_ipam::{PoolName, ServiceKey};

use crate::class;
use crate::rows::Service;
use crate::snapshot::Snapshot;
use crate::verdict::Reason;

/// A Service of ours that has addresses of one pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted<'a> {
    pub(crate) service: &'a Service,
    /// Of the status, in order; at least one.
    pub(crate) addresses: &'a [IpAddr],
    pub(crate) first_address: IpAddr,
    /// Holds them all.
    pub(crate) pool: &'a PoolName,
}

/// Passes Service `key` through the gates, in upstream's order.
pub(crate) fn admit<'a>(snapshot: &'a Snapshot, key: &ServiceKey) -> Result<Admitted<'a>, Reason> {
    let Some(entry) = snapshot.entry(key) else { return Err(Reason::ServiceDeleted) };
    let service = &entry.service;
    let ours = &snapshot.settings().class;
    if !service.is_load_balancer {
        return Err(Reason::NotLoadBalancer);
    }
    if !class::handles(ours.as_deref(), service.class.as_deref()) {
        return Err(Reason::OtherClass { service: service.class.clone(), ours: ours.clone() });
    }
    let Some(config) = snapshot.config() else { return Err(Reason::NoConfig) };
    let addresses =
        entry.addresses.as_deref().map_err(|value| Reason::InvalidIp { value: value.clone() })?;
    let Some(first_address) = addresses.first().copied() else {
        return Err(Reason::NoIpAllocated);
    };
    let Some(pool) = &entry.pool else {
        return Err(Reason::IpNotAllowed {
            addresses: addresses.to_vec(),
            invalid_pool: addresses.iter().find_map(|ip| config.left_out_at(*ip)).cloned(),
        });
    };
    Ok(Admitted { service, addresses, first_address, pool })
}
