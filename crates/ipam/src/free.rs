//! Which addresses must not be given to the next one who asks, and the lowest that may.
//!
//! One set for all pools: an address is in use or it is not, whichever pool it was taken from.

use std::net::IpAddr;

use ferrolb_addr::{AddrRange, Family, IntervalSet, from_bits, to_bits};

use crate::numbering::Numbering;

/// Addresses in use or reserved.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Occupied {
    v4: IntervalSet,
    /// The same as `v4` under [`Numbering::Inner`].
    v4_inner: IntervalSet,
    v6: IntervalSet,
}

impl Occupied {
    pub(crate) fn insert(&mut self, address: IpAddr) {
        let bits = to_bits(address);
        match address {
            IpAddr::V4(_) => {
                self.v4.insert(bits);
                if let Some(number) = Numbering::Inner.number(bits) {
                    self.v4_inner.insert(number);
                }
            }
            IpAddr::V6(_) => {
                self.v6.insert(bits);
            }
        }
    }

    pub(crate) fn remove(&mut self, address: IpAddr) {
        let bits = to_bits(address);
        match address {
            IpAddr::V4(_) => {
                self.v4.remove(bits);
                if let Some(number) = Numbering::Inner.number(bits) {
                    self.v4_inner.remove(number);
                }
            }
            IpAddr::V6(_) => {
                self.v6.remove(bits);
            }
        }
    }

    /// The lowest address of `range` that is not occupied. O(log n).
    pub(crate) fn lowest_free(&self, range: &AddrRange, avoid_buggy_ips: bool) -> Option<IpAddr> {
        let numbering = Numbering::of(range.family(), avoid_buggy_ips);
        let (first, last) = numbering.span(range)?;
        let set = match (range.family(), numbering) {
            (Family::V6, _) => &self.v6,
            (Family::V4, Numbering::Whole) => &self.v4,
            (Family::V4, Numbering::Inner) => &self.v4_inner,
        };
        let number = set.next_gap(first, last)?;
        Some(from_bits(range.family(), numbering.bits(number)))
    }
}
