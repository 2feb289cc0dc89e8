//! A datagram from whoever reaches the port of a cluster without a secret: the member never panics,
//! what it answers is bounded, and it stays a member itself.
#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use ferrolb_swim_proto::{Config, Limits, Membership, NotMembership, Transmit};
use libfuzzer_sys::fuzz_target;

const NOW: Duration = Duration::from_secs(9);
/// An answer and a relayed question for each message a datagram can hold.
const MOST: usize = 1024;

fuzz_target!(|bytes: &[u8]| {
    let from = SocketAddr::from(([10, 0, 0, 2], 7946));
    let mut config = Config::new("a", SocketAddr::from(([10, 0, 0, 1], 7946)));
    config.limits = Limits { members: 16, ..Limits::DEFAULT };
    let mut member = Membership::new(config, Duration::ZERO, 7).unwrap();
    let known = member.handle_datagram(NOW, from, bytes);
    if known == Err(NotMembership) {
        assert!(bytes.first().is_none_or(|first| *first > 13 && *first != 244));
        assert_eq!((member.poll_transmit(), member.poll_event()), (None, None));
    }
    // Twice: what it made of the first may meet the second.
    let _ = member.handle_datagram(NOW, from, bytes);
    for later in 0..3 {
        member.handle_timeout(NOW + Duration::from_secs(later));
    }
    let mut sent = 0;
    while let Some(transmit) = member.poll_transmit() {
        sent += 1;
        if let Transmit::Datagram { to, bytes } = transmit {
            assert!(bytes.len() <= 1400 && to.port() != 0);
        }
    }
    assert!(sent <= MOST, "{sent}");
    while member.poll_event().is_some() {}
    assert!(member.members().count() <= 16);
    assert!(member.member("a").is_some_and(|own| own.is_usable()));
});
