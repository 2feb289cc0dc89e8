//! Which addresses the API server shows for which Services, or might.
//!
//! A decision takes effect in memory at once and at the API server later. Whoever is given an
//! address that another Service still shows waits here until that is over, so that no two Services
//! ever show it at once, whatever order their writes arrive in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ferrolb_ipam::ServiceKey;

/// The index.
#[derive(Debug, Default)]
pub(super) struct Exposure {
    of: BTreeMap<ServiceKey, BTreeSet<IpAddr>>,
    at: BTreeMap<IpAddr, BTreeSet<ServiceKey>>,
    /// Who waits until an address is shown by nobody else.
    behind: BTreeMap<IpAddr, BTreeSet<ServiceKey>>,
}

impl Exposure {
    /// `service` shows `addresses` and nothing else. Returns who waited for what it shows no more.
    pub(super) fn set(
        &mut self,
        service: &ServiceKey,
        addresses: BTreeSet<IpAddr>,
    ) -> BTreeSet<ServiceKey> {
        let mut woken = BTreeSet::new();
        let before = self.of.remove(service).unwrap_or_default();
        for ip in before.difference(&addresses) {
            if let Some(services) = self.at.get_mut(ip) {
                services.remove(service);
                if services.is_empty() {
                    self.at.remove(ip);
                }
            }
            woken.extend(self.take_behind(*ip));
        }
        for ip in addresses.difference(&before) {
            self.at.entry(*ip).or_default().insert(service.clone());
        }
        if !addresses.is_empty() {
            self.of.insert(service.clone(), addresses);
        }
        woken
    }

    /// What `service` shows.
    pub(super) fn of(&self, service: &ServiceKey) -> impl Iterator<Item = IpAddr> {
        self.of.get(service).into_iter().flatten().copied()
    }

    /// Who shows `ip`.
    pub(super) fn at(&self, ip: IpAddr) -> impl Iterator<Item = &ServiceKey> {
        self.at.get(&ip).into_iter().flatten()
    }

    /// `service` waits until nobody else shows `ip`.
    pub(super) fn wait(&mut self, ip: IpAddr, service: &ServiceKey) {
        self.behind.entry(ip).or_default().insert(service.clone());
    }

    /// Who waits for `ip`; they are to be decided about again.
    pub(super) fn take_behind(&mut self, ip: IpAddr) -> BTreeSet<ServiceKey> {
        self.behind.remove(&ip).unwrap_or_default()
    }
}
