//! What we encode, as two independent crates read it; what they build, as we read it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use bgpkit_parser::models::{
    AsnLength, AttributeValue, BgpMessage, BgpUpdateMessage, MetaCommunity, Origin,
};
use bgpkit_parser::parser::bgp::messages::parse_bgp_message;
use bytes::Bytes;
use ferrolb_bgp_proto::wire::{
    Capabilities, Encoding, MAX_MESSAGE, NextHop, Nlri, Open, Reception, RestartCapability,
    UpdateWriter, attribute_block, end_of_rib, inspect,
};
use ferrolb_bgp_proto::{
    Asn, Community, Families, Family, HoldTime, LargeCommunity, PathAttributes, PerFamily, RouterId,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netgauze_bgp_pkt::wire::deserializer::BgpParsingContext;
use netgauze_parse_utils::WritablePdu;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

/// As bgpkit reads it.
fn bgpkit(octets: &[u8], four_octet_as: bool) -> BgpMessage {
    let length = if four_octet_as { AsnLength::Bits32 } else { AsnLength::Bits16 };
    parse_bgp_message(&mut Bytes::copy_from_slice(octets), false, &length).expect("bgpkit reads it")
}

fn bgpkit_update(octets: &[u8], four_octet_as: bool) -> BgpUpdateMessage {
    let BgpMessage::Update(update) = bgpkit(octets, four_octet_as) else { panic!("no UPDATE") };
    assert_eq!(update.attributes.validation_warnings(), []);
    update
}

/// As netgauze reads it, which must write it to the same length.
fn netgauze(octets: &[u8], four_octet_as: bool) -> netgauze_bgp_pkt::BgpMessage {
    let mut context = BgpParsingContext::new(
        four_octet_as,
        HashMap::new(),
        HashMap::new(),
        true,
        true,
        true,
        true,
    );
    let mut reader = SliceReader::new(octets);
    let message =
        netgauze_bgp_pkt::BgpMessage::parse(&mut reader, &mut context).expect("netgauze reads it");
    assert!(message.len() > 0);
    message
}

fn mk_encoding(internal: bool, four_octet_as: bool, asn: u32) -> Encoding {
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    Encoding {
        asn: Asn::new(asn).unwrap(),
        internal,
        four_octet_as,
        limit: MAX_MESSAGE,
        graceful_shutdown: false,
        next_hops: PerFamily {
            v4: Some(NextHop::V4(Ipv4Addr::new(192, 0, 2, 1))),
            v6: Some(NextHop::V6(v6, None)),
        },
    }
}

fn mk_announcement<P: Nlri>(
    prefixes: &[P],
    attributes: &PathAttributes,
    encoding: &Encoding,
) -> Vec<u8> {
    let mut out = Vec::new();
    let block = attribute_block(attributes, encoding, P::FAMILY);
    let next_hop = encoding.next_hops[P::FAMILY].unwrap();
    let mut update = UpdateWriter::announce(&mut out, encoding.limit, P::FAMILY, next_hop, &block);
    for prefix in prefixes {
        assert!(update.push(*prefix));
    }
    update.finish();
    out
}

fn mk_withdrawal<P: Nlri>(prefixes: &[P], classic: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut update = UpdateWriter::withdraw(&mut out, MAX_MESSAGE, P::FAMILY, classic);
    for prefix in prefixes {
        assert!(update.push(*prefix));
    }
    update.finish();
    out
}

fn nets_v4() -> impl Strategy<Value = Vec<Ipv4Net>> {
    let net = (0x0A00_0000..0x0AFF_FFFF_u32, 8..=32_u8)
        .prop_map(|(bits, length)| Ipv4Net::new(bits.into(), length).unwrap().trunc());
    btree_set(net, 1..40).prop_map(|nets| nets.into_iter().collect())
}

fn nets_v6() -> impl Strategy<Value = Vec<Ipv6Net>> {
    let net = (any::<u128>(), 16..=128_u8).prop_map(|(bits, length)| {
        Ipv6Net::new((bits >> 16 | 0x2001 << 112).into(), length).unwrap().trunc()
    });
    btree_set(net, 1..20).prop_map(|nets| nets.into_iter().collect())
}

fn attributes() -> impl Strategy<Value = PathAttributes> {
    let large = any::<(u32, u32, u32)>().prop_map(|(global, local_1, local_2)| LargeCommunity {
        global,
        local_1,
        local_2,
    });
    (option::of(any::<u32>()), vec(any::<u32>().prop_map(Community), 0..100), vec(large, 0..30))
        .prop_map(|(local_pref, communities, large)| {
            PathAttributes::new(local_pref, communities, large).unwrap()
        })
}

/// Compares what bgpkit found with what was meant.
fn assert_attributes(found: &BgpUpdateMessage, meant: &PathAttributes, encoding: &Encoding) {
    let attributes = &found.attributes;
    assert_eq!(attributes.origin(), Origin::IGP);
    assert_eq!(attributes.multi_exit_discriminator(), Some(0));
    let local_pref = meant.local_pref().unwrap_or(100);
    assert_eq!(attributes.local_preference(), encoding.internal.then_some(local_pref));
    let path = attributes.effective_as_path().expect("a path");
    let path: Vec<u32> = path.iter_origins().map(Into::into).collect();
    let expected = (!encoding.internal).then(|| encoding.asn.number());
    assert_eq!(path, expected.into_iter().collect::<Vec<_>>());
    let (mut plain, mut large) = (0, Vec::new());
    for community in attributes.iter_communities() {
        match community {
            MetaCommunity::Plain(_) => plain += 1,
            MetaCommunity::Large(found) => {
                large.push((found.global_admin, found.local_data[0], found.local_data[1]));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(plain, meant.communities().len());
    let expected: Vec<_> =
        meant.large_communities().iter().map(|c| (c.global, c.local_1, c.local_2)).collect();
    assert_eq!(large, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn announcements_v4(
        nets in nets_v4(),
        meant in attributes(),
        internal: bool,
        four_octet_as: bool,
        asn in 1..u32::MAX,
    ) {
        let encoding = mk_encoding(internal, four_octet_as, asn);
        let octets = mk_announcement(&nets, &meant, &encoding);
        let found = bgpkit_update(&octets, four_octet_as);
        let prefixes: Vec<IpNet> = found.announced_prefixes.iter().map(|net| net.prefix).collect();
        prop_assert_eq!(prefixes, nets.iter().copied().map(IpNet::V4).collect::<Vec<_>>());
        prop_assert_eq!(
            found.attributes.next_hop(),
            encoding.next_hops.v4.map(NextHop::address)
        );
        assert_attributes(&found, &meant, &encoding);
        let netgauze_bgp_pkt::BgpMessage::Update(update) = netgauze(&octets, four_octet_as) else {
            panic!("no UPDATE")
        };
        prop_assert_eq!(update.nlri().len(), nets.len());
    }

    #[test]
    fn announcements_v6(nets in nets_v6(), meant in attributes(), internal: bool) {
        let encoding = mk_encoding(internal, true, 64512);
        let octets = mk_announcement(&nets, &meant, &encoding);
        let found = bgpkit_update(&octets, true);
        let reach = found.attributes.get_reachable_nlri().expect("MP_REACH_NLRI");
        let prefixes: Vec<IpNet> = reach.prefixes.iter().map(|net| net.prefix).collect();
        prop_assert_eq!(prefixes, nets.iter().copied().map(IpNet::V6).collect::<Vec<_>>());
        assert_attributes(&found, &meant, &encoding);
        netgauze(&octets, true);
    }

    #[test]
    fn withdrawals(v4 in nets_v4(), v6 in nets_v6()) {
        let found = bgpkit_update(&mk_withdrawal(&v4, true), true);
        let prefixes: Vec<IpNet> = found.withdrawn_prefixes.iter().map(|net| net.prefix).collect();
        prop_assert_eq!(prefixes, v4.iter().copied().map(IpNet::V4).collect::<Vec<_>>());
        for octets in [mk_withdrawal(&v6, false), mk_withdrawal(&v4, false)] {
            let found = bgpkit_update(&octets, true);
            let gone = found.attributes.get_unreachable_nlri().expect("MP_UNREACH_NLRI");
            prop_assert!(gone.prefixes.len() == v6.len() || gone.prefixes.len() == v4.len());
            netgauze(&octets, true);
        }
    }

    /// Where bgpkit finds no fault, it finds what we count; and neither loses the framing.
    #[test]
    fn received_updates_are_counted_alike(
        nets in nets_v4(),
        withdrawn in nets_v4(),
        more in vec((0..8_u8, any::<u8>(), vec(any::<u8>(), 0..12)), 0..4),
    ) {
        let encoding = mk_encoding(false, true, 64512);
        let mut block = attribute_block(
            &PathAttributes::new(None, [], []).unwrap(),
            &encoding,
            Family::V4,
        );
        for (kind, _, value) in &more {
            // MED, COMMUNITIES, EXTENDED, LARGE and such, mostly of wrong lengths and seen twice.
            let kind = [4, 8, 16, 32, 6, 7, 9, 10][usize::from(*kind)];
            let flags = if matches!(kind, 8 | 16 | 32 | 7) { 0xC0 } else { 0x80 };
            block.extend([flags, kind, u8::try_from(value.len()).unwrap()]);
            block.extend(value);
        }
        let octets_of = |nets: &[Ipv4Net]| {
            let mut out = Vec::new();
            for net in nets {
                net.write(&mut out);
            }
            out
        };
        let length = |field: &[u8]| u16::try_from(field.len()).unwrap().to_be_bytes();
        let (gone, here) = (octets_of(&withdrawn), octets_of(&nets));
        let body =
            [&length(&gone)[..], &gone, &length(&block), &block, &here].concat();
        let rx = Reception { internal: false, four_octet_as: true, families: Families::BOTH };
        let found = inspect(&body, rx).expect("no reset");
        let total = u16::try_from(19 + body.len()).unwrap().to_be_bytes();
        let message = [&[0xFF; 16][..], &total, &[2], &body].concat();
        if let BgpMessage::Update(update) = bgpkit(&message, true) {
            let both = update.announced_prefixes.len() + update.withdrawn_prefixes.len();
            prop_assert_eq!(
                usize::try_from(found.announced.v4 + found.withdrawn.v4).unwrap(),
                both
            );
            prop_assert!(update.attributes.has_attr(bgpkit_parser::models::AttrType::NEXT_HOP));
            if found.malformed.is_none() {
                prop_assert!(!update.attributes.has_validation_warnings());
            }
        }
    }
}

#[test]
fn end_of_rib_is_one_for_both() {
    for family in Family::BOTH {
        let mut out = Vec::new();
        end_of_rib(&mut out, family);
        let found = bgpkit_update(&out, true);
        assert!(found.announced_prefixes.is_empty() && found.withdrawn_prefixes.is_empty());
        let netgauze_bgp_pkt::BgpMessage::Update(update) = netgauze(&out, true) else {
            panic!("no UPDATE")
        };
        assert!(update.end_of_rib().is_some());
    }
}

#[test]
fn our_open() {
    let open = Open {
        asn: Asn::new(4_200_000_000).unwrap(),
        hold_time: HoldTime::DEFAULT,
        router_id: RouterId::new(Ipv4Addr::new(10, 0, 0, 1)).unwrap(),
        capabilities: Capabilities {
            multiprotocol: Some(Families::BOTH),
            route_refresh: true,
            enhanced_refresh: true,
            extended_next_hop: true,
            extended_message: true,
            graceful_restart: Some(RestartCapability {
                restarting: true,
                notification: true,
                restart_time: 120,
                families: PerFamily { v4: Some(true), v6: Some(true) },
            }),
            four_octet_as: Some(4_200_000_000),
            host_name: Some("node-1".to_owned()),
        },
    };
    let mut out = Vec::new();
    open.encode(&mut out);
    let BgpMessage::Open(found) = bgpkit(&out, true) else { panic!("no OPEN") };
    assert_eq!((u32::from(found.asn), found.hold_time), (23456, 90));
    let netgauze_bgp_pkt::BgpMessage::Open(found) = netgauze(&out, true) else { panic!("no OPEN") };
    assert_eq!(found.capabilities().len(), 9);
    assert_eq!(found.my_asn4(), 4_200_000_000);
}

/// Of MP_REACH_NLRI in both forms that RFC 8950 allows.
#[test]
fn ipv4_with_an_ipv6_next_hop() {
    let global = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    for next_hop in [NextHop::V6(global, None), NextHop::V6(global, Some(link_local))] {
        let mut encoding = mk_encoding(false, true, 64512);
        encoding.next_hops.v4 = Some(next_hop);
        let net: Ipv4Net = "198.51.100.7/32".parse().unwrap();
        let meant = PathAttributes::new(None, [], []).unwrap();
        let octets = mk_announcement(&[net], &meant, &encoding);
        let found = bgpkit_update(&octets, true);
        let reach = found.attributes.iter().find_map(|value| match value {
            AttributeValue::MpReachNlri(reach) => Some(reach),
            _ => None,
        });
        assert_eq!(reach.expect("MP_REACH_NLRI").prefixes[0].prefix, IpNet::V4(net));
        netgauze(&octets, true);
    }
}
