//! Which frames a packet socket takes: classic BPF programs that the kernel runs for every frame, so
//! that what does not concern us is neither copied nor queued.
//!
//! The programs pick out what may be a question or a claim. They do not validate: lengths, options and
//! checksums are the business of the protocol room.

use socket2::SockFilter;

/// The frames one packet socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// ARP requests and replies for IPv4 over Ethernet. Replies too: they are how another host's claim
    /// to an address is seen.
    Arp,
    /// Neighbour solicitations and advertisements that come from this link: hop limit 255 and code 0
    /// (RFC 4861 7.1.1, 7.1.2), directly behind the IPv6 header.
    NeighborDiscovery,
}

impl Filter {
    /// The `EtherType` of the frames, in the order of this machine.
    pub(crate) fn ether_type(self) -> u16 {
        match self {
            Self::Arp => ETHER_TYPE_ARP,
            Self::NeighborDiscovery => ETHER_TYPE_IPV6,
        }
    }

    pub(crate) fn program(self) -> Vec<SockFilter> {
        match self {
            Self::Arp => all_of(&[
                Check::half(12, &[ETHER_TYPE_ARP]),
                Check::half(14, &[1]),      // hardware type: Ethernet
                Check::half(16, &[0x0800]), // protocol type: IPv4
                Check::half(18, &[0x0604]), // address lengths: 6, 4
                Check::half(20, &[1, 2]),   // operation: request, reply
            ]),
            Self::NeighborDiscovery => all_of(&[
                Check::half(12, &[ETHER_TYPE_IPV6]),
                Check::byte(20, &[58]),       // next header: ICMPv6
                Check::byte(21, &[255]),      // hop limit
                Check::byte(54, &[135, 136]), // type: solicitation, advertisement
                Check::byte(55, &[0]),        // code
            ]),
        }
    }
}

const ETHER_TYPE_ARP: u16 = 0x0806;
const ETHER_TYPE_IPV6: u16 = 0x86dd;

/// A field of the frame and the values it may have.
struct Check<'a> {
    size: u32,
    offset: u32,
    values: &'a [u16],
}

impl<'a> Check<'a> {
    fn half(offset: u32, values: &'a [u16]) -> Self {
        Self { size: libc::BPF_H, offset, values }
    }

    fn byte(offset: u32, values: &'a [u16]) -> Self {
        Self { size: libc::BPF_B, offset, values }
    }
}

/// A program that takes a frame when every check holds. A frame too short for a check is refused by
/// the kernel itself.
fn all_of(checks: &[Check<'_>]) -> Vec<SockFilter> {
    let mut program = Vec::new();
    for check in checks {
        program.push(instruction(libc::BPF_LD | check.size | libc::BPF_ABS, 0, check.offset));
        // A match jumps over the remaining comparisons and the refusal behind them.
        for (value, behind) in check.values.iter().zip((1..=check.values.len()).rev()) {
            let compare = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
            program.push(instruction(compare, u8::try_from(behind).unwrap_or(0), (*value).into()));
        }
        program.push(instruction(libc::BPF_RET | libc::BPF_K, 0, 0));
    }
    program.push(instruction(libc::BPF_RET | libc::BPF_K, 0, u32::MAX));
    program
}

fn instruction(code: u32, jump_if_true: u8, value: u32) -> SockFilter {
    // Every code of classic BPF fits: the largest is 0xff.
    let code = u16::try_from(code).unwrap_or(u16::MAX);
    SockFilter::new(code, jump_if_true, 0, value)
}

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, os::unix::net::UnixDatagram};

    use rstest::rstest;
    use socket2::SockRef;

    use super::*;

    fn mk_arp(operation: u8) -> Vec<u8> {
        let mut frame = vec![0xff; 12];
        frame.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, operation]);
        frame.resize(60, 0);
        frame
    }

    fn mk_nd(icmp_type: u8) -> Vec<u8> {
        let mut frame = vec![0x33; 12];
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
        frame.resize(54, 0);
        frame.extend([icmp_type, 0]);
        frame.resize(86, 0);
        frame
    }

    fn with(mut frame: Vec<u8>, offset: usize, value: u8) -> Vec<u8> {
        frame[offset] = value;
        frame
    }

    fn cut(mut frame: Vec<u8>, len: usize) -> Vec<u8> {
        frame.truncate(len);
        frame
    }

    /// The kernel runs the same programs on UNIX datagrams, and needs no rights for that.
    fn takes(filter: Filter, frame: &[u8]) -> bool {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        SockRef::from(&receiver).attach_filter(&filter.program()).unwrap();
        receiver.set_nonblocking(true).unwrap();
        sender.send(frame).unwrap();
        let mut buf = [0; 2048];
        match receiver.recv(&mut buf) {
            Ok(len) => {
                assert_eq!(&buf[..len], frame, "frame was cut");
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("{error}"),
        }
    }

    #[rstest]
    #[case::request(mk_arp(1), true)]
    #[case::reply(mk_arp(2), true)]
    #[case::unpadded(cut(mk_arp(1), 42), true)]
    #[case::reverse_arp(mk_arp(3), false)]
    #[case::operation_258(with(mk_arp(2), 20, 1), false)]
    #[case::other_hardware(with(mk_arp(1), 15, 6), false)]
    #[case::other_protocol(with(mk_arp(1), 17, 1), false)]
    #[case::long_hardware_address(with(mk_arp(1), 18, 8), false)]
    #[case::ipv4(with(mk_arp(1), 13, 0), false)]
    #[case::cut_before_operation(cut(mk_arp(1), 21), false)]
    #[case::empty_payload(cut(mk_arp(1), 14), false)]
    #[case::neighbor_solicitation(mk_nd(135), false)]
    fn arp(#[case] frame: Vec<u8>, #[case] taken: bool) {
        assert_eq!(takes(Filter::Arp, &frame), taken);
    }

    #[rstest]
    #[case::solicitation(mk_nd(135), true)]
    #[case::advertisement(mk_nd(136), true)]
    #[case::router_advertisement(mk_nd(134), false)]
    #[case::redirect(mk_nd(137), false)]
    #[case::echo_request(mk_nd(128), false)]
    #[case::from_another_link(with(mk_nd(135), 21, 254), false)]
    #[case::code_1(with(mk_nd(135), 55, 1), false)]
    #[case::udp(with(mk_nd(135), 20, 17), false)]
    #[case::cut_before_code(cut(mk_nd(135), 55), false)]
    #[case::arp(mk_arp(1), false)]
    fn neighbor_discovery(#[case] frame: Vec<u8>, #[case] taken: bool) {
        assert_eq!(takes(Filter::NeighborDiscovery, &frame), taken);
    }
}
