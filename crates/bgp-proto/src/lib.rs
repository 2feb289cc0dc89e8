//! The speaker's side of BGP-4: messages, the session with one peer, and what that peer is told.
//!
//! Pure: octets and the time come in, octets and events go out. There is no socket, no clock and no
//! runtime. It announces and never learns: routes of the peer are checked, counted and dropped.
//!
//! ```text
//!   set_wanted ──▶ Adj-RIB-Out ──┐
//!                                ▼
//!   handle_* ────▶ Session ──▶ poll_transmit   octets, when the connection has room
//!   handle_timeout    │  └───▶ poll_event      Connect, Close, Established, Settled, Down
//!                     └──────▶ poll_timeout    when to come back
//! ```
//!
//! A driver is a loop around one [`Session`]:
//!
//! 1. Act on every [`Event`] of [`Session::poll_event`]. On [`Event::Close`] finish what is being
//!    written, write what [`Session::poll_transmit`] still gives (the last word), both within a
//!    second or so, close, and forget the connection.
//! 2. If nothing is being written, ask [`Session::poll_transmit`], and write all of it before asking
//!    again. A peer that does not read is known by the question not being asked.
//! 3. Wait for octets, the end of the connection, the writer, the dial, a change of what is wanted,
//!    or [`Session::poll_timeout`], and hand it in.
//!
//! ```
//! use std::net::IpAddr;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use ferrolb_bgp_proto::{Asn, Config, Event, Link, PathAttributes, RemoteAsn, Session};
//!
//! /// The driver's side of a connection.
//! trait Connection {
//!     fn dial(&mut self) -> Result<Link, String>;
//!     fn write(&mut self, octets: &[u8]);
//!     fn close(&mut self);
//! }
//!
//! /// One turn of the loop: what is left to do at `now`.
//! fn turn(session: &mut Session, connection: &mut impl Connection, now: Duration) {
//!     session.handle_timeout(now);
//!     let mut octets = Vec::new();
//!     loop {
//!         while let Some(event) = session.poll_event() {
//!             match event {
//!                 Event::Connect => match connection.dial() {
//!                     Ok(link) => session.handle_connected(now, link),
//!                     Err(why) => session.handle_connect_failed(now, why),
//!                 },
//!                 Event::Close => {
//!                     octets.clear();
//!                     while session.poll_transmit(now, &mut octets) {}
//!                     connection.write(&octets);
//!                     connection.close();
//!                 }
//!                 // For people: status, logs, metrics.
//!                 Event::Established(_) | Event::Settled | Event::Down(_) => {}
//!             }
//!         }
//!         octets.clear();
//!         if !session.poll_transmit(now, &mut octets) {
//!             break;
//!         }
//!         connection.write(&octets);
//!     }
//! }
//! # struct Wire(usize);
//! # impl Connection for Wire {
//! #     fn dial(&mut self) -> Result<Link, String> {
//! #         Ok(Link::new(IpAddr::from([192, 0, 2, 1])))
//! #     }
//! #     fn write(&mut self, octets: &[u8]) {
//! #         self.0 += octets.len();
//! #     }
//! #     fn close(&mut self) {}
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut connection = Wire(0);
//!
//! let asn = |number| Asn::new(number).ok_or("AS 0");
//! let config = Config::new(asn(64512)?, RemoteAsn::Exactly(asn(64513)?), "node-1");
//! let mut session = Session::new(config, Duration::ZERO, 42);
//! session.set_wanted("198.51.100.7/32".parse()?, Some(Arc::new(PathAttributes::default())));
//! session.set_complete();
//! turn(&mut session, &mut connection, Duration::ZERO);
//! # assert_eq!(connection.0, 19 + 10 + 2 + 6 + 2 + 6 + 2 + 10);
//! # Ok(())
//! # }
//! ```

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
