//! The two address families, and addresses as numbers.
//!
//! Arithmetic on addresses happens on `u128`: an IPv4 address is its 32-bit value, an IPv6 address
//! its 128-bit value. The family is carried beside the number, never inside it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address family. Prints as Kubernetes spells it in `spec.ipFamilies`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Family {
    /// IPv4, 32 bits.
    #[default]
    V4,
    /// IPv6, 128 bits.
    V6,
}

impl Family {
    /// Both families, in the order in which pairs are written.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The family of `address`. An IPv4-mapped IPv6 address is IPv6 until somebody calls
    /// [`IpAddr::to_canonical`] on it.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The other family.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }

    /// Length of an address in bits: 32 or 128.
    pub const fn width(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The highest address of the family as a number.
    pub const fn max_bits(self) -> u128 {
        match self {
            Self::V4 => u32::MAX as u128,
            Self::V6 => u128::MAX,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// `address` as a number.
pub const fn to_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits() as u128,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The address of `family` whose number is `bits`; for IPv4 only the low 32 bits count.
pub const fn from_bits(family: Family, bits: u128) -> IpAddr {
    match family {
        #[expect(clippy::cast_possible_truncation, reason = "documented: low 32 bits count")]
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}
