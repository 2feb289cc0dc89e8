//! Packet sockets on a veth pair: what arrives, what does not, and what the kernel says of it.

use std::{
    os::fd::AsFd,
    thread,
    time::{Duration, Instant},
};

use ferrolb_sys::{
    Error, Filter, Frame, Link, PacketSocket, PacketType, Waker, links, monotonic_now, wait,
};
use rstest::rstest;

use crate::namespace;

const BROADCAST: [u8; 6] = [0xff; 6];
const PATIENCE: Duration = Duration::from_secs(10);

/// Two ends of a wire, `near` being the one that is looked at.
struct Wire {
    near: Link,
    far: Link,
}

impl Wire {
    fn mk() -> Self {
        // Without IPv6 the kernel sends nothing of its own.
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
        namespace::ip("link add near type veth peer name far");
        namespace::ip("link set near up");
        namespace::ip("link set far up");
        Self { near: await_running("near"), far: await_running("far") }
    }

    fn open(link: &Link, filter: Filter) -> PacketSocket {
        PacketSocket::open(link.index, &link.name, filter).unwrap()
    }
}

/// An interface that was set up takes a moment until it sends: meanwhile it drops what it is given.
fn await_running(name: &str) -> Link {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let link = links().unwrap().into_iter().find(|link| link.name == name).unwrap();
        if link.running {
            return link;
        }
        assert!(Instant::now() < deadline, "{link:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn mac(link: &Link) -> [u8; 6] {
    link.mac.unwrap().octets()
}

fn mk_frame(to: [u8; 6], from: &Link, payload: &[u8]) -> Vec<u8> {
    let mut frame = [&to[..], &mac(from), payload].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

fn mk_arp(to: [u8; 6], from: &Link, operation: u8) -> Vec<u8> {
    mk_frame(to, from, &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, operation])
}

fn mk_ipv6(to: [u8; 6], from: &Link, icmp_type: u8) -> Vec<u8> {
    let mut payload = vec![0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255];
    payload.resize(42, 1);
    payload.extend([icmp_type, 0]);
    mk_frame(to, from, &payload)
}

/// The next frame, waited for.
fn recv(socket: &PacketSocket, buf: &mut [u8]) -> Result<Frame, Error> {
    let waker = Waker::new().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(frame) = socket.recv(buf)? {
            return Ok(frame);
        }
        assert!(Instant::now() < deadline, "nothing arrived");
        wait(&[socket.as_fd()], &waker, Some(PATIENCE)).unwrap();
    }
}

/// All the `near` end is given while the `far` end sends these, and an ARP request to mark the end.
fn delivered(wire: &Wire, filter: Filter, frames: &[Vec<u8>]) -> Vec<(Vec<u8>, PacketType)> {
    let (near, far) = (Wire::open(&wire.near, filter), Wire::open(&wire.far, filter));
    let last = match filter {
        Filter::Arp => mk_arp([0x02, 0, 0, 0, 0, 1], &wire.far, 1),
        Filter::NeighborDiscovery => mk_ipv6([0x02, 0, 0, 0, 0, 1], &wire.far, 136),
    };
    frames.iter().chain([&last]).for_each(|frame| far.send(frame).unwrap());
    let mut found = Vec::new();
    let mut buf = [0; 1514];
    loop {
        let frame = recv(&near, &mut buf).unwrap();
        let bytes = buf[..frame.len].to_vec();
        if bytes == last {
            return found;
        }
        found.push((bytes, frame.packet_type));
    }
}

#[test]
fn arp_is_delivered_and_all_else_is_not() {
    namespace::run("packet::arp_is_delivered_and_all_else_is_not", || {
        let wire = Wire::mk();
        let request = mk_arp(BROADCAST, &wire.far, 1);
        let reply = mk_arp(mac(&wire.near), &wire.far, 2);
        let other = mk_arp([0x02, 0, 0, 0, 0, 9], &wire.far, 1);
        let ping =
            mk_frame(mac(&wire.near), &wire.far, &[0x08, 0x00, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1]);
        let solicitation = mk_ipv6(mac(&wire.near), &wire.far, 135);
        let reverse_arp = mk_arp(BROADCAST, &wire.far, 3);

        let sent = [ping, request.clone(), solicitation, reply.clone(), reverse_arp, other.clone()];
        assert_eq!(
            delivered(&wire, Filter::Arp, &sent),
            [
                (request, PacketType::Broadcast),
                (reply, PacketType::Host),
                (other, PacketType::OtherHost),
            ]
        );
    });
}

#[test]
fn neighbor_discovery_is_delivered_and_all_else_is_not() {
    namespace::run("packet::neighbor_discovery_is_delivered_and_all_else_is_not", || {
        let wire = Wire::mk();
        let group = [0x33, 0x33, 0xff, 0, 0, 1];
        let multicast = mk_ipv6(group, &wire.far, 135);
        let unicast = mk_ipv6(mac(&wire.near), &wire.far, 135);
        let advertisement = mk_ipv6([0x33, 0x33, 0, 0, 0, 1], &wire.far, 136);
        let echo = mk_ipv6(mac(&wire.near), &wire.far, 128);
        let arp = mk_arp(BROADCAST, &wire.far, 1);

        let sent = [echo, multicast.clone(), arp, unicast.clone(), advertisement.clone()];
        assert_eq!(
            delivered(&wire, Filter::NeighborDiscovery, &sent),
            [
                (multicast, PacketType::Multicast),
                (unicast, PacketType::Host),
                (advertisement, PacketType::Multicast),
            ]
        );
    });
}

#[test]
fn own_frames_are_not_delivered() {
    namespace::run("packet::own_frames_are_not_delivered", || {
        let wire = Wire::mk();
        let (near, far) = (Wire::open(&wire.near, Filter::Arp), Wire::open(&wire.far, Filter::Arp));
        let mut buf = [0; 1514];

        // By this socket, and by another of the same host.
        near.send(&mk_arp(BROADCAST, &wire.near, 1)).unwrap();
        Wire::open(&wire.near, Filter::Arp).send(&mk_arp(BROADCAST, &wire.near, 2)).unwrap();
        for _ in 0..2 {
            recv(&far, &mut buf).unwrap();
        }
        assert_eq!(near.recv(&mut buf).unwrap(), None);
    });
}

/// This kernel has no VLAN interfaces, so every tag is one that nobody here asked for.
#[rstest]
#[case::vlan_7(7, PacketType::OtherHost)]
#[case::priority_only(0, PacketType::Broadcast)]
fn tagged_frames_can_be_told(#[case] vlan: u8, #[case] expected: PacketType) {
    let case = if vlan == 0 { "2_priority_only" } else { "1_vlan_7" };
    namespace::run(&format!("packet::tagged_frames_can_be_told::case_{case}"), || {
        let wire = Wire::mk();
        let plain = mk_arp(BROADCAST, &wire.far, 1);
        let tagged = [&plain[..12], &[0x81, 0x00, 0x60, vlan], &plain[12..]].concat();
        let found = delivered(&wire, Filter::Arp, &[tagged]);
        assert_eq!(found, [(plain, expected)], "the tag is gone, the type tells");
    });
}

#[test]
fn a_reader_is_stopped_while_it_waits() {
    namespace::run("packet::a_reader_is_stopped_while_it_waits", || {
        let wire = Wire::mk();
        let (near, waker) = (Wire::open(&wire.near, Filter::Arp), Waker::new().unwrap());
        let reader = thread::spawn({
            let waker = waker.clone();
            move || {
                while !wait(&[near.as_fd()], &waker, None).unwrap().woken() {}
                monotonic_now()
            }
        });
        thread::sleep(Duration::from_millis(20));
        let woken = monotonic_now();
        waker.wake();
        let stopped = reader.join().unwrap();
        assert!(stopped.saturating_sub(woken) < PATIENCE);
    });
}

#[test]
fn an_interface_that_goes_down_says_so_and_comes_back() {
    namespace::run("packet::an_interface_that_goes_down_says_so_and_comes_back", || {
        let wire = Wire::mk();
        let (near, far) = (Wire::open(&wire.near, Filter::Arp), Wire::open(&wire.far, Filter::Arp));
        let mut buf = [0; 1514];
        let request = mk_arp(BROADCAST, &wire.far, 1);

        namespace::ip("link set near down");
        let error = recv(&near, &mut buf).unwrap_err();
        assert!(error.is_interface_down(), "{error}");
        assert!(error.to_string().starts_with("receive on near: "), "{error}");
        assert!(near.send(&request).unwrap_err().is_interface_down());
        let late = Wire::open(&wire.near, Filter::Arp);
        assert!(late.recv(&mut buf).unwrap_err().is_interface_down(), "opened while down");

        namespace::ip("link set near up");
        await_running("near");
        await_running("far");
        far.send(&request).unwrap();
        for socket in [&near, &late] {
            let len = recv(socket, &mut buf).unwrap().len;
            assert_eq!(buf[..len], request);
        }

        namespace::ip("link delete near");
        assert!(recv(&near, &mut buf).unwrap_err().is_interface_down());
        assert!(near.send(&request).unwrap_err().is_interface_gone());
        let error = PacketSocket::open(wire.near.index, "near", Filter::Arp).unwrap_err();
        assert!(
            error.is_interface_gone()
                && error.to_string().starts_with("bind packet socket on near: ")
        );
    });
}
