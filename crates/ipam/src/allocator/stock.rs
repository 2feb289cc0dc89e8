//! Pools in the allocator: what is kept beside each, and how a new set of pools takes over.

use std::collections::{BTreeMap, BTreeSet};

use ferrolb_addr::{AddrRange, Family};

use crate::counters::Counters;
use crate::name::{PoolName, ServiceKey};
use crate::numbering::Numbering;
use crate::pool::Pool;
use crate::reserved::Reserved;
use crate::territory::Territory;

use super::{Allocator, Moved, PoolsChange};

/// From this many addresses on, a range counts as [`Counters::MAX`], as upstream's prefixes do.
const BEYOND_COUNTING: u128 = 1 << 62;

/// A pool and what is in use of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Stock {
    pub(super) pool: Pool,
    /// Usable addresses, saturating.
    pub(super) capacity: PerFamily,
    /// Distinct addresses of it in use, also when taken from another pool that overlaps.
    pub(super) used: PerFamily,
    /// Services whose addresses are recorded as coming from here.
    pub(super) services: BTreeSet<ServiceKey>,
}

/// A number for each family.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct PerFamily([i64; 2]);

impl PerFamily {
    pub(super) fn of(self, family: Family) -> i64 {
        self.0[family as usize]
    }

    pub(super) fn of_mut(&mut self, family: Family) -> &mut i64 {
        &mut self.0[family as usize]
    }
}

impl Stock {
    fn new(pool: Pool) -> Self {
        let mut capacity = PerFamily::default();
        for range in &pool.ranges {
            let sum = capacity.of_mut(range.family());
            *sum = sum.saturating_add(size(range, pool.avoid_buggy_ips));
        }
        Self { pool, capacity, used: PerFamily::default(), services: BTreeSet::new() }
    }

    pub(super) fn counters(&self) -> Counters {
        let available = |family| (self.capacity.of(family) - self.used.of(family)).max(0);
        Counters {
            assigned_v4: self.used.of(Family::V4),
            assigned_v6: self.used.of(Family::V6),
            available_v4: available(Family::V4),
            available_v6: available(Family::V6),
        }
    }
}

/// How many addresses of `range` can be given out.
fn size(range: &AddrRange, avoid_buggy_ips: bool) -> i64 {
    let size = Numbering::of(range.family(), avoid_buggy_ips)
        .span(range)
        .map_or(0, |(first, last)| (last - first).saturating_add(1));
    match i64::try_from(size) {
        Ok(countable) if size < BEYOND_COUNTING => countable,
        _ => Counters::MAX,
    }
}

impl Allocator {
    /// Replaces the set of pools. A name that is given twice counts with its last pool.
    ///
    /// A Service keeps its addresses as long as one pool holds all of them, even if another than
    /// before; who may use the pool is not looked at. Only pools that differ, and Services with
    /// addresses of them, cost anything.
    pub fn set_pools(&mut self, pools: Vec<Pool>) -> PoolsChange {
        let pools: BTreeMap<_, _> =
            pools.into_iter().map(|pool| (pool.name.clone(), pool)).collect();
        let mut changed: BTreeSet<PoolName> =
            self.pools.keys().filter(|name| !pools.contains_key(*name)).cloned().collect();
        // Pools with other addresses than before, and the Services that could lose theirs.
        let mut resized: BTreeSet<PoolName> = changed.clone();
        let mut unsettled: BTreeSet<ServiceKey> = BTreeSet::new();
        for name in &changed {
            if let Some(stock) = self.pools.remove(name) {
                unsettled.extend(stock.services);
            }
        }
        for (name, pool) in pools {
            let Some(stock) = self.pools.get_mut(&name) else {
                self.pools.insert(name.clone(), Stock::new(pool));
                resized.insert(name.clone());
                changed.insert(name);
                continue;
            };
            if stock.pool == pool {
                continue;
            }
            if stock.pool.same_extent(&pool) {
                stock.pool = pool;
            } else {
                let services = std::mem::take(&mut stock.services);
                unsettled.extend(services.iter().cloned());
                *stock = Stock { services, ..Stock::new(pool) };
                resized.insert(name.clone());
            }
            changed.insert(name);
        }
        if changed.is_empty() {
            return PoolsChange::default();
        }
        self.reorder();
        if !resized.is_empty() {
            self.territory = Territory::new(self.pools.values().map(|stock| &stock.pool));
            self.recount(&resized);
        }
        self.touched.counters.extend(changed.iter().cloned());
        self.touched.openings.extend(changed.iter().cloned());
        self.settle(unsettled, changed)
    }

    /// Replaces the set of addresses that are given only to who asks for them: they are
    /// somebody else's. Who holds one keeps it.
    pub fn set_reserved(&mut self, reserved: Reserved) {
        let before = std::mem::replace(&mut self.reserved, reserved).addresses();
        let after = self.reserved.addresses();
        for &ip in after.difference(&before) {
            self.occupied.insert(ip);
        }
        for &ip in before.difference(&after) {
            if self.holdings.holders(ip).next().is_none() {
                self.occupied.remove(ip);
            }
            self.touch(ip, true);
        }
    }

    /// Decides which pool each of `unsettled` belongs to now, if any.
    fn settle(
        &mut self,
        unsettled: BTreeSet<ServiceKey>,
        changed: BTreeSet<PoolName>,
    ) -> PoolsChange {
        let mut change = PoolsChange { changed, ..PoolsChange::default() };
        for service in unsettled {
            let Some(assignment) = self.assignment(&service) else { continue };
            let Ok(to) = self.pool_for(&service, &assignment.ips) else {
                change.released.extend(self.release(&service).map(|lost| (service, lost)));
                continue;
            };
            if to == assignment.pool {
                continue;
            }
            let Some(held) = self.services.get_mut(&service) else { continue };
            let from = std::mem::replace(&mut held.assignment.pool, to.clone());
            if let Some(stock) = self.pools.get_mut(&from) {
                stock.services.remove(&service);
            }
            if let Some(stock) = self.pools.get_mut(&to) {
                stock.services.insert(service.clone());
            }
            change.moved.push(Moved { service, from, to });
        }
        change
    }

    /// Sorts the names of all pools into the order in which they are tried.
    fn reorder(&mut self) {
        let mut stocks: Vec<_> = self.pools.values().collect();
        stocks.sort_unstable_by_key(|stock| stock.pool.rank());
        self.order = stocks.into_iter().map(|stock| stock.pool.name.clone()).collect();
    }

    /// Counts the used addresses of pools whose ranges changed.
    fn recount(&mut self, resized: &BTreeSet<PoolName>) {
        for name in resized {
            let Some(stock) = self.pools.get_mut(name) else { continue };
            let mut used = BTreeSet::new();
            for range in &stock.pool.ranges {
                used.extend(self.holdings.within(range).filter(|ip| !stock.pool.avoids(*ip)));
            }
            stock.used = PerFamily::default();
            for ip in used {
                *stock.used.of_mut(Family::of(ip)) += 1;
            }
        }
    }
}
