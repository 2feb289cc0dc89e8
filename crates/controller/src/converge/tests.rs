//! Upstream's table of Service mutations (`controller.md` 7.1), each row from any state.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrolb_ipam::{Owner, Pinning, Pool, Selector, ServiceKey};
use ferrolb_model::Ingress;
use rstest::rstest;

use super::*;
use crate::objects::mk_service;

/// A Service under test, with the statuses and wishes of the table's columns.
#[derive(Clone)]
struct Given(Service);

fn lb(cluster_ips: &[&str]) -> Given {
    let cluster_ips = cluster_ips.iter().map(|&ip| ip.to_owned()).collect();
    Given(Service { cluster_ips, ..mk_service("test") })
}

const V4: &[&str] = &["1.2.3.4"];
const V6: &[&str] = &["3000::1"];
const DUAL: &[&str] = &["1.2.3.4", "3000::1"];

impl Given {
    fn other_type(mut self) -> Self {
        self.0.is_load_balancer = false;
        self
    }

    fn local(mut self) -> Self {
        self.0.local_traffic_only = true;
        self
    }

    fn require(mut self) -> Self {
        self.0.ip_family_policy = IpFamilyPolicy::RequireDualStack;
        self
    }

    fn prefer(mut self) -> Self {
        self.0.ip_family_policy = IpFamilyPolicy::PreferDualStack;
        self
    }

    fn spec_ip(mut self, ip: &str) -> Self {
        self.0.load_balancer_ip = Some(ip.to_owned());
        self
    }

    fn ann_ip(mut self, ips: &str) -> Self {
        self.0.annotations.load_balancer_ips = Some(ips.to_owned());
        self
    }

    fn ann_pool(mut self, pool: &str) -> Self {
        self.0.annotations.address_pool = Some(pool.to_owned());
        self
    }

    fn namespace(mut self, namespace: &str) -> Self {
        self.0.key = ServiceKey::new(namespace, "test");
        self
    }

    fn team_metallb(mut self) -> Self {
        self.0.labels.extend([("team".to_owned(), "metallb".to_owned())]);
        self
    }

    /// A text that starts with `host:` is a hostname entry.
    fn status(mut self, entries: &[&str]) -> Self {
        self.0.ingress = entries
            .iter()
            .map(|entry| match entry.strip_prefix("host:") {
                Some(name) => Ingress { ip: None, hostname: Some(name.to_owned()) },
                None => Ingress { ip: Some((*entry).to_owned()), hostname: None },
            })
            .collect();
        self
    }

    fn held(&self) -> Vec<String> {
        self.0.ingress.iter().filter_map(|entry| entry.ip.clone()).collect()
    }
}

fn mk_pool(name: &str, ranges: &[&str], pinning: Option<Pinning>) -> Pool {
    Pool {
        name: name.into(),
        ranges: ranges.iter().map(|range| range.parse().unwrap()).collect(),
        auto_assign: true,
        avoid_buggy_ips: false,
        pinning,
    }
}

fn pin(priority: i64, namespace: Option<&str>, team: Option<&str>) -> Pinning {
    let selectors = team.map(|team| {
        let labels = BTreeMap::from([("team".to_owned(), team.to_owned())]);
        Selector::new(&labels, Vec::new()).unwrap()
    });
    Pinning {
        priority,
        namespaces: namespace.map(|namespace| [namespace.to_owned()].into()),
        service_selectors: selectors.into_iter().collect(),
    }
}

/// The pools of the table.
fn mk_pools() -> Vec<Pool> {
    let mut pools = vec![
        mk_pool("pool1", &["1.2.3.0/31"], None),
        mk_pool("pool2", &["3.4.5.6/32"], None),
        mk_pool("pool3", &["1000::/127"], None),
        mk_pool("pool4", &["2000::1/128"], None),
        mk_pool("pool5", &["1.2.3.0/31", "1000::/127"], None),
        mk_pool("pool6", &["7.8.9.0/31"], Some(pin(10, Some("test-ns1"), None))),
        mk_pool("pool7", &["10.11.12.0/31"], Some(pin(11, Some("test-ns1"), None))),
        mk_pool("pool8", &["13.14.15.0/31"], Some(pin(9, None, Some("metallb")))),
        mk_pool("pool9", &["16.17.18.0/31"], Some(pin(0, Some("test-ns2"), None))),
        mk_pool("pool10", &["19.20.21.0/31"], Some(pin(8, None, Some("metallb")))),
        mk_pool("pool11", &["22.23.24.0/31"], Some(pin(8, Some("test-ns1"), Some("metallb")))),
        mk_pool("pool12", &["25.26.27.0/31"], Some(pin(5, Some("test-ns1"), Some("metallb")))),
    ];
    pools[1].auto_assign = false;
    pools[3].auto_assign = false;
    pools
}

/// A controller's state without the controller.
struct State {
    config: Config,
    allocator: Allocator,
}

impl State {
    fn new(pools: Vec<Pool>) -> Self {
        let mut config = Config::default();
        config.pools = pools.iter().map(|pool| (pool.name.clone(), pool.clone())).collect();
        let mut allocator = Allocator::default();
        allocator.set_pools(pools);
        Self { config, allocator }
    }

    fn converge(&mut self, given: &Given) -> Decision {
        let kept = Kept::default();
        let rules = Rules {
            ours: None,
            config: &self.config,
            kept: &kept,
            stored: true,
            entitled: true,
            taken: Taken { stations: &BTreeMap::new(), stays: false },
            only_confirm: false,
        };
        converge(&given.0, &given.held(), &rules, &mut self.allocator)
    }
}

/// What the table's third column says.
enum Expected {
    /// These addresses, in order, without a Warning.
    Ips(&'static [&'static str]),
    /// These addresses and a Warning.
    IpsAndWarning(&'static [&'static str]),
    /// No address and no Warning.
    Nothing,
    /// No address and a Warning.
    Warning,
}

use Expected::{Ips, IpsAndWarning, Nothing, Warning};

#[rstest]
#[case::c_02_not_a_load_balancer(lb(V4).other_type(), Nothing)]
#[case::c_03_any_address(lb(V4), Ips(&["1.2.3.0"]))]
#[case::c_04_spec_ip(lb(V4).spec_ip("1.2.3.1"), Ips(&["1.2.3.1"]))]
#[case::c_05_annotated_ip(lb(V4).ann_ip("1.2.3.1"), Ips(&["1.2.3.1"]))]
#[case::c_06_asked_twice(lb(V4).ann_ip("1.2.3.1").spec_ip("1.2.3.2"), Warning)]
#[case::c_07_spec_ip_is_text(lb(V4).spec_ip("please sir may I have an IP address"), Warning)]
#[case::c_08_ip_of_other_pool(lb(V4).ann_ip("1.2.3.1").ann_pool("pool2"), Warning)]
#[case::c_09_annotated_ip_is_text(lb(V4).ann_ip("one"), Warning)]
#[case::c_10_two_of_one_family(lb(V4).ann_ip("1.2.3.1,1.2.3.2"), Warning)]
#[case::c_11_asks_outside_pools(lb(V4).spec_ip("1.2.3.4").status(&["1.2.3.1"]), Warning)]
#[case::c_12_named_pool(lb(V4).ann_pool("pool1"), Ips(&["1.2.3.0"]))]
#[case::c_13_other_pool(lb(V4).ann_pool("pool2").status(&["1.2.3.0"]), Ips(&["3.4.5.6"]))]
#[case::c_14_unknown_pool(lb(V4).ann_pool("does-not-exist"), Warning)]
#[case::c_16_foreign_status(lb(V4).status(&["host:foo.bar.local", "10.10.10.10"]), Ips(&["1.2.3.0"]))]
#[case::c_15_status_outside_pools(lb(V4).status(&["2.3.4.5"]), Ips(&["1.2.3.0"]))]
#[case::c_17_became_node_port(lb(V4).other_type().status(&["1.2.3.0"]), Nothing)]
#[case::c_18_without_auto_assign(lb(V4).spec_ip("3.4.5.6"), Ips(&["3.4.5.6"]))]
#[case::c_19_local_traffic(lb(V4).spec_ip("3.4.5.6").local(), Ips(&["3.4.5.6"]))]
#[case::c_20_no_cluster_ip(lb(&[]), Nothing)]
#[case::c_21_v6_asks_v4(lb(V6).spec_ip("1.2.3.1"), Warning)]
#[case::c_22_v6_asks_v4_annotated(lb(V6).ann_ip("1.2.3.1"), Warning)]
#[case::c_23_v4_asks_v6(lb(V4).spec_ip("1000::"), Warning)]
#[case::c_24_v4_asks_v6_annotated(lb(V4).ann_ip("1000::"), Warning)]
#[case::c_25_v4_holds_v6(lb(V4).status(&["1000::"]), Ips(&["1.2.3.0"]))]
#[case::c_26_v6_holds_v4(lb(V6).status(&["1.2.3.0"]), Ips(&["1000::"]))]
#[case::c_28_require(lb(DUAL).require(), Ips(&["1.2.3.0", "1000::"]))]
#[case::c_29_require_from_pool(lb(DUAL).require().ann_pool("pool5"), Ips(&["1.2.3.0", "1000::"]))]
#[case::c_30_prefer(lb(DUAL).prefer(), Ips(&["1.2.3.0", "1000::"]))]
#[case::c_31_priority(lb(V4).prefer().namespace("test-ns1"), Ips(&["7.8.9.0"]))]
#[case::c_32_prefer_from_pool(lb(DUAL).prefer().ann_pool("pool5"), Ips(&["1.2.3.0", "1000::"]))]
#[case::c_33_prefer_v4_pool(lb(&["1.2.3.4", "1000::1"]).prefer().ann_pool("pool1"), Ips(&["1.2.3.0"]))]
#[case::c_34_prefer_v6_pool(lb(&["1000::1"]).prefer().ann_pool("pool3"), Ips(&["1000::"]))]
#[case::c_35_prefer_one_cluster_ip(lb(V4).prefer().ann_pool("pool5"), Ips(&["1.2.3.0"]))]
#[case::c_36_require_one_cluster_ip(lb(V4).require().ann_pool("pool5"), Warning)]
#[case::c_37_dual_asks_one(lb(DUAL).spec_ip("1.2.3.1"), Warning)]
#[case::c_38_dual_asks_one_annotated(lb(DUAL).ann_ip("1.2.3.1"), Warning)]
#[case::c_39_require_asks_both(lb(DUAL).require().ann_ip("1.2.3.0,1000::"), Ips(&["1.2.3.0", "1000::"]))]
#[case::c_40_require_holds_one(
    lb(&["3000::1", "5.6.7.8"]).require().status(&["host:foo.bar.local", "1000::"]),
    Ips(&["1.2.3.0", "1000::"])
)]
#[case::c_41_one_cluster_ip_asks_two(lb(V4).ann_ip("1.2.3.0,1000::"), Warning)]
#[case::c_42_namespace(lb(V4).namespace("test-ns1"), Ips(&["7.8.9.0"]))]
#[case::c_43_other_namespace(lb(V4).namespace("test-ns2"), Ips(&["16.17.18.0"]))]
#[case::c_44_label(lb(V4).team_metallb(), Ips(&["19.20.21.0"]))]
#[case::c_45_namespace_and_label(lb(V4).team_metallb().namespace("test-ns1"), Ips(&["25.26.27.0"]))]
#[case::c_46_three_held(
    lb(V4).status(&["1.2.3.0", "1.2.3.1", "1.2.3.2"]),
    IpsAndWarning(&["1.2.3.0"])
)]
fn mutation(#[case] given: Given, #[case] expected: Expected) {
    let (ips, warning): (&[&str], bool) = match expected {
        Ips(ips) => (ips, false),
        IpsAndWarning(ips) => (ips, true),
        Nothing => (&[], false),
        Warning => (&[], true),
    };
    // From nothing, and from whatever some other state of the same Service left behind.
    let befores = [None, Some(lb(V4)), Some(lb(DUAL).require()), Some(lb(V4).ann_pool("pool2"))];
    for before in befores {
        let mut state = State::new(mk_pools());
        if let Some(mut before) = before {
            before.0.key = given.0.key.clone();
            state.converge(&before);
        }
        let decision = state.converge(&given);
        let got: Vec<_> = decision.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(got, ips, "{:?}", decision.notes);
        let warned = decision
            .notes
            .iter()
            .any(|note| note.reason.event_type() == ferrolb_api::reasons::EventType::Warning);
        assert_eq!(warned, warning, "{:?}", decision.notes);
        // Once settled, it stays: no further event, no other address.
        if decision.outcome == Outcome::Settled && given.0.is_load_balancer {
            let again = given.clone().status(ips);
            let second = state.converge(&again);
            assert_eq!((second.addresses, second.notes), (decision.addresses, Vec::new()));
        }
    }
}

#[test]
fn c_01_and_c_27_a_gone_service_has_nothing_to_write() {
    let mut state = State::new(mk_pools());
    state.converge(&lb(V4));
    let released = state.allocator.release(&ServiceKey::new("default", "test"));
    assert_eq!(released.map(|assignment| assignment.ips.len()), Some(1));
    assert_eq!(state.allocator.release(&ServiceKey::new("default", "test")), None);
}

#[test]
fn q_05_a_single_cluster_ip_never_alternates_between_one_address_and_two() {
    let mut state = State::new(vec![mk_pool("dual", &["1.2.3.0/31", "1000::/127"], None)]);
    let mut given = lb(V4).prefer();
    for _ in 0..4 {
        let decision = state.converge(&given);
        assert_eq!(decision.addresses, ["1.2.3.0".parse::<IpAddr>().unwrap()]);
        given = given.status(&["1.2.3.0"]);
    }
}

#[test]
fn q_06_a_service_that_changes_class_gives_its_address_back() {
    let mut state = State::new(mk_pools());
    state.converge(&lb(V4));
    let mut other = lb(V4).status(&["1.2.3.0"]);
    other.0.class = Some(Arc::from("someone/else"));
    let decision = state.converge(&other);
    assert_eq!((decision.addresses.len(), decision.outcome), (0, Outcome::Settled));
    // Seen again, it is none of our business.
    assert_eq!(state.converge(&other).outcome, Outcome::Ignored);
}

#[test]
fn a_bad_wish_keeps_the_address_that_is_held() {
    let mut state = State::new(mk_pools());
    let decision = state.converge(&lb(V4).ann_ip("nonsense").status(&["1.2.3.1"]));
    assert_eq!(decision.addresses, ["1.2.3.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(decision.notes[0].reason, EventReason::LoadBalancerFailed);
    assert!(decision.notes[0].message.contains("nonsense"), "{}", decision.notes[0].message);
}

#[test]
fn e_18_a_second_family_is_added_when_the_pool_grows_it() {
    let mut state = State::new(vec![mk_pool("p", &["1.2.3.0/31"], None)]);
    let given = lb(DUAL).prefer();
    assert_eq!(state.converge(&given).addresses.len(), 1);
    let mut grown = State::new(vec![mk_pool("p", &["1.2.3.0/31", "1000::/127"], None)]);
    let decision = grown.converge(&given.status(&["1.2.3.0"]));
    let got: Vec<_> = decision.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(got, ["1.2.3.0", "1000::"]);
    assert_eq!(decision.notes[0].message, "Assigned additional IP \"1000::\"");
}

#[rstest]
#[case::node(Owner::Node, "NodeAddress", "1.2.3.0 is the address of node x; given")]
#[case::routers(
    Owner::SubnetRouters,
    "NodeAddress",
    "1.2.3.0 is what routers of the subnet of node x"
)]
#[case::station(
    Owner::Station,
    "AddressConflict",
    "1.2.3.0 is refused by speakers, because station x"
)]
fn somebody_elses_address_is_given_on_request_with_a_warning(
    #[case] owner: Owner,
    #[case] reason: &str,
    #[case] message: &str,
) {
    let mut state = State::new(mk_pools());
    let address: IpAddr = "1.2.3.0".parse().unwrap();
    state.allocator.set_reserved([(address, owner, "x")].into_iter().collect());
    let chosen = state.converge(&lb(V4)).addresses;
    assert_eq!(chosen, ["1.2.3.1".parse::<IpAddr>().unwrap()]);
    let decision = state.converge(&lb(V4).ann_ip("1.2.3.0"));
    assert_eq!(decision.addresses, [address]);
    let told = decision.notes.iter().find(|note| note.reason.as_str() == reason);
    assert!(told.is_some_and(|note| note.message.starts_with(message)), "{:?}", decision.notes);
    assert!(!decision.moved);
}
