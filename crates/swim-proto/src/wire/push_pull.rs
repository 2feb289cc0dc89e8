//! What a stream carries: one message, a whole state in the case of push/pull.

use crate::wire::message::Fields;
use crate::wire::msgpack::{Reader, Writer};
use crate::wire::{ACK, Alive, ERROR, Fault, MAX_NAME, Message, PING, PUSH_PULL, Ping};

/// Fewer bytes a record that is accepted cannot have (name and address).
const MIN_RECORD: usize = 18;

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum StreamMessage {
    Ping(Ping),
    Ack(u32),
    PushPull { join: bool, records: Vec<Record> },
    Error(String),
}

/// One node in a state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Record {
    pub(crate) node: Alive,
    pub(crate) state: RecordState,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RecordState {
    Alive = 0,
    Suspect = 1,
    Dead = 2,
    Left = 3,
}

impl StreamMessage {
    /// Reads a whole message; a state may have at most `limit` records.
    pub(crate) fn decode(bytes: &[u8], limit: usize) -> Result<Self, Fault> {
        let (kind, body) = bytes.split_first().ok_or(Fault::Short(1))?;
        let mut reader = Reader::new(body);
        match *kind {
            PING | ACK => match Message::decode(bytes)? {
                Message::Ping(ping) => Ok(Self::Ping(ping)),
                Message::Ack(seq) => Ok(Self::Ack(seq)),
                _ => Err(Fault::Malformed),
            },
            ERROR => error_text(&mut reader),
            PUSH_PULL => {
                let header = Header::read(&mut reader, limit)?;
                let records = (0..header.nodes)
                    .map(|_| record(&mut reader))
                    .collect::<Result<Vec<_>, _>>()?;
                // Speakers have no state of their own to share; what others append is theirs.
                reader.take(header.user_state)?;
                Ok(Self::PushPull {
                    join: header.join,
                    records: records.into_iter().flatten().collect(),
                })
            }
            _ => Err(Fault::Malformed),
        }
    }
}

/// Passes over a message that may not be whole yet; a fault tells how much is missing.
pub(super) fn measure(bytes: &[u8], limit: usize) -> Result<(), Fault> {
    let (kind, body) = bytes.split_first().ok_or(Fault::Short(1))?;
    let mut reader = Reader::new(body);
    if *kind != PUSH_PULL {
        return reader.map(|_, _| Ok(false));
    }
    let header = Header::read(&mut reader, limit)?;
    for passed in 0..header.nodes {
        reader.map(|_, _| Ok(false)).map_err(|fault| match fault {
            Fault::Short(missing) => {
                let further = (header.nodes - passed - 1) * MIN_RECORD + header.user_state;
                Fault::Short(missing.saturating_add(further))
            }
            Fault::Malformed => fault,
        })?;
    }
    reader.take(header.user_state).map(|_| ())
}

/// A push/pull message of these records.
pub(crate) fn push_pull(join: bool, records: impl ExactSizeIterator<Item = Record>) -> Vec<u8> {
    let mut out = vec![PUSH_PULL];
    Writer::map(&mut out, 3)
        .boolean("Join", join)
        .signed("Nodes", i32::try_from(records.len()).unwrap_or(i32::MAX))
        .signed("UserStateLen", 0);
    for record in records {
        record.node.encode("Name", Some(record.state as i32), &mut out);
    }
    out
}

/// An error message for the other end.
pub(crate) fn error(text: &str) -> Vec<u8> {
    let mut out = vec![ERROR];
    Writer::map(&mut out, 1).text("Error", text);
    out
}

struct Header {
    nodes: usize,
    user_state: usize,
    join: bool,
}

impl Header {
    fn read(reader: &mut Reader<'_>, limit: usize) -> Result<Self, Fault> {
        let mut header = Self { nodes: 0, user_state: 0, join: false };
        reader.map(|key, reader| {
            match key {
                b"Nodes" => header.nodes = reader.number()?,
                b"UserStateLen" => header.user_state = reader.number()?,
                b"Join" => header.join = reader.boolean()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if header.nodes > limit { Err(Fault::Malformed) } else { Ok(header) }
    }
}

/// A record, or nothing if it is well-formed but says nothing that could be used.
fn record(reader: &mut Reader<'_>) -> Result<Option<Record>, Fault> {
    let fields = Fields::read(reader, false)?;
    let state = match fields.state {
        0 => RecordState::Alive,
        1 => RecordState::Suspect,
        2 => RecordState::Dead,
        3 => RecordState::Left,
        _ => return Ok(None),
    };
    Ok(fields.alive(fields.name).ok().map(|node| Record { node, state }))
}

fn error_text(reader: &mut Reader<'_>) -> Result<StreamMessage, Fault> {
    let mut text = &[][..];
    reader.map(|key, reader| {
        if key == b"Error" {
            text = reader.bytes()?;
        }
        Ok(key == b"Error")
    })?;
    let printable = String::from_utf8_lossy(&text[..text.len().min(MAX_NAME)])
        .chars()
        .filter(|letter| !letter.is_control())
        .collect();
    Ok(StreamMessage::Error(printable))
}
