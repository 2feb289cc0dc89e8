//! One datagram with what the kernel knows beside its bytes: when it came, and, where the socket asks for it,
//! with which TTL, to which address and on which interface.

use std::{
    io::{self, IoSliceMut},
    mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::AsRawFd,
    ptr,
    time::Duration,
};

use socket2::{SockAddr, SockAddrStorage, Socket};

use crate::{clock::from_timespec, sockaddr::socklen_of, sockopt};

/// What was received; the bytes are in the caller's buffer.
pub(crate) struct Received {
    pub(crate) len: usize,
    pub(crate) truncated: bool,
    pub(crate) from: SocketAddr,
    /// On the wall clock, since 1970.
    pub(crate) stamp: Option<Duration>,
    pub(crate) ttl: Option<u8>,
    /// The address it was sent to and the interface it came in on.
    pub(crate) to: Option<(IpAddr, u32)>,
}

/// Asks for [`Received::stamp`].
pub(crate) fn enable_stamps(socket: &Socket) -> io::Result<()> {
    sockopt::enable(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)
}

/// Asks for [`Received::ttl`] and [`Received::to`] on a socket of `address`' family.
pub(crate) fn enable_hops(socket: &Socket, address: IpAddr) -> io::Result<()> {
    let (level, names) = match address {
        IpAddr::V4(_) => (libc::IPPROTO_IP, [libc::IP_RECVTTL, libc::IP_PKTINFO]),
        IpAddr::V6(_) => (libc::IPPROTO_IPV6, [libc::IPV6_RECVHOPLIMIT, libc::IPV6_RECVPKTINFO]),
    };
    names.iter().try_for_each(|name| sockopt::enable(socket, level, *name))
}

/// Room for a time (32 bytes), addresses (up to 40) and a TTL (24), aligned as the kernel's headers want it.
#[repr(C, align(8))]
struct Control([u8; 128]);

/// Takes the next datagram off the queue; never waits.
pub(crate) fn receive(socket: &Socket, buf: &mut [u8]) -> io::Result<Received> {
    let mut from = SockAddrStorage::zeroed();
    let mut control = Control([0; 128]);
    let mut parts = [IoSliceMut::new(buf)];
    // SAFETY: all zeros is a valid msghdr: null pointers with lengths of zero.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = (&raw mut from).cast();
    message.msg_namelen = from.size_of();
    // IoSliceMut is an iovec by its documented layout.
    message.msg_iov = parts.as_mut_ptr().cast();
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;

    // SAFETY: every pointer of the message leads to memory of the length given with it, which lives
    // longer than the call and is borrowed by nobody else.
    let received =
        unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    let len = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;

    // SAFETY: the kernel wrote an address of the length it left in the header.
    let from = unsafe { SockAddr::new(from, message.msg_namelen) };
    let mut received = Received {
        len,
        truncated: message.msg_flags & libc::MSG_TRUNC != 0,
        from: from.as_socket().ok_or(io::ErrorKind::InvalidData)?,
        stamp: None,
        ttl: None,
        to: None,
    };
    received.read_control(&message);
    Ok(received)
}

impl Received {
    fn read_control(&mut self, message: &libc::msghdr) {
        // SAFETY: the header was filled in by recvmsg, so its control buffer holds whole messages up to
        // the length it states; the macros stay within it and return null at its end.
        let mut control = unsafe { libc::CMSG_FIRSTHDR(message) };
        // SAFETY: as above; what is not null points to a whole header.
        while let Some(header) = unsafe { control.as_ref() } {
            match (header.cmsg_level, header.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    self.stamp = value_of::<libc::timespec>(header).map(from_timespec);
                }
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    self.ttl = value_of::<libc::c_int>(header).and_then(|ttl| ttl.try_into().ok());
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    self.to = value_of::<libc::in_pktinfo>(header).map(|info| {
                        let address = Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr));
                        (address.into(), info.ipi_ifindex.cast_unsigned())
                    });
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    self.to = value_of::<libc::in6_pktinfo>(header).map(|info| {
                        (Ipv6Addr::from(info.ipi6_addr.s6_addr).into(), info.ipi6_ifindex)
                    });
                }
                _ => {}
            }
            // SAFETY: as above.
            control = unsafe { libc::CMSG_NXTHDR(message, control) };
        }
    }
}

/// A structure any bytes are a valid value of.
///
/// # Safety
///
/// The type consists of integers only.
unsafe trait ControlValue {}

// SAFETY: an integer.
unsafe impl ControlValue for libc::c_int {}
// SAFETY: two integers.
unsafe impl ControlValue for libc::timespec {}
// SAFETY: an index and two addresses.
unsafe impl ControlValue for libc::in_pktinfo {}
// SAFETY: an address and an index.
unsafe impl ControlValue for libc::in6_pktinfo {}

/// The value of a control message, when it is long enough to hold one.
fn value_of<T: ControlValue>(header: &libc::cmsghdr) -> Option<T> {
    // SAFETY: takes no pointer.
    let least = unsafe { libc::CMSG_LEN(socklen_of::<T>()) };
    if header.cmsg_len < least as _ {
        return None;
    }
    // SAFETY: the header stands in the control buffer with `cmsg_len` bytes of its own, so the value behind it
    // lies in the buffer too; it is copied without regard to alignment, and any bytes are a T.
    Some(unsafe { ptr::read_unaligned(libc::CMSG_DATA(ptr::from_ref(header)).cast::<T>()) })
}
