use ferrolb_addr::Mac;
use ferrolb_model::ConfigObjects;
use ferrolb_sys::{LinkAddress, Scope};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const S: fn(u64) -> Duration = Duration::from_secs;
const HOLD_DOWN: Duration = Duration::from_secs(5);

/// An interface by what is written as `eth0=192.0.2.5/24,2001:db8::5/64`; `!` before it: no carrier.
fn mk_link(text: &str) -> Link {
    let (name, addresses) = text.split_once('=').unwrap_or((text, ""));
    let running = !name.starts_with('!');
    let addresses = addresses.split(',').filter(|address| !address.is_empty());
    Link {
        name: name.trim_start_matches('!').to_owned(),
        mac: Some(Mac([2, 0, 0, 0, 0, 1])),
        ethernet: true,
        up: true,
        carrier: running,
        running,
        broadcast: true,
        addresses: addresses
            .map(|text| text.parse::<IpNet>().unwrap())
            .map(|net| LinkAddress {
                ip: net.addr(),
                prefix_len: net.prefix_len(),
                scope: Scope::Global,
                tentative: false,
            })
            .collect(),
        ..Link::default()
    }
}

fn mk_config(spec: Value) -> Config {
    let mk = |kind: &str, name: &str, spec: Value| {
        json!({
            "apiVersion": "metallb.io/v1beta1", "kind": kind, "metadata": { "name": name }, "spec": spec,
        })
    };
    let pool =
        mk("IPAddressPool", "p", json!({ "addresses": ["192.0.2.64/28", "2001:db8::/120"] }));
    let rule = mk("L2Advertisement", "r", spec);
    let objects = ConfigObjects {
        pools: [("p".to_owned(), serde_json::from_value(pool).unwrap())].into(),
        l2_advertisements: [("r".to_owned(), serde_json::from_value(rule).unwrap())].into(),
        ..ConfigObjects::default()
    };
    Config::build(&objects, None)
}

fn take(fitness: &mut Fitness, now: Duration, links: &[&str]) {
    let links: Vec<Link> = links.iter().map(|text| mk_link(text)).collect();
    fitness.take_links(now, &links);
}

fn lacks(fitness: &Fitness, now: Duration, config: &Config) -> Vec<String> {
    fitness.lacks(now, config, &Labels::new()).into_values().collect()
}

const LAN: &str = "eth1=192.0.2.5/24,2001:db8::5/64,fe80::5/64,192.0.2.99/32";

#[rstest]
#[case::nothing_lost(json!({}), &["eth0=198.51.100.5/24", LAN], &[])]
#[case::carrier(
    json!({}), &["eth0=198.51.100.5/24", "!eth1=192.0.2.5/24"],
    &["network 192.0.2.0/24", "network 2001:db8::/64"]
)]
#[case::removed(json!({}), &["eth0"], &["network 192.0.2.0/24", "network 2001:db8::/64"])]
#[case::without_an_address_it_still_answers(json!({}), &["eth0", "eth1"], &[])]
#[case::same_network_elsewhere(
    json!({}), &["eth0", "eth2=192.0.2.6/24"], &["network 2001:db8::/64"]
)]
#[case::no_pool_there(json!({}), &[LAN], &[])]
#[case::not_announced_there(json!({ "interfaces": ["eth0"] }), &["eth0"], &[])]
#[case::named(
    json!({ "interfaces": ["eth1"] }), &["eth0"],
    &["interface eth1", "network 192.0.2.0/24", "network 2001:db8::/64"]
)]
#[case::never_there(json!({ "interfaces": ["eth9"] }), &["eth0", LAN], &["interface eth9"])]
#[case::not_for_this_node(
    json!({ "interfaces": ["eth9"], "nodeSelectors": [{ "matchLabels": { "a": "b" } }] }),
    &["eth0", LAN], &[]
)]
fn a_node_lacks(#[case] spec: Value, #[case] after: &[&str], #[case] expected: &[&str]) {
    let mut fitness = Fitness::new(HOLD_DOWN);
    take(&mut fitness, S(1), &["eth0=198.51.100.5/24", LAN]);
    take(&mut fitness, S(2), after);
    let mut found = lacks(&fitness, S(2), &mk_config(spec));
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn what_was_lost_counts_again_after_the_hold_down() {
    let mut fitness = Fitness::new(HOLD_DOWN);
    let config = mk_config(json!({ "interfaces": ["eth1"] }));
    take(&mut fitness, S(1), &["eth0"]);
    assert_eq!(lacks(&fitness, S(1), &config).len(), 1);
    // What comes for the first time was not lost.
    take(&mut fitness, S(2), &["eth0", LAN]);
    assert_eq!(lacks(&fitness, S(2), &config).len(), 0);
    take(&mut fitness, S(3), &["eth0", "!eth1"]);
    assert_eq!(lacks(&fitness, S(3), &config).len(), 3);
    assert_eq!(fitness.next(S(3)), None);
    for flap in 4..8 {
        take(&mut fitness, S(flap), &["eth0", LAN]);
        take(&mut fitness, S(flap), &["eth0", "!eth1"]);
        take(&mut fitness, S(flap), &["eth0", LAN]);
        assert_eq!(lacks(&fitness, S(flap), &config).len(), 3);
        assert_eq!(fitness.next(S(flap)), Some(S(flap) + HOLD_DOWN));
    }
    // News of other interfaces do not begin it anew.
    take(&mut fitness, S(9), &["eth0", "eth2", LAN]);
    assert_eq!(lacks(&fitness, S(11), &config).len(), 3);
    assert_eq!(lacks(&fitness, S(12), &config).len(), 0);
    assert_eq!(fitness.next(S(12)), None);
}

#[test]
fn an_unfit_node_lacks_itself() {
    let mut fitness = Fitness::new(HOLD_DOWN);
    let config = mk_config(json!({}));
    take(&mut fitness, S(1), &[LAN]);
    assert!(fitness.set_unfit(Unfit::Cordoned, true));
    assert!(!fitness.set_unfit(Unfit::Cordoned, true));
    assert!(fitness.set_unfit(Unfit::KubeProxy, true));
    assert!(fitness.set_unfit(Unfit::Cordoned, false));
    assert_eq!(lacks(&fitness, S(1), &config), ["kube-proxy is not well"]);
    assert!(fitness.set_unfit(Unfit::KubeProxy, false));
    assert_eq!(lacks(&fitness, S(1), &config).len(), 0);
}

#[test]
fn interfaces_that_come_and_go_are_forgotten() {
    let mut fitness = Fitness::new(HOLD_DOWN);
    for number in 0..200 {
        take(&mut fitness, S(number), &["eth0=198.51.100.5/24", &format!("tap{number}")]);
    }
    assert!(fitness.interfaces.len() <= REMEMBERED + 1);
}
