//! What nodes say they lack to serve some addresses: opaque here, eight bytes each.
//!
//! They belong to the word a node gives of itself, as its bits do: every datagram of a node has all of its
//! lacks, on the ring a change raises its epoch, and who passes a word on passes its lacks on with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::detector::Detector;
use crate::node::NodeHash;
use crate::peer::Peer;
use crate::wire::{Entry, MAX_ENTRIES, Mark};

/// A node that lacks more tells as many of the smallest.
pub const MAX_LACKS: usize = 8;

/// The lacks among entries, by subject.
pub(crate) fn of(
    entries: &(impl Iterator<Item = Entry> + Clone),
) -> BTreeMap<NodeHash, BTreeSet<u64>> {
    let mut lacks: BTreeMap<NodeHash, BTreeSet<u64>> = BTreeMap::new();
    for entry in entries.clone().filter(|entry| entry.mark == Mark::Lack) {
        let lacks = lacks.entry(entry.subject).or_default();
        if lacks.len() < MAX_LACKS {
            lacks.insert(entry.epoch);
        }
    }
    lacks
}

impl Detector {
    /// What this node lacks, told to all at once if it is new.
    pub fn set_lacks(&mut self, now: Duration, lacks: impl IntoIterator<Item = u64>) {
        self.now = self.now.max(now);
        let all: BTreeSet<u64> = lacks.into_iter().collect();
        let lacks: BTreeSet<u64> = all.into_iter().take(MAX_LACKS).collect();
        if self.own.lacks != lacks {
            self.own.lacks = lacks;
            self.own_word_changed();
            self.beat_all();
        }
    }

    /// What `subject` lacks by its newest word.
    pub(crate) fn hear_lacks(&mut self, subject: NodeHash, lacks: BTreeSet<u64>) {
        if let Some(peer) = self.peers.get_mut(&subject)
            && peer.lacks != lacks
        {
            peer.lacks = lacks;
            self.lacking = true;
        }
    }

    pub(crate) fn own_lacks(&self) -> Vec<Entry> {
        self.own.lacks.iter().map(|lack| Entry::lack(self.me, *lack)).collect()
    }

    pub(crate) fn peer_lacks(&self) -> BTreeMap<Arc<str>, BTreeSet<u64>> {
        let lacking = self.peers.values().filter(|peer| !peer.lacks.is_empty());
        lacking.map(|peer| (peer.name.clone(), peer.lacks.clone())).collect()
    }

    /// How many entries of news fit into each datagram on the ring, beside what it says anyway.
    pub(crate) fn room_for_news(&self) -> usize {
        let wards = self.near().filter(|(_, peer)| peer.link.ward);
        let wards: usize = wards.map(|(_, peer)| 1 + peer.lacks.len()).sum();
        let receiver = 1 + MAX_LACKS;
        MAX_ENTRIES.saturating_sub(self.own.lacks.len() + 1 + receiver + wards)
    }

    /// What is passed on of a peer, on the ring.
    pub(crate) fn word_entries(
        &self,
        subject: NodeHash,
        peer: &Peer,
    ) -> impl Iterator<Item = Entry> {
        let lacks = peer.lacks.iter().map(move |lack| Entry::lack(subject, *lack));
        lacks.chain([self.entry(subject, peer)])
    }
}
