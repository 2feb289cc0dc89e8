//! Control packets from the wire, as any host that gets past the TTL check may send them, between passing
//! time and changed wishes: sessions never panic, never send what they would refuse themselves, and their
//! timers make progress.
//!
//! The input is a list of records of 27 bytes: what to do, two bytes of time, and a packet whose discriminator
//! is replaced by the session's when the record asks for it, as mutations would not find it.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU8;
use std::time::Duration;

use ferrolb_bfd_proto::{Arrival, Config, IfIndex, Interval, Mode, Packet, Path, Sessions};
use libfuzzer_sys::fuzz_target;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const PATH: Path = Path { peer: PEER, local: None, interface: None, mode: Mode::SingleHop };
const ARRIVAL: Arrival = Arrival {
    from: PEER,
    to: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
    interface: IfIndex(1),
    ttl: 255,
    mode: Mode::SingleHop,
};

fuzz_target!(|input: &[u8]| {
    if let Ok(packet) = Packet::decode(input)
        && !packet.authenticated
    {
        assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
    }

    let mut sessions = Sessions::new(1);
    let mut id = sessions.add(PATH, Config::default()).unwrap();
    let mut now = Duration::ZERO;
    for record in input.chunks(27) {
        let [what, time @ ..] = [0, 1, 2].map(|at| record.get(at).copied().unwrap_or(0));
        now += Duration::from_millis(u16::from_be_bytes(time).into());
        let mut bytes = record.get(3..).unwrap_or_default().to_vec();
        match what % 8 {
            0..=3 => {
                if let Some(place) = bytes.get_mut(8..12)
                    && what & 8 == 0
                {
                    place.copy_from_slice(&id.0.get().to_be_bytes());
                }
                let _ = sessions.handle_datagram(now, &ARRIVAL, &bytes);
            }
            4 => {
                let config = Config {
                    transmit: Interval::from_millis(time[0].into()),
                    receive: Interval::from_millis(time[1].into()),
                    detect_multiplier: NonZeroU8::MIN.saturating_add(time[1]),
                    passive: what & 8 != 0,
                    ..Config::default()
                };
                sessions.update(now, id, config);
            }
            5 => sessions.handle_lateness(now, Duration::from_millis(time[0].into())),
            6 => {
                sessions.remove(now, id);
                if let Ok(added) = sessions.add(PATH, Config::default()) {
                    id = added;
                }
            }
            _ => {}
        }
        sessions.handle_timeout(now);
        while let Some(transmit) = sessions.poll_transmit() {
            let packet = Packet::decode(&transmit.bytes).unwrap();
            assert!(!(packet.poll && packet.is_final) && !packet.authenticated);
        }
        while sessions.poll_event().is_some() {}
        sessions.handle_timeout(now);
        assert!(sessions.poll_timeout().is_none_or(|at| at > now), "a timer stands still");
    }
});
