use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::prelude::*;
use rstest::rstest;

use super::*;

const ETH0: IfIndex = IfIndex(2);
const ETH1: IfIndex = IfIndex(3);
const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
const NODE: Mac = Mac([2, 0, 0, 0, 0, 2]);
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 200));
const FOREIGN: Mac = Mac([0x52, 0x54, 0, 0, 0, 9]);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn mk_conflicts() -> Conflicts {
    let mut conflicts = Conflicts::new(1);
    conflicts.set_port(Port { index: ETH0, mac: OWN, link_local: None });
    conflicts.set_hosts([HOST].into());
    let asked = conflicts.poll_transmit().unwrap();
    assert_eq!((asked.interface, asked.ip), (ETH0, HOST));
    conflicts.handle_claim(ms(0), ETH0, mk_claim(HOST, NODE, Form::Answer));
    conflicts
}

fn mk_claim(ip: IpAddr, mac: Mac, form: Form) -> Claim {
    Claim { ip, mac, form }
}

/// Runs until `end`; `world` answers each question at once.
fn run(
    conflicts: &mut Conflicts,
    mut now: Duration,
    end: Duration,
    world: impl Fn(&Transmit) -> Option<Claim>,
) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    loop {
        while let Some(transmit) = conflicts.poll_transmit() {
            let asked = Claim::decode(transmit.frame.as_bytes()).unwrap();
            assert_eq!((asked.ip, asked.mac, asked.form), (transmit.ip, OWN, Form::Probe));
            if let Some(claim) = world(&transmit) {
                conflicts.handle_claim(now, transmit.interface, claim);
            }
        }
        events.extend(std::iter::from_fn(|| conflicts.poll_event()).map(|event| (now, event)));
        match conflicts.poll_timeout() {
            Some(due) if due <= end => now = now.max(due),
            _ => return events,
        }
        conflicts.handle_timeout(now);
    }
}

fn contender(ip: IpAddr, mac: Mac) -> Contender {
    Contender { ip, mac, interface: ETH0 }
}

#[rstest]
#[case::ipv4("192.0.2.7")]
#[case::ipv6("2001:db8::7")]
fn a_free_address_is_free_after_three_questions(#[case] ip: &str) {
    let ip = ip.parse().unwrap();
    let mut conflicts = mk_conflicts();
    conflicts.probe(ms(1000), ip, Interfaces::All);
    let asked = std::cell::Cell::new(0);
    let count = |_: &Transmit| {
        asked.set(asked.get() + 1);
        None
    };
    let events = run(&mut conflicts, ms(1000), ms(9000), count);
    assert_eq!(events, [(ms(1600), Event::Free(ip))]);
    assert_eq!(asked.get(), 3);
    assert_eq!(conflicts.poll_timeout(), None);
}

#[rstest]
#[case::it_answers(Form::Answer)]
#[case::it_announces(Form::Announcement)]
#[case::it_probes_too(Form::Probe)]
fn somebody_else_has_it(#[case] form: Form) {
    let ip: IpAddr = "192.0.2.7".parse().unwrap();
    let mut conflicts = mk_conflicts();
    conflicts.probe(ms(0), ip, Interfaces::All);
    let events = run(&mut conflicts, ms(0), ms(9000), |asked| {
        (asked.ip == ip).then(|| mk_claim(ip, FOREIGN, form))
    });
    assert_eq!(events, [(ms(600), Event::Taken(contender(ip, FOREIGN)))]);
}

/// An answer in the last moment is still tried with decoys.
#[test]
fn a_late_answer_delays_the_verdict() {
    let ip: IpAddr = "192.0.2.7".parse().unwrap();
    let mut conflicts = mk_conflicts();
    conflicts.probe(ms(0), ip, Interfaces::All);
    assert_eq!(run(&mut conflicts, ms(0), ms(590), |_| None), []);
    conflicts.handle_claim(ms(590), ETH0, mk_claim(ip, FOREIGN, Form::Answer));
    let events = run(&mut conflicts, ms(590), ms(9000), |_| None);
    assert_eq!(events, [(ms(740), Event::Taken(contender(ip, FOREIGN)))]);
}

#[rstest]
#[case::ipv4("192.0.2.7")]
#[case::ipv6("2001:db8::7")]
fn a_router_that_answers_for_everything_has_nothing(#[case] ip: &str) {
    let ip: IpAddr = ip.parse().unwrap();
    let mut conflicts = mk_conflicts();
    conflicts.probe(ms(0), ip, Interfaces::All);
    let proxy = |asked: &Transmit| Some(mk_claim(asked.ip, FOREIGN, Form::Answer));
    assert_eq!(run(&mut conflicts, ms(0), ms(9000), proxy), [(ms(600), Event::Free(ip))]);

    // It is remembered: an audit asks for no decoys again.
    conflicts.watch(ms(9000), ip, Interfaces::All);
    let only = |asked: &Transmit| {
        assert_eq!(asked.ip, ip);
        proxy(asked)
    };
    assert_eq!(run(&mut conflicts, ms(9000), ms(300_000), only), []);
}

#[rstest]
#[case::an_own_interface(OWN)]
#[case::another_node(NODE)]
fn our_own_stations_are_no_conflict(#[case] mac: Mac) {
    let ip: IpAddr = "192.0.2.7".parse().unwrap();
    let mut conflicts = mk_conflicts();
    conflicts.probe(ms(0), ip, Interfaces::All);
    let events = run(&mut conflicts, ms(0), ms(9000), |asked| {
        Some(mk_claim(asked.ip, mac, Form::Announcement))
    });
    assert_eq!(events, [(ms(600), Event::Free(ip))]);
}

/// The other node has had time to stop and still answers when asked.
#[test]
fn two_of_ours_are_told_after_a_moment_and_once_a_second() {
    let ip: IpAddr = "192.0.2.7".parse().unwrap();
    let mut conflicts = mk_conflicts();
    conflicts.watch(ms(0), ip, Interfaces::All);
    conflicts.handle_claim(ms(0), ETH0, mk_claim(ip, NODE, Form::Announcement));
    let node = |asked: &Transmit| Some(mk_claim(asked.ip, NODE, Form::Answer));
    let rival = Event::Rival { contender: contender(ip, NODE), host: HOST };
    let events = run(&mut conflicts, ms(0), ms(2400), node);
    assert_eq!(events, [300, 1300, 2300].map(|at| (ms(at), rival.clone())));
    // It stops: one question without an answer, and no more are asked.
    assert_eq!(run(&mut conflicts, ms(2400), ms(50_000), |_| None), []);
}

/// A move that ends in time is no disagreement, though both spoke for a moment.
#[test]
fn a_move_is_no_rivalry() {
    let ip: IpAddr = "192.0.2.7".parse().unwrap();
    let mut conflicts = mk_conflicts();
    conflicts.watch(ms(0), ip, Interfaces::All);
    for now in [0, 100, 290] {
        conflicts.handle_claim(ms(now), ETH0, mk_claim(ip, NODE, Form::Announcement));
    }
    assert_eq!(run(&mut conflicts, ms(290), ms(50_000), |_| None), []);
}

#[test]
fn an_announced_address_is_defended_every_ten_seconds_at_most() {
    let ip: IpAddr = "192.0.2.7".parse().unwrap();
    let mut conflicts = mk_conflicts();
    conflicts.watch(ms(0), ip, Interfaces::Only([ETH0].into()));
    for now in (0..25_000).step_by(10) {
        conflicts.handle_claim(ms(now), ETH0, mk_claim(ip, FOREIGN, Form::Announcement));
        conflicts.handle_claim(ms(now), ETH1, mk_claim(ip, FOREIGN, Form::Announcement));
    }
    let events: Vec<_> = std::iter::from_fn(|| conflicts.poll_event()).collect();
    assert_eq!(events, vec![Event::Conflict(contender(ip, FOREIGN)); 3]);
    let events = run(&mut conflicts, ms(25_000), ms(400_000), |_| None);
    let [(over, Event::Over(freed))] = events[..] else { panic!("{events:?}") };
    assert_eq!(freed, ip);
    assert!((ms(204_990)..ms(270_000)).contains(&over), "{over:?}");
}

/// A host that never says a word unasked is found by the audit within a minute.
#[test]
fn a_silent_owner_is_found() {
    let ip: IpAddr = "192.0.2.7".parse().unwrap();
    let mut conflicts = mk_conflicts();
    for n in 0..=255 {
        conflicts.watch(ms(0), IpAddr::from([192, 0, 2, n]), Interfaces::All);
    }
    let events = run(&mut conflicts, ms(0), ms(62_000), |asked| {
        (asked.ip == ip).then(|| mk_claim(ip, FOREIGN, Form::Answer))
    });
    let [(_, Event::Conflict(found)), ..] = events[..] else { panic!("{events:?}") };
    assert_eq!(found, contender(ip, FOREIGN));
}

#[rstest]
#[case::few(3, 12)]
#[case::some(600, 600)]
#[case::very_many(50_000, 4800)]
fn an_audit_asks_for_twenty_addresses_a_second_at_most(
    #[case] addresses: u32,
    #[case] expected: usize,
) {
    let mut conflicts = mk_conflicts();
    for n in 0..addresses {
        conflicts.watch(ms(0), IpAddr::V4((0x0a00_0000 + n).into()), Interfaces::All);
    }
    let asked = std::cell::RefCell::new(Vec::new());
    let count = |transmit: &Transmit| {
        asked.borrow_mut().push(transmit.ip);
        None
    };
    let minutes = if addresses == 600 { 1 } else { 4 };
    assert_eq!(run(&mut conflicts, ms(0), ms(minutes * 60_000), count), []);
    let asked = asked.into_inner();
    assert_eq!(asked.len(), expected);
    let distinct: BTreeSet<_> = asked.iter().collect();
    assert_eq!(distinct.len(), expected.min(usize::try_from(addresses).unwrap()));
}

/// An address left to another node is asked for, and comes back when that node falls silent.
#[test]
fn a_yielded_address_becomes_vacant() {
    let ip: IpAddr = "192.0.2.7".parse().unwrap();
    let mut conflicts = mk_conflicts();
    conflicts.watch(ms(0), ip, Interfaces::All);
    conflicts.stand_back(ms(100), ip, Interfaces::All);
    let node = |asked: &Transmit| Some(mk_claim(asked.ip, NODE, Form::Answer));
    assert_eq!(run(&mut conflicts, ms(100), ms(5100), node), []);
    // A stranger's answer does not keep it away.
    let stranger = |asked: &Transmit| Some(mk_claim(asked.ip, FOREIGN, Form::Answer));
    let events = run(&mut conflicts, ms(5100), ms(9000), stranger);
    assert_eq!(events, [(ms(6600), Event::Vacant(ip))]);
    assert!(!conflicts.concerns(ip));
}

#[test]
fn a_forgotten_address_is_no_more_spoken_of() {
    let ip: IpAddr = "192.0.2.7".parse().unwrap();
    let mut conflicts = mk_conflicts();
    conflicts.probe(ms(0), ip, Interfaces::All);
    conflicts.forget(ip);
    conflicts.handle_claim(ms(10), ETH0, mk_claim(ip, FOREIGN, Form::Announcement));
    assert!(!conflicts.concerns(ip));
    while conflicts.poll_transmit().is_some() {}
    assert_eq!(run(&mut conflicts, ms(10), ms(9000), |_| None), []);
}

proptest! {
    /// A flood of made-up stations costs a bounded number of questions and of words.
    #[test]
    fn floods_are_bounded(stations in proptest::collection::vec(any::<[u8; 4]>(), 1..2000)) {
        let ip: IpAddr = "192.0.2.7".parse().unwrap();
        let mut conflicts = mk_conflicts();
        conflicts.watch(ms(0), ip, Interfaces::All);
        for [a, b, c, d] in &stations {
            let mac = Mac([6, 1, *a, *b, *c, *d]);
            conflicts.handle_claim(ms(5), ETH0, mk_claim(ip, mac, Form::Answer));
        }
        let questions = std::iter::from_fn(|| conflicts.poll_transmit()).count();
        prop_assert!(questions <= 32 * 3, "{questions}");
        conflicts.handle_timeout(ms(155));
        let events = std::iter::from_fn(|| conflicts.poll_event()).count();
        prop_assert_eq!(events, 1);
    }
}
