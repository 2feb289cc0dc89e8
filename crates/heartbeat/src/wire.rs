//! The datagram: one layout for every kind, whole state, fixed header, bounded list, tag.
//!
//! ```text
//!  0  u8   0xF7              first byte, not used by memberlist on the same port
//!  1  u8   version = 1
//!  2  u8   kind              1 beat, 2 probe (answer at once)
//!  3  u8   number of entries, at most 56
//!  4  u64  sender            hash of its name
//! 12  u64  receiver          hash of its name
//! 20  u64  epoch of the sender
//! 28  u64  sequence of the sender
//! 36  u64  token             probe: nonce; beat: nonce of the probe it answers, or 0
//! 44  u16  lateness          largest own lateness of the last 10 s, ms
//! 46  u16  bits              1 eligible, 2 draining, others 0
//! 48  n × 20: u64 subject · u64 its epoch · u16 age, ms · u8 mark · u8 its bits
//!     16 bytes HMAC-SHA-256, cut, over all before it
//! ```
//!
//! Marks: 0 unknown, 1 heard, 2 silent, 3 dead, 4 back, 5 taken; on the ring also 6 (no subject: the
//! epoch is the digest of all the sender's words), 7 alive by word, 8 dead by word and may answer. 9 says
//! of what the subject lacks: one such entry for each, the lack in the place of the epoch.
//!
//! All numbers are big-endian. Parsing borrows, allocates nothing, and looks at content only after
//! the tag is verified.

use std::time::Duration;

use crate::key::{Key, TAG};
use crate::node::NodeHash;
use crate::roll::Word;

#[cfg(test)]
mod tests;

/// First byte of every heartbeat.
pub const FIRST_BYTE: u8 = 0xF7;
/// The smallest valid datagram.
pub const MIN_DATAGRAM: usize = HEADER + TAG;
/// The largest valid datagram.
pub const MAX_DATAGRAM: usize = HEADER + MAX_ENTRIES * ENTRY + TAG;

/// As many as fit below 1,200 bytes.
pub(crate) const MAX_ENTRIES: usize = 56;

const VERSION: u8 = 1;
const HEADER: usize = 48;
const ENTRY: usize = 20;

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Reject {
    /// Too short, too long, or not as long as its number of entries says.
    Length,
    /// Not a heartbeat.
    FirstByte,
    /// A version this node does not speak.
    Version,
    /// The tag does not belong to it: forged, damaged, or another secret.
    Tag,
    /// A kind this node does not know.
    Kind,
    /// Meant for another node.
    Receiver,
    /// From a node that is not in the list.
    Sender,
    /// Not newer than what was heard of its sender.
    Replayed,
    /// From a life of its sender that has not proven to be the present one; it was asked to.
    Unproven,
}

impl Reject {
    /// All reasons, in the order of [`Reject::index`].
    pub const ALL: [Self; 9] = [
        Self::Length,
        Self::FirstByte,
        Self::Version,
        Self::Tag,
        Self::Kind,
        Self::Receiver,
        Self::Sender,
        Self::Replayed,
        Self::Unproven,
    ];

    /// Place in [`Reject::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// A word for labels of metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::FirstByte => "first_byte",
            Self::Version => "version",
            Self::Tag => "tag",
            Self::Kind => "kind",
            Self::Receiver => "receiver",
            Self::Sender => "sender",
            Self::Replayed => "replayed",
            Self::Unproven => "unproven",
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Beat,
    Probe,
}

/// What a node says of itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Bits {
    pub(crate) eligible: bool,
    pub(crate) draining: bool,
}

impl Bits {
    /// Whether such a node, if alive, stands for election.
    pub(crate) fn stands(self) -> bool {
        self.eligible && !self.draining
    }

    fn encode(self) -> u8 {
        u8::from(self.eligible) | u8::from(self.draining) << 1
    }

    fn decode(byte: u8) -> Self {
        Self { eligible: byte & 1 != 0, draining: byte & 2 != 0 }
    }
}

/// What the sender says of a subject.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mark {
    /// Never heard, or not to be judged by this sender.
    Unknown,
    /// Heard within its deadline.
    Heard,
    /// Past its deadline.
    Silent,
    /// Declared dead in the epoch given.
    Dead,
    /// Heard, and declared dead not long before.
    Back,
    /// Heard, draining, and what it left is taken over by the sender.
    Taken,
    /// Not about the subject: its epoch is the digest of all that the sender knows.
    Digest,
    /// Alive by the word of others; not watched by the sender.
    Told,
    /// Dead by the word of others; the sender waits whether it answers.
    Accused,
    /// The subject lacks something: its epoch is what.
    Lack,
}

impl Mark {
    /// Whether the sender hears the subject itself.
    pub(crate) fn hears(self) -> bool {
        matches!(self, Self::Heard | Self::Back | Self::Taken)
    }

    /// What it says of the life of a subject in `epoch`, on the ring.
    pub(crate) fn word(self, epoch: u64) -> Option<Word> {
        match self {
            Self::Unknown | Self::Digest | Self::Lack => None,
            Self::Dead | Self::Accused => Some(Word { epoch, dead: true }),
            Self::Heard | Self::Silent | Self::Back | Self::Taken | Self::Told => {
                Some(Word { epoch, dead: false })
            }
        }
    }

    fn encode(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Heard => 1,
            Self::Silent => 2,
            Self::Dead => 3,
            Self::Back => 4,
            Self::Taken => 5,
            Self::Digest => 6,
            Self::Told => 7,
            Self::Accused => 8,
            Self::Lack => 9,
        }
    }

    // A mark of a later version says nothing we could act on.
    fn decode(byte: u8) -> Self {
        match byte {
            1 => Self::Heard,
            2 => Self::Silent,
            3 => Self::Dead,
            4 => Self::Back,
            5 => Self::Taken,
            6 => Self::Digest,
            7 => Self::Told,
            8 => Self::Accused,
            9 => Self::Lack,
            _ => Self::Unknown,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) sender: NodeHash,
    pub(crate) receiver: NodeHash,
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
    pub(crate) token: u64,
    pub(crate) lateness: Duration,
    pub(crate) bits: Bits,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) subject: NodeHash,
    pub(crate) epoch: u64,
    pub(crate) age: Duration,
    pub(crate) mark: Mark,
    pub(crate) bits: Bits,
}

impl Entry {
    /// Of a node that lacks `lack`.
    pub(crate) fn lack(subject: NodeHash, lack: u64) -> Self {
        let (age, bits) = (Duration::ZERO, Bits::default());
        Self { subject, epoch: lack, age, mark: Mark::Lack, bits }
    }
}

/// The signed datagram. Entries beyond the bound are left out.
pub(crate) fn seal(key: &Key, header: &Header, entries: &[Entry]) -> Vec<u8> {
    let entries = &entries[..entries.len().min(MAX_ENTRIES)];
    let mut out = Vec::with_capacity(HEADER + entries.len() * ENTRY + TAG);
    let kind = match header.kind {
        Kind::Beat => 1,
        Kind::Probe => 2,
    };
    out.extend([FIRST_BYTE, VERSION, kind, u8::try_from(entries.len()).unwrap_or(u8::MAX)]);
    out.extend(header.sender.0.to_be_bytes());
    out.extend(header.receiver.0.to_be_bytes());
    out.extend(header.epoch.to_be_bytes());
    out.extend(header.sequence.to_be_bytes());
    out.extend(header.token.to_be_bytes());
    out.extend(millis(header.lateness).to_be_bytes());
    out.extend([0, header.bits.encode()]);
    for entry in entries {
        out.extend(entry.subject.0.to_be_bytes());
        out.extend(entry.epoch.to_be_bytes());
        out.extend(millis(entry.age).to_be_bytes());
        out.extend([entry.mark.encode(), entry.bits.encode()]);
    }
    let tag = key.tag(&out);
    out.extend(tag);
    out
}

/// The header and the entries of an authentic datagram.
pub(crate) fn open<'a>(
    key: &Key,
    datagram: &'a [u8],
) -> Result<(Header, impl Iterator<Item = Entry> + Clone + use<'a>), Reject> {
    if datagram.first().is_some_and(|first| *first != FIRST_BYTE) {
        return Err(Reject::FirstByte);
    }
    if datagram.len() > MAX_DATAGRAM {
        return Err(Reject::Length);
    }
    let (text, tag) = datagram.split_last_chunk::<TAG>().ok_or(Reject::Length)?;
    let (&header, entries) = text.split_first_chunk::<HEADER>().ok_or(Reject::Length)?;
    if header[1] != VERSION {
        return Err(Reject::Version);
    }
    if entries.len() != usize::from(header[3]) * ENTRY {
        return Err(Reject::Length);
    }
    if !key.verify(text, tag) {
        return Err(Reject::Tag);
    }
    Ok((decode_header(&header)?, entries.chunks_exact(ENTRY).filter_map(decode_entry)))
}

fn decode_header(bytes: &[u8; HEADER]) -> Result<Header, Reject> {
    let kind = match bytes[2] {
        1 => Kind::Beat,
        2 => Kind::Probe,
        _ => return Err(Reject::Kind),
    };
    let mut rest = &bytes[4..];
    let mut fields = || {
        Some(Header {
            kind,
            sender: NodeHash(take_u64(&mut rest)?),
            receiver: NodeHash(take_u64(&mut rest)?),
            epoch: take_u64(&mut rest)?,
            sequence: take_u64(&mut rest)?,
            token: take_u64(&mut rest)?,
            lateness: take_millis(&mut rest)?,
            bits: Bits::decode(*rest.get(1)?),
        })
    };
    fields().ok_or(Reject::Length)
}

fn decode_entry(bytes: &[u8]) -> Option<Entry> {
    let mut rest = bytes;
    Some(Entry {
        subject: NodeHash(take_u64(&mut rest)?),
        epoch: take_u64(&mut rest)?,
        age: take_millis(&mut rest)?,
        mark: Mark::decode(*rest.first()?),
        bits: Bits::decode(*rest.get(1)?),
    })
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    let (first, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(u64::from_be_bytes(*first))
}

fn take_millis(rest: &mut &[u8]) -> Option<Duration> {
    let (first, after) = rest.split_first_chunk::<2>()?;
    *rest = after;
    Some(Duration::from_millis(u64::from(u16::from_be_bytes(*first))))
}

fn millis(time: Duration) -> u16 {
    u16::try_from(time.as_millis()).unwrap_or(u16::MAX)
}
