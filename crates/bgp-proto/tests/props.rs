//! Whatever a peer sends: nothing panics, nothing is read twice, and what we write can be read.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ferrolb_bgp_proto::wire::{
    Capabilities, Framer, Header, MAX_MESSAGE, Open, Reception, Refresh, RestartCapability,
    inspect, keepalive,
};
use ferrolb_bgp_proto::{
    Asn, Config, Families, HoldTime, Link, Notification, PerFamily, RemoteAsn, RouterId, Session,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn families() -> impl Strategy<Value = Families> {
    any::<(bool, bool)>().prop_map(|(v4, v6)| Families { v4, v6 })
}

fn opens() -> impl Strategy<Value = Open> {
    let restart = (any::<(bool, bool)>(), 0..4096_u16, any::<(Option<bool>, Option<bool>)>());
    let restart = restart.prop_map(|((restarting, notification), restart_time, (v4, v6))| {
        RestartCapability { restarting, notification, restart_time, families: PerFamily { v4, v6 } }
    });
    let capabilities = (
        option::of(families().prop_filter("named", |families| !families.is_empty())),
        any::<[bool; 4]>(),
        option::of(restart),
        option::of(1..u32::MAX),
        option::of("[a-z0-9-]{1,64}"),
    );
    let capabilities = capabilities.prop_map(|(multiprotocol, flags, restart, asn, host_name)| {
        let [route_refresh, enhanced_refresh, extended_next_hop, extended_message] = flags;
        Capabilities {
            multiprotocol,
            route_refresh,
            enhanced_refresh,
            extended_next_hop,
            extended_message,
            graceful_restart: restart,
            four_octet_as: asn,
            host_name,
        }
    });
    (capabilities, 1..65536_u32, 3..u16::MAX, 1..u32::MAX).prop_map(
        |(capabilities, asn, hold_time, id)| Open {
            asn: Asn::new(capabilities.four_octet_as.unwrap_or(asn)).unwrap(),
            hold_time: HoldTime::new(hold_time).unwrap(),
            router_id: RouterId::new(Ipv4Addr::from(id)).unwrap(),
            capabilities,
        },
    )
}

fn mk_session() -> Session {
    let config = Config::new(Asn::new(64512).unwrap(), RemoteAsn::External, "node-1");
    let mut session = Session::new(config, Duration::ZERO, 1);
    session.handle_timeout(Duration::ZERO);
    session.handle_connected(Duration::ZERO, Link::new(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    session
}

proptest! {
    #[test]
    fn open_round_trip(open in opens()) {
        let mut out = Vec::new();
        open.encode(&mut out);
        prop_assert!(Header::decode(out.first_chunk().unwrap(), MAX_MESSAGE).is_ok());
        prop_assert_eq!(Open::decode(&out[19..]), Ok(open));
    }

    #[test]
    fn decoders_take_anything(octets in vec(any::<u8>(), 0..200), flags: [bool; 4]) {
        let [internal, four_octet_as, v4, v6] = flags;
        let rx = Reception { internal, four_octet_as, families: Families { v4, v6 } };
        let _ = inspect(&octets, rx);
        let _ = Open::decode(&octets);
        let _ = Refresh::decode(&octets);
        if let Some(notification) = Notification::decode(&octets) {
            let words = notification.to_string();
            prop_assert!(!words.chars().any(char::is_control), "{words:?}");
        }
    }

    #[test]
    fn t_100_a_mutated_open_is_taken_or_answered(
        open in opens(),
        at in any::<prop::sample::Index>(),
        octet: u8,
    ) {
        let mut out = Vec::new();
        open.encode(&mut out);
        let at = at.index(out.len());
        out[at] = octet;
        let mut session = mk_session();
        session.handle_bytes(Duration::ZERO, &out);
        while session.poll_event().is_some() {}
        let mut sent = Vec::new();
        while session.poll_transmit(Duration::ZERO, &mut sent) {}
        prop_assert!(sent.len() <= 2 * MAX_MESSAGE);
    }

    /// The cuts of a stream do not change what is read from it.
    #[test]
    fn any_cut_gives_the_same_messages(
        opens in vec(opens(), 1..5),
        cuts in vec(1..60_usize, 1..60),
        tail in vec(any::<u8>(), 0..30),
    ) {
        let mut stream = Vec::new();
        for open in &opens {
            open.encode(&mut stream);
            keepalive(&mut stream);
        }
        stream.extend(tail);
        let whole = messages([stream.as_slice()]);
        let mut rest = stream.as_slice();
        let pieces = cuts.into_iter().map_while(|cut| {
            let (piece, more) = rest.split_at(cut.min(rest.len()));
            rest = more;
            (!piece.is_empty()).then_some(piece)
        });
        let pieces: Vec<&[u8]> = pieces.collect();
        let cut = messages(pieces.into_iter().chain([rest]));
        prop_assert_eq!(whole, cut);
    }
}

/// Messages and the fault at which reading ended.
fn messages<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Vec<u8>>, Option<Notification>) {
    let mut framer = Framer::default();
    let mut found = Vec::new();
    for mut piece in pieces {
        loop {
            match framer.next(&mut piece, MAX_MESSAGE) {
                Ok(Some(frame)) => found.push(frame.body.to_vec()),
                Ok(None) => break,
                Err(fault) => return (found, Some(fault)),
            }
        }
    }
    (found, None)
}
