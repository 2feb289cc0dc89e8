//! Messages as octets. Knows no session: whatever depends on what was negotiated is an argument
//! ([`Reception`], [`Encoding`]).
//!
//! ```text
//!  octets ──▶ Framer ──▶ Header ──▶ Open · Notification · Refresh      decoded
//!                                 └▶ inspect                           validated, counted, dropped
//!  Open · Notification · Refresh · keepalive · UpdateWriter ──▶ octets
//! ```
//!
//! Decoding never panics, never allocates by a length that the peer chose, and answers a fault with
//! the [`Notification`] that the RFC wants for it.

mod attribute;
mod capability;
mod cursor;
mod framer;
mod notification;
mod open;
mod refresh;
mod text;
mod update;
mod writer;

#[cfg(test)]
mod tests;

pub use attribute::{Malformed, Outcome};
pub use capability::{Capabilities, RestartCapability};
pub use framer::{Frame, Framer};
pub use notification::Notification;
pub use open::Open;
pub use refresh::Refresh;
pub use text::MAX_TEXT;
pub use update::{Inspection, Reception, inspect};
pub use writer::{Encoding, NextHop, Nlri, UpdateWriter, attribute_block, end_of_rib};

use ferrolb_addr::Family;

/// Octets of the header (RFC 4271 4.1).
pub const HEADER: usize = 19;

/// Octets of the longest message, header included.
pub const MAX_MESSAGE: usize = 4096;

/// The same with extended messages (RFC 8654).
pub const MAX_EXTENDED_MESSAGE: usize = 65_535;

/// Subsequent Address Family Identifier: unicast.
const UNICAST: u8 = 1;

/// What a message is (RFC 4271 4.1, RFC 2918 3).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MessageKind {
    /// Who speaks, and what it can do.
    Open,
    /// Routes.
    Update,
    /// Why the connection ends.
    Notification,
    /// Sign of life.
    Keepalive,
    /// Asks for the routes again, or marks the begin and end of the answer.
    RouteRefresh,
}

impl MessageKind {
    /// The number on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Update => 2,
            Self::Notification => 3,
            Self::Keepalive => 4,
            Self::RouteRefresh => 5,
        }
    }

    const fn of(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Open,
            2 => Self::Update,
            3 => Self::Notification,
            4 => Self::Keepalive,
            5 => Self::RouteRefresh,
            _ => return None,
        })
    }

    /// Lengths that are possible, header included, if the longest is `limit`.
    const fn lengths(self, limit: usize) -> (usize, usize) {
        match self {
            // RFC 8654 4: neither of these is ever extended.
            Self::Open => (29, MAX_MESSAGE),
            Self::Keepalive => (HEADER, HEADER),
            Self::Update => (23, limit),
            Self::Notification => (21, limit),
            // RFC 7313 5: a wrong length has an error of its own.
            Self::RouteRefresh => (HEADER, limit),
        }
    }
}

/// What the first 19 octets say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// What follows.
    pub kind: MessageKind,
    /// Octets of the message, header included.
    pub length: usize,
}

impl Header {
    /// Checks marker, length and type, in this order, where no message may be longer than `limit`.
    pub fn decode(octets: &[u8; HEADER], limit: usize) -> Result<Self, Notification> {
        let (marker, rest) = octets.split_at(16);
        // RFC 4271 6.1: Connection Not Synchronized.
        if marker.iter().any(|octet| *octet != 0xFF) {
            return Err(Notification::new(1, 1));
        }
        let &[high, low, code] = rest else { return Err(Notification::new(1, 1)) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        // RFC 4271 6.1: Bad Message Length, with the length as data.
        let bad_length = || Notification::new(1, 2).with_data(&[high, low]);
        if !(HEADER..=limit).contains(&length) {
            return Err(bad_length());
        }
        // RFC 4271 6.1: Bad Message Type, with the type as data.
        let kind =
            MessageKind::of(code).ok_or_else(|| Notification::new(1, 3).with_data(&[code]))?;
        let (least, most) = kind.lengths(limit);
        if (least..=most).contains(&length) { Ok(Self { kind, length }) } else { Err(bad_length()) }
    }
}

/// Appends a KEEPALIVE.
pub fn keepalive(out: &mut Vec<u8>) {
    message(out, MessageKind::Keepalive, |_| ());
}

/// Appends a message whose body is written by `body`.
fn message(out: &mut Vec<u8>, kind: MessageKind, body: impl FnOnce(&mut Vec<u8>)) {
    let start = begin(out, kind);
    body(out);
    finish(out, start);
}

/// Appends a header without length; returns where it stands.
fn begin(out: &mut Vec<u8>, kind: MessageKind) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0xFF; 16]);
    out.extend_from_slice(&[0, 0, kind.code()]);
    start
}

/// Writes the length of the message that began at `start`.
fn finish(out: &mut [u8], start: usize) {
    let length = out.len() - start;
    set_u16(out, start + 16, length);
}

/// Overwrites two octets. What is written is always bounded below 65,536 by who calls.
fn set_u16(out: &mut [u8], at: usize, value: usize) {
    debug_assert!(u16::try_from(value).is_ok(), "{value} does not fit");
    let value = u16::try_from(value).unwrap_or(u16::MAX).to_be_bytes();
    if let Some(field) = out.get_mut(at..at + 2) {
        field.copy_from_slice(&value);
    }
}

/// Address Family Identifier.
const fn afi(family: Family) -> u16 {
    match family {
        Family::V4 => 1,
        Family::V6 => 2,
    }
}

/// The family of an identifier pair, if it is one of ours.
const fn family_of(afi: u16, safi: u8) -> Option<Family> {
    match (afi, safi) {
        (1, UNICAST) => Some(Family::V4),
        (2, UNICAST) => Some(Family::V6),
        _ => None,
    }
}
