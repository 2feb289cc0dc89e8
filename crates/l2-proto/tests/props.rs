//! What holds for every input: nothing panics, what is written is read back, the schedule is bounded.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ferrolb_l2_proto::{
    Answer, FrameBuf, Gratuitous, IfIndex, Interfaces, Mac, Port, Responder, Table, arp, eth, ipv6,
    ndp::{self, Advertisement, Message, Solicitation},
};
use proptest::{collection::vec, prelude::*};

const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);

fn mk_port(index: u32) -> Port {
    Port { index: IfIndex(index), mac: OWN, link_local: None }
}

fn mk_ip(n: u8) -> IpAddr {
    if n.is_multiple_of(2) {
        Ipv4Addr::new(10, 0, 0, n).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n.into()).into()
    }
}

fn mk_table() -> Table {
    let mut table = Table::new();
    for n in 0..8 {
        table.set(mk_ip(n), Interfaces::All);
    }
    table
}

/// A question as sent, of either family, for one of the addresses of `mk_table`.
fn question() -> impl Strategy<Value = Vec<u8>> {
    (0..8_u8, any::<[u8; 4]>()).prop_map(|(n, id)| {
        let mac = Mac([2, 9, id[0], id[1], id[2], id[3]]);
        let mut frame = FrameBuf::new();
        match mk_ip(n) {
            IpAddr::V4(target_ip) => arp::Packet {
                operation: arp::REQUEST,
                sender_mac: mac,
                sender_ip: Ipv4Addr::from(id),
                target_mac: Mac::ZERO,
                target_ip,
            }
            .write(Mac::BROADCAST, &mut frame),
            IpAddr::V6(target) => Solicitation {
                source: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 9, id[0].into()),
                destination: target,
                target,
                source_mac: Some(mac),
            }
            .write(mac, OWN, &mut frame),
        }
        frame.as_bytes().to_vec()
    })
}

/// An answer comes from our station, to a single one or to all nodes, and is itself a valid message
/// about an address of the table.
fn check(answer: Answer, out: &FrameBuf) {
    let Answer::Reply(reply) = answer else {
        assert_eq!(out.as_bytes(), b"", "written without a reply");
        return;
    };
    let Ok((header, payload)) = eth::Header::decode(out.as_bytes()) else { panic!("{out:?}") };
    assert_eq!(header.source, OWN);
    assert!(mk_table().interfaces(reply.ip).is_some(), "{reply:?}");
    match reply.ip {
        IpAddr::V4(ip) => {
            let Ok(packet) = arp::Packet::decode(payload) else { panic!("{out:?}") };
            assert_eq!((packet.operation, packet.sender_ip), (arp::REPLY, ip));
            assert!(!header.destination.is_group());
        }
        IpAddr::V6(ip) => {
            let Ok(Message::Advertisement(advertisement)) = ndp::decode(payload) else {
                panic!("{out:?}")
            };
            assert_eq!((advertisement.target, advertisement.overriding), (ip, true));
            assert_eq!(advertisement.solicited, !header.destination.is_group());
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(frame in vec(any::<u8>(), 0..200)) {
        let mut out = FrameBuf::new();
        check(Responder::new(mk_port(1)).answer(&mk_table(), &frame, &mut out), &out);
    }

    /// Damaged questions: most of them still reach the inner layers.
    #[test]
    fn damaged_questions_never_panic(
        mut frame in question(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        tail in vec(any::<u8>(), 0..40),
    ) {
        for (at, value) in damage {
            *at.get_mut(&mut frame) = value;
        }
        if cut.index(4) == 0 {
            frame.truncate(cut.index(frame.len()));
        }
        frame.extend(tail);
        let mut out = FrameBuf::new();
        check(Responder::new(mk_port(1)).answer(&mk_table(), &frame, &mut out), &out);
    }

    #[test]
    fn whole_questions_are_answered(frame in question()) {
        let mut out = FrameBuf::new();
        let answer = Responder::new(mk_port(1)).answer(&mk_table(), &frame, &mut out);
        prop_assert!(matches!(answer, Answer::Reply(_)), "{:?}", answer);
        check(answer, &out);
    }

    #[test]
    fn advertisements_round_trip(
        [source, target] in any::<[u64; 2]>(),
        destination in any::<u128>().prop_map(Ipv6Addr::from),
        target_mac in any::<Option<[u8; 6]>>(),
        [router, solicited, overriding] in any::<[bool; 3]>(),
    ) {
        let advertisement = Advertisement {
            source: Ipv6Addr::from(0xfe80_u128 << 112 | u128::from(source)),
            destination,
            target: Ipv6Addr::from(0x2001_u128 << 112 | u128::from(target)),
            target_mac: target_mac.map(Mac),
            router,
            solicited: solicited && !destination.is_multicast(),
            overriding,
        };
        let mut frame = FrameBuf::new();
        advertisement.write(OWN, ipv6::group_mac(ipv6::ALL_NODES), &mut frame);
        let (_, payload) = eth::Header::decode(frame.as_bytes()).unwrap();
        prop_assert_eq!(ndp::decode(payload), Ok(Message::Advertisement(advertisement)));
    }
}

/// One thing that happens to a schedule.
#[derive(Debug, Clone)]
enum Event {
    Own(u8, Vec<u32>),
    OwnEverywhere(u8),
    Release(u8),
    SetPort(u32, u8),
    RemovePort(u32),
    LinkUp(u32),
    Pass(u64, usize),
}

fn event() -> impl Strategy<Value = Event> {
    let (ip, index) = (0..6_u8, 0..4_u32);
    prop_oneof![
        (ip.clone(), vec(index.clone(), 0..3)).prop_map(|(ip, only)| Event::Own(ip, only)),
        ip.clone().prop_map(Event::OwnEverywhere),
        ip.prop_map(Event::Release),
        (index.clone(), 0..3_u8).prop_map(|(index, mac)| Event::SetPort(index, mac)),
        index.clone().prop_map(Event::RemovePort),
        index.prop_map(Event::LinkUp),
        (0..3000_u64, 0..8_usize).prop_map(|(ms, polls)| Event::Pass(ms, polls)),
    ]
}

proptest! {
    /// Whatever happens, in whatever order: frames are only about what is owned and allowed at that
    /// moment, on ports that are there; rounds keep their distance; and the schedule falls silent
    /// after at most the frames of one sequence per address and port.
    #[test]
    fn schedules_say_only_what_is_true(events in vec(event(), 0..60)) {
        let mut schedule = Gratuitous::new(None, 1);
        let mut owned = std::collections::BTreeMap::new();
        let mut ports = std::collections::BTreeMap::new();
        let mut now = Duration::ZERO;
        for event in events {
            match event {
                Event::Own(ip, only) => {
                    let interfaces = Interfaces::Only(only.into_iter().map(IfIndex).collect());
                    owned.insert(mk_ip(ip), interfaces.clone());
                    schedule.own(mk_ip(ip), interfaces);
                }
                Event::OwnEverywhere(ip) => {
                    owned.insert(mk_ip(ip), Interfaces::All);
                    schedule.own(mk_ip(ip), Interfaces::All);
                }
                Event::Release(ip) => {
                    owned.remove(&mk_ip(ip));
                    schedule.release(mk_ip(ip));
                }
                Event::SetPort(index, mac) => {
                    let port = Port { mac: Mac([2, 0, 0, 0, 0, mac]), ..mk_port(index) };
                    ports.insert(port.index, port);
                    schedule.set_port(port);
                }
                Event::RemovePort(index) => {
                    ports.remove(&IfIndex(index));
                    schedule.remove_port(IfIndex(index));
                }
                Event::LinkUp(index) => schedule.link_up(IfIndex(index)),
                Event::Pass(ms, polls) => {
                    now += Duration::from_millis(ms);
                    for _ in 0..polls {
                        let due = schedule.poll_timeout().is_some_and(|due| due <= now);
                        let sent = schedule.poll_transmit(now);
                        prop_assert_eq!(sent.is_some(), due);
                        let Some(sent) = sent else { break };
                        let (header, _) = eth::Header::decode(sent.frame.as_bytes()).unwrap();
                        prop_assert_eq!(ports.get(&sent.interface).map(|port| port.mac), Some(header.source));
                        prop_assert!(owned.get(&sent.ip).is_some_and(|on| on.contains(sent.interface)));
                    }
                }
            }
        }
        let mut left = owned.len() * ports.len() * 7;
        while let Some(due) = schedule.poll_timeout() {
            now = now.max(due);
            prop_assert!(schedule.poll_transmit(now).is_some());
            prop_assert!(left > 0, "more frames than sequences hold");
            left -= 1;
        }
    }
}
