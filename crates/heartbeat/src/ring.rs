//! Who watches whom, and who else is told: everybody up to eight members, above that the neighbours
//! on a ring in the order of their hashes, and a few chords across it.
//!
//! ```text
//!   ‥ ─ p3 ─ p2 ─ p1 ─ me ─ s1 ─ s2 ─ s3 ─ ‥      p: wards, watched here
//!                       ╲                          s: monitors, watch here
//!                        └── chord ──▶ ‥           news goes to all of them
//! ```

use std::time::Duration;

use crate::detector::Detector;
use crate::node::{NodeHash, mix};
use crate::peer::{Peer, Standing, Step};
use crate::roll::Roll;

/// Up to as many members watch one another all.
const MESH: usize = 8;
/// Monitors of a node (K).
const MONITORS: usize = 3;
/// Members across the ring that a node tells its news.
const CHORDS: u64 = 3;

/// What a peer is to this node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Link {
    /// Watched here.
    pub(crate) ward: bool,
    /// Watches this node, so it gets our beats.
    pub(crate) monitor: bool,
    /// Gets our news.
    pub(crate) chord: bool,
}

impl Link {
    pub(crate) const MESH: Self = Self { ward: true, monitor: true, chord: false };

    pub(crate) fn is_near(self) -> bool {
        self.ward || self.monitor
    }

    fn exists(self) -> bool {
        self.is_near() || self.chord
    }
}

/// Whom `me` watches: everybody in a small cluster, else the three members before it on the ring.
pub fn watched(
    me: NodeHash,
    members: impl IntoIterator<Item = NodeHash>,
) -> impl Iterator<Item = NodeHash> {
    let members = members.into_iter().filter(|member| *member != me).collect();
    nearest(members, |member| me.0.wrapping_sub(member.0)).into_iter()
}

/// Who watches `me`: the mirror of [`watched`].
fn monitors(me: NodeHash, members: &[NodeHash]) -> Vec<NodeHash> {
    let members = members.iter().copied().filter(|member| *member != me).collect();
    nearest(members, |member| member.0.wrapping_sub(me.0))
}

fn nearest(mut members: Vec<NodeHash>, distance: impl Fn(&NodeHash) -> u64) -> Vec<NodeHash> {
    if members.len() >= MESH {
        members.select_nth_unstable_by_key(MONITORS, distance);
        members.truncate(MONITORS);
    }
    members
}

/// The members that follow hashes of our own hash: other ones for each node, and nearly the same
/// ones when the list changes a little.
fn chords(me: NodeHash, members: &[NodeHash]) -> impl Iterator<Item = NodeHash> {
    (1..=CHORDS).filter_map(move |chord| {
        let point = mix(me.0.wrapping_mul(chord));
        let others = members.iter().copied().filter(|member| *member != me);
        others.min_by_key(|member| member.0.wrapping_sub(point))
    })
}

impl Detector {
    /// Mesh or ring, by the number of listed members.
    pub(crate) fn choose_shape(&mut self, now: Duration) {
        let ring = self.peers.len() >= MESH;
        if ring != self.ring {
            self.ring = ring;
            if ring {
                self.open_roll();
            } else {
                self.roll = Roll::default();
                self.peers.values_mut().for_each(|peer| peer.word = None);
            }
        }
        self.relink(now);
    }

    /// Draws the links anew. Their number is bounded, so all that is done per interval is too.
    pub(crate) fn relink(&mut self, now: Duration) {
        self.unlinked = false;
        if !self.ring {
            self.tended = self.peers.keys().copied().collect();
            self.away.clear();
            for peer in self.peers.values_mut() {
                peer.assign(now, Link::MESH);
            }
            return;
        }
        let alone = self.config.timing.alone;
        let stands = |peer: &Peer| peer.is_on_ring(now, alone);
        let (on, off): (Vec<_>, Vec<_>) = self.peers.iter().partition(|(_, peer)| stands(peer));
        self.away = off.into_iter().map(|(hash, _)| *hash).collect();
        let on: Vec<NodeHash> = on.into_iter().map(|(hash, _)| *hash).collect();
        let wards: Vec<NodeHash> = watched(self.me, on.iter().copied()).collect();
        let monitors = monitors(self.me, &on);
        let chords: Vec<NodeHash> = chords(self.me, &on).collect();
        let mut strangers = Vec::new();
        self.tended.clear();
        for (hash, peer) in &mut self.peers {
            let link = Link {
                ward: wards.contains(hash),
                monitor: monitors.contains(hash),
                chord: chords.contains(hash),
            };
            if link.exists() && link != peer.link && (peer.session.is_none() || link.ward) {
                strangers.push(*hash);
            }
            peer.assign(now, link);
            if link.exists() || peer.is_accused() {
                self.tended.insert(*hash);
            }
        }
        for hash in strangers {
            self.probe(hash);
        }
    }

    /// The other monitors of a peer, as far as they are alive.
    pub(crate) fn monitors(&self, of: NodeHash) -> impl Iterator<Item = &Peer> {
        let mut near: Vec<NodeHash> = Vec::new();
        if self.ring {
            let others = self.near().map(|(hash, _)| hash).filter(|hash| *hash != of);
            near.extend(others.chain([self.me]));
            near.sort_unstable_by_key(|hash| hash.0.wrapping_sub(of.0));
            near.truncate(MONITORS);
        } else {
            near.extend(self.tended.iter().filter(|hash| **hash != of));
        }
        near.into_iter().filter_map(|hash| self.peers.get(&hash)).filter(|peer| peer.is_alive())
    }

    /// Wards and monitors.
    pub(crate) fn near(&self) -> impl Iterator<Item = (NodeHash, &Peer)> {
        self.tended
            .iter()
            .filter_map(|hash| Some((*hash, self.peers.get(hash)?)))
            .filter(|(_, peer)| peer.link.is_near())
    }

    /// Now and then somebody who is gone is asked whether it is back: in sum over all members about
    /// once an interval.
    pub(crate) fn knock(&mut self) {
        let members = self.peers.len().max(1);
        if let Some(hash) = self.away.get(self.rng.usize(0..members)).copied() {
            self.probe(hash);
        }
    }
}

impl Peer {
    fn assign(&mut self, now: Duration, link: Link) {
        // A new ward gets a whole deadline, and what was asked about a former one is dropped.
        if link.ward && !self.link.ward {
            self.heard = self.heard.max(now);
            self.pardon = Duration::ZERO;
        }
        let judged = matches!(self.standing, Standing::Silent(_)) && !self.is_accused();
        if judged && !link.ward {
            self.standing = Standing::Alive;
        }
        self.link = link;
    }

    /// Whether it takes a place on the ring: not gone, or given time to be heard first.
    fn is_on_ring(&self, now: Duration, alone: Duration) -> bool {
        let awaited = self.word.is_none() && now < self.listed + alone;
        self.counts() || matches!(self.standing, Standing::Unheard) && awaited
    }

    /// Whether others hold it for dead and it may still answer.
    pub(crate) fn is_accused(&self) -> bool {
        matches!(&self.standing, Standing::Silent(inquiry) if matches!(inquiry.step, Step::Accused { .. }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, VecDeque};

    use rstest::rstest;

    use super::{MONITORS, chords, monitors, watched};
    use crate::node::NodeHash;

    fn mk_members(count: usize) -> Vec<NodeHash> {
        (0..count).map(|index| NodeHash::of(&format!("node-{index}"))).collect()
    }

    #[test]
    fn everybody_but_oneself_is_watched() {
        let members = ["a", "b", "c"].map(NodeHash::of);
        let found: Vec<_> = watched(members[1], members).collect();
        assert_eq!(found, [members[0], members[2]]);
    }

    #[rstest]
    #[case::mesh(8, 7)]
    #[case::ring(9, MONITORS)]
    #[case::large(500, MONITORS)]
    fn whoever_is_watched_has_its_watcher_for_monitor(#[case] count: usize, #[case] each: usize) {
        let members = mk_members(count);
        for me in &members {
            let wards: Vec<_> = watched(*me, members.iter().copied()).collect();
            assert_eq!(wards.len(), each);
            assert!(wards.iter().all(|ward| monitors(*ward, &members).contains(me)));
        }
    }

    #[test]
    fn news_reaches_500_members_in_four_hops() {
        let members = mk_members(500);
        let mut reached = BTreeSet::from([members[0]]);
        let mut queue = VecDeque::from([(members[0], 0)]);
        let mut most = 0;
        while let Some((node, hops)) = queue.pop_front() {
            most = hops;
            let links = watched(node, members.iter().copied())
                .chain(monitors(node, &members))
                .chain(chords(node, &members));
            for next in links {
                if reached.insert(next) {
                    queue.push_back((next, hops + 1));
                }
            }
        }
        assert_eq!(reached.len(), 500);
        assert!(most <= 6, "{most}");
    }
}
