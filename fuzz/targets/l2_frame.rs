//! A frame from the wire, as any host of the LAN may send it: the responder never panics, and what
//! it answers is a valid message of its own about an address that is announced.
//!
//! Each input is tried twice, the second time with a checksum that fits, else mutations of Neighbor
//! Discovery would end at the checksum.
#![no_main]

use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;

use ferrolb_l2_proto::{
    Answer, DropReason, FrameBuf, IfIndex, Interfaces, Mac, Port, Reply, Responder, Table, arp,
    eth, ipv6,
    ndp::{self, Message},
};
use libfuzzer_sys::fuzz_target;

const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
const HERE: IfIndex = IfIndex(2);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::new();
    for (ip, interfaces) in [
        ("192.168.1.20", Interfaces::All),
        ("2001:db8::14", Interfaces::Only([HERE].into())),
        ("192.168.1.21", Interfaces::Only([IfIndex(3)].into())),
        ("2001:db8:1::14", Interfaces::Only([IfIndex(3)].into())),
    ] {
        table.set(ip.parse().unwrap(), interfaces);
    }
    table
});

fuzz_target!(|frame: &[u8]| {
    check(frame);
    if let Some(sealed) = sealed(frame) {
        check(&sealed);
    }
});

fn check(frame: &[u8]) {
    for link_local in [None, Some(LINK_LOCAL)] {
        let mut out = FrameBuf::new();
        let port = Port { index: HERE, mac: OWN, link_local };
        match Responder::new(port).answer(&TABLE, frame, &mut out) {
            Answer::Reply(reply) => check_reply(reply, out.as_bytes(), link_local),
            Answer::Ignore(reason) => {
                assert!(out.as_bytes().is_empty());
                if let DropReason::ForeignClaim { ip, mac } = reason {
                    assert!(TABLE.check(ip, HERE).is_ok() && mac != OWN);
                }
            }
        }
    }
}

fn check_reply(reply: Reply, out: &[u8], link_local: Option<Ipv6Addr>) {
    assert_eq!(TABLE.check(reply.ip, HERE), Ok(()));
    let (header, payload) = eth::Header::decode(out).unwrap();
    assert_eq!(header.source, OWN);
    match reply.ip {
        IpAddr::V4(ip) => {
            let packet = arp::Packet::decode(payload).unwrap();
            assert_eq!((packet.operation, packet.sender_ip, packet.sender_mac), (2, ip, OWN));
            assert_eq!(packet.target_mac, header.destination);
            assert!(!header.destination.is_group());
        }
        IpAddr::V6(ip) => {
            let Ok(Message::Advertisement(told)) = ndp::decode(payload) else {
                panic!("no advertisement: {out:02x?}")
            };
            assert_eq!((told.target, told.target_mac), (ip, Some(OWN)));
            assert_eq!(told.source, link_local.unwrap_or(ip));
            assert!(told.overriding && !told.router);
            assert_eq!(told.solicited, !told.destination.is_multicast());
            assert_eq!(header.destination.is_group(), told.destination.is_multicast());
        }
    }
}

/// The frame with a fitting ICMPv6 checksum, if it is long enough to have one.
fn sealed(frame: &[u8]) -> Option<Vec<u8>> {
    let (ethernet, packet) = eth::Header::decode(frame).ok()?;
    let (header, message) = (ethernet.ether_type == eth::IPV6)
        .then(|| ipv6::Header::decode(packet))?
        .ok()
        .filter(|(_, message)| message.len() >= 4)?;
    let mut message = message.to_vec();
    message[2..4].fill(0);
    let checksum = header.checksum(&message);
    let mut sealed = frame.to_vec();
    let at = eth::Header::LEN + ipv6::Header::LEN + 2;
    sealed[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    Some(sealed)
}
