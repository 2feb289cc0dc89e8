//! A peer that may say anything, in any pieces, at any time, to a session that is being used: it
//! never panics, what it sends is always whole messages, and never more than a bounded amount.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ferrolb_bgp_proto::wire::{Framer, MAX_EXTENDED_MESSAGE, Open, Reception, inspect, keepalive};
use ferrolb_bgp_proto::{
    Asn, Bfd, Config, Families, GracefulRestart, Link, Notification, PathAttributes, RemoteAsn,
    Reset, RouterId, Session, Stop,
};
use ipnet::IpNet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    decoders(input);
    session(input);
});

fn decoders(octets: &[u8]) {
    for flags in 0..4 {
        let rx = Reception {
            internal: flags & 1 == 1,
            four_octet_as: flags & 2 == 2,
            families: Families::BOTH,
        };
        let _ = inspect(octets, rx);
    }
    if let Ok(open) = Open::decode(octets) {
        let mut out = Vec::new();
        open.encode(&mut out);
        assert!(Open::decode(&out[19..]).is_ok());
    }
    if let Some(notification) = Notification::decode(octets) {
        assert!(!notification.to_string().chars().any(char::is_control));
    }
}

/// Each octet of the input chooses what happens; some take more octets with them.
fn session(mut input: &[u8]) {
    let config = mk_config();
    let mut now = Duration::ZERO;
    let mut session = Session::new(config.clone(), now, 7);
    let mut out = Vec::new();
    while let [choice, rest @ ..] = input {
        input = rest;
        match choice % 16 {
            0 => session.handle_connected(now, mk_link()),
            1 => session.handle_connect_failed(now, "no"),
            2 => session.handle_closed(now),
            3 => session.handle_bytes(now, &mk_greeting()),
            4 | 5 => {
                let length = usize::from(choice >> 4).min(input.len());
                let (piece, rest) = input.split_at(length);
                input = rest;
                session.handle_bytes(now, piece);
            }
            6 => {
                // A message whose header is right.
                let length = usize::from(*choice).min(input.len());
                let (body, rest) = input.split_at(length);
                input = rest;
                let total = u16::try_from(19 + length).unwrap().to_be_bytes();
                let kind = 1 + choice % 5;
                session.handle_bytes(now, &[&[0xFF; 16][..], &total, &[kind], body].concat());
            }
            7 => now += Duration::from_secs(u64::from(*choice)),
            8 => session.handle_timeout(now),
            9 => session.set_wanted(net(*choice), Some(Arc::new(PathAttributes::default()))),
            10 => session.set_wanted(net(*choice), None),
            11 => session.set_complete(),
            12 => session.set_graceful_shutdown(choice & 16 == 16),
            13 => session.handle_bfd(now, if choice & 16 == 16 { Bfd::Up } else { Bfd::Down }),
            14 => session.reset(now, &Reset::Administrative("why".into())),
            _ => session.reconfigure(now, Config { connect_time: None, ..config.clone() }),
        }
        while session.poll_event().is_some() {}
        out.clear();
        while session.poll_transmit(now, &mut out) {
            assert!(out.len() < 1 << 20);
        }
        check(&out);
    }
    session.stop(now, &Stop::Shutdown("end".into()));
    out.clear();
    while session.poll_transmit(now, &mut out) {}
    check(&out);
    assert_eq!(session.poll_timeout(), None);
}

/// Whole messages, nothing else.
fn check(out: &[u8]) {
    let mut framer = Framer::default();
    let mut rest = out;
    let mut octets = 0;
    while let Some(frame) = framer.next(&mut rest, MAX_EXTENDED_MESSAGE).unwrap() {
        octets += 19 + frame.body.len();
    }
    assert_eq!(octets, out.len());
}

fn net(n: u8) -> IpNet {
    let address: IpAddr = if n & 16 == 0 {
        Ipv4Addr::new(10, 0, 0, n).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n.into()).into()
    };
    address.into()
}

fn mk_link() -> Link {
    Link { ipv6: Some(Ipv6Addr::LOCALHOST), ..Link::new(Ipv4Addr::LOCALHOST.into()) }
}

fn mk_config() -> Config {
    let asn = Asn::new(64512).unwrap();
    Config {
        families: Families::BOTH,
        extended_messages: true,
        connect_time: Some(Duration::from_secs(5)),
        graceful_restart: Some(GracefulRestart { restarted: true, ..GracefulRestart::default() }),
        ..Config::new(asn, RemoteAsn::External, "node")
    }
}

fn mk_greeting() -> Vec<u8> {
    let mut capabilities = ferrolb_bgp_proto::wire::Capabilities::default();
    capabilities.multiprotocol = Some(Families::BOTH);
    capabilities.route_refresh = true;
    capabilities.enhanced_refresh = true;
    capabilities.extended_message = true;
    let open = Open {
        asn: Asn::new(64513).unwrap(),
        hold_time: ferrolb_bgp_proto::HoldTime::DEFAULT,
        router_id: RouterId::of_node_name("peer"),
        capabilities,
    };
    let mut out = Vec::new();
    open.encode(&mut out);
    keepalive(&mut out);
    out
}
