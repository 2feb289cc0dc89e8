//! Between which addresses a session runs, and which packets without a discriminator are its own.

use std::net::IpAddr;

/// How far away the peer is; each mode has a port of its own, and both sides must agree.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Mode {
    /// On the link (RFC 5881): a packet that passed a router is not believed.
    SingleHop,
    /// Behind routers (RFC 5883): see [`crate::Config::min_ttl`].
    MultiHop,
}

/// The number the kernel knows an interface by.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IfIndex(pub u32);

/// Where a session runs. It does not change; another path is another session.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Path {
    /// The peer's address.
    pub peer: IpAddr,
    /// Ours; `None` for whichever the kernel takes.
    pub local: Option<IpAddr>,
    /// The interface it is bound to; needed for link-local addresses.
    pub interface: Option<IfIndex>,
    /// Single hop or multihop.
    pub mode: Mode,
}

/// What the kernel says of a received datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Arrival {
    /// Who sent it.
    pub from: IpAddr,
    /// The address of ours it was sent to.
    pub to: IpAddr,
    /// The interface it came in on.
    pub interface: IfIndex,
    /// TTL or hop limit it had left.
    pub ttl: u8,
    /// Which port it came to.
    pub mode: Mode,
}

impl Mode {
    /// UDP port packets are sent to.
    pub const fn port(self) -> u16 {
        match self {
            // RFC 5881 4
            Self::SingleHop => 3784,
            // RFC 5883 5
            Self::MultiHop => 4784,
        }
    }
}

impl Path {
    /// RFC 5881 3: without our discriminator in it, addresses and interface say whose a packet is.
    pub(crate) fn is_way_of(&self, arrival: &Arrival) -> bool {
        self.peer == arrival.from
            && self.mode == arrival.mode
            && self.local.is_none_or(|local| local == arrival.to)
            && self.interface.is_none_or(|interface| interface == arrival.interface)
    }

    /// Whether some packet could belong to both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        fn may_be_equal<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
            a.zip(b).is_none_or(|(a, b)| a == b)
        }
        self.peer == other.peer
            && self.mode == other.mode
            && may_be_equal(self.local, other.local)
            && may_be_equal(self.interface, other.interface)
    }
}
