//! The invariants of the design, in virtual time. `HEARTBEAT_SIM_SEED=n` replays one seed.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test may")]

mod lacks;
mod mixed;
mod ring;
mod world;

use std::time::Duration;

use ferrolb_heartbeat::{Event, Previous, SeenBy, Timing};
use rstest::rstest;

use crate::world::{MS, World};

pub(crate) const D: Duration = Timing::DEFAULT.silence;
/// After the last fault: the hold-down and a second.
pub(crate) const SETTLING: Duration = Duration::from_secs(7);

#[expect(clippy::disallowed_methods, reason = "a failing seed is replayed from the environment")]
pub(crate) fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("HEARTBEAT_SIM_SEED") {
        Ok(seed) => vec![seed.parse().expect("HEARTBEAT_SIM_SEED is a number")],
        Err(_) => (1..=count).collect(),
    }
}

pub(crate) fn longest_dark(world: &World) -> Duration {
    world.dark.iter().map(|(longest, _)| *longest).max().unwrap()
}

#[rstest]
#[case::one(1, 1_600)]
#[case::two(2, 300)]
#[case::three(3, 300)]
#[case::eight(8, 300)]
fn a_cluster_finds_itself(#[case] count: usize, #[case] within: u64) {
    for seed in seeds(20) {
        let mut world = World::new(count, Timing::DEFAULT, seed);
        world.run(MS(within));
        world.assert_agreement();
    }
}

/// Every beat alone would wake a node: ten of its own a second and ten of each peer.
#[rstest]
#[case::two(2)]
#[case::three(3)]
#[case::eight(8)]
fn at_rest_all_wake_together(#[case] count: usize) {
    for seed in seeds(10) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        world.run(MS(2_000));
        let before: Vec<u64> = world.nodes.iter().map(|node| node.wakes).collect();
        let sent: Vec<u64> = (0..count).map(|index| world.sent(index)).collect();
        world.run(MS(10_000));
        for index in 0..count {
            let wakes = world.nodes[index].wakes - before[index];
            assert!(wakes <= 130, "node-{index} woke {wakes} times in ten seconds");
            let sent = world.sent(index) - sent[index];
            let peers = count as u64 - 1;
            assert!((99 * peers..=103 * peers).contains(&sent), "node-{index} sent {sent}");
        }
    }
}

#[rstest]
#[case::two(2, 8)]
#[case::three(3, 4)]
#[case::four(4, 2)]
#[case::eight(8, 1)]
fn nobody_dies_of_one_loss_in_five(#[case] count: usize, #[case] runs: u64) {
    for seed in seeds(runs) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        (world.loss, world.jitter) = (200, MS(5));
        world.run(Duration::from_mins(10));
        assert_eq!(world.deaths(), [], "{}", world.story());
        assert_eq!(longest_dark(&world), Duration::ZERO, "{}", world.story());
        // Probes make even one silent witness rare; beats alone would make hundreds.
        let silent = |event: &Event| matches!(event, Event::PeerSilent { .. });
        let silences = world.log.iter().filter(|(_, _, event)| silent(event)).count();
        assert!(silences <= 2, "{silences} {}", world.story());
    }
}

#[rstest]
#[case::two(2, 0, 100)]
#[case::three(3, 0, 20)]
#[case::eight(8, 0, 20)]
#[case::three_lossy(3, 100, 100)]
#[case::eight_lossy(8, 100, 100)]
fn all_notice_a_death(#[case] count: usize, #[case] loss: u64, #[case] beyond: u64) {
    for seed in seeds(120 / count as u64) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        world.loss = loss;
        world.run(MS(1_000 + seed * 7));
        world.log.clear();
        let at = world.now;
        world.crash(0);
        world.run(D + MS(beyond));
        let deaths = world.deaths();
        assert_eq!(deaths.len(), count - 1, "{at:?} {}", world.story());
        world.assert_agreement();
    }
}

#[test]
fn the_fast_profile_notices_in_less_than_a_fifth_of_a_second() {
    for seed in seeds(40) {
        let mut world = World::settled(3, Timing::FAST, seed);
        world.crash(0);
        world.run(MS(140));
        assert_eq!(world.deaths().len(), 2, "{}", world.story());
    }
}

#[rstest]
#[case::of_three(3, 2)]
#[case::of_four(4, 2)]
#[case::of_eight(8, 7)]
fn several_die_together(#[case] count: usize, #[case] dead: usize) {
    for seed in seeds(80 / count as u64) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        (0..dead).for_each(|index| world.crash(index));
        world.run(D + MS(200));
        world.assert_agreement();
    }
}

#[test]
fn a_restart_before_anyone_noticed_is_no_death() {
    for seed in seeds(30) {
        let mut world = World::settled(3, Timing::DEFAULT, seed);
        world.crash(1);
        world.run(MS(10 + seed * 10));
        world.start(1);
        world.run(MS(500));
        assert_eq!(world.deaths(), [], "{}", world.story());
        world.assert_agreement();
    }
}

#[test]
fn a_restart_after_a_death_waits_out_the_hold_down() {
    for seed in seeds(30) {
        let mut world = World::settled(3, Timing::DEFAULT, seed);
        world.crash(1);
        world.run(MS(1_000 + seed * 10));
        world.start(1);
        world.run(MS(4_900));
        assert_eq!(world.nodes[0].candidates, world.names([0, 2]), "{}", world.story());
        world.run(MS(400));
        world.assert_agreement();
        assert_eq!(world.deaths().len(), 2, "{}", world.story());
    }
}

#[test]
fn a_stopped_observer_accuses_nobody() {
    for seed in seeds(60) {
        let mut world = World::settled(3, Timing::DEFAULT, seed);
        world.pause(0, MS(100 * seed));
        world.run(MS(100 * seed) + SETTLING);
        let by_observer = world.deaths().into_iter().filter(|(_, who, _)| *who == 0).count();
        assert_eq!(by_observer, 0, "{}", world.story());
        world.assert_agreement();
        assert!(longest_dark(&world) < D + MS(100), "{}", world.story());
    }
}

#[test]
fn an_observer_stopped_while_a_peer_dies_still_notices() {
    for seed in seeds(40) {
        let mut world = World::settled(3, Timing::DEFAULT, seed);
        world.crash(2);
        world.run(MS(seed * 10));
        world.pause(0, MS(300));
        world.run(MS(300) + D * 3);
        assert_eq!(world.nodes[0].candidates, world.names([0, 1]), "{}", world.story());
    }
}

#[test]
fn a_machine_that_stops_whole_kills_nobody() {
    for seed in seeds(20) {
        let mut world = World::settled(4, Timing::DEFAULT, seed);
        (0..4).for_each(|index| world.pause(index, MS(200 * seed + 3 * index as u64)));
        world.run(MS(200 * seed) + SETTLING);
        assert_eq!(world.deaths(), [], "{}", world.story());
        world.assert_agreement();
    }
}

#[test]
fn a_starved_machine_kills_nobody() {
    for seed in seeds(4) {
        let mut world = World::settled(5, Timing::DEFAULT, seed);
        (world.late, world.loss) = (MS(300), 50);
        world.run(MS(120_000));
        assert_eq!(world.deaths(), [], "{}", world.story());
    }
}

#[rstest]
#[case::deaf_one_way(&[(1, 0)], false)]
#[case::deaf_both_ways(&[(1, 0), (0, 1)], false)]
#[case::cut(&[(1, 0), (0, 1)], true)]
fn a_path_that_breaks_is_no_death(#[case] paths: &[(usize, usize)], #[case] lan: bool) {
    for seed in seeds(20) {
        let mut world = World::settled(3, Timing::DEFAULT, seed);
        world.deaf.extend(paths);
        if lan {
            world.cut.extend(paths);
        }
        world.run(MS(30_000));
        assert_eq!(world.deaths(), [], "{}", world.story());
        let monitor = SeenBy::Monitor(world.nodes[2].name.clone());
        let reported = world.log.iter().any(|(_, who, event)| {
            matches!(event, Event::BrokenPath { seen_by, .. } if *who == 0 && *seen_by == monitor)
        });
        assert!(reported, "{}", world.story());
        world.assert_agreement();
        // Behind the broken path a real death still shows.
        world.crash(1);
        world.run(D + MS(200));
        world.assert_agreement();
    }
}

#[test]
fn a_path_blocked_from_the_start_is_bridged() {
    for seed in seeds(10) {
        let mut world = World::new(3, Timing::DEFAULT, seed);
        world.deaf.extend([(0, 1), (1, 0)]);
        world.run(MS(3_000));
        world.assert_agreement();
    }
}

#[test]
fn two_nodes_ask_the_wire() {
    for seed in seeds(20) {
        let mut world = World::settled(2, Timing::DEFAULT, seed);
        world.part(&[0], false);
        world.run(MS(20_000));
        assert_eq!(world.deaths(), [], "{}", world.story());
        world.heal();
        world.crash(1);
        world.run(D + MS(100));
        world.assert_agreement();
    }
}

#[test]
fn an_isolated_node_keeps_what_it_has_and_steps_back_after() {
    for seed in seeds(10) {
        let mut world = World::settled(5, Timing::DEFAULT, seed);
        world.part(&[2], true);
        world.run(MS(5_000 + seed * 30));
        assert_eq!(world.nodes[2].candidates, world.names(0..5), "{}", world.story());
        assert_eq!(world.nodes[0].candidates, world.names([0, 1, 3, 4]), "{}", world.story());
        world.heal();
        world.run(MS(300));
        assert_eq!(world.nodes[2].candidates, world.names([0, 1, 3, 4]), "{}", world.story());
        world.run(SETTLING);
        world.assert_agreement();
        assert!(longest_dark(&world) < D + MS(100), "{}", world.story());
    }
}

#[rstest]
#[case::one_and_one(2, &[0], 30)]
#[case::one_and_two(3, &[0], 30)]
#[case::two_and_two(4, &[0, 1], 20)]
#[case::three_and_two(5, &[1, 3], 10)]
#[case::four_and_four(8, &[0, 2, 4, 6], 4)]
fn halves_that_meet_again(#[case] count: usize, #[case] side: &[usize], #[case] runs: u64) {
    for lan in [false, true] {
        for seed in seeds(runs) {
            let mut world = World::settled(count, Timing::DEFAULT, seed);
            world.part(side, lan);
            world.run(MS(3_000 + seed * 13));
            world.heal();
            world.dark.fill((Duration::ZERO, None));
            world.run(SETTLING);
            world.assert_agreement();
            assert!(longest_dark(&world) < MS(20), "{lan} {}", world.story());
        }
    }
}

/// Who hears less than half believes the wire alone, and it answers.
#[rstest]
#[case::two_and_two(4, &[0, 1])]
#[case::four_and_four(8, &[0, 2, 4, 6])]
fn equal_halves_on_one_lan_kill_nobody(#[case] count: usize, #[case] side: &[usize]) {
    for seed in seeds(5) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        world.part(side, false);
        world.run(MS(10_000));
        assert_eq!(world.deaths(), [], "{}", world.story());
        world.assert_agreement();
    }
}

#[test]
fn a_held_node_serves_when_nobody_else_does() {
    for seed in seeds(20) {
        let mut world = World::settled(2, Timing::DEFAULT, seed);
        world.pause(0, MS(2_000));
        world.run(MS(2_100));
        assert_eq!(world.nodes[0].candidates, world.names([1]), "{}", world.story());
        world.crash(1);
        world.run(D + MS(400));
        assert_eq!(world.nodes[0].candidates, world.names([0]), "{}", world.story());
    }
}

#[rstest]
#[case::two(2)]
#[case::three(3)]
#[case::eight(8)]
fn a_leaver_stops_when_it_is_replaced(#[case] count: usize) {
    for seed in seeds(48 / count as u64) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        world.loss = if seed % 2 == 0 { 0 } else { 200 };
        world.drain(0);
        world.run(MS(201));
        assert!(world.nodes[0].released, "{}", world.story());
        if world.loss == 0 {
            let confirmed = Event::Released { confirmed: true };
            assert!(world.log.iter().any(|(_, _, event)| *event == confirmed), "{}", world.story());
            assert_eq!(longest_dark(&world), Duration::ZERO, "{}", world.story());
        }
        world.crash(0);
        world.run(MS(3_000));
        assert_eq!(world.deaths(), [], "{}", world.story());
        world.assert_agreement();
        world.start(0);
        world.run(MS(1_000));
        world.assert_agreement();
    }
}

#[test]
fn coming_back_names_what_was_before() {
    let mut world = World::settled(3, Timing::DEFAULT, 1);
    world.pause(1, MS(2_000));
    world.run(MS(2_000) + SETTLING);
    let back = |world: &World, who: usize, previous: Previous| {
        let name = world.nodes[1].name.clone();
        let wanted = Event::PeerBack { peer: name, previous };
        world.log.iter().any(|(_, at, event)| *at == who && *event == wanted)
    };
    assert!(back(&world, 0, Previous::Dead) && back(&world, 2, Previous::Dead));
    let refuted = |(_, who, event): &(Duration, usize, Event)| {
        *who == 1 && matches!(event, Event::Refuted { held: true, .. })
    };
    assert!(world.log.iter().any(refuted), "{}", world.story());
}

/// Faults at random, then quiet: all agree, and until then an address is dark only as long as it
/// takes to notice one death after another.
#[rstest]
#[case::two(2, 60)]
#[case::three(3, 40)]
#[case::five(5, 15)]
#[case::eight(8, 5)]
fn chaos_settles(#[case] count: usize, #[case] runs: u64) {
    for seed in seeds(runs) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        chaos(&mut world, seed, 12, 2_500);
        stays_put(&mut world, MS(20_000));
    }
}

/// So many faults at random, each for less than so many milliseconds; then all is well, and all agree.
fn chaos(world: &mut World, seed: u64, faults: u32, longest: u64) {
    world.loss = if seed.is_multiple_of(3) { 50 } else { 0 };
    for _ in 0..faults {
        disturb(world);
        let time = world.below(longest);
        world.run(MS(time));
    }
    world.heal();
    world.loss = 0;
    for index in 0..world.nodes.len() {
        if !world.is_up(index) {
            world.start(index);
        }
    }
    world.run(MS(3_000) + SETTLING);
    world.assert_agreement();
}

fn stays_put(world: &mut World, time: Duration) {
    let moves = world.moves;
    world.run(time);
    assert_eq!(world.moves, moves, "{}", world.story());
}

fn disturb(world: &mut World) {
    let count = world.nodes.len() as u64;
    let index = usize::try_from(world.below(count)).unwrap();
    let other = usize::try_from(world.below(count)).unwrap();
    match world.below(7) {
        0 if world.is_up(index) => world.crash(index),
        0 => world.start(index),
        1 | 2 if world.is_up(index) => {
            let time = world.below(3_000);
            world.pause(index, MS(time));
        }
        3 => {
            world.deaf.insert((index, other));
        }
        4 => world.part(&[index], true),
        5 => world.part(&[index, other], false),
        _ => world.heal(),
    }
}

/// Whatever happens to the others: one node that is never disturbed keeps every address answered
/// but for the time it takes to notice that two owners died one after the other.
#[rstest]
#[case::two(2, 40)]
#[case::three(3, 40)]
#[case::five(5, 10)]
fn one_healthy_node_keeps_the_light_on(#[case] count: usize, #[case] runs: u64) {
    for seed in seeds(runs) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        for _ in 0..20 {
            let index = 1 + usize::try_from(world.below(count as u64 - 1)).unwrap();
            match world.below(3) {
                0 if world.is_up(index) => world.crash(index),
                1 if world.is_up(index) => {
                    let time = world.below(2_000);
                    world.pause(index, MS(time));
                }
                _ if !world.is_up(index) => world.start(index),
                _ => {}
            }
            let time = world.below(2_000);
            world.run(MS(time));
        }
        assert!(longest_dark(&world) < MS(3_200), "{}", world.story());
    }
}
