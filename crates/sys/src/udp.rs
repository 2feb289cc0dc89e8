//! UDP with the time at which each datagram reached this host, rather than the time at which we got round
//! to looking: a thread that was kept waiting must not blame its peers for that.
//!
//! The kernel stamps with the wall clock, which may be stepped at any time. Stamps are therefore brought to
//! our clock one by one, with the distance between the two clocks as it is when the datagram is read, and
//! are believed only as far as they are possible: a datagram cannot have come after it was read, nor
//! before the queue was last seen empty.
//!
//! ```text
//!   queue seen empty          stamp                  read
//!  ───────┴─────────────────────┴──────────────────────┴──────▶  our clock
//!         └─ the arrival is in here, whatever the wall clock did ─┘
//! ```
//!
//! The first socket of a host that wants stamps makes the kernel begin to stamp, which takes it a moment.
//! What came earlier gets its stamp when it is read.

use std::{
    cell::Cell,
    io, mem,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    Error,
    clock::{ClockPair, monotonic_now},
    packet::is_nothing_queued,
    receive::{self, Received, receive},
};

/// Seconds of every peer's heartbeats. The kernel cuts this down to `net.core.rmem_max`.
pub(crate) const RECEIVE_BUFFER: usize = 4 << 20;

/// How much earlier than the empty queue a stamp may be: it is made by the driver, and a busy kernel takes a
/// while from there to the queue.
const ON_THE_WAY: Duration = Duration::from_millis(10);

/// A UDP socket that knows when its datagrams arrived. Reading does not block; [`crate::wait`] does.
///
/// One thread reads; others send through [`TimestampedUdp::sender`].
#[derive(Debug)]
pub struct TimestampedUdp {
    sender: UdpSender,
    arrivals: Cell<Arrivals>,
}

/// Sends from the address of a [`TimestampedUdp`].
#[derive(Clone, Debug)]
pub struct UdpSender {
    socket: Arc<Socket>,
    local: SocketAddr,
}

/// A received datagram, its bytes being in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Length in the buffer.
    pub len: usize,
    /// The buffer was too small and the rest is lost.
    pub truncated: bool,
    /// Who sent it.
    pub from: SocketAddr,
    /// When it reached this host, on the clock of [`monotonic_now`].
    pub arrival: Duration,
}

impl TimestampedUdp {
    /// Binds to an address; an IPv6 one takes no IPv4 traffic. Port 0 lets the kernel choose.
    pub fn bind(address: SocketAddr) -> Result<Self, Error> {
        let (socket, local) = open(address).map_err(Error::of("listen on UDP address", address))?;
        let sender = UdpSender { socket: Arc::new(socket), local };
        Ok(Self { sender, arrivals: Cell::new(Arrivals::new(ClockPair::now())) })
    }

    /// The address in use.
    pub fn local_addr(&self) -> SocketAddr {
        self.sender.local
    }

    /// A handle other threads can send with.
    pub fn sender(&self) -> UdpSender {
        self.sender.clone()
    }

    /// Sends one datagram; see [`UdpSender::send_to`].
    pub fn send_to(&self, datagram: &[u8], to: SocketAddr) -> Result<(), Error> {
        self.sender.send_to(datagram, to)
    }

    /// The next datagram, or `None` when none is queued. A caller that must not judge by an old state reads
    /// until `None`.
    pub fn recv(&self, buf: &mut [u8]) -> Result<Option<Datagram>, Error> {
        let mut arrivals = self.arrivals.get();
        let looked = monotonic_now();
        let datagram = match receive(&self.sender.socket, buf) {
            Ok(received) => {
                let arrival = arrivals.place(received.stamp, ClockPair::now());
                let Received { len, truncated, from, .. } = received;
                Some(Datagram { len, truncated, from, arrival })
            }
            Err(error) if is_nothing_queued(&error) => {
                arrivals.empty_at = looked;
                None
            }
            Err(error) => {
                return Err(Error::new("receive on UDP address", self.local_addr(), error));
            }
        };
        self.arrivals.set(arrivals);
        Ok(datagram)
    }
}

impl UdpSender {
    /// Sends one datagram. A full queue is an error, never a wait.
    pub fn send_to(&self, datagram: &[u8], to: SocketAddr) -> Result<(), Error> {
        match self.socket.send_to(datagram, &to.into()) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::new("send datagram to", to, error)),
        }
    }
}

impl AsFd for TimestampedUdp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sender.socket.as_fd()
    }
}

/// Turns stamps of the wall clock into times of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrivals {
    /// When the queue was last known to be empty.
    pub(crate) empty_at: Duration,
    /// Both clocks when the previous datagram was read.
    previous: ClockPair,
}

impl Arrivals {
    pub(crate) fn new(now: ClockPair) -> Self {
        Self { empty_at: now.monotonic, previous: now }
    }

    /// The arrival of a datagram that was read `now`. The clocks' distance of this moment is tried first,
    /// then that of the previous reading, for a stamp made before a step of the wall clock; when neither
    /// gives a possible time, the nearest possible one is taken.
    pub(crate) fn place(&mut self, stamp: Option<Duration>, now: ClockPair) -> Duration {
        let earliest = self.empty_at.saturating_sub(ON_THE_WAY);
        let previous = mem::replace(&mut self.previous, now);
        let Some(stamp) = stamp else { return now.monotonic };

        let [by_now, by_previous] =
            [now, previous].map(|pair| (pair.monotonic + stamp).saturating_sub(pair.wall));
        let possible = earliest..=now.monotonic;
        if possible.contains(&by_now) {
            by_now
        } else if possible.contains(&by_previous) {
            by_previous
        } else {
            by_now.clamp(earliest, now.monotonic)
        }
    }
}

fn open(address: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
    let kind = Type::DGRAM.nonblocking();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    receive::enable_stamps(&socket)?;
    socket.bind(&address.into())?;
    let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    Ok((socket, local))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{Waker, wait};

    const LONG: Option<Duration> = Some(Duration::from_mins(1));

    fn mk_socket(address: &str) -> TimestampedUdp {
        TimestampedUdp::bind(address.parse().unwrap()).unwrap()
    }

    fn await_datagram(socket: &TimestampedUdp, buf: &mut [u8]) -> Datagram {
        let waker = Waker::new().unwrap();
        loop {
            if let Some(datagram) = socket.recv(buf).unwrap() {
                return datagram;
            }
            wait(&[socket.as_fd()], &waker, LONG).unwrap();
        }
    }

    #[rstest]
    #[case::v4("127.0.0.1:0")]
    #[case::v6("[::1]:0")]
    fn arrival_is_when_the_datagram_came_not_when_it_was_read(#[case] address: &str) {
        // On loopback a datagram has arrived when the send returns. The two clocks' readings may be a
        // little apart.
        const SLACK: Duration = Duration::from_millis(5);
        const READ_LATE: Duration = Duration::from_millis(50);

        let (a, b) = (mk_socket(address), mk_socket(address));
        let sender = a.sender();
        let mut buf = [0; 64];
        // The kernel may not stamp yet at the first attempts.
        let stamped = (0..100).any(|_| {
            assert_eq!(b.recv(&mut buf).unwrap(), None);
            let before = monotonic_now();
            a.send_to(b"one", b.local_addr()).unwrap();
            sender.send_to(b"three", b.local_addr()).unwrap();
            let after = monotonic_now();
            std::thread::sleep(READ_LATE);

            let first = await_datagram(&b, &mut buf);
            assert_eq!((&buf[..first.len], first.from), (&b"one"[..], a.local_addr()));
            let second = await_datagram(&b, &mut buf);
            assert_eq!(&buf[..second.len], b"three");

            assert!(before <= first.arrival + SLACK, "{before:?} {first:?}");
            assert!(first.arrival <= second.arrival + SLACK, "{first:?} {second:?}");
            assert!(second.arrival <= monotonic_now());
            second.arrival <= after + SLACK
        });
        assert!(stamped, "arrivals are those of the reading");
    }

    #[test]
    fn a_datagram_too_long_for_the_buffer_says_so() {
        let socket = mk_socket("127.0.0.1:0");
        socket.send_to(&[7; 100], socket.local_addr()).unwrap();
        let datagram = await_datagram(&socket, &mut [0; 10]);
        assert!(datagram.truncated);
        assert_eq!(datagram.len, 10);
    }

    #[test]
    fn an_address_that_is_not_ours_is_named() {
        let error = TimestampedUdp::bind("192.0.2.1:7946".parse().unwrap()).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("listen on UDP address 192.0.2.1:7946: "), "{text}");
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Read at 110 s, the queue was empty at 100 s, and the wall clock then was 1,000 s ahead.
    #[rstest]
    #[case::steady(Some(1105), 1110, 105)]
    #[case::no_stamp(None, 1110, 110)]
    #[case::stepped_ahead_after_the_stamp(Some(1105), 5110, 105)]
    #[case::stepped_back_after_the_stamp(Some(1105), 110, 105)]
    #[case::stepped_ahead_before_the_stamp(Some(5105), 5110, 105)]
    #[case::stepped_back_before_the_stamp(Some(505), 510, 105)]
    #[case::stepped_back_below_the_origin(Some(3), 8, 105)]
    #[case::stamp_from_the_future(Some(90_000), 1110, 110)]
    fn wall_clock_steps(#[case] stamp: Option<u64>, #[case] wall: u64, #[case] arrival: u64) {
        let mut arrivals =
            Arrivals::new(ClockPair { monotonic: seconds(100), wall: seconds(1100) });
        let now = ClockPair { monotonic: seconds(110), wall: seconds(wall) };
        assert_eq!(arrivals.place(stamp.map(seconds), now), seconds(arrival));
    }

    #[test]
    fn a_stamp_no_clock_explains_is_kept_possible() {
        let mut arrivals =
            Arrivals::new(ClockPair { monotonic: seconds(100), wall: seconds(1100) });
        let now = ClockPair { monotonic: seconds(110), wall: seconds(5110) };
        let arrival = arrivals.place(Some(seconds(2000)), now);
        assert!(seconds(100) <= arrival + ON_THE_WAY && arrival <= seconds(110));
    }
}
