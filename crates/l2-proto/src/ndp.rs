//! Neighbor Solicitation and Advertisement (RFC 4861 4.3, 4.4, 7.1) in their IPv6 packet.
//!
//! Decoding verifies all that RFC 4861 7.1.1 and 7.1.2 ask a receiver to verify, so a message that
//! comes out of here was sent on this link and is intact. Other ICMPv6 is passed over by its type.

use std::net::Ipv6Addr;

use ferrolb_addr::Mac;

use crate::eth;
use crate::frame::{Cursor, FrameBuf, Invalid};
use crate::ipv6::{self, Header, ND_HOP_LIMIT, group_mac, solicited_node};

const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;

const SOURCE_LINK_LAYER_ADDRESS: u8 = 1;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;

const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// A message this room knows, or the ICMPv6 type of one it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// A question.
    Solicitation(Solicitation),
    /// An answer or an announcement.
    Advertisement(Advertisement),
    /// Anything else; only its type was read.
    Other(u8),
}

/// Asks which station has the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Solicitation {
    /// Who asks; `::` in duplicate address detection.
    pub source: Ipv6Addr,
    /// The target's group, or the target itself when the asker checks a station it knows.
    pub destination: Ipv6Addr,
    /// The address asked for.
    pub target: Ipv6Addr,
    /// The source link-layer address option.
    pub source_mac: Option<Mac>,
}

/// Tells which station has the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advertisement {
    /// Who tells.
    pub source: Ipv6Addr,
    /// The asker, or all nodes.
    pub destination: Ipv6Addr,
    /// The address told of.
    pub target: Ipv6Addr,
    /// The target link-layer address option.
    pub target_mac: Option<Mac>,
    /// The sender is a router.
    pub router: bool,
    /// It answers a solicitation from the destination.
    pub solicited: bool,
    /// It replaces another link-layer address the receiver may know.
    pub overriding: bool,
}

/// Reads what follows the Ethernet header.
pub fn decode(bytes: &[u8]) -> Result<Message, Invalid> {
    let (header, message) = Header::decode(bytes)?;
    let mut cursor = Cursor(message);
    let [message_type, code] = cursor.take()?;
    if ![NEIGHBOR_SOLICITATION, NEIGHBOR_ADVERTISEMENT].contains(&message_type) {
        return Ok(Message::Other(message_type));
    }
    // RFC 4861 7.1.1, 7.1.2: hop limit, checksum, code, length, target, options.
    if header.hop_limit != ND_HOP_LIMIT {
        return Err(Invalid::HopLimit(header.hop_limit));
    }
    if header.checksum(message) != 0 {
        return Err(Invalid::Checksum);
    }
    if code != 0 {
        return Err(Invalid::Code(code));
    }
    let _checksum = cursor.take_u16()?;
    let [flags, ..] = cursor.take::<4>()?;
    let target = Ipv6Addr::from(cursor.take::<16>()?);
    if target.is_multicast() {
        return Err(Invalid::Target(target));
    }
    let Header { source, destination, .. } = header;

    if message_type == NEIGHBOR_SOLICITATION {
        let source_mac = link_layer_address(cursor, SOURCE_LINK_LAYER_ADDRESS)?;
        let solicitation = Solicitation { source, destination, target, source_mac };
        solicitation.verify().map(Message::Solicitation)
    } else {
        let advertisement = Advertisement {
            source,
            destination,
            target,
            target_mac: link_layer_address(cursor, TARGET_LINK_LAYER_ADDRESS)?,
            router: flags & ROUTER != 0,
            solicited: flags & SOLICITED != 0,
            overriding: flags & OVERRIDE != 0,
        };
        advertisement.verify().map(Message::Advertisement)
    }
}

impl Solicitation {
    /// Whether the asker wants the target for itself and checks that nobody has it
    /// (RFC 4862 5.4.2).
    pub fn is_duplicate_detection(&self) -> bool {
        self.source.is_unspecified()
    }

    /// Writes the whole frame, from station `source` to station `destination`.
    pub fn write(&self, source: Mac, destination: Mac, out: &mut FrameBuf) {
        let option = self.source_mac.map(|mac| (SOURCE_LINK_LAYER_ADDRESS, mac));
        let message = Encoded::new(NEIGHBOR_SOLICITATION, 0, self.target, option);
        message.write(source, destination, self.source, self.destination, out);
    }

    /// RFC 4861 7.1.1: without a source, only to a solicited-node group and without an option.
    fn verify(self) -> Result<Self, Invalid> {
        let to_group = self.destination == solicited_node(self.destination);
        if self.is_duplicate_detection() && (!to_group || self.source_mac.is_some()) {
            return Err(Invalid::DadForm);
        }
        Ok(self)
    }
}

impl Advertisement {
    /// The answer to `question`: `mac` has its target (RFC 4861 7.2.4).
    ///
    /// Override is set: the address belongs to one node at a time, and a neighbour that still knows
    /// the station of its last owner has to forget it. Whoever detects duplicates has no address to
    /// answer to, so all nodes hear it and Solicited stays clear.
    pub fn answer(question: &Solicitation, source: Ipv6Addr, mac: Mac) -> Self {
        let detecting = question.is_duplicate_detection();
        Self {
            destination: if detecting { ipv6::ALL_NODES } else { question.source },
            solicited: !detecting,
            ..Self::unsolicited(question.target, source, mac)
        }
    }

    /// An unasked announcement to all nodes that `mac` has `target` (RFC 4861 7.2.6).
    pub fn unsolicited(target: Ipv6Addr, source: Ipv6Addr, mac: Mac) -> Self {
        Self {
            source,
            destination: ipv6::ALL_NODES,
            target,
            target_mac: Some(mac),
            router: false,
            solicited: false,
            overriding: true,
        }
    }

    /// Writes the whole frame, from station `source` to station `destination`.
    pub fn write(&self, source: Mac, destination: Mac, out: &mut FrameBuf) {
        let flags =
            [(self.router, ROUTER), (self.solicited, SOLICITED), (self.overriding, OVERRIDE)]
                .iter()
                .fold(0, |flags, &(set, flag)| if set { flags | flag } else { flags });
        let option = self.target_mac.map(|mac| (TARGET_LINK_LAYER_ADDRESS, mac));
        let message = Encoded::new(NEIGHBOR_ADVERTISEMENT, flags, self.target, option);
        message.write(source, destination, self.source, self.destination, out);
    }

    /// RFC 4861 7.1.2: nobody asked in the name of a group.
    fn verify(self) -> Result<Self, Invalid> {
        if self.solicited && self.destination.is_multicast() {
            return Err(Invalid::SolicitedToGroup);
        }
        Ok(self)
    }
}

/// The station that a packet to `destination` is sent to when that is a group.
pub fn station_of_group(destination: Ipv6Addr) -> Option<Mac> {
    destination.is_multicast().then(|| group_mac(destination))
}

/// The first link-layer address among the options; every option is checked, unknown ones pass.
fn link_layer_address(mut options: Cursor<'_>, wanted: u8) -> Result<Option<Mac>, Invalid> {
    let mut found = None;
    while !options.0.is_empty() {
        let [kind, units] = options.take()?;
        // RFC 4861 4.6: the length counts units of 8 octets, from the type on, and is never zero.
        let content_len =
            (usize::from(units) * 8).checked_sub(2).ok_or(Invalid::OptionLength(units))?;
        let (content, rest) = options.0.split_at_checked(content_len).ok_or(Invalid::Truncated)?;
        options = Cursor(rest);
        if kind == wanted && found.is_none() {
            let mac = content.try_into().map_err(|_| Invalid::OptionLength(units))?;
            found = Some(Mac(mac));
        }
    }
    Ok(found)
}

/// A message under construction; its checksum waits for the IPv6 header.
struct Encoded {
    bytes: [u8; Self::LEN],
    has_option: bool,
}

impl Encoded {
    /// Octets of a message without options.
    const BARE: u16 = 24;
    /// Octets with one link-layer address option.
    const FULL: u16 = 32;
    const LEN: usize = Self::FULL as usize;

    fn new(message_type: u8, flags: u8, target: Ipv6Addr, option: Option<(u8, Mac)>) -> Self {
        let mut bytes = [0; Self::LEN];
        bytes[0] = message_type;
        bytes[4] = flags;
        bytes[8..24].copy_from_slice(&target.octets());
        if let Some((kind, mac)) = option {
            bytes[24..26].copy_from_slice(&[kind, 1]);
            bytes[26..].copy_from_slice(&mac.0);
        }
        Self { bytes, has_option: option.is_some() }
    }

    fn write(
        mut self,
        source_mac: Mac,
        destination_mac: Mac,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        out: &mut FrameBuf,
    ) {
        let len = if self.has_option { Self::FULL } else { Self::BARE };
        let message = &mut self.bytes[..usize::from(len)];
        let header = Header { source, destination, hop_limit: ND_HOP_LIMIT };
        let checksum = header.checksum(message);
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
        let ethernet =
            eth::Header { destination: destination_mac, source: source_mac, ether_type: eth::IPV6 };
        out.write(&[&ethernet.encode(), &header.encode(len), message]);
    }
}
