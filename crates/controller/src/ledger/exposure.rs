//! Which addresses the API server shows for which Services, or might.
//!
//! A decision takes effect in memory at once and at the API server later. Whoever is given an
//! address that another Service still shows waits here until that is over, so that no two Services
//! ever show it at once, whatever order their writes arrive in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ferrolb_ipam::ServiceKey;

/// The address before all others.
const LOWEST: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The index.
#[derive(Debug, Default)]
pub(super) struct Exposure {
    /// Pairs, since nearly every Service shows one address, and nearly every address is shown by one.
    of: BTreeSet<(ServiceKey, IpAddr)>,
    at: BTreeSet<(IpAddr, ServiceKey)>,
    /// Who waits until an address is shown by nobody else.
    behind: BTreeMap<IpAddr, BTreeSet<ServiceKey>>,
}

impl Exposure {
    /// `service` shows `addresses` and nothing else. Returns who waited for what it shows no more.
    pub(super) fn set(
        &mut self,
        service: &ServiceKey,
        addresses: &BTreeSet<IpAddr>,
    ) -> BTreeSet<ServiceKey> {
        let mut woken = BTreeSet::new();
        let before: BTreeSet<IpAddr> = self.of(service).collect();
        for ip in before.difference(addresses) {
            self.of.remove(&(service.clone(), *ip));
            self.at.remove(&(*ip, service.clone()));
            woken.extend(self.take_behind(*ip));
        }
        for ip in addresses.difference(&before) {
            self.of.insert((service.clone(), *ip));
            self.at.insert((*ip, service.clone()));
        }
        woken
    }

    /// What `service` shows.
    pub(super) fn of(&self, service: &ServiceKey) -> impl Iterator<Item = IpAddr> {
        let from = (service.clone(), LOWEST);
        self.of.range(from..).take_while(move |(of, _)| of == service).map(|(_, ip)| *ip)
    }

    /// Who shows `ip`.
    pub(super) fn at(&self, ip: IpAddr) -> impl Iterator<Item = &ServiceKey> {
        let from = (ip, ServiceKey::default());
        self.at.range(from..).take_while(move |(at, _)| *at == ip).map(|(_, service)| service)
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
