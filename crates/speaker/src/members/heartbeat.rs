//! The thread of the failure detector. It reads the port of all speakers and keeps what is
//! heartbeat's; the rest goes into a queue that it never waits for.
//!
//! No API call, no lock of the owner and no tokio in the loop: a starved runtime makes nobody dead.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ferrolb_heartbeat::{Config, Detector, Event, FIRST_BYTE, Key, WireAnswer};
use ferrolb_kube_rt::metrics::FailoverMetrics;
use ferrolb_swim_proto::MAX_DATAGRAM;
use ferrolb_sys::{TimestampedUdp, Waker, monotonic_now, wait};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use super::board::Board;
use super::port::Datagram;
use super::{MembersError, Shared};

/// Distance between the two questions on the wire, and from the second one to the verdict.
const WIRE_PAUSE: Duration = Duration::from_millis(30);
/// Pause when the kernel cannot make the thread wait.
const PAUSE: Duration = Duration::from_millis(50);

/// The running detector; the thread ends with it.
pub(super) struct Heartbeat {
    line: Line,
    thread: Option<JoinHandle<()>>,
}

/// Gives orders to the detector. Clones lead to the same.
#[derive(Clone)]
pub(super) struct Line {
    orders: Arc<Mutex<Orders>>,
    waker: Waker,
}

/// What the thread is asked to do; taken whole.
#[derive(Default)]
struct Orders {
    peers: Option<BTreeMap<Arc<str>, SocketAddr>>,
    preempting: Option<bool>,
    lacks: Option<BTreeSet<u64>>,
    settled: Option<u64>,
    key: Option<Key>,
    drain: bool,
    stop: bool,
}

/// What the thread works with.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) socket: TimestampedUdp,
    pub(super) seed: u64,
    pub(super) board: Board,
    pub(super) others: mpsc::Sender<Datagram>,
    pub(super) shared: Shared,
    pub(super) metrics: FailoverMetrics,
}

impl Heartbeat {
    /// Speaks as `config.name`; knows no peers yet.
    pub(super) fn start(parts: Parts) -> Result<Self, MembersError> {
        let Parts { config, socket, seed, board, others, shared, metrics } = parts;
        let line = Line { orders: Arc::default(), waker: Waker::new()? };
        let watcher = Watcher {
            name: config.name.clone(),
            detector: Detector::new(config, monotonic_now(), seed),
            socket,
            line: line.clone(),
            addresses: BTreeMap::new(),
            board,
            others,
            shared,
            metrics,
            wire: BTreeMap::new(),
        };
        let thread = std::thread::Builder::new()
            .name("heartbeat".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || watcher.run())
            .map_err(MembersError::Thread)?;
        Ok(Self { line, thread: Some(thread) })
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.line.order(|orders| orders.stop = true);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported already.
            let _ = thread.join();
        }
    }
}

impl Line {
    /// Those to speak with and listen to.
    pub(super) fn set_peers(&self, peers: BTreeMap<Arc<str>, SocketAddr>) {
        self.order(|orders| orders.peers = Some(peers));
    }

    /// Whether candidates that send no heartbeats take over at once.
    pub(super) fn set_preempting(&self, preempting: bool) {
        self.order(|orders| orders.preempting = Some(preempting));
    }

    /// What this node lacks.
    pub(super) fn set_lacks(&self, lacks: BTreeSet<u64>) {
        self.order(|orders| orders.lacks = Some(lacks));
    }

    /// The view of this revision is acted on.
    pub(super) fn settled(&self, revision: u64) {
        self.order(|orders| orders.settled = Some(revision));
    }

    /// The speakers' secret is another one.
    pub(super) fn set_key(&self, key: Key) {
        self.order(|orders| orders.key = Some(key));
    }

    /// Hands over to those who send heartbeats.
    pub(super) fn drain(&self) {
        self.order(|orders| orders.drain = true);
    }

    fn order(&self, order: impl FnOnce(&mut Orders)) {
        order(&mut self.orders.lock());
        self.waker.wake();
    }
}

struct Watcher {
    name: Arc<str>,
    detector: Detector,
    socket: TimestampedUdp,
    line: Line,
    addresses: BTreeMap<Arc<str>, SocketAddr>,
    board: Board,
    /// Datagrams that are membership's.
    others: mpsc::Sender<Datagram>,
    shared: Shared,
    metrics: FailoverMetrics,
    /// Questions on the wire, by peer.
    wire: BTreeMap<Arc<str>, Asked>,
}

/// A question on the wire that waits for its second try or its verdict.
struct Asked {
    ip: IpAddr,
    tries: u8,
    next: Duration,
}

impl Watcher {
    fn run(mut self) {
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            let next = [self.detector.poll_timeout(), self.next_wire()].into_iter().flatten().min();
            let timeout = next.map(|at| at.saturating_sub(monotonic_now()));
            if let Err(error) = wait(&[self.socket.as_fd()], &self.line.waker, timeout) {
                error!(op = "wait", %error, "failure detection cannot wait");
                std::thread::sleep(PAUSE);
            }
            if self.line.waker.drain() && self.obey() {
                return;
            }
            self.receive(&mut buffer);
            let now = monotonic_now();
            if self.detector.poll_timeout().is_some_and(|at| at <= now) {
                self.detector.handle_timeout(now);
            }
            self.tend_wire(now);
            while let Some(transmit) = self.detector.poll_transmit() {
                self.send(&transmit.to, &transmit.bytes);
            }
            let events: Vec<Event> = std::iter::from_fn(|| self.detector.poll_event()).collect();
            if !events.is_empty() {
                self.remember(&events, now);
                // First what others act on, then what may wait for a log.
                self.board.hear(&events);
            }
            for event in events {
                self.handle(event, now);
            }
        }
    }

    /// Carries out orders; returns whether the thread is to end.
    fn obey(&mut self) -> bool {
        let orders = std::mem::take(&mut *self.line.orders.lock());
        let now = monotonic_now();
        if let Some(lacks) = orders.lacks {
            self.detector.set_lacks(now, lacks);
        }
        if let Some(peers) = orders.peers {
            self.detector.set_peers(now, peers.keys().cloned());
            self.board.set_listed(&peers);
            self.addresses = peers;
        }
        if let Some(key) = orders.key {
            self.detector.set_key(key);
        }
        if let Some(preempting) = orders.preempting {
            self.detector.set_preempting(now, preempting);
        }
        // A newer view may leave more to be taken over than the one that was acted on.
        if orders.settled == Some(self.board.revision()) {
            self.detector.settled(now);
        }
        if orders.drain {
            self.detector.drain(now);
        }
        orders.stop
    }

    /// Reads everything that waits, so that no judgement is made with a word unheard.
    fn receive(&mut self, buffer: &mut [u8]) {
        loop {
            match self.socket.recv(buffer) {
                Ok(Some(datagram)) if datagram.truncated => {}
                Ok(Some(datagram)) => match buffer.get(..datagram.len) {
                    Some(bytes) if bytes.first() == Some(&FIRST_BYTE) => {
                        self.detector.handle_datagram(datagram.arrival, bytes);
                    }
                    Some(bytes) => self.pass_on(datagram.from, bytes),
                    None => {}
                },
                Ok(None) => return,
                Err(error) => {
                    // An ICMP answer to something we sent: that peer is silent anyway.
                    debug!(op = "receive", %error);
                    return;
                }
            }
        }
    }

    /// Never waits: what finds the queue full is lost, as it may be on any wire.
    fn pass_on(&self, from: SocketAddr, bytes: &[u8]) {
        if let Ok(place) = self.others.try_reserve() {
            place.send((from, bytes.into()));
        }
    }

    fn send(&self, to: &Arc<str>, bytes: &[u8]) {
        if let Some(&address) = self.addresses.get(to)
            && let Err(error) = self.socket.send_to(bytes, address)
        {
            debug!(op = "send", peer = &**to, %error);
        }
    }

    /// Notes when the dead were heard last, before anybody acts on their death.
    fn remember(&self, events: &[Event], now: Duration) {
        for event in events {
            match event {
                // Without a silence it was others who watched it.
                Event::PeerDead { peer, death } if !death.silence.is_zero() => {
                    let last = now.saturating_sub(death.silence);
                    self.shared.last_signs.lock().insert(Arc::clone(peer), last);
                }
                Event::PeerDead { peer, .. } | Event::PeerBack { peer, .. } => {
                    self.shared.last_signs.lock().remove(peer);
                }
                _ => {}
            }
        }
    }

    fn handle(&mut self, event: Event, now: Duration) {
        match event {
            // The board has told.
            Event::MembersChanged { .. } | Event::LacksChanged { .. } => {}
            Event::AskWire { peer } => self.ask_wire(peer, now),
            Event::PeerSilent { peer, silence, limit } => {
                warn!(event = "peerSilent", peer = &*peer, ?silence, ?limit, "a speaker is silent");
            }
            Event::PeerDead { peer, death } => {
                let witnesses = death.witnesses.join(",");
                warn!(
                    event = "peerDead",
                    peer = &*peer,
                    silence = ?death.silence,
                    confirmation = ?death.confirmation,
                    witnesses,
                    "a speaker is dead"
                );
            }
            Event::PeerBack { peer, previous } => {
                info!(event = "peerBack", peer = &*peer, ?previous, "a speaker is heard");
            }
            Event::PeerUnheard { peer } => {
                warn!(
                    event = "peerUnheard",
                    node = &*self.name,
                    peer = &*peer,
                    port = self.socket.local_addr().port(),
                    "no heartbeat of a speaker was ever heard: its UDP port is blocked, its secret \
                     is another one, or it does not run"
                );
            }
            Event::BrokenPath { deaf, peer, seen_by } => warn!(
                event = "brokenPath",
                deaf = &*deaf,
                peer = &*peer,
                ?seen_by,
                "a speaker lives but is not heard here"
            ),
            Event::Refuted { accuser, held } => {
                warn!(
                    event = "refuted",
                    accuser = &*accuser,
                    held,
                    "this speaker was taken for dead"
                );
            }
            Event::Late { by } => {
                self.metrics.late(by);
                debug!(event = "late", ?by, "failure detection was held up");
            }
            Event::SelfSuspect(true) => {
                warn!(
                    event = "isolated",
                    "less than half of the speakers are heard: nobody is accused"
                );
            }
            Event::SelfSuspect(false) => {
                info!(event = "notIsolated", "enough speakers are heard again");
            }
            Event::Released { confirmed } => {
                info!(event = "released", confirmed, "others have taken over");
                self.board.set_released();
            }
        }
    }

    /// Asks twice for an address the peer announces. A peer that announces nothing cannot answer,
    /// and its death moves nothing.
    fn ask_wire(&mut self, peer: Arc<str>, now: Duration) {
        let address = self.shared.announcers.lock().get(&peer).copied();
        match address {
            Some(ip) => {
                self.shared.witness.ask(ip);
                self.wire.insert(peer, Asked { ip, tries: 1, next: now + WIRE_PAUSE });
            }
            None => self.detector.handle_wire_answer(now, &peer, WireAnswer::Unanswered),
        }
    }

    fn tend_wire(&mut self, now: Duration) {
        let due: Vec<Arc<str>> = self
            .wire
            .iter()
            .filter(|(_, asked)| asked.next <= now)
            .map(|(peer, _)| Arc::clone(peer))
            .collect();
        for peer in due {
            let Some(asked) = self.wire.get_mut(&peer) else { continue };
            if asked.tries < 2 {
                asked.tries += 1;
                asked.next = now + WIRE_PAUSE;
                self.shared.witness.ask(asked.ip);
                continue;
            }
            let answer = self.shared.witness.verdict(asked.ip);
            self.wire.remove(&peer);
            self.detector.handle_wire_answer(now, &peer, answer);
        }
    }

    fn next_wire(&self) -> Option<Duration> {
        self.wire.values().map(|asked| asked.next).min()
    }
}
