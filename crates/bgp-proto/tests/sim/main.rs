//! A session against a small peer in virtual time: connections break, octets arrive one by one,
//! messages are broken, and at the end the peer knows exactly what it should.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod peer;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ferrolb_bgp_proto::{
    Asn, Bfd, Community, Config, Event, Families, Link, PathAttributes, RemoteAsn, Reset, Session,
    State,
};
use ipnet::IpNet;
use proptest::collection::vec;
use proptest::prelude::*;

use self::peer::Peer;

/// What happens to the session from outside.
#[derive(Clone, Debug)]
enum Step {
    Announce(u8, u8),
    Withdraw(u8),
    Replace(Vec<(u8, u8)>),
    Drain(bool),
    /// The peer asks for its routes again.
    Refresh(bool),
    /// The connection breaks.
    Break,
    /// The peer says goodbye.
    Goodbye(u8, u8),
    /// The peer sends these octets in the middle of everything.
    Garbage(Vec<u8>),
    /// The peer does not read for a while.
    Stall(bool),
    /// Dials fail for a while.
    Unreachable(bool),
    Bfd(bool),
    Reset,
    Reconfigure(u16),
    Wait(u16),
}

struct World {
    session: Session,
    peer: Option<Peer>,
    now: Duration,
    wanted: BTreeMap<IpNet, u8>,
    stalled: bool,
    unreachable: bool,
    /// Octets from the peer arrive one at a time.
    drip: bool,
    attempts: u32,
}

impl World {
    fn new(drip: bool, seed: u64) -> Self {
        Self {
            session: Session::new(mk_config(90), Duration::ZERO, seed),
            peer: None,
            now: Duration::ZERO,
            wanted: BTreeMap::new(),
            stalled: false,
            unreachable: false,
            drip,
            attempts: 0,
        }
    }

    fn step(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Announce(prefix, community) => {
                self.wanted.insert(net(prefix), community);
                self.session.set_wanted(net(prefix), Some(attributes(community)));
            }
            Step::Withdraw(prefix) => {
                self.wanted.remove(&net(prefix));
                self.session.set_wanted(net(prefix), None);
            }
            Step::Replace(all) => {
                self.wanted = all.into_iter().map(|(prefix, c)| (net(prefix), c)).collect();
                let all = self.wanted.iter().map(|(prefix, c)| (*prefix, attributes(*c)));
                self.session.replace_wanted(all.collect::<Vec<_>>());
            }
            Step::Drain(on) => self.session.set_graceful_shutdown(on),
            Step::Refresh(v6) => self.hear(|peer| peer.ask(v6)),
            Step::Break => {
                if self.peer.take().is_some() {
                    self.session.handle_closed(now);
                }
            }
            Step::Goodbye(code, subcode) => self.hear(|peer| peer.goodbye(code, subcode)),
            Step::Garbage(octets) => self.hear(|peer| peer.say(&octets)),
            Step::Stall(on) => self.stalled = on,
            Step::Unreachable(on) => self.unreachable = on,
            Step::Bfd(up) => {
                self.session.handle_bfd(now, if up { Bfd::Up } else { Bfd::Down });
            }
            Step::Reset => self.session.reset(now, &Reset::Configuration),
            Step::Reconfigure(hold) => self.session.reconfigure(now, mk_config(hold.max(3))),
            Step::Wait(seconds) => self.run(Duration::from_secs(seconds.into())),
        }
        self.settle();
    }

    fn hear(&mut self, speak: impl FnOnce(&mut Peer)) {
        if let Some(peer) = &mut self.peer {
            speak(peer);
        }
    }

    /// Lets time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.settle();
            let own = self.session.poll_timeout();
            let peers = self.peer.as_ref().map(|peer| peer.wakes_at);
            let Some(at) = own.into_iter().chain(peers).min().filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            self.session.handle_timeout(self.now);
            if let Some(peer) = &mut self.peer {
                peer.wake(self.now);
            }
        }
        self.now = end;
    }

    /// Moves octets and events until there are none.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "it never comes to rest");
            let events = self.events();
            let heard = self.peer_to_session();
            let said = self.session_to_peer();
            if !events && !heard && !said {
                break;
            }
        }
    }

    fn events(&mut self) -> bool {
        let Some(event) = self.session.poll_event() else { return false };
        match event {
            Event::Connect if self.unreachable => {
                self.attempts += 1;
                self.session.handle_connect_failed(self.now, "unreachable");
            }
            Event::Connect => {
                self.attempts += 1;
                assert!(self.peer.is_none(), "one connection at a time");
                self.peer = Some(Peer::new(self.now));
                self.session.handle_connected(self.now, mk_link());
            }
            Event::Close => {
                let mut last = Vec::new();
                self.session.poll_transmit(self.now, &mut last);
                self.peer = None;
            }
            Event::Settled => {
                if let (Some(peer), false) = (&self.peer, self.stalled) {
                    self.check(peer);
                }
            }
            Event::Established(_) | Event::Down(_) => {}
        }
        true
    }

    fn peer_to_session(&mut self) -> bool {
        let Some(peer) = &mut self.peer else { return false };
        let octets = std::mem::take(&mut peer.out);
        if octets.is_empty() {
            return false;
        }
        for piece in octets.chunks(if self.drip { 1 } else { octets.len() }) {
            self.session.handle_bytes(self.now, piece);
        }
        true
    }

    fn session_to_peer(&mut self) -> bool {
        if self.stalled {
            return false;
        }
        let mut octets = Vec::new();
        let Some(peer) = &mut self.peer else { return false };
        if !self.session.poll_transmit(self.now, &mut octets) {
            return false;
        }
        peer.hear(self.now, &octets);
        true
    }

    /// The peer knows what it should of the families it was offered, no more and no less.
    fn check(&self, peer: &Peer) {
        let wanted = || {
            let offered = |prefix: &IpNet| match prefix {
                IpNet::V4(_) => peer.offered.v4,
                IpNet::V6(_) => peer.offered.v6,
            };
            self.wanted.iter().filter(move |(prefix, _)| offered(prefix))
        };
        assert_eq!(
            peer.routes
                .iter()
                .map(|(prefix, route)| (*prefix, route.community))
                .collect::<Vec<_>>(),
            wanted().map(|(prefix, c)| (*prefix, u32::from(*c))).collect::<Vec<_>>()
        );
        assert!(wanted().all(|(prefix, _)| self.session.is_announced(*prefix)));
    }
}

fn mk_config(hold: u16) -> Config {
    let asn = |number| Asn::new(number).unwrap();
    Config {
        families: Families::BOTH,
        hold_time: ferrolb_bgp_proto::HoldTime::new(hold).unwrap(),
        ..Config::new(asn(64512), RemoteAsn::Exactly(asn(64513)), "node-1")
    }
}

fn mk_link() -> Link {
    Link {
        ipv6: Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        ..Link::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)))
    }
}

/// Even numbers are IPv4, odd ones IPv6.
fn net(n: u8) -> IpNet {
    let address: IpAddr = if n.is_multiple_of(2) {
        Ipv4Addr::new(10, 0, 0, n).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, n.into()).into()
    };
    address.into()
}

fn attributes(community: u8) -> Arc<PathAttributes> {
    Arc::new(PathAttributes::new(None, [Community(community.into())], []).unwrap())
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..20_u8, 0..3_u8).prop_map(|(prefix, community)| Step::Announce(prefix, community)),
        4 => (0..20_u8).prop_map(Step::Withdraw),
        1 => vec((0..20_u8, 0..3_u8), 0..20).prop_map(Step::Replace),
        1 => any::<bool>().prop_map(Step::Drain),
        2 => any::<bool>().prop_map(Step::Refresh),
        1 => Just(Step::Break),
        1 => (1..9_u8, 0..11_u8).prop_map(|(code, subcode)| Step::Goodbye(code, subcode)),
        1 => vec(any::<u8>(), 1..40).prop_map(Step::Garbage),
        2 => any::<bool>().prop_map(Step::Stall),
        1 => any::<bool>().prop_map(Step::Unreachable),
        1 => any::<bool>().prop_map(Step::Bfd),
        1 => Just(Step::Reset),
        1 => (3..200_u16).prop_map(Step::Reconfigure),
        3 => (0..200_u16).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn after_any_history_the_peer_knows_what_it_should(
        history in vec(steps(), 0..60),
        drip: bool,
        seed: u64,
    ) {
        let mut world = World::new(drip, seed);
        world.session.set_complete();
        for step in history {
            world.step(step);
        }
        // Everything is mended; the longest wait is two minutes.
        world.step(Step::Drain(false));
        world.step(Step::Stall(false));
        world.step(Step::Unreachable(false));
        world.run(Duration::from_mins(10));
        prop_assert_eq!(world.session.state().0, State::Established);
        world.check(world.peer.as_ref().expect("a connection"));
        // What a refusal left out of this session is back in the next one.
        world.step(Step::Break);
        world.run(Duration::from_mins(10));
        prop_assert_eq!(world.session.state().0, State::Established);
        let peer = world.peer.as_ref().expect("a connection");
        world.check(peer);
        prop_assert!(peer.ends.v4 && peer.ends.v6, "End-of-RIB of both families");
    }
}

#[test]
fn a_quiet_session_lives_for_a_day_without_a_word_too_many() {
    let mut world = World::new(false, 3);
    world.step(Step::Announce(2, 1));
    world.session.set_complete();
    world.run(Duration::from_hours(24));
    assert_eq!((world.session.state().0, world.attempts), (State::Established, 1));
    let stats = world.session.stats();
    // The route, and the end of both tables.
    assert_eq!(stats.sent.update, 3);
    let least = 24 * 3600 / 30;
    assert!((least..=least * 4 / 3 + 2).contains(&stats.sent.keepalive), "{stats:?}");
}

#[test]
fn a_peer_that_refuses_for_a_day_is_asked_rarely() {
    let mut world = World::new(false, 3);
    for _ in 0..24 * 60 {
        world.run(Duration::from_mins(1));
        world.step(Step::Goodbye(6, 5));
    }
    // Up for up to a minute, damped or forgiven: never a loop.
    assert!(world.attempts <= 24 * 60 * 2, "{}", world.attempts);
}
