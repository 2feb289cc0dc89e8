//! Received path attributes: which are right, and what a wrong one costs (RFC 7606).

use std::fmt;
use std::net::Ipv4Addr;

use super::cursor::Cursor;
use super::update::Reception;

pub(super) const ORIGIN: u8 = 1;
pub(super) const AS_PATH: u8 = 2;
pub(super) const NEXT_HOP: u8 = 3;
pub(super) const MULTI_EXIT_DISC: u8 = 4;
pub(super) const LOCAL_PREF: u8 = 5;
const ATOMIC_AGGREGATE: u8 = 6;
const AGGREGATOR: u8 = 7;
pub(super) const COMMUNITIES: u8 = 8;
const ORIGINATOR_ID: u8 = 9;
const CLUSTER_LIST: u8 = 10;
pub(super) const MP_REACH_NLRI: u8 = 14;
pub(super) const MP_UNREACH_NLRI: u8 = 15;
const EXTENDED_COMMUNITIES: u8 = 16;
pub(super) const AS4_PATH: u8 = 17;
const AS4_AGGREGATOR: u8 = 18;
const IPV6_EXTENDED_COMMUNITIES: u8 = 25;
pub(super) const LARGE_COMMUNITIES: u8 = 32;

/// Flag: not every speaker knows it.
pub(super) const OPTIONAL: u8 = 0x80;
/// Flag: passed on by those who do not know it.
pub(super) const TRANSITIVE: u8 = 0x40;
/// Flag: two octets of length.
pub(super) const EXTENDED_LENGTH: u8 = 0x10;

/// What a malformed attribute costs while the session lives on; the stronger is the greater.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Outcome {
    /// The attribute is left out.
    Discard,
    /// The routes of the message count as withdrawn.
    Withdraw,
}

/// What was wrong with an UPDATE that did not end the session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Malformed {
    /// Type of the attribute; 0 where the list of attributes ends in the middle of one.
    pub attribute: u8,
    /// What it costs.
    pub outcome: Outcome,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Discard => "attribute discarded",
            Outcome::Withdraw => "treated as withdraw",
        };
        write!(f, "attribute {}: {outcome} (RFC 7606)", self.attribute)
    }
}

/// Flags that an attribute must have, `None` if we do not know it.
pub(super) const fn flags_of(kind: u8) -> Option<u8> {
    Some(match kind {
        ORIGIN | AS_PATH | NEXT_HOP | LOCAL_PREF | ATOMIC_AGGREGATE => TRANSITIVE,
        AGGREGATOR
        | COMMUNITIES
        | EXTENDED_COMMUNITIES
        | AS4_PATH
        | AS4_AGGREGATOR
        | IPV6_EXTENDED_COMMUNITIES
        | LARGE_COMMUNITIES => OPTIONAL | TRANSITIVE,
        MULTI_EXIT_DISC | ORIGINATOR_ID | CLUSTER_LIST | MP_REACH_NLRI | MP_UNREACH_NLRI => {
            OPTIONAL
        }
        _ => return None,
    })
}

/// Judges an attribute that we know, except for the content of the two that carry routes.
pub(super) fn judge(kind: u8, flags: u8, value: &[u8], rx: Reception) -> Option<Outcome> {
    // RFC 7606 7.5, 7.9, 7.10: not for external peers to say, right or wrong.
    if !rx.internal && matches!(kind, LOCAL_PREF | ORIGINATOR_ID | CLUSTER_LIST) {
        return Some(Outcome::Discard);
    }
    // RFC 6793 6: not for speakers of four octets to say.
    if rx.four_octet_as && matches!(kind, AS4_PATH | AS4_AGGREGATOR) {
        return Some(Outcome::Discard);
    }
    // RFC 7606 3 (c): flags that conflict with the type.
    if flags_of(kind).is_some_and(|due| flags & (OPTIONAL | TRANSITIVE) != due) {
        return Some(Outcome::Withdraw);
    }
    let (right, outcome) = match kind {
        // RFC 7606 7.1 to 7.5
        ORIGIN => (matches!(value, [0..=2]), Outcome::Withdraw),
        AS_PATH => (is_path(value, rx.as_octets(), rx.internal), Outcome::Withdraw),
        NEXT_HOP => (is_host(value), Outcome::Withdraw),
        MULTI_EXIT_DISC | LOCAL_PREF | ORIGINATOR_ID => (value.len() == 4, Outcome::Withdraw),
        // RFC 7606 7.6, 7.7
        ATOMIC_AGGREGATE => (value.is_empty(), Outcome::Discard),
        AGGREGATOR => (value.len() == rx.as_octets() + 4, Outcome::Discard),
        // RFC 7606 7.8, 7.10, 7.14, 7.15; RFC 8092 6
        COMMUNITIES | CLUSTER_LIST => (is_list(value, 4), Outcome::Withdraw),
        EXTENDED_COMMUNITIES => (is_list(value, 8), Outcome::Withdraw),
        IPV6_EXTENDED_COMMUNITIES => (is_list(value, 20), Outcome::Withdraw),
        LARGE_COMMUNITIES => (is_list(value, 12), Outcome::Withdraw),
        // RFC 6793 6
        AS4_PATH => (is_path(value, 4, rx.internal), Outcome::Discard),
        AS4_AGGREGATOR => (value.len() == 8, Outcome::Discard),
        _ => return None,
    };
    (!right).then_some(outcome)
}

/// Whether `value` is a sequence of path segments (RFC 7606 7.2), without AS 0 (RFC 7607 2).
fn is_path(value: &[u8], octets: usize, internal: bool) -> bool {
    let mut segments = Cursor::new(value);
    while !segments.is_empty() {
        let (Some(kind), Some(count)) = (segments.u8(), segments.u8()) else { return false };
        // RFC 5065 5: segments of a confederation come from its members only.
        let known = if internal { 1..=4 } else { 1..=2 };
        if count == 0 || !known.contains(&kind) {
            return false;
        }
        let Some(path) = segments.take(usize::from(count) * octets) else { return false };
        if path.chunks_exact(octets).any(|asn| asn.iter().all(|octet| *octet == 0)) {
            return false;
        }
    }
    true
}

/// Whether `value` is the address of a host (RFC 4271 6.3, RFC 7606 7.3).
fn is_host(value: &[u8]) -> bool {
    <[u8; 4]>::try_from(value).is_ok_and(|octets| {
        let address = Ipv4Addr::from(octets);
        !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast()
    })
}

/// Whether `value` is one or more items of `octets` each.
fn is_list(value: &[u8], octets: usize) -> bool {
    !value.is_empty() && value.len().is_multiple_of(octets)
}
