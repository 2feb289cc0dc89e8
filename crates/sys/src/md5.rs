//! TCP MD5 signatures (RFC 2385): a password both ends of a connection know, checked by the kernel on every
//! segment from the first on.

use std::{fmt, io, mem, net::IpAddr, os::fd::AsRawFd};

use zeroize::Zeroizing;

use crate::{
    Error,
    sockopt::{self, OptionValue},
};

/// The kernel's limit.
const MAX_LEN: usize = 80;

/// `TCP_MD5SIG_FLAG_PREFIX`: the address stands for all of its prefix.
const FLAG_PREFIX: u8 = 1;

/// A password of 1 to 80 bytes. Never shown, and wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Md5Key(Zeroizing<Vec<u8>>);

/// A password that is empty or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a TCP MD5 password has 1 to 80 bytes, not {0}")]
pub struct Md5KeyLength(pub usize);

impl Md5Key {
    /// The password's bytes, as they are.
    pub fn new(password: &[u8]) -> Result<Self, Md5KeyLength> {
        match password.len() {
            1..=MAX_LEN => Ok(Self(Zeroizing::new(password.to_vec()))),
            length => Err(Md5KeyLength(length)),
        }
    }

    /// From now on `socket` signs what it sends to `peer`, and drops what comes from there unsigned or with
    /// another password. On a listening socket, `prefix_len` below an address' full length is for every peer
    /// of that prefix.
    pub fn require(
        &self,
        socket: &impl AsRawFd,
        peer: IpAddr,
        prefix_len: u8,
    ) -> Result<(), Error> {
        self.set(socket, peer, prefix_len).map_err(Error::of("set TCP MD5 password for", peer))
    }

    fn set(&self, socket: &impl AsRawFd, peer: IpAddr, prefix_len: u8) -> io::Result<()> {
        let mut key = Zeroizing::new([0; MAX_LEN]);
        key.iter_mut().zip(self.0.iter()).for_each(|(place, byte)| *place = *byte);
        let whole = if peer.is_ipv4() { 32 } else { 128 };
        // The plain option is older and works everywhere.
        let (name, flags) = if prefix_len < whole {
            (libc::TCP_MD5SIG_EXT, FLAG_PREFIX)
        } else {
            (libc::TCP_MD5SIG, 0)
        };
        let signature = Zeroizing::new(TcpMd5Sig {
            address: address_bytes(peer),
            flags,
            prefix_len,
            // At most 80.
            key_len: u16::try_from(self.0.len()).unwrap_or(0),
            interface: 0,
            key: *key,
        });
        sockopt::set(socket, libc::IPPROTO_TCP, name, &*signature)
    }
}

impl fmt::Debug for Md5Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Md5Key(…)")
    }
}

/// `struct tcp_md5sig`.
#[repr(C, align(8))]
struct TcpMd5Sig {
    address: [u8; ADDRESS_LEN],
    flags: u8,
    prefix_len: u8,
    key_len: u16,
    interface: u32,
    key: [u8; MAX_LEN],
}

const ADDRESS_LEN: usize = size_of::<libc::sockaddr_storage>();

const _: () = assert!(size_of::<TcpMd5Sig>() == 216);

// SAFETY: 128 + 1 + 1 + 2 + 4 + 80 bytes are all 216 of it, and integers.
unsafe impl OptionValue for TcpMd5Sig {}

impl zeroize::Zeroize for TcpMd5Sig {
    fn zeroize(&mut self) {
        self.key.zeroize();
    }
}

/// The socket address of `peer` with port 0, as `sockaddr_in` and `sockaddr_in6` lie in memory.
fn address_bytes(peer: IpAddr) -> [u8; ADDRESS_LEN] {
    let (family, at, octets) = match peer {
        IpAddr::V4(ip) => {
            (libc::AF_INET, mem::offset_of!(libc::sockaddr_in, sin_addr), ip.octets().to_vec())
        }
        IpAddr::V6(ip) => {
            (libc::AF_INET6, mem::offset_of!(libc::sockaddr_in6, sin6_addr), ip.octets().to_vec())
        }
    };
    let mut bytes = [0; ADDRESS_LEN];
    bytes[..2].copy_from_slice(&crate::sockaddr::family(family).to_ne_bytes());
    bytes[at..at + octets.len()].copy_from_slice(&octets);
    bytes
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::empty(0, Some(Md5KeyLength(0)))]
    #[case::shortest(1, None)]
    #[case::longest(80, None)]
    #[case::too_long(81, Some(Md5KeyLength(81)))]
    fn length(#[case] len: usize, #[case] refusal: Option<Md5KeyLength>) {
        assert_eq!(Md5Key::new(&vec![b'x'; len]).err(), refusal);
    }

    #[test]
    fn the_password_is_not_shown() {
        let key = Md5Key::new(b"secret").unwrap();
        assert_eq!(format!("{key:?}"), "Md5Key(…)");
    }
}
