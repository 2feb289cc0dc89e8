//! What is known of members that are not heard here: the words that travel on the ring.
//!
//! ```text
//!  alive in e ──▶ dead in e ──▶ alive in e + 1 ──▶ ‥      a newer word replaces an older one
//!
//!  newer than what we know ──▶ news ──▶ all links, at once ──▶ recent ──▶ beats, for a while
//!  digest of a ward differs ──▶ all words to it
//! ```
//!
//! A word is believed as it is told: what it does to candidates is decided here, whether it is true
//! is the business of `judge` on the node that said it first, and of the accused.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::detector::Detector;
use crate::event::{Death, Previous};
use crate::lacks::MAX_LACKS;
use crate::node::{NodeHash, mix};
use crate::peer::{Inquiry, Standing, Step};
use crate::wire::{Bits, Entry, Mark};

/// Words told with one datagram as news.
const BATCH: usize = 40;

/// Whether a member lives. Ordered: dead in an epoch is newer than alive in it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Word {
    pub(crate) epoch: u64,
    pub(crate) dead: bool,
}

/// Words of late, and the digest of all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roll {
    digest: u64,
    /// Not told yet.
    fresh: VecDeque<NodeHash>,
    /// Told, newest first.
    pub(crate) recent: VecDeque<(Duration, NodeHash)>,
    /// Something of our own is to be told, which every datagram does.
    urgent: bool,
    told: Duration,
    learned: Duration,
    /// When words may be compared with a link again, and how often that did not help.
    compare: Duration,
    fruitless: u32,
}

impl Word {
    fn digest(self, subject: NodeHash) -> u64 {
        let epoch = mix(self.epoch ^ u64::from(self.dead) << 63);
        mix(subject.0 ^ epoch)
    }
}

impl Detector {
    /// On the way from mesh to ring: what was found out there are the first words.
    pub(crate) fn open_roll(&mut self) {
        self.roll = Roll::default();
        self.own.epoch = self.own.epoch.wrapping_add(1);
        let known: Vec<(NodeHash, Word)> = self
            .peers
            .iter()
            .filter_map(|(hash, peer)| {
                let dead = match peer.standing {
                    Standing::Unheard => return None,
                    Standing::Alive | Standing::Silent(_) => false,
                    Standing::Dead { .. } => true,
                };
                Some((*hash, Word { epoch: peer.epoch, dead }))
            })
            .collect();
        self.peers.values_mut().for_each(|peer| peer.word = None);
        for (hash, word) in known {
            self.set_word(hash, word);
        }
    }

    /// A member is no longer listed: what is known of it leaves the digest.
    pub(crate) fn strike(&mut self, hash: NodeHash) {
        if let Some(word) = self.peers.get_mut(&hash).and_then(|peer| peer.word.take()) {
            self.roll.digest ^= word.digest(hash);
        }
    }

    /// What all our words come to, our own included.
    pub(crate) fn digest(&self) -> u64 {
        let own = Word { epoch: self.own.epoch, dead: false };
        self.roll.digest ^ own.digest(self.me)
    }

    /// A word of `by` (itself, or somebody who passes it on). Returns whether it is of an epoch that was
    /// not known, and so all that it says of the subject is new.
    pub(crate) fn learn(
        &mut self,
        by: NodeHash,
        subject: NodeHash,
        word: Word,
        bits: Bits,
    ) -> bool {
        let Some(peer) = self.peers.get_mut(&subject) else { return false };
        if Some(word) <= peer.word {
            return false;
        }
        let risen = peer.word.is_none_or(|known| word.epoch > known.epoch);
        if risen {
            (peer.epoch, peer.bits) = (word.epoch, bits);
            peer.taken &= bits.draining;
        }
        self.tell(subject, word);
        if word.dead {
            self.accuse(by, subject);
        } else {
            self.acquit(subject);
        }
        risen
    }

    /// A word that is new: known from now on, and told to all links.
    pub(crate) fn tell(&mut self, subject: NodeHash, word: Word) {
        let now = self.now;
        self.set_word(subject, word);
        self.roll.fresh.retain(|known| *known != subject);
        self.roll.recent.retain(|(_, known)| *known != subject);
        self.roll.fresh.push_front(subject);
        (self.roll.learned, self.roll.fruitless) = (now, 0);
        self.stirred = true;
        self.unjudged.get_or_insert(now);
    }

    /// Our own header is news.
    pub(crate) fn tell_own(&mut self) {
        self.roll.urgent = true;
        self.unjudged.get_or_insert(self.now);
    }

    fn set_word(&mut self, subject: NodeHash, word: Word) {
        let Some(peer) = self.peers.get_mut(&subject) else { return };
        let before = peer.word.replace(word).map_or(0, |word| word.digest(subject));
        self.roll.digest ^= before ^ word.digest(subject);
    }

    fn acquit(&mut self, subject: NodeHash) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&subject) else { return };
        peer.vouched = true;
        let accused = peer.is_accused();
        let previous = match peer.standing {
            Standing::Unheard => Previous::Unheard,
            Standing::Dead { .. } => Previous::Dead,
            Standing::Alive | Standing::Silent(_) if !accused => return,
            Standing::Alive | Standing::Silent(_) => {
                peer.heard = peer.heard.max(now);
                peer.standing = Standing::Alive;
                self.unlinked = true;
                return;
            }
        };
        peer.heard = peer.heard.max(now);
        self.unlinked = true;
        self.rise(subject, Standing::Alive, previous);
    }

    /// Dead by word. It may still answer, unless we do not hear it either.
    fn accuse(&mut self, by: NodeHash, subject: NodeHash) {
        let (now, grace) = (self.now, self.config.timing.confirm());
        let Some(peer) = self.peers.get_mut(&subject) else { return };
        self.unlinked = true;
        let silent = match peer.standing {
            _ if peer.bits.draining => {
                peer.standing = Standing::Unheard;
                return;
            }
            Standing::Unheard | Standing::Dead { .. } => {
                peer.standing = Standing::Dead { epoch: peer.epoch, at: now };
                return;
            }
            Standing::Silent(_) => true,
            Standing::Alive => false,
        };
        let until = if silent { now } else { now + grace };
        peer.standing = Standing::Silent(Inquiry {
            since: now,
            asked: now,
            step: Step::Accused { by, until },
            reported: false,
        });
        self.tended.insert(subject);
        if self.peers.get(&subject).is_some_and(|peer| peer.link.is_near()) {
            self.probe(subject);
        }
    }

    /// The accused did not answer.
    pub(crate) fn bury_by_word(&mut self, now: Duration, hash: NodeHash, by: NodeHash) {
        let Some(peer) = self.peers.get(&hash) else { return };
        let by = self.peers.get(&by).map(|peer| peer.name.clone());
        let silence = if peer.link.ward { now.saturating_sub(peer.heard) } else { Duration::ZERO };
        let death = Death { silence, confirmation: Duration::ZERO, witnesses: Vec::new(), by };
        self.declare(now, hash, death);
    }

    /// Passes news on, at most every tenth of an interval.
    pub(crate) fn spread(&mut self, now: Duration) {
        if self.roll_wake().is_none_or(|at| now < at) {
            return;
        }
        self.roll.urgent = false;
        self.roll.told = now;
        let keep = self.config.timing.interval;
        self.roll.recent.retain(|(at, _)| now < *at + keep);
        let mut room = self.room_for_news();
        let fits = |hash: &&NodeHash| {
            let entries = 1 + self.peers.get(hash).map_or(0, |peer| peer.lacks.len());
            room = room.saturating_sub(entries);
            room > 0
        };
        let batch = self.roll.fresh.iter().take(BATCH).take_while(fits).count();
        let batch = batch.max(1).min(self.roll.fresh.len());
        for hash in self.roll.fresh.drain(..batch).rev() {
            self.roll.recent.push_front((now, hash));
        }
        let links: Vec<NodeHash> = self.tended.iter().copied().collect();
        for hash in links {
            self.beat(hash);
        }
    }

    pub(crate) fn roll_wake(&self) -> Option<Duration> {
        let due = self.roll.urgent || !self.roll.fresh.is_empty();
        due.then(|| self.roll.told + self.config.timing.interval / 10)
    }

    /// Once an interval: if a link's words of late differ from ours and no news explains it, it is
    /// sent all of ours.
    pub(crate) fn compare(&mut self, now: Duration) {
        let interval = self.config.timing.interval;
        if now < self.roll.compare || now < self.roll.learned + interval / 4 {
            return;
        }
        let ours = self.digest();
        let differs = |hash: &&NodeHash| {
            self.peers.get(hash).is_some_and(|peer| peer.digest.is_some_and(|it| it != ours))
        };
        let differing: Vec<NodeHash> = self.tended.iter().filter(differs).copied().collect();
        if differing.is_empty() {
            return;
        }
        let Some(chosen) = self.rng.choice(differing) else { return };
        self.edit(chosen, |peer| {
            peer.digest = None;
            peer.outgoing.words = Some(NodeHash(0));
        });
        self.beat(chosen);
        self.roll.compare = now + interval * (1 << self.roll.fruitless.min(3));
        self.roll.fruitless += 1;
    }

    /// A link told the digest of its words.
    pub(crate) fn hear_digest(&mut self, speaker: NodeHash, digest: u64) {
        if digest == self.digest() {
            self.own.informed = true;
        }
        self.edit(speaker, |peer| peer.digest = Some(digest));
    }

    /// The entries of a datagram on the ring, at most `room`: the digest, what is known of the
    /// receiver and of our wards, news, and then all words from where the last such datagram
    /// stopped.
    pub(crate) fn words(&mut self, receiver: NodeHash, room: usize) -> Vec<Entry> {
        let mut said: BTreeSet<NodeHash> = BTreeSet::new();
        let mut entries = vec![Entry {
            subject: self.me,
            epoch: self.digest(),
            age: Duration::ZERO,
            mark: Mark::Digest,
            bits: Bits::default(),
        }];
        let wards = self.tended.iter().filter(|hash| {
            self.peers.get(hash).is_some_and(|peer| peer.link.ward || peer.is_accused())
        });
        let news = self.roll.recent.iter().map(|(_, hash)| hash).take(BATCH);
        let start = self.peers.get(&receiver).and_then(|peer| peer.outgoing.words);
        // Each datagram gets at least one of all words on, whatever its subject lacks.
        let first = if start.is_some() { room - MAX_LACKS - 1 } else { room };
        for hash in [&receiver].into_iter().chain(wards).chain(news) {
            if let Some(peer) = self.peers.get(hash)
                && entries.len() + peer.lacks.len() < first
                && said.insert(*hash)
            {
                entries.extend(self.word_entries(*hash, peer));
            }
        }
        if let Some(start) = start {
            let mut next = None;
            for (hash, peer) in self.peers.range(start..).filter(|(_, peer)| peer.word.is_some()) {
                if entries.len() + peer.lacks.len() >= room {
                    next = Some(*hash);
                    break;
                }
                entries.extend(self.word_entries(*hash, peer));
            }
            self.edit(receiver, |peer| peer.outgoing.words = next);
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::Word;

    #[test]
    fn a_death_is_newer_than_the_life_it_ends_and_older_than_the_next() {
        let word = |epoch, dead| Some(Word { epoch, dead });
        let order = [None, word(4, false), word(4, true), word(5, false), word(5, true)];
        assert!(order.is_sorted());
    }
}
