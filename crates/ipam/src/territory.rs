//! Which pools an address lies in.
//!
//! The ranges of all pools, cut where any of them starts or ends. Between two cuts the answer is
//! constant:
//!
//! ```text
//!   a: |----------|            cut        pools
//!   b:      |-----------|      10.0.0.0   a
//!      .0   .8    .16   .24    10.0.0.8   a b
//!                              10.0.0.16  b
//!                              10.0.0.24  (none)
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;

use ferrolb_addr::{Family, to_bits};

use crate::name::PoolName;
use crate::pool::Pool;

/// An index from address to pools. Immutable; built anew when the ranges of pools change.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Territory {
    v4: Cuts,
    v6: Cuts,
}

/// Address -> the pools from there up to the next cut, sorted by name.
type Cuts = BTreeMap<u128, Vec<PoolName>>;

impl Territory {
    /// Indexes `pools`, which must come sorted by name.
    pub(crate) fn new<'a>(pools: impl Iterator<Item = &'a Pool> + Clone) -> Self {
        let mut territory = Self::default();
        for range in pools.clone().flat_map(|pool| &pool.ranges) {
            let cuts = territory.cuts_mut(range.family());
            cuts.entry(range.first_bits()).or_default();
            if let Some(behind) = range.last_bits().checked_add(1) {
                cuts.entry(behind).or_default();
            }
        }
        for pool in pools {
            for range in &pool.ranges {
                let cuts = territory.cuts_mut(range.family());
                for (_, names) in cuts.range_mut(range.first_bits()..=range.last_bits()) {
                    // Ranges of one pool may overlap too.
                    if names.last() != Some(&pool.name) {
                        names.push(pool.name.clone());
                    }
                }
            }
        }
        territory
    }

    /// The pools with a range that holds `address`, sorted by name. O(log n).
    pub(crate) fn pools_at(&self, address: IpAddr) -> &[PoolName] {
        let cuts = match Family::of(address) {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        cuts.range(..=to_bits(address)).next_back().map_or(&[], |(_, names)| names)
    }

    fn cuts_mut(&mut self, family: Family) -> &mut Cuts {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}
