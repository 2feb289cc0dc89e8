//! Nodes that go by different profiles, as while a flag is changed node by node.

use std::time::Duration;

use ferrolb_heartbeat::Timing;
use rstest::rstest;

use crate::world::{MS, World};
use crate::{D, longest_dark, seeds};

/// The first `fast` of `count` nodes go by the fast profile.
fn mk_mixed(count: usize, fast: usize, seed: u64) -> World {
    let profile = |index| if index < fast { Timing::FAST } else { Timing::DEFAULT };
    let mut world = World::mixed((0..count).map(profile).collect(), seed);
    world.run(MS(3_000));
    world.assert_agreement();
    world.log.clear();
    world
}

#[rstest]
#[case::two(2, 1, 4)]
#[case::one_of_three(3, 1, 3)]
#[case::two_of_three(3, 2, 3)]
#[case::half_of_eight(8, 4, 1)]
#[case::half_of_a_ring(12, 6, 1)]
fn nobody_dies_of_another_profile(#[case] count: usize, #[case] fast: usize, #[case] runs: u64) {
    for seed in seeds(runs) {
        let mut world = mk_mixed(count, fast, seed);
        (world.loss, world.jitter) = (50, MS(5));
        world.run(Duration::from_mins(1));
        assert_eq!(world.deaths(), [], "{}", world.story());
        assert_eq!(longest_dark(&world), Duration::ZERO, "{}", world.story());
    }
}

#[rstest]
#[case::two(2, 1)]
#[case::one_of_three(3, 1)]
#[case::two_of_three(3, 2)]
#[case::half_of_eight(8, 4)]
#[case::half_of_a_ring(12, 6)]
fn the_slowest_notices_as_if_all_were_slow(#[case] count: usize, #[case] fast: usize) {
    for seed in seeds(20) {
        for dead in [0, count - 1] {
            let mut world = mk_mixed(count, fast, seed);
            world.run(MS(seed * 7));
            world.crash(dead);
            world.run(D + MS(100));
            world.assert_agreement();
        }
    }
}
