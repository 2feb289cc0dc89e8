//! Keepalives, a peer that does not read, and the waits between attempts.

use super::*;

#[test]
fn keepalives_come_with_jitter_and_count_from_the_last_message() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.session.set_complete();
    rig.sent();
    let mut waits = Vec::new();
    for _ in 0..20 {
        let waited = rig.wake();
        assert_eq!(rig.sent_kinds(), [MessageKind::Keepalive]);
        assert!((secs(30) * 3 / 4..=secs(30)).contains(&waited), "{waited:?}");
        waits.push(waited);
        rig.keepalive();
    }
    waits.sort();
    waits.dedup();
    assert!(waits.len() > 5, "{waits:?}");

    rig.now += secs(20);
    rig.session.set_wanted("10.0.0.0/32".parse().unwrap(), Some(mk_attributes()));
    assert_eq!(rig.sent_kinds(), [MessageKind::Update]);
    assert!(rig.session.timers.get(Timer::Keepalive).unwrap() >= rig.now + secs(30) * 3 / 4);
}

#[test]
fn without_a_hold_time_there_are_no_keepalives() {
    let config = Config { hold_time: HoldTime::OFF, ..mk_config() };
    let mut rig = Rig::in_state(config, State::Established);
    rig.session.set_complete();
    assert_eq!(rig.sent_kinds(), [MessageKind::Update]);
    assert_eq!(rig.session.poll_timeout(), None);
}

#[test]
fn bgp_7_1_row_f29_rfc_9687_a_peer_that_does_not_read() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.sent();
    for n in 0..60_000_u32 {
        let prefix = IpNet::new(Ipv4Addr::from(n).into(), 32).unwrap();
        rig.session.set_wanted(prefix, Some(mk_attributes()));
    }
    let mut out = Vec::new();
    assert!(rig.session.poll_transmit(rig.now, &mut out));
    assert!(out.len() < BATCH + 4096, "bounded: {}", out.len());
    // It is never written. The peer keeps talking.
    let since = rig.now;
    while rig.state() == State::Established {
        rig.now += secs(20);
        rig.keepalive();
        rig.session.handle_timeout(rig.now);
        assert!(rig.now < since + secs(600));
    }
    assert!(rig.now >= since + SEND_HOLD);
    assert_eq!(rig.last_word(), (8, 0));
}

#[test]
fn rfc_9687_a_slow_peer_is_no_blocked_one() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    rig.sent();
    for n in 0..60_000_u32 {
        let prefix = IpNet::new(Ipv4Addr::from(n).into(), 32).unwrap();
        rig.session.set_wanted(prefix, Some(mk_attributes()));
    }
    let mut out = Vec::new();
    while rig.session.prefixes(Family::V4).announced < 60_000 {
        out.clear();
        assert!(rig.session.poll_transmit(rig.now, &mut out));
        for _ in 0..20 {
            rig.now += secs(20);
            rig.keepalive();
            rig.session.handle_timeout(rig.now);
        }
    }
    assert_eq!(rig.state(), State::Established);
}

#[test]
fn rfc_9687_twice_a_long_hold_time() {
    let hold_time = HoldTime::new(900).unwrap();
    let config = Config { hold_time, ..mk_config() };
    let mut rig = Rig::established(config, &Open { hold_time, ..mk_peer_open() });
    rig.session.set_complete();
    rig.session.poll_transmit(rig.now, &mut Vec::new());
    assert_eq!(rig.session.timers.get(Timer::SendHold), Some(rig.now + secs(1800)));
}

/// Waits between attempts, for a peer treated like this each time.
fn waits(config: Config, attempts: usize, end: fn(&mut Rig)) -> Vec<Duration> {
    let mut rig = Rig::new(config);
    rig.wake();
    (0..attempts)
        .map(|_| {
            end(&mut rig);
            rig.wake()
        })
        .collect()
}

fn assert_about(waits: &[Duration], seconds: &[u64]) {
    for (wait, seconds) in waits.iter().zip(seconds) {
        assert!((secs(*seconds) * 3 / 4..=secs(*seconds)).contains(wait), "{waits:?}");
    }
    assert_eq!(waits.len(), seconds.len());
}

#[test]
fn bgp_2_5_an_unreachable_peer_is_tried_every_30_s_at_last() {
    let unreachable = |rig: &mut Rig| rig.session.handle_connect_failed(rig.now, "refused");
    assert_about(&waits(mk_config(), 7, unreachable), &[1, 2, 4, 8, 16, 30, 30]);
    let config = Config { connect_time: Some(secs(10)), ..mk_config() };
    assert_about(&waits(config, 3, unreachable), &[10, 10, 10]);
}

fn refused(rig: &mut Rig) {
    rig.session.handle_connected(rig.now, Link::new(LOCAL));
    rig.notification(&Notification::new(2, 2));
}

#[test]
fn bgp_7_1_row_f30_quirk_q15_a_peer_that_refuses_for_ever_is_damped() {
    assert_about(&waits(mk_config(), 9, refused), &[1, 2, 4, 8, 16, 32, 64, 120, 120]);
    let config = Config { connect_time: Some(secs(10)), ..mk_config() };
    assert_about(&waits(config, 6, refused), &[10, 20, 40, 80, 120, 120]);
}

#[test]
fn n12_a_peer_that_resets_after_the_handshake_is_damped() {
    let reset = |rig: &mut Rig| {
        rig.session.handle_connected(rig.now, Link::new(LOCAL));
        rig.open(&mk_peer_open());
        rig.keepalive();
        assert_eq!(rig.state(), State::Established);
        rig.now += secs(5);
        rig.notification(&Notification::new(6, 5));
    };
    assert_about(&waits(mk_config(), 5, reset), &[1, 2, 4, 8, 16]);
}

#[test]
fn a_session_that_was_stable_comes_back_at_once() {
    let mut rig = Rig::new(mk_config());
    rig.wake();
    for _ in 0..5 {
        refused(&mut rig);
        rig.wake();
    }
    rig.session.handle_connected(rig.now, Link::new(LOCAL));
    rig.open(&mk_peer_open());
    rig.keepalive();
    rig.now += secs(31);
    rig.session.handle_closed(rig.now);
    assert!(rig.wake() <= secs(1));
}

#[test]
fn a_slow_drip_does_not_keep_the_session() {
    let mut rig = Rig::in_state(mk_config(), State::Established);
    let drip = [0xFF; 16].iter().chain(&[0x0F, 0xA0, 2]).chain(&[0; 200]);
    for octet in drip {
        rig.now += secs(1);
        rig.session.handle_bytes(rig.now, &[*octet]);
        rig.session.handle_timeout(rig.now);
        rig.session.poll_transmit(rig.now, &mut Vec::new());
        if rig.state() != State::Established {
            break;
        }
    }
    assert_eq!(rig.down().reason, Reason::Sent(Notification::new(4, 0)));
}
