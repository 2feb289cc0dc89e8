//! As much of IPv6 as Neighbor Discovery stands on: the header, the ICMPv6 checksum and the
//! multicast addresses, of the network and of Ethernet.
//!
//! Extension headers are not followed: no host sends Neighbor Discovery behind one, and RFC 6980
//! forbids the fragment header there.

use std::net::Ipv6Addr;

use ferrolb_addr::Mac;

use crate::frame::{Cursor, Invalid};

/// Every node of the link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The hop limit of every Neighbor Discovery message: no router lets one pass (RFC 4861 3.1).
pub const ND_HOP_LIMIT: u8 = 255;

const ICMPV6: u8 = 58;

/// The group that is asked for `address` (RFC 4291 2.7.1): `ff02::1:ff` and its last 24 bits.
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high, low)
}

/// The Ethernet group that carries an IPv6 group (RFC 2464 7): `33:33` and its last 32 bits.
pub const fn group_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

/// The fields of an IPv6 header in front of ICMPv6 that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The sender; `::` while it has no address yet.
    pub source: Ipv6Addr,
    /// A node or a group.
    pub destination: Ipv6Addr,
    /// 255 when the sender is on this link.
    pub hop_limit: u8,
}

impl Header {
    /// Octets of the header.
    pub const LEN: usize = 40;

    /// Reads what follows the Ethernet header. The ICMPv6 message comes back without padding.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), Invalid> {
        let mut cursor = Cursor(bytes);
        let [version, ..] = cursor.take::<4>()?;
        if version >> 4 != 6 {
            return Err(Invalid::Version(version >> 4));
        }
        let payload_len = usize::from(cursor.take_u16()?);
        let next_header = cursor.take_u8()?;
        if next_header != ICMPV6 {
            return Err(Invalid::NextHeader(next_header));
        }
        let hop_limit = cursor.take_u8()?;
        let source = Ipv6Addr::from(cursor.take::<16>()?);
        let destination = Ipv6Addr::from(cursor.take::<16>()?);
        if source.is_multicast() || source.is_loopback() {
            return Err(Invalid::Source(source));
        }
        let payload = cursor.0.get(..payload_len).ok_or(Invalid::Truncated)?;
        Ok((Self { source, destination, hop_limit }, payload))
    }

    /// The header as sent in front of `payload_len` octets of ICMPv6.
    pub fn encode(&self, payload_len: u16) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = 6 << 4;
        bytes[4..6].copy_from_slice(&payload_len.to_be_bytes());
        bytes[6..8].copy_from_slice(&[ICMPV6, self.hop_limit]);
        bytes[8..24].copy_from_slice(&self.source.octets());
        bytes[24..].copy_from_slice(&self.destination.octets());
        bytes
    }

    /// The checksum over the pseudo-header and `message` (RFC 8200 8.1, RFC 4443 2.3): what
    /// belongs into a message whose checksum field is zero, and zero over a message that is intact.
    pub fn checksum(&self, message: &[u8]) -> u16 {
        let sum = [&self.source.octets()[..], &self.destination.octets(), message]
            .iter()
            .flat_map(|part| part.chunks(2))
            .map(|pair| u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u64::from(low)))
            .sum::<u64>()
            + message.len() as u64
            + u64::from(ICMPV6);
        fold(sum)
    }
}

/// The one's complement of a one's complement sum.
fn fold(mut sum: u64) -> u16 {
    loop {
        match u16::try_from(sum) {
            Ok(folded) => return !folded,
            Err(_) => sum = (sum & 0xffff) + (sum >> 16),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::rfc_4291_example("4037::1:800:200e:8c6c", "ff02::1:ff0e:8c6c", "33:33:ff:0e:8c:6c")]
    #[case::low_zeros("2001:db8::", "ff02::1:ff00:0", "33:33:ff:00:00:00")]
    #[case::all_ones("2001:db8::ffff:ffff", "ff02::1:ffff:ffff", "33:33:ff:ff:ff:ff")]
    fn groups_of_an_address(#[case] address: &str, #[case] group: &str, #[case] mac: &str) {
        let solicited = solicited_node(address.parse().unwrap());
        assert_eq!(solicited, group.parse::<Ipv6Addr>().unwrap());
        assert_eq!(group_mac(solicited), mac.parse().unwrap());
    }

    #[test]
    fn all_nodes_have_a_group() {
        assert_eq!(group_mac(ALL_NODES), Mac([0x33, 0x33, 0, 0, 0, 1]));
    }

    #[rstest]
    #[case::nothing(0, 0xffff)]
    #[case::one_carry(0x1_0000, 0xfffe)]
    #[case::carry_of_the_carry(0xffff_ffff, 0)]
    #[case::negative_zero(0xffff, 0)]
    fn folding(#[case] sum: u64, #[case] expected: u16) {
        assert_eq!(fold(sum), expected);
    }
}
