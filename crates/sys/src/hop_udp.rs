//! UDP between routers: what is sent has a TTL of 255, and what is received says how much of it is left, so
//! that a receiver can tell who is on the link (RFC 5082).
//!
//! Receiving and sending are separate sockets: a protocol has one port to receive on, and a sender may need a
//! source port for each of its sessions (RFC 5881 4).

use std::{
    cell::Cell,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    Error,
    clock::{ClockPair, monotonic_now},
    packet::is_nothing_queued,
    receive::{self, receive},
    sockopt,
    udp::{Arrivals, RECEIVE_BUFFER},
};

/// RFC 5881 4
const SOURCE_PORTS: RangeInclusive<u16> = 49152..=65535;

/// Receives on one port. Reading does not block; [`crate::wait`] does.
#[derive(Debug)]
pub struct HopUdp {
    socket: Socket,
    local: SocketAddr,
    arrivals: Cell<Arrivals>,
}

/// A received datagram, its bytes being in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HopDatagram {
    /// Length in the buffer; what did not fit is lost.
    pub len: usize,
    /// Who sent it.
    pub from: IpAddr,
    /// The address it was sent to.
    pub to: IpAddr,
    /// Index of the interface it came in on.
    pub interface: u32,
    /// TTL or hop limit it had left.
    pub ttl: u8,
    /// When it reached this host, on the clock of [`monotonic_now`].
    pub arrival: Duration,
}

/// Sends to one peer, from a port of its own.
#[derive(Debug)]
pub struct HopUdpSender {
    socket: Socket,
    peer: SocketAddr,
    source_port: u16,
}

impl HopUdp {
    /// Binds to an address; an IPv6 one takes no IPv4 traffic.
    pub fn bind(address: SocketAddr) -> Result<Self, Error> {
        let open = || {
            let kind = Type::DGRAM.nonblocking();
            let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
            if address.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
            receive::enable_stamps(&socket)?;
            receive::enable_hops(&socket, address.ip())?;
            socket.bind(&address.into())?;
            Ok(socket)
        };
        let socket = open().map_err(Error::of("listen on UDP address", address))?;
        Ok(Self { socket, local: address, arrivals: Cell::new(Arrivals::new(ClockPair::now())) })
    }

    /// The next datagram, or `None` when none is queued. A caller that must not judge by an old state reads
    /// until `None`.
    pub fn recv(&self, buf: &mut [u8]) -> Result<Option<HopDatagram>, Error> {
        let mut arrivals = self.arrivals.get();
        let looked = monotonic_now();
        let received = match receive(&self.socket, buf) {
            Ok(received) => received,
            Err(error) if is_nothing_queued(&error) => {
                arrivals.empty_at = looked;
                self.arrivals.set(arrivals);
                return Ok(None);
            }
            Err(error) => return Err(Error::new("receive on UDP address", self.local, error)),
        };
        let arrival = arrivals.place(received.stamp, ClockPair::now());
        self.arrivals.set(arrivals);
        // The kernel never leaves out what was asked for.
        let (Some((to, interface)), Some(ttl)) = (received.to, received.ttl) else {
            let cause = io::ErrorKind::InvalidData.into();
            return Err(Error::new("receive on UDP address", self.local, cause));
        };
        let (len, from) = (received.len, received.from.ip());
        Ok(Some(HopDatagram { len, from, to, interface, ttl, arrival }))
    }
}

impl AsFd for HopUdp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl HopUdpSender {
    /// A sender to `peer`, from the address `local` (or whichever the route says) and through `interface` (or
    /// any). The source port is the first free one of the dynamic range, from somewhere chosen by `seed` on; it
    /// stays for the sender's life. Link-local peers need their scope in `peer`.
    pub fn open(
        peer: SocketAddr,
        local: Option<IpAddr>,
        interface: Option<u32>,
        seed: u16,
    ) -> Result<Self, Error> {
        let open = || {
            let kind = Type::DGRAM.nonblocking();
            let socket = Socket::new(Domain::for_address(peer), kind, Some(Protocol::UDP))?;
            // Nobody reads it; the kernel makes of this the least there is.
            socket.set_recv_buffer_size(0)?;
            sockopt::set_ttl(&socket, peer.ip(), u8::MAX)?;
            sockopt::set_network_control(&socket, peer.ip())?;
            if let Some(index) = interface {
                sockopt::bind_interface(&socket, index)?;
            }
            let source_port = bind_free_port(&socket, source(peer, local), seed)?;
            Ok((socket, source_port))
        };
        let (socket, source_port) = open().map_err(Error::of("open UDP socket to", peer))?;
        Ok(Self { socket, peer, source_port })
    }

    /// The port it sends from.
    pub fn source_port(&self) -> u16 {
        self.source_port
    }

    /// Sends one datagram. A full queue is an error, never a wait.
    pub fn send(&self, datagram: &[u8]) -> Result<(), Error> {
        // Not connected: an ICMP answer to one datagram must not cost the next one.
        match self.socket.send_to(datagram, &self.peer.into()) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::new("send datagram to", self.peer, error)),
        }
    }
}

/// Own address, with the peer's scope.
fn source(peer: SocketAddr, local: Option<IpAddr>) -> SocketAddr {
    let unspecified = match peer {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let mut source = SocketAddr::new(local.unwrap_or(unspecified), 0);
    if let (SocketAddr::V6(source), SocketAddr::V6(peer)) = (&mut source, peer)
        && source.ip().is_unicast_link_local()
    {
        source.set_scope_id(peer.scope_id());
    }
    source
}

fn bind_free_port(socket: &Socket, mut source: SocketAddr, seed: u16) -> io::Result<u16> {
    let first = SOURCE_PORTS.start() + seed % (SOURCE_PORTS.end() - SOURCE_PORTS.start());
    let ports = (first..=*SOURCE_PORTS.end()).chain(*SOURCE_PORTS.start()..first);
    for port in ports {
        source.set_port(port);
        match socket.bind(&source.into()) {
            Ok(()) => return Ok(port),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{Waker, wait};

    #[rstest]
    #[case::v4("127.0.0.1", 24123)]
    #[case::v6("::1", 24124)]
    fn a_datagram_tells_its_way(#[case] address: IpAddr, #[case] port: u16) {
        let at = SocketAddr::new(address, port);
        let receiver = HopUdp::bind(at).unwrap();
        let sender = HopUdpSender::open(at, Some(address), Some(1), 7).unwrap();
        assert!(SOURCE_PORTS.contains(&sender.source_port()));
        let before = monotonic_now();
        sender.send(b"hello").unwrap();

        let mut buf = [0; 64];
        let waker = Waker::new().unwrap();
        assert!(
            wait(&[receiver.as_fd()], &waker, Some(Duration::from_mins(1))).unwrap().readable(0)
        );
        let datagram = receiver.recv(&mut buf).unwrap().unwrap();
        assert_eq!(&buf[..datagram.len], b"hello");
        assert_eq!((datagram.from, datagram.to, datagram.interface), (address, address, 1));
        assert_eq!(datagram.ttl, 255);
        let arrived = datagram.arrival + Duration::from_millis(5);
        assert!(before <= arrived && datagram.arrival <= monotonic_now());
        assert_eq!(receiver.recv(&mut buf).unwrap(), None);
    }

    #[test]
    fn each_sender_has_a_port_of_its_own() {
        let peer = "127.0.0.1:24125".parse().unwrap();
        let senders: Vec<_> =
            (0..5).map(|_| HopUdpSender::open(peer, None, None, u16::MAX).unwrap()).collect();
        let mut ports: Vec<_> = senders.iter().map(HopUdpSender::source_port).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 5);
        assert!(ports.iter().all(|port| SOURCE_PORTS.contains(port)));
    }

    #[test]
    fn nobody_listening_does_not_cost_the_next_datagram() {
        let sender = HopUdpSender::open("127.0.0.1:24126".parse().unwrap(), None, None, 1).unwrap();
        for _ in 0..3 {
            sender.send(b"x").unwrap();
        }
    }

    #[test]
    fn an_address_in_use_is_named() {
        let at = "127.0.0.1:24127".parse().unwrap();
        let _first = HopUdp::bind(at).unwrap();
        let error = HopUdp::bind(at).unwrap_err();
        assert_eq!(error.cause().kind(), io::ErrorKind::AddrInUse);
        assert!(
            error.to_string().starts_with("listen on UDP address 127.0.0.1:24127: "),
            "{error}"
        );
    }
}
