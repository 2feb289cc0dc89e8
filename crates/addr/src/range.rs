//! An inclusive range of addresses of one family: what one entry of `spec.addresses` stands for.
//!
//! A range need not be aligned; [`AddrRange::prefixes`] cuts it into the fewest prefixes that are.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::family::{Family, from_bits, to_bits};

/// All addresses from `first` to `last`, both included; never empty, never of two families.
///
/// Ordered by family, then first, then last address. Prints as a prefix when it is one, else as
/// `first-last`; both forms parse back to the same range.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AddrRange {
    family: Family,
    first: u128,
    last: u128,
}

impl AddrRange {
    /// The range from `first` to `last`; nothing when the families differ or `last` is lower.
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        let family = Family::of(first);
        let (first, last_bits) = (to_bits(first), to_bits(last));
        (family == Family::of(last) && first <= last_bits).then_some(Self {
            family,
            first,
            last: last_bits,
        })
    }

    /// The range of one address.
    pub const fn single(address: IpAddr) -> Self {
        let bits = to_bits(address);
        Self { family: Family::of(address), first: bits, last: bits }
    }

    /// The family of every address in the range.
    pub const fn family(&self) -> Family {
        self.family
    }

    /// The lowest address.
    pub const fn first(&self) -> IpAddr {
        from_bits(self.family, self.first)
    }

    /// The highest address.
    pub const fn last(&self) -> IpAddr {
        from_bits(self.family, self.last)
    }

    /// The lowest address as a number.
    pub const fn first_bits(&self) -> u128 {
        self.first
    }

    /// The highest address as a number.
    pub const fn last_bits(&self) -> u128 {
        self.last
    }

    /// How many addresses it holds; `::/0` saturates.
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub const fn len(&self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }

    /// Whether `address` lies inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.family == Family::of(address) && (self.first..=self.last).contains(&to_bits(address))
    }

    /// Whether some address lies in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.family == other.family && self.first <= other.last && other.first <= self.last
    }

    /// The fewest prefixes that together cover exactly this range, ascending.
    pub fn prefixes(&self) -> impl Iterator<Item = IpNet> + use<> {
        let Self { family, first, last } = *self;
        let mut next = Some(first);
        std::iter::from_fn(move || {
            let start = next?;
            let host_bits = widest_block(family, start, last);
            let end = start | low_mask(host_bits);
            next = (end < last).then(|| end + 1);
            IpNet::new(from_bits(family, start), family.width() - host_bits).ok()
        })
    }
}

impl From<IpNet> for AddrRange {
    /// All addresses of the prefix; host bits of the written address do not count.
    fn from(prefix: IpNet) -> Self {
        let network = prefix.network();
        Self {
            family: Family::of(network),
            first: to_bits(network),
            last: to_bits(prefix.broadcast()),
        }
    }
}

impl fmt::Display for AddrRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host_bits = widest_block(self.family, self.first, self.last);
        if self.first | low_mask(host_bits) == self.last {
            write!(f, "{}/{}", self.first(), self.family.width() - host_bits)
        } else {
            write!(f, "{}-{}", self.first(), self.last())
        }
    }
}

impl fmt::Debug for AddrRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Host bits of the largest aligned block that starts at `start` and ends at or before `last`.
fn widest_block(family: Family, start: u128, last: u128) -> u8 {
    let aligned = start.trailing_zeros();
    // Number of low bits of a block that still fits: floor(log2(length)), 128 for everything.
    let fitting = (last - start).checked_add(1).map_or(128, u128::ilog2);
    u8::try_from(aligned.min(fitting)).unwrap_or(u8::MAX).min(family.width())
}

/// A number whose `host_bits` low bits are set.
fn low_mask(host_bits: u8) -> u128 {
    u128::MAX.checked_shr(128 - u32::from(host_bits)).unwrap_or(0)
}
