//! A cluster in virtual time: members, a network for datagrams and streams, and for each node a
//! driver that behaves as the real one must.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use ferrolb_swim_proto::{
    Config, Event, Keyring, Limits, Member, Membership, StreamId, Timing, Transmit,
};

pub(crate) const MS: fn(u64) -> Duration = Duration::from_millis;

pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) nodes: Vec<Node>,
    /// Datagrams lost of a thousand.
    pub(crate) loss: u64,
    /// Nothing goes from the first to the second.
    pub(crate) cut: BTreeSet<(usize, usize)>,
    /// Datagrams do not go from the first to the second, streams do.
    pub(crate) blocked: BTreeSet<(usize, usize)>,
    pub(crate) log: Vec<(Duration, usize, Event)>,
    /// Every datagram sent, if recording is on.
    pub(crate) recording: Option<Vec<(usize, usize, Vec<u8>)>>,
    pub(crate) sent: u64,
    /// Whether a new life begins with a higher incarnation.
    pub(crate) clocked: bool,
    timing: Timing,
    seed: u64,
    lives: u64,
    rng: u64,
    queue: BinaryHeap<Reverse<(Duration, u64, usize, Arrival)>>,
    arrivals: u64,
}

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) member: Option<Membership>,
}

#[derive(Eq, Ord, PartialEq, PartialOrd)]
enum Arrival {
    Datagram(usize, Vec<u8>),
    Request(usize, StreamId, Vec<u8>),
    Reply(StreamId, Vec<u8>),
    Failed(StreamId),
}

impl World {
    /// Members that know nobody but themselves.
    pub(crate) fn new(count: usize, timing: Timing, seed: u64) -> Self {
        let mut world = Self {
            now: MS(1_000),
            nodes: Vec::new(),
            loss: 0,
            cut: BTreeSet::new(),
            blocked: BTreeSet::new(),
            log: Vec::new(),
            recording: None,
            sent: 0,
            clocked: false,
            timing,
            seed,
            lives: 0,
            rng: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            queue: BinaryHeap::new(),
            arrivals: 0,
        };
        (0..count).for_each(|_| world.add());
        world
    }

    /// One more member.
    pub(crate) fn add(&mut self) {
        let index = self.nodes.len();
        let address = SocketAddr::from(([10, 0, 0, u8::try_from(index + 1).unwrap()], 7946));
        self.nodes.push(Node { name: format!("n{index:02}"), address, member: None });
        self.start(index);
    }

    /// Members that all know each other, long after they started.
    pub(crate) fn settled(count: usize, timing: Timing, seed: u64) -> Self {
        let mut world = Self::new(count, timing, seed);
        for index in 1..count {
            world.join(index, 0);
        }
        world.run(MS(5_000));
        // What gossip missed the exchange of states brings.
        world.run_until(MS(90_000), Self::is_whole);
        world.run(MS(7_000) + MS(seed * 37 % 1_000));
        world.assert_whole();
        world.log.clear();
        world
    }

    /// A new life of a node.
    pub(crate) fn start(&mut self, index: usize) {
        self.lives += 1;
        let node = &mut self.nodes[index];
        let mut config = Config::new(node.name.as_str(), node.address);
        config.keys = Some(Keyring::derive(b"secret").unwrap());
        config.timing = self.timing;
        if self.clocked {
            config.incarnation = u32::try_from(self.now.as_secs()).unwrap();
        }
        config.meta = vec![u8::try_from(index).unwrap(); 3].into();
        let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(self.lives);
        node.member = Some(Membership::new(config, self.now, seed).unwrap());
        self.drive(index);
    }

    pub(crate) fn join(&mut self, index: usize, seed: usize) {
        let (now, address) = (self.now, self.nodes[seed].address);
        self.with(index, |member| member.join(now, [address]));
    }

    pub(crate) fn leave(&mut self, index: usize) {
        let now = self.now;
        self.with(index, |member| member.leave(now));
    }

    /// The node falls silent without a word.
    pub(crate) fn crash(&mut self, index: usize) {
        self.nodes[index].member = None;
    }

    /// Nothing goes between the first `count` nodes and the others.
    pub(crate) fn partition(&mut self, count: usize) {
        for here in 0..count {
            for there in count..self.nodes.len() {
                self.cut.extend([(here, there), (there, here)]);
            }
        }
    }

    /// Hands a datagram to a node as if it came from another.
    pub(crate) fn inject(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let (now, from) = (self.now, self.nodes[from].address);
        self.with(to, |member| member.handle_datagram(now, from, bytes).unwrap());
    }

    pub(crate) fn with(&mut self, index: usize, act: impl FnOnce(&mut Membership)) {
        if let Some(member) = &mut self.nodes[index].member {
            act(member);
        }
        self.drive(index);
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let wake = |node: &Node| node.member.as_ref()?.poll_timeout();
            let timer = (0..self.nodes.len())
                .filter_map(|index| Some((wake(&self.nodes[index])?, index)))
                .min();
            let arrival = self.queue.peek().map(|Reverse((at, ..))| *at);
            let next = timer.map(|(at, _)| at).into_iter().chain(arrival).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            // What has arrived is read before time is judged.
            if arrival == Some(next) {
                let Some(Reverse((_, _, to, arrival))) = self.queue.pop() else { break };
                self.arrive(to, arrival);
            } else if let Some((_, index)) = timer {
                let now = self.now;
                self.with(index, |member| member.handle_timeout(now));
                let wake = self.nodes[index].member.as_ref().and_then(Membership::poll_timeout);
                assert!(
                    wake.is_none_or(|wake| wake > now),
                    "{} spins at {now:?}",
                    self.nodes[index].name
                );
            }
        }
        self.now = end;
    }

    /// Runs until `done`, at most `limit`; the time it took.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Duration {
        let start = self.now;
        while !done(self) {
            assert!(self.now < start + limit, "not within {limit:?} {}", self.story());
            self.run(MS(10));
        }
        self.now.saturating_sub(start)
    }

    /// Names that count as members at a node.
    pub(crate) fn usable(&self, index: usize) -> BTreeSet<String> {
        let members = self.nodes[index].member.iter().flat_map(Membership::members);
        members.filter(Member::is_usable).map(|member| member.name.to_string()).collect()
    }

    /// Whether every running node sees exactly the running nodes.
    pub(crate) fn is_whole(&self) -> bool {
        let running = self.nodes.iter().filter(|node| node.member.is_some());
        let running: BTreeSet<String> = running.map(|node| node.name.clone()).collect();
        (0..self.nodes.len())
            .filter(|index| self.nodes[*index].member.is_some())
            .all(|index| self.usable(index) == running)
    }

    pub(crate) fn assert_whole(&self) {
        assert!(self.is_whole(), "{}", self.story());
    }

    /// Events of a kind, as (when, at which node).
    pub(crate) fn count(&self, kind: impl Fn(&Event) -> bool) -> usize {
        self.log.iter().filter(|(_, _, event)| kind(event)).count()
    }

    /// For messages of failed assertions.
    pub(crate) fn story(&self) -> String {
        let mut text = format!("\nSWIM_SIM_SEED={} at {:?}\n", self.seed, self.now);
        for index in 0..self.nodes.len() {
            let _ = writeln!(text, "{}: {:?}", self.nodes[index].name, self.usable(index));
        }
        for (at, index, event) in self.log.iter().rev().take(40).rev() {
            let _ = writeln!(text, "{at:?} {}: {event:?}", self.nodes[*index].name);
        }
        text
    }

    fn arrive(&mut self, to: usize, arrival: Arrival) {
        let now = self.now;
        match arrival {
            Arrival::Datagram(from, bytes) => {
                if self.nodes[to].member.is_some() {
                    self.inject(from, to, &bytes);
                }
            }
            Arrival::Request(from, id, bytes) => {
                let address = self.nodes[from].address;
                let Some(member) = &mut self.nodes[to].member else { return };
                assert_eq!(Limits::DEFAULT.stream_missing(&bytes), Ok(0));
                let reply = member.handle_stream(now, address, &bytes);
                self.drive(to);
                self.schedule(from, Arrival::Reply(id, reply));
            }
            Arrival::Reply(id, bytes) => {
                self.with(to, |member| member.handle_stream_reply(now, id, &bytes));
            }
            Arrival::Failed(id) => self.with(to, |member| member.handle_stream_failed(now, id)),
        }
    }

    fn drive(&mut self, index: usize) {
        let Some(member) = &mut self.nodes[index].member else { return };
        let (mut transmits, mut events) = (Vec::new(), Vec::new());
        while let Some(transmit) = member.poll_transmit() {
            transmits.push(transmit);
        }
        while let Some(event) = member.poll_event() {
            events.push((self.now, index, event));
        }
        self.log.extend(events);
        let by_address: BTreeMap<SocketAddr, usize> =
            self.nodes.iter().enumerate().map(|(index, node)| (node.address, index)).collect();
        for transmit in transmits {
            self.sent += 1;
            match transmit {
                Transmit::Datagram { to, bytes } => {
                    assert!(bytes.len() <= self.timing.udp_buffer_size, "{} bytes", bytes.len());
                    let Some(to) = by_address.get(&to).copied() else { continue };
                    if let Some(recording) = &mut self.recording {
                        recording.push((index, to, bytes.clone()));
                    }
                    let way = (index, to);
                    let lost = self.random() % 1_000 < self.loss;
                    if !lost && !self.cut.contains(&way) && !self.blocked.contains(&way) {
                        self.schedule(to, Arrival::Datagram(index, bytes));
                    }
                }
                Transmit::Stream { id, to, request, timeout } => {
                    let to = by_address.get(&to).copied();
                    let to = to.filter(|to| {
                        self.nodes[*to].member.is_some() && !self.cut.contains(&(index, *to))
                    });
                    if let Some(to) = to {
                        self.schedule(to, Arrival::Request(index, id, request));
                    } else {
                        self.arrivals += 1;
                        let failed = Arrival::Failed(id);
                        self.queue.push(Reverse((
                            self.now + timeout,
                            self.arrivals,
                            index,
                            failed,
                        )));
                    }
                }
            }
        }
    }

    fn schedule(&mut self, to: usize, arrival: Arrival) {
        self.arrivals += 1;
        let at = self.now + Duration::from_micros(100 + self.random() % 900);
        self.queue.push(Reverse((at, self.arrivals, to, arrival)));
    }

    fn random(&mut self) -> u64 {
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        self.rng
    }
}
