//! One `IPAddressPool`, read and checked on its own (`api.md` 3.4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ferrolb_addr::AddrRange;
use ferrolb_api::{IPAddressPool, ServiceAllocation};
use ferrolb_ipam::{Pinning, Pool, PoolName, Selector};

use super::problem::{Fault, ProblemReason};
use super::selectors;
use crate::ranges::RangeTable;
use crate::rows::{Labels, Namespace};

/// A valid pool before its references are resolved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct PoolSource {
    pub(super) labels: Labels,
    pub(super) ranges: Vec<AddrRange>,
    auto_assign: bool,
    avoid_buggy_ips: bool,
    allocation: Option<Allocation>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Allocation {
    priority: i64,
    namespaces: BTreeSet<String>,
    namespace_selectors: Vec<Selector>,
    service_selectors: Vec<Selector>,
}

impl PoolSource {
    /// Reads `object`; every fault in it is reported, not just the first.
    pub(super) fn parse(object: &IPAddressPool) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let spec = &object.spec;
        let ranges = parse_ranges(&spec.addresses, &mut faults);
        let allocation =
            spec.service_allocation.as_ref().map(|spec| Allocation::parse(spec, &mut faults));
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            labels: object.metadata.labels.clone().unwrap_or_default().into(),
            ranges,
            auto_assign: spec.auto_assign,
            avoid_buggy_ips: spec.avoid_buggy_ips,
            allocation,
        })
    }

    /// The pool the allocator works with, its namespaces resolved.
    pub(super) fn pool(&self, name: &PoolName, namespaces: &BTreeMap<Arc<str>, Namespace>) -> Pool {
        Pool {
            name: name.clone(),
            ranges: self.ranges.clone(),
            auto_assign: self.auto_assign,
            avoid_buggy_ips: self.avoid_buggy_ips,
            pinning: self.allocation.as_ref().map(|allocation| allocation.pinning(namespaces)),
        }
    }
}

impl Allocation {
    fn parse(spec: &ServiceAllocation, faults: &mut Vec<Fault>) -> Self {
        let field = |name| format!("spec.serviceAllocation.{name}");
        Self {
            priority: spec.priority,
            namespaces: selectors::names(&field("namespaces"), &spec.namespaces, faults),
            namespace_selectors: selectors::parse_all(
                &field("namespaceSelectors"),
                &spec.namespace_selectors,
                faults,
            ),
            service_selectors: selectors::parse_all(
                &field("serviceSelectors"),
                &spec.service_selectors,
                faults,
            ),
        }
    }

    /// Selectors that match no Namespace close the pool; they do not open it to all.
    fn pinning(&self, namespaces: &BTreeMap<Arc<str>, Namespace>) -> Pinning {
        let selected = namespaces
            .values()
            .filter(|row| self.namespace_selectors.iter().any(|one| one.matches(&row.labels)))
            .map(|row| row.name.to_string());
        let restricted = !self.namespaces.is_empty() || !self.namespace_selectors.is_empty();
        Pinning {
            priority: self.priority,
            namespaces: restricted
                .then(|| self.namespaces.iter().cloned().chain(selected).collect()),
            service_selectors: self.service_selectors.clone(),
        }
    }
}

/// The ranges of an invalid pool that can be read nevertheless.
pub(crate) fn readable_ranges(object: &IPAddressPool) -> Vec<AddrRange> {
    object.spec.addresses.iter().filter_map(|text| text.parse().ok()).collect()
}

fn parse_ranges(addresses: &[String], faults: &mut Vec<Fault>) -> Vec<AddrRange> {
    if addresses.is_empty() {
        let fault = Fault::new("spec.addresses", "", "pool has no prefixes defined".to_owned());
        faults.push(fault.because(ProblemReason::Missing));
    }
    let this_pool = PoolName::new("");
    let mut table = RangeTable::default();
    let mut ranges = Vec::with_capacity(addresses.len());
    for (place, text) in addresses.iter().enumerate() {
        let field = format!("spec.addresses[{place}]");
        match text.parse::<AddrRange>() {
            Ok(range) => {
                if let Some((other, _)) = table.overlap(&range) {
                    let cause = format!("{range} overlaps {other}, which the pool lists before");
                    faults.push(Fault::at(&field, text, &cause).because(ProblemReason::Overlap));
                } else {
                    table.insert(range, &this_pool);
                }
                ranges.push(range);
            }
            Err(error) => faults.push(Fault::at(&field, text, &error)),
        }
    }
    ranges
}
