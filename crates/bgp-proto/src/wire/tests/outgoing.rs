//! UPDATEs that we send, against their octets.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use rstest::rstest;

use super::super::*;
use super::mk_message;
use crate::{Asn, Community, LargeCommunity, PathAttributes, PerFamily};

const V4: NextHop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

fn mk_encoding() -> Encoding {
    Encoding {
        asn: Asn::new(64512).unwrap(),
        internal: false,
        four_octet_as: true,
        limit: MAX_MESSAGE,
        graceful_shutdown: false,
        next_hops: PerFamily { v4: Some(V4), v6: Some(NextHop::V6(GLOBAL, None)) },
    }
}

fn mk_attributes() -> PathAttributes {
    PathAttributes::new(None, [], []).unwrap()
}

fn announce<P: Nlri>(prefix: P, attributes: &PathAttributes, encoding: &Encoding) -> Vec<u8> {
    let mut out = Vec::new();
    let block = attribute_block(attributes, encoding, P::FAMILY);
    let next_hop = encoding.next_hops[P::FAMILY].unwrap();
    let mut update = UpdateWriter::announce(&mut out, encoding.limit, P::FAMILY, next_hop, &block);
    assert!(update.push(prefix));
    update.finish();
    out
}

fn v4(prefix: &str) -> Ipv4Net {
    prefix.parse().unwrap()
}

fn v6(prefix: &str) -> Ipv6Net {
    prefix.parse().unwrap()
}

#[test]
fn golden_external_v4() {
    let expected = mk_message(
        2,
        &[
            0, 0, 0, 27, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xFC, 0, 0x40, 3, 4, 192, 0, 2, 1,
            0x80, 4, 4, 0, 0, 0, 0, 32, 198, 51, 100, 7,
        ],
    );
    assert_eq!(announce(v4("198.51.100.7/32"), &mk_attributes(), &mk_encoding()), expected);
}

#[rstest]
#[case::external_two_octets(false, false, 64512, &[0x40, 2, 4, 2, 1, 0xFC, 0])]
#[case::external_four_octets(false, true, 4_200_000_000, &[0x40, 2, 6, 2, 1, 0xFA, 0x56, 0xEA, 0])]
#[case::rfc_6793_as_trans_at_65536(false, false, 65536, &[0x40, 2, 4, 2, 1, 0x5B, 0xA0])]
#[case::n24_65535_needs_none(false, false, 65535, &[0x40, 2, 4, 2, 1, 0xFF, 0xFF])]
#[case::internal_empty(true, true, 64512, &[0x40, 2, 0])]
fn bgp_1_8_row_as_path(
    #[case] internal: bool,
    #[case] four_octet_as: bool,
    #[case] asn: u32,
    #[case] expected: &[u8],
) {
    let asn = Asn::new(asn).unwrap();
    let encoding = Encoding { asn, internal, four_octet_as, ..mk_encoding() };
    let block = attribute_block(&mk_attributes(), &encoding, Family::V4);
    assert_eq!(&block[4..4 + expected.len()], expected);
    // RFC 6793 4.2.2: AS4_PATH where two octets do not say it all, and nowhere else.
    let as4_path = [&[0xC0, 17, 6, 2, 1][..], &asn.number().to_be_bytes()].concat();
    let carried = block.windows(as4_path.len()).any(|window| window == as4_path);
    assert_eq!(carried, !internal && !four_octet_as && asn.number() > 65535);
}

#[rstest]
#[case::internal_unset(true, None, false, Some(100))]
#[case::internal_set(true, Some(7), false, Some(7))]
#[case::internal_zero(true, Some(0), false, Some(0))]
#[case::internal_graceful_shutdown(true, Some(7), true, Some(0))]
#[case::external_set(false, Some(7), false, None)]
fn bgp_1_8_row_local_pref(
    #[case] internal: bool,
    #[case] local_pref: Option<u32>,
    #[case] graceful_shutdown: bool,
    #[case] expected: Option<u32>,
) {
    let encoding = Encoding { internal, graceful_shutdown, ..mk_encoding() };
    let attributes = PathAttributes::new(local_pref, [], []).unwrap();
    let block = attribute_block(&attributes, &encoding, Family::V4);
    let found = block
        .windows(7)
        .find(|window| window.starts_with(&[0x40, 5, 4]))
        .map(|window| u32::from_be_bytes(window[3..].try_into().unwrap()));
    assert_eq!(found, expected);
}

#[test]
fn t_098_two_communities_to_an_old_peer() {
    let attributes =
        PathAttributes::new(None, [Community::new(64512, 2), Community::new(0, 7)], []).unwrap();
    let encoding = Encoding { four_octet_as: false, ..mk_encoding() };
    let block = attribute_block(&attributes, &encoding, Family::V4);
    assert!(block.ends_with(&[0xC0, 8, 8, 0, 0, 0, 7, 0xFC, 0, 0, 2]));
}

#[test]
fn t_099_a_large_community() {
    let community = LargeCommunity { global: 1, local_1: 2, local_2: 3 };
    let attributes = PathAttributes::new(None, [], [community, community]).unwrap();
    let block = attribute_block(&attributes, &mk_encoding(), Family::V4);
    assert!(block.ends_with(&[0xC0, 32, 12, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]));
}

#[test]
fn n23_more_than_63_communities_take_the_extended_length() {
    let attributes = PathAttributes::new(None, (0..64).map(Community), []).unwrap();
    let block = attribute_block(&attributes, &mk_encoding(), Family::V4);
    let at = block.len() - 64 * 4 - 4;
    assert_eq!(&block[at..at + 4], [0xD0, 8, 1, 0]);
}

#[test]
fn rfc_8326_graceful_shutdown_in_its_place_and_once() {
    let well_known = [Community(0xFFFF_FF01), Community::new(1, 1)];
    let with = |extra: Option<Community>| {
        let attributes =
            PathAttributes::new(None, well_known.into_iter().chain(extra), []).unwrap();
        let encoding = Encoding { graceful_shutdown: true, ..mk_encoding() };
        attribute_block(&attributes, &encoding, Family::V4)
    };
    let expected = [0xC0, 8, 12, 0, 1, 0, 1, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF, 0xFF, 1];
    assert!(with(None).ends_with(&expected));
    assert!(with(Some(Community::GRACEFUL_SHUTDOWN)).ends_with(&expected));
}

#[rstest]
#[case::global(NextHop::V6(GLOBAL, None), 16)]
#[case::rfc_2545_with_link_local(NextHop::V6(GLOBAL, Some(LINK_LOCAL)), 32)]
#[case::link_local_alone(NextHop::V6(LINK_LOCAL, None), 16)]
fn golden_v6(#[case] next_hop: NextHop, #[case] octets: u8) {
    let mut encoding = mk_encoding();
    encoding.next_hops.v6 = Some(next_hop);
    let update = announce(v6("2001:db8:7::/48"), &mk_attributes(), &encoding);
    let NextHop::V6(first, second) = next_hop else { panic!("no IPv6 next hop") };
    let mut reach = vec![0, 2, 1, octets];
    reach.extend(first.octets());
    reach.extend(second.into_iter().flat_map(|second| second.octets()));
    reach.extend([0, 48, 0x20, 1, 0xd, 0xb8, 0, 7]);
    let rest = attribute_block(&mk_attributes(), &encoding, Family::V6);
    let length = u8::try_from(reach.len()).unwrap();
    let total = u8::try_from(4 + reach.len() + rest.len()).unwrap();
    // RFC 7606 5.1: MP_REACH_NLRI first; RFC 4760 3: no NEXT_HOP beside it.
    let body = [&[0, 0, 0, total, 0x90, 14, 0, length][..], &reach, &rest].concat();
    assert_eq!(update, mk_message(2, &body));
    assert!(!rest.windows(3).any(|window| window == [0x40, 3, 4]));
}

#[test]
fn rfc_8950_v4_with_an_ipv6_next_hop() {
    let mut encoding = mk_encoding();
    encoding.next_hops.v4 = encoding.next_hops.v6;
    let update = announce(v4("198.51.100.7/32"), &mk_attributes(), &encoding);
    let reach = [&[0, 1, 1, 16][..], &GLOBAL.octets(), &[0, 32, 198, 51, 100, 7]].concat();
    let at = HEADER + 8;
    assert_eq!(&update[at..at + reach.len()], reach);
    assert_eq!(&update[HEADER + 4..at], [0x90, 14, 0, 26]);
}

#[rstest]
#[case::classic(true, mk_message(2, &[0, 3, 16, 10, 1, 0, 0]))]
#[case::mp_unreach(false, mk_message(2, &[0, 0, 0, 10, 0x90, 15, 0, 6, 0, 1, 1, 16, 10, 1]))]
fn golden_withdrawal(#[case] classic: bool, #[case] expected: Vec<u8>) {
    let mut out = Vec::new();
    let mut update = UpdateWriter::withdraw(&mut out, MAX_MESSAGE, Family::V4, classic);
    assert!(update.push(v4("10.1.0.0/16")));
    update.finish();
    assert_eq!(out, expected);
}

#[test]
fn golden_end_of_rib() {
    let mut out = Vec::new();
    end_of_rib(&mut out, Family::V4);
    assert_eq!(out, mk_message(2, &[0; 4]));
    out.clear();
    end_of_rib(&mut out, Family::V6);
    assert_eq!(out, mk_message(2, &[0, 0, 0, 7, 0x90, 15, 0, 3, 0, 2, 1]));
}

#[rstest]
#[case::announced_v4(MAX_MESSAGE, false)]
#[case::withdrawn(MAX_MESSAGE, true)]
#[case::rfc_8654_extended(MAX_EXTENDED_MESSAGE, false)]
fn a_message_is_filled_to_its_limit(#[case] limit: usize, #[case] withdraw: bool) {
    let attributes = PathAttributes::new(None, (0..900).map(Community), []).unwrap();
    let encoding = Encoding { limit, ..mk_encoding() };
    let block = attribute_block(&attributes, &encoding, Family::V6);
    let next_hop = NextHop::V6(GLOBAL, Some(LINK_LOCAL));
    let mut out = Vec::new();
    let mut update = if withdraw {
        UpdateWriter::withdraw(&mut out, limit, Family::V6, false)
    } else {
        UpdateWriter::announce(&mut out, limit, Family::V6, next_hop, &block)
    };
    let mut count = 0;
    while update.push(v6("2001:db8::1/128")) {
        count += 1;
    }
    update.finish();
    assert!(count > 10, "{count}");
    assert!((limit - 16..=limit).contains(&out.len()), "{}", out.len());
}

#[test]
fn the_most_communities_leave_room_for_prefixes() {
    let attributes = PathAttributes::new(None, (0..900).map(Community), []).unwrap();
    let large = (0..300).map(|n| LargeCommunity { global: n, local_1: 0, local_2: 0 });
    assert!(PathAttributes::new(None, [], large).is_ok());
    let mut encoding =
        Encoding { internal: true, four_octet_as: false, graceful_shutdown: true, ..mk_encoding() };
    encoding.next_hops.v6 = Some(NextHop::V6(GLOBAL, Some(LINK_LOCAL)));
    announce(v6("2001:db8::1/128"), &attributes, &encoding);
    let refused = PathAttributes::new(None, (0..901).map(Community), []).unwrap_err();
    assert_eq!(refused.octets, 3604);
}
