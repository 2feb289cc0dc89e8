//! The thread of membership: a small runtime of its own for datagrams, streams and time.
//!
//! Not the process's runtime: a long decision of the owner would make answers late, and late answers
//! make this node a suspect to upstream's speakers. Not the heartbeat's thread: opening sealed states
//! of hundreds of nodes takes milliseconds that heartbeats do not have.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ferrolb_swim_proto::{Config, Event, Limits, Member, Membership, Refusal, Transmit};
use ferrolb_sys::monotonic_now;
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};

use super::MembersError;
use super::board::{Board, Roll};
use super::heartbeat::Line;
use super::port::{Datagram, Port, Source};
use super::roster::Roster;
use super::secret::{Follow, Secret};
use super::streams::{self, Ended, Guests};

/// Time between two attempts to join the Pods that are no members.
const JOIN_AGAIN: Duration = Duration::from_mins(1);
/// The same while Pods are new: some may not listen yet.
const JOIN_SOON: Duration = Duration::from_secs(1);
/// Datagrams taken in before time is judged and answers are sent.
const BATCH: usize = 256;
/// Pause when a stream cannot be accepted.
const PAUSE: Duration = Duration::from_millis(50);
/// What a stream may carry: members beyond the limit of those would not fit anyway.
const STREAM_BYTES: usize = 1024 * 1024;
/// Seconds from 1970 to 2024.
const YEAR_2024: u64 = 1_704_067_200;

/// The running membership; the thread ends with it.
pub(super) struct Joined {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// Where wishes are left for the thread.
#[derive(Default)]
struct Desk {
    wishes: Mutex<Wishes>,
    raised: Notify,
}

/// What the thread is asked to do; taken whole.
#[derive(Default)]
struct Wishes {
    pods: Option<BTreeMap<Arc<str>, SocketAddr>>,
    leave: bool,
    stop: bool,
}

/// What the thread works with.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) seed: u64,
    pub(super) source: Source,
    pub(super) listener: TcpListener,
    /// Without one, keys stay as they are.
    pub(super) follow: Option<Follow>,
    pub(super) board: Board,
    /// None without heartbeats.
    pub(super) heartbeat: Option<Line>,
}

impl Joined {
    /// Speaks as `config.name`; knows no seeds yet.
    pub(super) fn start(parts: Parts) -> Result<Self, MembersError> {
        let Parts { mut config, seed, source, listener, follow, board, heartbeat } = parts;
        config.limits = Limits { stream_bytes: STREAM_BYTES, ..config.limits };
        config.incarnation = incarnation();
        let member = Membership::new(config.clone(), monotonic_now(), seed)?;
        let (runtime, port, listener) = open(source, listener).map_err(MembersError::Runtime)?;
        let desk = Arc::<Desk>::default();
        let driver = Driver {
            roster: Roster::new(config.name.clone()),
            own: config,
            member,
            port,
            listener,
            streams: JoinSet::new(),
            guests: Guests::default(),
            board,
            heartbeat,
            desk: Arc::clone(&desk),
            look_at: follow.as_ref().map(|follow| monotonic_now() + follow.every),
            follow,
            unread: None,
            join_at: None,
            stale: true,
            listed: None,
            roll: None,
            failures: BTreeMap::new(),
        };
        let thread = std::thread::Builder::new()
            .name("membership".to_owned())
            .stack_size(512 * 1024)
            .spawn(move || runtime.block_on(driver.run()))
            .map_err(MembersError::Thread)?;
        Ok(Self { desk, thread: Some(thread) })
    }

    /// The speakers there are, as the API lists them.
    pub(super) fn set_pods(&self, pods: BTreeMap<Arc<str>, SocketAddr>) {
        self.desk.wish(|wishes| wishes.pods = Some(pods));
    }

    /// Tells every member that this node leaves.
    pub(super) fn leave(&self) {
        self.desk.wish(|wishes| wishes.leave = true);
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.desk.wish(|wishes| wishes.stop = true);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported already.
            let _ = thread.join();
        }
    }
}

/// A runtime with both sockets on it.
fn open(
    source: Source,
    listener: TcpListener,
) -> io::Result<(Runtime, Port, tokio::net::TcpListener)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let opened = {
        let _entered = runtime.enter();
        Port::open(source).and_then(|port| Ok((port, tokio::net::TcpListener::from_std(listener)?)))
    };
    match opened {
        Ok((port, listener)) => Ok((runtime, port, listener)),
        Err(error) => {
            // Whoever asks may be on a runtime itself, which does not let go of another one.
            runtime.shutdown_background();
            Err(error)
        }
    }
}

impl Desk {
    fn wish(&self, wish: impl FnOnce(&mut Wishes)) {
        wish(&mut self.wishes.lock());
        self.raised.notify_one();
    }
}

struct Driver {
    own: Config,
    member: Membership,
    port: Port,
    listener: tokio::net::TcpListener,
    streams: JoinSet<Ended>,
    guests: Guests,
    roster: Roster,
    board: Board,
    heartbeat: Option<Line>,
    desk: Arc<Desk>,
    follow: Option<Follow>,
    /// When to look at the secret again.
    look_at: Option<Duration>,
    /// Why the secret could not be followed, told once.
    unread: Option<String>,
    /// When to join again.
    join_at: Option<Duration>,
    /// Peers and candidates are to be looked at.
    stale: bool,
    /// What heartbeat was told last.
    listed: Option<BTreeMap<Arc<str>, SocketAddr>>,
    roll: Option<Roll>,
    /// Seeds that could not be joined, and why, each told once.
    failures: BTreeMap<SocketAddr, String>,
}

/// What ended a wait.
enum Happened {
    Wish,
    Stream(Ended),
    Datagram(Datagram),
    Guest(io::Result<(tokio::net::TcpStream, SocketAddr)>),
    Time,
}

impl Driver {
    async fn run(mut self) {
        loop {
            let wait = self.wake().map(|at| at.saturating_sub(monotonic_now()));
            let happened = tokio::select! {
                biased;
                () = self.desk.raised.notified() => Happened::Wish,
                Some(ended) = self.streams.join_next() => {
                    Happened::Stream(ended.unwrap_or(Ended::Over))
                }
                datagram = self.port.receive() => Happened::Datagram(datagram),
                guest = self.listener.accept(), if self.guests.have_room() => {
                    Happened::Guest(guest)
                }
                () = sleep(wait) => Happened::Time,
            };
            match happened {
                Happened::Wish => {
                    if self.obey() {
                        return;
                    }
                }
                Happened::Stream(ended) => self.end(ended),
                Happened::Datagram(datagram) => self.receive(&datagram),
                Happened::Guest(Ok((stream, from))) => self.admit(stream, from),
                Happened::Guest(Err(error)) => {
                    debug!(op = "accept", %error);
                    tokio::time::sleep(PAUSE).await;
                }
                Happened::Time => {}
            }
            self.catch_up();
        }
    }

    /// Whatever follows, until the next wait.
    fn catch_up(&mut self) {
        // Time is judged with no word unheard, short of a flood.
        for _ in 0..BATCH {
            let Some(datagram) = self.port.try_receive() else { break };
            self.receive(&datagram);
        }
        let now = monotonic_now();
        if self.member.poll_timeout().is_some_and(|due| due <= now) {
            self.member.handle_timeout(now);
        }
        if self.look_at.is_some_and(|at| at <= now) {
            self.follow_secret(now);
        }
        if self.join_at.is_some_and(|at| at <= now) {
            self.join(now);
        }
        self.stale |= self.roster.is_due(now);
        while let Some(event) = self.member.poll_event() {
            self.tell(event);
        }
        while let Some(transmit) = self.member.poll_transmit() {
            self.transmit(transmit);
        }
        if std::mem::take(&mut self.stale) {
            self.publish(now);
        }
    }

    fn wake(&self) -> Option<Duration> {
        let times = [self.member.poll_timeout(), self.roster.wake(), self.join_at, self.look_at];
        times.into_iter().flatten().min()
    }

    /// Does what was wished; returns whether the thread is to end.
    fn obey(&mut self) -> bool {
        let wishes = std::mem::take(&mut *self.desk.wishes.lock());
        let now = monotonic_now();
        if let Some(pods) = wishes.pods {
            let before = self.roster.seeds();
            self.roster.set_pods(now, pods);
            let seeds = self.roster.seeds();
            self.failures.retain(|seed, _| seeds.contains(seed));
            self.member.join(now, seeds.difference(&before).copied());
            let soon = now + JOIN_SOON;
            self.join_at = Some(self.join_at.map_or(soon, |at| at.min(soon)));
            self.stale = true;
        }
        if wishes.leave {
            self.member.leave(now);
        }
        wishes.stop
    }

    /// Goes by the secret as it is now; while it cannot be read or followed, as it was.
    fn follow_secret(&mut self, now: Duration) {
        let Some(follow) = &mut self.follow else { return };
        self.look_at = Some(now + follow.every);
        match follow.look() {
            Ok(None) => self.unread = None,
            Ok(Some(Secret { key, ring, follow })) => {
                let accepted = follow.as_ref().map_or(1, Follow::accepted);
                self.member.set_keys(ring);
                if let Some(heartbeat) = &self.heartbeat {
                    heartbeat.set_key(key);
                }
                (self.follow, self.unread) = (follow, None);
                info!(event = "secretChanged", accepted, "the speakers' secret is another one");
            }
            Err(error) => {
                let error = error.to_string();
                if self.unread.as_ref() != Some(&error) {
                    warn!(event = "secretNotFollowed", error, "the secret stays what it was");
                    self.unread = Some(error);
                }
            }
        }
    }

    fn join(&mut self, now: Duration) {
        let soon = self.roster.has_new(now);
        self.join_at = Some(now + if soon { JOIN_SOON } else { JOIN_AGAIN });
        self.member.join(now, self.roster.seeds());
        // Those that were gone for long are forgotten without a word.
        self.stale = true;
    }

    fn receive(&mut self, (from, bytes): &Datagram) {
        // What is neither heartbeat's nor membership's is nobody's.
        let _ = self.member.handle_datagram(monotonic_now(), *from, bytes);
    }

    fn admit(&mut self, stream: tokio::net::TcpStream, from: SocketAddr) {
        if let Some(place) = self.guests.admit(from.ip().to_canonical()) {
            let within = self.own.timing.tcp_timeout;
            self.streams.spawn(streams::listen(stream, from, place, self.own.limits, within));
        }
    }

    fn end(&mut self, ended: Ended) {
        let now = monotonic_now();
        match ended {
            Ended::Asked(question) => {
                let answer = self.member.handle_stream(now, question.from, &question.bytes);
                if !answer.is_empty() {
                    self.streams.spawn(question.answer(answer, self.own.timing.tcp_timeout));
                }
            }
            Ended::Answered { id, reply: Some(reply) } => {
                self.member.handle_stream_reply(now, id, &reply);
            }
            Ended::Answered { id, reply: None } => self.member.handle_stream_failed(now, id),
            Ended::Over => {}
        }
    }

    fn transmit(&mut self, transmit: Transmit) {
        match transmit {
            Transmit::Datagram { to, bytes } => self.port.send(to, &bytes),
            Transmit::Stream { id, to, request, timeout } => {
                let own = self.own.address.ip();
                self.streams.spawn(streams::ask(own, id, to, request, self.own.limits, timeout));
            }
        }
    }

    /// Tells heartbeat whom to speak with, and the board who lives.
    fn publish(&mut self, now: Duration) {
        let members: Vec<Member> = self.member.members().collect();
        let Some(peers) = self.roster.peers(now, &members) else { return };
        let roll = self.roster.roll(&members, self.heartbeat.is_some());
        if self.roll.as_ref() != Some(&roll) {
            if let Some(heartbeat) = &self.heartbeat {
                heartbeat.set_preempting(!roll.trusted.is_empty());
            }
            self.board.set_roll(roll.clone());
            self.roll = Some(roll);
        }
        if let Some(heartbeat) = &self.heartbeat
            && self.listed.as_ref() != Some(&peers)
        {
            heartbeat.set_peers(peers.clone());
            self.listed = Some(peers);
        }
    }

    fn tell(&mut self, event: Event) {
        self.stale = true;
        match event {
            Event::Joined(member) => tell_node(&member.name, Some(member.address), "NodeJoin"),
            Event::Updated(member) => tell_node(&member.name, Some(member.address), "NodeUpdate"),
            Event::Left { node } => self.tell_gone(&node),
            Event::Dead { node, from } => {
                info!(event = "memberDead", node = &*node, by = &*from, "a member is dead");
                self.tell_gone(&node);
            }
            Event::Suspect { node, from } => {
                debug!(event = "memberSuspect", node = &*node, by = &*from);
            }
            Event::Recovered { node } => debug!(event = "memberRecovered", node = &*node),
            Event::SeedReached { address } => {
                self.roster.set_tried(address);
                if self.failures.remove(&address).is_some() {
                    info!(op = "memberDiscovery", seed = %address, "a speaker was joined after all");
                }
            }
            Event::SeedFailed { address, why } => {
                self.roster.set_tried(address);
                self.tell_failure(address, why.to_string());
            }
            Event::Refused { from, why, count } => self.tell_refused(from, why, count),
            Event::Conflict { node, known, claimed } => warn!(
                event = "memberConflict",
                node = &*node,
                %known,
                %claimed,
                "two hosts claim to be the same node; the known one stays until it is dead"
            ),
            Event::DatagramsBlocked { node } => warn!(
                event = "datagramsBlocked",
                node = &*self.own.name,
                peer = &*node,
                port = self.own.address.port(),
                "a member answers by TCP and not by UDP: something blocks the UDP port"
            ),
            Event::Refuted { incarnation } => {
                info!(event = "memberRefuted", incarnation, "others doubted that this node lives");
            }
            Event::Departed { complete } => {
                info!(event = "memberDeparted", complete, "the members know that this node leaves");
                self.board.set_departed();
            }
        }
    }

    fn tell_gone(&self, node: &str) {
        tell_node(node, self.member.member(node).map(|member| member.address), "NodeLeave");
    }

    fn tell_failure(&mut self, seed: SocketAddr, why: String) {
        if self.failures.get(&seed) != Some(&why) {
            let peer = self.peer_at(seed.ip());
            warn!(op = "memberDiscovery", %seed, peer, error = why, "a speaker cannot be joined");
            self.failures.insert(seed, why);
        }
    }

    /// At most once a minute for each host and reason.
    fn tell_refused(&self, from: std::net::IpAddr, why: Refusal, count: u64) {
        let peer = self.peer_at(from);
        error!(
            event = "memberRefused",
            node = &*self.own.name,
            address = %self.own.address.ip(),
            peer,
            %from,
            reason = why.code(),
            count,
            "what another host says is not taken: {why}"
        );
    }

    /// The node with that address, as far as it is known.
    fn peer_at(&self, address: std::net::IpAddr) -> &str {
        self.roster.node_at(address).map_or("unknown", |node| &**node)
    }
}

/// Upstream's words.
fn tell_node(name: &str, address: Option<SocketAddr>, what: &str) {
    let address = address.map(|address| address.ip().to_string()).unwrap_or_default();
    info!(
        "node name" = name,
        "node addr" = address,
        "node event" = what,
        "the speakers' membership changed"
    );
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

/// Grows from life to life, so that a restart is believed at once.
fn incarnation() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // The highest half is not believed by others.
    let seconds = now.as_secs().saturating_sub(YEAR_2024).clamp(1, 1 << 30);
    u32::try_from(seconds).unwrap_or(1)
}
