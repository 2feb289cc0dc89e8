//! Which change of a peer ends its session (`bgp.md` 2.12).

use std::fmt;

use super::peer::Peer;

/// The part of a peer that cannot change while a session is up. Prints as the field in the object.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ResetReason {
    /// Another router.
    PeerAddress,
    /// Another port.
    PeerPort,
    /// Another own address.
    SourceAddress,
    /// Another AS of this side.
    MyAsn,
    /// Another AS of the router.
    PeerAsn,
    /// Another AS shown to the router.
    LocalAsn,
    /// Another BGP identifier.
    RouterId,
    /// Another TTL.
    EbgpMultiHop,
    /// Other families.
    DualStackAddressFamily,
    /// Another password, or from elsewhere.
    Password,
}

impl fmt::Display for ResetReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PeerAddress => "peerAddress",
            Self::PeerPort => "peerPort",
            Self::SourceAddress => "sourceAddress",
            Self::MyAsn => "myASN",
            Self::PeerAsn => "peerASN",
            Self::LocalAsn => "localASN",
            Self::RouterId => "routerID",
            Self::EbgpMultiHop => "ebgpMultiHop",
            Self::DualStackAddressFamily => "dualStackAddressFamily",
            Self::Password => "password",
        })
    }
}

/// Why the session of `old` must end for that of `new` to begin; none if it can go on. Timers,
/// connect time and graceful restart then hold from the next session on, a BFD profile at once.
pub fn reset_reason(old: &Peer, new: &Peer) -> Option<ResetReason> {
    let changes = [
        (old.address != new.address, ResetReason::PeerAddress),
        (old.port != new.port, ResetReason::PeerPort),
        (old.source_address != new.source_address, ResetReason::SourceAddress),
        (old.my_asn != new.my_asn, ResetReason::MyAsn),
        (old.remote_as != new.remote_as, ResetReason::PeerAsn),
        (old.local_asn != new.local_asn, ResetReason::LocalAsn),
        (old.router_id != new.router_id, ResetReason::RouterId),
        (old.multihop != new.multihop, ResetReason::EbgpMultiHop),
        (old.dual_stack != new.dual_stack, ResetReason::DualStackAddressFamily),
        (old.password != new.password, ResetReason::Password),
    ];
    changes.into_iter().find_map(|(changed, reason)| changed.then_some(reason))
}
