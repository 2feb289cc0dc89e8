//! What messages are wrapped in: label, encryption, checksum, compression, compound.

use std::sync::Arc;

use crate::config::Limits;
use crate::event::Refusal;
use crate::key::{Keyring, OVERHEAD};
use crate::wire::crc::crc32;
use crate::wire::lzw::{self, compress, expand};
use crate::wire::msgpack::Reader;
use crate::wire::{
    COMPOUND, COMPRESS, ENCRYPT, Fault, HAS_CRC, HAS_LABEL, INDIRECT_PING, MAX_DATAGRAM, MAX_DEPTH,
    MAX_EXPANDED, MAX_MESSAGES, Message, StreamMessage, push_pull,
};

/// Bytes of type and length before a sealed stream message.
const FRAME: usize = 5;
/// Bytes of a checksum with its type.
const CRC: usize = 5;
/// What a compound costs by itself and per message, as the library counts.
pub(crate) const COMPOUND_OVERHEAD: usize = 2;

/// How this cluster wraps its messages.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) label: Arc<str>,
    pub(crate) keys: Option<Keyring>,
    pub(crate) compress: bool,
    /// Plain text is refused where there is a key.
    pub(crate) verify_incoming: bool,
    /// What is sent is sealed where there is a key.
    pub(crate) verify_outgoing: bool,
    pub(crate) limits: Limits,
}

/// Which end of a stream speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Request,
    Answer,
}

/// The messages of a datagram that could be read.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    pub(crate) messages: Vec<Message>,
    /// Parts that could not.
    pub(crate) malformed: usize,
    expanded: usize,
}

impl Envelope {
    pub(crate) fn open_datagram(&self, bytes: &[u8]) -> Result<Unpacked, Refusal> {
        if bytes.len() > MAX_DATAGRAM {
            return Err(Refusal::Malformed);
        }
        let sealed = self.strip_label(bytes)?;
        let plain = match &self.keys {
            None => sealed.to_vec(),
            Some(keys) => match keys.open(sealed, self.label.as_bytes()) {
                Some(plain) => plain,
                None if !self.verify_incoming => sealed.to_vec(),
                None if looks_plain(sealed) => return Err(Refusal::Unencrypted),
                None => return Err(Refusal::Secret),
            },
        };
        let mut unpacked = Unpacked::default();
        match plain.split_first_chunk::<CRC>() {
            Some(([HAS_CRC, sum @ ..], body)) => {
                if crc32(body) != u32::from_be_bytes(*sum) {
                    return Err(Refusal::Malformed);
                }
                unpacked.visit(body, MAX_DEPTH);
            }
            _ => unpacked.visit(&plain, MAX_DEPTH),
        }
        if unpacked.messages.is_empty() {
            return Err(match self.keys {
                None if looks_sealed(sealed) => Refusal::Encrypted,
                _ => Refusal::Malformed,
            });
        }
        Ok(unpacked)
    }

    pub(crate) fn seal_datagram(&self, nonce: [u8; 12], message: &[u8], crc: bool) -> Vec<u8> {
        let mut packed = Vec::new();
        let mut body = message;
        if self.compress {
            packed.push(COMPRESS);
            if compress(message, &mut packed).is_some() && packed.len() < message.len() {
                body = &packed;
            }
        }
        let mut plain = Vec::with_capacity(CRC + body.len());
        if crc {
            plain.push(HAS_CRC);
            plain.extend(crc32(body).to_be_bytes());
        }
        plain.extend(body);
        let mut out = self.label_header();
        match self.sealing_keys() {
            Some(keys) => out.extend(keys.seal(nonce, &plain, self.label.as_bytes())),
            None => out.extend(plain),
        }
        out
    }

    /// Bytes a datagram is larger than what it carries, with several messages in it.
    pub(crate) fn overhead(&self) -> usize {
        let label = if self.label.is_empty() { 0 } else { 2 + self.label.len() };
        label + CRC + COMPOUND_OVERHEAD + self.sealing_keys().map_or(0, |_| OVERHEAD)
    }

    /// The message of a stream. Only requests carry the label, yet answers are sealed with it too.
    pub(crate) fn open_stream(&self, side: Side, bytes: &[u8]) -> Result<StreamMessage, Refusal> {
        if bytes.len() > self.limits.stream_bytes {
            return Err(Refusal::Malformed);
        }
        let framed = match side {
            Side::Request => self.strip_label(bytes)?,
            Side::Answer => bytes,
        };
        let plain = match (framed.split_first_chunk::<FRAME>(), &self.keys) {
            (Some(([ENCRYPT, ..], _)), None) => return Err(Refusal::Encrypted),
            (Some((frame @ [ENCRYPT, length @ ..], rest)), Some(keys)) => {
                let length = usize::try_from(u32::from_be_bytes(*length)).ok();
                let sealed =
                    length.and_then(|length| rest.get(..length)).ok_or(Refusal::Malformed)?;
                let context = [frame.as_slice(), self.label.as_bytes()].concat();
                keys.open(sealed, &context).ok_or(Refusal::Secret)?
            }
            (_, Some(_)) if self.verify_incoming => return Err(Refusal::Unencrypted),
            _ => framed.to_vec(),
        };
        let message = match plain.split_first() {
            Some((&COMPRESS, body)) => expand(body, self.limits.stream_bytes),
            _ => Ok(plain),
        };
        let message =
            message.and_then(|message| StreamMessage::decode(&message, self.limits.members));
        message.map_err(|_| Refusal::Malformed)
    }

    pub(crate) fn seal_stream(&self, side: Side, nonce: [u8; 12], message: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        if self.compress {
            plain.push(COMPRESS);
        }
        if !self.compress || compress(message, &mut plain).is_none() {
            plain = message.to_vec();
        }
        let mut out = match side {
            Side::Request => self.label_header(),
            Side::Answer => Vec::new(),
        };
        let Some(keys) = self.sealing_keys() else {
            out.extend(plain);
            return out;
        };
        let length = u32::try_from(plain.len() + OVERHEAD).unwrap_or(u32::MAX);
        let mut frame = vec![ENCRYPT];
        frame.extend(length.to_be_bytes());
        let context = [frame.as_slice(), self.label.as_bytes()].concat();
        out.extend(&frame);
        out.extend(keys.seal(nonce, &plain, &context));
        out
    }

    fn sealing_keys(&self) -> Option<&Keyring> {
        self.keys.as_ref().filter(|_| self.verify_outgoing)
    }

    fn label_header(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let (Ok(length @ 1..), label) = (u8::try_from(self.label.len()), self.label.as_bytes()) {
            out.extend([HAS_LABEL, length]);
            out.extend(label);
        }
        out
    }

    fn strip_label<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], Refusal> {
        let (label, rest) = match bytes {
            [HAS_LABEL, length, rest @ ..] => {
                rest.split_at_checked(usize::from(*length)).ok_or(Refusal::Malformed)?
            }
            [HAS_LABEL] => return Err(Refusal::Malformed),
            _ => (&[][..], bytes),
        };
        if label == self.label.as_bytes() { Ok(rest) } else { Err(Refusal::Label) }
    }
}

/// How many bytes at least are missing from a stream message; none if it is whole.
pub(crate) fn missing(bytes: &[u8], limits: &Limits) -> Result<usize, Refusal> {
    let measured = match bytes {
        [] => Err(Fault::Short(1)),
        [HAS_LABEL] => Err(Fault::Short(2)),
        [HAS_LABEL, length, rest @ ..] => match rest.split_at_checked(usize::from(*length)) {
            Some((_, message)) => measure(message, limits.members),
            None => Err(Fault::Short(usize::from(*length) + 1 - rest.len())),
        },
        message => measure(message, limits.members),
    };
    match measured {
        Ok(()) => Ok(0),
        Err(Fault::Short(count)) if bytes.len().saturating_add(count) <= limits.stream_bytes => {
            Ok(count)
        }
        Err(_) => Err(Refusal::Malformed),
    }
}

/// Passes over what may be the beginning of a message.
fn measure(message: &[u8], max_records: usize) -> Result<(), Fault> {
    let mut reader = Reader::new(message);
    match *message.first().ok_or(Fault::Short(1))? {
        ENCRYPT => {
            let frame = reader.take(FRAME)?;
            let length = frame.iter().skip(1).fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
            reader.take(length).map(|_| ())
        }
        COMPRESS => {
            reader.take(1)?;
            lzw::packed(&mut reader).map(|_| ())
        }
        _ => push_pull::measure(message, max_records),
    }
}

impl Unpacked {
    fn visit(&mut self, bytes: &[u8], depth: usize) {
        if self.messages.len() + self.malformed >= MAX_MESSAGES || depth == 0 {
            self.malformed += 1;
            return;
        }
        match bytes.split_first() {
            Some((&COMPOUND, body)) => match split(body) {
                Some(parts) => parts.for_each(|part| self.visit(part, depth - 1)),
                None => self.malformed += 1,
            },
            Some((&COMPRESS, body)) => match expand(body, MAX_EXPANDED - self.expanded) {
                Ok(inner) => {
                    self.expanded += inner.len();
                    self.visit(&inner, depth - 1);
                }
                Err(_) => self.malformed += 1,
            },
            _ => match Message::decode(bytes) {
                Ok(message) => self.messages.push(message),
                Err(_) => self.malformed += 1,
            },
        }
    }
}

/// Several messages as one.
pub(crate) fn compound(messages: &[Vec<u8>]) -> Vec<u8> {
    let fitting = messages.iter().filter(|message| u16::try_from(message.len()).is_ok()).take(255);
    let mut out = vec![COMPOUND, 0];
    for message in fitting.clone() {
        out[1] += 1;
        out.extend(u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes());
    }
    fitting.for_each(|message| out.extend(message));
    out
}

/// The parts of a compound; those that are cut off are left out.
fn split(body: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let (count, rest) = body.split_first()?;
    let (lengths, mut rest) = rest.split_at_checked(usize::from(*count) * 2)?;
    Some(lengths.chunks_exact(2).map_while(move |length| {
        let length = length.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
        let (part, after) = rest.split_at_checked(length)?;
        rest = after;
        Some(part)
    }))
}

/// Whether bytes that no key opens may be a message in the clear.
fn looks_plain(bytes: &[u8]) -> bool {
    match bytes {
        [kind, ..] if *kind > INDIRECT_PING => true,
        _ => Message::decode(bytes).is_ok(),
    }
}

/// Whether bytes that are no message may be sealed ones.
fn looks_sealed(bytes: &[u8]) -> bool {
    bytes.len() >= OVERHEAD && bytes.first().is_some_and(|version| *version <= 1)
}
