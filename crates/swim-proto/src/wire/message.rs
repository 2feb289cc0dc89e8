//! The messages of a datagram, each a type byte and one map. Field names are the library's.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::node::Versions;
use crate::wire::msgpack::{Reader, Writer};
use crate::wire::{
    ACK, ALIVE, DEAD, Fault, INDIRECT_PING, MAX_META, MAX_NAME, NACK, PING, SUSPECT, USER,
};

/// Above this an accusation is a lie: nobody refutes two thousand million times. The accused needs
/// room to answer with a greater number.
pub(crate) const MAX_ACCUSED: u32 = u32::MAX / 2;

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Message {
    Ping(Ping),
    IndirectPing(IndirectPing),
    Ack(u32),
    Nack(u32),
    Suspect(Claim),
    Alive(Alive),
    Dead(Claim),
    /// Something for applications, which speakers do not use.
    User,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Ping {
    pub(crate) seq: u32,
    /// Who is meant, empty for anybody.
    pub(crate) node: Arc<str>,
    pub(crate) source: Source,
}

/// Where an answer should go, if not to where the question came from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Source {
    pub(crate) address: Option<SocketAddr>,
    pub(crate) node: Arc<str>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct IndirectPing {
    pub(crate) seq: u32,
    pub(crate) node: Arc<str>,
    pub(crate) target: SocketAddr,
    /// Whether silence of the target is to be told.
    pub(crate) nack: bool,
    pub(crate) source: Source,
}

/// What somebody says of another node: suspect, or dead (left, if it says so of itself).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Claim {
    pub(crate) incarnation: u32,
    pub(crate) node: Arc<str>,
    pub(crate) from: Arc<str>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Alive {
    pub(crate) incarnation: u32,
    pub(crate) node: Arc<str>,
    pub(crate) address: SocketAddr,
    pub(crate) meta: Arc<[u8]>,
    pub(crate) versions: Versions,
}

impl Message {
    /// Reads a message that is neither compound nor compressed. Bytes behind it are ignored, as
    /// the library does.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let (kind, body) = bytes.split_first().ok_or(Fault::Short(1))?;
        let fields = Fields::read(&mut Reader::new(body), *kind == USER)?;
        Ok(match *kind {
            PING => Self::Ping(Ping {
                seq: fields.seq,
                node: optional_name(fields.node)?,
                source: fields.source()?,
            }),
            INDIRECT_PING => Self::IndirectPing(IndirectPing {
                seq: fields.seq,
                node: name(fields.node)?,
                target: address(fields.target, fields.port)?,
                nack: fields.nack,
                source: fields.source()?,
            }),
            ACK => Self::Ack(fields.seq),
            NACK => Self::Nack(fields.seq),
            SUSPECT => Self::Suspect(fields.claim()?),
            DEAD => Self::Dead(fields.claim()?),
            ALIVE => Self::Alive(fields.alive(fields.node)?),
            USER => Self::User,
            _ => return Err(Fault::Malformed),
        })
    }

    /// The message in one piece, as the library writes it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        match self {
            Self::Ping(ping) => {
                out.push(PING);
                let mut map = Writer::map(&mut out, 2 + ping.source.fields());
                map.text("Node", &ping.node).unsigned("SeqNo", ping.seq);
                ping.source.encode(&mut map);
            }
            Self::IndirectPing(ping) => {
                out.push(INDIRECT_PING);
                let mut map = Writer::map(&mut out, 5 + ping.source.fields());
                map.boolean("Nack", ping.nack)
                    .text("Node", &ping.node)
                    .unsigned("Port", u32::from(ping.target.port()))
                    .unsigned("SeqNo", ping.seq);
                ping.source.encode(&mut map);
                map.bytes("Target", &octets(ping.target.ip()));
            }
            Self::Ack(seq) => {
                out.push(ACK);
                Writer::map(&mut out, 2).bytes("Payload", &[]).unsigned("SeqNo", *seq);
            }
            Self::Nack(seq) => {
                out.push(NACK);
                Writer::map(&mut out, 1).unsigned("SeqNo", *seq);
            }
            Self::Suspect(claim) => claim.encode(SUSPECT, &mut out),
            Self::Dead(claim) => claim.encode(DEAD, &mut out),
            Self::Alive(alive) => {
                out.push(ALIVE);
                alive.encode("Node", None, &mut out);
            }
            Self::User => out.push(USER),
        }
        out
    }
}

impl Source {
    fn fields(&self) -> u8 {
        u8::from(self.address.is_some()) * 2 + u8::from(!self.node.is_empty())
    }

    fn encode(&self, map: &mut Writer<'_>) {
        if let Some(address) = self.address {
            map.bytes("SourceAddr", &octets(address.ip()));
        }
        if !self.node.is_empty() {
            map.text("SourceNode", &self.node);
        }
        if let Some(address) = self.address {
            map.unsigned("SourcePort", u32::from(address.port()));
        }
    }
}

impl Claim {
    fn encode(&self, kind: u8, out: &mut Vec<u8>) {
        out.push(kind);
        Writer::map(out, 3)
            .text("From", &self.from)
            .unsigned("Incarnation", self.incarnation)
            .text("Node", &self.node);
    }
}

impl Alive {
    /// The map of an alive message, or with a state that of a push/pull record.
    pub(super) fn encode(&self, name: &str, state: Option<i32>, out: &mut Vec<u8>) {
        let mut map = Writer::map(out, 6 + u8::from(state.is_some()));
        map.bytes("Addr", &octets(self.address.ip()))
            .unsigned("Incarnation", self.incarnation)
            .bytes("Meta", &self.meta)
            .text(name, &self.node)
            .unsigned("Port", u32::from(self.address.port()));
        if let Some(state) = state {
            map.signed("State", state);
        }
        map.bytes("Vsn", &self.versions.0);
    }
}

/// The fields of all messages in one place: their names never contradict each other.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    seq: u32,
    node: &'a [u8],
    pub(super) name: &'a [u8],
    from: &'a [u8],
    incarnation: u32,
    target: &'a [u8],
    addr: &'a [u8],
    port: u16,
    nack: bool,
    source_addr: &'a [u8],
    source_port: u16,
    source_node: &'a [u8],
    meta: &'a [u8],
    versions: &'a [u8],
    pub(super) state: i64,
}

impl<'a> Fields<'a> {
    pub(super) fn read(reader: &mut Reader<'a>, opaque: bool) -> Result<Self, Fault> {
        let mut fields = Self::default();
        if opaque {
            return Ok(fields);
        }
        reader.map(|key, reader| {
            match key {
                b"SeqNo" => fields.seq = reader.number()?,
                b"Node" => fields.node = reader.bytes()?,
                b"Name" => fields.name = reader.bytes()?,
                b"From" => fields.from = reader.bytes()?,
                b"Incarnation" => fields.incarnation = reader.number()?,
                b"Target" => fields.target = reader.bytes()?,
                b"Addr" => fields.addr = reader.bytes()?,
                b"Port" => fields.port = reader.number()?,
                b"Nack" => fields.nack = reader.boolean()?,
                b"SourceAddr" => fields.source_addr = reader.bytes()?,
                b"SourcePort" => fields.source_port = reader.number()?,
                b"SourceNode" => fields.source_node = reader.bytes()?,
                b"Meta" => fields.meta = reader.bytes()?,
                b"Vsn" => fields.versions = reader.bytes()?,
                b"State" => fields.state = reader.int()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(fields)
    }

    fn source(&self) -> Result<Source, Fault> {
        let given = !self.source_addr.is_empty() && self.source_port > 0;
        Ok(Source {
            address: given.then(|| address(self.source_addr, self.source_port)).transpose()?,
            node: optional_name(self.source_node)?,
        })
    }

    fn claim(&self) -> Result<Claim, Fault> {
        if self.incarnation > MAX_ACCUSED {
            return Err(Fault::Malformed);
        }
        Ok(Claim {
            incarnation: self.incarnation,
            node: name(self.node)?,
            from: optional_name(self.from)?,
        })
    }

    pub(super) fn alive(&self, node: &[u8]) -> Result<Alive, Fault> {
        // The greatest number is nobody's, so that a greater one always exists.
        if self.meta.len() > MAX_META || self.incarnation == u32::MAX {
            return Err(Fault::Malformed);
        }
        Ok(Alive {
            incarnation: self.incarnation,
            node: name(node)?,
            address: address(self.addr, self.port)?,
            meta: self.meta.into(),
            versions: Versions(self.versions.try_into().map_err(|_| Fault::Malformed)?),
        })
    }
}

/// A name as operators may read it in a log: not empty, not too long, nothing invisible.
fn name(bytes: &[u8]) -> Result<Arc<str>, Fault> {
    if bytes.is_empty() { Err(Fault::Malformed) } else { optional_name(bytes) }
}

fn optional_name(bytes: &[u8]) -> Result<Arc<str>, Fault> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= MAX_NAME && !text.contains(char::is_control) => Ok(text.into()),
        _ => Err(Fault::Malformed),
    }
}

/// An address that one host can have.
fn address(bytes: &[u8], port: u16) -> Result<SocketAddr, Fault> {
    let ip = if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        IpAddr::from(v4)
    } else {
        IpAddr::from(<[u8; 16]>::try_from(bytes).map_err(|_| Fault::Malformed)?).to_canonical()
    };
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    if port == 0 || broadcast || ip.is_unspecified() || ip.is_multicast() {
        return Err(Fault::Malformed);
    }
    Ok(SocketAddr::new(ip, port))
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
