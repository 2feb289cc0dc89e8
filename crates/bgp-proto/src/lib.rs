//! The speaker's side of BGP-4: messages, the session with one peer, and what that peer is told.
//!
//! Pure: octets and the time come in, octets and events go out. There is no socket, no clock and no
//! runtime. It announces and never learns: routes of the peer are checked, counted and dropped.

#![deny(clippy::as_conversions)]

mod asn;
mod attributes;
mod config;
mod event;
mod hold_time;
mod link;
mod negotiation;
mod per_family;
mod rib;
mod rng;
mod router_id;
mod session;
mod stats;
pub mod wire;

pub use asn::Asn;
pub use attributes::{Community, LargeCommunity, PathAttributes, TooManyCommunities};
pub use config::{Config, GracefulRestart, RemoteAsn};
pub use event::{Bfd, Down, Event, Reason, Reset, Stop};
pub use ferrolb_addr::Family;
pub use hold_time::HoldTime;
pub use link::Link;
pub use negotiation::Negotiated;
pub use per_family::{Families, PerFamily};
pub use router_id::RouterId;
pub use session::{Prefixes, Session, State};
pub use stats::{Messages, Stats};
pub use wire::{NextHop, Notification};
