use std::net::IpAddr;

use rstest::rstest;

use super::*;
use crate::packet::Diagnostic;
use crate::path::IfIndex;

const ETH0: IfIndex = IfIndex(2);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn mk_path(peer: &str, mode: Mode) -> Path {
    Path { peer: ip(peer), local: None, interface: None, mode }
}

fn mk_arrival(from: &str, mode: Mode, ttl: u8) -> Arrival {
    Arrival { from: ip(from), to: ip("192.0.2.7"), interface: ETH0, ttl, mode }
}

/// The first packet of a peer.
fn mk_hello() -> Packet {
    let mut other = Sessions::new(99);
    other.add(mk_path("192.0.2.7", Mode::SingleHop), Config::default()).unwrap();
    other.handle_timeout(Duration::ZERO);
    Packet::decode(&other.poll_transmit().unwrap().bytes).unwrap()
}

struct Fixture {
    sessions: Sessions,
    single: Discriminator,
    multi: Discriminator,
}

fn mk_fixture() -> Fixture {
    let mut sessions = Sessions::new(1);
    let mut add = |mode| sessions.add(mk_path("192.0.2.1", mode), Config::default()).unwrap();
    let (single, multi) = (add(Mode::SingleHop), add(Mode::MultiHop));
    Fixture { sessions, single, multi }
}

impl Fixture {
    fn hear(&mut self, arrival: Arrival, packet: Packet) -> Result<Discriminator, Discard> {
        self.sessions.handle_datagram(Duration::ZERO, &arrival, &packet.encode())
    }
}

#[test]
fn without_a_discriminator_addresses_and_port_decide() {
    let mut it = mk_fixture();
    assert_eq!(it.hear(mk_arrival("192.0.2.1", Mode::SingleHop, 255), mk_hello()), Ok(it.single));
    assert_eq!(it.hear(mk_arrival("192.0.2.1", Mode::MultiHop, 255), mk_hello()), Ok(it.multi));
    let stranger = mk_arrival("192.0.2.9", Mode::SingleHop, 255);
    assert_eq!(it.hear(stranger, mk_hello()), Err(Discard::UnknownPeer));
}

#[test]
fn with_a_discriminator_nothing_else_decides() {
    let mut it = mk_fixture();
    let packet = Packet { your_discriminator: Some(it.single), ..mk_hello() };
    // RFC 5880 6.3: the source address may change.
    assert_eq!(it.hear(mk_arrival("192.0.2.9", Mode::SingleHop, 255), packet), Ok(it.single));
    assert_eq!(
        it.hear(mk_arrival("192.0.2.1", Mode::MultiHop, 255), packet),
        Err(Discard::WrongMode)
    );
    let unknown = Discriminator::new(it.single.0.get() ^ 1).unwrap();
    let packet = Packet { your_discriminator: Some(unknown), ..mk_hello() };
    assert_eq!(
        it.hear(mk_arrival("192.0.2.1", Mode::SingleHop, 255), packet),
        Err(Discard::UnknownDiscriminator(unknown))
    );
}

#[rstest]
#[case(State::Init)]
#[case(State::Up)]
fn no_discriminator_where_one_must_be_known(#[case] state: State) {
    let packet = Packet { state, ..mk_hello() };
    let arrival = mk_arrival("192.0.2.1", Mode::SingleHop, 255);
    assert_eq!(mk_fixture().hear(arrival, packet), Err(Discard::NoDiscriminator(state)));
}

#[rstest]
#[case::on_the_link(Mode::SingleHop, 255, None)]
#[case::routed(Mode::SingleHop, 254, Some(255))]
#[case::one_router(Mode::MultiHop, 254, None)]
#[case::two_routers(Mode::MultiHop, 253, Some(254))]
fn least_ttl(#[case] mode: Mode, #[case] ttl: u8, #[case] least: Option<u8>) {
    let outcome = mk_fixture().hear(mk_arrival("192.0.2.1", mode, ttl), mk_hello());
    assert_eq!(outcome.err(), least.map(|least| Discard::Ttl { ttl, least }));
}

#[test]
fn the_least_ttl_follows_the_wish() {
    let mut it = mk_fixture();
    it.sessions.update(Duration::ZERO, it.multi, Config { min_ttl: 10, ..Config::default() });
    assert!(it.hear(mk_arrival("192.0.2.1", Mode::MultiHop, 10), mk_hello()).is_ok());
    assert!(it.hear(mk_arrival("192.0.2.1", Mode::MultiHop, 9), mk_hello()).is_err());
}

#[test]
fn authentication_is_refused() {
    let mut bytes = mk_hello().encode().to_vec();
    bytes.extend([1, 2]);
    bytes[1] |= 4;
    bytes[3] = 26;
    let arrival = mk_arrival("192.0.2.1", Mode::SingleHop, 255);
    let outcome = mk_fixture().sessions.handle_datagram(Duration::ZERO, &arrival, &bytes);
    assert_eq!(outcome, Err(Discard::Authenticated));
}

#[test]
fn a_discarded_packet_changes_nothing() {
    let mut it = mk_fixture();
    let before = it.sessions.view(it.single).unwrap();
    it.hear(mk_arrival("192.0.2.1", Mode::SingleHop, 64), mk_hello()).unwrap_err();
    assert_eq!(it.sessions.view(it.single).unwrap(), before);
}

#[rstest]
#[case::same(None, None, None, None, true)]
#[case::any_local_meets_one(None, Some("192.0.2.7"), None, None, true)]
#[case::other_local(Some("192.0.2.8"), Some("192.0.2.7"), None, None, false)]
#[case::other_interface(None, None, Some(2), Some(3), false)]
fn overlap(
    #[case] local_a: Option<&str>,
    #[case] local_b: Option<&str>,
    #[case] interface_a: Option<u32>,
    #[case] interface_b: Option<u32>,
    #[case] refused: bool,
) {
    let mk = |local: Option<&str>, interface: Option<u32>| Path {
        local: local.map(ip),
        interface: interface.map(IfIndex),
        ..mk_path("192.0.2.1", Mode::SingleHop)
    };
    let mut sessions = Sessions::new(1);
    sessions.add(mk(local_a, interface_a), Config::default()).unwrap();
    let second = sessions.add(mk(local_b, interface_b), Config::default());
    assert_eq!(second.is_err(), refused);
}

#[test]
fn link_local_peers_are_told_apart_by_interface() {
    let mut sessions = Sessions::new(1);
    let mut add = |interface| {
        let path = mk_path("fe80::1", Mode::SingleHop);
        let path = Path { interface: Some(IfIndex(interface)), ..path };
        sessions.add(path, Config::default()).unwrap()
    };
    let (a, b) = (add(2), add(3));
    assert_ne!(a, b);
    for (interface, expected) in [(2, Ok(a)), (3, Ok(b)), (4, Err(Discard::UnknownPeer))] {
        let arrival = Arrival {
            to: ip("fe80::7"),
            interface: IfIndex(interface),
            ..mk_arrival("fe80::1", Mode::SingleHop, 255)
        };
        let bytes = mk_hello().encode();
        assert_eq!(sessions.handle_datagram(Duration::ZERO, &arrival, &bytes), expected);
    }
}

#[test]
fn a_session_added_again_ends_the_one_that_leaves() {
    let mut it = mk_fixture();
    it.hear(mk_arrival("192.0.2.1", Mode::SingleHop, 255), mk_hello()).unwrap();
    it.sessions.remove(Duration::ZERO, it.single);
    assert_eq!(it.sessions.view(it.single).unwrap().state, State::AdminDown);
    assert_eq!(it.sessions.view(it.single).unwrap().diagnostic, Diagnostic::AdministrativelyDown);
    let again = it.sessions.add(mk_path("192.0.2.1", Mode::SingleHop), Config::default()).unwrap();
    assert_ne!(again, it.single);
    assert_eq!(it.sessions.view(it.single), None);
    let ended = Event { session: it.single, change: Change::Ended };
    assert_eq!(it.sessions.poll_event(), Some(ended));
}

#[test]
fn a_removed_session_that_never_met_its_peer_ends_at_once() {
    let mut it = mk_fixture();
    it.sessions.remove(Duration::ZERO, it.single);
    while it.sessions.poll_transmit().is_some() {}
    it.sessions.handle_timeout(Duration::ZERO);
    assert_eq!(it.sessions.view(it.single), None);
}

#[test]
fn a_packet_is_given_once() {
    let mut it = mk_fixture();
    it.sessions.handle_timeout(Duration::ZERO);
    it.sessions.handle_timeout(Duration::ZERO);
    assert_eq!(std::iter::from_fn(|| it.sessions.poll_transmit()).count(), 2);
}
