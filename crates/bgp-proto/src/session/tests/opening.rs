//! What is offered, what is accepted, and what the two amount to.

use std::net::Ipv6Addr;

use rstest::rstest;

use super::*;
use crate::NextHop;
use crate::wire::RestartCapability;

const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The OPEN that is sent.
fn offered(config: Config, link: Link) -> Open {
    let mut rig = Rig::in_state(config, State::Connect);
    rig.session.handle_connected(rig.now, link);
    Open::decode(&rig.sent()[0].1).unwrap()
}

/// What an OPEN of the peer leads to.
fn answer(config: Config, peer: &Open) -> Result<Negotiated, (u8, u8)> {
    let mut rig = Rig::in_state(config, State::OpenSent);
    rig.open(peer);
    rig.sent_kinds();
    rig.keepalive();
    rig.session.negotiated().cloned().ok_or_else(|| match &rig.down().reason {
        Reason::Sent(notification) => (notification.code(), notification.subcode()),
        reason => panic!("{reason}"),
    })
}

fn mk_peer(number: u32) -> Open {
    let mut open = mk_peer_open();
    open.asn = asn(number);
    open.capabilities.four_octet_as = Some(number);
    open
}

#[test]
fn bgp_2_8_capabilities_offered() {
    let config = Config { families: Families::BOTH, extended_next_hop: true, ..mk_config() };
    let config = Config { extended_messages: true, ..config };
    let expected = Capabilities {
        multiprotocol: Some(Families::BOTH),
        route_refresh: true,
        enhanced_refresh: true,
        extended_next_hop: true,
        extended_message: true,
        graceful_restart: None,
        four_octet_as: Some(64512),
        host_name: Some("node-1".to_owned()),
    };
    assert_eq!(offered(config, Link::new(LOCAL)).capabilities, expected);
}

#[rstest]
#[case::configured(RouterId::new(Ipv4Addr::new(9, 9, 9, 9)), Link::new(LOCAL), "9.9.9.9")]
#[case::local_address(None, Link::new(LOCAL), "192.0.2.1")]
#[case::interface_of_the_ipv6_address(None, Link { ipv4: Some(V4), ..Link::new(IpAddr::V6(GLOBAL)) }, "192.0.2.1")]
#[case::hash_of_the_node_name(None, Link::new(IpAddr::V6(GLOBAL)), "")]
fn bgp_2_7_router_id(#[case] router_id: Option<RouterId>, #[case] link: Link, #[case] id: &str) {
    let found = offered(Config { router_id, ..mk_config() }, link).router_id;
    let expected =
        id.parse().ok().and_then(RouterId::new).unwrap_or(RouterId::of_node_name("node-1"));
    assert_eq!(found, expected);
}

#[rstest]
#[case::numeric(RemoteAsn::Exactly(asn(64513)), None, 64513, Ok(false))]
#[case::bgp_7_2_row_o7_numeric_wrong(RemoteAsn::Exactly(asn(64513)), None, 64514, Err((2, 2)))]
#[case::numeric_internal(RemoteAsn::Exactly(asn(64512)), None, 64512, Ok(true))]
#[case::dynamic_internal(RemoteAsn::Internal, None, 64512, Ok(true))]
#[case::bgp_7_2_row_o7_internal_wrong(RemoteAsn::Internal, None, 64513, Err((2, 2)))]
#[case::dynamic_external(RemoteAsn::External, None, 4_200_000_000, Ok(false))]
#[case::bgp_7_2_row_o7_external_wrong(RemoteAsn::External, None, 64512, Err((2, 2)))]
#[case::bgp_2_9_local_asn_external_is_not_my_asn(RemoteAsn::External, Some(7), 64512, Ok(false))]
#[case::bgp_2_9_local_asn_external_own(RemoteAsn::External, Some(7), 7, Err((2, 2)))]
#[case::bgp_2_9_local_asn_internal(RemoteAsn::Internal, Some(7), 7, Ok(true))]
fn peer_as(
    #[case] remote_asn: RemoteAsn,
    #[case] local_asn: Option<u32>,
    #[case] peer: u32,
    #[case] internal: Result<bool, (u8, u8)>,
) {
    let config = Config { remote_asn, local_asn: local_asn.map(asn), ..mk_config() };
    assert_eq!(answer(config, &mk_peer(peer)).map(|terms| terms.internal), internal);
}

#[rstest]
#[case::number(RemoteAsn::Exactly(asn(64513)), 64999, "expected AS 64513, the peer is AS 64999")]
#[case::internal(RemoteAsn::Internal, 64999, "expected our own AS 64512, the peer is AS 64999")]
#[case::external(
    RemoteAsn::External,
    64512,
    "expected another AS than our own 64512, the peer is AS 64512"
)]
fn a_wrong_as_is_told_by_both_numbers(
    #[case] remote_asn: RemoteAsn,
    #[case] peer: u32,
    #[case] why: &str,
) {
    let mut rig = Rig::in_state(Config { remote_asn, ..mk_config() }, State::OpenSent);
    rig.open(&mk_peer(peer));
    let told = format!("session ended: OPEN Message Error, Bad Peer AS (2/2): {why}");
    assert_eq!(rig.down().reason.to_string(), told);
    // It stays here: the peer gets the codes alone.
    assert_eq!(rig.sent(), [(MessageKind::Notification, vec![2, 2])]);
}

#[rstest]
#[case::bgp_7_2_row_o5_internal(64512, Err((2, 3)))]
#[case::rfc_6286_external(64513, Ok(()))]
fn equal_bgp_identifiers(#[case] peer: u32, #[case] expected: Result<(), (u8, u8)>) {
    let mut open = mk_peer(peer);
    open.router_id = RouterId::new(V4).unwrap();
    let config = Config { remote_asn: RemoteAsn::Exactly(asn(peer)), ..mk_config() };
    assert_eq!(answer(config, &open).map(|_| ()), expected);
}

#[test]
fn bgp_7_2_row_o9_no_common_family() {
    let mut rig = Rig::in_state(mk_config(), State::OpenSent);
    let mut peer = mk_peer_open();
    peer.capabilities.multiprotocol = Some(Families::V6);
    rig.open(&peer);
    let expected = Notification::new(2, 7).with_data(&[1, 4, 0, 1, 0, 1]);
    assert_eq!(rig.down().reason, Reason::Sent(expected));
}

#[test]
fn bgp_2_8_families_are_the_intersection() {
    let config = Config { families: Families::BOTH, ..mk_config() };
    assert_eq!(answer(config, &mk_peer_open()).unwrap().families, Families::V4);
}

#[test]
fn what_only_one_side_offers_is_not_agreed() {
    let mut peer = mk_peer_open();
    peer.capabilities.extended_message = true;
    peer.capabilities.extended_next_hop = true;
    peer.capabilities.graceful_restart = Some(RestartCapability::default());
    peer.capabilities.four_octet_as = None;
    let terms = answer(mk_config(), &peer).unwrap();
    assert_eq!((terms.max_message, terms.extended_next_hop), (4096, false));
    assert_eq!((terms.graceful_restart, terms.four_octet_as), (false, false));
}

#[rstest]
#[case::ours_lower(90, 180, None, 90, Some(30))]
#[case::theirs_lower_rounded(90, 10, None, 10, Some(3))]
#[case::ours_off(0, 90, None, 0, None)]
#[case::n7_theirs_off_quirk_q4(90, 0, None, 0, None)]
#[case::keepalive_configured(90, 90, Some(5), 90, Some(5))]
#[case::keepalive_configured_too_long(90, 9, Some(60), 9, Some(3))]
#[case::keepalive_of_zero_is_unset(90, 90, Some(0), 90, Some(30))]
fn bgp_2_5_timers_agreed(
    #[case] ours: u16,
    #[case] theirs: u16,
    #[case] keepalive: Option<u64>,
    #[case] hold: u16,
    #[case] expected: Option<u64>,
) {
    let config = Config {
        hold_time: HoldTime::new(ours).unwrap(),
        keepalive_time: keepalive.map(secs),
        ..mk_config()
    };
    let peer = Open { hold_time: HoldTime::new(theirs).unwrap(), ..mk_peer_open() };
    let terms = answer(config, &peer).unwrap();
    assert_eq!(terms.hold_time.seconds(), hold);
    assert_eq!(terms.keepalive_time.map(|time| time.as_secs()), expected);
}

fn v6(address: Ipv6Addr) -> Link {
    Link::new(IpAddr::V6(address))
}

#[rstest]
#[case::v4(Link::new(LOCAL), false, Some(NextHop::V4(V4)), None)]
#[case::v4_with_global(Link { ipv6: Some(GLOBAL), ..Link::new(LOCAL) }, false, Some(NextHop::V4(V4)), Some(NextHop::V6(GLOBAL, None)))]
#[case::rfc_2545_3_v6_global_alone(v6(GLOBAL), false, None, Some(NextHop::V6(GLOBAL, None)))]
#[case::v6_global_with_v4(Link { ipv4: Some(V4), ..v6(GLOBAL) }, false, Some(NextHop::V4(V4)), Some(NextHop::V6(GLOBAL, None)))]
#[case::rfc_8950(Link { ipv4: Some(V4), ..v6(GLOBAL) }, true, Some(NextHop::V6(GLOBAL, None)), Some(NextHop::V6(GLOBAL, None)))]
#[case::link_local(
    v6(LINK_LOCAL),
    true,
    Some(NextHop::V6(LINK_LOCAL, None)),
    Some(NextHop::V6(LINK_LOCAL, None))
)]
#[case::link_local_with_global(Link { ipv6: Some(GLOBAL), ..v6(LINK_LOCAL) }, false, None, Some(NextHop::V6(GLOBAL, Some(LINK_LOCAL))))]
fn bgp_2_9_next_hops(
    #[case] link: Link,
    #[case] extended: bool,
    #[case] v4: Option<NextHop>,
    #[case] v6: Option<NextHop>,
) {
    assert_eq!(link.next_hops(Families::BOTH, extended), PerFamily { v4, v6 });
    assert_eq!(link.next_hops(Families::NONE, extended), PerFamily::default());
}

#[test]
fn quirk_q12_unsupported_capability_is_tried_without_optional_ones() {
    let mut rig = Rig::in_state(mk_config(), State::OpenSent);
    rig.notification(&Notification::new(2, 7));
    assert!(rig.wake() <= secs(1));
    rig.session.handle_connected(rig.now, Link::new(LOCAL));
    let open = Open::decode(&rig.sent()[0].1).unwrap();
    let essential = Capabilities {
        multiprotocol: Some(Families::V4),
        four_octet_as: Some(64512),
        ..Capabilities::default()
    };
    assert_eq!(open.capabilities, essential);
    // Refused again: from the start, and damped.
    rig.notification(&Notification::new(2, 7));
    assert!(rig.session.damping.is_rejected());
    rig.wake();
    rig.session.handle_connected(rig.now, Link::new(LOCAL));
    assert!(Open::decode(&rig.sent()[0].1).unwrap().capabilities.route_refresh);
}

#[rstest]
#[case::none_at_all(mk_config(), Capabilities::default())]
#[case::an_as_that_needs_one(
    Config { my_asn: asn(70000), ..mk_config() },
    Capabilities { multiprotocol: Some(Families::V4), four_octet_as: Some(70000), ..Capabilities::default() }
)]
#[case::a_family_that_needs_one(
    Config { families: Families::V6, ..mk_config() },
    Capabilities { multiprotocol: Some(Families::V6), four_octet_as: Some(64512), ..Capabilities::default() }
)]
fn unsupported_parameter_is_tried_with_less(
    #[case] config: Config,
    #[case] expected: Capabilities,
) {
    let mut rig = Rig::in_state(config, State::OpenSent);
    rig.notification(&Notification::new(2, 4));
    rig.wake();
    rig.session.handle_connected(rig.now, Link::new(LOCAL));
    assert_eq!(Open::decode(&rig.sent()[0].1).unwrap().capabilities, expected);
}

#[test]
fn bgp_2_13_restarted_until_the_table_is_told() {
    let restart = GracefulRestart { restarted: true, ..GracefulRestart::default() };
    let config = Config { graceful_restart: Some(restart), ..mk_config() };
    let flags = |rig: &mut Rig| {
        rig.session.handle_connected(rig.now, Link::new(LOCAL));
        let restart = Open::decode(&rig.sent()[0].1).unwrap().capabilities.graceful_restart;
        let restart = restart.unwrap();
        assert_eq!(restart.families, PerFamily { v4: Some(true), v6: None });
        assert_eq!((restart.restart_time, restart.notification), (120, false));
        restart.restarting
    };
    let mut rig = Rig::in_state(config.clone(), State::Connect);
    assert!(flags(&mut rig));
    let mut peer = mk_peer_open();
    peer.capabilities.graceful_restart = Some(RestartCapability::default());
    rig.open(&peer);
    rig.keepalive();
    // Up, but the table is not known: a lost connection is still part of the restart.
    rig.sent();
    rig.session.handle_closed(rig.now);
    rig.wake();
    assert!(flags(&mut rig));
    rig.open(&peer);
    rig.keepalive();
    rig.session.set_complete();
    rig.sent();
    rig.session.handle_closed(rig.now);
    rig.wake();
    assert!(!flags(&mut rig));

    // And after the restart time nobody keeps anything.
    let mut rig = Rig::in_state(config, State::Connect);
    rig.now += secs(120);
    assert!(!flags(&mut rig));
}
