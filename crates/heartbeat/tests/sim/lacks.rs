//! What a node lacks is known to all others at once, and to whoever comes later.

use ferrolb_heartbeat::{MAX_LACKS, Timing};
use rstest::rstest;

use crate::seeds;
use crate::world::{MS, World};

#[rstest]
#[case::two(2, 0, 2, 20)]
#[case::three(3, 0, 2, 20)]
#[case::eight(8, 0, 2, 10)]
#[case::three_lossy(3, 100, 600, 20)]
#[case::nine(9, 0, 60, 5)]
#[case::a_hundred(100, 0, 60, 2)]
#[case::a_hundred_lossy(100, 100, 1_000, 2)]
fn all_know(#[case] count: usize, #[case] loss: u64, #[case] within: u64, #[case] runs: u64) {
    for seed in seeds(runs) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        world.loss = loss;
        world.run(MS(seed * 7));
        for lacks in [&[1, u64::MAX][..], &[1], &[]] {
            world.set_lacks(0, lacks);
            world.run(MS(within));
            world.assert_lacks(0, lacks);
        }
        world.assert_agreement();
    }
}

#[rstest]
#[case::mesh(3)]
#[case::ring(20)]
fn who_comes_later_hears_of_it(#[case] count: usize) {
    for seed in seeds(5) {
        let mut world = World::settled(count, Timing::DEFAULT, seed);
        let many: Vec<u64> = (0..MAX_LACKS as u64 + 4).collect();
        for index in 0..count - 1 {
            world.set_lacks(index, &many);
        }
        world.run(MS(3_000));
        world.crash(count - 1);
        world.run(MS(1_000));
        world.start(count - 1);
        world.run(MS(3_000));
        for index in 0..count - 1 {
            world.assert_lacks(index, &many[..MAX_LACKS]);
        }
        // A new life lacks only what it says.
        world.crash(0);
        world.run(MS(1_000));
        world.start(0);
        world.run(MS(7_000));
        world.assert_lacks(0, &[]);
        world.assert_agreement();
    }
}
