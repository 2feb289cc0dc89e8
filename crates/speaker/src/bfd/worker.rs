//! The thread: sockets, sessions and the one sleep between them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use arc_swap::ArcSwap;
use ferrolb_bfd_proto::{
    Arrival, Change, Config, Discriminator, Event, IfIndex, Mode, Packet, Path, Sessions, Taken,
    Transmit,
};
use ferrolb_sys::{
    HopUdp, HopUdpSender, Waker, become_punctual, become_realtime, monotonic_now, wait,
};
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use super::{Health, SessionView, Snapshot};

/// Until something that could not be opened is tried again; how old a snapshot may become.
const SECOND: Duration = Duration::from_secs(1);
/// Pause when the kernel cannot make the thread wait.
const PAUSE: Duration = Duration::from_millis(50);

/// What the thread is asked to do.
pub(super) enum Order {
    Add { id: u64, path: Path, config: Config, publish: watch::Sender<Health> },
    Update { id: u64, config: Config },
    Remove { id: u64 },
    Stop,
}

pub(super) struct Worker {
    /// Where to receive, by family.
    addresses: [IpAddr; 2],
    /// Where the search for free source ports begins.
    first_port: u16,
    sessions: Sessions,
    members: BTreeMap<u64, Member>,
    receivers: BTreeMap<Door, HopUdp>,
    orders: mpsc::Receiver<Order>,
    waker: Waker,
    publish: Arc<ArcSwap<Snapshot>>,
    published: Duration,
    /// When to try again what could not be opened.
    retry: Option<Duration>,
    discarded: u64,
}

/// A session somebody wants, or that takes its leave.
struct Member {
    path: Path,
    config: Config,
    publish: watch::Sender<Health>,
    line: Result<Line, String>,
}

/// A session that could begin.
struct Line {
    session: Discriminator,
    sender: HopUdpSender,
    /// The last packet could not be sent.
    broken: bool,
}

/// A port to receive on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Door {
    mode: Mode,
    v6: bool,
}

/// Why a session cannot begin.
#[derive(Debug, thiserror::Error)]
enum Obstacle {
    #[error(transparent)]
    Sys(#[from] ferrolb_sys::Error),
    #[error(transparent)]
    Taken(#[from] Taken),
}

impl Worker {
    pub(super) fn new(
        addresses: [IpAddr; 2],
        seed: u64,
        orders: mpsc::Receiver<Order>,
        waker: Waker,
        publish: Arc<ArcSwap<Snapshot>>,
    ) -> Self {
        Self {
            addresses,
            first_port: u16::try_from(seed >> 48).unwrap_or_default(),
            sessions: Sessions::new(seed),
            members: BTreeMap::new(),
            receivers: BTreeMap::new(),
            orders,
            waker,
            publish,
            published: Duration::ZERO,
            retry: None,
            discarded: 0,
        }
    }

    pub(super) fn run(mut self) {
        take_precedence();
        loop {
            let due = self.sessions.poll_timeout();
            let next = [due, self.retry].into_iter().flatten().min();
            self.sleep(next);

            // Judged by this moment, with everything heard that came before it.
            let now = monotonic_now();
            let mut news = self.waker.drain();
            if news && self.obey(now) {
                return self.take_leave(now);
            }
            self.receive(now);
            if let Some(late) = due.and_then(|due| lateness(due, now)) {
                self.sessions.handle_lateness(now, late);
            }
            self.sessions.handle_timeout(now);
            self.transmit();
            while let Some(event) = self.sessions.poll_event() {
                self.handle(event);
                news = true;
            }
            if self.retry.is_some_and(|at| at <= now) {
                self.begin_waiting(now);
                news = true;
            }
            if news || self.published + SECOND <= now {
                self.show(now);
            }
        }
    }

    fn sleep(&self, until: Option<Duration>) {
        let sources: Vec<_> = self.receivers.values().map(AsFd::as_fd).collect();
        let timeout = until.map(|at| at.saturating_sub(monotonic_now()));
        if let Err(error) = wait(&sources, &self.waker, timeout) {
            error!(op = "wait", %error, "BFD cannot wait");
            std::thread::sleep(PAUSE);
        }
    }

    /// Carries out orders; returns whether the thread is to end.
    fn obey(&mut self, now: Duration) -> bool {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Add { id, path, config, publish } => {
                    let member = Member { path, config, publish, line: Err(String::new()) };
                    self.members.insert(id, member);
                    self.begin_waiting(now);
                }
                Order::Update { id, config } => {
                    if let Some(member) = self.members.get_mut(&id) {
                        member.config = config;
                        if let Ok(line) = &member.line {
                            self.sessions.update(now, line.session, config);
                        }
                    }
                }
                Order::Remove { id } => match self.members.get(&id).map(|member| &member.line) {
                    // It goes on until it has ended.
                    Some(Ok(line)) => self.sessions.remove(now, line.session),
                    _ => drop(self.members.remove(&id)),
                },
                Order::Stop => return true,
            }
        }
        false
    }

    /// Begins what is wanted and has not begun.
    fn begin_waiting(&mut self, now: Duration) {
        let Self { members, receivers, sessions, addresses, first_port, .. } = self;
        for member in members.values_mut().filter(|member| member.line.is_err()) {
            match begin(member, receivers, sessions, *addresses, *first_port) {
                Ok(line) => {
                    let (peer, port) = (member.path.peer, line.sender.source_port());
                    debug!(event = "bfdBegins", %peer, session = %line.session, port);
                    member.line = Ok(line);
                }
                Err(obstacle) => {
                    let text = obstacle.to_string();
                    if member.line.as_ref().err() != Some(&text) {
                        warn!(event = "bfdCannotBegin", peer = %member.path.peer, error = text);
                    }
                    member.line = Err(text);
                }
            }
        }
        let waiting = members.values().any(|member| member.line.is_err());
        self.retry = waiting.then_some(now + SECOND);
    }

    /// Reads everything that came before `now`. What comes later changes no verdict of this moment, and stopping
    /// there keeps a flood from holding up the timers.
    fn receive(&mut self, now: Duration) {
        let mut buffer = [0; 2 * Packet::LEN];
        for (door, receiver) in &self.receivers {
            loop {
                let datagram = match receiver.recv(&mut buffer) {
                    Ok(Some(datagram)) => datagram,
                    Ok(None) => break,
                    Err(error) => {
                        debug!(op = "receive", %error);
                        break;
                    }
                };
                let arrival = Arrival {
                    from: datagram.from,
                    to: datagram.to,
                    interface: IfIndex(datagram.interface),
                    ttl: datagram.ttl,
                    mode: door.mode,
                };
                let bytes = buffer.get(..datagram.len).unwrap_or_default();
                let at = datagram.arrival;
                if let Err(reason) = self.sessions.handle_datagram(at, &arrival, bytes) {
                    self.discarded += 1;
                    debug!(op = "receive", from = %arrival.from, %reason, "BFD packet discarded");
                }
                if at > now {
                    break;
                }
            }
        }
    }

    fn transmit(&mut self) {
        while let Some(Transmit { session, path, bytes }) = self.sessions.poll_transmit() {
            let Some(line) = line_of(&mut self.members, session) else { continue };
            let outcome = line.sender.send(&bytes);
            match &outcome {
                Err(error) if !line.broken => {
                    warn!(event = "bfdCannotSend", peer = %path.peer, %error);
                }
                _ => {}
            }
            line.broken = outcome.is_err();
        }
    }

    fn handle(&mut self, Event { session, change }: Event) {
        let is_its =
            |member: &Member| member.line.as_ref().is_ok_and(|line| line.session == session);
        let Some((&id, member)) = self.members.iter().find(|(_, member)| is_its(member)) else {
            return;
        };
        let peer = member.path.peer;
        match change {
            Change::Up => info!(event = "bfdUp", %peer, "the path to a router carries packets"),
            Change::Down { diagnostic, noticed_by } => warn!(
                event = "bfdDown",
                %peer,
                %diagnostic,
                ?noticed_by,
                "the path to a router failed"
            ),
            Change::AdminDown => {
                info!(event = "bfdAdminDown", %peer, "BFD was switched off at a router");
            }
            Change::Ended => {
                self.members.remove(&id);
                let needed: Vec<_> =
                    self.members.values().map(|member| Door::of(&member.path)).collect();
                self.receivers.retain(|door, _| needed.contains(door));
                return;
            }
        }
        member.publish.send_modify(|health| health.record(change));
    }

    fn show(&mut self, now: Duration) {
        let sessions = self.members.values().map(|member| SessionView {
            path: member.path,
            view: member.line.as_ref().ok().and_then(|line| self.sessions.view(line.session)),
            problem: member.line.as_ref().err().cloned(),
        });
        self.publish
            .store(Arc::new(Snapshot { sessions: sessions.collect(), discarded: self.discarded }));
        self.published = now;
    }

    /// Tells every peer that this is an order and no failure.
    fn take_leave(mut self, now: Duration) {
        for member in self.members.values() {
            if let Ok(line) = &member.line {
                self.sessions.remove(now, line.session);
            }
        }
        self.transmit();
    }
}

/// As far as this process may: without real-time priority, what every thread is allowed.
fn take_precedence() {
    let Err(error) = become_realtime() else { return };
    debug!(op = "priority", %error, "BFD runs with ordinary priority");
    if let Err(error) = become_punctual() {
        debug!(op = "priority", %error, "BFD is served in turn");
    }
}

impl Door {
    fn of(path: &Path) -> Self {
        Self { mode: path.mode, v6: path.peer.is_ipv6() }
    }
}

fn begin(
    member: &Member,
    receivers: &mut BTreeMap<Door, HopUdp>,
    sessions: &mut Sessions,
    [v4, v6]: [IpAddr; 2],
    first_port: u16,
) -> Result<Line, Obstacle> {
    let Member { path, config, .. } = member;
    let (door, port) = (Door::of(path), path.mode.port());
    if let Entry::Vacant(place) = receivers.entry(door) {
        let address = if door.v6 { v6 } else { v4 };
        place.insert(HopUdp::bind(SocketAddr::new(address, port))?);
    }
    let interface = path.interface.map(|IfIndex(index)| index);
    let mut peer = SocketAddr::new(path.peer, port);
    if let (SocketAddr::V6(peer), Some(index)) = (&mut peer, interface)
        && peer.ip().is_unicast_link_local()
    {
        peer.set_scope_id(index);
    }
    let sender = HopUdpSender::open(peer, path.local, interface, first_port)?;
    let session = sessions.add(*path, *config)?;
    Ok(Line { session, sender, broken: false })
}

fn line_of(members: &mut BTreeMap<u64, Member>, session: Discriminator) -> Option<&mut Line> {
    let mut lines = members.values_mut().filter_map(|member| member.line.as_mut().ok());
    lines.find(|line| line.session == session)
}

/// How late the thread woke; the first packet of a session is due at no particular moment.
fn lateness(due: Duration, now: Duration) -> Option<Duration> {
    if due == Duration::ZERO { None } else { now.checked_sub(due) }
}
