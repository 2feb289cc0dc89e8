//! Numbers for the addresses that count.
//!
//! With `avoidBuggyIPs` two addresses of each IPv4 /24 do not exist. Numbering the others without
//! holes keeps runs of used addresses whole, so that finding a gap and counting stay simple:
//!
//! ```text
//!   10.0.0.253  .254   .255   10.0.1.0   .1     .2
//!        252     253    -        -       254    255
//! ```

use std::net::IpAddr;

use ferrolb_addr::{AddrRange, Family};

/// Addresses of a /24 whose last octet is neither 0 nor 255.
const INNER: u128 = 254;

/// IPv4, last octet 0 or 255: some old routers and hosts take these for network and broadcast
/// addresses whatever the prefix length.
pub(crate) fn is_buggy(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => matches!(v4.octets()[3], 0 | 255),
        IpAddr::V6(_) => false,
    }
}

/// A way to number the addresses of one family, ascending and without holes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Numbering {
    /// Every address, by its bits.
    Whole,
    /// IPv4 without buggy addresses.
    Inner,
}

impl Numbering {
    /// The numbering that a pool uses for `family`.
    pub(crate) fn of(family: Family, avoid_buggy_ips: bool) -> Self {
        if avoid_buggy_ips && family == Family::V4 { Self::Inner } else { Self::Whole }
    }

    /// Number of the address `bits`, if it has one.
    pub(crate) fn number(self, bits: u128) -> Option<u128> {
        match self {
            Self::Whole => Some(bits),
            Self::Inner => match bits & 0xff {
                0 | 0xff => None,
                octet => Some((bits >> 8) * INNER + octet - 1),
            },
        }
    }

    /// The address with a number.
    pub(crate) fn bits(self, number: u128) -> u128 {
        match self {
            Self::Whole => number,
            Self::Inner => (number / INNER) << 8 | (number % INNER + 1),
        }
    }

    /// First and last number in `range`, if any address of it has one.
    pub(crate) fn span(self, range: &AddrRange) -> Option<(u128, u128)> {
        let (first, last) = (range.first_bits(), range.last_bits());
        match self {
            Self::Whole => Some((first, last)),
            Self::Inner => {
                // Up to the next address that has a number, down to the last one that has.
                let up = match first & 0xff {
                    0 => first + 1,
                    0xff => first + 2,
                    _ => first,
                };
                let down = match last & 0xff {
                    0 => last.checked_sub(2)?,
                    0xff => last - 1,
                    _ => last,
                };
                (up <= down).then_some((self.number(up)?, self.number(down)?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wherever a range starts and ends: its span are the numbers of its addresses that have one.
    #[test]
    fn spans_number_what_is_not_buggy_without_holes() {
        let near_edges =
            || [0, 256, 512].into_iter().flat_map(|edge| edge..edge + 4).chain(250..256);
        let ip = |bits: u128| ferrolb_addr::from_bits(Family::V4, (10 << 24) + bits);
        for (first, last) in near_edges().flat_map(|a| near_edges().map(move |b| (a, b))) {
            let Some(range) = AddrRange::new(ip(first), ip(last)) else { continue };
            let numbers: Vec<_> = (range.first_bits()..=range.last_bits())
                .filter_map(|bits| Numbering::Inner.number(bits))
                .collect();
            let span = numbers.first().copied().zip(numbers.last().copied());
            assert_eq!(Numbering::Inner.span(&range), span, "{range}");
            if let Some((low, high)) = span {
                assert!(numbers.iter().copied().eq(low..=high), "{range}");
            }
        }
    }

    #[test]
    fn numbers_lead_back_to_addresses() {
        for bits in 0..2_000 {
            let address = ferrolb_addr::from_bits(Family::V4, bits);
            let number = Numbering::Inner.number(bits);
            assert_eq!(number.is_none(), is_buggy(address));
            assert!(number.is_none_or(|number| Numbering::Inner.bits(number) == bits));
        }
    }
}
