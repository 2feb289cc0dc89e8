//! What the two OPENs amount to.

use std::time::Duration;

use crate::asn::Asn;
use crate::config::{Config, RemoteAsn};
use crate::hold_time::HoldTime;
use crate::link::Link;
use crate::per_family::{Families, PerFamily};
use crate::router_id::RouterId;
use crate::wire::{
    Capabilities, Encoding, MAX_EXTENDED_MESSAGE, MAX_MESSAGE, NextHop, Notification, Open,
    Reception, RestartCapability,
};

/// Terms of a session: what both sides offered.
#[expect(clippy::struct_excessive_bools, reason = "what was offered is a list of yes and no")]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Negotiated {
    /// Our AS, as the peer sees it.
    pub own_asn: Asn,
    /// AS of the peer.
    pub peer_asn: Asn,
    /// Both are the same: iBGP.
    pub internal: bool,
    /// Our BGP Identifier.
    pub own_id: RouterId,
    /// That of the peer.
    pub peer_id: RouterId,
    /// Host name of the peer, if it told one; safe to show.
    pub peer_host_name: Option<String>,
    /// Hold time in force.
    pub hold_time: HoldTime,
    /// Time between our keepalives, before jitter.
    pub keepalive_time: Option<Duration>,
    /// Families in force.
    pub families: Families,
    /// Where each family is announced to go. A family in force without one is not announced: this
    /// node has no address for it on that link.
    pub next_hops: PerFamily<Option<NextHop>>,
    /// Paths have four octets for an AS number.
    pub four_octet_as: bool,
    /// The peer understands route refresh.
    pub route_refresh: bool,
    /// Answers to route refresh are marked.
    pub enhanced_refresh: bool,
    /// IPv4 prefixes may have an IPv6 next hop.
    pub extended_next_hop: bool,
    /// Octets of the longest message.
    pub max_message: usize,
    /// The peer keeps our routes over a restart.
    pub graceful_restart: bool,
    /// A NOTIFICATION does not end that, except a hard reset.
    pub graceful_notification: bool,
}

impl Negotiated {
    /// Checks the peer's OPEN against what is expected, and joins it with ours.
    pub(crate) fn new(
        config: &Config,
        link: &Link,
        own: &Open,
        peer: &Open,
    ) -> Result<Self, Notification> {
        let internal = own.asn == peer.asn;
        // RFC 6286 2.2: Bad BGP Identifier if an internal peer has ours.
        if internal && own.router_id == peer.router_id {
            let why = format!("both sides have the identifier {}", own.router_id);
            return Err(Notification::new(2, 3).because(why));
        }
        let expected = match config.remote_asn {
            RemoteAsn::Exactly(asn) => peer.asn == asn,
            RemoteAsn::Internal => internal,
            RemoteAsn::External => !internal,
        };
        // RFC 4271 6.2: Bad Peer AS.
        if !expected {
            let why = format!("expected {}, the peer is AS {}", wanted(config, own), peer.asn);
            return Err(Notification::new(2, 2).because(why));
        }
        let (ours, theirs) = (&own.capabilities, &peer.capabilities);
        let families = ours.families().intersection(theirs.families());
        // RFC 5492 3: Unsupported Capability, with what we would need.
        if families.is_empty() {
            let required = Capabilities::required(ours.families());
            return Err(Notification::new(2, 7).with_data(&required));
        }
        let hold_time = own.hold_time.agreed(peer.hold_time);
        let extended_next_hop = ours.extended_next_hop && theirs.extended_next_hop;
        let restart = ours.graceful_restart.zip(theirs.graceful_restart);
        let extended_message = ours.extended_message && theirs.extended_message;
        Ok(Self {
            own_asn: own.asn,
            peer_asn: peer.asn,
            internal,
            own_id: own.router_id,
            peer_id: peer.router_id,
            peer_host_name: theirs.host_name.clone(),
            hold_time,
            keepalive_time: keepalive_time(hold_time, config.keepalive_time),
            families,
            next_hops: link.next_hops(families, extended_next_hop),
            four_octet_as: ours.four_octet_as.is_some() && theirs.four_octet_as.is_some(),
            route_refresh: theirs.route_refresh,
            enhanced_refresh: ours.enhanced_refresh && theirs.enhanced_refresh,
            extended_next_hop,
            max_message: if extended_message { MAX_EXTENDED_MESSAGE } else { MAX_MESSAGE },
            graceful_restart: restart.is_some(),
            graceful_notification: restart
                .is_some_and(|(ours, theirs)| ours.notification && theirs.notification),
        })
    }

    pub(crate) fn reception(&self) -> Reception {
        Reception {
            internal: self.internal,
            four_octet_as: self.four_octet_as,
            families: self.families,
        }
    }

    pub(crate) fn encoding(&self, graceful_shutdown: bool) -> Encoding {
        Encoding {
            asn: self.own_asn,
            internal: self.internal,
            four_octet_as: self.four_octet_as,
            limit: self.max_message,
            graceful_shutdown,
            next_hops: self.next_hops,
        }
    }
}

/// The AS a peer has to be in, in words.
fn wanted(config: &Config, own: &Open) -> String {
    match config.remote_asn {
        RemoteAsn::Exactly(asn) => format!("AS {asn}"),
        RemoteAsn::Internal => format!("our own AS {}", own.asn),
        RemoteAsn::External => format!("another AS than our own {}", own.asn),
    }
}

/// A third of the hold time, or less if configured so.
fn keepalive_time(hold_time: HoldTime, configured: Option<Duration>) -> Option<Duration> {
    let third = hold_time.duration()? / 3;
    Some(configured.filter(|time| !time.is_zero()).map_or(third, |time| time.min(third)))
}

/// How much of what we can do is offered. Some old peers refuse what they do not know.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Offer {
    /// Everything.
    #[default]
    Full,
    /// Families and AS numbers of four octets.
    Essential,
    /// No optional parameter at all.
    Bare,
}

impl Offer {
    /// What to try after the peer refused `self` with this; `None` if it was about something else.
    pub(crate) fn after(self, refusal: &Notification, config: &Config) -> Option<Self> {
        let without = if config.families.v4 && config.own_asn().fits_two_octets() {
            Self::Bare
        } else {
            Self::Essential
        };
        // RFC 5492 3: a speaker may try again without what was refused. Then from the start.
        match self {
            _ if refusal.is_unsupported_parameter() => {
                Some(if self == without { Self::Full } else { without })
            }
            Self::Full if refusal.is_unsupported_capability() => Some(Self::Essential),
            _ if refusal.is_unsupported_capability() => Some(Self::Full),
            _ => None,
        }
    }

    /// Our OPEN. `restarting` is whether the routes of a former process may still be kept.
    pub(crate) fn open(self, config: &Config, link: &Link, restarting: bool) -> Open {
        let asn = config.own_asn();
        let router_id = config
            .router_id
            .or_else(|| link.identifying().and_then(RouterId::new))
            .unwrap_or_else(|| RouterId::of_node_name(&config.node_name));
        let essential = Capabilities {
            multiprotocol: Some(config.families),
            four_octet_as: Some(asn.number()),
            ..Capabilities::default()
        };
        let capabilities = match self {
            Self::Bare => Capabilities::default(),
            Self::Essential => essential,
            Self::Full => Capabilities {
                route_refresh: true,
                enhanced_refresh: true,
                extended_next_hop: config.extended_next_hop,
                extended_message: config.extended_messages,
                graceful_restart: config.graceful_restart.map(|restart| RestartCapability {
                    restarting,
                    notification: restart.notification,
                    restart_time: restart.restart_time,
                    families: PerFamily {
                        v4: config.families.v4.then_some(restart.forwarding_preserved),
                        v6: config.families.v6.then_some(restart.forwarding_preserved),
                    },
                }),
                host_name: (!config.node_name.is_empty()).then(|| config.node_name.to_string()),
                ..essential
            },
        };
        Open { asn, hold_time: config.hold_time, router_id, capabilities }
    }
}
