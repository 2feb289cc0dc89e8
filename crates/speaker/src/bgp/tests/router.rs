//! A router that the test plays octet by octet, independent of `bgp-proto`: it knows as much of the
//! wire as it takes to say yes and to read what it is told.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::PATIENCE;

/// Listens where a peer is configured.
pub(super) struct Router {
    listener: TcpListener,
}

/// One connection of a speaker.
pub(super) struct Caller {
    stream: TcpStream,
    /// Routes, each with its communities.
    pub(super) routes: BTreeMap<String, Vec<u32>>,
    /// UPDATEs so far, End-of-RIB included.
    pub(super) updates: usize,
    pub(super) end_of_rib: bool,
}

/// What a speaker said.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Said {
    Open,
    Update,
    Keepalive,
    Notification(u8, u8, String),
    Other(u8),
    /// It hung up.
    Nothing,
}

impl Router {
    pub(super) async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    /// One that takes in next to nothing unless it reads.
    pub(super) fn narrow() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { listener: socket.listen(1).unwrap() }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next speaker that dials.
    pub(super) async fn accept(&self) -> Caller {
        let accepted = timeout(PATIENCE, self.listener.accept()).await.expect("nobody dials");
        let (stream, _) = accepted.unwrap();
        Caller { stream, routes: BTreeMap::new(), updates: 0, end_of_rib: false }
    }

    /// The next speaker, with a session.
    pub(super) async fn establish(&self) -> Caller {
        self.establish_with(&[]).await
    }

    /// The same, with capabilities of ours.
    pub(super) async fn establish_with(&self, capabilities: &[u8]) -> Caller {
        let mut caller = self.accept().await;
        assert_eq!(caller.hear().await, Said::Open);
        caller.open(capabilities).await;
        assert_eq!(caller.hear().await, Said::Keepalive);
        caller
    }
}

impl Caller {
    /// OPEN of AS 64513 with IPv4 unicast and `more`, then KEEPALIVE.
    pub(super) async fn open(&mut self, more: &[u8]) {
        let mut capabilities = vec![1, 4, 0, 1, 0, 1, 65, 4, 0, 0, 0xFC, 1];
        capabilities.extend(more);
        let length = u8::try_from(capabilities.len()).unwrap();
        let mut open = vec![4, 0xFC, 0x01, 0, 90, 192, 0, 2, 1, length + 2, 2, length];
        open.extend(capabilities);
        self.say(1, &open).await;
        self.say(4, &[]).await;
    }

    pub(super) async fn say(&mut self, kind: u8, body: &[u8]) {
        let length = u16::try_from(19 + body.len()).unwrap();
        let mut message = vec![0xFF; 16];
        message.extend(length.to_be_bytes());
        message.push(kind);
        message.extend(body);
        self.raw(&message).await;
    }

    pub(super) async fn raw(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.unwrap();
    }

    /// The next message.
    pub(super) async fn hear(&mut self) -> Said {
        timeout(PATIENCE, self.read()).await.expect("nothing is said")
    }

    async fn read(&mut self) -> Said {
        let mut header = [0; 19];
        if self.stream.read_exact(&mut header).await.is_err() {
            return Said::Nothing;
        }
        assert_eq!(header[..16], [0xFF; 16]);
        let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
        let mut body = vec![0; length - 19];
        self.stream.read_exact(&mut body).await.unwrap();
        match header[18] {
            1 => Said::Open,
            2 => {
                self.update(&body);
                Said::Update
            }
            3 => {
                let text = String::from_utf8_lossy(body.get(3..).unwrap_or_default());
                Said::Notification(body[0], body[1], text.into_owned())
            }
            4 => Said::Keepalive,
            other => Said::Other(other),
        }
    }

    /// IPv4 in the classic fields.
    fn update(&mut self, body: &[u8]) {
        self.updates += 1;
        let cut = |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
        let withdrawn = &body[2..2 + cut(0)];
        let start = 4 + withdrawn.len();
        let attributes = &body[start..start + cut(start - 2)];
        let announced = &body[start + attributes.len()..];
        self.end_of_rib |= withdrawn.is_empty() && attributes.is_empty() && announced.is_empty();
        for prefix in prefixes(withdrawn) {
            self.routes.remove(&prefix);
        }
        let communities = communities(attributes);
        for prefix in prefixes(announced) {
            self.routes.insert(prefix, communities.clone());
        }
    }

    /// Reads on until it knows what `wanted` asks for.
    pub(super) async fn until(&mut self, wanted: impl Fn(&Self) -> bool) {
        while !wanted(self) {
            let said = self.hear().await;
            assert!(matches!(said, Said::Update | Said::Keepalive), "{said:?}");
        }
    }

    /// Reads on until the speaker ends it.
    pub(super) async fn end(&mut self) -> Said {
        loop {
            match self.hear().await {
                Said::Update | Said::Keepalive => {}
                other => return other,
            }
        }
    }
}

fn prefixes(mut octets: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some((length, rest)) = octets.split_first() {
        let count = usize::from(length.div_ceil(8));
        let mut address = [0; 4];
        address[..count].copy_from_slice(&rest[..count]);
        found.push(format!("{}/{length}", Ipv4Addr::from(address)));
        octets = &rest[count..];
    }
    found
}

fn communities(mut attributes: &[u8]) -> Vec<u32> {
    while let [flags, kind, rest @ ..] = attributes {
        let (length, rest) = if flags & 0x10 == 0 {
            (usize::from(rest[0]), &rest[1..])
        } else {
            (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..])
        };
        if *kind == 8 {
            return rest[..length]
                .chunks(4)
                .map(|octets| u32::from_be_bytes(octets.try_into().unwrap()))
                .collect();
        }
        attributes = &rest[length..];
    }
    Vec::new()
}
