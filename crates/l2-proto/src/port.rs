//! Interfaces as this room sees them: a number, addresses of its own, and a choice among many.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv6Addr;

use ferrolb_addr::Mac;

/// The kernel's number of a network interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfIndex(pub u32);

impl fmt::Display for IfIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An interface that speaks: where frames leave and what they are sent from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// The interface.
    pub index: IfIndex,
    /// Its station address.
    pub mac: Mac,
    /// Its link-local address, once usable. Advertisements are sent from it; without one they are
    /// sent from the address they are about, which this node owns as well (RFC 4861 7.2.4 and
    /// 7.2.6 ask for an address assigned to the sending interface).
    pub link_local: Option<Ipv6Addr>,
}

impl Port {
    /// The source of advertisements about `target`.
    pub(crate) fn source_for(&self, target: Ipv6Addr) -> Ipv6Addr {
        self.link_local.unwrap_or(target)
    }
}

/// On which interfaces an address is answered and announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interfaces {
    /// On every one there is, also on those still to come.
    All,
    /// On these.
    Only(BTreeSet<IfIndex>),
}

impl Interfaces {
    /// Whether `index` is among them.
    pub fn contains(&self, index: IfIndex) -> bool {
        match self {
            Self::All => true,
            Self::Only(set) => set.contains(&index),
        }
    }
}
