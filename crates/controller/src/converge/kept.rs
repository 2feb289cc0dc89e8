//! Addresses of pools that are invalid: whoever holds one keeps it, and nobody else gets it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ferrolb_ipam::ServiceKey;

/// Who keeps what.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    of: BTreeMap<ServiceKey, Vec<IpAddr>>,
    at: BTreeMap<IpAddr, BTreeSet<ServiceKey>>,
}

impl Kept {
    /// `service` keeps `addresses` and nothing else. Returns whether it kept some before, and
    /// whether that is a change.
    pub(crate) fn set(&mut self, service: &ServiceKey, addresses: &[IpAddr]) -> (bool, bool) {
        let before = self.of.remove(service).unwrap_or_default();
        let changed = before != addresses;
        if changed {
            for ip in &before {
                if let Some(services) = self.at.get_mut(ip) {
                    services.remove(service);
                    if services.is_empty() {
                        self.at.remove(ip);
                    }
                }
            }
            for ip in addresses {
                self.at.entry(*ip).or_default().insert(service.clone());
            }
        }
        if !addresses.is_empty() {
            self.of.insert(service.clone(), addresses.to_vec());
        }
        (!before.is_empty(), changed)
    }

    /// All who keep something.
    pub(crate) fn services(&self) -> impl Iterator<Item = &ServiceKey> {
        self.of.keys()
    }

    /// All addresses somebody keeps, and the first of those who do.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (IpAddr, &ServiceKey)> {
        self.at.iter().filter_map(|(ip, services)| Some((*ip, services.first()?)))
    }

    /// What `service` keeps.
    pub(crate) fn by(&self, service: &ServiceKey) -> &[IpAddr] {
        self.of.get(service).map(Vec::as_slice).unwrap_or_default()
    }

    /// Another Service than `service` that keeps `ip`.
    pub(crate) fn by_another(&self, service: &ServiceKey, ip: IpAddr) -> Option<&ServiceKey> {
        self.at.get(&ip)?.iter().find(|other| *other != service)
    }
}
