//! Everything works with exactly what the speaker's manifest grants: uid 0, all capabilities dropped but
//! `NET_RAW`, and no way to gain any.

use std::{
    collections::BTreeSet,
    fs, io,
    net::{SocketAddr, TcpListener},
    os::fd::AsFd,
    path::Path,
    time::Duration,
};

use ferrolb_sys::{
    Filter, GroupMembership, HopUdp, HopUdpSender, Link, LinkWatch, PacketSocket, ProcessUsage,
    TcpOptions, TimestampedUdp, Waker, become_punctual, become_realtime, route_to, wait,
};

use crate::{namespace, tcp};

const RESTRICTED: [&str; 4] =
    ["setpriv", "--bounding-set=-all,+net_raw", "--inh-caps=-all,+net_raw", "--no-new-privs"];

const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

#[test]
fn net_raw_is_enough() {
    namespace::run_under("privileges::net_raw_is_enough", &RESTRICTED, mk_wire, || {
        assert_eq!(own_status("CapEff:"), "0000000000002000", "only NET_RAW, bit 13");
        assert_eq!(own_status("CapBnd:"), "0000000000002000");
        assert_eq!(own_status("NoNewPrivs:"), "1");

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let links = runtime.block_on(async {
            let mut watch = LinkWatch::new().unwrap();
            loop {
                let links = watch.next().await.unwrap();
                if links.iter().all(|link| link.running || link.loopback) {
                    return links;
                }
            }
        });
        let find = |name: &str| links.iter().find(|link| link.name == name).unwrap();
        let (near, far) = (find("near"), find("far"));

        let open =
            |link: &Link, filter| PacketSocket::open(link.index, &link.name, filter).unwrap();
        open(near, Filter::NeighborDiscovery);
        let (receiver, sender) = (open(near, Filter::Arp), open(far, Filter::Arp));
        let mut request = vec![0xff; 6];
        request.extend(far.mac.unwrap().octets());
        request.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
        request.resize(60, 0);
        let waker = Waker::new().unwrap();
        sender.send(&request).unwrap();
        assert!(wait(&[receiver.as_fd()], &waker, PATIENCE).unwrap().readable(0));
        assert!(receiver.recv(&mut [0; 1514]).unwrap().is_some());

        let group = ("ff02::1:ff00:7".parse().unwrap(), near.index);
        assert!(GroupMembership::new().reconcile(&BTreeSet::from([group])).is_empty());

        let socket = TimestampedUdp::bind("192.0.2.7:0".parse().unwrap()).unwrap();
        socket.send_to(b"x", socket.local_addr()).unwrap();
        assert!(wait(&[socket.as_fd()], &waker, PATIENCE).unwrap().readable(0));
        assert!(socket.recv(&mut [0; 64]).unwrap().is_some());

        assert!(ProcessUsage::read().unwrap().resident_memory > 0);

        routers(near);
    });
}

/// What BGP and BFD want, bound to the interface that has the address.
fn routers(near: &Link) {
    let own = "192.0.2.7".parse().unwrap();
    assert!(route_to(own, None).unwrap().unwrap().local);

    let listener = TcpListener::bind("192.0.2.7:0").unwrap();
    listener.set_ttl(255).unwrap();
    tcp::mk_key("right").require(&listener, own, 32).unwrap();
    let options = TcpOptions {
        local: Some(own),
        interface: Some(near.index),
        password: Some(tcp::mk_key("right")),
        ttl: Some(255),
        min_ttl: Some(255),
        user_timeout: Some(Duration::from_secs(10)),
    };
    let patience = PATIENCE.unwrap();
    let at = listener.local_addr().unwrap();
    tcp::connect(at, &options, patience).unwrap().unwrap();
    // What dials the standard port is fine; listening there would take NET_BIND_SERVICE.
    let error = TcpListener::bind("192.0.2.7:179").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);

    for port in [3784, 4784] {
        let unspecified = ["0.0.0.0", "::"].map(|ip| SocketAddr::new(ip.parse().unwrap(), port));
        let [receiver, _] = unspecified.map(|address| HopUdp::bind(address).unwrap());
        let peer = SocketAddr::new(own, port);
        let sender = HopUdpSender::open(peer, Some(own), Some(near.index), 0).unwrap();
        sender.send(b"x").unwrap();
        let waker = Waker::new().unwrap();
        assert!(wait(&[receiver.as_fd()], &waker, PATIENCE).unwrap().readable(0));
        let datagram = receiver.recv(&mut [0; 64]).unwrap().unwrap();
        assert_eq!((datagram.from, datagram.to, datagram.ttl), (own, own, 255));
    }

    // Not granted, and told so.
    let error = become_realtime().unwrap_err();
    assert!(error.is_permission_denied(), "{error}");
    // This much is everybody's.
    become_punctual().unwrap();
    let own = fs::read_link("/proc/thread-self").unwrap();
    let slack = Path::new("/proc").join(own.file_name().unwrap()).join("timerslack_ns");
    assert_eq!(fs::read_to_string(slack).unwrap().trim(), "1");
}

#[test]
fn without_net_raw_the_refusal_is_told() {
    let nothing = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"];
    namespace::run_under(
        "privileges::without_net_raw_the_refusal_is_told",
        &nothing,
        || {},
        || {
            let error = PacketSocket::open(1, "lo", Filter::Arp).unwrap_err();
            assert!(error.is_permission_denied());
            assert!(error.to_string().starts_with("open packet socket on lo: "), "{error}");
        },
    );
}

fn mk_wire() {
    namespace::ip("link set lo up");
    namespace::ip("link add near type veth peer name far");
    namespace::ip("address add 192.0.2.7/24 dev near");
    namespace::ip("link set near up");
    namespace::ip("link set far up");
}

/// A line of `/proc/self/status`.
fn own_status(name: &str) -> String {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().to_owned()
}
