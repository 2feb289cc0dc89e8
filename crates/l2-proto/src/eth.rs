//! The Ethernet II header.
//!
//! A VLAN tag is not skipped: whoever answers a tagged question without a tag answers on the wrong
//! network. The kernel strips tags before a packet socket sees the frame, so a driver has to drop
//! those by the socket's metadata; a tag still in the bytes is dropped by [`crate::Responder`].

use ferrolb_addr::Mac;

use crate::frame::{Cursor, Invalid};

/// The EtherType of ARP.
pub const ARP: u16 = 0x0806;
/// The EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;
/// The values that announce a VLAN tag: IEEE 802.1Q, 802.1ad and the older stacked form.
pub const VLAN_TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];

/// The header of an Ethernet II frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The station the frame is for.
    pub destination: Mac,
    /// The station that sent it.
    pub source: Mac,
    /// What follows, see [`ARP`] and [`IPV6`].
    pub ether_type: u16,
}

impl Header {
    /// Octets of the header.
    pub const LEN: usize = 14;

    /// Splits a frame into its header and what follows, padding included.
    pub fn decode(frame: &[u8]) -> Result<(Self, &[u8]), Invalid> {
        let mut cursor = Cursor(frame);
        let header = Self {
            destination: Mac(cursor.take()?),
            source: Mac(cursor.take()?),
            ether_type: cursor.take_u16()?,
        };
        Ok((header, cursor.0))
    }

    /// The header as sent.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..6].copy_from_slice(&self.destination.0);
        bytes[6..12].copy_from_slice(&self.source.0);
        bytes[12..].copy_from_slice(&self.ether_type.to_be_bytes());
        bytes
    }
}
