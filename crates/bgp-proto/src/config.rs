//! How a session is configured.

use std::sync::Arc;
use std::time::Duration;

use crate::asn::Asn;
use crate::hold_time::HoldTime;
use crate::per_family::Families;
use crate::router_id::RouterId;

/// Configuration of one peer, as far as the protocol knows it. Addresses, ports, passwords and TTL
/// belong to the driver, which calls [`crate::Session::reset`] when one of them changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// The AS of this node.
    pub my_asn: Asn,
    /// The AS that this peer sees instead, in OPEN and in paths.
    pub local_asn: Option<Asn>,
    /// Which AS the peer must be of.
    pub remote_asn: RemoteAsn,
    /// BGP Identifier; derived from the connection if unset.
    pub router_id: Option<RouterId>,
    /// Name of this node: told as host name, and the last resort for the BGP Identifier.
    pub node_name: Arc<str>,
    /// Hold time proposed.
    pub hold_time: HoldTime,
    /// Time between keepalives, if shorter than a third of the hold time.
    pub keepalive_time: Option<Duration>,
    /// Time between attempts to connect, instead of our own schedule.
    pub connect_time: Option<Duration>,
    /// Families offered.
    pub families: Families,
    /// Offer IPv4 with an IPv6 next hop (RFC 8950).
    pub extended_next_hop: bool,
    /// Offer messages of 65,535 octets (RFC 8654).
    pub extended_messages: bool,
    /// Ask the peer to keep our routes over a restart (RFC 4724).
    pub graceful_restart: Option<GracefulRestart>,
}

/// Which AS the peer must be of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RemoteAsn {
    /// This one.
    Exactly(Asn),
    /// Ours, whichever we show.
    Internal,
    /// Any but ours.
    External,
}

/// Graceful restart, as the side that restarts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GracefulRestart {
    /// How many seconds the peer keeps our routes at most; up to 4,095.
    pub restart_time: u16,
    /// The process was just started, and its predecessor left the routes behind (R bit).
    pub restarted: bool,
    /// Forwarding survives the restart of the process (F bit).
    pub forwarding_preserved: bool,
    /// A NOTIFICATION does not end it, except a hard reset (RFC 8538, N bit).
    pub notification: bool,
}

impl Default for GracefulRestart {
    /// 120 seconds; forwarding is the kernel's and survives.
    fn default() -> Self {
        Self {
            restart_time: 120,
            restarted: false,
            forwarding_preserved: true,
            notification: false,
        }
    }
}

impl Config {
    /// A session with the defaults: hold time 90 s, IPv4 only, no graceful restart.
    pub fn new(my_asn: Asn, remote_asn: RemoteAsn, node_name: impl Into<Arc<str>>) -> Self {
        Self {
            my_asn,
            local_asn: None,
            remote_asn,
            router_id: None,
            node_name: node_name.into(),
            hold_time: HoldTime::DEFAULT,
            keepalive_time: None,
            connect_time: None,
            families: Families::V4,
            extended_next_hop: false,
            extended_messages: false,
            graceful_restart: None,
        }
    }

    /// The AS that the peer sees.
    pub fn own_asn(&self) -> Asn {
        self.local_asn.unwrap_or(self.my_asn)
    }

    /// Whether a session under `self` cannot become one under `other` while it lives. Timers and
    /// what is merely offered apply to the next session.
    pub(crate) fn needs_reset(&self, other: &Self) -> bool {
        self.own_asn() != other.own_asn()
            || self.remote_asn != other.remote_asn
            || self.router_id != other.router_id
            || self.families != other.families
            || self.extended_next_hop != other.extended_next_hop
    }
}
