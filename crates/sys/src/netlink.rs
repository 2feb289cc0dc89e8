//! As much of rtnetlink as listing interfaces and addresses and asking for a route takes: a socket, a request,
//! and a walk over messages and their attributes. Not a general netlink library: notifications are not parsed at
//! all (see `link_watch`), and attributes nobody asked for are stepped over, so that an attribute of a
//! newer kernel cannot make the list fail.
//!
//! ```text
//! message:   length u32 | type u16 | flags u16 | sequence u32 | port u32 | payload, padded to 4
//! payload:   fixed header of the type | attributes
//! attribute: length u16 | type u16 | value, padded to 4
//! ```

use std::{io, mem::MaybeUninit, time::Duration};

use socket2::{Domain, Protocol, Socket, Type};

use crate::sockaddr::{family, sock_addr};

/// Larger than the largest answer the kernel puts into one datagram (32 KiB).
const BUFFER: usize = 64 << 10;

const MESSAGE_HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;

/// `NLM_F_REQUEST`.
const REQUEST: u16 = 0x001;

/// `NLM_F_REQUEST` and `NLM_F_DUMP`.
const DUMP: u16 = 0x301;

/// How often a list that changed while it was being read is read again.
const ATTEMPTS: usize = 10;

/// A socket that receives the notices of `groups` (a bit mask of `RTMGRP_*`), and answers to requests.
pub(crate) fn open(groups: u32) -> io::Result<Socket> {
    // NETLINK_ROUTE is protocol 0.
    let socket = Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(Protocol::from(0)))?;
    socket.bind(&sock_addr::<libc::sockaddr_nl>(|address| {
        address.nl_family = family(libc::AF_NETLINK);
        address.nl_groups = groups;
    }))?;
    Ok(socket)
}

/// Asks for all objects of one kind; gives the payload of each answer of type `answer` to `row`.
///
/// The kernel marks a list that changed while it was read; such a list is started again, after
/// `restart` was told to forget the rows so far.
pub(crate) fn dump<S>(
    socket: &Socket,
    (request, answer): (u16, u16),
    fixed_header: &[u8],
    state: &mut S,
    restart: impl Fn(&mut S),
    row: impl Fn(&mut S, &[u8]),
) -> io::Result<()> {
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    for sequence in 1..=ATTEMPTS {
        restart(state);
        let sequence = u32::try_from(sequence).unwrap_or(u32::MAX);
        socket.send(&message(request, DUMP, sequence, fixed_header))?;
        if read_answers(socket, sequence, |kind, payload| {
            if kind == answer {
                row(state, payload);
            }
        })? {
            return Ok(());
        }
    }
    Err(io::Error::new(io::ErrorKind::Interrupted, "the list kept changing while it was read"))
}

/// Asks for one object; its payload is the answer of type `answer`.
pub(crate) fn ask(
    socket: &Socket,
    (request, answer): (u16, u16),
    payload: &[u8],
) -> io::Result<Vec<u8>> {
    let sequence = 1;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.send(&message(request, REQUEST, sequence, payload))?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let received = io::Read::read(&mut &*socket, &mut buffer)?;
        for message in Messages(&buffer[..received]) {
            match message.kind {
                _ if message.sequence != sequence => {}
                kind if kind == answer => return Ok(message.payload.to_vec()),
                kind if i32::from(kind) == libc::NLMSG_ERROR => {
                    return Err(error_of(message.payload));
                }
                _ => {}
            }
        }
    }
}

fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = MESSAGE_HEADER + payload.len();
    let mut message = Vec::with_capacity(length);
    message.extend(u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend([0; 4]);
    message.extend(payload);
    message
}

/// Reads until the list ends; says whether it is one consistent list.
fn read_answers(
    mut socket: &Socket,
    sequence: u32,
    mut row: impl FnMut(u16, &[u8]),
) -> io::Result<bool> {
    let mut consistent = true;
    let mut buffer = vec![0; BUFFER];
    loop {
        let received = io::Read::read(&mut socket, &mut buffer)?;
        for message in Messages(&buffer[..received]) {
            if message.sequence != sequence {
                continue;
            }
            consistent &= i32::from(message.flags) & libc::NLM_F_DUMP_INTR == 0;
            match i32::from(message.kind) {
                libc::NLMSG_DONE => return Ok(consistent),
                libc::NLMSG_ERROR => return Err(error_of(message.payload)),
                _ => row(message.kind, message.payload),
            }
        }
    }
}

fn error_of(payload: &[u8]) -> io::Error {
    match read_u32(payload, 0) {
        Some(code) => io::Error::from_raw_os_error(code.cast_signed().wrapping_neg()),
        None => io::ErrorKind::InvalidData.into(),
    }
}

/// Takes everything off a notice socket without looking at it; says whether there was anything. Notices
/// that the kernel had to drop count as something.
pub(crate) fn drain(socket: &Socket) -> io::Result<bool> {
    let mut any = false;
    loop {
        match socket.recv_with_flags(&mut [MaybeUninit::uninit(); 1], libc::MSG_DONTWAIT) {
            Ok(_) => any = true,
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => any = true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(any),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

struct Message<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

/// The messages of a datagram, up to the first that is not whole.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let length = read_u32(self.0, 0)? as usize;
        let message = Message {
            kind: read_u16(self.0, 4)?,
            flags: read_u16(self.0, 6)?,
            sequence: read_u32(self.0, 8)?,
            payload: self.0.get(MESSAGE_HEADER..length)?,
        };
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some(message)
    }
}

/// The attributes behind a fixed header, as (type, value), up to the first that is not whole.
pub(crate) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    pub(crate) fn behind(payload: &'a [u8], fixed_header: usize) -> Self {
        Self(payload.get(aligned(fixed_header)..).unwrap_or_default())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let length = usize::from(read_u16(self.0, 0)?);
        // The two highest bits say how the value is made, not what it is.
        let kind = read_u16(self.0, 2)? & 0x3fff;
        let value = self.0.get(ATTRIBUTE_HEADER..length)?;
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    }
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// A number in this machine's byte order.
pub(crate) fn read_u16(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// A number in this machine's byte order.
pub(crate) fn read_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(aligned(bytes.len()), 0);
        bytes
    }

    #[test]
    fn attributes_are_walked_with_their_padding() {
        let payload = [vec![0; 8], mk_attribute(3, b"eth0\0"), mk_attribute(0x8004, &[1])].concat();
        let found: Vec<_> = Attributes::behind(&payload, 8).collect();
        assert_eq!(found, [(3, &b"eth0\0"[..]), (4, &[1][..])]);
    }

    #[test]
    fn broken_lengths_end_the_walk() {
        for length in [0_u16, 1, 3, 9, u16::MAX] {
            let mut bytes = mk_attribute(1, &[1, 2, 3, 4]);
            bytes[..2].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(Attributes::behind(&bytes, 0).count(), 0, "length {length}");
        }
        for length in [0_u32, 15, 21, u32::MAX] {
            let mut bytes = message(18, DUMP, 1, &[0; 4]);
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(Messages(&bytes).count(), 0, "length {length}");
        }
    }

    #[test]
    fn messages_are_walked() {
        let bytes = [message(18, DUMP, 1, &[7; 4]), message(22, DUMP, 2, &[])].concat();
        let found: Vec<_> = Messages(&bytes).map(|m| (m.kind, m.sequence, m.payload)).collect();
        assert_eq!(found, [(18, 1, &[7; 4][..]), (22, 2, &[][..])]);
    }
}
