//! What a Service asks the allocator for.

use std::net::IpAddr;

use ferrolb_addr::Family;

use crate::Labels;
use crate::name::ServiceKey;
use crate::port::Port;

/// One question, borrowed from the Service it is about.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub service: &'a ServiceKey,
    /// Labels of the Service, for pools that select by label.
    pub labels: &'a Labels,
    /// Ports of the Service; Services that share an address must not share a port.
    pub ports: &'a [Port],
    /// Services with the same key may share an address; empty means: shares with nobody.
    pub sharing_key: &'a str,
    /// Where traffic of the Service must be delivered. Services that share must agree on it too;
    /// empty while any node can deliver.
    pub backend_key: &'a str,
    /// The families of its cluster addresses. `assign` does not look at it.
    pub families: Families,
}

/// The families a Service has cluster addresses of.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Families {
    /// One family: exactly one address.
    Single(Family),
    /// Both families.
    Dual {
        /// Whether one address will do.
        policy: DualPolicy,
        /// The family to prefer when only one address can be had. A pair is IPv4 before IPv6,
        /// whichever is primary.
        primary: Family,
    },
}

impl Families {
    /// Whether a Service that holds `ips` has what it asks for.
    pub(crate) fn accept(self, ips: &[IpAddr]) -> bool {
        match (self, ips) {
            (Self::Single(wanted), [ip]) => wanted == Family::of(*ip),
            (Self::Dual { policy, .. }, [_]) => policy == DualPolicy::Prefer,
            (Self::Dual { .. }, [_, _]) => true,
            _ => false,
        }
    }
}

/// `spec.ipFamilyPolicy` of a Service with cluster addresses of both families.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum DualPolicy {
    /// `SingleStack`, which contradicts two families: nothing can be allocated.
    #[default]
    Single,
    /// `PreferDualStack`: two addresses from one pool if one has both, else one.
    Prefer,
    /// `RequireDualStack`: two addresses from one pool or none.
    Require,
}
