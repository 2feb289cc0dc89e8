//! Socket options the socket crate does not have, and those that have one name per family.

use std::{io, net::IpAddr, os::fd::AsRawFd};

use socket2::Socket;

use crate::sockaddr::socklen_of;

/// Network control, where routing protocols belong (RFC 4594 3.2): DSCP CS6.
const NETWORK_CONTROL: u32 = 0xc0;

/// Not in the C library's list; Linux 5.0.
const SO_BINDTOIFINDEX: libc::c_int = 62;

/// A value the kernel may read byte by byte.
///
/// # Safety
///
/// The type has no padding and no pointers.
pub(crate) unsafe trait OptionValue {}

// SAFETY: four bytes.
unsafe impl OptionValue for libc::c_int {}

/// Sets one option.
pub(crate) fn set<T: OptionValue>(
    socket: &impl AsRawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the value lives during the call, the length is its own, and by its trait all of it may be read.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            socklen_of::<T>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Switches an option on.
pub(crate) fn enable(
    socket: &impl AsRawFd,
    level: libc::c_int,
    name: libc::c_int,
) -> io::Result<()> {
    set(socket, level, name, &1)
}

/// TTL or hop limit of what is sent to an address of `peer`'s family.
pub(crate) fn set_ttl(socket: &Socket, peer: IpAddr, ttl: u8) -> io::Result<()> {
    match peer {
        IpAddr::V4(_) => socket.set_ttl_v4(ttl.into()),
        IpAddr::V6(_) => socket.set_unicast_hops_v6(ttl.into()),
    }
}

/// What arrives with less is dropped by the kernel (GTSM, RFC 5082).
pub(crate) fn set_min_ttl(socket: &Socket, peer: IpAddr, ttl: u8) -> io::Result<()> {
    let (level, name) = match peer {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MINTTL),
        IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT),
    };
    set(socket, level, name, &libc::c_int::from(ttl))
}

/// Marks what is sent as traffic of the network's own control.
pub(crate) fn set_network_control(socket: &Socket, peer: IpAddr) -> io::Result<()> {
    match peer {
        IpAddr::V4(_) => socket.set_tos_v4(NETWORK_CONTROL),
        IpAddr::V6(_) => socket.set_tclass_v6(NETWORK_CONTROL),
    }
}

/// Binds a socket that is not bound to an interface yet, which takes no privilege.
pub(crate) fn bind_interface(socket: &Socket, index: u32) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, SO_BINDTOIFINDEX, &index.cast_signed())
}
