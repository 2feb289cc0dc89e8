//! Members on loopback, with each other and with the real library.

#[path = "../../../swim-proto/tests/interop/peer.rs"]
mod peer;

use std::io::Read;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_kube_rt::metrics::Registry;
use rstest::rstest;

use self::peer::{Peer, within};
use super::*;

const SECRET: &str = "0123456789abcdefghijkl";
const PORT: u16 = 17_946;

/// How long anything may take that normally takes far less.
const PATIENCE: f64 = 20.0;

struct Node {
    members: Members,
    view: watch::Receiver<View>,
    address: SocketAddr,
}

impl Node {
    /// Probes and gossips at a fifth of the default intervals.
    fn start(name: &str, ip: &str, secret: Option<&str>) -> Self {
        Self::start_with(name, ip, secret.map(mk_secret))
    }

    fn start_with(name: &str, ip: &str, secret: Option<Secret>) -> Self {
        let address = mk_address(ip);
        let members = mk_start(name, address, secret, |tuning| {
            tuning.timing.probe_interval /= 5;
            tuning.timing.probe_timeout /= 5;
            tuning.timing.gossip_interval /= 5;
        });
        let members = members.unwrap();
        let view = members.view();
        Self { members, view, address }
    }

    /// Learns of Pods, its own among them.
    fn list(&self, own: &str, others: &[(&str, SocketAddr)]) {
        let others = others.iter().map(|(name, address)| (Arc::from(*name), *address));
        self.members.set_pods([(own.into(), self.address)].into_iter().chain(others).collect());
    }

    fn names(&self) -> Option<String> {
        names(&self.view)
    }

    fn wait(&self, wanted: &str) {
        expect(wanted, || self.names(), |names| names.as_deref() == Some(wanted));
    }
}

fn mk_start(
    name: &str,
    address: SocketAddr,
    secret: Option<Secret>,
    change: impl FnOnce(&mut Tuning),
) -> Result<Members, MembersError> {
    let mut tuning = Tuning::load(false, "/nonexistent".as_ref()).unwrap();
    change(&mut tuning);
    let setup = Setup {
        node: name.into(),
        address,
        secret,
        tuning,
        timing: Timing::DEFAULT,
        seeds: [crate::run::random(), crate::run::random()],
        metrics: FailoverMetrics::register(&mut Registry::default()),
    };
    Members::start(setup, Shared::default())
}

fn mk_secret(content: &str) -> Secret {
    Secret::derive(content.as_bytes()).unwrap()
}

fn names(view: &watch::Receiver<View>) -> Option<String> {
    let candidates = view.borrow().candidates.clone()?;
    Some(candidates.iter().map(NodeName::as_str).collect::<Vec<_>>().join(" "))
}

fn mk_address(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), PORT)
}

fn expect<T: std::fmt::Debug>(what: &str, look: impl Fn() -> T, wanted: impl Fn(&T) -> bool) {
    assert!(within(PATIENCE, || wanted(&look())), "no {what}: {:?}", look());
}

/// One of upstream's.
fn mk_peer(name: &str, ip: &str, secret: Option<&str>, flags: &[&str]) -> Option<Peer> {
    let (port, secret) = (PORT.to_string(), secret.unwrap_or_default());
    let own = ["-quick", "-port", &port, "-secret", secret];
    Peer::start(name, ip, &[&own[..], flags].concat())
}

/// Two that know each other.
fn mk_pair(net: u8, secret: Option<&str>) -> (Node, Node) {
    let a = Node::start("a", &format!("127.1.{net}.1"), secret);
    let b = Node::start("b", &format!("127.1.{net}.2"), secret);
    a.list("a", &[("b", b.address)]);
    b.list("b", &[("a", a.address)]);
    a.wait("a b");
    b.wait("a b");
    (a, b)
}

#[rstest]
#[case::by_heartbeat(1, Some(SECRET))]
#[case::by_membership(2, None)]
fn whoever_leaves_is_no_candidate_at_once(#[case] net: u8, #[case] secret: Option<&str>) {
    let (a, b) = mk_pair(net, secret);
    assert!(!a.view.borrow().mixed);
    b.members.drain();
    expect("release", || b.view.borrow().released, |released| *released);
    assert_eq!(b.members.hands_over(), secret.is_some());
    b.members.leave();
    expect("departure", || b.view.borrow().departed, |departed| *departed);
    a.wait("a");
}

#[test]
fn a_node_that_nobody_listed_here_is_found_through_others_and_its_death_too() {
    let (a, b) = mk_pair(3, Some(SECRET));
    let c = Node::start("c", "127.1.3.3", Some(SECRET));
    c.list("c", &[("b", b.address)]);
    for node in [&a, &b, &c] {
        node.wait("a b c");
    }
    let killed = Instant::now();
    drop(c);
    a.wait("a b");
    b.wait("a b");
    // Membership alone would take more than a second even at these intervals.
    assert!(killed.elapsed() < Duration::from_secs(10));
}

#[rstest]
#[case::by_heartbeat(4, Some(SECRET))]
#[case::by_membership(5, None)]
fn a_dead_node_comes_back(#[case] net: u8, #[case] secret: Option<&str>) {
    let (a, b) = mk_pair(net, secret);
    let address = b.address;
    drop(b);
    a.wait("a");
    // Another second, hence another incarnation.
    thread::sleep(Duration::from_secs(1));
    let b = Node::start("b", &address.ip().to_string(), secret);
    b.list("b", &[("a", a.address)]);
    a.wait("a b");
    b.wait("a b");
}

#[rstest]
#[case::two_secrets(6, Some("another"))]
#[case::one_without(7, None)]
fn with_different_secrets_each_counts_on_itself_alone(
    #[case] net: u8,
    #[case] other: Option<&str>,
) {
    let a = Node::start("a", &format!("127.1.{net}.1"), Some(SECRET));
    let b = Node::start("b", &format!("127.1.{net}.2"), other);
    a.list("a", &[("b", b.address)]);
    b.list("b", &[("a", a.address)]);
    a.wait("a");
    b.wait("b");
    thread::sleep(Duration::from_secs(2));
    assert_eq!((a.names().as_deref(), b.names().as_deref()), (Some("a"), Some("b")));
}

/// The steps that docs/install.md names, at each node at another time.
#[test]
fn a_secret_changes_while_all_see_each_other() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let write = |node: usize, current: &str, next: &str| {
        std::fs::write(folders[node].path().join("secretkey-next"), next).unwrap();
        std::fs::write(folders[node].path().join("secretkey"), current).unwrap();
    };
    let start = |node: usize, name: &str| {
        write(node, "old", "");
        let mut secret = load(Some(folders[node].path())).unwrap();
        secret.follow.as_mut().unwrap().every = Duration::from_millis(20);
        Node::start_with(name, &format!("127.1.19.{}", node + 1), Some(secret))
    };
    let (a, b) = (start(0, "a"), start(1, "b"));
    a.list("a", &[("b", b.address)]);
    b.list("b", &[("a", a.address)]);
    a.wait("a b");
    b.wait("a b");
    for (current, next) in [("old", "new"), ("new", "old"), ("new", "")] {
        for node in [0, 1] {
            write(node, current, next);
            // Longer than a silence that nobody notices; whoever hears nobody then stays alone.
            thread::sleep(Duration::from_millis(1500));
            a.wait("a b");
            b.wait("a b");
        }
    }
    let late = Node::start("c", "127.1.19.3", Some("new"));
    late.list("c", &[("a", a.address)]);
    for node in [&a, &b, &late] {
        node.wait("a b c");
    }
}

#[test]
fn with_tcp_blocked_heartbeats_go_to_listed_pods() {
    let a = Node::start("a", "127.1.8.1", Some(SECRET));
    // Nobody listens for streams here.
    let address = mk_address("127.1.8.2");
    let board = Board::new(true);
    let view = board.view();
    let (others, _queue) = mpsc::channel(1);
    let heartbeat = Heartbeat::start(heartbeat::Parts {
        config: ferrolb_heartbeat::Config {
            name: "b".into(),
            key: mk_secret(SECRET).key,
            timing: Timing::DEFAULT,
        },
        socket: TimestampedUdp::bind(address).unwrap(),
        seed: 1,
        board,
        others,
        shared: Shared::default(),
        metrics: FailoverMetrics::register(&mut Registry::default()),
    })
    .unwrap();
    heartbeat.line().set_peers([("a".into(), a.address)].into());
    a.list("a", &[("b", address)]);
    a.wait("a b");
    expect("both", || names(&view), |names| names.as_deref() == Some("a b"));
    drop(heartbeat);
    a.wait("a");
}

#[test]
fn idle_streams_of_one_host_keep_nobody_out() {
    let a = Node::start("a", "127.1.9.1", Some(SECRET));
    let mut idle: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(a.address).unwrap()).collect();
    let last = idle.last_mut().unwrap();
    last.set_read_timeout(Some(Duration::from_secs_f64(PATIENCE))).unwrap();
    assert_eq!(last.read(&mut [0]).unwrap(), 0, "one too many is closed");
    let b = Node::start("b", "127.1.9.2", Some(SECRET));
    b.list("b", &[("a", a.address)]);
    a.list("a", &[]);
    a.wait("a b");
    b.wait("a b");
}

#[rstest]
#[case::sealed(10, Some(SECRET))]
#[case::in_the_clear(11, None)]
fn upstreams_speaker_counts_while_membership_says_so(
    #[case] net: u8,
    #[case] secret: Option<&str>,
) {
    let ip = format!("127.1.{net}.2");
    let Some(mut theirs) = mk_peer("u", &ip, secret, &[]) else { return };
    let a = Node::start("a", &format!("127.1.{net}.1"), secret);
    a.list("a", &[("u", theirs.address)]);
    a.wait("a u");
    assert!(a.view.borrow().mixed);
    assert!(!a.members.hands_over());
    assert_eq!(theirs.names(), ["a", "u"]);
    // One of ours joins through theirs.
    let b = Node::start("b", &format!("127.1.{net}.3"), secret);
    b.list("b", &[("u", theirs.address)]);
    for node in [&a, &b] {
        node.wait("a b u");
    }
    b.members.drain();
    b.members.leave();
    theirs.wait("leave b", PATIENCE);
    expect("departure", || b.view.borrow().departed, |departed| *departed);
    a.wait("a u");
    let misread = theirs.said("ecrypt").or_else(|| theirs.said("not supported"));
    assert_eq!(misread, None, "it was sent heartbeats");
    drop(theirs);
    a.wait("a");
    expect("end of the mixture", || a.view.borrow().mixed, |mixed| !mixed);
}

#[test]
fn one_of_ours_whose_heartbeats_never_come_is_judged_by_membership() {
    let meta = Kind::meta(true);
    let meta = meta.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let flags = ["-meta", &meta];
    let Some(blocked) = mk_peer("b", "127.1.12.2", Some(SECRET), &flags) else { return };
    let a = Node::start("a", "127.1.12.1", Some(SECRET));
    a.list("a", &[("b", blocked.address)]);
    a.wait("a b");
    assert!(!a.view.borrow().mixed);
    drop(blocked);
    a.wait("a");
}

/// As the process does it: on a runtime.
#[rstest]
#[case::tcp(13, true, None)]
#[case::udp(14, false, None)]
#[case::udp_of_heartbeats(15, false, Some(SECRET))]
#[tokio::test]
async fn a_port_in_use_is_named(#[case] net: u8, #[case] tcp: bool, #[case] secret: Option<&str>) {
    let address = mk_address(&format!("127.1.{net}.1"));
    let _stream = tcp.then(|| TcpListener::bind(address).unwrap());
    let _datagram = (!tcp).then(|| UdpSocket::bind(address).unwrap());
    let error = mk_start("a", address, secret.map(mk_secret), |_| ()).err().unwrap().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
}

/// TCP goes first, and UDP a moment later.
#[rstest]
#[case::membership(17, None)]
#[case::heartbeats(18, Some(SECRET))]
fn both_halves_of_a_port_that_is_left_are_waited_for(
    #[case] net: u8,
    #[case] secret: Option<&str>,
) {
    let address = mk_address(&format!("127.1.{net}.1"));
    let (stream, datagram) =
        (TcpListener::bind(address).unwrap(), UdpSocket::bind(address).unwrap());
    let leaving = thread::spawn(move || {
        thread::sleep(LOOK_AGAIN);
        drop(stream);
        thread::sleep(LOOK_AGAIN * 3);
        drop(datagram);
    });
    assert!(mk_start("a", address, secret.map(mk_secret), |_| ()).is_ok());
    leaving.join().unwrap();
}

#[tokio::test]
async fn intervals_that_cannot_work_are_named() {
    let start = mk_start("a", mk_address("127.1.16.1"), Some(mk_secret(SECRET)), |tuning| {
        tuning.timing.probe_interval = Duration::ZERO;
    });
    let error = start.err().unwrap().to_string();
    assert_eq!(error, "membership: probe_interval of 0ns is below a millisecond");
}
