//! A cluster in virtual time: detectors, the heartbeat network, the LAN, and a driver for each node
//! that behaves as the real one must. Checks what must hold at every moment, whatever the scenario.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_heartbeat::{Config, Detector, Event, Key, Reject, Timing, WireAnswer};

pub(crate) const MS: fn(u64) -> Duration = Duration::from_millis;

/// How long two ARP questions take.
const WIRE: Duration = Duration::from_millis(60);
/// Addresses whose ownership is followed.
const SERVICES: usize = 6;

pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) nodes: Vec<Node>,
    /// Datagrams (and wire questions) lost of a thousand.
    pub(crate) loss: u64,
    /// Largest time a datagram takes.
    pub(crate) jitter: Duration,
    /// Largest time a driver wakes too late.
    pub(crate) late: Duration,
    /// Heartbeats from the first to the second are lost.
    pub(crate) deaf: BTreeSet<(usize, usize)>,
    /// The LAN is cut between two nodes, heartbeats included.
    pub(crate) cut: BTreeSet<(usize, usize)>,
    pub(crate) log: Vec<(Duration, usize, Event)>,
    /// Longest time that an address had no announcer, with the moment its last gap began.
    pub(crate) dark: Vec<(Duration, Option<Duration>)>,
    /// Times that a service changed its set of announcers.
    pub(crate) moves: usize,
    /// Whom the API lists; every node is told by `start` and `list`.
    pub(crate) members: BTreeSet<usize>,
    /// Of each node.
    timings: Vec<Timing>,
    seed: u64,
    rng: u64,
    queue: BinaryHeap<Reverse<(Duration, u64, usize, Arrival)>>,
    arrivals: u64,
    announcers: Vec<Vec<usize>>,
    /// When the second accepted a datagram of the first last, and when that last ended a silence.
    heard: BTreeMap<(usize, usize), (Duration, Duration)>,
    acquittals: BTreeMap<(usize, usize), Duration>,
    /// Whom somebody declared dead by its own judgement.
    judged: BTreeSet<usize>,
}

pub(crate) struct Node {
    pub(crate) name: Arc<str>,
    /// Away while its driver works with it.
    detector: Option<Detector>,
    up: bool,
    pub(crate) candidates: BTreeSet<Arc<str>>,
    /// What its peers lack, as it knows.
    pub(crate) lacks: BTreeMap<Arc<str>, BTreeSet<u64>>,
    /// The services it would announce by its own view.
    owns: [bool; SERVICES],
    pub(crate) started: Duration,
    pub(crate) paused: Option<Duration>,
    pub(crate) released: bool,
    wake: Duration,
    /// When its driver woke last, and how often it did after a millisecond of sleep or more.
    awake: Duration,
    pub(crate) wakes: u64,
    socket: Vec<(Duration, usize, Vec<u8>)>,
    answers: Vec<(Arc<str>, WireAnswer)>,
}

#[derive(Eq, Ord, PartialEq, PartialOrd)]
enum Arrival {
    Datagram(usize, Vec<u8>),
    Wire(usize),
}

impl World {
    pub(crate) fn new(count: usize, timing: Timing, seed: u64) -> Self {
        Self::mixed(vec![timing; count], seed)
    }

    /// A cluster whose nodes go by timings of their own.
    pub(crate) fn mixed(timings: Vec<Timing>, seed: u64) -> Self {
        let count = timings.len();
        let mut world = Self::stopped(count, Timing::DEFAULT, seed);
        world.timings = timings;
        world.members = (0..count).collect();
        for index in 0..count {
            world.start(index);
        }
        world
    }

    /// A cluster that nobody has joined.
    pub(crate) fn stopped(count: usize, timing: Timing, seed: u64) -> Self {
        let mut world = Self {
            now: MS(1_000),
            nodes: Vec::new(),
            loss: 0,
            jitter: Duration::from_micros(500),
            late: Duration::from_micros(200),
            deaf: BTreeSet::new(),
            cut: BTreeSet::new(),
            log: Vec::new(),
            dark: vec![(Duration::ZERO, None); SERVICES],
            moves: 0,
            members: BTreeSet::new(),
            timings: vec![timing; count],
            seed,
            rng: seed,
            queue: BinaryHeap::new(),
            arrivals: 0,
            announcers: vec![Vec::new(); SERVICES],
            heard: BTreeMap::new(),
            acquittals: BTreeMap::new(),
            judged: BTreeSet::new(),
        };
        for index in 0..count {
            world.nodes.push(Node {
                name: format!("node-{index}").into(),
                detector: None,
                up: false,
                candidates: BTreeSet::new(),
                lacks: BTreeMap::new(),
                owns: [false; SERVICES],
                started: Duration::ZERO,
                paused: None,
                released: false,
                wake: Duration::MAX,
                awake: Duration::ZERO,
                wakes: 0,
                socket: Vec::new(),
                answers: Vec::new(),
            });
        }
        world
    }

    /// A cluster that has found itself.
    pub(crate) fn settled(count: usize, timing: Timing, seed: u64) -> Self {
        let mut world = Self::new(count, timing, seed);
        world.run(MS(3_000));
        world.assert_agreement();
        world.log.clear();
        world.dark.fill((Duration::ZERO, None));
        world.moves = 0;
        world
    }

    pub(crate) fn start(&mut self, index: usize) {
        let key = Key::derive(b"secret").unwrap();
        let config =
            Config { name: self.nodes[index].name.clone(), key, timing: self.timings[index] };
        let seed = self.random();
        let mut detector = Detector::new(config, self.now, seed);
        detector.set_peers(self.now, self.names(self.members.iter().copied()));
        let node = &mut self.nodes[index];
        node.detector = Some(detector);
        node.up = true;
        node.started = self.now;
        node.released = false;
        node.wake = self.now;
        for peer in 0..self.nodes.len() {
            self.heard.remove(&(peer, index));
        }
        self.drive(index);
    }

    /// The API's list of now reaches a node.
    pub(crate) fn list(&mut self, index: usize) {
        let (now, names) = (self.now, self.names(self.members.iter().copied()));
        if let Some(detector) = &mut self.nodes[index].detector {
            detector.set_peers(now, names);
            self.drive(index);
        }
    }

    pub(crate) fn sent(&self, index: usize) -> u64 {
        self.nodes[index].detector.as_ref().map_or(0, |detector| detector.stats().sent)
    }

    /// SIGKILL: the process is gone, its socket too.
    pub(crate) fn crash(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.detector = None;
        node.up = false;
        node.candidates.clear();
        node.lacks.clear();
        node.owns = [false; SERVICES];
        node.socket.clear();
        node.answers.clear();
        node.paused = None;
        node.wake = Duration::MAX;
        self.account();
    }

    /// SIGSTOP and SIGCONT: the kernel goes on receiving.
    pub(crate) fn pause(&mut self, index: usize, time: Duration) {
        self.nodes[index].paused = Some(self.now + time);
        self.account();
    }

    pub(crate) fn drain(&mut self, index: usize) {
        let now = self.now;
        self.nodes[index].detector.as_mut().unwrap().drain(now);
        self.drive(index);
    }

    pub(crate) fn set_lacks(&mut self, index: usize, lacks: &[u64]) {
        let now = self.now;
        let detector = self.nodes[index].detector.as_mut().unwrap();
        detector.set_lacks(now, lacks.iter().copied());
        self.drive(index);
    }

    /// Every other live node knows that `index` lacks just that.
    pub(crate) fn assert_lacks(&self, index: usize, lacks: &[u64]) {
        let name = &self.nodes[index].name;
        let wanted: BTreeSet<u64> = lacks.iter().copied().collect();
        for (other, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.up) {
            let known = node.lacks.get(name).cloned().unwrap_or_default();
            assert!(other == index || known == wanted, "node-{other}: {known:?} {}", self.story());
        }
    }

    /// Heartbeats between two sides are lost both ways; with `lan` all frames are.
    pub(crate) fn part(&mut self, side: &[usize], lan: bool) {
        for a in 0..self.nodes.len() {
            for b in 0..self.nodes.len() {
                if side.contains(&a) != side.contains(&b) {
                    self.deaf.insert((a, b));
                    if lan {
                        self.cut.insert((a, b));
                    }
                }
            }
        }
    }

    pub(crate) fn heal(&mut self) {
        self.deaf.clear();
        self.cut.clear();
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let (index, wake) = self
                .nodes
                .iter()
                .map(Node::next)
                .enumerate()
                .min_by_key(|(_, wake)| *wake)
                .unwrap();
            let arrival = self.queue.peek().map_or(Duration::MAX, |Reverse((at, ..))| *at);
            if wake.min(arrival) > end {
                break;
            }
            self.now = self.now.max(wake.min(arrival));
            if arrival <= wake {
                self.arrive();
            } else {
                if self.nodes[index].paused.is_some_and(|until| until <= self.now) {
                    self.nodes[index].paused = None;
                    self.account();
                }
                self.drive(index);
            }
        }
        self.now = end;
        self.account();
    }

    pub(crate) fn is_up(&self, index: usize) -> bool {
        self.nodes[index].up
    }

    pub(crate) fn names(&self, indices: impl IntoIterator<Item = usize>) -> BTreeSet<Arc<str>> {
        indices.into_iter().map(|index| self.nodes[index].name.clone()).collect()
    }

    /// Every live node holds all live nodes, and no other, for candidates.
    pub(crate) fn assert_agreement(&self) {
        let live = self.names((0..self.nodes.len()).filter(|index| self.is_up(*index)));
        for (index, node) in self.nodes.iter().enumerate().filter(|(index, _)| self.is_up(*index)) {
            assert_eq!(node.candidates, live, "at node-{index}, {}", self.story());
        }
    }

    pub(crate) fn deaths(&self) -> Vec<(Duration, usize, Arc<str>)> {
        let death = |(at, who, event): &(Duration, usize, Event)| match event {
            Event::PeerDead { peer, .. } => Some((*at, *who, peer.clone())),
            _ => None,
        };
        self.log.iter().filter_map(death).collect()
    }

    /// For the message of a failed assertion: how to see it again, and what happened.
    pub(crate) fn story(&self) -> String {
        let mut story =
            format!("replay with HEARTBEAT_SIM_SEED={}; now {:?}\n", self.seed, self.now);
        for (at, who, event) in self.log.iter().rev().take(60).rev() {
            let _ = writeln!(story, "{at:?} node-{who} {event:?}");
        }
        story
    }

    pub(crate) fn random(&mut self) -> u64 {
        self.rng = self.rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0x5851_F42D);
        let mixed = self.rng ^ (self.rng >> 29);
        mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ (mixed >> 32)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.random() >> 16) % bound.max(1)
    }

    fn random_time(&mut self, bound: Duration) -> Duration {
        Duration::from_nanos(self.below(u64::try_from(bound.as_nanos()).unwrap()))
    }

    fn is_lost(&mut self) -> bool {
        self.below(1_000) < self.loss
    }

    fn arrive(&mut self) {
        let Some(Reverse((at, _, to, arrival))) = self.queue.pop() else { return };
        match arrival {
            Arrival::Datagram(from, bytes) if self.is_up(to) => {
                self.nodes[to].socket.push((at, from, bytes));
            }
            Arrival::Datagram(..) => return,
            Arrival::Wire(peer) => {
                let answer = self.ask_wire(to, peer);
                self.acquittals.remove(&(to, peer));
                if answer == WireAnswer::Unanswered {
                    self.acquittals.insert((to, peer), at);
                }
                let name = self.nodes[peer].name.clone();
                self.nodes[to].answers.push((name, answer));
            }
        }
        if self.nodes[to].paused.is_none() {
            self.drive(to);
        }
    }

    /// A speaker that runs answers; a node that no frame can reach hears nothing at all.
    fn ask_wire(&mut self, from: usize, peer: usize) -> WireAnswer {
        let lost = [0; 2].map(|_| self.is_lost() || self.is_lost()) == [true; 2];
        let node = &self.nodes[peer];
        let answers = node.is_running();
        if answers && !lost && !self.cut.contains(&(peer, from)) {
            return WireAnswer::Answered;
        }
        let others = (0..self.nodes.len()).filter(|other| *other != from);
        let isolated = others.into_iter().all(|other| self.cut.contains(&(other, from)));
        if isolated && self.nodes.len() > 1 { WireAnswer::Mute } else { WireAnswer::Unanswered }
    }

    /// One round of a driver: drain the socket, then judge, then send and report.
    fn drive(&mut self, index: usize) {
        let now = self.now;
        let Some(mut detector) = self.nodes[index].detector.take() else { return };
        let node = &mut self.nodes[index];
        node.wakes += u64::from(now > node.awake + MS(1));
        node.awake = now;
        for (received, from, bytes) in std::mem::take(&mut self.nodes[index].socket) {
            let before = rejected(&detector);
            detector.handle_datagram(received, &bytes);
            if rejected(&detector) == before {
                let (last, ended) = self.heard.entry((from, index)).or_default();
                let long = received >= *last + self.timings[index].silence.saturating_sub(MS(20));
                (*last, *ended) = (received, if long { received } else { *ended });
            }
        }
        for (peer, answer) in std::mem::take(&mut self.nodes[index].answers) {
            detector.handle_wire_answer(now, &peer, answer);
        }
        if detector.poll_timeout().is_some_and(|at| at <= now) {
            detector.handle_timeout(now);
        }
        while let Some(event) = detector.poll_event() {
            if let Event::MembersChanged { candidates } = event {
                // All those sets of a large cluster would fill the memory.
                if self.nodes.len() < 100 {
                    let candidates = candidates.clone();
                    self.log.push((now, index, Event::MembersChanged { candidates }));
                }
                self.nodes[index].candidates = candidates;
                self.nodes[index].owns = self.owned(index);
                self.account();
                detector.settled(now);
                continue;
            }
            if let Event::LacksChanged { lacks } = &event {
                self.nodes[index].lacks.clone_from(lacks);
            }
            self.check(index, &event);
            self.log.push((now, index, event));
        }
        while let Some(transmit) = detector.poll_transmit() {
            self.send(index, &transmit.to, transmit.bytes);
        }
        let wake = detector.poll_timeout().unwrap();
        let late = self.random_time(self.late);
        self.nodes[index].wake = wake.max(now) + late;
        self.nodes[index].detector = Some(detector);
    }

    fn send(&mut self, from: usize, to: &str, bytes: Vec<u8>) {
        let to = place(to);
        if self.is_lost() || self.deaf.contains(&(from, to)) || self.cut.contains(&(from, to)) {
            return;
        }
        let at = self.now + Duration::from_micros(50) + self.random_time(self.jitter);
        self.queue_up(at, to, Arrival::Datagram(from, bytes));
    }

    fn queue_up(&mut self, at: Duration, to: usize, arrival: Arrival) {
        self.arrivals += 1;
        self.queue.push(Reverse((at, self.arrivals, to, arrival)));
    }

    /// What holds of every event, whatever the scenario.
    fn check(&mut self, index: usize, event: &Event) {
        match event {
            Event::AskWire { peer } => {
                let peer = place(peer);
                self.queue_up(self.now + WIRE, index, Arrival::Wire(peer));
            }
            Event::Released { .. } => {
                self.nodes[index].released = true;
                self.account();
            }
            Event::PeerDead { peer, death } if death.by.is_some() => {
                assert!(self.judged.contains(&place(peer)), "no verdict: {}", self.story());
            }
            Event::PeerDead { peer, death } => {
                let peer = place(peer);
                self.judged.insert(peer);
                let heard = |observer| self.heard.get(&(peer, observer)).copied();
                let silence = |observer: usize| self.timings[observer].silence;
                let silent = |observer, (last, _): (Duration, Duration)| {
                    self.now + MS(20) >= last + silence(observer)
                };
                let accuser = heard(index).is_none_or(|heard| silent(index, heard));
                assert!(accuser, "node-{index} heard node-{peer}: {}", self.story());
                // A witness may have heard it while its word was on the way.
                for witness in death.witnesses.iter().map(|name| place(name)) {
                    let witnessed = heard(witness)
                        .is_none_or(|heard| silent(witness, heard) || self.now <= heard.1 + MS(60));
                    assert!(witnessed, "node-{witness} heard node-{peer}: {}", self.story());
                }
                let wire = self.acquittals.remove(&(index, peer));
                let wire = wire.is_some_and(|at| at + silence(index) >= self.now);
                assert!(!death.witnesses.is_empty() || wire, "one witness: {}", self.story());
            }
            _ => {}
        }
    }

    /// The services whose first candidate a node is, in its own view.
    fn owned(&self, index: usize) -> [bool; SERVICES] {
        let count = self.nodes.len();
        let candidates: Vec<usize> =
            self.nodes[index].candidates.iter().map(|name| place(name)).collect();
        std::array::from_fn(|service| {
            let first = candidates.iter().min_by_key(|candidate| (**candidate + service) % count);
            first == Some(&index)
        })
    }

    /// Who announces what: each live node what it would own by its own view.
    fn account(&mut self) {
        for service in 0..SERVICES {
            let announces = |node: &Node| node.is_running() && !node.released && node.owns[service];
            let found: Vec<usize> =
                (0..self.nodes.len()).filter(|index| announces(&self.nodes[*index])).collect();
            let (longest, since) = self.dark[service];
            self.dark[service] = match (found.is_empty(), since) {
                (true, None) => (longest, Some(self.now)),
                (true, Some(since)) => (longest.max(self.now.saturating_sub(since)), Some(since)),
                (false, Some(since)) => (longest.max(self.now.saturating_sub(since)), None),
                (false, None) => (longest, None),
            };
            if self.announcers[service] != found {
                self.moves += 1;
                self.announcers[service] = found;
            }
        }
    }
}

impl Node {
    fn is_running(&self) -> bool {
        self.up && self.paused.is_none()
    }

    fn next(&self) -> Duration {
        match self.paused {
            Some(until) if self.up => until,
            _ => self.wake,
        }
    }
}

/// Place of a node in [`World::nodes`].
fn place(name: &str) -> usize {
    name.trim_start_matches("node-").parse().unwrap()
}

fn rejected(detector: &Detector) -> u64 {
    Reject::ALL.iter().map(|reason| detector.stats().rejected(*reason)).sum()
}
