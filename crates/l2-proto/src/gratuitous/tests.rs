//! The schedule in virtual time: a driver that polls exactly when asked to, and some that do not.

use ferrolb_addr::Mac;
use rstest::rstest;

use super::*;

const ETH0: IfIndex = IfIndex(2);
const ETH1: IfIndex = IfIndex(3);
const V4: &str = "192.168.1.20";
const V6: &str = "2001:db8::14";

fn mk_port(index: IfIndex) -> Port {
    let link_local = Some("fe80::ff:fe00:1".parse().unwrap());
    Port { index, mac: Mac([2, 0, 0, 0, 0, 1]), link_local }
}

fn mk_schedule(ports: &[IfIndex]) -> Gratuitous {
    let mut schedule = Gratuitous::new(None, 1);
    for &index in ports {
        schedule.set_port(mk_port(index));
    }
    schedule
}

fn mk_ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn mk_only(indexes: &[IfIndex]) -> Interfaces {
    Interfaces::Only(indexes.iter().copied().collect())
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// All frames due at `now`.
fn drain(schedule: &mut Gratuitous, now: Duration) -> Vec<Transmit> {
    std::iter::from_fn(|| schedule.poll_transmit(now)).collect()
}

/// Runs until nothing is left to say, from `now` on: when each frame left, and the frame.
fn run(schedule: &mut Gratuitous, mut now: Duration) -> Vec<(Duration, Transmit)> {
    let mut sent = Vec::new();
    while let Some(due) = schedule.poll_timeout() {
        now = now.max(due);
        let frames = drain(schedule, now);
        assert!(!frames.is_empty(), "woken at {now:?} for nothing");
        sent.extend(frames.into_iter().map(|frame| (now, frame)));
    }
    assert_eq!(schedule.poll_transmit(now + ms(60_000)), None);
    sent
}

fn hex(transmit: &Transmit) -> String {
    format!("{:?}", transmit.frame)
}

/// The reply form names its own station as the target: only that Linux takes for an announcement.
#[test]
fn ipv4_rounds_byte_for_byte() {
    let request = "ffffffffffff0200000000010806000108000604\
                   0001020000000001c0a80114ffffffffffffc0a80114";
    let reply = "ffffffffffff0200000000010806000108000604\
                 0002020000000001c0a80114020000000001c0a80114";
    let mut schedule = mk_schedule(&[ETH0]);
    schedule.own(mk_ip(V4), Interfaces::All);

    let sent: Vec<_> =
        run(&mut schedule, ms(5000)).iter().map(|(at, frame)| (*at, hex(frame))).collect();
    let expected = [
        (5000, request),
        (5100, reply),
        (5300, reply),
        (6000, request),
        (6000, reply),
        (8000, request),
        (8000, reply),
    ];
    assert_eq!(sent, expected.map(|(at, frame)| (ms(at), frame.to_owned())));
}

/// `layer2.md` 3.4: one advertisement a round, to all nodes, Override set.
#[rstest]
#[case::from_the_link_local(Some("fe80::ff:fe00:1"), "fe80000000000000000000fffe000001", "2950")]
#[case::from_the_address_itself(None, "20010db8000000000000000000000014", "f904")]
fn ipv6_rounds_byte_for_byte(
    #[case] link_local: Option<&str>,
    #[case] source: &str,
    #[case] checksum: &str,
) {
    let expected = format!(
        "33330000000102000000000186dd6000000000203aff{source}ff020000000000000000000000000001\
         8800{checksum}2000000020010db80000000000000000000000140201020000000001"
    );
    let mut schedule = Gratuitous::new(None, 1);
    let link_local = link_local.map(|text| text.parse().unwrap());
    schedule.set_port(Port { link_local, ..mk_port(ETH0) });
    schedule.own(mk_ip(V6), Interfaces::All);

    let sent: Vec<_> =
        run(&mut schedule, ms(0)).iter().map(|(at, frame)| (*at, hex(frame))).collect();
    assert_eq!(sent, [0, 100, 300, 1000, 3000].map(|at| (ms(at), expected.clone())));
}

#[test]
fn telling_again_starts_nothing() {
    let mut schedule = mk_schedule(&[ETH0]);
    schedule.own(mk_ip(V4), Interfaces::All);
    assert_eq!(drain(&mut schedule, ms(0)).len(), 1);
    for now in [20, 50, 90] {
        schedule.own(mk_ip(V4), Interfaces::All);
        schedule.set_port(mk_port(ETH0));
        assert_eq!(drain(&mut schedule, ms(now)), []);
    }
    assert_eq!(run(&mut schedule, ms(100)).len(), 6);
    schedule.own(mk_ip(V4), Interfaces::All);
    // Named instead of implied, but the same interface.
    schedule.own(mk_ip(V4), mk_only(&[ETH0]));
    schedule.set_port(Port { link_local: None, ..mk_port(ETH0) });
    assert_eq!(schedule.poll_timeout(), None);
}

#[test]
fn release_is_silence_at_once() {
    let mut schedule = mk_schedule(&[ETH0]);
    schedule.own(mk_ip(V4), Interfaces::All);
    // Between the two frames of a round.
    for now in [0, 100, 300, 1000] {
        assert!(schedule.poll_transmit(ms(now)).is_some());
    }
    schedule.release(mk_ip(V4));
    assert_eq!(schedule.poll_timeout(), None);
    assert_eq!(schedule.poll_transmit(ms(9000)), None);
    schedule.link_up(ETH0);
    assert_eq!(schedule.poll_timeout(), None);
}

#[test]
fn coming_back_starts_anew() {
    let mut schedule = mk_schedule(&[ETH0]);
    schedule.own(mk_ip(V4), Interfaces::All);
    drain(&mut schedule, ms(0));
    schedule.release(mk_ip(V4));
    schedule.own(mk_ip(V4), Interfaces::All);
    assert_eq!(run(&mut schedule, ms(10)).len(), 7);
}

#[rstest]
#[case::all(Interfaces::All, &[ETH0, ETH1])]
#[case::one(mk_only(&[ETH1]), &[ETH1])]
#[case::one_that_is_not_there(mk_only(&[IfIndex(9)]), &[])]
fn interface_choice(#[case] interfaces: Interfaces, #[case] expected: &[IfIndex]) {
    let mut schedule = mk_schedule(&[ETH0, ETH1]);
    schedule.own(mk_ip(V4), interfaces);
    let mut spoken: Vec<_> =
        run(&mut schedule, ms(0)).iter().map(|(_, frame)| frame.interface).collect();
    assert_eq!(spoken.len(), expected.len() * 7);
    spoken.sort();
    spoken.dedup();
    assert_eq!(spoken, expected);
}

#[test]
fn a_changed_choice_touches_only_the_difference() {
    let mut schedule = mk_schedule(&[ETH0, ETH1]);
    schedule.own(mk_ip(V6), mk_only(&[ETH0]));
    drain(&mut schedule, ms(0));

    schedule.own(mk_ip(V6), Interfaces::All);
    let wider = drain(&mut schedule, ms(50));
    assert_eq!(wider.iter().map(|frame| frame.interface).collect::<Vec<_>>(), [ETH1]);

    schedule.own(mk_ip(V6), mk_only(&[ETH1]));
    let rest = run(&mut schedule, ms(60));
    assert_eq!(rest.len(), 4);
    assert!(rest.iter().all(|(_, frame)| frame.interface == ETH1), "{rest:?}");
}

#[test]
fn a_late_interface_announces_what_is_owned() {
    let mut schedule = mk_schedule(&[]);
    schedule.own(mk_ip(V4), mk_only(&[ETH1]));
    schedule.own(mk_ip(V6), Interfaces::All);
    assert_eq!(schedule.poll_timeout(), None);
    schedule.set_port(mk_port(ETH0));
    assert_eq!(run(&mut schedule, ms(0)).len(), 5);
    schedule.set_port(mk_port(ETH1));
    assert_eq!(run(&mut schedule, ms(9000)).len(), 12);
}

#[test]
fn a_link_that_comes_back_announces_again() {
    let mut schedule = mk_schedule(&[ETH0, ETH1]);
    schedule.own(mk_ip(V4), Interfaces::All);
    schedule.own(mk_ip(V6), mk_only(&[ETH1]));
    run(&mut schedule, ms(0));

    schedule.link_up(ETH0);
    schedule.link_up(IfIndex(9));
    let again = run(&mut schedule, ms(20_000));
    assert_eq!(again.len(), 7);
    assert!(again.iter().all(|(_, frame)| frame.interface == ETH0), "{again:?}");
}

/// In the middle of a sequence too: it starts over instead of running twice.
#[test]
fn a_flapping_link_runs_one_sequence() {
    let mut schedule = mk_schedule(&[ETH0]);
    schedule.own(mk_ip(V6), Interfaces::All);
    drain(&mut schedule, ms(0));
    schedule.link_up(ETH0);
    schedule.link_up(ETH0);
    assert_eq!(drain(&mut schedule, ms(50)).len(), 1);
    assert_eq!(drain(&mut schedule, ms(149)), []);
    assert_eq!(run(&mut schedule, ms(150)).len(), 4);
}

#[test]
fn a_new_station_address_is_announced() {
    let mut schedule = mk_schedule(&[ETH0]);
    schedule.own(mk_ip(V4), Interfaces::All);
    run(&mut schedule, ms(0));

    let mac = Mac([2, 0, 0, 0, 0, 8]);
    schedule.set_port(Port { mac, ..mk_port(ETH0) });
    let sent = run(&mut schedule, ms(9000));
    assert_eq!(sent.len(), 7);
    assert!(sent.iter().all(|(_, sent)| sent.frame.as_bytes()[6..12] == mac.0));
}

#[test]
fn a_removed_interface_is_silent() {
    let mut schedule = mk_schedule(&[ETH0]);
    schedule.own(mk_ip(V4), Interfaces::All);
    drain(&mut schedule, ms(0));
    schedule.remove_port(ETH0);
    schedule.link_up(ETH0);
    schedule.own(mk_ip(V6), Interfaces::All);
    assert_eq!(schedule.poll_timeout(), None);
    schedule.set_port(mk_port(ETH0));
    assert_eq!(run(&mut schedule, ms(10)).len(), 12);
}

/// A thousand addresses move at once: every one has its first frame before any has its second, the
/// newest leads, and one that moves meanwhile goes ahead of all that still wait.
#[test]
fn first_frames_go_first_newest_owner_leading() {
    let mut schedule = mk_schedule(&[ETH0]);
    let ips: Vec<IpAddr> = (0..1000_u32).map(|n| IpAddr::V4((0x0a00_0000 + n).into())).collect();
    for &ip in &ips {
        schedule.own(ip, Interfaces::All);
    }
    let mut order = Vec::new();
    for _ in 0..400 {
        order.extend(schedule.poll_transmit(ms(0)).map(|frame| frame.ip));
    }
    let late = mk_ip("10.9.9.9");
    schedule.own(late, Interfaces::All);
    for _ in 0..601 {
        order.extend(schedule.poll_transmit(ms(1)).map(|frame| frame.ip));
    }
    let newest_first: Vec<_> = ips.iter().rev().copied().collect();
    assert_eq!(order[..400], newest_first[..400]);
    assert_eq!(order[400], late);
    assert_eq!(order[401..], newest_first[400..]);
    // Only now repeats, in the order the addresses became due.
    assert_eq!(schedule.poll_transmit(ms(500)).map(|frame| frame.ip), Some(ips[999]));
}

/// Three thousand addresses: a thousand at once, then one a millisecond and never more; one of
/// another interface does not wait for them.
#[test]
fn frames_are_paced_on_each_interface() {
    let mut schedule = mk_schedule(&[ETH0, ETH1]);
    for n in 0..3000_u32 {
        schedule.own(IpAddr::V4((0x0a00_0000 + n).into()), mk_only(&[ETH0]));
    }
    schedule.own(mk_ip(V6), mk_only(&[ETH1]));
    let first = drain(&mut schedule, ms(0));
    assert_eq!(first.iter().filter(|frame| frame.interface == ETH0).count(), 1000);
    assert_eq!(first.iter().filter(|frame| frame.interface == ETH1).count(), 1);
    let (mut sent, mut now) = (1000, ms(0));
    while let Some(due) = schedule.poll_timeout() {
        now = now.max(due);
        sent += drain(&mut schedule, now).iter().filter(|frame| frame.interface == ETH0).count();
        assert!(sent <= 1000 + usize::try_from(now.as_millis()).unwrap(), "{sent} by {now:?}");
    }
    assert_eq!(sent, 3000 * 7);
    assert_eq!(now, ms(20_000));
}

#[test]
fn an_address_is_told_again_every_minute_or_a_little_sooner() {
    let mut schedule = Gratuitous::new(Some(ms(60_000)), 7);
    schedule.set_port(mk_port(ETH0));
    schedule.own(mk_ip(V4), Interfaces::All);
    let mut at = Vec::new();
    while at.len() < 27 {
        let now = schedule.poll_timeout().unwrap();
        at.extend(drain(&mut schedule, now).iter().map(|_| now));
    }
    assert_eq!(at[6], ms(3000));
    let gaps: BTreeSet<_> =
        at[6..].windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    assert!(gaps.iter().all(|gap| (ms(45_000)..=ms(61_000)).contains(gap)), "{gaps:?}");
    assert!(gaps.len() > 5, "{gaps:?}");
    assert!(at[7..].iter().all(|at| at.subsec_nanos() == 0), "{at:?}");
}

/// A take-over in the middle of a refresh of very many finds half of the burst left.
#[test]
fn refreshes_leave_room_for_a_take_over() {
    let mut schedule = Gratuitous::new(Some(ms(4000)), 7);
    schedule.set_port(mk_port(ETH0));
    for n in 0..2000_u32 {
        schedule.own(IpAddr::V4((0x0a00_0000 + n).into()), Interfaces::All);
    }
    let mut now = ms(0);
    // All sequences end within 14 s; refreshes go on at a hundred a second.
    while now < ms(40_000) {
        now = schedule.poll_timeout().unwrap();
        let frames = drain(&mut schedule, now).len();
        assert!(now < ms(20_000) || frames <= 101, "{frames} at {now:?}");
    }
    for n in 0..500_u32 {
        schedule.own(IpAddr::V4((0x0b00_0000 + n).into()), Interfaces::All);
    }
    let first = drain(&mut schedule, now);
    let moved =
        |transmit: &&Transmit| matches!(transmit.ip, IpAddr::V4(ip) if ip.octets()[0] == 11);
    assert_eq!(first.iter().filter(moved).count(), 500);
}

#[test]
fn a_defence_is_one_frame() {
    let mut schedule = mk_schedule(&[ETH0, ETH1]);
    schedule.own(mk_ip(V4), mk_only(&[ETH0]));
    drain(&mut schedule, ms(0));
    schedule.defend(mk_ip(V4), ETH0);
    assert_eq!(drain(&mut schedule, ms(50)), []);
    assert_eq!(run(&mut schedule, ms(100)).len(), 6);
    schedule.defend(mk_ip(V4), ETH0);
    schedule.defend(mk_ip(V4), ETH1);
    schedule.defend(mk_ip(V6), ETH0);
    let sent = run(&mut schedule, ms(9000));
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].1.ip, sent[0].1.interface), (mk_ip(V4), ETH0));
}

/// A driver that slept through three rounds continues one round at a time.
#[test]
fn late_polls_keep_the_gap() {
    let mut schedule = mk_schedule(&[ETH0]);
    schedule.own(mk_ip(V6), Interfaces::All);
    assert_eq!(drain(&mut schedule, ms(0)).len(), 1);
    assert_eq!(drain(&mut schedule, ms(900)).len(), 1);
    assert_eq!(schedule.poll_timeout(), Some(ms(1100)));
    assert_eq!(drain(&mut schedule, ms(1099)), []);
    assert_eq!(run(&mut schedule, ms(1100)).len(), 3);
}
