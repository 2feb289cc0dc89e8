//! UPDATEs that we send: one message, filled with prefixes until it is full.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ferrolb_addr::Family;
use ipnet::{Ipv4Net, Ipv6Net};

use super::attribute::{
    AS_PATH, AS4_PATH, COMMUNITIES, EXTENDED_LENGTH, LARGE_COMMUNITIES, LOCAL_PREF, MP_REACH_NLRI,
    MP_UNREACH_NLRI, MULTI_EXIT_DISC, NEXT_HOP, OPTIONAL, ORIGIN, TRANSITIVE,
};
use super::{MessageKind, UNICAST, afi, begin, finish, message, set_u16};
use crate::asn::Asn;
use crate::attributes::{Community, PathAttributes};
use crate::per_family::PerFamily;

const AS_SEQUENCE: u8 = 2;

/// What was negotiated and configured, as far as an UPDATE depends on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Encoding {
    /// Our AS towards this peer.
    pub asn: Asn,
    /// The peer is of the same AS.
    pub internal: bool,
    /// The peer reads paths of four octets.
    pub four_octet_as: bool,
    /// Octets of the longest message.
    pub limit: usize,
    /// Every route carries the community `GRACEFUL_SHUTDOWN` (RFC 8326).
    pub graceful_shutdown: bool,
    /// Where each family goes; `None` if it cannot be announced.
    pub next_hops: PerFamily<Option<NextHop>>,
}

/// Where traffic goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NextHop {
    /// An IPv4 address, for IPv4 prefixes in the classic form.
    V4(Ipv4Addr),
    /// An IPv6 address, with the link-local one beside it if the peer shares the link (RFC 2545 3).
    V6(Ipv6Addr, Option<Ipv6Addr>),
}

impl NextHop {
    /// The address; without the link-local one.
    pub const fn address(self) -> IpAddr {
        match self {
            Self::V4(address) => IpAddr::V4(address),
            Self::V6(address, _) => IpAddr::V6(address),
        }
    }
}

/// A prefix of one family.
pub trait Nlri: Copy + Ord {
    /// Of which family.
    const FAMILY: Family;

    /// Octets it takes.
    fn octets(self) -> usize;

    /// Appends it: length in bits, then as many octets as that needs.
    fn write(self, out: &mut Vec<u8>);
}

/// One UPDATE under construction at the end of a buffer.
pub struct UpdateWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    /// Where the prefixes have to end.
    end: usize,
    /// Field of two octets for the length up to here, before the trailer.
    inner: Option<usize>,
    /// The same, with the trailer.
    outer: Option<usize>,
    /// What follows the prefixes.
    trailer: &'a [u8],
}

impl<'a> UpdateWriter<'a> {
    /// An announcement of `family` via `next_hop`, with the attributes of [`attribute_block`].
    pub fn announce(
        out: &'a mut Vec<u8>,
        limit: usize,
        family: Family,
        next_hop: NextHop,
        attributes: &'a [u8],
    ) -> Self {
        let start = begin(out, MessageKind::Update);
        // Nothing withdrawn; the length of the attributes.
        out.extend_from_slice(&[0; 4]);
        let total = out.len() - 2;
        if let (Family::V4, NextHop::V4(_)) = (family, next_hop) {
            out.extend_from_slice(attributes);
            set_u16(out, total, attributes.len());
            return Self { out, start, end: start + limit, inner: None, outer: None, trailer: &[] };
        }
        // RFC 7606 5.1: the routes come first.
        let inner = begin_routes(out, MP_REACH_NLRI, family);
        match next_hop {
            NextHop::V4(address) => {
                // An IPv6 route cannot go there; mapped is the only form in which it can be said.
                out.push(16);
                out.extend_from_slice(&address.to_ipv6_mapped().octets());
            }
            NextHop::V6(address, None) => {
                out.push(16);
                out.extend_from_slice(&address.octets());
            }
            NextHop::V6(address, Some(link_local)) => {
                out.push(32);
                out.extend_from_slice(&address.octets());
                out.extend_from_slice(&link_local.octets());
            }
        }
        // Reserved.
        out.push(0);
        let end = start + limit - attributes.len();
        Self { out, start, end, inner: Some(inner), outer: Some(total), trailer: attributes }
    }

    /// A withdrawal of `family`: in the classic form, or in MP_UNREACH_NLRI.
    pub fn withdraw(out: &'a mut Vec<u8>, limit: usize, family: Family, classic: bool) -> Self {
        let start = begin(out, MessageKind::Update);
        out.extend_from_slice(&[0; 2]);
        let withdrawn = out.len() - 2;
        let (inner, outer, trailer): (_, _, &[u8]) = if family == Family::V4 && classic {
            // After the prefixes: no attributes.
            (Some(withdrawn), None, &[0; 2])
        } else {
            out.extend_from_slice(&[0; 2]);
            let total = out.len() - 2;
            (Some(begin_routes(out, MP_UNREACH_NLRI, family)), Some(total), &[])
        };
        Self { out, start, end: start + limit - trailer.len(), inner, outer, trailer }
    }

    /// Appends `prefix` if there is room for it.
    pub fn push<P: Nlri>(&mut self, prefix: P) -> bool {
        let fits = self.out.len() + prefix.octets() <= self.end;
        if fits {
            prefix.write(self.out);
        }
        fits
    }

    /// Completes the message.
    pub fn finish(self) {
        if let Some(at) = self.inner {
            let length = self.out.len() - at - 2;
            set_u16(self.out, at, length);
        }
        self.out.extend_from_slice(self.trailer);
        if let Some(at) = self.outer {
            let length = self.out.len() - at - 2;
            set_u16(self.out, at, length);
        }
        finish(self.out, self.start);
    }
}

/// The attributes of an announcement of `family`, without MP_REACH_NLRI.
pub fn attribute_block(
    attributes: &PathAttributes,
    encoding: &Encoding,
    family: Family,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    attribute(&mut out, TRANSITIVE, ORIGIN, &[0]);
    path(&mut out, encoding);
    if let (Family::V4, Some(NextHop::V4(address))) = (family, encoding.next_hops.v4) {
        attribute(&mut out, TRANSITIVE, NEXT_HOP, &address.octets());
    }
    // As FRR does for routes of its own.
    attribute(&mut out, OPTIONAL, MULTI_EXIT_DISC, &[0; 4]);
    if encoding.internal {
        // RFC 4271 5.1.5: internal peers only. RFC 8326 4: the last choice while shutting down.
        let local_pref = attributes.local_pref().unwrap_or(PathAttributes::DEFAULT_LOCAL_PREF);
        let local_pref = if encoding.graceful_shutdown { 0 } else { local_pref };
        attribute(&mut out, TRANSITIVE, LOCAL_PREF, &local_pref.to_be_bytes());
    }
    communities(&mut out, attributes, encoding.graceful_shutdown);
    let large = attributes.large_communities();
    if !large.is_empty() {
        let value: Vec<u8> = large
            .iter()
            .flat_map(|community| [community.global, community.local_1, community.local_2])
            .flat_map(u32::to_be_bytes)
            .collect();
        attribute(&mut out, OPTIONAL | TRANSITIVE, LARGE_COMMUNITIES, &value);
    }
    out
}

/// Appends the End-of-RIB of `family` (RFC 4724 2).
pub fn end_of_rib(out: &mut Vec<u8>, family: Family) {
    match family {
        Family::V4 => message(out, MessageKind::Update, |out| out.extend_from_slice(&[0; 4])),
        Family::V6 => UpdateWriter::withdraw(out, super::MAX_MESSAGE, family, false).finish(),
    }
}

/// Begins an attribute with routes, of two octets length; returns where that stands.
fn begin_routes(out: &mut Vec<u8>, kind: u8, family: Family) -> usize {
    out.extend_from_slice(&[OPTIONAL | EXTENDED_LENGTH, kind, 0, 0]);
    let length = out.len() - 2;
    out.extend_from_slice(&afi(family).to_be_bytes());
    out.push(UNICAST);
    length
}

/// RFC 4271 5.1.2: empty towards internal peers, else our AS alone.
fn path(out: &mut Vec<u8>, encoding: &Encoding) {
    let asn = encoding.asn;
    if encoding.internal {
        return attribute(out, TRANSITIVE, AS_PATH, &[]);
    }
    let [a, b, c, d] = asn.number().to_be_bytes();
    if encoding.four_octet_as {
        return attribute(out, TRANSITIVE, AS_PATH, &[AS_SEQUENCE, 1, a, b, c, d]);
    }
    let [high, low] = asn.two_octets().to_be_bytes();
    attribute(out, TRANSITIVE, AS_PATH, &[AS_SEQUENCE, 1, high, low]);
    if !asn.fits_two_octets() {
        // RFC 6793 4.2.2: the true path, for whoever behind the peer can read it.
        attribute(out, OPTIONAL | TRANSITIVE, AS4_PATH, &[AS_SEQUENCE, 1, a, b, c, d]);
    }
}

fn communities(out: &mut Vec<u8>, attributes: &PathAttributes, graceful_shutdown: bool) {
    let own = attributes.communities();
    let extra = (graceful_shutdown && !own.contains(&Community::GRACEFUL_SHUTDOWN))
        .then_some(Community::GRACEFUL_SHUTDOWN);
    // In ascending order: GRACEFUL_SHUTDOWN is behind everything but other well-known ones.
    let at = extra.map_or(own.len(), |extra| own.partition_point(|community| *community < extra));
    let (before, after) = own.split_at(at);
    let value: Vec<u8> = before
        .iter()
        .chain(&extra)
        .chain(after)
        .flat_map(|community| community.0.to_be_bytes())
        .collect();
    if !value.is_empty() {
        attribute(out, OPTIONAL | TRANSITIVE, COMMUNITIES, &value);
    }
}

/// Appends an attribute; more than 255 octets of value take the extended length.
fn attribute(out: &mut Vec<u8>, flags: u8, kind: u8, value: &[u8]) {
    if let Ok(length) = u8::try_from(value.len()) {
        out.extend_from_slice(&[flags, kind, length]);
    } else {
        out.extend_from_slice(&[flags | EXTENDED_LENGTH, kind, 0, 0]);
        let at = out.len() - 2;
        set_u16(out, at, value.len());
    }
    out.extend_from_slice(value);
}

impl Nlri for Ipv4Net {
    const FAMILY: Family = Family::V4;

    fn octets(self) -> usize {
        1 + usize::from(self.prefix_len()).div_ceil(8)
    }

    fn write(self, out: &mut Vec<u8>) {
        write(out, self.prefix_len(), &self.network().octets());
    }
}

impl Nlri for Ipv6Net {
    const FAMILY: Family = Family::V6;

    fn octets(self) -> usize {
        1 + usize::from(self.prefix_len()).div_ceil(8)
    }

    fn write(self, out: &mut Vec<u8>) {
        write(out, self.prefix_len(), &self.network().octets());
    }
}

fn write(out: &mut Vec<u8>, bits: u8, address: &[u8]) {
    out.push(bits);
    out.extend_from_slice(address.get(..usize::from(bits).div_ceil(8)).unwrap_or(address));
}
