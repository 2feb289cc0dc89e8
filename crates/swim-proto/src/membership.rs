//! The verbs: datagrams, streams and time in; datagrams, streams and events out.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::broadcast::Broadcasts;
use crate::budget::{Budget, Complaints};
use crate::config::{Config, ConfigError};
use crate::event::{Event, Refusal};
use crate::exchange::{Exchanges, StreamId};
use crate::graves::Graves;
use crate::key::{Keyring, Nonces};
use crate::node::{Member, Node, State, Versions};
use crate::probe::{Probing, Relays};
use crate::stats::Stats;
use crate::suspicion::Suspicion;
use crate::wire::{self, Claim, Envelope, Message};

/// Datagrams, streams and events kept for a driver that does not fetch them.
const MAX_QUEUED: usize = 8192;

/// One member of a cluster.
#[derive(Debug)]
pub struct Membership {
    pub(crate) config: Config,
    pub(crate) envelope: Envelope,
    pub(crate) rng: fastrand::Rng,
    pub(crate) nonces: Nonces,
    /// This node and all others, those that are gone until they are forgotten.
    pub(crate) nodes: BTreeMap<Arc<str>, Node>,
    /// The same in the order they are probed.
    pub(crate) ring: Vec<Arc<str>>,
    pub(crate) suspicions: BTreeMap<Arc<str>, Suspicion>,
    pub(crate) graves: Graves,
    pub(crate) broadcasts: Broadcasts,
    pub(crate) probing: Probing,
    pub(crate) relays: Relays,
    pub(crate) exchanges: Exchanges,
    pub(crate) next_gossip: Duration,
    pub(crate) next_push_pull: Duration,
    pub(crate) leaving: Option<Leaving>,
    pub(crate) stats: Stats,
    pub(crate) budget: Budget,
    pub(crate) complaints: Complaints,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    pub(crate) until: Duration,
    pub(crate) departed: bool,
}

/// Something to send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Transmit {
    /// A datagram from the advertised port.
    Datagram {
        /// To whom.
        to: SocketAddr,
        /// At most `udp_buffer_size` bytes.
        bytes: Vec<u8>,
    },
    /// A TCP connection: send the request, read one answer, close.
    Stream {
        /// What the answer or failure is reported with.
        id: StreamId,
        /// To whom.
        to: SocketAddr,
        /// All there is to send.
        request: Vec<u8>,
        /// How long connecting, sending and reading may take together.
        timeout: Duration,
    },
}

/// The datagram is not membership's: its first byte belongs to whoever shares the port.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("no membership datagram")]
pub struct NotMembership;

impl Membership {
    /// A member that starts at `now` and knows only itself. Two lives of a node must not get the
    /// same `seed`: take it from the operating system.
    pub fn new(config: Config, now: Duration, seed: u64) -> Result<Self, ConfigError> {
        config.check()?;
        let mut rng = fastrand::Rng::with_seed(seed);
        let timing = &config.timing;
        let own = Node {
            address: SocketAddr::new(config.address.ip().to_canonical(), config.address.port()),
            meta: config.meta.clone(),
            versions: Versions::OWN,
            incarnation: config.incarnation,
            state: State::Alive,
            since: now,
            datagrams_blocked: false,
        };
        let mut this = Self {
            envelope: Envelope {
                label: config.label.clone(),
                keys: config.keys.clone(),
                compress: config.compress,
                verify_incoming: config.verify_incoming,
                verify_outgoing: config.verify_outgoing,
                limits: config.limits,
            },
            nonces: Nonces::new(&config.name, seed),
            nodes: BTreeMap::from([(config.name.clone(), own)]),
            ring: vec![config.name.clone()],
            suspicions: BTreeMap::new(),
            graves: Graves::default(),
            broadcasts: Broadcasts::default(),
            probing: Probing::new(
                now + phase(&mut rng, timing.probe_interval),
                rng.u32(..=u32::MAX >> 1),
                timing.awareness_max_multiplier,
            ),
            relays: Relays::default(),
            exchanges: Exchanges::default(),
            next_gossip: now,
            next_push_pull: now
                + phase(&mut rng, timing.push_pull_interval)
                + timing.push_pull_interval,
            leaving: None,
            stats: Stats::default(),
            budget: Budget::new(config.limits.messages_per_second),
            complaints: Complaints::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            rng,
            config,
        };
        this.broadcast_own();
        Ok(this)
    }

    /// Joins through these addresses, all at the same time up to a few. Those that are members
    /// already, and this node's own, are passed over.
    pub fn join(&mut self, now: Duration, seeds: impl IntoIterator<Item = SocketAddr>) {
        for seed in seeds {
            let seed = SocketAddr::new(seed.ip().to_canonical(), seed.port());
            if !self.is_member(seed) {
                self.exchanges.queue_seed(seed);
            }
        }
        self.start_joins(now);
    }

    /// Seals and opens by other keys from now on.
    pub fn set_keys(&mut self, keys: Keyring) {
        self.envelope.keys = Some(keys);
    }

    /// Takes leave: tells every member and goes on gossiping until [`Event::Departed`].
    pub fn leave(&mut self, now: Duration) {
        if self.leaving.is_some() {
            return;
        }
        let until = now + self.config.timing.leave_timeout;
        self.leaving = Some(Leaving { until, departed: false });
        self.probing.stop();
        let name = self.config.name.clone();
        let Some(own) = self.nodes.get_mut(&name) else { return };
        (own.state, own.since) = (State::Left, now);
        let claim = Claim { incarnation: own.incarnation, node: name.clone(), from: name.clone() };
        let message = Message::Dead(claim).encode();
        let others: Vec<(SocketAddr, bool)> = self
            .nodes
            .values()
            .filter(|node| !node.is_gone())
            .map(|node| (node.address, node.versions.checksums()))
            .collect();
        if others.is_empty() {
            self.broadcasts = Broadcasts::default();
        } else {
            // Whoever is to take over should not wait for a round of gossip.
            for (to, crc) in others {
                self.send_sealed(to, &message, crc);
            }
            self.broadcasts.push(name, message);
        }
        self.watch_departure(now);
    }

    /// A datagram from the shared port.
    pub fn handle_datagram(
        &mut self,
        now: Duration,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), NotMembership> {
        if !bytes.first().is_some_and(|first| wire::is_membership(*first)) {
            return Err(NotMembership);
        }
        self.stats.datagrams_received += 1;
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let unpacked = match self.envelope.open_datagram(bytes) {
            Ok(unpacked) => unpacked,
            Err(why) => {
                self.refuse(now, from.ip(), why);
                return Ok(());
            }
        };
        if unpacked.malformed > 0 {
            self.refuse(now, from.ip(), Refusal::Malformed);
        }
        for message in unpacked.messages {
            if !self.budget.spend(now, from.ip(), 1) {
                self.refuse(now, from.ip(), Refusal::Flood);
                break;
            }
            self.handle_message(now, from, message);
        }
        Ok(())
    }

    /// Does what is due. Harmless if called early. Read what waits in the socket before, or an
    /// answer that has arrived comes too late.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.expire_relays(now);
        self.expire_exchanges(now);
        self.advance_probe(now);
        self.expire_suspicions(now);
        self.gossip(now);
        self.start_push_pull(now);
        self.watch_departure(now);
    }

    /// The next thing to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Membership::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let gossip = (!self.broadcasts.is_empty()).then_some(self.next_gossip);
        let push_pull = self.leaving.is_none().then_some(self.next_push_pull);
        let departure =
            self.leaving.filter(|leaving| !leaving.departed).map(|leaving| leaving.until);
        let suspicion = self.suspicions.values().map(Suspicion::deadline).min();
        [
            gossip,
            push_pull,
            departure,
            suspicion,
            self.probing.wake(),
            self.relays.wake(),
            self.exchanges.wake(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Everybody who is known, this node included, and those that are gone until forgotten.
    pub fn members(&self) -> impl Iterator<Item = Member> + '_ {
        self.nodes.iter().map(|(name, node)| node.view(name))
    }

    /// One of them.
    pub fn member(&self, name: &str) -> Option<Member> {
        self.nodes.get_key_value(name).map(|(name, node)| node.view(name))
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// How badly this node fares itself: 0 is well, each point makes its probes more patient.
    pub fn health_score(&self) -> u32 {
        self.probing.score()
    }

    fn handle_message(&mut self, now: Duration, from: SocketAddr, message: Message) {
        match message {
            Message::Ping(ping) => self.handle_ping(from, &ping),
            Message::IndirectPing(ping) => self.handle_indirect_ping(now, from, &ping),
            Message::Ack(seq) => self.handle_ack(now, seq),
            Message::Nack(seq) => self.probing.handle_nack(seq),
            Message::Suspect(claim) | Message::Dead(claim) if claim.node == self.config.name => {
                self.accused(Some(from), &claim);
            }
            Message::Suspect(claim) => self.suspect(now, &claim),
            Message::Dead(claim) => self.bury(now, &claim),
            Message::Alive(alive) => self.alive(now, from.ip(), alive),
            Message::User => {}
        }
    }

    /// Whether a member that counts, or this node, is at that address.
    pub(crate) fn is_member(&self, address: SocketAddr) -> bool {
        self.nodes.values().any(|node| node.address == address && !node.is_gone())
    }

    pub(crate) fn own(&self) -> Option<&Node> {
        self.nodes.get(&self.config.name)
    }

    pub(crate) fn refuse(&mut self, now: Duration, from: IpAddr, why: Refusal) {
        self.stats.refused[why as usize] += 1;
        if let Some(count) = self.complaints.note(now, from, why) {
            self.emit(Event::Refused { from, why, count });
        }
    }

    pub(crate) fn emit(&mut self, event: Event) {
        if self.events.len() >= MAX_QUEUED {
            self.events.pop_front();
            self.stats.overflowed += 1;
        }
        self.events.push_back(event);
    }

    pub(crate) fn transmit(&mut self, transmit: Transmit) {
        if self.transmits.len() >= MAX_QUEUED {
            self.transmits.pop_front();
            self.stats.overflowed += 1;
        }
        match transmit {
            Transmit::Datagram { .. } => self.stats.datagrams_sent += 1,
            Transmit::Stream { .. } => self.stats.streams_sent += 1,
        }
        self.transmits.push_back(transmit);
    }

    /// Ends a departure when its message went out as often as it should, or time is up.
    fn watch_departure(&mut self, now: Duration) {
        let spread = !self.broadcasts.contains(&self.config.name);
        if let Some(leaving) = &mut self.leaving
            && !leaving.departed
            && (spread || now >= leaving.until)
        {
            leaving.departed = true;
            self.emit(Event::Departed { complete: spread });
        }
    }
}

/// A time shorter than `interval`, so that members that start together do not act together.
fn phase(rng: &mut fastrand::Rng, interval: Duration) -> Duration {
    let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
    Duration::from_nanos(rng.u64(0..nanos))
}
