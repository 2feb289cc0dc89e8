//! What the peer is told in a session, and what it tells us.

use super::*;
use crate::Community;
use crate::wire::{Malformed, Outcome};

fn prefix(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn settled(rig: &mut Rig) -> Vec<(MessageKind, Vec<u8>)> {
    let sent = rig.sent();
    assert!(rig.drain().contains(&Event::Settled));
    sent
}

#[test]
fn nothing_is_said_twice() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.session.set_wanted(prefix("10.0.0.1/32"), Some(mk_attributes()));
    assert_eq!(settled(&mut rig).len(), 1);
    assert!(rig.session.is_announced(prefix("10.0.0.1/32")));
    rig.session.set_wanted(prefix("10.0.0.1/32"), Some(mk_attributes()));
    rig.session.replace_wanted([(prefix("10.0.0.1/32"), mk_attributes())]);
    assert_eq!(settled(&mut rig), []);
    rig.sent();
    assert_eq!(rig.drain(), []);
}

#[test]
fn bgp_2_13_no_end_of_rib_on_a_half_built_table() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.session.set_wanted(prefix("10.0.0.1/32"), Some(mk_attributes()));
    assert_eq!(rig.sent().len(), 1);
    rig.session.set_complete();
    assert_eq!(settled(&mut rig), [(MessageKind::Update, vec![0; 4])]);
}

#[test]
fn rfc_2918_route_refresh_between_marks() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.session.set_wanted(prefix("10.0.0.1/32"), Some(mk_attributes()));
    rig.session.set_complete();
    let table = settled(&mut rig);
    for _ in 0..1000 {
        rig.message(MessageKind::RouteRefresh, &[0, 1, 0, 1]);
    }
    // RFC 7313 4.1: BoRR, routes, EoRR; once, however often it was asked.
    let mark = |subtype: u8| (MessageKind::RouteRefresh, vec![0, 1, subtype, 1]);
    assert_eq!(settled(&mut rig), [mark(1), table[0].clone(), mark(2)]);
    // A family that is not spoken is not answered.
    rig.message(MessageKind::RouteRefresh, &[0, 2, 0, 1]);
    assert_eq!(rig.sent(), []);
}

#[test]
fn rfc_2918_route_refresh_without_marks_for_an_old_peer() {
    let mut peer = mk_peer_open();
    peer.capabilities.enhanced_refresh = false;
    let mut rig = Rig::established(mk_config(), &peer);
    rig.session.set_wanted(prefix("10.0.0.1/32"), Some(mk_attributes()));
    rig.session.set_complete();
    let mut table = settled(&mut rig);
    table.retain(|(kind, body)| *kind == MessageKind::Update && body.len() > 4);
    rig.message(MessageKind::RouteRefresh, &[0, 1, 0, 1]);
    assert_eq!(settled(&mut rig), table);
}

#[test]
fn a_withdrawal_during_a_refresh_is_told() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.session.set_wanted(prefix("10.0.0.1/32"), Some(mk_attributes()));
    rig.session.set_graceful_shutdown(true);
    settled(&mut rig);
    rig.session.set_graceful_shutdown(false);
    rig.session.set_wanted(prefix("10.0.0.1/32"), None);
    let withdrawn = vec![0, 5, 32, 10, 0, 0, 1, 0, 0];
    assert_eq!(settled(&mut rig), [(MessageKind::Update, withdrawn)]);
}

#[test]
fn rfc_8326_drain_community_then_nothing() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.session.set_wanted(prefix("10.0.0.1/32"), Some(mk_attributes()));
    settled(&mut rig);
    rig.session.set_graceful_shutdown(true);
    let sent = settled(&mut rig);
    let community = Community::GRACEFUL_SHUTDOWN.0.to_be_bytes();
    assert!(sent[0].1.windows(4).any(|window| window == community));
    rig.session.set_graceful_shutdown(true);
    assert_eq!(rig.sent(), []);
    rig.session.replace_wanted([]);
    assert_eq!(settled(&mut rig).len(), 1);
    assert_eq!(rig.session.prefixes(Family::V4), Prefixes::default());
}

#[test]
fn a_new_session_begins_with_the_whole_table() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.session.set_wanted(prefix("10.0.0.1/32"), Some(mk_attributes()));
    rig.session.set_wanted(prefix("10.0.0.2/32"), Some(mk_attributes()));
    rig.session.set_complete();
    let table = settled(&mut rig);
    rig.session.handle_closed(rig.now);
    assert!(!rig.session.is_announced(prefix("10.0.0.1/32")));
    assert_eq!(rig.session.prefixes(Family::V4), Prefixes { announced: 0, wanted: 2 });
    rig.wake();
    rig.session.handle_connected(rig.now, Link::new(LOCAL));
    rig.open(&mk_peer_open());
    rig.keepalive();
    assert_eq!(settled(&mut rig)[2..], table);
}

#[test]
fn a_family_without_a_next_hop_is_not_announced() {
    let config = Config { families: Families::BOTH, ..mk_config() };
    let mut peer = mk_peer_open();
    peer.capabilities.multiprotocol = Some(Families::BOTH);
    let mut rig = Rig::established(config, &peer);
    rig.session.set_wanted(prefix("2001:db8::1/128"), Some(mk_attributes()));
    settled(&mut rig);
    assert_eq!(rig.session.negotiated().unwrap().next_hops.v6, None);
    assert_eq!(rig.session.prefixes(Family::V6), Prefixes { announced: 0, wanted: 1 });
}

#[test]
fn a_full_table_of_the_peer_leaves_only_counts() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    let attributes = [0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xFC, 1, 0x40, 3, 4, 192, 0, 2, 254];
    let mut body = vec![0, 0, 0, u8::try_from(attributes.len()).unwrap()];
    body.extend_from_slice(&attributes);
    body.extend((0..1000_u32).flat_map(|n| {
        let [_, a, b, c] = n.to_be_bytes();
        [24, a, b, c]
    }));
    for _ in 0..500 {
        rig.message(MessageKind::Update, &body);
    }
    assert_eq!(rig.session.stats().prefixes_announced.v4, 500_000);
    assert_eq!(rig.session.stats().received.update, 500);
    let malformed = Malformed { attribute: 4, outcome: Outcome::Withdraw };
    rig.message(MessageKind::Update, &[0, 0, 0, 3, 0x80, 4, 0]);
    assert_eq!(rig.session.stats().last_malformed, Some(malformed));
    assert_eq!(rig.state(), State::Established);
}

#[test]
fn bgp_7_3_row_3_an_update_that_cannot_be_read() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.sent();
    rig.message(MessageKind::Update, &[0, 9, 0, 0]);
    assert_eq!(rig.last_word(), (3, 1));
}

#[test]
fn bgp_7_3_row_7_a_refresh_that_cannot_be_read() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.sent();
    rig.message(MessageKind::RouteRefresh, &[0, 1, 0]);
    assert_eq!(rig.last_word(), (7, 1));
}

#[test]
fn counters_count() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.session.set_complete();
    rig.sent();
    rig.message(MessageKind::Update, &[0; 4]);
    rig.session.reset(rig.now, &Reset::Configuration);
    rig.sent();
    let stats = rig.session.stats();
    assert_eq!((stats.attempts, stats.established, stats.dropped), (1, 1, 1));
    let sent = stats.sent;
    assert_eq!((sent.open, sent.keepalive, sent.update, sent.notification), (1, 1, 1, 1));
    let received = stats.received;
    assert_eq!((received.open, received.keepalive, received.update), (1, 1, 1));
    assert_eq!((sent.total(), received.total()), (4, 3));
}
