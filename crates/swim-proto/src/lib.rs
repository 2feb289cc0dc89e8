//! Membership: which speakers run, agreed on without a server. Speaks the wire of
//! hashicorp/memberlist 0.5 as upstream's speakers use it, so both form one cluster. Pure:
//! datagrams, streams and the time come in, datagrams, streams and events go out.
//!
//! It is not the fast failure detector (that is `heartbeat`, on the same port) and not election.
//!
//! ```text
//!  handle_datagram ─▶ envelope ─▶ messages ─▶ rules ─▶ nodes, suspicions, broadcasts, events
//!  handle_stream ───▶ (label, key,            ▲  ▲
//!  handle_stream_reply  checksum, size)       │  │
//!                                             │  └── probe: ping, indirect, stream, verdict
//!  handle_timeout ────────────────────────────┴───── suspicion timers, gossip, whole states
//! ```
//!
//! A driver has one UDP socket and one TCP listener on the advertised address, and a bounded task
//! for each stream:
//!
//! ```
//! use std::time::Duration;
//! use ferrolb_swim_proto::{Config, Keyring, Membership, NotMembership, Transmit};
//!
//! # fn read_socket() -> Option<(std::net::SocketAddr, Vec<u8>)> { None }
//! # fn send_datagram(_: std::net::SocketAddr, _: &[u8]) {}
//! # fn spawn_stream(_: Transmit) {}
//! # fn heartbeat(_: &[u8]) {}
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = Config::new("node-a", "10.0.0.1:7946".parse()?);
//! config.keys = Some(Keyring::derive(b"content of the secret")?);
//! config.meta = b"heartbeat 1".as_slice().into();
//! let mut now = Duration::ZERO; // of a monotonic clock
//! let mut member = Membership::new(config, now, 42 /* of the operating system */)?;
//! member.join(now, ["10.0.0.2:7946".parse()?]);
//! for _turn in 0..3 {
//!     // 1. Everything that waits in the socket, before time is judged.
//!     while let Some((from, bytes)) = read_socket() {
//!         if member.handle_datagram(now, from, &bytes) == Err(NotMembership) {
//!             heartbeat(&bytes);
//!         }
//!     }
//!     // 2. What is due.
//!     if member.poll_timeout().is_some_and(|due| due <= now) {
//!         member.handle_timeout(now);
//!     }
//!     // 3. What follows.
//!     while let Some(transmit) = member.poll_transmit() {
//!         match transmit {
//!             Transmit::Datagram { to, bytes } => send_datagram(to, &bytes),
//!             // Connect, send, read while `Limits::stream_missing` is not 0, all within the timeout; then
//!             // `handle_stream_reply`, or `handle_stream_failed`.
//!             stream @ Transmit::Stream { .. } => spawn_stream(stream),
//!         }
//!     }
//!     while let Some(event) = member.poll_event() {
//!         println!("{event:?}");
//!     }
//!     // 4. Sleep until a datagram, a stream, or `poll_timeout`.
//!     now = member.poll_timeout().unwrap_or(now);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! An accepted stream is read while [`Limits::stream_missing`] is not 0, given to
//! [`Membership::handle_stream`], answered with what that returns, and closed. At most 128 at a
//! time, `tcp_timeout` each, is what the library does.

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
