//! What one peer is configured as, in the words of the session, the socket and BFD.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_api::Password;
use ferrolb_bfd_proto as bfd;
use ferrolb_bgp_proto::{Asn, Config, Families, GracefulRestart, HoldTime, RemoteAsn, RouterId};
use ferrolb_model::bgp::{BfdProfile, PasswordSource, Peer, RemoteAs, ResetReason, reset_reason};
use ferrolb_sys::{Md5Key, TcpOptions};

/// Everything about a peer that its task must know. A new one replaces the old one as a whole.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Terms {
    peer: Peer,
    password: Option<Md5Key>,
    bfd: Option<bfd::Config>,
    session: Config,
    ttl: Option<u8>,
}

/// What all peers of this node have in common.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    /// Name of this node.
    pub(crate) node: Arc<str>,
    /// Leave the TTL of external sessions alone, as upstream's native mode does.
    pub(crate) lenient_ttl: bool,
}

/// Why a valid peer cannot be acted on. The configuration rules out all of these; a second look
/// costs nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum TermsError {
    /// AS 0.
    #[error("AS number 0")]
    Asn,
    /// A hold time that BGP does not know.
    #[error("a hold time of {0} seconds")]
    HoldTime(u64),
    /// A password that TCP does not take.
    #[error(transparent)]
    Password(#[from] ferrolb_sys::Md5KeyLength),
}

impl Terms {
    /// `password` is what the peer's source of passwords holds, `profile` the BFD profile it names.
    pub(crate) fn new(
        peer: &Peer,
        password: Option<&Password>,
        profile: Option<&BfdProfile>,
        common: &Common,
    ) -> Result<Self, TermsError> {
        let password = password
            .filter(|password| !password.is_empty())
            .map(|password| Md5Key::new(password.expose().as_bytes()))
            .transpose()?;
        let external_on_link = !peer.is_internal() && !peer.multihop;
        let ttl = match external_on_link {
            true if common.lenient_ttl => None,
            true => Some(1),
            false => Some(255),
        };
        Ok(Self {
            session: session(peer, common)?,
            peer: peer.clone(),
            password,
            bfd: profile.map(bfd_config),
            ttl,
        })
    }

    /// Where the router is.
    pub(crate) fn target(&self) -> SocketAddr {
        SocketAddr::new(self.peer.address, self.peer.port)
    }

    /// How to connect.
    pub(crate) fn tcp(&self) -> TcpOptions {
        TcpOptions {
            local: self.peer.source_address,
            password: self.password.clone(),
            ttl: self.ttl,
            ..TcpOptions::default()
        }
    }

    /// How the session is to be. `restarted`: routes of a former process may be with the peer.
    pub(crate) fn session(&self, restarted: bool) -> Config {
        let mut config = self.session.clone();
        if let Some(restart) = &mut config.graceful_restart {
            restart.restarted = restarted;
        }
        config
    }

    /// The BFD session beside it.
    pub(crate) fn bfd(&self) -> Option<bfd::Config> {
        self.bfd
    }

    /// Our address, if configured.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.peer.source_address
    }

    /// The families of the session.
    pub(crate) fn families(&self) -> Families {
        self.session.families
    }

    /// The router must be on the link, because packets to it live for one hop.
    pub(crate) fn is_on_link_only(&self) -> bool {
        self.ttl == Some(1)
    }

    /// BFD takes the peer for one behind routers, whatever the routes say.
    pub(crate) fn is_multihop(&self) -> bool {
        self.peer.multihop
    }

    /// The peer itself.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Why a session under `self` must end for one under `new` to begin; none if it goes on.
    pub(crate) fn reset_reason(&self, new: &Self) -> Option<ResetReason> {
        // Where a password is written makes no difference; what it is does.
        let (mut old_peer, mut new_peer) = (self.peer.clone(), new.peer.clone());
        old_peer.password = PasswordSource::None;
        new_peer.password = PasswordSource::None;
        reset_reason(&old_peer, &new_peer)
            .or_else(|| (self.password != new.password).then_some(ResetReason::Password))
    }
}

fn session(peer: &Peer, common: &Common) -> Result<Config, TermsError> {
    let asn = |asn: ferrolb_model::bgp::Asn| Asn::new(asn.0).ok_or(TermsError::Asn);
    let remote = match peer.remote_as {
        RemoteAs::Number(number) => RemoteAsn::Exactly(asn(number)?),
        RemoteAs::Internal => RemoteAsn::Internal,
        RemoteAs::External => RemoteAsn::External,
    };
    let mut config = Config::new(asn(peer.my_asn)?, remote, Arc::clone(&common.node));
    config.local_asn = peer.local_asn.map(asn).transpose()?;
    config.router_id = peer.router_id.and_then(RouterId::new);
    if let Some(timers) = &peer.timers {
        let seconds = timers.hold.as_secs();
        let hold_time = u16::try_from(seconds).ok().and_then(HoldTime::new);
        config.hold_time = hold_time.ok_or(TermsError::HoldTime(seconds))?;
        config.keepalive_time = Some(timers.keepalive).filter(|time| *time > Duration::ZERO);
    }
    config.connect_time = peer.connect_time;
    config.families = match peer.address {
        _ if peer.dual_stack => Families::BOTH,
        IpAddr::V4(_) => Families::V4,
        IpAddr::V6(_) => Families::V6,
    };
    // RFC 8950: IPv4 over a session of IPv6 addresses, should this node have no IPv4 address there.
    config.extended_next_hop = peer.dual_stack && peer.address.is_ipv6();
    config.graceful_restart = peer.graceful_restart.then(GracefulRestart::default);
    Ok(config)
}

fn bfd_config(profile: &BfdProfile) -> bfd::Config {
    let interval = |time: Duration| {
        bfd::Interval::from_micros(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))
    };
    bfd::Config {
        transmit: interval(profile.transmit_interval),
        receive: interval(profile.receive_interval),
        detect_multiplier: NonZeroU8::new(profile.detect_multiplier).unwrap_or(NonZeroU8::MIN),
        passive: profile.passive,
        min_ttl: profile.minimum_ttl,
        echo: None,
    }
}
