//! The addresses of a connection, and which of them is the next hop.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::per_family::{Families, PerFamily};
use crate::wire::NextHop;

/// What the driver knows about a connection once it stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Link {
    /// Local address of the connection.
    pub local: IpAddr,
    /// An IPv4 address of the interface that owns `local`.
    pub ipv4: Option<Ipv4Addr>,
    /// A global IPv6 address of that interface.
    pub ipv6: Option<Ipv6Addr>,
}

impl Link {
    /// A connection of which only the local address is known.
    pub const fn new(local: IpAddr) -> Self {
        Self { local, ipv4: None, ipv6: None }
    }

    /// The next hop of each of `families`: always this node. A family for which it has no address
    /// cannot be announced.
    pub(crate) fn next_hops(
        &self,
        families: Families,
        extended_next_hop: bool,
    ) -> PerFamily<Option<NextHop>> {
        let v4 = match self.local {
            IpAddr::V4(local) => Some(NextHop::V4(local)),
            // RFC 8950 4: over IPv6 if both sides agreed.
            IpAddr::V6(_) if extended_next_hop => self.ipv6_next_hop(),
            IpAddr::V6(_) => self.ipv4.map(NextHop::V4),
        };
        PerFamily {
            v4: v4.filter(|_| families.v4),
            v6: self.ipv6_next_hop().filter(|_| families.v6),
        }
    }

    /// RFC 2545 3 wants the link-local address beside the global one for a peer on the same link. It is left out
    /// unless the session itself runs over it: nobody needs it to reach a neighbour by its global address,
    /// and FRR takes such a route for withdrawn, for good, as long as it does not know its own interfaces.
    fn ipv6_next_hop(&self) -> Option<NextHop> {
        match self.local {
            IpAddr::V4(_) => self.ipv6.map(|global| NextHop::V6(global, None)),
            IpAddr::V6(local) if local.is_unicast_link_local() => Some(match self.ipv6 {
                Some(global) => NextHop::V6(global, Some(local)),
                None => NextHop::V6(local, None),
            }),
            IpAddr::V6(local) => Some(NextHop::V6(local, None)),
        }
    }

    /// The address from which an unset BGP Identifier is derived.
    pub(crate) fn identifying(&self) -> Option<Ipv4Addr> {
        match self.local {
            IpAddr::V4(local) => Some(local),
            IpAddr::V6(_) => self.ipv4,
        }
    }
}
