//! The BGP Identifier.

use std::fmt;
use std::net::Ipv4Addr;

/// A BGP Identifier: four octets, not zero (RFC 6286 2.1).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RouterId(Ipv4Addr);

impl RouterId {
    /// The identifier, unless it is 0.0.0.0.
    pub const fn new(id: Ipv4Addr) -> Option<Self> {
        if id.is_unspecified() { None } else { Some(Self(id)) }
    }

    /// For a node without any IPv4 address: the CRC-32 (IEEE) of its name, least significant octet
    /// first, so that a node keeps the identifier it had under upstream's native mode.
    pub fn of_node_name(name: &str) -> Self {
        let id = Ipv4Addr::from(crc32(name.as_bytes()).to_le_bytes());
        Self::new(id).unwrap_or(Self(Ipv4Addr::new(0, 0, 0, 1)))
    }

    /// In dotted form.
    pub const fn address(self) -> Ipv4Addr {
        self.0
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// IEEE 802.3, reflected; bit by bit, since it runs once.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_polynomial() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(
            RouterId::of_node_name("123456789").address(),
            Ipv4Addr::new(0x26, 0x39, 0xF4, 0xCB)
        );
    }

    #[test]
    fn zero_is_no_identifier() {
        assert_eq!(RouterId::new(Ipv4Addr::UNSPECIFIED), None);
    }
}
