//! The engine over loopback: against itself, and against a peer the test drives by hand.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::os::fd::AsFd;
use std::time::Duration;

use ferrolb_bfd_proto::{
    Arrival, Diagnostic, IfIndex, Interval, Mode, Packet, Sessions, Side, State,
};
use ferrolb_sys::{HopUdp, HopUdpSender, Waker, monotonic_now, wait};
use rstest::rstest;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn mk_engine(address: &str) -> Bfd {
    let (mut v4, mut v6) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    match address.parse().unwrap() {
        IpAddr::V4(address) => v4 = address,
        IpAddr::V6(address) => v6 = address,
    }
    Bfd::start_on(v4, v6, monotonic_now().as_secs() << 32 | u64::from(v4.to_bits())).unwrap()
}

fn mk_path(local: &str, peer: &str, mode: Mode) -> Path {
    Path { peer: peer.parse().unwrap(), local: Some(local.parse().unwrap()), interface: None, mode }
}

fn mk_config(millis: u32) -> Config {
    Config {
        transmit: Interval::from_millis(millis),
        receive: Interval::from_millis(millis),
        detect_multiplier: NonZeroU8::new(20).unwrap(),
        ..Config::default()
    }
}

async fn next(session: &mut Session) -> Change {
    timeout(PATIENCE, session.changed()).await.expect("no change in time")
}

async fn shows(engine: &Bfd, what: impl Fn(&SessionView) -> bool) {
    let shown = async {
        while !engine.snapshot().sessions.iter().any(&what) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, shown).await.expect("not shown in time");
}

#[rstest]
#[case::single_hop("127.81.0.1", "127.81.0.2", Mode::SingleHop)]
#[case::multihop("127.82.0.1", "127.82.0.2", Mode::MultiHop)]
#[tokio::test]
async fn two_engines(#[case] ip_a: &str, #[case] ip_b: &str, #[case] mode: Mode) {
    let (a, b) = (mk_engine(ip_a), mk_engine(ip_b));
    let mut to_b = a.add(mk_path(ip_a, ip_b, mode), mk_config(50));
    let mut to_a = b.add(mk_path(ip_b, ip_a, mode), mk_config(50));
    assert_eq!(next(&mut to_b).await, Change::Up);
    assert_eq!(next(&mut to_a).await, Change::Up);
    assert!(to_a.health().up);

    // A changed profile is negotiated while the session stays up.
    to_b.update(mk_config(200));
    let detection = Some(20 * Duration::from_millis(200));
    shows(&b, |it| it.view.is_some_and(|view| view.detection_time == detection)).await;
    shows(&a, |it| {
        it.view.is_some_and(|view| !view.polling && view.transmit == Interval::from_millis(200))
    })
    .await;
    assert_eq!((to_a.health().failures, to_b.health().failures), (0, 0));

    // The end of a session is no failure, and neither is the end of an engine.
    drop(to_b);
    assert_eq!(next(&mut to_a).await, Change::AdminDown);
    let mut to_b = a.add(mk_path(ip_a, ip_b, mode), mk_config(50));
    assert_eq!(next(&mut to_b).await, Change::Up);
    assert_eq!(next(&mut to_a).await, Change::Up);
    drop(a);
    assert_eq!(next(&mut to_a).await, Change::AdminDown);
    assert_eq!(to_a.health().failures, 0);
}

/// A router whose packets the test sends, until it stops.
struct Router {
    sessions: Sessions,
    receiver: HopUdp,
    sender: HopUdpSender,
}

impl Router {
    fn new(path: Path, config: Config) -> Self {
        let mut sessions = Sessions::new(1);
        sessions.add(path, config).unwrap();
        let port = path.mode.port();
        let receiver = HopUdp::bind(SocketAddr::new(path.local.unwrap(), port)).unwrap();
        let peer = SocketAddr::new(path.peer, port);
        let sender = HopUdpSender::open(peer, path.local, None, 0).unwrap();
        Self { sessions, receiver, sender }
    }

    /// Plays its part until `done`.
    fn run_until(&mut self, done: impl Fn(&Sessions) -> bool) {
        let waker = Waker::new().unwrap();
        let begun = monotonic_now();
        let mut buffer = [0; 64];
        while !done(&self.sessions) {
            let now = monotonic_now();
            assert!(now < begun + PATIENCE, "took too long");
            while let Some(datagram) = self.receiver.recv(&mut buffer).unwrap() {
                let arrival = Arrival {
                    from: datagram.from,
                    to: datagram.to,
                    interface: IfIndex(datagram.interface),
                    ttl: datagram.ttl,
                    mode: Mode::SingleHop,
                };
                let bytes = &buffer[..datagram.len];
                self.sessions.handle_datagram(now, &arrival, bytes).unwrap();
            }
            self.sessions.handle_timeout(now);
            while let Some(transmit) = self.sessions.poll_transmit() {
                self.sender.send(&transmit.bytes).unwrap();
            }
            wait(&[self.receiver.as_fd()], &waker, Some(Duration::from_millis(5))).unwrap();
        }
    }

    fn run_until_up(&mut self) {
        self.run_until(|sessions| {
            sessions.views().all(|view| view.state == State::Up && !view.polling)
        });
    }
}

#[tokio::test]
async fn a_silent_router_is_noticed_after_the_detection_time() {
    let (own, peer) = ("127.83.0.1", "127.83.0.2");
    let engine = mk_engine(own);
    let mut session = engine.add(mk_path(own, peer, Mode::SingleHop), mk_config(50));
    let mut router = Router::new(mk_path(peer, own, Mode::SingleHop), mk_config(50));
    router.run_until_up();
    assert_eq!(next(&mut session).await, Change::Up);

    let silent = monotonic_now();
    let noticed_by = Side::Local;
    let diagnostic = Diagnostic::DetectionTimeExpired;
    assert_eq!(next(&mut session).await, Change::Down { diagnostic, noticed_by });
    let took = monotonic_now().saturating_sub(silent);
    assert!(took > Duration::from_millis(20 * 50 - 100), "{took:?}");

    // The router learns of it, and both come back.
    router.run_until(|sessions| sessions.views().all(|view| view.counters.downs == 1));
    router.run_until_up();
    assert_eq!(next(&mut session).await, Change::Up);
    shows(&engine, |it| it.view.is_some_and(|view| view.counters.downs == 1)).await;
}

#[tokio::test]
async fn what_is_not_for_a_session_is_counted() {
    let (own, peer) = ("127.84.0.1", "127.84.0.2");
    let engine = mk_engine(own);
    let _session = engine.add(mk_path(own, peer, Mode::SingleHop), mk_config(50));
    shows(&engine, |it| it.view.is_some()).await;
    let to = SocketAddr::new(own.parse().unwrap(), Mode::SingleHop.port());
    let stranger = HopUdpSender::open(to, Some("127.84.0.9".parse().unwrap()), None, 0).unwrap();
    for bytes in [&[0x20; Packet::LEN][..], &[0; 3], &[0x20; 1000]] {
        stranger.send(bytes).unwrap();
    }
    let counted = async {
        while engine.snapshot().discarded < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, counted).await.expect("not counted in time");
}

#[tokio::test]
async fn what_cannot_begin_is_told_and_tried_again() {
    let (own, peer) = ("127.85.0.1", "127.85.0.2");
    let taken = HopUdp::bind(SocketAddr::new(own.parse().unwrap(), 3784)).unwrap();
    let engine = mk_engine(own);
    let mut session = engine.add(mk_path(own, peer, Mode::SingleHop), mk_config(50));
    shows(&engine, |it| {
        it.problem
            .as_ref()
            .is_some_and(|text| text.contains("listen on UDP address 127.85.0.1:3784"))
    })
    .await;
    drop(taken);
    let other = mk_engine(peer);
    let _to_own = other.add(mk_path(peer, own, Mode::SingleHop), mk_config(50));
    assert_eq!(next(&mut session).await, Change::Up);

    // A second session of the same path waits for the end of the first.
    let mut second = engine.add(mk_path(own, peer, Mode::SingleHop), mk_config(50));
    shows(&engine, |it| it.problem.as_ref().is_some_and(|text| text.contains("already"))).await;
    drop(session);
    assert_eq!(next(&mut second).await, Change::Up);
}

#[tokio::test]
async fn an_engine_without_sessions_takes_no_port() {
    let own = "127.86.0.1";
    let engine = mk_engine(own);
    let bind = || HopUdp::bind(SocketAddr::new(own.parse().unwrap(), 3784));
    drop(bind().unwrap());
    let session = engine.add(mk_path(own, "127.86.0.2", Mode::SingleHop), mk_config(50));
    shows(&engine, |it| it.view.is_some()).await;
    bind().unwrap_err();
    drop(session);
    let free = async {
        while bind().is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, free).await.expect("the port is kept");
}
