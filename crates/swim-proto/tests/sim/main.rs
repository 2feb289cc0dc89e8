//! Clusters of our own members in virtual time. `SWIM_SIM_SEED=n` replays one seed.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test may")]

mod world;

use std::time::Duration;

use ferrolb_swim_proto::{Event, State, Timing};
use rstest::rstest;

use crate::world::{MS, World};

const LAN: Timing = Timing::LAN;

#[expect(clippy::disallowed_methods, reason = "a failing seed is replayed from the environment")]
fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("SWIM_SIM_SEED") {
        Ok(seed) => vec![seed.parse().expect("SWIM_SIM_SEED is a number")],
        Err(_) => (1..=count).collect(),
    }
}

fn dead(event: &Event) -> bool {
    matches!(event, Event::Dead { .. })
}

fn suspect(event: &Event) -> bool {
    matches!(event, Event::Suspect { .. })
}

#[rstest]
#[case::two(2, 500)]
#[case::three(3, 700)]
#[case::ten(10, 1_500)]
#[case::fifty(50, 3_000)]
fn a_cluster_finds_itself_through_one_seed(#[case] count: usize, #[case] within: u64) {
    for seed in seeds(if count > 10 { 2 } else { 10 }) {
        let mut world = World::new(count, LAN, seed);
        for index in 1..count {
            world.join(index, 0);
        }
        world.run_until(MS(within), World::is_whole);
        let member = world.nodes[1].member.as_ref().unwrap().member("n00").unwrap();
        assert_eq!((&*member.meta, member.state), (&[0, 0, 0][..], State::Alive));
    }
}

#[test]
fn steady_means_silent() {
    for seed in seeds(4) {
        let mut world = World::settled(5, LAN, seed);
        let sent = world.sent;
        world.run(Duration::from_mins(10));
        assert_eq!(world.log, [], "{}", world.story());
        // A ping and an ack per node and second, an exchange of states in thirty.
        let per_node = (world.sent - sent) / 5 / 600;
        assert!(per_node <= 3, "{per_node} a second");
    }
}

// layer2.md 5.6: mean of detection by a survivor, simulated and measured there.
#[rstest]
#[case::two(2, 5.84, 30)]
#[case::three(3, 5.71, 30)]
#[case::four(4, 5.80, 30)]
#[case::ten(10, 5.99, 16)]
#[case::thirty(30, 7.98, 5)]
fn a_death_is_noticed_in_the_time_of_the_arithmetic(
    #[case] count: usize,
    #[case] upstream: f64,
    #[case] runs: u64,
) {
    let (mut total, mut noticed) = (Duration::ZERO, 0_u32);
    for seed in seeds(runs) {
        let mut world = World::settled(count, LAN, seed);
        let at = world.now;
        world.crash(0);
        world.run_until(MS(20_000), World::is_whole);
        assert_eq!(world.count(dead), count - 1, "{}", world.story());
        for (when, ..) in world.log.iter().filter(|(_, _, event)| dead(event)) {
            let time = when.saturating_sub(at);
            assert!(time >= MS(5_000), "{time:?} {}", world.story());
            (total, noticed) = (total + time, noticed + 1);
        }
    }
    let mean = (total / noticed).as_secs_f64();
    assert!((mean - upstream).abs() < 0.8, "{mean} instead of {upstream}");
    println!("{count} nodes: {mean:.2} s, upstream {upstream:.2} s");
}

#[rstest]
#[case::of_five(5, 2)]
#[case::of_ten(10, 3)]
fn several_die_together(#[case] count: usize, #[case] crashed: usize) {
    for seed in seeds(8) {
        let mut world = World::settled(count, LAN, seed);
        (0..crashed).for_each(|index| world.crash(index));
        world.run_until(MS(20_000), World::is_whole);
    }
}

#[rstest]
#[case::three(3, 100)]
#[case::five(5, 150)]
#[case::ten(10, 100)]
fn nobody_dies_of_loss(#[case] count: usize, #[case] loss: u64) {
    for seed in seeds(3) {
        let mut world = World::settled(count, LAN, seed);
        world.loss = loss;
        world.run(Duration::from_mins(5));
        assert_eq!(world.count(dead), 0, "{}", world.story());
    }
}

#[test]
fn a_pause_is_suspected_and_refuted() {
    for seed in seeds(10) {
        let mut world = World::settled(5, LAN, seed);
        world.cut = (1..5).flat_map(|other| [(0, other), (other, 0)]).collect();
        world.run_until(MS(6_000), |world| {
            world.log.iter().any(|(_, index, event)| *index != 0 && suspect(event))
        });
        world.cut.clear();
        world.run(MS(8_000));
        assert_eq!(world.count(dead), 0, "{}", world.story());
        assert!(world.count(|event| matches!(event, Event::Recovered { .. })) > 0);
        assert!(world.count(|event| matches!(event, Event::Refuted { .. })) > 0);
        world.assert_whole();
    }
}

#[test]
fn a_broken_path_is_bridged_by_others() {
    for seed in seeds(6) {
        let mut world = World::settled(4, LAN, seed);
        world.cut.extend([(0, 1), (1, 0)]);
        world.run(Duration::from_mins(2));
        assert_eq!(world.count(dead) + world.count(suspect), 0, "{}", world.story());
    }
}

#[test]
fn a_member_without_datagrams_is_told_once_and_lives() {
    for seed in seeds(6) {
        let mut world = World::settled(2, LAN, seed);
        world.blocked.extend([(0, 1), (1, 0)]);
        world.run(MS(30_000));
        let blocked = world.count(|event| matches!(event, Event::DatagramsBlocked { .. }));
        assert_eq!((blocked, world.count(suspect)), (2, 0), "{}", world.story());
    }
}

#[rstest]
#[case::even(6, 3)]
#[case::one_alone(3, 1)]
fn halves_that_part_and_meet_again(#[case] count: usize, #[case] cut: usize) {
    for seed in seeds(6) {
        let mut world = World::settled(count, LAN, seed);
        world.partition(cut);
        world.run(MS(22_000));
        assert_eq!((world.usable(0).len(), world.usable(count - 1).len()), (cut, count - cut));
        world.cut.clear();
        // Within the time that the dead are gossiped to, or else by joining again.
        for index in 0..count {
            world.join(index, (index + cut) % count);
        }
        world.run_until(MS(4_000), World::is_whole);
    }
}

#[test]
fn a_partition_longer_than_memory_heals_by_joining() {
    for seed in seeds(4) {
        let mut world = World::settled(4, LAN, seed);
        world.partition(2);
        world.run(MS(120_000));
        assert!(world.nodes[0].member.as_ref().unwrap().member("n03").is_none());
        world.cut.clear();
        world.join(0, 3);
        world.run_until(MS(5_000), World::is_whole);
    }
}

#[rstest]
#[case::two(2)]
#[case::three(3)]
#[case::ten(10)]
fn a_leave_is_known_at_once(#[case] count: usize) {
    for seed in seeds(6) {
        let mut world = World::settled(count, LAN, seed);
        world.leave(0);
        world.run(MS(5));
        let left = world.count(|event| matches!(event, Event::Left { node } if &**node == "n00"));
        assert_eq!(left, count - 1, "{}", world.story());
        world.run_until(MS(1_100), |world| {
            world.count(|event| matches!(event, Event::Departed { .. })) == 1
        });
        world.crash(0);
        world.run(MS(40_000));
        assert_eq!(world.count(dead) + world.count(suspect), 0, "{}", world.story());
    }
}

#[test]
fn alone_one_leaves_at_once() {
    let mut world = World::new(1, LAN, 1);
    world.leave(0);
    assert_eq!(world.log.last().unwrap().2, Event::Departed { complete: true });
}

#[rstest]
#[case::after_a_leave(true)]
#[case::after_a_crash(false)]
fn a_restart_is_admitted_within_a_round(#[case] leaves: bool) {
    for seed in seeds(8) {
        let mut world = World::settled(3, LAN, seed);
        if leaves {
            world.leave(0);
        }
        world.run(MS(300));
        world.crash(0);
        // Seen dead, not seen dead yet, and forgotten: all must work.
        world.run(MS(500 + seed * 5_500));
        world.start(0);
        world.join(0, 1);
        world.run_until(MS(2_500), World::is_whole);
    }
}

#[test]
fn a_dead_node_comes_back_with_another_address_when_it_is_forgotten() {
    for seed in seeds(4) {
        let mut world = World::settled(3, LAN, seed);
        world.crash(0);
        world.run(MS(10_000));
        world.nodes[0].address = "10.0.0.77:7946".parse().unwrap();
        world.start(0);
        world.join(0, 1);
        world.run(MS(2_000));
        // Upstream's rule: the dead keep their address until they are forgotten.
        assert!(!world.usable(1).contains("n00"), "{}", world.story());
        assert!(world.count(|event| matches!(event, Event::Conflict { .. })) > 0);
        world.crash(0);
        world.run(MS(40_000));
        world.start(0);
        world.join(0, 1);
        world.run_until(MS(2_500), World::is_whole);
        let known = world.nodes[2].member.as_ref().unwrap().member("n00").unwrap();
        assert_eq!(known.address.to_string(), "10.0.0.77:7946");
    }
}

#[test]
fn a_left_node_comes_back_with_another_address_at_once() {
    for seed in seeds(4) {
        let mut world = World::settled(3, LAN, seed);
        world.leave(0);
        world.run(MS(1_000));
        world.crash(0);
        world.nodes[0].address = "10.0.0.77:7946".parse().unwrap();
        world.start(0);
        world.join(0, 1);
        world.run_until(MS(2_000), World::is_whole);
    }
}

#[test]
fn replayed_datagrams_change_nothing() {
    for seed in seeds(3) {
        let mut world = World::new(4, LAN, seed);
        world.recording = Some(Vec::new());
        (1..4).for_each(|index| world.join(index, 0));
        world.run(MS(10_000));
        world.crash(3);
        world.run(MS(60_000));
        world.leave(2);
        world.run(MS(2_000));
        world.crash(2);
        world.run(MS(60_000));
        world.assert_whole();
        world.log.clear();
        // Both are forgotten as members; their old messages must not bring them back.
        let recording = world.recording.take().unwrap();
        for (from, to, bytes) in recording.iter().filter(|(_, to, _)| *to < 2) {
            world.inject(*from, *to, bytes);
            world.run(MS(20));
        }
        world.run(MS(5_000));
        assert_eq!(
            world.count(|event| !matches!(event, Event::Refuted { .. })),
            0,
            "{}",
            world.story()
        );
        world.assert_whole();
    }
}

#[test]
fn recordings_of_former_lives_are_void_with_growing_incarnations() {
    for seed in seeds(3) {
        let mut world = World::new(0, LAN, seed);
        world.clocked = true;
        world.recording = Some(Vec::new());
        (0..3).for_each(|_| world.add());
        (1..3).for_each(|index| world.join(index, 0));
        world.run(MS(8_000));
        world.leave(2);
        world.run(MS(2_000));
        // The whole cluster stops and starts again: nobody remembers anything.
        (0..3).for_each(|index| world.crash(index));
        world.run(MS(2_000));
        (0..3).for_each(|index| world.start(index));
        (1..3).for_each(|index| world.join(index, 0));
        world.run(MS(3_000));
        world.assert_whole();
        world.log.clear();
        for (from, to, bytes) in world.recording.take().unwrap() {
            world.inject(from, to, &bytes);
            world.run(MS(20));
        }
        assert_eq!(world.log, [], "{}", world.story());
        world.assert_whole();
    }
}

#[test]
fn a_restart_with_a_higher_incarnation_needs_no_refutation() {
    for seed in seeds(6) {
        let mut world = World::settled(3, LAN, seed);
        world.crash(0);
        world.run(MS(12_000));
        world.clocked = true;
        world.start(0);
        world.join(0, 1);
        world.run_until(MS(500), World::is_whole);
        assert_eq!(
            world.count(|event| matches!(event, Event::Refuted { .. })),
            0,
            "{}",
            world.story()
        );
    }
}
