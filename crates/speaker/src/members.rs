//! Which speakers live: joins `heartbeat` with a UDP socket, on a thread of its own.
//!
//! ```text
//!  Pod watch ── set_peers ──►┐                        ┌──► Transmit ──► UDP
//!  SIGTERM ──── drain ──────►├─ thread: Detector ─────┤
//!  UDP ── datagrams ────────►┘        ▲               └──► View (watch channel) ──► owner task
//!                                     └── AskWire ⇄ Witness (Layer 2)
//! ```
//!
//! No API call, no lock of the owner and no tokio in the loop: a starved runtime makes nobody dead.

mod secret;

pub use self::secret::SecretError;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ferrolb_heartbeat::{Config, Detector, Event, MAX_DATAGRAM, Previous, Timing, WireAnswer};
use ferrolb_ipam::NodeName;
use ferrolb_sys::{TimestampedUdp, Waker, monotonic_now, wait};
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

pub(crate) use self::secret::load;

use crate::l2::Witness;

/// Distance between the two questions on the wire, and from the second one to the verdict.
const WIRE_PAUSE: Duration = Duration::from_millis(30);
/// Pause when the kernel cannot make the thread wait.
const PAUSE: Duration = Duration::from_millis(50);

/// What the failure detector says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct View {
    /// Alive and eligible nodes; none before the first judgement.
    pub(crate) candidates: Option<BTreeSet<NodeName>>,
    /// How often a node came back that had been declared dead: whoever owns its addresses now has
    /// to say so again.
    pub(crate) returns: u64,
    /// The departure is complete.
    pub(crate) released: bool,
    /// Counts the changes of `candidates`.
    pub(crate) revision: u64,
}

/// An address that each peer announces, for questions on the wire; kept by the owner task.
pub(crate) type Announcers = Arc<Mutex<BTreeMap<Arc<str>, IpAddr>>>;

/// The running detector; the thread ends with it.
pub(crate) struct Members {
    view: watch::Receiver<View>,
    orders: Arc<Mutex<Orders>>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is asked to do; taken whole.
#[derive(Default)]
struct Orders {
    peers: Option<BTreeMap<Arc<str>, SocketAddr>>,
    settled: Option<u64>,
    drain: bool,
    stop: bool,
}

/// Why failure detection cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MembersError {
    /// The socket cannot be opened, or the kernel refuses something every host has.
    #[error("failure detection: {0}")]
    Sys(#[from] ferrolb_sys::Error),
    /// The thread could not be started.
    #[error("failure detection: cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl Members {
    /// Listens on `address` and speaks as `config.name`; knows no peers yet.
    pub(crate) fn start(
        config: Config,
        address: SocketAddr,
        seed: u64,
        witness: Witness,
        announcers: Announcers,
    ) -> Result<Self, MembersError> {
        let socket = TimestampedUdp::bind(address)?;
        let waker = Waker::new()?;
        let orders = Arc::new(Mutex::new(Orders::default()));
        let (publish, view) = watch::channel(View::default());
        let watcher = Watcher {
            detector: Detector::new(config, monotonic_now(), seed),
            socket,
            waker: waker.clone(),
            orders: Arc::clone(&orders),
            addresses: BTreeMap::new(),
            publish,
            witness,
            announcers,
            wire: BTreeMap::new(),
        };
        let thread = std::thread::Builder::new()
            .name("heartbeat".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || watcher.run())
            .map_err(MembersError::Thread)?;
        Ok(Self { view, orders, waker, thread: Some(thread) })
    }

    /// Follows what the detector says.
    pub(crate) fn view(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// The speakers there are, as the API lists them.
    pub(crate) fn set_peers(&self, peers: BTreeMap<Arc<str>, SocketAddr>) {
        self.order(|orders| orders.peers = Some(peers));
    }

    /// The view of this revision is acted on.
    pub(crate) fn settled(&self, revision: u64) {
        self.order(|orders| orders.settled = Some(revision));
    }

    /// Takes leave; [`View::released`] says when it is complete.
    pub(crate) fn drain(&self) {
        self.order(|orders| orders.drain = true);
    }

    fn order(&self, order: impl FnOnce(&mut Orders)) {
        order(&mut self.orders.lock());
        self.waker.wake();
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.order(|orders| orders.stop = true);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported already.
            let _ = thread.join();
        }
    }
}

struct Watcher {
    detector: Detector,
    socket: TimestampedUdp,
    waker: Waker,
    orders: Arc<Mutex<Orders>>,
    addresses: BTreeMap<Arc<str>, SocketAddr>,
    publish: watch::Sender<View>,
    witness: Witness,
    announcers: Announcers,
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
        let mut buffer = [0; MAX_DATAGRAM];
        loop {
            let next = [self.detector.poll_timeout(), self.next_wire()].into_iter().flatten().min();
            let timeout = next.map(|at| at.saturating_sub(monotonic_now()));
            if let Err(error) = wait(&[self.socket.as_fd()], &self.waker, timeout) {
                error!(op = "wait", %error, "failure detection cannot wait");
                std::thread::sleep(PAUSE);
            }
            if self.waker.drain() && self.obey() {
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
            while let Some(event) = self.detector.poll_event() {
                self.handle(event, now);
            }
        }
    }

    /// Carries out orders; returns whether the thread is to end.
    fn obey(&mut self) -> bool {
        let orders = std::mem::take(&mut *self.orders.lock());
        let now = monotonic_now();
        if let Some(peers) = orders.peers {
            self.detector.set_peers(now, peers.keys().cloned());
            self.addresses = peers;
        }
        // A newer view may leave more to be taken over than the one that was acted on.
        if orders.settled == Some(self.publish.borrow().revision) {
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
                Ok(Some(datagram)) => {
                    if let Some(bytes) = buffer.get(..datagram.len) {
                        self.detector.handle_datagram(datagram.arrival, bytes);
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    // An ICMP answer to something we sent: that peer is silent anyway.
                    debug!(op = "receive", %error);
                    return;
                }
            }
        }
    }

    fn send(&self, to: &Arc<str>, bytes: &[u8]) {
        if let Some(&address) = self.addresses.get(to)
            && let Err(error) = self.socket.send_to(bytes, address)
        {
            debug!(op = "send", peer = &**to, %error);
        }
    }

    fn handle(&mut self, event: Event, now: Duration) {
        match event {
            Event::MembersChanged { candidates } => {
                let names: Vec<&str> = candidates.iter().map(|name| &**name).collect();
                info!(event = "membersChanged", members = names.join(","), "candidates changed");
                let candidates = candidates.iter().map(|name| NodeName::from(&**name)).collect();
                self.publish.send_modify(|view| {
                    view.candidates = Some(candidates);
                    view.revision += 1;
                });
            }
            Event::AskWire { peer } => self.ask_wire(peer, now),
            Event::PeerSilent { peer, silence, limit } => {
                warn!(event = "peerSilent", peer = &*peer, ?silence, ?limit, "a speaker is silent");
            }
            Event::PeerDead { peer, death } => {
                let witnesses = death.witnesses.join(",");
                warn!(
                    event = "peerDead",
                    peer = &*peer,
                    "node name" = &*peer,
                    "node event" = "NodeLeave",
                    silence = ?death.silence,
                    confirmation = ?death.confirmation,
                    witnesses,
                    "a speaker is dead"
                );
            }
            Event::PeerBack { peer, previous } => {
                info!(
                    event = "peerBack",
                    peer = &*peer,
                    "node name" = &*peer,
                    "node event" = "NodeJoin",
                    ?previous,
                    "a speaker is heard"
                );
                if previous == Previous::Dead {
                    self.publish.send_modify(|view| view.returns += 1);
                }
            }
            Event::PeerUnheard { peer } => warn!(
                event = "peerUnheard",
                peer = &*peer,
                port = self.socket.local_addr().port(),
                "a speaker is listed but was never heard: its UDP port is blocked, its secret is \
                 another one, or it does not run"
            ),
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
            Event::Late { by } => debug!(event = "late", ?by, "failure detection was held up"),
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
                self.publish.send_modify(|view| view.released = true);
            }
        }
    }

    /// Asks twice for an address the peer announces. A peer that announces nothing cannot answer,
    /// and its death moves nothing.
    fn ask_wire(&mut self, peer: Arc<str>, now: Duration) {
        let address = self.announcers.lock().get(&peer).copied();
        match address {
            Some(ip) => {
                self.witness.ask(ip);
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
                self.witness.ask(asked.ip);
                continue;
            }
            let answer = self.witness.verdict(asked.ip);
            self.wire.remove(&peer);
            self.detector.handle_wire_answer(now, &peer, answer);
        }
    }

    fn next_wire(&self) -> Option<Duration> {
        self.wire.values().map(|asked| asked.next).min()
    }
}

/// What a detector is made with.
pub(crate) fn config(node: &NodeName, key: ferrolb_heartbeat::Key) -> Config {
    Config { name: node.as_str().into(), key, timing: Timing::DEFAULT }
}
