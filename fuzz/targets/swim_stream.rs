//! A stream from whoever reaches the port of a cluster without a secret, as a question and as an
//! answer: the member never panics, and how much is missing never goes beyond the limit.
#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use ferrolb_swim_proto::{Config, Limits, Membership, Transmit};
use libfuzzer_sys::fuzz_target;

const NOW: Duration = Duration::from_secs(9);

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { members: 16, stream_bytes: 4096, ..Limits::DEFAULT };
    let from = SocketAddr::from(([10, 0, 0, 2], 7946));
    let mut config = Config::new("a", SocketAddr::from(([10, 0, 0, 1], 7946)));
    config.limits = limits;
    let mut member = Membership::new(config, Duration::ZERO, 7).unwrap();
    if let Ok(missing) = limits.stream_missing(bytes) {
        assert!(missing + bytes.len() <= 4096 || missing == 0);
    }
    let answer = member.handle_stream(NOW, from, bytes);
    assert!(answer.is_empty() || limits.stream_missing(&answer) == Ok(0));
    member.join(NOW, [from]);
    let mut joined = None;
    while let Some(transmit) = member.poll_transmit() {
        if let Transmit::Stream { id, .. } = transmit {
            joined = Some(id);
        }
    }
    if let Some(id) = joined {
        member.handle_stream_reply(NOW, id, bytes);
    }
    for later in 0..3 {
        member.handle_timeout(NOW + Duration::from_secs(later));
    }
    assert!(member.members().count() <= 16);
    assert!(member.member("a").is_some_and(|own| own.is_usable()));
});
