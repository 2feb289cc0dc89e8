//! What strangers, liars and floods cannot do.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::net::SocketAddr;
use std::time::Duration;

use ferrolb_swim_proto::{
    Config, Event, Keyring, Limits, Membership, NotMembership, Refusal, State, Transmit,
};
use rstest::rstest;

const SECOND: fn(u64) -> Duration = Duration::from_secs;

fn at(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 7946))
}

fn mk_member(change: impl FnOnce(&mut Config)) -> Membership {
    let mut config = Config::new("own", at(1));
    change(&mut config);
    Membership::new(config, Duration::ZERO, 1).unwrap()
}

/// A map of text keys and values that are encoded already.
fn mk_message(kind: u8, fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![kind, 0x80 | u8::try_from(fields.len()).unwrap()];
    for (key, value) in fields {
        out.extend(mk_raw(key.as_bytes()));
        out.extend(value);
    }
    out
}

fn mk_raw(bytes: &[u8]) -> Vec<u8> {
    [&[0xc4, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn mk_u32(value: u32) -> Vec<u8> {
    [&[0xce], value.to_be_bytes().as_slice()].concat()
}

fn mk_alive(name: &str, host: u8, incarnation: u32) -> Vec<u8> {
    mk_message(
        4,
        &[
            ("Node", mk_raw(name.as_bytes())),
            ("Addr", mk_raw(&[10, 0, 0, host])),
            ("Port", mk_u32(7946)),
            ("Incarnation", mk_u32(incarnation)),
            ("Vsn", mk_raw(&[1, 5, 2, 0, 0, 0])),
        ],
    )
}

fn mk_claim(kind: u8, name: &str, from: &str, incarnation: u32) -> Vec<u8> {
    mk_message(
        kind,
        &[
            ("Node", mk_raw(name.as_bytes())),
            ("From", mk_raw(from.as_bytes())),
            ("Incarnation", mk_u32(incarnation)),
        ],
    )
}

fn mk_ping(source: Option<u8>) -> Vec<u8> {
    let mut fields = vec![("SeqNo", mk_u32(5))];
    if let Some(host) = source {
        fields.push(("SourceAddr", mk_raw(&[10, 0, 0, host])));
        fields.push(("SourcePort", mk_u32(7946)));
    }
    mk_message(0, &fields)
}

fn sent(member: &mut Membership) -> Vec<SocketAddr> {
    let to = |transmit| match transmit {
        Transmit::Datagram { to, .. } | Transmit::Stream { to, .. } => to,
    };
    std::iter::from_fn(|| member.poll_transmit().map(to)).collect()
}

fn events(member: &mut Membership) -> Vec<Event> {
    std::iter::from_fn(|| member.poll_event()).collect()
}

#[test]
fn a_flood_is_answered_at_its_rate_and_disturbs_nobody_else() {
    let mut member = mk_member(|config| config.limits.messages_per_second = 100);
    for _ in 0..10_000 {
        member.handle_datagram(SECOND(1), at(2), &mk_ping(None)).unwrap();
    }
    assert_eq!(sent(&mut member).len(), 200);
    assert!(matches!(
        events(&mut member)[..],
        [Event::Refused { why: Refusal::Flood, count: 1, .. }]
    ));
    member.handle_datagram(SECOND(1), at(3), &mk_ping(None)).unwrap();
    assert_eq!(sent(&mut member), [at(3)]);
    member.handle_datagram(SECOND(62), at(2), &mk_ping(None)).unwrap();
    assert_eq!(sent(&mut member), [at(2)]);
}

#[test]
fn there_is_no_more_room_than_the_limit() {
    let mut member = mk_member(|config| config.limits = Limits { members: 10, ..Limits::DEFAULT });
    for number in 0..200 {
        member.handle_datagram(SECOND(1), at(2), &mk_alive(&format!("n{number}"), 9, 1)).unwrap();
    }
    assert_eq!(member.members().count(), 10);
    assert_eq!(
        events(&mut member).iter().filter(|event| matches!(event, Event::Joined(_))).count(),
        9
    );
}

#[rstest]
#[case::without_key_the_origin_is_answered(false, 2)]
#[case::with_a_key_the_source(true, 3)]
fn answers_go_where_they_cannot_hurt(#[case] sealed: bool, #[case] answered: u8) {
    let keys = sealed.then(|| Keyring::derive(b"secret").unwrap());
    let mut member = mk_member(|config| (config.keys, config.verify_incoming) = (keys, false));
    member.handle_datagram(SECOND(1), at(2), &mk_ping(Some(3))).unwrap();
    assert_eq!(sent(&mut member), [at(answered)]);
}

#[test]
fn strangers_are_not_pinged_for_others() {
    let mut member = mk_member(|_| ());
    let question = |host| {
        mk_message(
            1,
            &[
                ("SeqNo", mk_u32(5)),
                ("Node", mk_raw(b"target")),
                ("Target", mk_raw(&[10, 0, 0, host])),
                ("Port", mk_u32(7946)),
            ],
        )
    };
    member.handle_datagram(SECOND(1), at(2), &mk_alive("target", 3, 1)).unwrap();
    for _ in 0..1_000 {
        member.handle_datagram(SECOND(2), at(2), &question(4)).unwrap();
    }
    assert_eq!(sent(&mut member), []);
    member.handle_datagram(SECOND(4), at(2), &question(3)).unwrap();
    assert_eq!(sent(&mut member), [at(3)]);
}

#[rstest]
#[case::members_confirm(&["c", "d", "e"], true)]
#[case::others_do_not(&["c", "x1", "x2"], false)]
#[case::nor_the_same_twice(&["c", "c", "c"], false)]
#[case::nor_the_suspect(&["c", "b", "b"], false)]
fn only_members_shorten_the_time_to_refute(#[case] witnesses: &[&str], #[case] shortened: bool) {
    let mut member = mk_member(|_| ());
    for (name, host) in [("b", 2), ("c", 3), ("d", 4), ("e", 5)] {
        member.handle_datagram(SECOND(1), at(2), &mk_alive(name, host, 1)).unwrap();
    }
    for from in witnesses {
        member.handle_datagram(SECOND(2), at(9), &mk_claim(3, "b", from, 1)).unwrap();
    }
    // layer2.md 5.6: 4 s with two confirmations, 24 s without.
    member.handle_timeout(SECOND(6));
    assert_eq!(member.member("b").unwrap().state == State::Dead, shortened);
}

#[test]
fn a_number_nobody_could_beat_is_refused() {
    let mut member = mk_member(|_| ());
    for message in [mk_alive("b", 2, u32::MAX), mk_claim(5, "own", "b", u32::MAX)] {
        member.handle_datagram(SECOND(1), at(2), &message).unwrap();
    }
    assert_eq!(member.members().count(), 1);
    assert_eq!(member.member("own").unwrap().incarnation, 1);
    member.handle_datagram(SECOND(1), at(2), &mk_claim(5, "own", "b", u32::MAX / 2)).unwrap();
    assert_eq!(member.member("own").unwrap().incarnation, u32::MAX / 2 + 1);
}

#[test]
fn a_name_in_use_is_not_given_away() {
    let mut member = mk_member(|_| ());
    member.handle_datagram(SECOND(1), at(2), &mk_alive("b", 2, 1)).unwrap();
    for (name, known) in [("b", at(2)), ("own", at(1))] {
        events(&mut member);
        member.handle_datagram(SECOND(2), at(66), &mk_alive(name, 66, 9)).unwrap();
        assert_eq!(member.member(name).unwrap().address, known);
    }
    let refused = member.stats().refused;
    let conflict = Refusal::ALL.iter().position(|why| *why == Refusal::Conflict).unwrap();
    assert_eq!(refused[conflict], 2);
}

#[test]
fn another_secret_is_told_once_a_minute() {
    let mut theirs = mk_member(|config| config.keys = Some(Keyring::derive(b"theirs").unwrap()));
    let mut ours = mk_member(|config| config.keys = Some(Keyring::derive(b"ours").unwrap()));
    theirs.handle_datagram(SECOND(1), at(2), &[7]).unwrap();
    theirs.join(SECOND(1), [at(2)]);
    let Some(Transmit::Stream { request, .. }) = theirs.poll_transmit() else {
        panic!("no request")
    };
    let mut told = Vec::new();
    for second in 0..120 {
        ours.handle_stream(SECOND(second), at(2), &request);
        told.extend(events(&mut ours));
    }
    let refused = |count| Event::Refused { from: at(2).ip(), why: Refusal::Secret, count };
    assert_eq!(told, [refused(1), refused(60)]);
}

#[test]
fn whoever_shares_the_port_gets_its_datagrams_back() {
    let mut member = mk_member(|_| ());
    for first in 14..=u8::MAX {
        let wanted = if first == 244 { Ok(()) } else { Err(NotMembership) };
        assert_eq!(member.handle_datagram(SECOND(1), at(2), &[first, 1, 2]), wanted);
    }
    assert_eq!(member.handle_datagram(SECOND(1), at(2), &[]), Err(NotMembership));
}
