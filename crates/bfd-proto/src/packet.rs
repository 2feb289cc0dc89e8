//! The control packet (RFC 5880 4.1).
//!
//! ```text
//!  0  version 3 bits = 1 | diagnostic 5 bits
//!  1  state 2 bits | P poll | F final | C control plane independent | A authenticated | D demand | M multipoint
//!  2  u8   detect multiplier
//!  3  u8   length, 24 without authentication
//!  4  u32  my discriminator
//!  8  u32  your discriminator, 0 while unknown
//! 12  u32  desired min TX interval, µs
//! 16  u32  required min RX interval, µs
//! 20  u32  required min echo RX interval, µs; 0: no echo
//! ```
//!
//! Decoding checks what can be seen from the bytes alone, in the order of RFC 5880 6.8.6; the checks that
//! need a session follow in [`crate::Sessions`].

#[cfg(test)]
mod tests;

use std::fmt;
use std::num::{NonZeroU8, NonZeroU32};

use crate::interval::Interval;

const VERSION: u8 = 1;
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const CONTROL_PLANE_INDEPENDENT: u8 = 0x08;
const AUTHENTICATED: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// A control packet without authentication section.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of the packet")]
pub struct Packet {
    /// Why the sender left Up last.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// P: asks for an answer with F.
    pub poll: bool,
    /// F: answers a packet with P.
    pub is_final: bool,
    /// C: the sender's BFD outlives its control plane.
    pub control_plane_independent: bool,
    /// A: an authentication section follows. Never set in what we send.
    pub authenticated: bool,
    /// D: the sender wants no periodic packets while both are Up.
    pub demand: bool,
    /// How many packets of the sender may be missing.
    pub detect_multiplier: NonZeroU8,
    /// The sender's number for the session.
    pub my_discriminator: Discriminator,
    /// The receiver's number, when the sender knows it.
    pub your_discriminator: Option<Discriminator>,
    /// Shortest distance at which the sender wants to send.
    pub desired_min_tx: Interval,
    /// Shortest distance at which the sender can receive; zero: do not send.
    pub required_min_rx: Interval,
    /// Shortest distance at which the sender can return echo packets; zero: it cannot.
    pub required_min_echo_rx: Interval,
}

/// Number of a session on one host: unique there, never zero.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Discriminator(pub NonZeroU32);

/// State of one side of a session (RFC 5880 6.2). The numbers are the wire's.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum State {
    /// Switched off by the operator.
    AdminDown = 0,
    /// Nothing heard, or just lost.
    Down = 1,
    /// The peer is heard and is asked whether it hears us.
    Init = 2,
    /// Both hear each other.
    Up = 3,
}

/// Why a session left Up (RFC 5880 4.1).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Diagnostic {
    /// No reason told (0).
    None,
    /// The detection time passed in silence (1).
    DetectionTimeExpired,
    /// Echo packets did not come back (2).
    EchoFailed,
    /// The other side said that it is down (3).
    NeighborSignaledDown,
    /// The forwarding plane was reset (4).
    ForwardingPlaneReset,
    /// Something else than BFD says that the path failed (5).
    PathDown,
    /// A path this one continues failed (6).
    ConcatenatedPathDown,
    /// Switched off by the operator (7).
    AdministrativelyDown,
    /// A path that continues this one in reverse failed (8).
    ReverseConcatenatedPathDown,
    /// A number without a meaning yet, 9 to 31.
    Reserved(u8),
}

/// Why bytes are no control packet; the order of the variants is that of the checks.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// Not even room for the fixed fields.
    #[error("{0} bytes are too few for a control packet")]
    Short(usize),
    /// Not version 1.
    #[error("version {0} instead of 1")]
    Version(u8),
    /// The length field is below what the packet's kind needs.
    #[error("a length of {0} is too small")]
    LengthTooSmall(u8),
    /// The length field says more than was received.
    #[error("a length of {length} in a datagram of {received} bytes")]
    LengthTooLarge {
        /// The field.
        length: u8,
        /// Bytes of the datagram.
        received: usize,
    },
    /// A detect multiplier of zero.
    #[error("detect multiplier 0")]
    DetectMultiplier,
    /// The multipoint flag.
    #[error("multipoint flag set")]
    Multipoint,
    /// The sender has no number.
    #[error("my discriminator 0")]
    MyDiscriminator,
}

impl Packet {
    /// Bytes of a packet.
    pub const LEN: usize = 24;
    /// With the shortest authentication section.
    const AUTHENTICATED_LEN: u8 = 26;
    const LENGTH_FIELD: u8 = 24;

    /// Reads a packet. Bytes behind the length it states are ignored.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let received = bytes.len();
        let fixed: &[u8; Self::LEN] = bytes.first_chunk().ok_or(Malformed::Short(received))?;
        let [first, flags, multiplier, length, words @ ..] = *fixed;
        let word = |at: usize| {
            let [a, b, c, d] = [at, at + 1, at + 2, at + 3].map(|at| words[at]);
            u32::from_be_bytes([a, b, c, d])
        };

        // RFC 5880 6.8.6: the version must be 1.
        if first >> 5 != VERSION {
            return Err(Malformed::Version(first >> 5));
        }
        // RFC 5880 6.8.6: the length must hold what the flags say, and be there.
        let authenticated = flags & AUTHENTICATED != 0;
        let least = if authenticated { Self::AUTHENTICATED_LEN } else { Self::LENGTH_FIELD };
        if length < least {
            return Err(Malformed::LengthTooSmall(length));
        }
        if usize::from(length) > received {
            return Err(Malformed::LengthTooLarge { length, received });
        }
        // RFC 5880 6.8.6: zero, a set M and zero, in this order.
        let detect_multiplier = NonZeroU8::new(multiplier).ok_or(Malformed::DetectMultiplier)?;
        if flags & MULTIPOINT != 0 {
            return Err(Malformed::Multipoint);
        }
        let my_discriminator = Discriminator::new(word(0)).ok_or(Malformed::MyDiscriminator)?;

        Ok(Self {
            diagnostic: Diagnostic::from_wire(first & 0x1f),
            state: State::from_wire(flags >> 6),
            poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            control_plane_independent: flags & CONTROL_PLANE_INDEPENDENT != 0,
            authenticated,
            demand: flags & DEMAND != 0,
            detect_multiplier,
            my_discriminator,
            your_discriminator: Discriminator::new(word(4)),
            desired_min_tx: Interval::from_micros(word(8)),
            required_min_rx: Interval::from_micros(word(12)),
            required_min_echo_rx: Interval::from_micros(word(16)),
        })
    }

    /// Writes the packet; [`Packet::authenticated`] is left out, as no section follows.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = (self.state as u8) << 6
            | flag(self.poll, POLL)
            | flag(self.is_final, FINAL)
            | flag(self.control_plane_independent, CONTROL_PLANE_INDEPENDENT)
            | flag(self.demand, DEMAND);
        let head = [
            VERSION << 5 | self.diagnostic.to_wire(),
            flags,
            self.detect_multiplier.get(),
            Self::LENGTH_FIELD,
        ];
        let words = [
            self.my_discriminator.0.get(),
            self.your_discriminator.map_or(0, |discriminator| discriminator.0.get()),
            self.desired_min_tx.micros(),
            self.required_min_rx.micros(),
            self.required_min_echo_rx.micros(),
        ];
        let mut bytes = [0; Self::LEN];
        let (first, rest) = bytes.split_at_mut(head.len());
        first.copy_from_slice(&head);
        for (place, word) in rest.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }
}

impl Discriminator {
    /// `None` for zero.
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }
}

impl fmt::Display for Discriminator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl State {
    fn from_wire(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        })
    }
}

impl Diagnostic {
    fn from_wire(code: u8) -> Self {
        match code {
            0 => Self::None,
            1 => Self::DetectionTimeExpired,
            2 => Self::EchoFailed,
            3 => Self::NeighborSignaledDown,
            4 => Self::ForwardingPlaneReset,
            5 => Self::PathDown,
            6 => Self::ConcatenatedPathDown,
            7 => Self::AdministrativelyDown,
            8 => Self::ReverseConcatenatedPathDown,
            other => Self::Reserved(other),
        }
    }

    fn to_wire(self) -> u8 {
        match self {
            Self::None => 0,
            Self::DetectionTimeExpired => 1,
            Self::EchoFailed => 2,
            Self::NeighborSignaledDown => 3,
            Self::ForwardingPlaneReset => 4,
            Self::PathDown => 5,
            Self::ConcatenatedPathDown => 6,
            Self::AdministrativelyDown => 7,
            Self::ReverseConcatenatedPathDown => 8,
            Self::Reserved(code) => code & 0x1f,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no diagnostic"),
            Self::DetectionTimeExpired => f.write_str("control detection time expired"),
            Self::EchoFailed => f.write_str("echo function failed"),
            Self::NeighborSignaledDown => f.write_str("neighbor signaled session down"),
            Self::ForwardingPlaneReset => f.write_str("forwarding plane reset"),
            Self::PathDown => f.write_str("path down"),
            Self::ConcatenatedPathDown => f.write_str("concatenated path down"),
            Self::AdministrativelyDown => f.write_str("administratively down"),
            Self::ReverseConcatenatedPathDown => f.write_str("reverse concatenated path down"),
            Self::Reserved(code) => write!(f, "diagnostic {code}"),
        }
    }
}
