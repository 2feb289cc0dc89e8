//! One of our members on real sockets: a thread for datagrams and time, one that accepts streams,
//! one for each stream. Small, not fast.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_swim_proto::{Config, Event, Limits, Member, Membership, Transmit};

/// A running member; it stops without a word when dropped.
pub(crate) struct Ours {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    start: Instant,
    socket: UdpSocket,
    member: Mutex<Membership>,
    events: Mutex<Vec<Event>>,
    /// No datagrams from and to these.
    blocked: Mutex<BTreeSet<SocketAddr>>,
    /// No streams either way.
    streams_blocked: AtomicBool,
    stopped: AtomicBool,
}

impl Ours {
    /// Starts on a free port of a loopback address; `change` may change its configuration.
    pub(crate) fn start(name: &str, ip: &str, change: impl FnOnce(&mut Config)) -> Self {
        let ip: IpAddr = ip.parse().unwrap();
        let (socket, listener) = loop {
            let socket = UdpSocket::bind((ip, 0)).unwrap();
            if let Ok(listener) = TcpListener::bind(socket.local_addr().unwrap()) {
                break (socket, listener);
            }
        };
        let address = socket.local_addr().unwrap();
        let mut config = Config::new(name, address);
        change(&mut config);
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        listener.set_nonblocking(true).unwrap();
        let seed = u64::from(address.port()) << 32 | u64::from(std::process::id());
        let shared = Arc::new(Shared {
            start: Instant::now(),
            socket,
            member: Mutex::new(Membership::new(config, Duration::ZERO, seed).unwrap()),
            events: Mutex::default(),
            blocked: Mutex::default(),
            streams_blocked: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let datagrams = shared.clone();
        thread::spawn(move || datagrams.serve());
        let streams = shared.clone();
        thread::spawn(move || streams.accept(&listener));
        Self { address, shared }
    }

    pub(crate) fn join(&self, seed: SocketAddr) {
        self.shared.with(|member, now| member.join(now, [seed]));
    }

    pub(crate) fn leave(&self) {
        self.shared.with(Membership::leave);
        self.wait("departure", 2.0, |event| matches!(event, Event::Departed { .. }));
    }

    /// Cuts or restores the way of datagrams from and to an address.
    pub(crate) fn block(&self, peer: SocketAddr, blocked: bool) {
        let mut set = self.shared.blocked.lock().unwrap();
        if blocked {
            set.insert(peer)
        } else {
            set.remove(&peer)
        };
    }

    pub(crate) fn block_streams(&self) {
        self.shared.streams_blocked.store(true, Ordering::Relaxed);
    }

    pub(crate) fn members(&self) -> Vec<Member> {
        self.shared.member.lock().unwrap().members().filter(Member::is_usable).collect()
    }

    /// What is known of a node, also of one that is gone.
    pub(crate) fn member(&self, name: &str) -> Option<Member> {
        self.shared.member.lock().unwrap().member(name)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.members().iter().map(|member| member.name.to_string()).collect()
    }

    pub(crate) fn seen(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.shared.events.lock().unwrap().iter().any(wanted)
    }

    /// How many events there were of a kind.
    pub(crate) fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.shared.events.lock().unwrap().iter().filter(|event| wanted(event)).count()
    }

    /// Waits for an event, however long ago it was.
    pub(crate) fn wait(&self, what: &str, seconds: f64, wanted: impl Fn(&Event) -> bool) {
        let found = crate::peer::within(seconds, || self.seen(&wanted));
        assert!(found, "no {what}: {:?}", self.shared.events.lock().unwrap());
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn serve(self: &Arc<Self>) {
        let mut buffer = vec![0; 65_536];
        while !self.stopped.load(Ordering::Relaxed) {
            if let Ok((length, from)) = self.socket.recv_from(&mut buffer)
                && !self.blocked.lock().unwrap().contains(&from)
            {
                self.with(|member, now| {
                    member.handle_datagram(now, from, &buffer[..length]).unwrap();
                });
                continue;
            }
            self.with(|member, now| {
                if member.poll_timeout().is_some_and(|due| due <= now) {
                    member.handle_timeout(now);
                }
            });
        }
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while !self.stopped.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, from)) if !self.streams_blocked.load(Ordering::Relaxed) => {
                    let shared = self.clone();
                    thread::spawn(move || shared.answer(stream, from));
                }
                Ok(_) => {}
                Err(_) => thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    fn answer(self: &Arc<Self>, mut stream: TcpStream, from: SocketAddr) -> Option<()> {
        stream.set_nonblocking(false).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        let request = Self::read(&mut stream).ok()?;
        let answer = self.with(|member, now| member.handle_stream(now, from, &request));
        stream.write_all(&answer).ok()
    }

    fn ask(
        self: &Arc<Self>,
        to: SocketAddr,
        request: &[u8],
        timeout: Duration,
    ) -> io::Result<Vec<u8>> {
        if self.streams_blocked.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let mut stream = TcpStream::connect_timeout(&to, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.write_all(request)?;
        Self::read(&mut stream)
    }

    /// A whole message, or what there is before the end.
    fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            let missing = Limits::DEFAULT.stream_missing(&bytes);
            let missing = missing.map_err(|_| io::ErrorKind::InvalidData)?;
            if missing == 0 || stream.take(missing as u64).read_to_end(&mut bytes)? == 0 {
                return Ok(bytes);
            }
        }
    }

    /// Does something with the member, then whatever follows from it.
    fn with<T>(self: &Arc<Self>, act: impl FnOnce(&mut Membership, Duration) -> T) -> T {
        let mut member = self.member.lock().unwrap();
        let done = act(&mut member, self.start.elapsed());
        self.follow(&mut member);
        done
    }

    fn follow(self: &Arc<Self>, member: &mut Membership) {
        while let Some(event) = member.poll_event() {
            self.events.lock().unwrap().push(event);
        }
        while let Some(transmit) = member.poll_transmit() {
            match transmit {
                Transmit::Datagram { to, bytes } => {
                    let stopped = self.stopped.load(Ordering::Relaxed);
                    if !stopped && !self.blocked.lock().unwrap().contains(&to) {
                        // A closed port on loopback is an error of the next call; so be it.
                        let _ = self.socket.send_to(&bytes, to);
                    }
                }
                Transmit::Stream { id, to, request, timeout } => {
                    let shared = self.clone();
                    thread::spawn(move || match shared.ask(to, &request, timeout) {
                        Ok(reply) => {
                            shared.with(|member, now| member.handle_stream_reply(now, id, &reply));
                        }
                        Err(_) => shared.with(|member, now| member.handle_stream_failed(now, id)),
                    });
                }
            }
        }
    }
}
