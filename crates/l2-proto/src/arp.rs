//! ARP for IPv4 on Ethernet (RFC 826), and the forms RFC 5227 gives it.
//!
//! Hardware type, protocol type and both address lengths are verified; frames may carry padding.

use std::net::Ipv4Addr;

use ferrolb_addr::Mac;

use crate::eth;
use crate::frame::{Cursor, FrameBuf, Invalid};

/// Operation of a question.
pub const REQUEST: u16 = 1;
/// Operation of an answer.
pub const REPLY: u16 = 2;

const HARDWARE_ETHERNET: u16 = 1;
const PROTOCOL_IPV4: u16 = 0x0800;

/// The body of an ARP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// [`REQUEST`], [`REPLY`], or anything else that was received.
    pub operation: u16,
    /// The sender's station.
    pub sender_mac: Mac,
    /// The sender's address; `0.0.0.0` in a probe.
    pub sender_ip: Ipv4Addr,
    /// The station asked for (meaningless in a question) or answered to.
    pub target_mac: Mac,
    /// The address asked for, or of whom is answered.
    pub target_ip: Ipv4Addr,
}

impl Packet {
    /// Octets of the body.
    pub const LEN: usize = 28;

    /// Reads what follows the Ethernet header.
    pub fn decode(bytes: &[u8]) -> Result<Self, Invalid> {
        let mut cursor = Cursor(bytes);
        // RFC 826, Packet Reception: hardware type and protocol come before everything else.
        let (hardware, protocol) = (cursor.take_u16()?, cursor.take_u16()?);
        if (hardware, protocol) != (HARDWARE_ETHERNET, PROTOCOL_IPV4) {
            return Err(Invalid::ArpType { hardware, protocol });
        }
        let (hardware, protocol) = (cursor.take_u8()?, cursor.take_u8()?);
        if (hardware, protocol) != (6, 4) {
            return Err(Invalid::ArpLength { hardware, protocol });
        }
        Ok(Self {
            operation: cursor.take_u16()?,
            sender_mac: Mac(cursor.take()?),
            sender_ip: Ipv4Addr::from(cursor.take::<4>()?),
            target_mac: Mac(cursor.take()?),
            target_ip: Ipv4Addr::from(cursor.take::<4>()?),
        })
    }

    /// The body as sent.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..2].copy_from_slice(&HARDWARE_ETHERNET.to_be_bytes());
        bytes[2..4].copy_from_slice(&PROTOCOL_IPV4.to_be_bytes());
        bytes[4..6].copy_from_slice(&[6, 4]);
        bytes[6..8].copy_from_slice(&self.operation.to_be_bytes());
        bytes[8..14].copy_from_slice(&self.sender_mac.0);
        bytes[14..18].copy_from_slice(&self.sender_ip.octets());
        bytes[18..24].copy_from_slice(&self.target_mac.0);
        bytes[24..].copy_from_slice(&self.target_ip.octets());
        bytes
    }

    /// Writes the whole frame, from the sender's station to `destination`.
    pub fn write(&self, destination: Mac, out: &mut FrameBuf) {
        let header = eth::Header { destination, source: self.sender_mac, ether_type: eth::ARP };
        out.write(&[&header.encode(), &self.encode()]);
    }

    /// The answer to this question: `mac` has the target address.
    #[must_use]
    pub fn reply_from(&self, mac: Mac) -> Self {
        Self {
            operation: REPLY,
            sender_mac: mac,
            sender_ip: self.target_ip,
            target_mac: self.sender_mac,
            target_ip: self.sender_ip,
        }
    }

    /// An unasked announcement that `mac` has `ip`, in the form of `operation`. Linux takes a reply
    /// for one only with the sender's own station as its target.
    pub fn gratuitous(operation: u16, mac: Mac, ip: Ipv4Addr) -> Self {
        let target_mac = if operation == REPLY { mac } else { Mac::BROADCAST };
        Self { operation, sender_mac: mac, sender_ip: ip, target_mac, target_ip: ip }
    }

    /// Whether the sender tells that it has an address instead of asking for one.
    pub fn is_announcement(&self) -> bool {
        self.sender_ip == self.target_ip
    }
}
