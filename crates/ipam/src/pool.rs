//! A pool: ranges of addresses, and who may use them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ferrolb_addr::AddrRange;

use crate::Labels;
use crate::name::{PoolName, ServiceKey};
use crate::numbering::is_buggy;
use crate::refusal::{Excerpt, Why};
use crate::selector::Selector;

/// One `IPAddressPool`, parsed. Pools are expected not to overlap; the allocator stays correct when
/// they do, since it tracks the use of an address and not of a pool's copy of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pool {
    /// `metadata.name`.
    pub name: PoolName,
    /// `spec.addresses`, in that order: an earlier range is used up before a later one.
    pub ranges: Vec<AddrRange>,
    /// `spec.autoAssign`: whether Services get addresses of it without asking for the pool or for
    /// an address of it.
    pub auto_assign: bool,
    /// `spec.avoidBuggyIPs`: IPv4 addresses that end in 0 or 255 do not belong to the pool.
    pub avoid_buggy_ips: bool,
    /// `spec.serviceAllocation`. A pinned pool is tried before those that are not.
    pub pinning: Option<Pinning>,
}

/// `spec.serviceAllocation`: whom a pool is kept for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pinning {
    /// Lower positive numbers are tried first, everything else last.
    pub priority: i64,
    /// The namespaces whose Services may use the pool: those named and those whose labels match
    /// now. `None` is any; an empty set, as left by selectors that match nothing, is none.
    pub namespaces: Option<BTreeSet<String>>,
    /// At least one must match the labels of the Service; an empty list is any.
    pub service_selectors: Vec<Selector>,
}

impl Pool {
    /// Whether `address` belongs to the pool.
    pub fn contains(&self, address: IpAddr) -> bool {
        !self.avoids(address) && self.ranges.iter().any(|range| range.contains(address))
    }

    /// Whether `address`, if it lies in a range of the pool, is left out all the same.
    pub(crate) fn avoids(&self, address: IpAddr) -> bool {
        self.avoid_buggy_ips && is_buggy(address)
    }

    /// Why the pool is not for `service` with these labels, if it is not.
    pub(crate) fn turns_away(&self, service: &ServiceKey, labels: &Labels) -> Option<Why> {
        let pinning = self.pinning.as_ref()?;
        match &pinning.namespaces {
            Some(none) if none.is_empty() => return Some(Why::Closed),
            Some(some) if !some.contains(&*service.namespace) => {
                return Some(Why::OtherNamespaces { allowed: Excerpt::of(some.iter()) });
            }
            _ => {}
        }
        let selectors = &pinning.service_selectors;
        (!selectors.is_empty() && !selectors.iter().any(|selector| selector.matches(labels)))
            .then(|| Why::OtherLabels { allowed: Excerpt::of(selectors.iter()) })
    }

    /// Same addresses, whoever may use them.
    pub(crate) fn same_extent(&self, other: &Self) -> bool {
        self.ranges == other.ranges && self.avoid_buggy_ips == other.avoid_buggy_ips
    }

    /// Place in the order in which pools are tried: pinned before open, lower positive priority
    /// first, any other priority last, then by name.
    pub(crate) fn rank(&self) -> (bool, bool, i64, &PoolName) {
        let priority = self.pinning.as_ref().map_or(0, |pinning| pinning.priority.max(0));
        (self.pinning.is_none(), priority == 0, priority, &self.name)
    }
}
