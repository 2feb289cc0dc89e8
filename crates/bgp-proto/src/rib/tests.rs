//! Differences, their order and their packing.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::wire::{Frame, Framer, MAX_EXTENDED_MESSAGE, MAX_MESSAGE, MessageKind, NextHop};
use crate::{Asn, Community, PerFamily};

fn mk_encoding() -> Encoding {
    Encoding {
        asn: Asn::new(64512).unwrap(),
        internal: false,
        four_octet_as: true,
        limit: MAX_MESSAGE,
        graceful_shutdown: false,
        next_hops: PerFamily {
            v4: Some(NextHop::V4(Ipv4Addr::new(192, 0, 2, 1))),
            v6: Some(NextHop::V6(Ipv6Addr::LOCALHOST, None)),
        },
    }
}

fn mk_attributes(community: u32) -> Arc<PathAttributes> {
    Arc::new(PathAttributes::new(None, [Community(community)], []).unwrap())
}

fn host(n: u32) -> IpNet {
    IpNet::new(Ipv4Addr::from(n).into(), 32).unwrap()
}

/// Everything that is to be sent, as bodies of UPDATEs.
fn flush(rib: &mut Rib, encoding: &Encoding) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    while !rib.fill(&mut out, usize::MAX, encoding, Families::BOTH, true).done {}
    let mut framer = Framer::default();
    let mut input = out.as_slice();
    let mut bodies = Vec::new();
    while let Some(Frame { kind, body }) = framer.next(&mut input, encoding.limit).unwrap() {
        assert_eq!(kind, MessageKind::Update);
        bodies.push(body.to_vec());
    }
    bodies
}

#[test]
fn n15_prefixes_are_packed_by_attributes() {
    let mut rib = Rib::default();
    for n in 0..100 {
        rib.set_wanted(host(n), Some(mk_attributes(n % 3)));
    }
    let bodies = flush(&mut rib, &mk_encoding());
    assert_eq!(bodies.len(), 3);
    for (community, body) in (0_u8..).zip(&bodies) {
        assert!(body.windows(7).any(|window| window == [0xC0, 8, 4, 0, 0, 0, community]));
    }
}

#[test]
fn the_order_does_not_depend_on_how_it_came_to_be() {
    let mut forward = Rib::default();
    let mut backward = Rib::default();
    for n in 0..500 {
        forward.set_wanted(host(n), Some(mk_attributes(n % 7)));
        backward.set_wanted(host(499 - n), Some(mk_attributes(1)));
    }
    backward.replace_wanted((0..500).rev().map(|n| (host(n), mk_attributes(n % 7))));
    let encoding = mk_encoding();
    assert_eq!(flush(&mut forward, &encoding), flush(&mut backward, &encoding));
}

#[test]
fn n16_messages_are_full_and_never_too_long() {
    for limit in [MAX_MESSAGE, MAX_EXTENDED_MESSAGE] {
        let encoding = Encoding { limit, ..mk_encoding() };
        let mut rib = Rib::default();
        for n in 0..20_000 {
            rib.set_wanted(host(n), Some(mk_attributes(1)));
        }
        let least = 20_000 * 5 / limit;
        let announced = flush(&mut rib, &encoding);
        assert!((least..=least + 1).contains(&(announced.len() - 1)), "{}", announced.len());
        rib.replace_wanted([]);
        let withdrawn = flush(&mut rib, &encoding);
        assert!((least..=least + 1).contains(&(withdrawn.len() - 1)), "{}", withdrawn.len());
        assert_eq!(rib.announced(Family::V4), 0);
    }
}

#[test]
fn withdrawals_first_in_both_families() {
    let mut rib = Rib::default();
    let v6: IpNet = "2001:db8::1/128".parse().unwrap();
    rib.set_wanted(host(1), Some(mk_attributes(1)));
    rib.set_wanted(v6, Some(mk_attributes(1)));
    flush(&mut rib, &mk_encoding());
    rib.set_wanted(host(2), Some(mk_attributes(1)));
    rib.set_wanted(host(1), None);
    rib.set_wanted(v6, None);
    let bodies = flush(&mut rib, &mk_encoding());
    assert_eq!(bodies.len(), 3);
    assert_eq!(bodies[0], [0, 5, 32, 0, 0, 0, 1, 0, 0]);
    assert_eq!(bodies[1][4..7], [0x90, 15, 0]);
    assert!(bodies[2].ends_with(&[32, 0, 0, 0, 2]));
}

#[test]
fn what_is_taken_back_in_time_is_never_said() {
    let mut rib = Rib::default();
    rib.set_wanted(host(1), Some(mk_attributes(1)));
    rib.set_wanted(host(1), Some(mk_attributes(2)));
    rib.set_wanted(host(1), None);
    assert!(flush(&mut rib, &mk_encoding()).is_empty());
    rib.set_wanted(host(1), Some(mk_attributes(1)));
    flush(&mut rib, &mk_encoding());
    rib.set_wanted(host(1), Some(mk_attributes(2)));
    rib.set_wanted(host(1), None);
    rib.set_wanted(host(1), Some(mk_attributes(1)));
    assert!(flush(&mut rib, &mk_encoding()).is_empty());
    assert!(rib.is_announced(host(1)));
}

#[test]
fn bits_behind_the_prefix_do_not_count() {
    let mut rib = Rib::default();
    rib.set_wanted("10.1.2.3/8".parse().unwrap(), Some(mk_attributes(1)));
    rib.set_wanted("10.0.0.0/8".parse().unwrap(), None);
    assert!(flush(&mut rib, &mk_encoding()).is_empty());
}

#[test]
fn equal_attributes_are_kept_once_and_unused_ones_dropped() {
    let mut rib = Rib::default();
    for n in 0..10_000 {
        rib.set_wanted(host(n % 4), Some(mk_attributes(n / 4)));
    }
    assert!(rib.attributes.known.len() < 64, "{}", rib.attributes.known.len());
}

#[test]
fn the_budget_bounds_what_is_handed_out() {
    let mut rib = Rib::default();
    for n in 0..10_000 {
        rib.set_wanted(host(n), Some(mk_attributes(n % 50)));
    }
    let mut out = Vec::new();
    let filled = rib.fill(&mut out, 1, &mk_encoding(), Families::BOTH, true);
    assert_eq!((filled.updates, filled.done), (1, false));
    assert!(out.len() <= MAX_MESSAGE);
}
