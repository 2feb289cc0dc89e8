//! Frames are captures of Linux 6.18 asking (and answering) in two namespaces on a veth pair, the
//! asker being station `02:…:07`, the answering one `02:…:01`; variations of them are made here.

use std::net::{Ipv4Addr, Ipv6Addr};

use rstest::rstest;

use super::*;
use crate::port::{IfIndex, Interfaces};

const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
const ASKER: Mac = Mac([2, 0, 0, 0, 0, 7]);
const OTHER: Mac = Mac([2, 0, 0, 0, 0, 9]);
const GROUP: Mac = Mac([0x33, 0x33, 0xff, 0, 0, 0x14]);

const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);
const VIP_ELSEWHERE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 21);
const NOT_OURS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 99);
const ASKER_IP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 7);

const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x14);
const VIP6_ELSEWHERE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x14);
const NOT_OURS6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x14);
const VIP6_GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0x14);
const ASKER_IP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);

const ARP_REQUEST: &str = "ffffffffffff 020000000007 0806 0001 0800 06 04 0001 \
    020000000007 c0a80107 000000000000 c0a80114";
const ARP_REQUEST_PADDED: &str = "ffffffffffff 020000000007 0806 0001 0800 06 04 0001 \
    020000000007 c0a80107 000000000000 c0a80114 000000000000000000000000000000000000";
const ARP_REQUEST_UNICAST: &str = "020000000001 020000000007 0806 0001 0800 06 04 0001 \
    020000000007 c0a80107 000000000000 c0a80114";
const ARP_REPLY: &str = "020000000007 020000000001 0806 0001 0800 06 04 0002 \
    020000000001 c0a80114 020000000007 c0a80107";
// By hand; RFC 5227 1.1: a probe is a request whose sender address is zero.
const ARP_PROBE: &str = "ffffffffffff 020000000007 0806 0001 0800 06 04 0001 \
    020000000007 00000000 000000000000 c0a80114";
const ARP_PROBE_REPLY: &str = "020000000007 020000000001 0806 0001 0800 06 04 0002 \
    020000000001 c0a80114 020000000007 00000000";

const NS_MULTICAST: &str = "3333ff000014 020000000007 86dd 60000000 0020 3a ff \
    20010db8000000000000000000000007 ff0200000000000000000001ff000014 \
    87 00 1bf7 00000000 20010db8000000000000000000000014 01 01 020000000007";
const NS_UNICAST: &str = "020000000001 020000000007 86dd 60000000 0020 3a ff \
    fe80000000000000000000fffe000007 20010db8000000000000000000000014 \
    87 00 1c7b 00000000 20010db8000000000000000000000014 01 01 020000000007";
/// With a nonce option, as Linux sends it (RFC 7527).
const NS_DUPLICATE_DETECTION: &str = "3333ff000014 020000000007 86dd 60000000 0020 3a ff \
    00000000000000000000000000000000 ff0200000000000000000001ff000014 \
    87 00 50f2 00000000 20010db8000000000000000000000014 0e 01 9b4ac211906f";
// By hand: nothing is sent from ::1, and this room would not write it.
const NS_LOOPBACK: &str = "3333ff000014 020000000007 86dd 60000000 0020 3a ff \
    00000000000000000000000000000000 ff0200000000000000000001ff000014 \
    87 00 0000 00000000 20010db8000000000000000000000014 01 01 020000000007";
/// Linux itself answering `NS_MULTICAST`: from the target, Solicited and Override set.
const NA_FROM_TARGET: &str = "020000000007 020000000001 86dd 60000000 0020 3a ff \
    20010db8000000000000000000000014 20010db8000000000000000000000007 \
    88 00 8a48 60000000 20010db8000000000000000000000014 02 01 020000000001";
// The next three were composed by hand; the checksums were calculated outside this crate.
const NA_FROM_LINK_LOCAL: &str = "020000000007 020000000001 86dd 60000000 0020 3a ff \
    fe80000000000000000000fffe000001 20010db8000000000000000000000007 \
    88 00 ba93 60000000 20010db8000000000000000000000014 02 01 020000000001";
const NA_TO_UNICAST: &str = "020000000007 020000000001 86dd 60000000 0020 3a ff \
    fe80000000000000000000fffe000001 fe80000000000000000000fffe000007 \
    88 00 eacb 60000000 20010db8000000000000000000000014 02 01 020000000001";
const NA_TO_ALL_NODES: &str = "333300000001 020000000001 86dd 60000000 0020 3a ff \
    fe80000000000000000000fffe000001 ff020000000000000000000000000001 \
    88 00 2950 20000000 20010db8000000000000000000000014 02 01 020000000001";

fn mk_bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

fn mk_table() -> Table {
    let elsewhere = || Interfaces::Only([IfIndex(3)].into());
    let mut table = Table::new();
    table.set(VIP.into(), Interfaces::All);
    table.set(VIP6.into(), Interfaces::Only([IfIndex(2), IfIndex(3)].into()));
    table.set(VIP_ELSEWHERE.into(), elsewhere());
    table.set(VIP6_ELSEWHERE.into(), elsewhere());
    table
}

fn mk_responder(link_local: Option<Ipv6Addr>) -> Responder {
    Responder::new(Port { index: IfIndex(2), mac: OWN, link_local })
}

fn answer(frame: &[u8]) -> Answer {
    mk_responder(Some(LINK_LOCAL)).answer(&mk_table(), frame, &mut FrameBuf::new())
}

fn ignored(frame: &[u8]) -> DropReason {
    match answer(frame) {
        Answer::Ignore(reason) => reason,
        Answer::Reply(reply) => panic!("answered: {reply:?}"),
    }
}

fn mk_request() -> arp::Packet {
    arp::Packet {
        operation: arp::REQUEST,
        sender_mac: ASKER,
        sender_ip: ASKER_IP,
        target_mac: Mac::ZERO,
        target_ip: VIP,
    }
}

fn mk_arp(packet: arp::Packet, destination: Mac) -> Vec<u8> {
    let mut frame = FrameBuf::new();
    packet.write(destination, &mut frame);
    frame.as_bytes().to_vec()
}

fn mk_solicitation() -> Solicitation {
    Solicitation {
        source: ASKER_IP6,
        destination: VIP6_GROUP,
        target: VIP6,
        source_mac: Some(ASKER),
    }
}

fn mk_ns(question: Solicitation, destination: Mac) -> Vec<u8> {
    let mut frame = FrameBuf::new();
    question.write(ASKER, destination, &mut frame);
    frame.as_bytes().to_vec()
}

/// Changes one byte of a frame and, for IPv6, makes the checksum fit again.
fn mk_changed(hex: &str, offset: usize, value: u8) -> Vec<u8> {
    let mut frame = mk_bytes(hex);
    frame[offset] = value;
    mk_sealed(frame)
}

fn mk_sealed(mut frame: Vec<u8>) -> Vec<u8> {
    if frame[12..14] == eth::IPV6.to_be_bytes() {
        let address =
            |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&frame[at..at + 16]).unwrap());
        let header =
            ipv6::Header { source: address(22), destination: address(38), hop_limit: frame[21] };
        frame[56..58].fill(0);
        let checksum = header.checksum(&frame[54..]);
        frame[56..58].copy_from_slice(&checksum.to_be_bytes());
    }
    frame
}

#[rstest]
#[case::arp(ARP_REQUEST, Some(LINK_LOCAL), ARP_REPLY)]
#[case::arp_with_padding(ARP_REQUEST_PADDED, Some(LINK_LOCAL), ARP_REPLY)]
#[case::arp_reachability_check(ARP_REQUEST_UNICAST, None, ARP_REPLY)]
#[case::arp_probe(ARP_PROBE, None, ARP_PROBE_REPLY)]
#[case::ndp_as_linux_itself_answers(NS_MULTICAST, None, NA_FROM_TARGET)]
#[case::ndp_from_the_link_local(NS_MULTICAST, Some(LINK_LOCAL), NA_FROM_LINK_LOCAL)]
#[case::ndp_reachability_check(NS_UNICAST, Some(LINK_LOCAL), NA_TO_UNICAST)]
#[case::ndp_duplicate_detection(NS_DUPLICATE_DETECTION, Some(LINK_LOCAL), NA_TO_ALL_NODES)]
fn replies_byte_for_byte(
    #[case] question: &str,
    #[case] link_local: Option<Ipv6Addr>,
    #[case] expected: &str,
) {
    let mut out = FrameBuf::new();
    let answer = mk_responder(link_local).answer(&mk_table(), &mk_bytes(question), &mut out);
    assert!(matches!(answer, Answer::Reply(_)), "{answer:?}");
    assert_eq!(out.as_bytes(), mk_bytes(expected));
}

#[rstest]
#[case::arp(ARP_REQUEST, VIP.into(), ASKER_IP.into())]
#[case::arp_probe(ARP_PROBE, VIP.into(), Ipv4Addr::UNSPECIFIED.into())]
#[case::ndp(NS_MULTICAST, VIP6.into(), ASKER_IP6.into())]
#[case::duplicate_detection(NS_DUPLICATE_DETECTION, VIP6.into(), Ipv6Addr::UNSPECIFIED.into())]
fn replies_say_who_asked(#[case] question: &str, #[case] ip: IpAddr, #[case] asker_ip: IpAddr) {
    let expected = Answer::Reply(Reply { ip, asker_ip, asker_mac: ASKER });
    assert_eq!(answer(&mk_bytes(question)), expected);
}

#[rstest]
#[case::l2_row_73_reply(
    arp::Packet { operation: arp::REPLY, ..mk_request() }, OWN, Err(DropReason::ArpReply))]
#[case::l2_row_74_another_destination(mk_request(), OTHER, Err(DropReason::EthernetDestination))]
#[case::l2_row_75_own_destination(mk_request(), OWN, Ok(()))]
#[case::l2_row_76_broadcast(mk_request(), Mac::BROADCAST, Ok(()))]
#[case::l2_row_77_not_announced(
    arp::Packet { target_ip: NOT_OURS, ..mk_request() }, Mac::BROADCAST,
    Err(DropReason::AnnounceIp))]
#[case::l2_row_77_not_on_this_interface(
    arp::Packet { target_ip: VIP_ELSEWHERE, ..mk_request() }, Mac::BROADCAST,
    Err(DropReason::NotMatchInterface))]
#[case::l2_row_78_announced(mk_request(), Mac::BROADCAST, Ok(()))]
#[case::unknown_operation(
    arp::Packet { operation: 8, ..mk_request() }, Mac::BROADCAST, Err(DropReason::ArpReply))]
#[case::ethernet_multicast(mk_request(), GROUP, Err(DropReason::EthernetDestination))]
#[case::group_as_sender(
    arp::Packet { sender_mac: GROUP, ..mk_request() }, OWN, Err(DropReason::SenderMac(GROUP)))]
#[case::broadcast_as_sender(
    arp::Packet { sender_mac: Mac::BROADCAST, ..mk_request() }, OWN,
    Err(DropReason::SenderMac(Mac::BROADCAST)))]
#[case::zero_as_sender(
    arp::Packet { sender_mac: Mac::ZERO, ..mk_request() }, OWN,
    Err(DropReason::SenderMac(Mac::ZERO)))]
#[case::ourselves_as_sender(
    arp::Packet { sender_mac: OWN, ..mk_request() }, Mac::BROADCAST, Err(DropReason::OwnFrame))]
fn arp_rules(
    #[case] packet: arp::Packet,
    #[case] destination: Mac,
    #[case] expected: Result<(), DropReason>,
) {
    let answer = answer(&mk_arp(packet, destination));
    match expected {
        Ok(()) => assert!(matches!(answer, Answer::Reply(_)), "{answer:?}"),
        Err(reason) => assert_eq!(answer, Answer::Ignore(reason)),
    }
}

/// The reply goes to the address in the body even when another station relays the question.
#[test]
fn arp_answers_the_sender_in_the_body() {
    let mut frame = mk_bytes(ARP_REQUEST);
    frame[6..12].copy_from_slice(&OTHER.0);
    let mut out = FrameBuf::new();
    mk_responder(None).answer(&mk_table(), &frame, &mut out);
    assert_eq!(out.as_bytes(), mk_bytes(ARP_REPLY));
}

#[rstest]
#[case::to_the_group(mk_solicitation(), GROUP, Ok(()))]
#[case::group_packet_to_our_station(mk_solicitation(), OWN, Ok(()))]
#[case::another_group(
    mk_solicitation(), Mac([0x33, 0x33, 0xff, 0, 0, 0x15]), Err(DropReason::EthernetDestination))]
#[case::another_station(mk_solicitation(), OTHER, Err(DropReason::EthernetDestination))]
#[case::unicast(Solicitation { destination: VIP6, ..mk_solicitation() }, OWN, Ok(()))]
#[case::unicast_without_option(
    Solicitation { destination: VIP6, source_mac: None, ..mk_solicitation() }, OWN, Ok(()))]
#[case::unicast_to_another_station(
    Solicitation { destination: VIP6, ..mk_solicitation() }, OTHER,
    Err(DropReason::EthernetDestination))]
#[case::group_without_option(
    Solicitation { source_mac: None, ..mk_solicitation() }, GROUP, Err(DropReason::NoSourceLl))]
#[case::not_announced(
    Solicitation { target: NOT_OURS6, ..mk_solicitation() }, GROUP, Err(DropReason::AnnounceIp))]
#[case::not_on_this_interface(
    Solicitation { target: VIP6_ELSEWHERE, ..mk_solicitation() }, GROUP,
    Err(DropReason::NotMatchInterface))]
#[case::group_as_sender(
    Solicitation { source_mac: Some(GROUP), ..mk_solicitation() }, GROUP,
    Err(DropReason::SenderMac(GROUP)))]
#[case::ourselves_as_sender(
    Solicitation { source_mac: Some(OWN), ..mk_solicitation() }, GROUP,
    Err(DropReason::OwnFrame))]
#[case::duplicate_detection(
    Solicitation { source: Ipv6Addr::UNSPECIFIED, source_mac: None, ..mk_solicitation() }, GROUP,
    Ok(()))]
#[case::duplicate_detection_with_option(
    Solicitation { source: Ipv6Addr::UNSPECIFIED, ..mk_solicitation() }, GROUP,
    Err(DropReason::Invalid(Invalid::DadForm)))]
#[case::duplicate_detection_unicast(
    Solicitation {
        source: Ipv6Addr::UNSPECIFIED, destination: VIP6, source_mac: None, ..mk_solicitation()
    }, OWN,
    Err(DropReason::Invalid(Invalid::DadForm)))]
#[case::duplicate_detection_to_all_nodes(
    Solicitation {
        source: Ipv6Addr::UNSPECIFIED, destination: ipv6::ALL_NODES, source_mac: None,
        ..mk_solicitation()
    },
    ipv6::group_mac(ipv6::ALL_NODES), Err(DropReason::Invalid(Invalid::DadForm)))]
fn ndp_rules(
    #[case] question: Solicitation,
    #[case] destination: Mac,
    #[case] expected: Result<(), DropReason>,
) {
    let answer = answer(&mk_ns(question, destination));
    match expected {
        Ok(()) => assert!(matches!(answer, Answer::Reply(_)), "{answer:?}"),
        Err(reason) => assert_eq!(answer, Answer::Ignore(reason)),
    }
}

#[rstest]
#[case::hardware_type(ARP_REQUEST, 15, 6, Invalid::ArpType { hardware: 6, protocol: 0x0800 })]
#[case::protocol_type(ARP_REQUEST, 17, 6, Invalid::ArpType { hardware: 1, protocol: 0x0806 })]
#[case::hardware_length(ARP_REQUEST, 18, 8, Invalid::ArpLength { hardware: 8, protocol: 4 })]
#[case::protocol_length(ARP_REQUEST, 19, 16, Invalid::ArpLength { hardware: 6, protocol: 16 })]
#[case::ether_type(ARP_REQUEST, 13, 7, Invalid::EtherType(0x0807))]
#[case::ip_version(NS_MULTICAST, 14, 0x40, Invalid::Version(4))]
#[case::next_header(NS_MULTICAST, 20, 17, Invalid::NextHeader(17))]
#[case::hop_limit(NS_MULTICAST, 21, 254, Invalid::HopLimit(254))]
#[case::multicast_source(
    NS_MULTICAST,
    22,
    0xff,
    Invalid::Source(Ipv6Addr::new(0xff01, 0xdb8, 0, 0, 0, 0, 0, 7))
)]
#[case::loopback_source(NS_LOOPBACK, 37, 1, Invalid::Source(Ipv6Addr::LOCALHOST))]
#[case::code(NS_MULTICAST, 55, 1, Invalid::Code(1))]
#[case::multicast_target(
    NS_MULTICAST,
    62,
    0xff,
    Invalid::Target(Ipv6Addr::new(0xff01, 0xdb8, 0, 0, 0, 0, 0, 0x14))
)]
#[case::option_of_no_length(NS_MULTICAST, 79, 0, Invalid::OptionLength(0))]
#[case::option_past_the_end(NS_MULTICAST, 79, 2, Invalid::Truncated)]
#[case::payload_past_the_end(NS_MULTICAST, 19, 33, Invalid::Truncated)]
fn invalid_messages(
    #[case] capture: &str,
    #[case] offset: usize,
    #[case] value: u8,
    #[case] expected: Invalid,
) {
    assert_eq!(ignored(&mk_changed(capture, offset, value)), DropReason::Invalid(expected));
}

#[test]
fn invalid_checksum() {
    for offset in [22, 40, 56, 57, 62, 85] {
        let mut frame = mk_bytes(NS_MULTICAST);
        frame[offset] ^= 0x10;
        assert_eq!(ignored(&frame), DropReason::Invalid(Invalid::Checksum), "byte {offset}");
    }
}

/// A link-layer address of 16 octets (two units) is not Ethernet's.
#[test]
fn invalid_option_for_ethernet() {
    let mut frame = mk_bytes(NS_MULTICAST);
    frame.extend([0; 8]);
    (frame[19], frame[79]) = (40, 2);
    assert_eq!(ignored(&mk_sealed(frame)), DropReason::Invalid(Invalid::OptionLength(2)));
}

#[rstest]
#[case::arp(ARP_REQUEST)]
#[case::ndp(NS_MULTICAST)]
fn cut_frames_are_dropped(#[case] capture: &str) {
    let frame = mk_bytes(capture);
    for len in 0..frame.len() {
        assert_eq!(ignored(&frame[..len]), DropReason::Invalid(Invalid::Truncated), "{len} bytes");
    }
}

#[rstest]
#[case::customer([0x81, 0x00])]
#[case::service([0x88, 0xa8])]
fn tagged_frames_are_dropped(#[case] tag: [u8; 2]) {
    let mut frame = mk_bytes(ARP_REQUEST);
    frame.splice(12..12, [tag[0], tag[1], 0, 5]);
    assert_eq!(ignored(&frame), DropReason::VlanTag);
}

#[test]
fn frames_of_our_own_are_dropped() {
    assert_eq!(ignored(&mk_bytes(ARP_REPLY)), DropReason::OwnFrame);
    assert_eq!(ignored(&mk_bytes(NA_FROM_TARGET)), DropReason::OwnFrame);
}

/// Our own reply, sent on by another station: no claim of that station.
#[test]
fn our_own_reply_reflected_is_no_claim() {
    let mut frame = mk_bytes(ARP_REPLY);
    frame[6..12].copy_from_slice(&OTHER.0);
    assert_eq!(ignored(&frame), DropReason::ArpReply);
}

/// Of two link-layer addresses the first counts, as for Linux.
#[test]
fn the_first_option_counts() {
    let mut frame = mk_bytes(NS_MULTICAST);
    frame.extend([1, 1, 2, 0, 0, 0, 0, 9]);
    frame[19] = 40;
    let mut out = FrameBuf::new();
    mk_responder(None).answer(&mk_table(), &mk_sealed(frame), &mut out);
    assert_eq!(out.as_bytes(), mk_bytes(NA_FROM_TARGET));
}

#[test]
fn other_icmpv6_is_passed_over() {
    assert_eq!(ignored(&mk_changed(NS_MULTICAST, 54, 128)), DropReason::MessageType);
}

#[rstest]
#[case::reply(arp::REPLY, OTHER, VIP, NOT_OURS)]
#[case::reply_to_us(arp::REPLY, OWN, VIP, ASKER_IP)]
#[case::announcement_as_request(arp::REQUEST, Mac::BROADCAST, VIP, VIP)]
#[case::announcement_as_reply(arp::REPLY, Mac::BROADCAST, VIP, VIP)]
#[case::question_for_another(arp::REQUEST, Mac::BROADCAST, VIP, NOT_OURS)]
fn foreign_arp_claims(
    #[case] operation: u16,
    #[case] destination: Mac,
    #[case] sender_ip: Ipv4Addr,
    #[case] target_ip: Ipv4Addr,
) {
    let packet =
        arp::Packet { operation, sender_mac: OTHER, sender_ip, target_mac: ASKER, target_ip };
    let expected = DropReason::ForeignClaim { ip: VIP.into(), mac: OTHER };
    assert_eq!(ignored(&mk_arp(packet, destination)), expected);
}

/// What is not answered here is not claimed here either.
#[rstest]
#[case::elsewhere(VIP_ELSEWHERE, DropReason::NotMatchInterface)]
#[case::not_ours(NOT_OURS, DropReason::AnnounceIp)]
fn no_claim(#[case] ip: Ipv4Addr, #[case] expected: DropReason) {
    let frame = mk_arp(arp::Packet::gratuitous(arp::REQUEST, OTHER, ip), Mac::BROADCAST);
    assert_eq!(ignored(&frame), expected);
}

#[rstest]
#[case::with_address(Some(OTHER), VIP6, DropReason::ForeignClaim { ip: VIP6.into(), mac: OTHER })]
#[case::without_address(None, VIP6, DropReason::ForeignClaim { ip: VIP6.into(), mac: ASKER })]
#[case::elsewhere(Some(OTHER), VIP6_ELSEWHERE, DropReason::MessageType)]
#[case::not_ours(Some(OTHER), NOT_OURS6, DropReason::MessageType)]
fn foreign_advertisements(
    #[case] target_mac: Option<Mac>,
    #[case] target: Ipv6Addr,
    #[case] expected: DropReason,
) {
    let advertisement =
        Advertisement { target_mac, ..Advertisement::unsolicited(target, target, OTHER) };
    let mut frame = FrameBuf::new();
    advertisement.write(ASKER, ipv6::group_mac(ipv6::ALL_NODES), &mut frame);
    assert_eq!(ignored(frame.as_bytes()), expected);
}

#[test]
fn a_solicited_advertisement_to_a_group_is_invalid() {
    let advertisement =
        Advertisement { solicited: true, ..Advertisement::unsolicited(VIP6, VIP6, ASKER) };
    let mut frame = FrameBuf::new();
    advertisement.write(ASKER, ipv6::group_mac(ipv6::ALL_NODES), &mut frame);
    let expected = DropReason::Invalid(Invalid::SolicitedToGroup);
    assert_eq!(ignored(frame.as_bytes()), expected);
}

#[rstest]
#[case::for_itself(VIP6)]
#[case::for_another(NOT_OURS6)]
fn a_solicitation_from_our_address_is_a_claim(#[case] target: Ipv6Addr) {
    let frame = mk_ns(Solicitation { source: VIP6, target, ..mk_solicitation() }, GROUP);
    let expected = DropReason::ForeignClaim { ip: VIP6.into(), mac: ASKER };
    assert_eq!(ignored(&frame), expected);
}

/// Upstream's words, which dashboards and people search for.
#[rstest]
#[case(DropReason::ArpReply, "ARPReply")]
#[case(DropReason::EthernetDestination, "EthernetDestination")]
#[case(DropReason::AnnounceIp, "AnnounceIP")]
#[case(DropReason::NotMatchInterface, "NotMatchInterface")]
#[case(DropReason::MessageType, "MessageType")]
#[case(DropReason::NoSourceLl, "NoSourceLL")]
fn reason_names(#[case] reason: DropReason, #[case] name: &str) {
    assert_eq!(reason.name(), name);
}
