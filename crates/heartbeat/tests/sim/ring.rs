//! Above eight members: everything that is known of most peers was told by others.

use std::collections::BTreeSet;
use std::time::Duration;

use ferrolb_heartbeat::{Event, NodeHash, Timing};
use rstest::rstest;

use crate::world::{MS, World};
use crate::{D, SETTLING, chaos, longest_dark, seeds, stays_put};

/// Monitors of a node.
const K: u64 = 3;

/// `first` and those that follow it on the ring.
fn neighbours(world: &World, first: usize) -> Vec<usize> {
    let hash = |index: &usize| NodeHash::of(&world.nodes[*index].name);
    let mut order: Vec<usize> = (0..world.nodes.len()).collect();
    order.sort_by_key(hash);
    let at = order.iter().position(|index| *index == first).unwrap();
    order.rotate_left(at);
    order
}

#[rstest]
#[case::nine(9, 8)]
#[case::twenty(20, 8)]
#[case::a_hundred(100, 2)]
fn a_ring_finds_itself(#[case] count: usize, #[case] runs: u64) {
    for seed in seeds(runs) {
        let mut world = World::new(count, Timing::DEFAULT, seed);
        world.run(MS(2_500));
        world.assert_agreement();
    }
}

#[rstest]
#[case::nine(9)]
#[case::a_hundred(100)]
fn at_rest_a_node_sends_a_beat_to_each_monitor(#[case] count: usize) {
    let mut world = World::settled(count, Timing::DEFAULT, 1);
    world.run(MS(1_000));
    assert_rest(&mut world, 20);
}

/// Every node sends one beat to each monitor and interval, and nothing happens.
fn assert_rest(world: &mut World, intervals: u64) {
    let count = world.nodes.len();
    let before: Vec<u64> = (0..count).map(|index| world.sent(index)).collect();
    world.run(MS(100 * intervals));
    for (index, before) in before.into_iter().enumerate() {
        let sent = world.sent(index) - before;
        let right = (intervals - 1) * K..=intervals * K;
        assert!(right.contains(&sent), "node-{index} sent {sent} {}", world.story());
    }
    assert_eq!(world.log.len(), 0, "{}", world.story());
}

/// All that a large cluster is for, in one world: to find itself is most of the work.
#[test]
fn five_hundred() {
    let count = 500;
    for seed in seeds(1) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        assert_rest(&mut world, 5);
        let mut left = count;
        for _ in 0..2 {
            world.log.clear();
            let dead = usize::try_from(world.below(count as u64)).unwrap();
            if !world.is_up(dead) {
                continue;
            }
            world.crash(dead);
            left -= 1;
            world.run(D + MS(100));
            assert_eq!(world.deaths().len(), left, "{}", world.story());
            world.assert_agreement();
        }
        world.log.clear();
        let leaver = (0..count).find(|index| world.is_up(*index)).unwrap();
        world.drain(leaver);
        world.run(MS(201));
        let confirmed = Event::Released { confirmed: true };
        assert!(world.log.iter().any(|(_, _, event)| *event == confirmed), "{}", world.story());
    }
}

#[rstest]
#[case::nine(9, 0, 12, 100)]
#[case::twenty(20, 0, 12, 100)]
#[case::a_hundred(100, 0, 4, 100)]
#[case::nine_lossy(9, 100, 12, 200)]
#[case::a_hundred_lossy(100, 100, 2, 200)]
fn all_hear_of_a_death(
    #[case] count: usize,
    #[case] loss: u64,
    #[case] runs: u64,
    #[case] beyond: u64,
) {
    for seed in seeds(runs) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        world.loss = loss;
        world.run(MS(300 + seed * 7));
        world.log.clear();
        let dead = usize::try_from(world.below(count as u64)).unwrap();
        world.crash(dead);
        world.run(D + MS(beyond));
        assert_eq!(world.deaths().len(), count - 1, "{}", world.story());
        world.assert_agreement();
    }
}

#[rstest]
#[case::twenty(20, 1, 180)]
#[case::a_hundred(100, 1, 30)]
fn nobody_on_the_ring_dies_of_one_loss_in_five(
    #[case] count: usize,
    #[case] runs: u64,
    #[case] seconds: u64,
) {
    for seed in seeds(runs) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        (world.loss, world.jitter) = (200, MS(5));
        world.run(Duration::from_secs(seconds));
        assert_eq!(world.deaths(), [], "{}", world.story());
        assert_eq!(longest_dark(&world), Duration::ZERO, "{}", world.story());
        let silent = |event: &Event| matches!(event, Event::PeerSilent { .. });
        let silences = world.log.iter().filter(|(_, _, event)| silent(event)).count();
        assert!(silences <= 2, "{silences} {}", world.story());
    }
}

#[test]
fn a_starved_ring_kills_nobody() {
    for seed in seeds(2) {
        let mut world = World::settled(20, Timing::DEFAULT, seed);
        (world.late, world.loss) = (MS(300), 50);
        world.run(MS(60_000));
        assert_eq!(world.deaths(), [], "{}", world.story());
    }
}

#[test]
fn a_ring_that_stops_whole_kills_nobody() {
    for seed in seeds(5) {
        let mut world = World::settled(20, Timing::DEFAULT, seed);
        (0..20).for_each(|index| world.pause(index, MS(200 * seed + 3 * index as u64)));
        world.run(MS(200 * seed) + SETTLING);
        assert_eq!(world.deaths(), [], "{}", world.story());
        world.assert_agreement();
    }
}

#[rstest]
#[case::with_one_monitor(20, 2, 10)]
#[case::with_two_monitors(20, 3, 10)]
#[case::with_all_monitors(20, 4, 10)]
#[case::with_two_of_a_hundred(100, 3, 3)]
fn neighbours_die_together(#[case] count: usize, #[case] dead: usize, #[case] runs: u64) {
    for seed in seeds(runs) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        let first = usize::try_from(world.below(count as u64)).unwrap();
        for index in neighbours(&world, first).into_iter().take(dead) {
            world.crash(index);
        }
        world.run(MS(2_000));
        world.assert_agreement();
    }
}

#[rstest]
#[case::half(20, 10, 6)]
#[case::all_but_one(12, 11, 6)]
#[case::half_of_a_hundred(100, 50, 2)]
fn many_die_together(#[case] count: usize, #[case] dead: usize, #[case] runs: u64) {
    for seed in seeds(runs) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        (0..dead).for_each(|index| world.crash(index));
        world.run(MS(2_500));
        world.assert_agreement();
    }
}

#[test]
fn a_node_that_was_away_is_replaced_and_steps_back() {
    for seed in seeds(10) {
        let mut world = World::settled(20, Timing::DEFAULT, seed);
        world.pause(3, MS(1_000 + 20 * seed));
        world.run(MS(1_000 + 20 * seed) + MS(200));
        let others = world.names((0..20).filter(|index| *index != 3));
        assert_eq!(world.nodes[0].candidates, others, "{}", world.story());
        assert_eq!(world.nodes[3].candidates, others, "{}", world.story());
        world.run(SETTLING);
        world.assert_agreement();
        assert_eq!(world.deaths().len(), 19, "{}", world.story());
        assert!(longest_dark(&world) < D + MS(100), "{}", world.story());
    }
}

#[test]
fn a_stopped_watcher_on_the_ring_accuses_nobody() {
    for seed in seeds(20) {
        let mut world = World::settled(12, Timing::DEFAULT, seed);
        world.pause(0, MS(150 * seed));
        world.run(MS(150 * seed) + SETTLING);
        let by_watcher = world.deaths().into_iter().filter(|(_, who, _)| *who == 0).count();
        assert_eq!(by_watcher, 0, "{}", world.story());
        world.assert_agreement();
        assert!(longest_dark(&world) < D + MS(100), "{}", world.story());
    }
}

#[rstest]
#[case::one_way(false)]
#[case::both_ways(true)]
fn a_watcher_that_cannot_hear_its_ward_is_told(#[case] both: bool) {
    for seed in seeds(5) {
        let mut world = World::settled(12, Timing::DEFAULT, seed);
        let order = neighbours(&world, 0);
        world.deaf.insert((order[0], order[1]));
        if both {
            world.deaf.insert((order[1], order[0]));
        }
        world.run(MS(20_000));
        assert_eq!(world.deaths(), [], "{}", world.story());
        let broken = |event: &Event| matches!(event, Event::BrokenPath { .. });
        assert!(world.log.iter().any(|(_, _, event)| broken(event)), "{}", world.story());
        world.assert_agreement();
        world.crash(order[0]);
        world.run(D + MS(250));
        world.assert_agreement();
    }
}

#[test]
fn an_isolated_node_of_the_ring_steps_back_after() {
    for seed in seeds(6) {
        let mut world = World::settled(20, Timing::DEFAULT, seed);
        world.part(&[2], true);
        world.run(MS(5_000 + seed * 30));
        let others = world.names((0..20).filter(|index| *index != 2));
        assert_eq!(world.nodes[2].candidates, world.names(0..20), "{}", world.story());
        assert_eq!(world.nodes[0].candidates, others, "{}", world.story());
        world.heal();
        world.run(MS(400));
        assert_eq!(world.nodes[2].candidates, others, "{}", world.story());
        world.run(SETTLING);
        world.assert_agreement();
        assert!(longest_dark(&world) < D + MS(100), "{}", world.story());
    }
}

#[rstest]
#[case::every_other(20, false, 3)]
#[case::arcs(20, true, 3)]
#[case::odd(15, false, 3)]
#[case::of_a_hundred(100, false, 1)]
fn halves_of_the_ring_meet_again(#[case] count: usize, #[case] arcs: bool, #[case] runs: u64) {
    for lan in [false, true] {
        for seed in seeds(runs) {
            let mut world = World::settled(count, Timing::DEFAULT, seed);
            let side: Vec<usize> = if arcs {
                neighbours(&world, 0).into_iter().take(count / 2).collect()
            } else {
                (0..count).step_by(2).collect()
            };
            world.part(&side, lan);
            world.run(MS(6_000 + seed * 13));
            if !lan {
                assert!(longest_dark(&world) < D + MS(100), "{}", world.story());
            }
            if lan {
                for index in 0..count {
                    let mine = side.contains(&index);
                    let near = (0..count).filter(|other| side.contains(other) == mine);
                    let near = world.names(near);
                    assert_eq!(world.nodes[index].candidates, near, "{}", world.story());
                }
            }
            world.heal();
            world.dark.fill((Duration::ZERO, None));
            world.run(SETTLING);
            world.assert_agreement();
            assert!(longest_dark(&world) < MS(20), "{lan} {}", world.story());
        }
    }
}

#[test]
fn a_cut_off_minority_becomes_a_cluster_of_its_own() {
    for seed in seeds(4) {
        let mut world = World::settled(20, Timing::DEFAULT, seed);
        world.part(&[2, 7], true);
        world.run(MS(5_000));
        let few = world.names([2, 7]);
        assert!(
            [2, 7].iter().all(|index| world.nodes[*index].candidates == few),
            "{}",
            world.story()
        );
        world.heal();
        world.run(SETTLING);
        world.assert_agreement();
    }
}

#[rstest]
#[case::nine(9, 10)]
#[case::twenty(20, 6)]
#[case::a_hundred(100, 2)]
fn a_leaver_of_the_ring_stops_when_it_is_replaced(#[case] count: usize, #[case] runs: u64) {
    for seed in seeds(runs) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        world.loss = if seed % 2 == 0 { 0 } else { 100 };
        world.drain(0);
        world.run(MS(201));
        assert!(world.nodes[0].released, "{}", world.story());
        assert_eq!(longest_dark(&world), Duration::ZERO, "{}", world.story());
        if world.loss == 0 {
            let confirmed = Event::Released { confirmed: true };
            assert!(world.log.iter().any(|(_, _, event)| *event == confirmed), "{}", world.story());
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

#[rstest]
#[case::twenty(20, 20, 2)]
#[case::a_hundred(100, 15, 1)]
fn a_rolling_restart_leaves_nothing_dark(
    #[case] count: usize,
    #[case] restarts: usize,
    #[case] runs: u64,
) {
    for seed in seeds(runs) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        for index in 0..restarts {
            world.drain(index);
            world.run(MS(201));
            world.crash(index);
            let time = world.below(1_500);
            world.run(MS(time));
            world.start(index);
            world.run(MS(700));
        }
        world.run(MS(1_000));
        world.assert_agreement();
        assert_eq!(world.deaths(), [], "{}", world.story());
        assert_eq!(longest_dark(&world), Duration::ZERO, "{}", world.story());
    }
}

#[test]
fn a_restart_after_a_death_on_the_ring_waits_out_the_hold_down() {
    for seed in seeds(10) {
        let mut world = World::settled(20, Timing::DEFAULT, seed);
        world.crash(1);
        world.run(MS(1_000 + seed * 10));
        world.start(1);
        world.run(MS(4_900));
        let others = world.names((0..20).filter(|index| *index != 1));
        assert_eq!(world.nodes[0].candidates, others, "{}", world.story());
        world.run(MS(700));
        world.assert_agreement();
        assert_eq!(world.deaths().len(), 19, "{}", world.story());
    }
}

#[test]
fn a_crashed_node_of_the_ring_that_is_back_before_anyone_noticed_is_no_death() {
    for seed in seeds(20) {
        let mut world = World::settled(12, Timing::DEFAULT, seed);
        world.crash(1);
        world.run(MS(10 + seed * 15));
        world.start(1);
        world.run(MS(1_000));
        assert_eq!(world.deaths(), [], "{}", world.story());
        world.assert_agreement();
    }
}

/// The list reaches each node at another time; the number of members passes eight and comes back.
#[rstest]
#[case::through_the_threshold(6, 14, 4)]
#[case::on_the_ring(20, 30, 2)]
#[case::many(90, 100, 1)]
fn members_come_and_go(#[case] few: usize, #[case] many: usize, #[case] runs: u64) {
    for seed in seeds(runs) {
        let mut world = World::stopped(many, Timing::DEFAULT, seed);
        world.members = (0..few).collect();
        (0..few).for_each(|index| world.start(index));
        world.run(MS(3_000));
        world.assert_agreement();
        world.dark.fill((Duration::ZERO, None));
        for index in few..many {
            world.members.insert(index);
            world.start(index);
            announce_list(&mut world);
        }
        world.run(MS(2_000));
        world.assert_agreement();
        for index in few..many {
            world.drain(index);
            world.run(MS(201));
            world.crash(index);
            world.members.remove(&index);
            announce_list(&mut world);
        }
        world.run(MS(2_000));
        world.assert_agreement();
        assert_eq!(world.deaths(), [], "{}", world.story());
        assert_eq!(longest_dark(&world), Duration::ZERO, "{}", world.story());
    }
}

fn announce_list(world: &mut World) {
    let mut waiting: BTreeSet<usize> = (0..world.nodes.len()).collect();
    while !waiting.is_empty() {
        let share = world.below(4) + 1;
        for index in waiting.clone() {
            if world.below(share + 1) == 0 || waiting.len() < 3 {
                waiting.remove(&index);
                world.list(index);
            }
        }
        world.run(MS(40));
    }
}

/// A node that has not heard of a member yet, or still knows one that is gone, disturbs nobody.
#[test]
fn lists_that_differ_for_long_disturb_nobody() {
    for seed in seeds(4) {
        let mut world = World::settled(20, Timing::DEFAULT, seed);
        world.members.remove(&0);
        (1..10).for_each(|index| world.list(index));
        world.run(MS(10_000));
        assert_eq!(world.deaths().into_iter().filter(|(_, who, _)| *who != 0).count(), 0);
        world.members.insert(0);
        (1..10).for_each(|index| world.list(index));
        world.run(MS(3_000) + SETTLING);
        world.assert_agreement();
        assert_eq!(longest_dark(&world), Duration::ZERO, "{}", world.story());
    }
}

#[rstest]
#[case::ten(10, 4)]
#[case::twenty(20, 2)]
fn chaos_on_the_ring_settles(#[case] count: usize, #[case] runs: u64) {
    for seed in seeds(runs) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        chaos(&mut world, seed, 16, 2_000);
        stays_put(&mut world, MS(10_000));
    }
}
