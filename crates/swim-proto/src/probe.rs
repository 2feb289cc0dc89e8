//! Whether members answer: one probe at a time, round the ring.
//!
//! ```text
//!  tick ─▶ ping ──probe_timeout──▶ indirect pings and a ping by stream ──deadline──▶ verdict
//!            └───────────────── an ack ends it at any time ──────────────▶ answered
//! ```
//! The deadline is a probe interval times the own health score plus one: a node that fares badly
//! itself gives others more time (Lifeguard).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::event::Event;
use crate::exchange::Exchange;
use crate::membership::Membership;
use crate::node::State;
use crate::wire::{Claim, IndirectPing, Message, Ping, Source};

/// Questions that are relayed at a time.
const MAX_RELAYS: usize = 1024;

#[derive(Clone, Debug)]
pub(crate) struct Probing {
    /// When the next probe is due; never while leaving.
    next: Option<Duration>,
    /// Place in the ring of the next target.
    place: usize,
    current: Option<Probe>,
    seq: u32,
    score: u32,
    max_score: u32,
}

#[derive(Clone, Debug)]
struct Probe {
    seq: u32,
    target: Arc<str>,
    incarnation: u32,
    indirect_at: Option<Duration>,
    deadline: Duration,
    expected_nacks: u32,
    nacks: u32,
    answered_by_stream: bool,
}

impl Probing {
    pub(crate) fn new(first: Duration, seq: u32, max_multiplier: u32) -> Self {
        let max_score = max_multiplier.saturating_sub(1);
        Self { next: Some(first), place: 0, current: None, seq, score: 0, max_score }
    }

    pub(crate) fn stop(&mut self) {
        self.next = None;
        self.current = None;
    }

    pub(crate) fn wake(&self) -> Option<Duration> {
        match &self.current {
            Some(probe) => Some(probe.indirect_at.unwrap_or(probe.deadline)),
            None => self.next,
        }
    }

    pub(crate) fn score(&self) -> u32 {
        self.score
    }

    pub(crate) fn worsen(&mut self, by: u32) {
        self.score = self.score.saturating_add(by).min(self.max_score);
    }

    pub(crate) fn next_seq(&mut self) -> u32 {
        self.seq = self.seq.wrapping_add(1);
        self.seq
    }

    pub(crate) fn handle_nack(&mut self, seq: u32) {
        if let Some(probe) = self.current.as_mut().filter(|probe| probe.seq == seq) {
            probe.nacks += 1;
        }
    }

    pub(crate) fn handle_stream_ack(&mut self, seq: u32) {
        if let Some(probe) = self.current.as_mut().filter(|probe| probe.seq == seq) {
            probe.answered_by_stream = true;
        }
    }

    fn improve(&mut self) {
        self.score = self.score.saturating_sub(1);
    }
}

impl Membership {
    /// Moves the probe on, and begins the next when its time has come.
    pub(crate) fn advance_probe(&mut self, now: Duration) {
        if let Some(probe) = &self.probing.current {
            if now >= probe.deadline {
                self.end_probe(now);
            } else if probe.indirect_at.is_some_and(|at| now >= at) {
                self.probe_indirectly(now);
            }
        }
        if let (None, Some(due)) = (&self.probing.current, self.probing.next)
            && now >= due
        {
            self.start_probe(now);
            // A probe that took longer than an interval is followed at once, once.
            let interval = self.config.timing.probe_interval;
            self.probing.next =
                Some(if now < due + interval { due + interval } else { now + interval });
        }
    }

    pub(crate) fn handle_ack(&mut self, now: Duration, seq: u32) {
        if self.probing.current.as_ref().is_some_and(|probe| probe.seq == seq) {
            let target = self.probing.current.take().map(|probe| probe.target);
            self.probing.improve();
            if let Some(node) = target.and_then(|target| self.nodes.get_mut(&target)) {
                node.datagrams_blocked = false;
            }
        } else if let Some(relay) = self.relays.0.remove(&seq) {
            self.send(relay.to, Message::Ack(relay.seq).encode());
        }
        self.advance_probe(now);
    }

    pub(crate) fn handle_ping(&mut self, from: SocketAddr, ping: &Ping) {
        if ping.node.is_empty() || ping.node == self.config.name {
            let to = self.answer_address(from, &ping.source);
            self.send(to, Message::Ack(ping.seq).encode());
        }
    }

    /// Another node asks whether its target answers this one.
    pub(crate) fn handle_indirect_ping(
        &mut self,
        now: Duration,
        from: SocketAddr,
        ping: &IndirectPing,
    ) {
        let to = self.answer_address(from, &ping.source);
        // Only members are pinged: else anybody could have anything sent anywhere.
        if !self.is_member(ping.target) || self.relays.0.len() >= MAX_RELAYS {
            if ping.nack {
                self.send(to, Message::Nack(ping.seq).encode());
            }
            return;
        }
        let seq = self.probing.next_seq();
        let timeout = self.config.timing.probe_timeout;
        // Early enough to reach the asker before its verdict, which a nack after the whole timeout
        // never does.
        let nack_at = ping.nack.then(|| now + timeout * 4 / 5);
        let relay = Relay { to, seq: ping.seq, nack_at, until: now + timeout };
        self.relays.0.insert(seq, relay);
        let question = self.ping(seq, ping.node.clone());
        self.send(ping.target, question.encode());
    }

    pub(crate) fn expire_relays(&mut self, now: Duration) {
        let mut silent = Vec::new();
        self.relays.0.retain(|_, relay| {
            if relay.nack_at.is_some_and(|at| now >= at) {
                relay.nack_at = None;
                silent.push((relay.to, relay.seq));
            }
            now < relay.until
        });
        for (to, seq) in silent {
            self.send(to, Message::Nack(seq).encode());
        }
    }

    fn start_probe(&mut self, now: Duration) {
        let Some(target) = self.next_target(now) else { return };
        let Some(node) = self.nodes.get(&target) else { return };
        let (address, incarnation, state) = (node.address, node.incarnation, node.state);
        let checksums = node.versions.checksums();
        let timing = &self.config.timing;
        let seq = self.probing.next_seq();
        self.probing.current = Some(Probe {
            seq,
            target: target.clone(),
            incarnation,
            indirect_at: Some(now + timing.probe_timeout),
            deadline: now + timing.probe_interval * (self.probing.score + 1),
            expected_nacks: 0,
            nacks: 0,
            answered_by_stream: false,
        });
        self.stats.probes += 1;
        let ping = self.ping(seq, target.clone()).encode();
        if state == State::Suspect {
            // It should hear at once that it has to refute.
            let from = self.config.name.clone();
            let claim = Claim { incarnation, node: target, from };
            self.send_with(address, ping, Message::Suspect(claim).encode(), checksums);
        } else {
            self.send(address, ping);
        }
    }

    fn probe_indirectly(&mut self, now: Duration) {
        let Some(probe) = &mut self.probing.current else { return };
        probe.indirect_at = None;
        let (seq, target, deadline) = (probe.seq, probe.target.clone(), probe.deadline);
        let Some(node) = self.nodes.get(&target) else { return };
        let (address, by_stream) = (node.address, node.versions.pings_by_stream());
        let helpers: Vec<(SocketAddr, bool)> = self
            .nodes
            .iter()
            .filter(|(name, node)| {
                node.state == State::Alive && **name != target && **name != self.config.name
            })
            .map(|(_, node)| (node.address, node.versions.nacks()))
            .collect();
        for (helper, nack) in self.rng.choose_multiple(helpers, self.config.timing.indirect_checks)
        {
            if let (true, Some(probe)) = (nack, &mut self.probing.current) {
                probe.expected_nacks += 1;
            }
            let node = target.clone();
            let question = IndirectPing { seq, node, target: address, nack, source: self.source() };
            self.send(helper, Message::IndirectPing(question).encode());
        }
        if by_stream && !self.config.timing.disable_tcp_pings {
            let ping = self.ping(seq, target).encode();
            let timeout = deadline.saturating_sub(now);
            self.start_exchange(now, address, Exchange::Ping { seq }, &ping, timeout);
        }
    }

    /// The deadline has passed without an ack.
    fn end_probe(&mut self, now: Duration) {
        let Some(probe) = self.probing.current.take() else { return };
        if probe.answered_by_stream {
            self.probing.improve();
            if let Some(node) = self.nodes.get_mut(&probe.target)
                && !node.datagrams_blocked
            {
                node.datagrams_blocked = true;
                self.emit(Event::DatagramsBlocked { node: probe.target });
            }
            return;
        }
        self.stats.probes_failed += 1;
        // Helpers that say nothing at all make this node doubt itself.
        self.probing.worsen(match probe.expected_nacks {
            0 => 1,
            expected => expected.saturating_sub(probe.nacks),
        });
        let from = self.config.name.clone();
        let claim = Claim { incarnation: probe.incarnation, node: probe.target, from };
        self.suspect(now, &claim);
    }

    /// The next of the ring that is to be probed. A round's end shuffles and forgets.
    fn next_target(&mut self, now: Duration) -> Option<Arc<str>> {
        for _ in 0..=self.ring.len() {
            if self.probing.place >= self.ring.len() {
                self.forget(now);
                let mut ring = std::mem::take(&mut self.ring);
                self.rng.shuffle(&mut ring);
                self.ring = ring;
                self.probing.place = 0;
            }
            let name = self.ring.get(self.probing.place)?.clone();
            self.probing.place += 1;
            let living = self.nodes.get(&name).is_some_and(|node| !node.is_gone());
            if living && name != self.config.name {
                return Some(name);
            }
        }
        None
    }

    /// Where an answer goes. Without a key anybody could name somebody else as the source, so only
    /// members are believed then.
    fn answer_address(&self, from: SocketAddr, source: &Source) -> SocketAddr {
        match source.address {
            Some(address) if self.envelope.keys.is_some() || self.is_member(address) => address,
            _ => from,
        }
    }

    fn ping(&self, seq: u32, node: Arc<str>) -> Message {
        Message::Ping(Ping { seq, node, source: self.source() })
    }

    fn source(&self) -> Source {
        Source { address: self.own().map(|own| own.address), node: self.config.name.clone() }
    }
}

/// Questions of others, by the sequence number this node asked with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Relays(BTreeMap<u32, Relay>);

#[derive(Clone, Debug)]
struct Relay {
    to: SocketAddr,
    seq: u32,
    nack_at: Option<Duration>,
    until: Duration,
}

impl Relays {
    pub(crate) fn wake(&self) -> Option<Duration> {
        self.0.values().map(|relay| relay.nack_at.unwrap_or(relay.until)).min()
    }
}
