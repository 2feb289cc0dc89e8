//! How an entry of `spec.addresses` is written: `address/length` or `first-last`.
//!
//! Rules (upstream behaviour, api.md 3.3, with its oddities repaired):
//!
//! - Blanks are allowed around the two ends of a range and nowhere else.
//! - Host bits below the prefix length are cleared without a word: `1.2.3.77/24` is `1.2.3.0/24`.
//! - A prefix length may have leading zeros, an octet may not.
//! - An IPv4-mapped entry means IPv4: `::ffff:1.2.3.0/120` is `1.2.3.0/24`. A mapped prefix shorter
//!   than /96 would also hold addresses that are not IPv4 and is refused.
//! - A range whose ends are of two families, zones, and bare addresses are refused.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::family::Family;
use crate::range::AddrRange;

/// Bits in front of the IPv4 address in an IPv4-mapped IPv6 address.
const MAPPED_PREFIX: u8 = 96;

impl FromStr for AddrRange {
    type Err = ParseRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((first, last)) = text.split_once('-') {
            parse_range(text, first.trim(), last.trim())
        } else if let Some((address, length)) = text.split_once('/') {
            parse_prefix(text, address, length)
        } else {
            Err(neither(text))
        }
    }
}

fn parse_range(text: &str, first: &str, last: &str) -> Result<AddrRange, ParseRangeError> {
    let value = || text.to_owned();
    let first = parse_address(text, first)?.to_canonical();
    let last = parse_address(text, last)?.to_canonical();
    if Family::of(first) != Family::of(last) {
        return Err(ParseRangeError::MixedFamilies { value: value() });
    }
    AddrRange::new(first, last).ok_or_else(|| ParseRangeError::Reversed { value: value() })
}

fn parse_prefix(text: &str, address: &str, length: &str) -> Result<AddrRange, ParseRangeError> {
    let written = parse_address(text, address)?;
    let max = Family::of(written).width();
    let bad_length =
        || ParseRangeError::BadLength { value: text.to_owned(), length: length.to_owned(), max };
    // `parse` alone would take a sign.
    if !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad_length());
    }
    let length: u8 = length.parse().map_err(|_| bad_length())?;

    let canonical = written.to_canonical();
    let length = if Family::of(canonical) == Family::of(written) {
        length
    } else {
        length
            .checked_sub(MAPPED_PREFIX)
            .ok_or_else(|| ParseRangeError::MappedTooShort { value: text.to_owned() })?
    };
    IpNet::new(canonical, length).map(AddrRange::from).map_err(|_| bad_length())
}

fn parse_address(text: &str, part: &str) -> Result<IpAddr, ParseRangeError> {
    part.parse().map_err(|_| {
        let (value, part) = (text.to_owned(), part.to_owned());
        if part.contains('%') {
            ParseRangeError::Zone { value }
        } else {
            ParseRangeError::BadAddress { value, part }
        }
    })
}

/// What to say about an entry that has neither a slash nor a dash.
fn neither(text: &str) -> ParseRangeError {
    let value = text.to_owned();
    if text.contains('%') {
        return ParseRangeError::Zone { value };
    }
    match text.trim().parse::<IpAddr>() {
        Ok(address) => {
            ParseRangeError::BareAddress { value, hint: AddrRange::single(address.to_canonical()) }
        }
        Err(_) => ParseRangeError::Neither { value },
    }
}

/// Why a text is no range of addresses. Every variant names the text.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseRangeError {
    /// An address alone: neither a prefix length nor a second end.
    #[error("{value:?} is a single address, a prefix or a range is expected: write \"{hint}\"")]
    BareAddress {
        /// The text as given.
        value: String,
        /// What was probably meant.
        hint: AddrRange,
    },
    /// No slash, no dash, no address.
    #[error(
        "{value:?} is neither a prefix (\"192.0.2.0/24\") nor a range (\"192.0.2.1-192.0.2.9\")"
    )]
    Neither {
        /// The text as given.
        value: String,
    },
    /// A part that should be an address is none.
    #[error("{value:?}: {part:?} is not an IP address")]
    BadAddress {
        /// The text as given.
        value: String,
        /// The part of it that was read as an address.
        part: String,
    },
    /// An address with a zone (`%eth0`).
    #[error(
        "{value:?}: addresses with a zone have a meaning on one node only and cannot be in a pool"
    )]
    Zone {
        /// The text as given.
        value: String,
    },
    /// The prefix length is no number or too large.
    #[error("{value:?}: the prefix length {length:?} is not a number from 0 to {max}")]
    BadLength {
        /// The text as given.
        value: String,
        /// The part behind the slash.
        length: String,
        /// The largest length the address allows.
        max: u8,
    },
    /// An IPv4-mapped prefix that also covers addresses that are not IPv4.
    #[error(
        "{value:?}: an IPv4-mapped prefix must be /{MAPPED_PREFIX} or longer; write IPv4 prefixes as IPv4"
    )]
    MappedTooShort {
        /// The text as given.
        value: String,
    },
    /// One end is IPv4, the other IPv6.
    #[error("{value:?}: one end of the range is IPv4 and the other IPv6")]
    MixedFamilies {
        /// The text as given.
        value: String,
    },
    /// The first address is above the last one.
    #[error("{value:?}: the first address of the range is above the last one")]
    Reversed {
        /// The text as given.
        value: String,
    },
}

impl ParseRangeError {
    /// The text that was to be parsed, as given.
    pub fn value(&self) -> &str {
        match self {
            Self::BareAddress { value, .. }
            | Self::Neither { value }
            | Self::BadAddress { value, .. }
            | Self::Zone { value }
            | Self::BadLength { value, .. }
            | Self::MappedTooShort { value }
            | Self::MixedFamilies { value }
            | Self::Reversed { value } => value,
        }
    }
}
