//! What a table costs: told to one peer from nothing, and after one change.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ferrolb_bgp_proto::wire::{Capabilities, Open, keepalive};
use ferrolb_bgp_proto::{
    Asn, Community, Config, Families, HoldTime, Link, PathAttributes, RemoteAsn, RouterId, Session,
    State,
};
use ipnet::IpNet;

const NOW: Duration = Duration::ZERO;

fn main() {
    divan::main();
}

/// Tells 100,000 host routes to a peer that is up: the difference, its messages, and taking them.
#[divan::bench(args = [1, 100], sample_count = 10)]
fn tell_100_000_prefixes(bencher: divan::Bencher, attribute_sets: u32) {
    let wanted = mk_wanted(100_000, attribute_sets);
    bencher.with_inputs(mk_established).bench_local_refs(|session| {
        session.replace_wanted(wanted.iter().cloned());
        transmit(session)
    });
}

/// Changes the attributes of one prefix among so many, there and back, and sends it each time.
#[divan::bench(args = [100, 100_000])]
fn tell_one_change_and_back(bencher: divan::Bencher, prefixes: u32) {
    let mut session = mk_established();
    session.replace_wanted(mk_wanted(prefixes, 1));
    transmit(&mut session);
    let (before, after) = (mk_attributes(0), mk_attributes(1));
    let prefix = host(prefixes / 2);
    bencher.bench_local(|| {
        session.set_wanted(prefix, Some(Arc::clone(&after)));
        let there = transmit(&mut session);
        session.set_wanted(prefix, Some(Arc::clone(&before)));
        there + transmit(&mut session)
    });
}

/// Withdraws one prefix among so many and announces it again.
#[divan::bench(args = [100_000])]
fn withdraw_one_and_announce_it(bencher: divan::Bencher, prefixes: u32) {
    let mut session = mk_established();
    session.replace_wanted(mk_wanted(prefixes, 1));
    transmit(&mut session);
    let attributes = mk_attributes(0);
    bencher.bench_local(|| {
        session.set_wanted(host(7), None);
        let gone = transmit(&mut session);
        session.set_wanted(host(7), Some(Arc::clone(&attributes)));
        gone + transmit(&mut session)
    });
}

fn transmit(session: &mut Session) -> usize {
    let mut out = Vec::with_capacity(32 * 1024);
    let mut octets = 0;
    while session.poll_transmit(NOW, &mut out) {
        octets += out.len();
        out.clear();
    }
    octets
}

fn mk_wanted(count: u32, attribute_sets: u32) -> Vec<(IpNet, Arc<PathAttributes>)> {
    let sets: Vec<_> = (0..attribute_sets).map(mk_attributes).collect();
    (0..count).map(host).zip(sets.into_iter().cycle()).collect()
}

fn mk_attributes(community: u32) -> Arc<PathAttributes> {
    let attributes = PathAttributes::new(None, [Community(community)], []);
    Arc::new(attributes.unwrap_or_else(|refused| panic!("{refused}")))
}

fn host(n: u32) -> IpNet {
    IpNet::from(IpAddr::from(Ipv4Addr::from(0x0A00_0000 + n)))
}

fn mk_established() -> Session {
    let asn = |number| Asn::new(number).unwrap_or_else(|| panic!("AS 0"));
    let config = Config::new(asn(64512), RemoteAsn::External, "bench");
    let mut session = Session::new(config, NOW, 1);
    session.handle_timeout(NOW);
    session.handle_connected(NOW, Link::new(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let peer = Open {
        asn: asn(64513),
        hold_time: HoldTime::DEFAULT,
        router_id: RouterId::of_node_name("peer"),
        capabilities: Capabilities {
            multiprotocol: Some(Families::V4),
            four_octet_as: Some(64513),
            ..Capabilities::default()
        },
    };
    let mut greeting = Vec::new();
    peer.encode(&mut greeting);
    keepalive(&mut greeting);
    session.handle_bytes(NOW, &greeting);
    assert_eq!(session.state().0, State::Established);
    session
}
