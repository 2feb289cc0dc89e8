//! Anything a host on the way may send, in any order with anything an owner may ask for: nothing panics, timers
//! make progress, and the number of packets that leave is bounded by what came in and the pace agreed on.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU8;
use std::time::Duration;

use ferrolb_bfd_proto::{
    Arrival, Config, Discriminator, IfIndex, Interval, Mode, Packet, Path, Sessions,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Act {
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// A well-formed header: state and flags, multiplier, intervals; to the session or to address.
    Packet(u8, u8, [u32; 3], bool),
    Pass(u64),
    Late(u64),
    Update(u32, u32, u8, bool),
    Remove,
    Add,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Act::Bytes),
        (any::<u8>(), any::<u8>(), any::<[u32; 3]>(), any::<bool>()).prop_map(
            |(flags, multiplier, words, known)| Act::Packet(flags, multiplier, words, known)
        ),
        (0_u64..5_000_000).prop_map(Act::Pass),
        any::<u64>().prop_map(Act::Late),
        (any::<u32>(), any::<u32>(), 1_u8.., any::<bool>())
            .prop_map(|(tx, rx, multiplier, passive)| Act::Update(tx, rx, multiplier, passive)),
        Just(Act::Remove),
        Just(Act::Add),
    ];
    proptest::collection::vec(act, 0..200)
}

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const PATH: Path = Path { peer: PEER, local: None, interface: None, mode: Mode::SingleHop };
const ARRIVAL: Arrival = Arrival {
    from: PEER,
    to: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
    interface: IfIndex(1),
    ttl: 255,
    mode: Mode::SingleHop,
};

fn id(sessions: &Sessions) -> Option<Discriminator> {
    sessions.views().last().map(|view| view.session)
}

proptest! {
    #[test]
    fn any_history(acts in acts(), seed in any::<u64>()) {
        let mut sessions = Sessions::new(seed);
        sessions.add(PATH, Config::default()).unwrap();
        let mut now = Duration::ZERO;
        for act in acts {
            let mut allowed = 3;
            match act {
                Act::Bytes(bytes) => {
                    sessions.handle_datagram(now, &ARRIVAL, &bytes).ok();
                }
                Act::Packet(flags, multiplier, [tx, rx, mine], known) => {
                    let your = id(&sessions).filter(|_| known);
                    let mut bytes = vec![0x20, flags & !5, multiplier, 24];
                    for word in [mine, your.map_or(0, |id| id.0.get()), tx, rx, 0] {
                        bytes.extend(word.to_be_bytes());
                    }
                    sessions.handle_datagram(now, &ARRIVAL, &bytes).ok();
                }
                Act::Pass(micros) => {
                    now += Duration::from_micros(micros);
                }
                Act::Late(by) => sessions.handle_lateness(now, Duration::from_micros(by)),
                Act::Update(tx, rx, multiplier, passive) => {
                    let config = Config {
                        transmit: Interval::from_micros(tx),
                        receive: Interval::from_micros(rx),
                        detect_multiplier: NonZeroU8::new(multiplier).unwrap(),
                        passive,
                        ..Config::default()
                    };
                    if let Some(id) = id(&sessions) {
                        sessions.update(now, id, config);
                    }
                }
                Act::Remove => {
                    if let Some(id) = id(&sessions) {
                        sessions.remove(now, id);
                    }
                }
                Act::Add => {
                    sessions.add(PATH, Config::default()).ok();
                    allowed += 1;
                }
            }
            sessions.handle_timeout(now);
            while let Some(transmit) = sessions.poll_transmit() {
                // What we send passes our own checks.
                let packet = Packet::decode(&transmit.bytes).unwrap();
                prop_assert!(!(packet.poll && packet.is_final));
                prop_assert!(!packet.demand && !packet.authenticated);
                allowed -= 1;
            }
            prop_assert!(allowed >= 0, "more packets than reasons");
            while sessions.poll_event().is_some() {}
            sessions.handle_timeout(now);
            prop_assert!(sessions.poll_timeout().is_none_or(|at| at > now), "a timer stands still");
        }
    }
}
