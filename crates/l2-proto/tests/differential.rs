//! The codec against another one: etherparse reads what this room writes, and writes what this room
//! reads, for arbitrary field values.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    ArpEthIpv4Packet, ArpOperation, Icmpv6Type, NetSlice, PacketBuilder, SlicedPacket,
    TransportSlice,
    icmpv6::{Icmpv6PayloadSlice, NdpOptionSlice, NeighborAdvertisementHeader},
};
use ferrolb_l2_proto::{
    Answer, FrameBuf, IfIndex, Interfaces, Mac, Port, Reply, Responder, Table, arp, eth, ipv6,
    ndp::{self, Advertisement, Message, Solicitation},
    solicited_node,
};
use proptest::prelude::*;

fn mac() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(Mac)
}

/// The station of a host, as far as an answer may go to it.
fn station() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(|[_, rest @ .., last]| {
        let [a, b, c, d] = rest;
        Mac([2, a, b, c, d, last])
    })
}

fn ipv4() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from)
}

/// An address a host can have.
fn host() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(|bits| Ipv6Addr::from(bits >> 4 | 2 << 124))
}

prop_compose! {
    fn packet()(
        operation in any::<u16>(),
        sender_mac in mac(),
        sender_ip in ipv4(),
        target_mac in mac(),
        target_ip in ipv4(),
    ) -> arp::Packet {
        arp::Packet { operation, sender_mac, sender_ip, target_mac, target_ip }
    }
}

prop_compose! {
    fn advertisement()(
        source in host(),
        destination in host(),
        target in host(),
        target_mac in proptest::option::of(mac()),
        [router, solicited, overriding] in any::<[bool; 3]>(),
    ) -> Advertisement {
        Advertisement { source, destination, target, target_mac, router, solicited, overriding }
    }
}

fn theirs(packet: &arp::Packet) -> ArpEthIpv4Packet {
    ArpEthIpv4Packet {
        operation: ArpOperation(packet.operation),
        sender_mac: packet.sender_mac.0,
        sender_ipv4: packet.sender_ip.octets(),
        target_mac: packet.target_mac.0,
        target_ipv4: packet.target_ip.octets(),
    }
}

/// A neighbor solicitation as etherparse writes it.
fn mk_solicitation(source: Ipv6Addr, target: Ipv6Addr, mac: Mac, to: Mac) -> Vec<u8> {
    let destination = solicited_node(target);
    let mut payload = target.octets().to_vec();
    payload.extend([1, 1]);
    payload.extend(mac.0);
    let mut frame = Vec::new();
    let written = PacketBuilder::ethernet2(mac.0, to.0)
        .ipv6(source.octets(), destination.octets(), 255)
        .icmpv6(Icmpv6Type::NeighborSolicitation)
        .write(&mut frame, &payload);
    assert!(written.is_ok(), "{written:?}");
    frame
}

proptest! {
    #[test]
    fn arp_written_here_is_read_there(packet in packet(), destination in mac()) {
        let mut frame = FrameBuf::new();
        packet.write(destination, &mut frame);
        let sliced = SlicedPacket::from_ethernet(frame.as_bytes()).unwrap();
        let ethernet = sliced.link.as_ref().unwrap().to_header().unwrap().ethernet2().unwrap();
        prop_assert_eq!(ethernet.destination, destination.0);
        prop_assert_eq!(ethernet.source, packet.sender_mac.0);
        let Some(NetSlice::Arp(read)) = sliced.net else { panic!("no ARP: {frame:?}") };
        prop_assert_eq!(read.to_packet().try_eth_ipv4().unwrap(), theirs(&packet));
    }

    #[test]
    fn arp_written_there_is_read_here(packet in packet(), source in mac(), destination in mac()) {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(source.0, destination.0)
            .arp(theirs(&packet).into())
            .write(&mut frame)
            .unwrap();
        let (header, body) = eth::Header::decode(&frame).unwrap();
        prop_assert_eq!(header, eth::Header { destination, source, ether_type: eth::ARP });
        prop_assert_eq!(arp::Packet::decode(body), Ok(packet));
    }

    #[test]
    fn advertisements_written_here_are_read_there(
        advertisement in advertisement(),
        source in mac(),
        destination in mac(),
    ) {
        let mut frame = FrameBuf::new();
        advertisement.write(source, destination, &mut frame);
        let sliced = SlicedPacket::from_ethernet(frame.as_bytes()).unwrap();
        let Some(NetSlice::Ipv6(net)) = &sliced.net else { panic!("no IPv6: {frame:?}") };
        let header = net.header();
        prop_assert_eq!(header.source_addr(), advertisement.source);
        prop_assert_eq!(header.destination_addr(), advertisement.destination);
        prop_assert_eq!(header.hop_limit(), 255);
        let Some(TransportSlice::Icmpv6(icmp)) = &sliced.transport else { panic!("no ICMPv6") };
        prop_assert!(icmp.is_checksum_valid(header.source(), header.destination()));
        prop_assert_eq!(
            icmp.icmp_type(),
            Icmpv6Type::NeighborAdvertisement(NeighborAdvertisementHeader {
                router: advertisement.router,
                solicited: advertisement.solicited,
                r#override: advertisement.overriding,
            })
        );
        let Icmpv6PayloadSlice::NeighborAdvertisement(payload) = icmp.payload_slice().unwrap()
        else {
            panic!("no advertisement")
        };
        prop_assert_eq!(payload.target_address(), advertisement.target);
        let options: Vec<_> = payload.options_iterator().map(Result::unwrap).collect();
        match (advertisement.target_mac, &options[..]) {
            (None, []) => {}
            (Some(mac), [NdpOptionSlice::TargetLinkLayerAddress(option)]) => {
                prop_assert_eq!(option.link_layer_address(), &mac.0);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn solicitations_written_there_are_read_here(
        source in host(),
        target in host(),
        mac in mac(),
    ) {
        let frame = mk_solicitation(source, target, mac, Mac::BROADCAST);
        let (_, payload) = eth::Header::decode(&frame).unwrap();
        let expected = Solicitation {
            source,
            destination: solicited_node(target),
            target,
            source_mac: Some(mac),
        };
        prop_assert_eq!(ndp::decode(payload), Ok(Message::Solicitation(expected)));
        // And what this room writes of it is the same frame.
        let mut written = FrameBuf::new();
        expected.write(mac, Mac::BROADCAST, &mut written);
        prop_assert_eq!(written.as_bytes(), &frame[..]);
    }

    /// Question by etherparse, answer by the responder, answer read by etherparse.
    #[test]
    fn a_question_from_there_is_answered_for_there(
        source in host(),
        target in host(),
        asker in station(),
        own in station(),
    ) {
        prop_assume!(asker != own && source != target);
        let ip = IpAddr::V6(target);
        let mut table = Table::new();
        table.set(ip, Interfaces::All);
        let question =
            mk_solicitation(source, target, asker, ipv6::group_mac(solicited_node(target)));
        let mut out = FrameBuf::new();
        let answer = Responder::new(Port { index: IfIndex(1), mac: own, link_local: None })
            .answer(&table, &question, &mut out);
        let expected = Reply { ip, asker_ip: source.into(), asker_mac: asker };
        prop_assert_eq!(answer, Answer::Reply(expected));

        let sliced = SlicedPacket::from_ethernet(out.as_bytes()).unwrap();
        let ethernet = sliced.link.as_ref().unwrap().to_header().unwrap().ethernet2().unwrap();
        prop_assert_eq!((ethernet.source, ethernet.destination), (own.0, asker.0));
        let Some(NetSlice::Ipv6(net)) = &sliced.net else { panic!("no IPv6") };
        prop_assert_eq!(net.header().source_addr(), target);
        prop_assert_eq!(net.header().destination_addr(), source);
        let Some(TransportSlice::Icmpv6(icmp)) = &sliced.transport else { panic!("no ICMPv6") };
        prop_assert!(icmp.is_checksum_valid(net.header().source(), net.header().destination()));
    }
}
