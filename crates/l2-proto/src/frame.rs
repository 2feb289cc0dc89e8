//! The buffer a frame is written to, the cursor one is read with, and what can be wrong with one.

use std::fmt;
use std::net::Ipv6Addr;

/// One outgoing frame, on the stack. Holds the largest frame this room writes and no more.
#[derive(Clone, Copy)]
pub struct FrameBuf {
    bytes: [u8; Self::CAPACITY],
    len: usize,
}

impl FrameBuf {
    /// Ethernet, IPv6, a Neighbor Discovery message and one link-layer address option.
    pub const CAPACITY: usize = 14 + 40 + 24 + 8;

    /// An empty buffer.
    pub const fn new() -> Self {
        Self { bytes: [0; Self::CAPACITY], len: 0 }
    }

    /// The frame, from the Ethernet destination on, without padding or checksum sequence.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Replaces the content by the headers of one frame, outermost first.
    pub(crate) fn write(&mut self, parts: &[&[u8]]) {
        self.len = 0;
        for part in parts {
            self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
            self.len += part.len();
        }
    }
}

impl Default for FrameBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for FrameBuf {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for FrameBuf {}

impl fmt::Debug for FrameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Reads fixed-size fields off the front of received bytes.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl Cursor<'_> {
    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], Invalid> {
        let (head, tail) = self.0.split_first_chunk().ok_or(Invalid::Truncated)?;
        self.0 = tail;
        Ok(*head)
    }

    pub(crate) fn take_u8(&mut self) -> Result<u8, Invalid> {
        self.take().map(|[byte]| byte)
    }

    pub(crate) fn take_u16(&mut self) -> Result<u16, Invalid> {
        self.take().map(u16::from_be_bytes)
    }
}

/// Why received bytes are not a message this room may act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A length in the frame, or the frame itself, ends before the message does.
    #[error("the frame ends before the message does")]
    Truncated,
    /// Neither ARP nor IPv6.
    #[error("EtherType {0:#06x} is neither ARP nor IPv6")]
    EtherType(u16),
    /// ARP for something other than IPv4 on Ethernet.
    #[error("ARP for hardware type {hardware}, protocol type {protocol:#06x}")]
    ArpType {
        /// Hardware type; Ethernet is 1.
        hardware: u16,
        /// Protocol type; IPv4 is 0x0800.
        protocol: u16,
    },
    /// ARP with address lengths other than 6 and 4.
    #[error("ARP with address lengths {hardware} and {protocol}")]
    ArpLength {
        /// Octets of a hardware address.
        hardware: u8,
        /// Octets of a protocol address.
        protocol: u8,
    },
    /// The version field of an IPv6 header is not 6.
    #[error("IP version {0} in an IPv6 frame")]
    Version(u8),
    /// IPv6 carrying something other than ICMPv6 as its first header.
    #[error("next header {0} is not ICMPv6")]
    NextHeader(u8),
    /// An IPv6 source that no host can have.
    #[error("source {0} is not a unicast address")]
    Source(Ipv6Addr),
    /// A hop limit below 255: the sender is not on this link.
    #[error("hop limit {0} shows a sender beyond this link")]
    HopLimit(u8),
    /// The ICMPv6 checksum does not fit.
    #[error("wrong ICMPv6 checksum")]
    Checksum,
    /// A Neighbor Discovery message with a code other than 0.
    #[error("ICMPv6 code {0}")]
    Code(u8),
    /// The target of a Neighbor Discovery message is a multicast address.
    #[error("target {0} is a multicast address")]
    Target(Ipv6Addr),
    /// An option of length zero, or a link-layer address that is not Ethernet's.
    #[error("option of {0} × 8 octets")]
    OptionLength(u8),
    /// A solicitation without a source that is not a proper duplicate address detection.
    #[error("solicitation from :: with another destination than the group, or with an address")]
    DadForm,
    /// An advertisement sent to a group claims to answer a solicitation.
    #[error("solicited advertisement to a group")]
    SolicitedToGroup,
}

impl Invalid {
    /// A short, stable word for logs and counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "Truncated",
            Self::EtherType(_) => "EtherType",
            Self::ArpType { .. } => "ARPType",
            Self::ArpLength { .. } => "ARPLength",
            Self::Version(_) => "IPVersion",
            Self::NextHeader(_) => "NextHeader",
            Self::Source(_) => "Source",
            Self::HopLimit(_) => "HopLimit",
            Self::Checksum => "Checksum",
            Self::Code(_) => "Code",
            Self::Target(_) => "Target",
            Self::OptionLength(_) => "OptionLength",
            Self::DadForm => "DADForm",
            Self::SolicitedToGroup => "SolicitedToGroup",
        }
    }
}
