//! Raw Ethernet frames of one interface and one protocol: where neighbours' questions come from and
//! where our answers go.
//!
//! # One socket per protocol, not one for everything
//!
//! A socket is bound to the `EtherType` of its [`Filter`]. The alternative, one socket for all
//! protocols with a filter that takes both, was decided against for three reasons:
//!
//! * The kernel hands such a socket every frame of the interface and runs the filter on it. On a load
//!   balancer's node that is the data path of all Services. Measured on a veth pair, Linux 6.18, least of
//!   five times 60,000 IPv4 packets: 0.13 µs a packet (1.90 to 2.03 µs), against nothing that could be
//!   told from noise for two sockets bound to ARP and IPv6.
//! * It sees our own transmissions, which would have to be told apart. A socket bound to one protocol
//!   never does.
//! * It sees tagged frames before the kernel has given them to the VLAN interface they belong to. A
//!   socket bound to one protocol sees only what is left for the parent.
//!
//! # VLAN tags
//!
//! A tagged frame whose VLAN has an interface of its own reaches that interface's socket only. One whose
//! VLAN has none is delivered to the parent, and the kernel has removed every trace of the tag but one:
//! the frame is marked as meant for another host, whatever its destination. Hence the rule for callers:
//! a frame of type [`PacketType::OtherHost`] must not be answered. (Priority tags, VLAN 0, are taken off
//! and the frame is an ordinary one.)

use std::{
    io::{self, ErrorKind},
    mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::{
    Error, Filter,
    sockaddr::{family, sock_addr, socklen_of},
};

/// A question may come from every host of the LAN at once, for instance after a power cut. The kernel
/// cuts this down to `net.core.rmem_max`.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Reads and writes whole Ethernet frames on one interface; needs `CAP_NET_RAW`.
///
/// Neither reading nor writing blocks; [`crate::wait`] does. Two threads may share the socket. The
/// interface is known by its index: a rename does no harm but to the name in errors.
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
    interface: String,
}

/// A received frame, its bytes being in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Length in the buffer; what did not fit is lost.
    pub len: usize,
    /// Whom the frame was for, as far as the kernel could tell.
    pub packet_type: PacketType,
}

/// Whom a frame was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketType {
    /// The interface's own address.
    Host,
    /// Everybody.
    Broadcast,
    /// A group.
    Multicast,
    /// Another address, or another VLAN (see the module's words on tags).
    OtherHost,
}

impl PacketSocket {
    /// A socket on the interface with this index that takes what `filter` takes and nothing else, not
    /// even what arrives while it is being opened. `name` is for errors only.
    ///
    /// An interface that is down is no error here: the first [`Self::recv`] says so.
    pub fn open(index: u32, name: &str, filter: Filter) -> Result<Self, Error> {
        // Protocol 0: nothing is delivered before the bind, and by then the filter is in place.
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking(), Some(Protocol::from(0)))
            .map_err(Error::of("open packet socket on", name))?;
        socket
            .attach_filter(&filter.program())
            .map_err(Error::of("attach packet filter on", name))?;
        socket
            .set_recv_buffer_size(RECEIVE_BUFFER)
            .map_err(Error::of("set receive buffer on", name))?;
        socket
            .bind(&interface_address(index, filter.ether_type()))
            .map_err(Error::of("bind packet socket on", name))?;
        Ok(Self { socket, interface: name.to_owned() })
    }

    /// The next frame, or `None` when none is queued. 1,514 bytes of buffer hold any frame of the usual
    /// kind.
    pub fn recv(&self, buf: &mut [u8]) -> Result<Option<Frame>, Error> {
        // SAFETY: all zeros is a valid sockaddr_ll, which has integers only.
        let mut from: libc::sockaddr_ll = unsafe { mem::zeroed() };
        let mut from_len = socklen_of::<libc::sockaddr_ll>();
        // SAFETY: buffer and address are valid for writes of the lengths given with them, and
        // borrowed by nobody else during the call.
        let received = unsafe {
            libc::recvfrom(
                self.socket.as_raw_fd(),
                buf.as_mut_ptr().cast(),
                buf.len(),
                libc::MSG_DONTWAIT,
                (&raw mut from).cast(),
                &raw mut from_len,
            )
        };
        match usize::try_from(received) {
            Ok(len) => {
                Ok(Some(Frame { len, packet_type: PacketType::from_kernel(from.sll_pkttype) }))
            }
            Err(_) => match io::Error::last_os_error() {
                error if is_nothing_queued(&error) => Ok(None),
                error => Err(Error::new("receive on", &self.interface, error)),
            },
        }
    }

    /// Sends one frame, Ethernet header included. A full queue is an error, never a wait. That it was
    /// sent does not mean that it left: see [`crate::Link::running`].
    pub fn send(&self, frame: &[u8]) -> Result<(), Error> {
        match self.socket.send(frame) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::new("send on", &self.interface, error)),
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl PacketType {
    fn from_kernel(value: libc::c_uchar) -> Self {
        match value {
            libc::PACKET_HOST => Self::Host,
            libc::PACKET_BROADCAST => Self::Broadcast,
            libc::PACKET_MULTICAST => Self::Multicast,
            _ => Self::OtherHost,
        }
    }
}

/// Whether an error of a read only says that there is nothing to read.
pub(crate) fn is_nothing_queued(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn interface_address(index: u32, ether_type: u16) -> SockAddr {
    sock_addr::<libc::sockaddr_ll>(|address| {
        address.sll_family = family(libc::AF_PACKET);
        address.sll_protocol = ether_type.to_be();
        // Indexes are positive; the kernel refuses whatever it does not know.
        address.sll_ifindex = index.cast_signed();
    })
}
