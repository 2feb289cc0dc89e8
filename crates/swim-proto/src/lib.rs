//! Membership: which speakers run, agreed on without a server. Speaks the wire of
//! hashicorp/memberlist 0.5 as upstream's speakers use it, so both form one cluster. Pure: datagrams,
//! streams and the time come in, datagrams, streams and events go out.
//!
//! It is not the fast failure detector (that is `heartbeat`, on the same port) and not election.

mod broadcast;
mod budget;
mod config;
mod event;
mod exchange;
mod gossip;
mod graves;
mod key;
mod membership;
mod node;
mod probe;
mod rng;
mod rules;
mod stats;
mod suspicion;
mod wire;

pub use config::{Config, ConfigError, Limits, Timing};
pub use event::{Event, Refusal, SeedFailure};
pub use exchange::StreamId;
pub use key::{KeyLength, Keyring};
pub use membership::{Membership, NotMembership, Transmit};
pub use node::{Member, State};
pub use stats::Stats;
pub use wire::{MAX_DATAGRAM, MAX_META};
