//! Bidirectional Forwarding Detection (RFC 5880, 5881, 5882, 5883): does the path to a router still carry
//! packets? Pure: datagrams and the time come in, datagrams and events go out.
//!
//! Asynchronous mode, active and passive role, single hop and multihop. It is not the echo function (the
//! wish for it is carried in [`Config::echo`] and not acted on), not authentication, and not demand mode of
//! our own; a peer's demand mode is respected. What a lost path means is decided elsewhere.
//!
//! ```text
//!  datagram ──▶ Packet::decode ──▶ Sessions (which one? enough TTL?) ──▶ Session ──▶ Event
//!                                                                          │
//!                                   handle_timeout ──▶ detection, transmission ──▶ Transmit
//!
//!             ┌──────── AdminDown or detection time ────────┐
//!             ▼                                             │
//!   ┌────▶ Down ──Down heard──▶ Init ──Init or Up heard──▶ Up
//!   │       └────────────Init heard─────────────────────▶   │
//!   └─────── AdminDown or Down heard, or detection time ────┘
//! ```
//!
//! # For the driver
//!
//! 1. Read every waiting datagram, each with its kernel receive time: [`Sessions::handle_datagram`].
//! 2. Say how late the thread woke: [`Sessions::handle_lateness`].
//! 3. If [`Sessions::poll_timeout`] has passed: [`Sessions::handle_timeout`]. A path is lost nowhere else, so
//!    step 1 must come first: a word that waits in the socket must not be overlooked.
//! 4. Send what [`Sessions::poll_transmit`] gives, act on what [`Sessions::poll_event`] gives.
//! 5. Sleep until [`Sessions::poll_timeout`].

mod config;
mod event;
mod interval;
mod negotiation;
mod packet;
mod path;
mod session;
mod sessions;
mod view;

pub use config::Config;
pub use event::{Change, Event, Side};
pub use interval::Interval;
pub use packet::{Diagnostic, Discriminator, Malformed, Packet, State};
pub use path::{Arrival, IfIndex, Mode, Path};
pub use sessions::{Discard, Sessions, Taken, Transmit};
pub use view::{Counters, RemoteView, View};
