//! Streams: one question and one answer each. Joining, the periodic exchange of whole states, and
//! the ping of a peer that is silent by datagram.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::event::{Event, Refusal, SeedFailure};
use crate::membership::{Membership, Transmit};
use crate::node::{Node, State};
use crate::rules::alive_of;
use crate::wire::{self, Message, Record, RecordState, Side, StreamMessage};

/// Seeds asked at the same time.
const MAX_JOINS: usize = 8;
/// Seeds that wait to be asked.
const MAX_SEEDS: usize = 4096;
/// How much longer than its timeout an exchange waits for the driver's word.
const GRACE: Duration = Duration::from_secs(1);
/// Above so many nodes whole states are exchanged less often.
const SCALE_ABOVE: usize = 32;

/// Names a stream between its request and its end.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct StreamId(u64);

/// What this node asked for.
#[derive(Clone, Debug)]
pub(crate) enum Exchange {
    Join,
    PushPull,
    Ping { seq: u32 },
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Exchanges {
    open: BTreeMap<StreamId, (SocketAddr, Exchange, Duration)>,
    seeds: VecDeque<SocketAddr>,
    asked: BTreeSet<SocketAddr>,
    count: u64,
}

impl Exchanges {
    /// Queues a seed, unless it waits or is being asked.
    pub(crate) fn queue_seed(&mut self, seed: SocketAddr) {
        if self.seeds.len() < MAX_SEEDS && self.asked.insert(seed) {
            self.seeds.push_back(seed);
        }
    }

    pub(crate) fn wake(&self) -> Option<Duration> {
        self.open.values().map(|(_, _, until)| *until).min()
    }
}

impl Membership {
    /// A whole request by stream. Send the answer and close; an empty answer: just close.
    pub fn handle_stream(&mut self, now: Duration, from: SocketAddr, bytes: &[u8]) -> Vec<u8> {
        self.stats.streams_received += 1;
        let host = from.ip().to_canonical();
        let cost = u32::try_from(bytes.len() / 1400 + 1).unwrap_or(u32::MAX);
        if !self.budget.spend(now, host, cost) {
            self.refuse(now, host, Refusal::Flood);
            return Vec::new();
        }
        let answer = match self.envelope.open_stream(Side::Request, bytes) {
            Ok(StreamMessage::Ping(ping))
                if ping.node.is_empty() || ping.node == self.config.name =>
            {
                Message::Ack(ping.seq).encode()
            }
            Ok(StreamMessage::PushPull { records, .. }) => {
                let answer = wire::push_pull(false, self.records());
                self.merge(now, host, records);
                answer
            }
            Ok(_) => return Vec::new(),
            Err(why) => {
                self.refuse(now, host, why);
                if why == Refusal::Label {
                    return Vec::new();
                }
                wire::error(&why.to_string())
            }
        };
        self.envelope.seal_stream(Side::Answer, self.nonces.next(), &answer)
    }

    /// The whole answer to a [`Transmit::Stream`].
    pub fn handle_stream_reply(&mut self, now: Duration, id: StreamId, bytes: &[u8]) {
        let Some((address, exchange, _)) = self.exchanges.open.remove(&id) else { return };
        let outcome = match (self.envelope.open_stream(Side::Answer, bytes), &exchange) {
            (Err(why), _) => {
                self.refuse(now, address.ip(), why);
                Err(SeedFailure::Refused(why))
            }
            (Ok(StreamMessage::Ack(ack)), Exchange::Ping { seq }) if ack == *seq => {
                self.probing.handle_stream_ack(ack);
                Ok(())
            }
            (Ok(StreamMessage::PushPull { records, .. }), Exchange::Join | Exchange::PushPull) => {
                self.merge(now, address.ip(), records);
                Ok(())
            }
            (Ok(StreamMessage::Error(text)), _) => Err(SeedFailure::Remote(text)),
            (Ok(_), _) => Err(SeedFailure::Refused(Refusal::Malformed)),
        };
        self.close(now, address, &exchange, outcome);
    }

    /// A [`Transmit::Stream`] came to nothing.
    pub fn handle_stream_failed(&mut self, now: Duration, id: StreamId) {
        if let Some((address, exchange, _)) = self.exchanges.open.remove(&id) {
            self.close(now, address, &exchange, Err(SeedFailure::Unreachable));
        }
    }

    pub(crate) fn expire_exchanges(&mut self, now: Duration) {
        let late = self.exchanges.open.iter().filter(|(_, (_, _, until))| *until <= now);
        for id in late.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.handle_stream_failed(now, id);
        }
    }

    /// Asks seeds that wait, as many as may be asked at a time.
    pub(crate) fn start_joins(&mut self, now: Duration) {
        let joining = |this: &Self| {
            let open = this.exchanges.open.values();
            open.filter(|(_, exchange, _)| matches!(exchange, Exchange::Join)).count()
        };
        while joining(self) < MAX_JOINS
            && let Some(seed) = self.exchanges.seeds.pop_front()
        {
            let request = wire::push_pull(true, self.records());
            let timeout = self.config.timing.tcp_timeout;
            self.start_exchange(now, seed, Exchange::Join, &request, timeout);
        }
    }

    /// Exchanges whole states with a random member, if it is time.
    pub(crate) fn start_push_pull(&mut self, now: Duration) {
        if now < self.next_push_pull || self.leaving.is_some() {
            return;
        }
        self.next_push_pull =
            now + push_pull_interval(self.config.timing.push_pull_interval, self.nodes.len());
        let alive = self
            .nodes
            .iter()
            .filter(|(name, node)| node.state == State::Alive && **name != self.config.name);
        let alive: Vec<SocketAddr> = alive.map(|(_, node)| node.address).collect();
        if let Some(to) = self.rng.choice(alive) {
            let request = wire::push_pull(false, self.records());
            let timeout = self.config.timing.tcp_timeout;
            self.start_exchange(now, to, Exchange::PushPull, &request, timeout);
        }
    }

    pub(crate) fn start_exchange(
        &mut self,
        now: Duration,
        to: SocketAddr,
        exchange: Exchange,
        message: &[u8],
        timeout: Duration,
    ) {
        self.exchanges.count += 1;
        let id = StreamId(self.exchanges.count);
        self.exchanges.open.insert(id, (to, exchange, now + timeout + GRACE));
        let request = self.envelope.seal_stream(Side::Request, self.nonces.next(), message);
        self.transmit(Transmit::Stream { id, to, request, timeout });
    }

    fn close(
        &mut self,
        now: Duration,
        address: SocketAddr,
        exchange: &Exchange,
        outcome: Result<(), SeedFailure>,
    ) {
        if matches!(exchange, Exchange::Join) {
            self.exchanges.asked.remove(&address);
            self.emit(match outcome {
                Ok(()) => Event::SeedReached { address },
                Err(why) => Event::SeedFailed { address, why },
            });
            self.start_joins(now);
        }
    }

    /// This node's whole state.
    fn records(&self) -> impl ExactSizeIterator<Item = Record> + '_ {
        self.nodes
            .iter()
            .map(|(name, node)| Record { node: alive_of(name, node), state: state_of(node) })
    }
}

fn state_of(node: &Node) -> RecordState {
    match node.state {
        State::Alive => RecordState::Alive,
        State::Suspect => RecordState::Suspect,
        State::Dead => RecordState::Dead,
        State::Left => RecordState::Left,
    }
}

/// The interval, one more of it for each doubling above 32 nodes.
fn push_pull_interval(interval: Duration, nodes: usize) -> Duration {
    let doublings = nodes.div_ceil(SCALE_ABOVE).next_power_of_two().ilog2();
    interval * (doublings + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    #[rstest]
    #[case(0, 30)]
    #[case(32, 30)]
    #[case(33, 60)]
    #[case(64, 60)]
    #[case(65, 90)]
    #[case(100, 90)]
    #[case(500, 150)]
    fn whole_states_are_exchanged_less_often_in_large_clusters(
        #[case] nodes: usize,
        #[case] seconds: u64,
    ) {
        let interval = super::push_pull_interval(Duration::from_secs(30), nodes);
        assert_eq!(interval, Duration::from_secs(seconds));
    }
}
