//! Layer 2 on the wire: what is said for an address on a LAN, as values.
//!
//! This room decodes ARP and Neighbor Discovery frames, answers the questions that ask for one of
//! our addresses, and schedules the unasked announcements after an address came to this node. It
//! is *not* a driver: it opens no socket, reads no clock and knows neither Services nor elections.
//! Whoever owns the sockets feeds frames in and sends frames out.
//!
//! ```text
//!   frame in ──> Responder::answer(&Table) ──> reply out, or a DropReason
//!                         ▲
//!        speaker ── set / remove                    (address → interfaces)
//!                ── own / release / link_up ──> Gratuitous ──> poll_transmit ──> frame out
//! ```
//!
//! Behaviour is upstream's (`layer2.md` 2 and 3) except where that is a defect: solicitations
//! sent to the address itself are answered, a foreign duplicate address detection is answered,
//! answers override stale neighbour entries, what RFC 826 and RFC 4861 7.1 say to verify is
//! verified, and frames of a VLAN are not answered on its parent.

pub mod arp;
mod claim;
pub mod conflict;
pub mod eth;
mod frame;
mod gratuitous;
pub mod ipv6;
pub mod ndp;
mod pace;
mod port;
mod responder;
mod table;

pub use claim::{Claim, Form, probe};
pub use ferrolb_addr::Mac;
pub use frame::{FrameBuf, Invalid};
pub use gratuitous::{BURST, FRAME, Gratuitous, Transmit};
pub use ipv6::solicited_node;
pub use port::{IfIndex, Interfaces, Port};
pub use responder::{Answer, DropReason, Reply, Responder};
pub use table::Table;
