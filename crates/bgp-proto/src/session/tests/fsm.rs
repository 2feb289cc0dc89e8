//! Rows of bgp.md 7.1.

use rstest::rstest;

use super::*;

#[test]
fn bgp_7_1_row_f1_idle_start_dials_at_once() {
    let mut rig = Rig::new(mk_config());
    assert_eq!(rig.wake(), Duration::ZERO);
    assert_eq!((rig.state(), rig.drain()), (State::Connect, vec![Event::Connect]));
}

#[test]
fn bgp_7_1_row_f1_bfd_up_ends_the_wait() {
    let mut rig = Rig::in_state(mk_config(), State::Active);
    for _ in 0..8 {
        rig.wake();
        rig.session.handle_connect_failed(rig.now, "refused");
    }
    rig.session.handle_bfd(rig.now, Bfd::Up);
    assert!(rig.session.poll_timeout().unwrap() <= rig.now + secs(1));
}

#[test]
fn bgp_7_1_row_f2_idle_after_a_failure_waits() {
    let mut rig = Rig::in_state(mk_config(), State::OpenConfirm);
    rig.notification(&Notification::new(6, 5));
    assert_eq!(rig.state(), State::Idle);
    rig.session.handle_timeout(rig.now);
    assert_eq!(rig.state(), State::Idle);
    assert_eq!(rig.down().retry_at, rig.session.poll_timeout());
    rig.wake();
    assert_eq!(rig.state(), State::Connect);
}

#[test]
fn bgp_7_1_row_f3_connect_tcp_up_sends_open() {
    let mut rig = Rig::in_state(mk_config(), State::Connect);
    rig.session.handle_connected(rig.now, Link::new(LOCAL));
    assert_eq!(rig.state(), State::OpenSent);
    let sent = rig.sent();
    assert_eq!(sent.len(), 1);
    let open = Open::decode(&sent[0].1).unwrap();
    assert_eq!((open.asn, open.hold_time), (asn(64512), HoldTime::DEFAULT));
    assert_eq!(open.router_id.address().to_string(), "192.0.2.1");
    assert_eq!(rig.session.timers.get(Timer::Hold), Some(rig.now + secs(240)));
}

#[test]
fn bgp_7_1_row_f4_connect_tcp_fail_to_active() {
    let mut rig = Rig::in_state(mk_config(), State::Connect);
    rig.session.handle_connect_failed(rig.now, "no route to host");
    assert_eq!(rig.state(), State::Active);
    assert!(rig.session.poll_timeout().is_some());
    assert_eq!(rig.down().reason.to_string(), "cannot connect: no route to host");
    assert!(!rig.drain().contains(&Event::Close));
}

#[rstest]
#[case::connect(State::Connect, vec![Event::Close, Event::Connect])]
#[case::active(State::Active, vec![Event::Connect])]
fn bgp_7_1_row_f5_retry_timer_dials_again(#[case] state: State, #[case] expected: Vec<Event>) {
    let mut rig = Rig::in_state(mk_config(), state);
    rig.wake();
    assert_eq!(rig.state(), State::Connect);
    let mut events = rig.drain();
    events.retain(|event| !matches!(event, Event::Down(_)));
    assert_eq!(events, expected);
}

#[test]
fn bgp_7_1_row_f6_active_takes_a_connection_that_is_handed_in() {
    let mut rig = Rig::in_state(mk_config(), State::Active);
    rig.session.handle_connected(rig.now, Link::new(LOCAL));
    assert_eq!(rig.state(), State::OpenSent);
    assert_eq!(rig.sent_kinds(), [MessageKind::Open]);
}

#[test]
fn bgp_7_1_row_f7_valid_open_is_confirmed() {
    let mut rig = Rig::in_state(mk_config(), State::OpenSent);
    rig.open(&Open { hold_time: HoldTime::new(30).unwrap(), ..mk_peer_open() });
    assert_eq!(rig.state(), State::OpenConfirm);
    assert_eq!(rig.sent_kinds(), [MessageKind::Keepalive]);
    assert_eq!(rig.session.timers.get(Timer::Hold), Some(rig.now + secs(30)));
    let keepalive = rig.session.timers.get(Timer::Keepalive).unwrap();
    let due = rig.now + secs(10) * 3 / 4..=rig.now + secs(10);
    assert!(due.contains(&keepalive), "{keepalive:?}");
}

#[test]
fn bgp_7_1_row_f8_bad_open_is_answered() {
    let mut rig = Rig::in_state(mk_config(), State::OpenSent);
    rig.message(MessageKind::Open, &[3, 0, 1, 0, 90, 1, 1, 1, 1, 0]);
    assert_eq!(rig.state(), State::Idle);
    assert_eq!(rig.last_word(), (2, 1));
}

#[test]
fn bgp_7_1_row_f9_closed_in_open_sent_to_active() {
    let mut rig = Rig::in_state(mk_config(), State::OpenSent);
    rig.session.handle_closed(rig.now);
    assert_eq!(rig.state(), State::Active);
    assert_eq!(rig.down().reason, Reason::Closed);
}

#[rstest]
#[case::bgp_7_1_row_f10_open_sent(State::OpenSent)]
#[case::bgp_7_1_row_f15_open_confirm(State::OpenConfirm)]
#[case::bgp_7_1_row_f19_established(State::Established)]
fn hold_timer_expires(#[case] state: State) {
    let mut rig = Rig::in_state(mk_config(), state);
    rig.sent();
    while rig.state() == state {
        rig.wake();
        if rig.state() == state {
            assert_eq!(rig.sent_kinds(), [MessageKind::Keepalive]);
        }
    }
    assert_eq!(rig.state(), State::Idle);
    assert_eq!(rig.last_word(), (4, 0));
}

#[rstest]
#[case::bgp_7_1_row_f11_keepalive(State::OpenSent, MessageKind::Keepalive, &[], 1)]
#[case::bgp_7_1_row_f11_update(State::OpenSent, MessageKind::Update, &[0; 4], 1)]
#[case::bgp_7_1_row_f11_route_refresh(State::OpenSent, MessageKind::RouteRefresh, &[0, 1, 0, 1], 1)]
#[case::bgp_7_1_row_f14_update(State::OpenConfirm, MessageKind::Update, &[0; 4], 2)]
#[case::bgp_7_1_row_f14_open(State::OpenConfirm, MessageKind::Open, &[4, 0, 1, 0, 90, 1, 1, 1, 1, 0], 2)]
#[case::bgp_7_1_row_f14_route_refresh(State::OpenConfirm, MessageKind::RouteRefresh, &[0, 1, 0, 1], 2)]
#[case::bgp_7_1_row_f18_open(State::Established, MessageKind::Open, &[4, 0, 1, 0, 90, 1, 1, 1, 1, 0], 3)]
fn unexpected_message(
    #[case] state: State,
    #[case] kind: MessageKind,
    #[case] body: &[u8],
    #[case] subcode: u8,
) {
    let mut rig = Rig::in_state(mk_config(), state);
    rig.sent();
    rig.message(kind, body);
    assert_eq!(rig.state(), State::Idle);
    // RFC 6608 3: the type of the message as data.
    let expected = Notification::new(5, subcode).with_data(&[kind.code()]);
    assert_eq!(rig.down().reason, Reason::Sent(expected));
    assert_eq!(rig.last_word(), (5, subcode));
}

#[test]
fn bgp_7_1_row_f12_established_sends_table_and_its_end() {
    let mut rig = Rig::in_state(mk_config(), State::OpenConfirm);
    rig.session.set_wanted("198.51.100.7/32".parse().unwrap(), Some(mk_attributes()));
    rig.session.set_complete();
    rig.keepalive();
    assert_eq!(rig.state(), State::Established);
    let sent = rig.sent();
    assert_eq!(sent.len(), 2);
    assert!(sent[0].1.ends_with(&[32, 198, 51, 100, 7]));
    assert_eq!(sent[1], (MessageKind::Update, vec![0; 4]));
    let events = rig.drain();
    assert!(matches!(&events[..], [Event::Established(terms), Event::Settled] if !terms.internal));
}

#[rstest]
#[case::open_sent(State::OpenSent)]
#[case::bgp_7_1_row_f13_open_confirm(State::OpenConfirm)]
#[case::bgp_7_1_row_f20_established(State::Established)]
fn notification_ends_the_session(#[case] state: State) {
    let mut rig = Rig::in_state(mk_config(), state);
    rig.sent();
    let notification = Notification::cease_with_text(2, "maintenance");
    rig.notification(&notification);
    assert_eq!(rig.state(), State::Idle);
    assert_eq!(rig.sent(), []);
    assert_eq!(rig.down().was_established, state == State::Established);
    assert_eq!(rig.down().reason, Reason::Received(notification));
    assert!(rig.down().reason.to_string().ends_with("(6/2): \"maintenance\""));
}

#[test]
fn bgp_7_1_row_f13_a_version_error_is_no_failure() {
    for _ in 0..2 {
        let mut rig = Rig::in_state(mk_config(), State::OpenConfirm);
        rig.notification(&Notification::new(2, 1));
        assert!(!rig.session.damping.is_rejected());
    }
}

#[rstest]
#[case::bgp_7_1_row_f16_update(MessageKind::Update, &[0; 4])]
#[case::bgp_7_1_row_f17_keepalive(MessageKind::Keepalive, &[])]
#[case::bgp_7_1_row_f17_route_refresh(MessageKind::RouteRefresh, &[0, 2, 0, 1])]
fn a_message_restarts_the_hold_timer(#[case] kind: MessageKind, #[case] body: &[u8]) {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.now += secs(50);
    rig.message(kind, body);
    assert_eq!(rig.session.timers.get(Timer::Hold), Some(rig.now + secs(90)));
    assert_eq!(rig.state(), State::Established);
}

#[test]
fn bgp_7_1_row_f20_closed_in_established() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.session.handle_closed(rig.now);
    assert_eq!((rig.state(), &rig.down().reason), (State::Idle, &Reason::Closed));
    assert!(rig.down().was_established);
}

#[test]
fn bgp_7_1_row_f21_bfd_down() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.sent();
    // What was never up cannot fail, and a switch turned by people is no failure.
    rig.session.handle_bfd(rig.now, Bfd::Down);
    rig.session.handle_bfd(rig.now, Bfd::Up);
    rig.session.handle_bfd(rig.now, Bfd::AdminDown);
    rig.session.handle_bfd(rig.now, Bfd::Down);
    assert_eq!(rig.state(), State::Established);
    rig.session.handle_bfd(rig.now, Bfd::Up);
    rig.now += secs(60);
    rig.session.handle_bfd(rig.now, Bfd::Down);
    assert_eq!(rig.last_word(), (6, 10));
    assert!(rig.down().retry_at.unwrap() <= rig.now + secs(1));
}

#[rstest]
#[case::open_sent(State::OpenSent)]
#[case::open_confirm(State::OpenConfirm)]
#[case::established(State::Established)]
fn bgp_7_1_row_f22_config_removed(#[case] state: State) {
    let mut rig = Rig::in_state(mk_config(), state);
    rig.sent();
    rig.session.stop(rig.now, &Stop::Deconfigured);
    assert_eq!(rig.last_word(), (6, 3));
    assert_eq!(rig.session.poll_timeout(), None);
    rig.session.handle_timeout(rig.now + secs(9999));
    rig.session.reset(rig.now, &Reset::Configuration);
    assert_eq!((rig.state(), rig.down().retry_at), (State::Idle, None));
}

#[rstest]
#[case::idle(State::Idle, false)]
#[case::connect(State::Connect, true)]
#[case::active(State::Active, false)]
fn bgp_7_1_row_f22_config_removed_without_connection(#[case] state: State, #[case] close: bool) {
    let mut rig = Rig::in_state(mk_config(), state);
    rig.session.stop(rig.now, &Stop::Deconfigured);
    assert_eq!(rig.drain().contains(&Event::Close), close);
    assert_eq!((rig.state(), rig.session.poll_timeout()), (State::Idle, None));
    assert_eq!(rig.down().reason, Reason::GivenUp);
    // A dial that succeeds too late is closed.
    rig.session.handle_connected(rig.now, Link::new(LOCAL));
    assert_eq!(rig.drain(), [Event::Close]);
}

#[rstest]
#[case::local_asn(|config: &mut Config| config.local_asn = Some(asn(7)), true)]
#[case::my_asn(|config: &mut Config| config.my_asn = asn(7), true)]
#[case::peer_asn(|config: &mut Config| config.remote_asn = RemoteAsn::External, true)]
#[case::router_id(|config: &mut Config| config.router_id = RouterId::new(Ipv4Addr::LOCALHOST), true)]
#[case::families(|config: &mut Config| config.families = Families::BOTH, true)]
#[case::hold_time(|config: &mut Config| config.hold_time = HoldTime::new(9).unwrap(), false)]
#[case::keepalive_time(|config: &mut Config| config.keepalive_time = Some(secs(1)), false)]
#[case::connect_time(|config: &mut Config| config.connect_time = Some(secs(1)), false)]
#[case::graceful_restart(|config: &mut Config| config.graceful_restart = Some(GracefulRestart::default()), false)]
fn bgp_7_1_row_f23_bgp_2_12_what_resets(#[case] change: fn(&mut Config), #[case] resets: bool) {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.sent();
    let mut config = mk_config();
    change(&mut config);
    rig.session.reconfigure(rig.now, config);
    if resets {
        assert_eq!(rig.last_word(), (6, 6));
        // Without back-off.
        assert!(rig.wake() <= secs(1));
        assert_eq!(rig.state(), State::Connect);
    } else {
        assert_eq!((rig.state(), rig.sent()), (State::Established, vec![]));
    }
}

#[test]
fn a_shorter_connect_time_ends_a_longer_wait() {
    let mut rig = Rig::in_state(mk_config(), State::Active);
    for _ in 0..8 {
        rig.wake();
        rig.session.handle_connect_failed(rig.now, "refused");
    }
    rig.session.reconfigure(rig.now, Config { connect_time: Some(secs(2)), ..mk_config() });
    assert!(rig.wake() <= secs(2));
}

#[test]
fn bgp_7_1_row_f23_administrative_reset_with_text() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.sent();
    rig.session.reset(rig.now, &Reset::Administrative("asked for".into()));
    let expected = Notification::cease_with_text(4, "asked for");
    assert_eq!(rig.down().reason, Reason::Sent(expected));
    assert_eq!(rig.last_word(), (6, 4));
}

fn mk_graceful(notification: bool) -> (Config, Open) {
    let restart = GracefulRestart { notification, ..GracefulRestart::default() };
    let mut peer = mk_peer_open();
    peer.capabilities.graceful_restart =
        Some(crate::wire::RestartCapability { notification, ..Default::default() });
    (Config { graceful_restart: Some(restart), ..mk_config() }, peer)
}

#[test]
fn bgp_7_1_row_f24_planned_restart_without_a_word() {
    let (config, peer) = mk_graceful(false);
    let mut rig = Rig::established(config, &peer);
    rig.sent();
    rig.session.stop(rig.now, &Stop::Restart("rollout".into()));
    assert_eq!(rig.sent(), []);
    assert!(rig.drain().contains(&Event::Close));
    assert_eq!(rig.down().reason, Reason::PlannedRestart);
}

#[rstest]
#[case::peer_without_it(true, false)]
#[case::flag_off(false, true)]
fn bgp_7_1_row_f24_planned_restart_where_nothing_is_kept(#[case] ours: bool, #[case] theirs: bool) {
    let (mut config, mut peer) = mk_graceful(false);
    config.graceful_restart = config.graceful_restart.filter(|_| ours);
    peer.capabilities.graceful_restart = peer.capabilities.graceful_restart.filter(|_| theirs);
    let mut rig = Rig::established(config, &peer);
    rig.sent();
    rig.session.stop(rig.now, &Stop::Restart("rollout".into()));
    assert_eq!(rig.last_word(), (6, 2));
}

#[rstest]
#[case::soft(false, &[6, 2, 5, b'd', b'r', b'a', b'i', b'n'])]
#[case::rfc_8538_hard(true, &[6, 9, 6, 2, 5, b'd', b'r', b'a', b'i', b'n'])]
fn bgp_7_1_row_f25_final_stop_with_text(#[case] notification: bool, #[case] expected: &[u8]) {
    let (config, peer) = mk_graceful(notification);
    let mut rig = Rig::established(config, &peer);
    rig.sent();
    rig.session.stop(rig.now, &Stop::Shutdown("drain".into()));
    assert_eq!(rig.sent(), [(MessageKind::Notification, expected.to_vec())]);
}

#[test]
fn rfc_9384_bfd_down_is_hard_where_a_notification_keeps_routes() {
    let (config, peer) = mk_graceful(true);
    let mut rig = Rig::established(config, &peer);
    rig.sent();
    rig.session.handle_bfd(rig.now, Bfd::Up);
    rig.session.handle_bfd(rig.now, Bfd::Down);
    assert_eq!(rig.sent(), [(MessageKind::Notification, vec![6, 9, 6, 10])]);
}

#[test]
fn bgp_7_1_row_f26_address_vanishes() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.sent();
    rig.session.reset(rig.now, &Reset::AddressLost);
    assert_eq!(rig.last_word(), (6, 6));
    for _ in 0..3 {
        rig.wake();
        rig.session.handle_connect_failed(rig.now, "cannot assign requested address");
    }
    assert_eq!(rig.state(), State::Active);
}

#[test]
fn bgp_7_1_row_f27_a_second_connection_changes_nothing() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.sent();
    rig.drain();
    rig.session.handle_connected(rig.now, Link::new(LOCAL));
    assert_eq!((rig.state(), rig.drain(), rig.sent()), (State::Established, vec![], vec![]));
}

#[test]
fn nothing_is_read_behind_the_message_that_ended_it() {
    let mut rig = Rig::in_state(mk_config(), State::OpenSent);
    let mut out = Vec::new();
    Notification::new(6, 5).encode(&mut out);
    mk_peer_open().encode(&mut out);
    out.extend_from_slice(&[0; 40]);
    rig.session.handle_bytes(rig.now, &out);
    assert_eq!(rig.down().reason, Reason::Received(Notification::new(6, 5)));
    assert_eq!(rig.sent(), []);
    rig.session.handle_bytes(rig.now, &out);
    rig.session.handle_closed(rig.now);
    assert_eq!(rig.down().reason, Reason::Received(Notification::new(6, 5)));
}
