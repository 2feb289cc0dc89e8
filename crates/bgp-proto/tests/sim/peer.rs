//! The other end of the wire: reads with a decoder of its own, keeps the routes it is told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ferrolb_bgp_proto::{Families, Family};
use ipnet::IpNet;

/// A route as the peer knows it.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// The first community.
    pub(crate) community: u32,
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) routes: BTreeMap<IpNet, Route>,
    /// Families the session offered.
    pub(crate) offered: Families,
    /// Families whose table was told to its end.
    pub(crate) ends: Families,
    /// Octets on the way to the session.
    pub(crate) out: Vec<u8>,
    /// When it next sends a KEEPALIVE.
    pub(crate) wakes_at: Duration,
    pending: Vec<u8>,
    opened: bool,
}

impl Peer {
    pub(crate) fn new(now: Duration) -> Self {
        Self {
            routes: BTreeMap::new(),
            offered: Families::NONE,
            ends: Families::NONE,
            out: Vec::new(),
            wakes_at: now + Duration::from_hours(1),
            pending: Vec::new(),
            opened: false,
        }
    }

    pub(crate) fn wake(&mut self, now: Duration) {
        if now >= self.wakes_at {
            self.message(4, &[]);
            self.wakes_at = now + Duration::from_secs(1);
        }
    }

    pub(crate) fn ask(&mut self, v6: bool) {
        if self.opened {
            self.message(5, &[0, if v6 { 2 } else { 1 }, 0, 1]);
        }
    }

    pub(crate) fn goodbye(&mut self, code: u8, subcode: u8) {
        self.message(3, &[code, subcode]);
    }

    pub(crate) fn say(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    pub(crate) fn hear(&mut self, now: Duration, octets: &[u8]) {
        self.pending.extend_from_slice(octets);
        while self.pending.len() >= 19 {
            assert_eq!(self.pending[..16], [0xFF; 16]);
            let length = number(&self.pending[16..18]);
            assert!((19..=4096).contains(&length), "{length}");
            if self.pending.len() < length {
                break;
            }
            let message: Vec<u8> = self.pending.drain(..length).collect();
            self.read(now, message[18], &message[19..]);
        }
    }

    fn read(&mut self, now: Duration, kind: u8, body: &[u8]) {
        match kind {
            1 => {
                assert_eq!((body[0], number(&body[1..3])), (4, 64512));
                self.offered = offered(&body[10..]);
                // AS 64513, hold time as proposed; both families, refresh, four octets, marks.
                let mut open = vec![4, 0xFC, 1, body[3], body[4], 192, 0, 2, 254, 24, 2, 22];
                open.extend([1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1]);
                open.extend([2, 0, 65, 4, 0, 0, 0xFC, 1, 70, 0]);
                self.message(1, &open);
                self.message(4, &[]);
                self.opened = true;
                self.wakes_at = now + Duration::from_secs(1);
            }
            2 => self.update(body),
            3..=5 => {}
            kind => panic!("message of type {kind}"),
        }
    }

    fn update(&mut self, body: &[u8]) {
        let (withdrawn, rest) = field(body);
        let (mut attributes, nlri) = field(rest);
        if withdrawn.is_empty() && attributes.is_empty() && nlri.is_empty() {
            self.ends.v4 = true;
        }
        for prefix in prefixes(withdrawn, Family::V4) {
            assert!(self.routes.remove(&prefix).is_some(), "{prefix} was never told");
        }
        let mut reached = prefixes(nlri, Family::V4);
        let mut community = 0;
        while let [flags, kind, rest @ ..] = attributes {
            let (value, rest) = if flags & 0x10 == 0 {
                rest[1..].split_at(rest[0].into())
            } else {
                rest[2..].split_at(number(&rest[..2]))
            };
            attributes = rest;
            match kind {
                8 => community = u32::from_be_bytes(value[..4].try_into().unwrap()),
                14 => {
                    assert_eq!((&value[..3], value[3], value[20]), (&[0, 2, 1][..], 16, 0));
                    reached.extend(prefixes(&value[21..], Family::V6));
                }
                15 => {
                    assert_eq!(value[..3], [0, 2, 1]);
                    self.ends.v6 |= value.len() == 3;
                    for prefix in prefixes(&value[3..], Family::V6) {
                        assert!(self.routes.remove(&prefix).is_some(), "{prefix} was never told");
                    }
                }
                _ => {}
            }
        }
        for prefix in reached {
            self.routes.insert(prefix, Route { community });
        }
    }

    fn message(&mut self, kind: u8, body: &[u8]) {
        self.out.extend([0xFF; 16]);
        self.out.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
        self.out.push(kind);
        self.out.extend_from_slice(body);
    }
}

/// The families of an OPEN's optional parameters.
fn offered(mut parameters: &[u8]) -> Families {
    let mut families = Families::NONE;
    while let [2, length, rest @ ..] = parameters {
        let (mut capabilities, rest) = rest.split_at((*length).into());
        while let [code, length, rest @ ..] = capabilities {
            let (value, rest) = rest.split_at((*length).into());
            families.v4 |= *code == 1 && value == [0, 1, 0, 1];
            families.v6 |= *code == 1 && value == [0, 2, 0, 1];
            capabilities = rest;
        }
        parameters = rest;
    }
    // RFC 4760 8: without the capability there is IPv4 unicast only.
    if families == Families::NONE { Families::V4 } else { families }
}

fn number(octets: &[u8]) -> usize {
    u16::from_be_bytes(octets.try_into().unwrap()).into()
}

fn field(octets: &[u8]) -> (&[u8], &[u8]) {
    octets[2..].split_at(number(&octets[..2]))
}

fn prefixes(mut octets: &[u8], family: Family) -> Vec<IpNet> {
    let mut found = Vec::new();
    while let [bits, rest @ ..] = octets {
        let (prefix, rest) = rest.split_at(usize::from(*bits).div_ceil(8));
        let mut address = [0; 16];
        address[..prefix.len()].copy_from_slice(prefix);
        let address = match family {
            Family::V4 => IpAddr::from(<[u8; 4]>::try_from(&address[..4]).unwrap()),
            Family::V6 => IpAddr::from(address),
        };
        found.push(IpNet::new(address, *bits).unwrap());
        octets = rest;
    }
    found
}
