//! The verbs: facts and time in, datagrams and events out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::event::{Event, WireAnswer};
use crate::key::Key;
use crate::lacks;
use crate::node::NodeHash;
use crate::own::{Drain, Lateness, Own};
use crate::peer::{Peer, Standing, Step};
use crate::ring::Link;
use crate::roll::{Roll, Word};
use crate::session::admit;
use crate::stats::{PeerView, Stats, View};
use crate::wire::{self, Entry, Header, Kind, MAX_ENTRIES, Mark, Reject};

/// Events kept for a driver that does not fetch them.
const EVENTS: usize = 1024;

/// Failure detector of one node.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says of another thing that it is due")]
pub struct Detector {
    pub(crate) config: Config,
    pub(crate) me: NodeHash,
    pub(crate) own: Own,
    pub(crate) peers: BTreeMap<NodeHash, Peer>,
    /// The newest time heard of.
    pub(crate) now: Duration,
    /// Whether this node hears too few to trust its ears.
    pub(crate) suspect: bool,
    pub(crate) stats: Stats,
    /// Whether there are too many members for everybody to watch everybody.
    pub(crate) ring: bool,
    /// Peers that are looked at each time: all in a mesh, links and accused on the ring.
    pub(crate) tended: BTreeSet<NodeHash>,
    /// Members without a place on the ring.
    pub(crate) away: Vec<NodeHash>,
    /// Whether the links have to be drawn anew.
    pub(crate) unlinked: bool,
    /// Whether on the ring the candidates may be others than those reported: comparing costs more
    /// the more members there are.
    pub(crate) stirred: bool,
    /// Whether some peer lacks something else than was reported.
    pub(crate) lacking: bool,
    pub(crate) roll: Roll,
    lateness: Lateness,
    pub(crate) rng: fastrand::Rng,
    next_beat: Duration,
    /// Something was heard and waits for `handle_timeout`.
    pub(crate) unjudged: Option<Duration>,
    outgoing: BTreeSet<NodeHash>,
    events: VecDeque<Event>,
    reported: Vec<NodeHash>,
}

/// A datagram to send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transmit {
    /// To whom, by the name the list gave it.
    pub to: Arc<str>,
    /// At most [`crate::MAX_DATAGRAM`] bytes.
    pub bytes: Vec<u8>,
}

impl Detector {
    /// A detector that starts at `now` and knows nobody. Two lives of a node must not get the same
    /// `seed`: take it from the operating system.
    pub fn new(config: Config, now: Duration, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        // The highest bit stays free for refutations.
        let own = Own::new(rng.u64(..) >> 1);
        let interval = u64::try_from(config.timing.interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        let phase = Duration::from_nanos(rng.u64(0..interval));
        Self {
            me: NodeHash::of(&config.name),
            own,
            peers: BTreeMap::new(),
            now,
            suspect: false,
            stats: Stats::default(),
            ring: false,
            tended: BTreeSet::new(),
            away: Vec::new(),
            unlinked: false,
            stirred: true,
            lacking: false,
            roll: Roll::default(),
            lateness: Lateness::default(),
            rng,
            next_beat: now + phase,
            unjudged: None,
            outgoing: BTreeSet::new(),
            events: VecDeque::new(),
            reported: Vec::new(),
            config,
        }
    }

    /// The nodes that exist, as the API lists them; this node may be among them. A peer that is no
    /// longer listed is forgotten, and one listed again has to prove itself anew.
    pub fn set_peers(&mut self, now: Duration, names: impl IntoIterator<Item = Arc<str>>) {
        self.now = self.now.max(now);
        self.own.listed.get_or_insert(now);
        let listed: BTreeSet<Arc<str>> = names.into_iter().collect();
        let mut members: BTreeMap<NodeHash, Arc<str>> = BTreeMap::new();
        for name in listed {
            members.entry(NodeHash::of(&name)).or_insert(name);
        }
        members.remove(&self.me);
        let listed = |hash: &NodeHash, peer: &Peer| members.get(hash) == Some(&peer.name);
        let gone: Vec<NodeHash> = self
            .peers
            .iter()
            .filter(|(hash, peer)| !listed(hash, peer))
            .map(|(hash, _)| *hash)
            .collect();
        for hash in gone {
            self.strike(hash);
            self.lacking |= self.peers.remove(&hash).is_some_and(|peer| !peer.lacks.is_empty());
        }
        for peer in self.peers.values_mut() {
            let me = self.me;
            peer.statements.retain(|subject, _| *subject == me || members.contains_key(subject));
        }
        let mut joined = Vec::new();
        for (hash, name) in members {
            if !self.peers.contains_key(&hash) {
                self.peers.insert(hash, Peer::new(name, now, self.rng.u64(1..)));
                joined.push(hash);
            }
        }
        self.choose_shape(now);
        for hash in joined {
            if !self.ring {
                self.probe_now(hash);
            }
        }
        self.stirred = true;
        self.unjudged.get_or_insert(now);
    }

    /// Takes leave: to its peers this node is no candidate any more, to itself it is one until they
    /// have taken over ([`Event::Released`]), so that it goes on answering until then.
    pub fn drain(&mut self, now: Duration) {
        self.now = self.now.max(now);
        if self.own.drain.is_none() {
            self.own.drain = Some(Drain { since: now, released: false });
            self.next_beat = now;
            self.own_word_changed();
            self.stirred = true;
            self.beat_all();
            self.unjudged.get_or_insert(now);
        }
    }

    /// The last [`Event::MembersChanged`] is acted on: whatever draining peers left to this node is
    /// announced. Lets them stop.
    pub fn settled(&mut self, now: Duration) {
        self.now = self.now.max(now);
        for hash in self.peers.keys().copied().collect::<Vec<_>>() {
            let Some(peer) = self.peers.get_mut(&hash) else { continue };
            if peer.bits.draining && peer.counts() && !peer.taken {
                peer.taken = true;
                self.beat(hash);
            }
        }
    }

    /// Whether nodes that send no heartbeats and take over at once are candidates too. While they
    /// are, so does this one: no hold-down, and no waiting for a first peer where none is listed.
    pub fn set_preempting(&mut self, now: Duration, preempting: bool) {
        self.now = self.now.max(now);
        if std::mem::replace(&mut self.own.preempting, preempting) != preempting {
            self.unjudged.get_or_insert(now);
        }
    }

    /// Signs and verifies by another key from now on.
    pub fn set_key(&mut self, key: Key) {
        self.config.key = key;
    }

    /// A datagram that arrived at `received` (the kernel's time, not the reader's). Judges nothing.
    pub fn handle_datagram(&mut self, received: Duration, datagram: &[u8]) {
        self.now = self.now.max(received);
        self.stats.received += 1;
        match self.receive(received, datagram) {
            Ok(()) if self.is_at_rest() => self.fall_in(received),
            Ok(()) => {
                self.unjudged.get_or_insert(received);
            }
            Err(reject) => self.stats.rejected[reject.index()] += 1,
        }
    }

    /// What the wire said after [`Event::AskWire`]. Ignored if the question is no longer open.
    pub fn handle_wire_answer(&mut self, now: Duration, peer: &str, answer: impl Into<WireAnswer>) {
        self.now = self.now.max(now);
        let Some(peer) = self.peers.get_mut(&NodeHash::of(peer)) else { return };
        let Standing::Silent(inquiry) = &mut peer.standing else { return };
        if let Step::Wire { answer: open, .. } = &mut inquiry.step {
            *open = Some(answer.into());
            self.unjudged.get_or_insert(now);
        }
    }

    /// Does what is due. Harmless if called early.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.unjudged = None;
        let rested = self.is_at_rest();
        self.wake(now);
        if now >= self.next_beat {
            if self.unlinked {
                self.relink(now);
            }
            self.beat_or_probe_all();
            self.next_beat = now + self.beat_interval();
        }
        self.judge(now);
        self.tend_own(now);
        self.spread(now);
        self.stirred |= !rested || !self.is_at_rest();
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        while let Some(hash) = self.outgoing.first().copied() {
            if let Some(transmit) = self.compose(hash) {
                return Some(transmit);
            }
            self.outgoing.remove(&hash);
        }
        None
    }

    /// The next event. A change of the candidates comes before the reasons for it.
    pub fn poll_event(&mut self) -> Option<Event> {
        let stirred = std::mem::take(&mut self.stirred);
        if (stirred || !self.ring) && !self.candidate_hashes().eq(self.reported.iter().copied()) {
            self.reported = self.candidate_hashes().collect();
            return Some(Event::MembersChanged { candidates: self.candidates() });
        }
        if std::mem::take(&mut self.lacking) {
            return Some(Event::LacksChanged { lacks: self.peer_lacks() });
        }
        self.events.pop_front()
    }

    /// When to call [`Detector::handle_timeout`] next. Remembered, so that a late call is noticed.
    pub fn poll_timeout(&mut self) -> Option<Duration> {
        let timing = &self.config.timing;
        let planned = self
            .tended
            .iter()
            .filter_map(|hash| self.peers.get(hash)?.wake(timing))
            .chain(self.own_wake())
            .fold(self.next_beat, Duration::min);
        self.lateness.armed = Some(planned);
        let news = self.roll_wake();
        Some(self.unjudged.into_iter().chain(news).fold(planned, Duration::min))
    }

    /// Alive and eligible nodes, this one included if it is eligible.
    pub fn candidates(&self) -> BTreeSet<Arc<str>> {
        self.candidate_hashes()
            .map(|hash| self.peers.get(&hash).map_or(&self.config.name, |peer| &peer.name).clone())
            .collect()
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The largest own lateness of the last ten seconds or a little more.
    pub fn lateness(&self) -> Duration {
        self.lateness.largest()
    }

    /// What is thought of each peer, in no particular but a stable order.
    pub fn peers(&self) -> impl Iterator<Item = PeerView> {
        self.peers.values().map(|peer| PeerView {
            name: peer.name.clone(),
            view: match peer.standing {
                Standing::Unheard => View::Unheard,
                Standing::Alive => View::Alive,
                Standing::Silent(_) => View::Silent,
                Standing::Dead { .. } => View::Dead,
            },
            age: peer.session.map(|_| self.now.saturating_sub(peer.heard)),
            limit: peer.limit(&self.config.timing),
            eligible: peer.bits.eligible,
            draining: peer.bits.draining,
        })
    }

    pub(crate) fn candidate_hashes(&self) -> impl Iterator<Item = NodeHash> {
        self.peers
            .iter()
            .filter(|(_, peer)| peer.is_candidate())
            .map(|(hash, _)| *hash)
            .chain(self.own.serves().then_some(self.me))
    }

    pub(crate) fn push(&mut self, event: Event) {
        if self.events.len() == EVENTS {
            self.events.pop_front();
            self.stats.events_lost += 1;
        }
        self.events.push_back(event);
    }

    pub(crate) fn beat_all(&mut self) {
        if self.ring {
            return self.tell_own();
        }
        for (hash, peer) in &mut self.peers {
            peer.outgoing.beat = true;
            self.outgoing.insert(*hash);
        }
    }

    /// Asks everybody for a word at once: a silent peer whether it lives, the others what they know.
    pub(crate) fn probe_all(&mut self) {
        for hash in self.near().map(|(hash, _)| hash).collect::<Vec<_>>() {
            self.probe_now(hash);
        }
    }

    /// Asks a peer for a word, unless it was asked a moment ago.
    pub(crate) fn probe(&mut self, hash: NodeHash) {
        let retry = self.config.timing.retry();
        let asked = self.peers.get(&hash).and_then(|peer| peer.outgoing.probed);
        if asked.is_none_or(|at| at + retry <= self.now) {
            self.probe_now(hash);
        }
    }

    fn probe_now(&mut self, hash: NodeHash) {
        if let Some(peer) = self.peers.get_mut(&hash) {
            peer.outgoing.probe = true;
            peer.outgoing.probed = Some(self.now);
            self.outgoing.insert(hash);
        }
    }

    /// In a mesh whoever is awake for the beat of a peer sends its own now if that is due soon, so that all
    /// wake together and not each for each. Nobody sends later for it.
    fn fall_in(&mut self, received: Duration) {
        if !self.ring && received + self.config.timing.interval / 2 >= self.next_beat {
            self.next_beat = self.next_beat.min(received);
        }
    }

    /// Whether a hearing can change nothing: deadlines pass by the clock alone.
    fn is_at_rest(&self) -> bool {
        let alive = |hash| self.peers.get(hash).is_some_and(Peer::is_alive);
        self.own.is_at_rest() && self.roll_wake().is_none() && self.tended.iter().all(alive)
    }

    pub(crate) fn beat(&mut self, hash: NodeHash) {
        if let Some(peer) = self.peers.get_mut(&hash) {
            peer.outgoing.beat = true;
            self.outgoing.insert(hash);
        }
    }

    // Whoever is not heard is asked to answer with every beat, which also proves its present life.
    fn beat_or_probe_all(&mut self) {
        for hash in self.tended.iter().copied().collect::<Vec<_>>() {
            let Some(peer) = self.peers.get(&hash) else { continue };
            match (peer.is_alive(), peer.link) {
                (true, Link { monitor: true, .. }) => self.beat(hash),
                (false, link) if link.is_near() => self.probe_now(hash),
                _ => {}
            }
        }
        if self.ring {
            self.beat_on_ring();
        }
    }

    /// Above what the links get: whoever is gone, whoever has to confirm our leave, whoever knows
    /// something else.
    fn beat_on_ring(&mut self) {
        self.knock();
        self.compare(self.now);
        if self.own.is_leaving() {
            let taken = |peer: &Peer| {
                peer.statements.get(&self.me).is_some_and(|said| said.mark == Mark::Taken)
            };
            let open = |peer: &Peer| peer.is_candidate() && !taken(peer);
            let open: Vec<NodeHash> =
                self.peers.iter().filter(|(_, peer)| open(peer)).map(|(hash, _)| *hash).collect();
            for hash in open {
                self.probe_now(hash);
            }
        }
    }

    fn beat_interval(&self) -> Duration {
        let timing = &self.config.timing;
        if self.own.is_leaving() { timing.retry() } else { timing.interval }
    }

    /// Own lateness is not held against anybody.
    fn wake(&mut self, now: Duration) {
        let late = self.lateness.measure(now);
        if late <= self.config.timing.tolerance() {
            return;
        }
        for hash in &self.tended {
            if let Some(peer) = self.peers.get_mut(hash) {
                peer.forgive(now, late);
            }
        }
        self.stats.late_wakes += 1;
        self.push(Event::Late { by: late });
    }

    fn receive(&mut self, received: Duration, datagram: &[u8]) -> Result<(), Reject> {
        let (header, entries) = wire::open(&self.config.key, datagram)?;
        if header.receiver != self.me {
            return Err(Reject::Receiver);
        }
        let peer = self.peers.get_mut(&header.sender).ok_or(Reject::Sender)?;
        let admitted = admit(peer.session, peer.outgoing.nonce, &header);
        if header.kind == Kind::Probe && admitted != Err(Reject::Replayed) {
            peer.outgoing.echo = Some(header.token);
            self.outgoing.insert(header.sender);
        }
        if admitted == Err(Reject::Unproven) {
            self.probe(header.sender);
        }
        let session = admitted?;
        let nonce = self.rng.u64(1..);
        let mut lacks = lacks::of(&entries);
        let Some(peer) = self.peers.get_mut(&header.sender) else { return Ok(()) };
        let word = Word { epoch: header.epoch, dead: false };
        if self.ring && Some(word) < peer.word {
            // A former life told more of itself, or this one was declared dead: it has to know.
            peer.prove(session, &header, nonce);
            self.probe(header.sender);
        } else {
            peer.hear(received, session, &header, nonce);
            let own = lacks.remove(&header.sender).unwrap_or_default();
            self.hear_lacks(header.sender, own);
            if self.ring {
                self.learn(header.sender, header.sender, word, header.bits);
            }
        }
        let (mut of_us, mut digest) = (None, None);
        for entry in entries {
            match entry.mark {
                Mark::Digest => digest = Some(entry.epoch),
                Mark::Lack => {}
                _ => {
                    if entry.subject == self.me {
                        of_us = Some(entry);
                    }
                    let lacks = lacks.remove(&entry.subject);
                    self.hear_of(received, header.sender, &entry, lacks);
                }
            }
        }
        // Weighing what is said of us needs all that was said.
        if let Some(entry) = of_us {
            self.hear_of_self(header.sender, &entry);
        }
        if let Some(digest) = digest.filter(|_| self.ring) {
            self.hear_digest(header.sender, digest);
        }
        Ok(())
    }

    fn hear_of(
        &mut self,
        received: Duration,
        speaker: NodeHash,
        entry: &Entry,
        lacks: Option<BTreeSet<u64>>,
    ) {
        let known = entry.subject == self.me || self.tended.contains(&entry.subject);
        if let (true, Some(peer)) = (known, self.peers.get_mut(&speaker)) {
            peer.note(received, entry);
        }
        if self.ring
            && let Some(word) = entry.mark.word(entry.epoch)
            && self.learn(speaker, entry.subject, word, entry.bits)
        {
            self.hear_lacks(entry.subject, lacks.unwrap_or_default());
        }
        // Somebody misses a peer that we have not heard for a beat either: ask it.
        if matches!(entry.mark, Mark::Silent | Mark::Dead)
            && let Some(peer) = self.peers.get(&entry.subject)
            && peer.link.ward
            && (!self.ring || peer.counts())
            && received > peer.heard + self.config.timing.interval
        {
            self.probe(entry.subject);
        }
    }

    fn compose(&mut self, hash: NodeHash) -> Option<Transmit> {
        let outgoing = &mut self.peers.get_mut(&hash)?.outgoing;
        let (kind, token) = if let Some(nonce) = outgoing.echo.take() {
            (Kind::Beat, nonce)
        } else if outgoing.probe {
            outgoing.probe = false;
            (Kind::Probe, outgoing.nonce)
        } else if outgoing.beat {
            (Kind::Beat, 0)
        } else {
            return None;
        };
        outgoing.beat = false;
        self.own.sequence += 1;
        self.stats.sent += 1;
        let header = Header {
            kind,
            sender: self.me,
            receiver: hash,
            epoch: self.own.epoch,
            sequence: self.own.sequence,
            token,
            lateness: self.lateness.largest(),
            bits: self.own.bits(),
        };
        let mut entries = self.own_lacks();
        let room = MAX_ENTRIES - entries.len();
        entries.extend(if self.ring { self.words(hash, room) } else { self.entries(hash, room) });
        let peer = self.peers.get_mut(&hash)?;
        peer.outgoing.beat = peer.outgoing.words.is_some();
        let to = peer.name.clone();
        Some(Transmit { to, bytes: wire::seal(&self.config.key, &header, &entries) })
    }

    /// What is said of whom: the receiver first, then round from our own hash, so that in a large
    /// cluster each peer is spoken of by as many others as fit.
    fn entries(&self, receiver: NodeHash, room: usize) -> Vec<Entry> {
        let first = self.peers.get_key_value(&receiver);
        let after = self.peers.range(self.me..);
        let before = self.peers.range(..self.me);
        let others = after.chain(before).filter(|(hash, _)| **hash != receiver);
        let entry = |(hash, peer): (&NodeHash, &Peer)| self.entry(*hash, peer);
        first.into_iter().chain(others).take(room).map(entry).collect()
    }

    pub(crate) fn entry(&self, subject: NodeHash, peer: &Peer) -> Entry {
        let back = peer.back.is_some_and(|at| self.now < at + self.config.timing.hold_down);
        let mark = match peer.standing {
            Standing::Unheard if peer.word.is_some() => Mark::Dead,
            Standing::Unheard => Mark::Unknown,
            Standing::Alive if peer.taken => Mark::Taken,
            Standing::Alive if back => Mark::Back,
            Standing::Alive if peer.link.ward => Mark::Heard,
            Standing::Alive => Mark::Told,
            Standing::Silent(_) if peer.is_accused() => Mark::Accused,
            Standing::Silent(_) if self.suspect => Mark::Unknown,
            Standing::Silent(inquiry) => match inquiry.step {
                Step::Resting { .. } => Mark::Unknown,
                _ => Mark::Silent,
            },
            Standing::Dead { .. } => Mark::Dead,
        };
        let age = self.now.saturating_sub(peer.heard);
        Entry { subject, epoch: peer.epoch, age, mark, bits: peer.bits }
    }
}
