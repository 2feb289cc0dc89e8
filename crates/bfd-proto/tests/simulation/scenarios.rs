//! What must hold, and on which wires.

use ferrolb_bfd_proto::{Change, Config, Diagnostic, Side};
use proptest::prelude::*;

use crate::net::{GOOD, Net, Wire, mk_config, ms};

fn mk_up(seed: u64, wire: Wire, configs: [Config; 2]) -> Net {
    let mut net = Net::new(seed, wire, configs);
    net.run_for(ms(20_000));
    assert!(net.both_up());
    // A packet of the first exchange that was overtaken may have set it back once.
    for host in &mut net.hosts {
        host.changes.clear();
    }
    net
}

#[test]
fn comes_up_within_the_first_exchange_and_reaches_the_agreed_pace() {
    let mut net = Net::new(1, GOOD, [mk_config(50, 3), mk_config(50, 3)]);
    net.run_for(ms(10));
    assert!(net.both_up());
    net.run_for(ms(2000));
    for host in &mut net.hosts {
        let view = host.sessions.views().next().unwrap();
        assert_eq!(view.detection_time, Some(ms(150)));
        assert!(!view.polling);
        host.sent.clear();
    }
    net.run_for(ms(10_000));
    for host in &net.hosts {
        // 75 to 100 % of 50 ms.
        assert!((200..=267).contains(&host.sent.len()), "{}", host.sent.len());
    }
}

#[test]
fn two_passive_sides_never_meet_one_is_enough() {
    let passive = Config { passive: true, ..mk_config(50, 3) };
    let mut net = Net::new(2, GOOD, [passive, passive]);
    net.run_for(ms(60_000));
    assert!(net.hosts.iter().all(|host| host.sent.is_empty()));
    let mut net = Net::new(2, GOOD, [passive, mk_config(50, 3)]);
    net.run_for(ms(10));
    assert!(net.both_up());
}

#[test]
fn a_cut_in_one_direction_is_noticed_by_both() {
    let mut net = mk_up(3, GOOD, [mk_config(50, 3), mk_config(50, 3)]);
    net.cut[0] = true;
    net.run_for(ms(160));
    // The deaf side notices and says so; the other one hears it.
    let (_, diagnostic, side) = net.losses(1)[0];
    assert_eq!((diagnostic, side), (Diagnostic::DetectionTimeExpired, Side::Local));
    let (_, diagnostic, side) = net.losses(0)[0];
    assert_eq!((diagnostic, side), (Diagnostic::DetectionTimeExpired, Side::Remote));
    net.cut[0] = false;
    net.run_for(ms(3000));
    assert!(net.both_up());
}

#[test]
fn removal_is_no_failure() {
    let mut net = mk_up(4, GOOD, [mk_config(50, 3), mk_config(50, 3)]);
    let id = net.hosts[0].sessions.views().next().unwrap().session;
    net.hosts[0].sessions.remove(net.now, id);
    net.run_for(ms(5000));
    assert_eq!(net.hosts[0].changes.last().unwrap().1, Change::Ended);
    assert_eq!(net.hosts[0].sessions.views().count(), 0);
    assert_eq!(net.hosts[1].changes.last().unwrap().1, Change::AdminDown);
    assert_eq!(net.losses(1), []);
}

#[test]
fn a_restarted_peer_is_noticed_by_its_first_packet() {
    let mut net = mk_up(5, GOOD, [mk_config(1000, 5), mk_config(1000, 5)]);
    net.hosts[1] = Net::new(6, GOOD, [Config::default(); 2]).hosts.into_iter().nth(1).unwrap();
    net.run_for(ms(10));
    assert_eq!(net.losses(0)[0].2, Side::Remote);
    net.run_for(ms(2000));
    assert!(net.both_up());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the wishes, a lossless wire never brings a session down, and changes of wishes while it is
    /// up do not either.
    #[test]
    fn no_loss_no_flap(
        seed in any::<u64>(),
        delay in 0_u64..60,
        jitter in 0_u64..5,
        a in (10_u32..2000, 2_u8..8),
        b in (10_u32..2000, 2_u8..8),
        changes in proptest::collection::vec((0_usize..2, 10_u32..2000, 2_u8..8, 0_u64..3000), 0..12),
    ) {
        let wire = Wire { delay: ms(delay), jitter: ms(jitter), loss: 0 };
        let mut net = mk_up(seed, wire, [mk_config(a.0, a.1), mk_config(b.0, b.1)]);
        for (me, millis, multiplier, span) in changes {
            net.update(me, mk_config(millis, multiplier));
            net.run_for(ms(span));
        }
        net.run_for(ms(30_000));
        for me in 0..2 {
            prop_assert_eq!(net.losses(me), []);
            prop_assert!(!net.hosts[me].sessions.views().next().unwrap().polling);
        }
        prop_assert!(net.both_up());
    }

    /// A dead wire is noticed after the detection time: not before, and no later than one packet's flight.
    #[test]
    fn detection_time(
        seed in any::<u64>(),
        millis in 10_u32..1000,
        multiplier in 1_u8..10,
        delay in 0_u64..20,
    ) {
        let wire = Wire { delay: ms(delay), jitter: ms(0), loss: 0 };
        let mut net = mk_up(seed, wire, [mk_config(millis, multiplier); 2]);
        net.cut = [true; 2];
        let cut = net.now;
        let detection = ms(millis.into()) * multiplier.into();
        net.run_for(detection + ms(delay + 1));
        for me in 0..2 {
            let (at, diagnostic, _) = net.losses(me)[0];
            let last_heard = *net.hosts[1 - me].sent.iter().filter(|at| **at <= cut).max().unwrap();
            let expected = last_heard + ms(delay) + detection;
            prop_assert_eq!(diagnostic, Diagnostic::DetectionTimeExpired);
            prop_assert!(at <= cut + ms(delay) + detection, "{at:?} {cut:?}");
            prop_assert!(at <= expected, "{at:?} {expected:?}");
            prop_assert!(at + ms(millis.into()) >= cut + detection, "{at:?} {cut:?}");
        }
    }

    /// A pause of this process shorter than the peer's detection time costs nothing on either side; a longer
    /// one is noticed by the peer only: what waits in the socket is heard before anybody is judged.
    #[test]
    fn own_pauses(
        seed in any::<u64>(),
        millis in 10_u32..300,
        multiplier in 3_u8..6,
        pauses in proptest::collection::vec((1_u64..100, 1_u64..3000), 1..20),
    ) {
        let mut net = mk_up(seed, GOOD, [mk_config(millis, multiplier); 2]);
        let detection = ms(millis.into()) * multiplier.into();
        for (percent, rest) in pauses {
            // The peer last heard us up to an interval ago.
            let most = detection.saturating_sub(ms(u64::from(millis)) + ms(2));
            net.pause(0, most * u32::try_from(percent).unwrap() / 100);
            net.run_for(ms(rest) + detection);
        }
        prop_assert_eq!(net.losses(0), []);
        prop_assert_eq!(net.losses(1), []);

        net.pause(0, detection * 3);
        net.run_for(detection * 3 + ms(10));
        prop_assert!(net.losses(1).iter().all(|loss| loss.2 == Side::Local));
        prop_assert_eq!(net.losses(1).len(), 1);
        // We learn of it from the peer, and do not blame it ourselves.
        prop_assert!(net.losses(0).iter().all(|loss| loss.2 == Side::Remote), "{:?}", net.losses(0));
    }

    /// Loss may bring a session down, but it always comes back, and on a wire that is good again it stays.
    #[test]
    fn recovers_from_loss(
        seed in any::<u64>(),
        loss in 0_u64..900,
        jitter in 0_u64..100,
        a in 10_u32..500,
        b in 10_u32..500,
    ) {
        let wire = Wire { delay: ms(5), jitter: ms(jitter), loss };
        let mut net = Net::new(seed, wire, [mk_config(a, 3), mk_config(b, 3)]);
        net.run_for(ms(30_000));
        net.wire = GOOD;
        net.run_for(ms(10_000));
        prop_assert!(net.both_up());
        let before = [net.losses(0).len(), net.losses(1).len()];
        net.run_for(ms(30_000));
        prop_assert_eq!([net.losses(0).len(), net.losses(1).len()], before);
    }
}
