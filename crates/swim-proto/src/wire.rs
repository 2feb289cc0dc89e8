//! What is on the wire, inside out: values, messages, what they are wrapped in, streams.
//!
//! ```text
//! datagram   label { encrypt { CRC { compress { compound { message … } } } } }
//! stream     label { length, encrypt { compress { message } } }
//! ```
//! Every layer is optional; a receiver peels what it finds, within bounds.

mod crc;
mod envelope;
mod lzw;
mod message;
mod msgpack;
mod push_pull;
#[cfg(test)]
mod tests;

pub(crate) use envelope::{COMPOUND_OVERHEAD, Envelope, Side, compound, missing};
pub(crate) use message::{Alive, Claim, IndirectPing, MAX_ACCUSED, Message, Ping, Source};
pub(crate) use push_pull::{Record, RecordState, StreamMessage, error, push_pull};

/// Largest datagram that is looked at.
pub const MAX_DATAGRAM: usize = 65_507;
/// Longest node name.
pub(crate) const MAX_NAME: usize = 255;
/// Most metadata a node may carry, as the library bounds it.
pub const MAX_META: usize = 512;
/// Compound and compressed messages inside each other.
const MAX_DEPTH: usize = 4;
/// Messages in one datagram, after all unpacking.
const MAX_MESSAGES: usize = 512;
/// Bytes that all compressed parts of one datagram may expand to.
const MAX_EXPANDED: usize = 65_536;

const PING: u8 = 0;
const INDIRECT_PING: u8 = 1;
const ACK: u8 = 2;
const SUSPECT: u8 = 3;
const ALIVE: u8 = 4;
const DEAD: u8 = 5;
const PUSH_PULL: u8 = 6;
const COMPOUND: u8 = 7;
const USER: u8 = 8;
const COMPRESS: u8 = 9;
const ENCRYPT: u8 = 10;
const NACK: u8 = 11;
const HAS_CRC: u8 = 12;
const ERROR: u8 = 13;
const HAS_LABEL: u8 = 244;

/// Whether a datagram that begins with `first` can be membership's. Whoever shares the port uses
/// another first byte.
pub(crate) fn is_membership(first: u8) -> bool {
    first <= ERROR || first == HAS_LABEL
}

/// Why bytes could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// At least so many bytes are missing.
    Short(usize),
    /// No more bytes would help.
    Malformed,
}
