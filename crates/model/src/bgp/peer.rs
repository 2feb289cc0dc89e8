//! A router to hold a session with (`bgp.md` 2.2, 2.3).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ferrolb_api::Password;
use ferrolb_ipam::Selector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::PeerName;
use crate::rows::Labels;

/// One valid `BGPPeer`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// `metadata.name`.
    pub name: PeerName,
    /// `metadata.creationTimestamp`: of two peers that contradict each other, the older one acts.
    pub created: Option<Time>,
    /// The AS of this side, unless [`Self::local_asn`] hides it.
    pub my_asn: Asn,
    /// The AS the router may show.
    pub remote_as: RemoteAs,
    /// Shown to the router instead of [`Self::my_asn`].
    pub local_asn: Option<Asn>,
    /// Where the router is.
    pub address: IpAddr,
    /// Its TCP port.
    pub port: u16,
    /// Where to connect from; none leaves it to the system.
    pub source_address: Option<IpAddr>,
    /// The BGP identifier; none derives it from the node.
    pub router_id: Option<Ipv4Addr>,
    /// Hold and keepalive time; none is the default of the engine.
    pub timers: Option<Timers>,
    /// Pause between attempts to connect; none is the default of the engine.
    pub connect_time: Option<Duration>,
    /// The TCP MD5 password, or where it is.
    pub password: PasswordSource,
    /// Name of the profile to watch the path with. The path is not watched if no such profile acts.
    pub bfd_profile: Option<Arc<str>>,
    /// The router keeps routes while the speaker restarts.
    pub graceful_restart: bool,
    /// The router may be more than one hop away.
    pub multihop: bool,
    /// Routes of both families go over this session.
    pub dual_stack: bool,
    /// Nodes that hold the session: those any of these matches, all if there are none.
    pub node_selectors: Vec<Selector>,
}

impl Peer {
    /// Whether a node with `labels` holds the session.
    pub fn is_for(&self, labels: &Labels) -> bool {
        self.node_selectors.is_empty()
            || self.node_selectors.iter().any(|selector| selector.matches(labels))
    }

    /// The AS that this side shows to the router.
    pub fn shown_asn(&self) -> Asn {
        self.local_asn.unwrap_or(self.my_asn)
    }

    /// Whether the session stays inside one AS.
    pub fn is_internal(&self) -> bool {
        match self.remote_as {
            RemoteAs::Internal => true,
            RemoteAs::External => false,
            RemoteAs::Number(asn) => asn == self.shown_asn(),
        }
    }

    /// Which of two peers with the same router acts: sorts older before younger, one that is not
    /// stored yet last.
    pub(crate) fn age(&self) -> (bool, Option<&Time>, &PeerName) {
        (self.created.is_none(), self.created.as_ref(), &self.name)
    }
}

/// Number of an autonomous system.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Asn(pub u32);

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The AS that a router may show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RemoteAs {
    /// Exactly this one.
    Number(Asn),
    /// The one this side shows.
    Internal,
    /// Any but the one this side shows.
    External,
}

impl RemoteAs {
    /// Whether a router that shows `asn` is the right one for a side that shows `ours`.
    pub fn accepts(self, asn: Asn, ours: Asn) -> bool {
        match self {
            Self::Number(expected) => asn == expected,
            Self::Internal => asn == ours,
            Self::External => asn != ours,
        }
    }
}

impl fmt::Display for RemoteAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(asn) => asn.fmt(f),
            Self::Internal => f.write_str("internal"),
            Self::External => f.write_str("external"),
        }
    }
}

/// Hold and keepalive time. Both zero: the session never times out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timers {
    /// Whole seconds, zero or 3 to 65535.
    pub hold: Duration,
    /// At most the hold time.
    pub keepalive: Duration,
}

/// Where a password comes from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum PasswordSource {
    /// There is none.
    #[default]
    None,
    /// The object itself.
    Written(Password),
    /// Key `password` of this Secret in the configuration namespace.
    Secret(Arc<str>),
}
