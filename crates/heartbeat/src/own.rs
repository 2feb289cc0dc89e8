//! What this node says of itself: its epoch, whether it stands for election, how late it was.
//!
//! ```text
//! Starting ──a round of peers, or nobody for `alone`──▶ Serving ──declared dead, others serve──▶ Held
//!     └──────────────── declared dead in a former life ───────────────────────────────────────▶ Held
//!                                      Serving ◀── hold-down over, or nobody serves ───────────  Held
//! ```

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::detector::Detector;
use crate::event::Event;
use crate::node::NodeHash;
use crate::peer::Peer;
use crate::wire::{Bits, Entry, Mark};

/// Lateness is told for at least this long.
const LATENESS_WINDOW: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
    pub(crate) phase: Phase,
    /// When the member list was heard first.
    pub(crate) listed: Option<Duration>,
    /// When a first peer had proven itself.
    pub(crate) met: Option<Duration>,
    /// Whether peers remember the death of a former life.
    pub(crate) died_before: bool,
    pub(crate) drain: Option<Drain>,
    /// What this node lacks to serve some addresses.
    pub(crate) lacks: BTreeSet<u64>,
    /// Whether candidates of another kind take over at once.
    pub(crate) preempting: bool,
    /// Whether a link knew no word that we did not know, on the ring.
    pub(crate) informed: bool,
    /// Who passed on an accusation of us that has not taken effect there, and when.
    pub(crate) accused: Option<(NodeHash, Duration)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    Starting,
    /// `lonely`: since when no other candidate is known.
    Held {
        until: Duration,
        lonely: Option<Duration>,
    },
    Serving,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    pub(crate) since: Duration,
    pub(crate) released: bool,
}

impl Own {
    pub(crate) fn new(epoch: u64) -> Self {
        Self {
            epoch,
            sequence: 0,
            phase: Phase::Starting,
            listed: None,
            met: None,
            died_before: false,
            drain: None,
            lacks: BTreeSet::new(),
            preempting: false,
            informed: false,
            accused: None,
        }
    }

    pub(crate) fn bits(&self) -> Bits {
        Bits { eligible: self.phase == Phase::Serving, draining: self.drain.is_some() }
    }

    /// Whether this node counts itself among the candidates: a leaver does until it is released.
    pub(crate) fn serves(&self) -> bool {
        self.phase == Phase::Serving && !self.drain.is_some_and(|drain| drain.released)
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        self.phase == Phase::Serving && !self.is_leaving()
    }

    /// Whether a departure is announced and not yet complete.
    pub(crate) fn is_leaving(&self) -> bool {
        self.drain.is_some_and(|drain| !drain.released)
    }
}

/// How late this thread was called: against the deadline it was last armed with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lateness {
    pub(crate) armed: Option<Duration>,
    window: Duration,
    current: Duration,
    previous: Duration,
}

impl Lateness {
    pub(crate) fn measure(&mut self, now: Duration) -> Duration {
        if now >= self.window + LATENESS_WINDOW {
            let adjacent = now < self.window + LATENESS_WINDOW * 2;
            self.previous = if adjacent { self.current } else { Duration::ZERO };
            self.current = Duration::ZERO;
            self.window = now;
        }
        let late = self.armed.take().map_or(Duration::ZERO, |armed| now.saturating_sub(armed));
        self.current = self.current.max(late);
        late
    }

    pub(crate) fn largest(&self) -> Duration {
        self.current.max(self.previous)
    }
}

impl Detector {
    /// Moves this node's own standing on.
    pub(crate) fn tend_own(&mut self, now: Duration) {
        self.answer_accusation(now);
        let before = self.own.bits();
        match self.own.phase {
            Phase::Starting => self.start(now),
            Phase::Held { until, .. } if now >= until || self.own.preempting => {
                self.own.phase = Phase::Serving;
            }
            Phase::Held { until, lonely } => self.hold(now, until, lonely),
            Phase::Serving => {}
        }
        self.tend_drain(now);
        if self.own.bits() != before {
            self.own_word_changed();
            self.beat_all();
        }
    }

    /// On the ring a word is newer only by its epoch.
    pub(crate) fn own_word_changed(&mut self) {
        if self.ring {
            self.own.epoch = self.own.epoch.wrapping_add(1);
            self.tell_own();
        }
    }

    /// When `tend_own` has to be called if nothing else happens.
    pub(crate) fn own_wake(&self) -> Option<Duration> {
        let timing = &self.config.timing;
        let phase = match self.own.phase {
            Phase::Starting => {
                let alone = self.own.listed.map(|at| at + timing.alone);
                let round = self.own.met.map(|at| at + timing.interval * 2);
                let round = round.filter(|_| alone.is_some() && !self.ring);
                alone.into_iter().chain(round).min()
            }
            Phase::Held { until, lonely } => {
                Some(lonely.map_or(until, |since| until.min(since + timing.interval * 2)))
            }
            Phase::Serving => None,
        };
        let drain = self.own.drain.filter(|drain| !drain.released);
        phase.into_iter().chain(drain.map(|drain| drain.since + timing.take_over)).min()
    }

    /// An accepted datagram of `accuser` says this of us.
    pub(crate) fn hear_of_self(&mut self, accuser: NodeHash, entry: &Entry) {
        let left = self.ring && entry.bits.draining;
        if self.own.phase == Phase::Starting {
            self.own.died_before |= matches!(entry.mark, Mark::Dead | Mark::Back) && !left;
        }
        if entry.mark == Mark::Dead && entry.epoch == self.own.epoch {
            self.refute(accuser);
        } else if self.ring {
            self.hear_word_of_self(accuser, entry);
        }
    }

    /// A former life had a higher epoch, or somebody believes an accuser and still counts on us.
    fn hear_word_of_self(&mut self, speaker: NodeHash, entry: &Entry) {
        if entry.mark.word(entry.epoch).is_none() {
            return;
        }
        if entry.epoch > self.own.epoch {
            self.own.epoch = entry.epoch.wrapping_add(1);
            self.tell_own();
        } else if entry.epoch == self.own.epoch && entry.mark == Mark::Accused {
            self.own.accused.get_or_insert((speaker, self.now));
            self.unjudged.get_or_insert(self.now);
        }
    }

    /// Answers an accusation that was passed on: in time nothing has happened. What waited in the
    /// socket while we were away has taken effect since.
    fn answer_accusation(&mut self, now: Duration) {
        let Some((speaker, at)) = self.own.accused.take() else { return };
        let late = now >= at + self.config.timing.confirm();
        let held = late && self.steps_back_for(speaker);
        self.rise_again(speaker, held);
    }

    /// We live: a new epoch says so. Whoever was replaced meanwhile steps back, but in a partition
    /// that heals only one side does.
    fn refute(&mut self, accuser: NodeHash) {
        let held = self.steps_back_for(accuser);
        self.rise_again(accuser, held);
    }

    fn steps_back_for(&self, accuser: NodeHash) -> bool {
        self.own.phase != Phase::Starting && !self.own.preempting && self.is_replaced(accuser)
    }

    fn rise_again(&mut self, accuser: NodeHash, held: bool) {
        let Some(name) = self.peers.get(&accuser).map(|peer| peer.name.clone()) else { return };
        self.own.accused = None;
        self.own.epoch = self.own.epoch.wrapping_add(1);
        if held {
            let until = self.now + self.config.timing.hold_down;
            self.own.phase = Phase::Held { until, lonely: None };
        }
        self.stats.refutations += 1;
        self.push(Event::Refuted { accuser: name, held });
        self.beat_all();
    }

    /// Whether the accuser's side serves in our place. If we count on any of its candidates ourselves, it
    /// does: we were away. If they are all dead to us, there were two sides, and the one with
    /// fewer candidates steps back; of equals, the one without the lowest hash.
    fn is_replaced(&self, accuser: NodeHash) -> bool {
        let Some(peer) = self.peers.get(&accuser) else { return false };
        if self.ring {
            // Of two sides that meet, each has an owner of every address: nobody need step back.
            let hold_down = self.config.timing.hold_down;
            return peer.counts() && peer.back.is_none_or(|at| self.now >= at + hold_down);
        }
        let theirs: Vec<NodeHash> = peer
            .statements
            .iter()
            .filter(|(subject, said)| {
                **subject != self.me && said.mark.hears() && said.bits.stands()
            })
            .map(|(subject, _)| *subject)
            .chain(peer.bits.stands().then_some(accuser))
            .collect();
        if theirs.iter().any(|node| self.peers.get(node).is_some_and(Peer::is_candidate)) {
            return true;
        }
        let weight = |side: &[NodeHash]| (side.len(), side.iter().min().copied().map(Reverse));
        let ours: Vec<NodeHash> = self.candidate_hashes().collect();
        !theirs.is_empty() && weight(&theirs) > weight(&ours)
    }

    fn start(&mut self, now: Duration) {
        if !self.has_heard_a_round(now) {
            return;
        }
        self.own.phase = if self.own.died_before && !self.own.preempting {
            Phase::Held { until: now + self.config.timing.hold_down, lonely: None }
        } else {
            Phase::Serving
        };
    }

    /// Nobody can have been heard before the list; one round is every listed peer, or two intervals
    /// after the first.
    fn has_heard_a_round(&mut self, now: Duration) -> bool {
        let timing = &self.config.timing;
        let met = self.peers.values().any(|peer| peer.session.is_some());
        if met && self.own.met.is_none() {
            self.own.met = Some(now);
        }
        let Some(listed) = self.own.listed else { return false };
        if self.ring {
            return self.own.informed || now >= listed + timing.alone;
        }
        let all =
            (met || self.own.preempting) && self.peers.values().all(|peer| peer.session.is_some());
        let round = self.own.met.is_some_and(|met| now >= met + timing.interval * 2);
        all || round || now >= listed + timing.alone
    }

    // The hold-down is for stability, and there is none to keep where nobody serves.
    fn hold(&mut self, now: Duration, until: Duration, lonely: Option<Duration>) {
        let alone = !self.peers.values().any(Peer::is_candidate);
        let lonely = alone.then(|| lonely.unwrap_or(now));
        let over = lonely.is_some_and(|since| now >= since + self.config.timing.interval * 2);
        self.own.phase = if over { Phase::Serving } else { Phase::Held { until, lonely } };
    }

    fn tend_drain(&mut self, now: Duration) {
        let Some(drain) = self.own.drain.filter(|drain| !drain.released) else { return };
        let confirmed =
            self.peers.values().filter(|peer| peer.is_candidate()).all(|peer| {
                peer.statements.get(&self.me).is_some_and(|said| said.mark == Mark::Taken)
            });
        if confirmed || now >= drain.since + self.config.timing.take_over {
            self.own.drain = Some(Drain { released: true, ..drain });
            self.push(Event::Released { confirmed });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Lateness;
    use crate::{Config, Detector, Key, Timing};

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn mk_late(lateness: &mut Lateness, armed: u64, now: u64) -> Duration {
        lateness.armed = Some(MS(armed));
        lateness.measure(MS(now))
    }

    #[test]
    fn lateness_is_told_for_ten_seconds_and_forgotten_after_thirty() {
        let mut lateness = Lateness::default();
        assert_eq!(mk_late(&mut lateness, 5_000, 5_400), MS(400));
        assert_eq!(mk_late(&mut lateness, 15_390, 15_390), MS(0));
        assert_eq!(lateness.largest(), MS(400));
        mk_late(&mut lateness, 35_000, 35_000);
        assert_eq!(lateness.largest(), MS(0));
    }

    #[test]
    fn an_early_or_unarmed_call_is_not_late() {
        let mut lateness = Lateness::default();
        assert_eq!(mk_late(&mut lateness, 100, 90), MS(0));
        assert_eq!(lateness.measure(MS(9_000)), MS(0));
    }
    fn mk_detector() -> Detector {
        let key = Key::derive(b"secret").unwrap();
        Detector::new(Config { name: "a".into(), key, timing: Timing::DEFAULT }, MS(0), 1)
    }

    #[test]
    fn a_node_without_peers_waits_for_a_first_one_unless_others_preempt() {
        for preempting in [false, true] {
            let mut detector = mk_detector();
            detector.set_preempting(MS(0), preempting);
            detector.set_peers(MS(0), ["a".into()]);
            detector.handle_timeout(MS(1));
            assert_eq!(detector.candidates().contains("a"), preempting);
            detector.handle_timeout(MS(1_500));
            assert!(detector.candidates().contains("a"));
        }
    }

    #[test]
    fn a_hold_down_ends_when_others_preempt() {
        let mut detector = mk_detector();
        detector.set_peers(MS(0), ["a".into(), "b".into()]);
        detector.own.phase = super::Phase::Held { until: MS(9_000), lonely: None };
        detector.handle_timeout(MS(10));
        assert!(!detector.candidates().contains("a"));
        detector.set_preempting(MS(20), true);
        assert!(detector.poll_timeout() <= Some(MS(20)));
        detector.handle_timeout(MS(20));
        assert!(detector.candidates().contains("a"));
    }
}
