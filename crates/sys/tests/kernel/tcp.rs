//! What is set on a connection before its first segment does what it says, in the running kernel.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    os::fd::AsFd,
    time::Duration,
};

use ferrolb_sys::{
    Error, Filter, Md5Key, PacketSocket, TcpOptions, Waker, connect_tcp, links, wait,
};
use tokio::{net::TcpStream, time::timeout};

use crate::namespace;

const PATIENCE: Duration = Duration::from_secs(10);

/// The kernel tries again after a second.
const SILENCE: Duration = Duration::from_millis(1500);

pub(crate) fn mk_key(password: &str) -> Md5Key {
    Md5Key::new(password.as_bytes()).unwrap()
}

fn mk_listener(address: IpAddr) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(SocketAddr::new(address, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

/// `None` when nobody answered.
pub(crate) fn connect(
    peer: SocketAddr,
    options: &TcpOptions,
    limit: Duration,
) -> Option<Result<TcpStream, Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(limit, connect_tcp(peer, options)).await.ok() })
}

fn connects(peer: SocketAddr, options: &TcpOptions) -> bool {
    connect(peer, options, PATIENCE).is_some_and(|connected| connected.is_ok())
}

fn is_unanswered(peer: SocketAddr, options: &TcpOptions) -> bool {
    connect(peer, options, SILENCE).is_none()
}

#[test]
fn passwords() {
    namespace::run("tcp::passwords", || {
        namespace::ip("link set lo up");
        for address in ["127.0.0.1", "::1"] {
            let address: IpAddr = address.parse().unwrap();
            let (listener, at) = mk_listener(address);
            let whole = if address.is_ipv4() { 32 } else { 128 };
            mk_key("right").require(&listener, address, whole).unwrap();

            let mk = |password: &str| TcpOptions {
                password: Some(mk_key(password)),
                ..TcpOptions::default()
            };
            assert!(connects(at, &mk("right")), "{address}");
            assert!(is_unanswered(at, &mk("wrong")), "{address}");
            assert!(is_unanswered(at, &TcpOptions::default()), "{address} without password");
        }
    });
}

#[test]
fn a_password_for_a_prefix() {
    namespace::run("tcp::a_password_for_a_prefix", || {
        namespace::ip("link set lo up");
        let (listener, at) = mk_listener("127.0.0.1".parse().unwrap());
        mk_key("right").require(&listener, "127.0.1.0".parse().unwrap(), 24).unwrap();
        let mk = |local: &str, password: Option<&str>| TcpOptions {
            local: Some(local.parse().unwrap()),
            password: password.map(mk_key),
            ..TcpOptions::default()
        };
        assert!(connects(at, &mk("127.0.1.9", Some("right"))));
        assert!(is_unanswered(at, &mk("127.0.1.9", None)));
        assert!(connects(at, &mk("127.0.2.9", None)));
    });
}

#[test]
fn a_low_ttl_is_not_heard() {
    namespace::run("tcp::a_low_ttl_is_not_heard", || {
        namespace::ip("link set lo up");
        let options = TcpOptions { min_ttl: Some(255), ..TcpOptions::default() };
        for address in ["127.0.0.1", "::1"] {
            let (_listener, at) = mk_listener(address.parse().unwrap());
            assert!(is_unanswered(at, &options), "{address}: 64 is below 255");
        }
        // What an accepted connection sends has the listener's TTL.
        let (listener, at) = mk_listener("127.0.0.1".parse().unwrap());
        listener.set_ttl(255).unwrap();
        assert!(connects(at, &options));
        listener.set_ttl(254).unwrap();
        assert!(is_unanswered(at, &options));
    });
}

#[test]
fn own_address_and_ttl() {
    namespace::run("tcp::own_address_and_ttl", || {
        namespace::ip("link set lo up");
        let (_listener, at) = mk_listener("127.0.0.1".parse().unwrap());
        let local = "127.0.0.9".parse().unwrap();
        let options = TcpOptions {
            local: Some(local),
            ttl: Some(7),
            user_timeout: Some(PATIENCE),
            ..TcpOptions::default()
        };
        let stream = connect(at, &options, PATIENCE).unwrap().unwrap();
        assert_eq!(stream.local_addr().unwrap().ip(), local);
        assert_eq!(stream.ttl().unwrap(), 7);
        assert!(stream.nodelay().unwrap());

        let options =
            TcpOptions { local: Some("192.0.2.9".parse().unwrap()), ..TcpOptions::default() };
        let error = connect(at, &options, PATIENCE).unwrap().unwrap_err();
        assert_eq!(error.cause().kind(), io::ErrorKind::AddrNotAvailable);
        assert!(error.to_string().starts_with("bind TCP socket to address 192.0.2.9: "), "{error}");
    });
}

#[test]
fn bound_to_an_interface() {
    namespace::run("tcp::bound_to_an_interface", || {
        namespace::ip("link set lo up");
        namespace::ip("link add near type veth peer name far");
        namespace::ip("address add 192.0.2.7/24 dev near");
        namespace::ip("link set near up");
        namespace::ip("link set far up");
        let links = links().unwrap();
        let index = |name: &str| links.iter().find(|link| link.name == name).unwrap().index;

        // No route leads there; only the interface does, which then asks for the neighbour.
        let peer = "198.51.100.1:179".parse().unwrap();
        let error = connect(peer, &TcpOptions::default(), PATIENCE).unwrap().unwrap_err();
        assert_eq!(error.cause().kind(), io::ErrorKind::NetworkUnreachable);

        let seen = PacketSocket::open(index("far"), "far", Filter::Arp).unwrap();
        let options = TcpOptions { interface: Some(index("near")), ..TcpOptions::default() };
        connect(peer, &options, Duration::from_millis(500));
        let waker = Waker::new().unwrap();
        assert!(wait(&[seen.as_fd()], &waker, Some(PATIENCE)).unwrap().readable(0));
        let mut frame = [0; 64];
        seen.recv(&mut frame).unwrap().unwrap();
        assert_eq!(&frame[38..42], [198, 51, 100, 1], "the address asked for");

        let absent = TcpOptions { interface: Some(999_999), ..TcpOptions::default() };
        let error = connect(peer, &absent, PATIENCE).unwrap().unwrap_err();
        assert!(error.is_interface_gone(), "{error}");
    });
}
