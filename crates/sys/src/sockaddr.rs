//! Socket addresses of the families the socket crate does not know.

use socket2::{SockAddr, SockAddrStorage};

/// An address structure of the kernel.
///
/// # Safety
///
/// The type consists of integers only, without padding, and fits into `sockaddr_storage`.
pub(crate) unsafe trait KernelAddress: Sized {}

// SAFETY: 20 bytes: a family, a protocol, numbers and the bytes of a hardware address.
unsafe impl KernelAddress for libc::sockaddr_ll {}
// SAFETY: 12 bytes: a family, two bytes of padding that are a named field, and two numbers.
unsafe impl KernelAddress for libc::sockaddr_nl {}

/// The address `fill` writes into zeros.
pub(crate) fn sock_addr<A: KernelAddress>(fill: impl FnOnce(&mut A)) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: an A fits into the storage, which is aligned for every kind of address, and as it has
    // integers only, the zeros there are a valid one.
    fill(unsafe { storage.view_as::<A>() });
    // SAFETY: the storage now holds an A, and nothing but zeros behind it.
    unsafe { SockAddr::new(storage, socklen_of::<A>()) }
}

/// The size of a structure, as system calls want it.
#[expect(clippy::cast_possible_truncation, reason = "structures of the kernel are small")]
pub(crate) const fn socklen_of<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

/// An address family, as address structures hold it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers")]
pub(crate) const fn family(family: libc::c_int) -> libc::sa_family_t {
    family as libc::sa_family_t
}
