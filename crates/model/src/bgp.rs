//! What this node tells its routers, and why.
//!
//! ```text
//!  Config ─┬─ peers ────────► peers_here ──────────► sessions
//!          └─ advertisements ─► decide_bgp(Service) ─► routes ─► Table ─► what each session sends
//! ```
//!
//! Unlike Layer 2 there is no election: every node that an advertisement lists and that can serve
//! announces, and the routers spread the traffic. So a verdict depends on this node alone.
//!
//! What is not here: sessions, timers and messages (`bgp-proto`), and the passwords that a peer
//! only refers to (the driver joins them).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

mod bfd;
mod community;
mod decide;
mod here;
mod peer;
mod reset;
mod route;
mod secret;
mod table;

pub use bfd::BfdProfile;
pub use community::{Community, CommunityError};
pub use decide::{Verdict, decide_bgp, routes};
pub(crate) use here::conflict;
pub use here::{peers_here, refused_here};
pub use peer::{Asn, PasswordSource, Peer, RemoteAs, Timers};
pub use reset::{ResetReason, reset_reason};
pub use route::{Attributes, Route, merge};
pub(crate) use secret::PASSWORD_AT_MOST;
pub use secret::{SecretRow, join_password};
pub use table::Table;

/// `metadata.name` of a `BGPPeer`.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PeerName(Arc<str>);

impl PeerName {
    /// Takes over any text as a name.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PeerName {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl std::borrow::Borrow<str> for PeerName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The peers that something is for.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum PeerScope {
    /// Every peer.
    #[default]
    All,
    /// Those with these names, at least one; a name may belong to no peer.
    Named(BTreeSet<PeerName>),
}

impl PeerScope {
    /// Whether it is for `peer`.
    pub fn includes(&self, peer: &PeerName) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(peer),
        }
    }

    /// Whether no peer can be in both.
    pub fn is_disjoint(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Named(ours), Self::Named(theirs)) => ours.is_disjoint(theirs),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
