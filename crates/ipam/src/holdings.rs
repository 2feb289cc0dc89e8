//! Who holds which address, with which ports, and under which terms others may join.
//!
//! ```text
//!   address        ──► terms, holders
//!   address · port ──► holder, where others may join
//!   terms          ──► Group: addresses held under these terms
//!                             port ──► those of them where the port is taken
//! ```
//!
//! The groups are an index over the holdings, so that an address to share is found without looking
//! at every address that could be shared.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_addr::{AddrRange, Family, IntervalSet, from_bits, to_bits};

use crate::name::ServiceKey;
use crate::port::Port;
use crate::refusal::Conflict;

/// What the holders of one address have in common.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Terms {
    /// Empty: the address is not shared.
    pub(crate) sharing_key: Arc<str>,
    pub(crate) backend_key: Arc<str>,
}

impl Terms {
    pub(crate) fn shareable(&self) -> bool {
        !self.sharing_key.is_empty()
    }

    /// Why a holder with these terms and one with `theirs` cannot hold one address.
    fn conflict(&self, theirs: &Self) -> Option<Conflict> {
        if !theirs.shareable() {
            Some(Conflict::HolderDoesNotShare)
        } else if !self.shareable() {
            Some(Conflict::AskerDoesNotShare)
        } else if self.sharing_key != theirs.sharing_key {
            Some(Conflict::SharingKey {
                theirs: theirs.sharing_key.to_string(),
                ours: self.sharing_key.to_string(),
            })
        } else if self.backend_key != theirs.backend_key {
            Some(Conflict::BackendKey)
        } else {
            None
        }
    }
}

/// All addresses in use.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Holdings {
    by_address: BTreeMap<IpAddr, Terms>,
    /// Kept apart from the ports, since a Service may have none (Q-23). Pairs, since nearly every address
    /// has one holder.
    holders: BTreeSet<(IpAddr, ServiceKey)>,
    /// Only of addresses that others may join.
    ports: BTreeMap<(IpAddr, Port), ServiceKey>,
    groups: BTreeMap<Terms, Group>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Group {
    addresses: BTreeSet<IpAddr>,
    taken: BTreeMap<(Port, Family), IntervalSet>,
}

impl Holdings {
    /// The holders of `address`, sorted.
    pub(crate) fn holders(&self, address: IpAddr) -> impl Iterator<Item = &ServiceKey> {
        let from = (address, ServiceKey::default());
        self.holders.range(from..).take_while(move |(at, _)| *at == address).map(|(_, key)| key)
    }

    /// Addresses of `range` in use, ascending.
    pub(crate) fn within(&self, range: &AddrRange) -> impl Iterator<Item = IpAddr> {
        self.by_address.range(range.first()..=range.last()).map(|(&address, _)| address)
    }

    /// Who keeps `service` from holding `address` with these terms and ports, and why. What it
    /// holds itself does not count.
    pub(crate) fn conflict(
        &self,
        address: IpAddr,
        service: &ServiceKey,
        terms: &Terms,
        ports: &[Port],
    ) -> Option<(&ServiceKey, Conflict)> {
        let other = self.holders(address).find(|holder| *holder != service)?;
        if let Some(conflict) = terms.conflict(self.by_address.get(&address)?) {
            return Some((other, conflict));
        }
        ports.iter().find_map(|port| {
            let holder = self.ports.get(&(address, *port)).filter(|holder| *holder != service)?;
            Some((holder, Conflict::Port(*port)))
        })
    }

    /// The lowest address of `range` in use that a newcomer with these terms and ports may join,
    /// and that is `acceptable`.
    ///
    /// O(log n) for each port and for each run of addresses, among those held under the same
    /// terms, where one of the ports is taken.
    pub(crate) fn lowest_shareable(
        &self,
        range: &AddrRange,
        terms: &Terms,
        ports: &[Port],
        acceptable: impl Fn(IpAddr) -> bool,
    ) -> Option<IpAddr> {
        if !terms.shareable() {
            return None;
        }
        let group = self.groups.get(terms)?;
        let (family, last) = (range.family(), range.last_bits());
        let taken: Vec<_> =
            ports.iter().filter_map(|port| group.taken.get(&(*port, family))).collect();
        let mut from = range.first_bits();
        loop {
            let first = from_bits(family, from);
            let address = *group.addresses.range(first..=range.last()).next()?;
            let bits = to_bits(address);
            let clear = taken.iter().try_fold(bits, |clear, set| set.next_gap(clear, last))?;
            if clear > bits {
                from = clear;
            } else if acceptable(address) {
                return Some(address);
            } else {
                from = bits.checked_add(1).filter(|&next| next <= last)?;
            }
        }
    }

    /// Makes `service` a holder of `address`; says whether it is the first. The caller has made
    /// sure that there is no conflict.
    pub(crate) fn add(
        &mut self,
        address: IpAddr,
        service: &ServiceKey,
        terms: &Terms,
        ports: &[Port],
    ) -> bool {
        let first = self.holders(address).next().is_none();
        self.by_address.entry(address).or_insert_with(|| terms.clone());
        self.holders.insert((address, service.clone()));
        if terms.shareable() {
            self.ports.extend(ports.iter().map(|port| ((address, *port), service.clone())));
            self.groups.entry(terms.clone()).or_default().add(address, ports);
        }
        first
    }

    /// `service` holds `address` no longer; says whether nobody does now.
    pub(crate) fn remove(&mut self, address: IpAddr, service: &ServiceKey, ports: &[Port]) -> bool {
        let Some(terms) = self.by_address.get(&address) else { return false };
        if !self.holders.remove(&(address, service.clone())) {
            return false;
        }
        let free = self.holders(address).next().is_none();
        if let Some(group) = self.groups.get_mut(terms) {
            for port in ports {
                self.ports.remove(&(address, *port));
            }
            group.remove(address, ports, free);
            if group.addresses.is_empty() {
                self.groups.remove(terms);
            }
        }
        if free {
            self.by_address.remove(&address);
        }
        free
    }
}

impl Group {
    fn add(&mut self, address: IpAddr, ports: &[Port]) {
        self.addresses.insert(address);
        for port in ports {
            let slot = (*port, Family::of(address));
            self.taken.entry(slot).or_default().insert(to_bits(address));
        }
    }

    fn remove(&mut self, address: IpAddr, ports: &[Port], free: bool) {
        if free {
            self.addresses.remove(&address);
        }
        for port in ports {
            let slot = (*port, Family::of(address));
            if let Some(set) = self.taken.get_mut(&slot) {
                set.remove(to_bits(address));
                if set.is_empty() {
                    self.taken.remove(&slot);
                }
            }
        }
    }
}
