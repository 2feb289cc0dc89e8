//! Failure detection between our own speakers: which nodes are alive, and which of those stand for
//! election. Pure: datagrams, wire answers and the time come in, datagrams and events go out.
//!
//! It is not membership (who exists is told by [`Detector::set_peers`]) and not election (who owns
//! an address is decided from [`Detector::candidates`] elsewhere).
//!
//! ```text
//!              handle_datagram ──▶ session (authentic? newer? proven?)
//!                                     │ hearing, statements about others
//!              handle_timeout ──▶ wake ──▶ own word ──▶ judge ──▶ events, candidates
//!                                  │        │            │
//!                     own lateness ┘        │            └ AskWire ⇄ handle_wire_answer
//!                                           └ eligible, held, draining
//!
//!  a peer:  Unheard ──proven──▶ Alive ──past its deadline──▶ Silent ──two witnesses──▶ Dead
//!              ▲                  ▲ ▲                          │     or one and the wire │
//!              └─ leave ──────────┘ └────────── heard ─────────┘                         │
//!                                 └──────────── a new epoch ─────────────────────────────┘
//! ```
//!
//! Up to eight members everybody watches everybody. Above, each is watched by its three successors on
//! a ring, and what they find out travels as words (`ring`, `roll`):
//!
//! ```text
//!  bury, own bits ──▶ roll ──news──▶ links ──▶ their rolls ──▶ ‥      learn: candidates, accusation
//!                      └── digest differs ──▶ all words ──▶ that link
//! ```
//!
//! A driver reads every waiting datagram with its kernel timestamp, then calls
//! [`Detector::handle_timeout`] if [`Detector::poll_timeout`] has passed, then drains
//! [`Detector::poll_transmit`] and [`Detector::poll_event`]. Every judgement is made in
//! `handle_timeout`, so that a hearing that still waits in the socket is never overlooked.
//!
//! In a mesh each datagram carries the whole state of its sender, so a lost one is made good by the next and
//! nothing is retransmitted. See `README.md` for where this differs from the first design.

mod config;
mod detector;
mod event;
mod judge;
mod key;
mod lacks;
mod node;
mod own;
mod peer;
mod ring;
mod roll;
mod session;
mod stats;
mod wire;

pub use config::{Config, Timing};
pub use detector::{Detector, Transmit};
pub use event::{Death, Event, Previous, SeenBy, WireAnswer};
pub use key::{Key, NoSecret};
pub use lacks::MAX_LACKS;
pub use node::NodeHash;
pub use ring::watched;
pub use stats::{PeerView, Stats, View};
pub use wire::{FIRST_BYTE, MAX_DATAGRAM, MIN_DATAGRAM, Reject};
