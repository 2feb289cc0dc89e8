//! What a stranger on the network may send: nothing of it moves a detector, all of it is counted.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;
use std::time::Duration;

use ferrolb_heartbeat::{
    Config, Detector, Event, FIRST_BYTE, Key, MAX_DATAGRAM, Reject, Timing, View,
};
use proptest::prelude::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A stranger's recording of everything the two nodes sent.
struct Pair {
    now: Duration,
    nodes: [Detector; 2],
    recorded: [Vec<Vec<u8>>; 2],
}

impl Pair {
    fn new() -> Self {
        let nodes = [mk_detector("a", b"secret", 1), mk_detector("b", b"secret", 2)];
        let mut pair = Self { now: Duration::ZERO, nodes, recorded: [Vec::new(), Vec::new()] };
        pair.run(1_000);
        pair
    }

    fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            self.now += MS(1);
            self.step();
        }
    }

    fn step(&mut self) {
        for node in &mut self.nodes {
            if node.poll_timeout().is_some_and(|at| at <= self.now) {
                node.handle_timeout(self.now);
            }
        }
        for from in 0..2 {
            while let Some(transmit) = self.nodes[from].poll_transmit() {
                self.nodes[1 - from].handle_datagram(self.now, &transmit.bytes);
                self.recorded[from].push(transmit.bytes);
            }
        }
    }

    fn view(&self) -> View {
        self.nodes[0].peers().next().unwrap().view
    }
}

fn mk_detector(name: &str, secret: &[u8], seed: u64) -> Detector {
    let key = Key::derive(secret).unwrap();
    let config = Config { name: name.into(), key, timing: Timing::DEFAULT };
    let mut detector = Detector::new(config, Duration::ZERO, seed);
    detector.set_peers(Duration::ZERO, ["a", "b"].map(Arc::from));
    detector
}

#[test]
fn a_replay_is_dropped_and_keeps_nobody_alive() {
    let pair = Pair::new();
    assert_eq!(pair.view(), View::Alive);
    let recorded = pair.recorded[1].clone();
    let mut alone = pair.nodes[0].clone();
    let mut now = pair.now;
    for _ in 0..600 {
        now += MS(1);
        for datagram in &recorded[recorded.len() - 3..] {
            alone.handle_datagram(now, datagram);
        }
        if alone.poll_timeout().is_some_and(|at| at <= now) {
            alone.handle_timeout(now);
        }
        while alone.poll_transmit().is_some() {}
    }
    assert_eq!(alone.stats().rejected(Reject::Replayed), 1_800);
    assert_eq!(alone.peers().next().unwrap().view, View::Silent);
}

#[test]
fn a_receiver_that_just_started_believes_no_recording() {
    let recorded = Pair::new().recorded[1].clone();
    let mut fresh = mk_detector("a", b"secret", 3);
    let mut sent = 0;
    for (index, datagram) in recorded.iter().enumerate() {
        let now = MS(index as u64);
        fresh.handle_datagram(now, datagram);
        fresh.handle_timeout(now);
        sent += std::iter::from_fn(|| fresh.poll_transmit()).count();
    }
    assert_eq!(fresh.stats().rejected(Reject::Unproven), recorded.len() as u64);
    assert_eq!(fresh.peers().next().unwrap().view, View::Unheard);
    assert!(sent <= recorded.len() * 2, "a recording is not amplified: {sent}");
}

#[test]
fn a_recording_of_a_former_life_is_not_believed() {
    let mut pair = Pair::new();
    let former = pair.recorded[1].clone();
    pair.nodes[1] = mk_detector("b", b"secret", 4);
    pair.nodes[1].set_peers(pair.now, ["a", "b"].map(Arc::from));
    pair.run(1_000);
    assert_eq!(pair.view(), View::Alive);
    let before = pair.nodes[0].stats();
    for datagram in &former {
        pair.nodes[0].handle_datagram(pair.now, datagram);
    }
    let after = pair.nodes[0].stats();
    let unproven = after.rejected(Reject::Unproven) - before.rejected(Reject::Unproven);
    assert_eq!(unproven, former.len() as u64);
    // The present life goes on undisturbed.
    pair.run(1_000);
    assert_eq!(pair.nodes[0].stats().silences, 0);
    assert_eq!(pair.view(), View::Alive);
}

#[test]
fn a_datagram_for_another_node_or_from_a_stranger_is_dropped() {
    let mut pair = Pair::new();
    let own = pair.recorded[0].last().unwrap().clone();
    pair.nodes[0].handle_datagram(pair.now, &own);
    assert_eq!(pair.nodes[0].stats().rejected(Reject::Receiver), 1);
    pair.nodes[0].set_peers(pair.now, ["a", "c"].map(Arc::from));
    let datagram = pair.recorded[1].last().unwrap().clone();
    pair.nodes[0].handle_datagram(pair.now, &datagram);
    assert_eq!(pair.nodes[0].stats().rejected(Reject::Sender), 1);
}

#[test]
fn nodes_with_different_secrets_do_not_hear_each_other() {
    let mut pair = Pair::new();
    pair.nodes[1] = mk_detector("b", b"another", 5);
    pair.now = Duration::ZERO;
    pair.nodes[0] = mk_detector("a", b"secret", 6);
    pair.run(2_000);
    for node in &mut pair.nodes {
        assert!(node.stats().rejected(Reject::Tag) > 10);
        let unheard = |event: &Event| matches!(event, Event::PeerUnheard { .. });
        assert!(std::iter::from_fn(|| node.poll_event()).any(|event| unheard(&event)));
        assert_eq!(node.candidates().len(), 1);
    }
}

#[test]
fn unfetched_events_and_datagrams_are_bounded() {
    let mut detector = mk_detector("a", b"secret", 7);
    for tick in 0..100_000u64 {
        detector.poll_timeout();
        detector.handle_timeout(MS(tick * 200));
    }
    assert!(detector.stats().events_lost > 0);
    assert!(std::iter::from_fn(|| detector.poll_event()).count() < 2_000);
    assert!(std::iter::from_fn(|| detector.poll_transmit()).count() < 10);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_change_nothing(
        mut bytes in prop::collection::vec(any::<u8>(), 0..MAX_DATAGRAM + 100),
        ours: bool,
    ) {
        if let [first, version, _, count, ..] = bytes.as_mut_slice()
            && ours
        {
            (*first, *version, *count) = (FIRST_BYTE, 1, *count % 60);
        }
        let mut detector = mk_detector("a", b"secret", 8);
        detector.handle_datagram(MS(5), &bytes);
        detector.handle_timeout(MS(5));
        let dropped: u64 = Reject::ALL.iter().map(|reason| detector.stats().rejected(*reason)).sum();
        prop_assert_eq!(dropped, 1);
        prop_assert_eq!(detector.peers().next().unwrap().view, View::Unheard);
    }

    #[test]
    fn a_damaged_datagram_is_dropped(cut in 0usize..200, flip in 0usize..200, bit in 0u8..8) {
        let mut pair = Pair::new();
        let mut bytes = loop {
            pair.now += MS(1);
            let now = pair.now;
            pair.nodes[1].handle_timeout(now);
            if let Some(transmit) = pair.nodes[1].poll_transmit() {
                break transmit.bytes;
            }
        };
        let length = bytes.len();
        bytes[flip % length] ^= 1 << bit;
        let before = pair.nodes[0].stats();
        pair.nodes[0].handle_datagram(pair.now, &bytes);
        bytes[flip % length] ^= 1 << bit;
        pair.nodes[0].handle_datagram(pair.now, &bytes[..cut % length]);
        let after = pair.nodes[0].stats();
        let dropped = |stats: &ferrolb_heartbeat::Stats| -> u64 {
            Reject::ALL.iter().map(|reason| stats.rejected(*reason)).sum()
        };
        prop_assert_eq!(dropped(&after) - dropped(&before), 2);
        // Whole, it is new.
        pair.nodes[0].handle_datagram(pair.now, &bytes);
        prop_assert_eq!(dropped(&pair.nodes[0].stats()) - dropped(&before), 2);
    }
}
