//! The life of a Service, change by change (`controller.md` 2.6).

use super::*;

/// Two pools of two families each, and a small one of one family.
const POOLS: &[(&str, &[&str])] = &[
    ("a", &["192.0.2.0/31", "2001:db8:a::/127"]),
    ("b", &["198.51.100.0/31", "2001:db8:b::/127"]),
];

fn dual(policy: IpFamilyPolicy) -> impl Fn(&mut Service) {
    move |service| {
        service.cluster_ips = vec!["10.96.0.1".to_owned(), "fd00::1".to_owned()];
        service.ip_family_policy = policy;
    }
}

fn single(service: &mut Service) {
    service.cluster_ips.truncate(1);
    service.ip_family_policy = IpFamilyPolicy::SingleStack;
}

#[test]
fn families_follow_the_cluster_up_and_down_without_alternating() {
    let mut cluster = Cluster::new(POOLS);
    cluster.edit("web", |_| {});
    cluster.settle();
    assert_eq!(cluster.status("web"), ["192.0.2.0"]);
    cluster.edit("web", dual(IpFamilyPolicy::PreferDualStack));
    cluster.settle();
    assert_eq!(cluster.status("web"), ["192.0.2.0", "2001:db8:a::"], "the first stays");
    cluster.edit("web", single);
    cluster.settle();
    assert_eq!(cluster.status("web"), ["192.0.2.0"]);
    cluster.edit("web", dual(IpFamilyPolicy::RequireDualStack));
    cluster.settle();
    assert_eq!(cluster.status("web"), ["192.0.2.0", "2001:db8:a::"]);
    let writes = cluster.writes;
    for label in ["x", "y", "z"] {
        cluster.edit("web", |service| {
            service.labels.extend([(label.to_owned(), String::new())]);
        });
        cluster.settle();
    }
    assert_eq!(cluster.writes, writes, "Q-5: it settles");
}

#[test]
fn e_19_prefer_require_and_prefer_again_on_a_pool_of_one_family() {
    let mut cluster = Cluster::new(&[("v4", &["192.0.2.0/31"])]);
    cluster.edit("web", dual(IpFamilyPolicy::PreferDualStack));
    cluster.settle();
    assert_eq!(cluster.status("web"), ["192.0.2.0"]);
    cluster.edit("web", dual(IpFamilyPolicy::RequireDualStack));
    cluster.settle();
    assert_eq!(cluster.status("web"), [""; 0]);
    cluster.edit("web", dual(IpFamilyPolicy::PreferDualStack));
    cluster.settle();
    assert_eq!(cluster.status("web"), ["192.0.2.0"]);
}

#[test]
fn e_20_and_e_21_a_pair_comes_from_one_pool() {
    let mut cluster = Cluster::new(&[("v4", &["192.0.2.0/31"])]);
    cluster.edit("web", dual(IpFamilyPolicy::PreferDualStack));
    cluster.settle();
    cluster.pool("both", Some(&["198.51.100.0/31", "2001:db8::/127"]));
    cluster.settle();
    assert_eq!(cluster.status("web"), ["192.0.2.0"], "it does not jump");
    cluster.pool("v4", Some(&["192.0.2.0/31", "2001:db8:4::/127"]));
    cluster.settle();
    assert_eq!(cluster.status("web"), ["192.0.2.0", "2001:db8:4::"]);
    cluster.pool("v4", Some(&["2001:db8:4::/127"]));
    cluster.settle();
    assert_eq!(cluster.status("web"), ["198.51.100.0", "2001:db8::"], "both are replaced");
}

#[test]
fn the_pool_asked_for_and_what_becomes_of_it() {
    let mut cluster = Cluster::new(POOLS);
    let ask = |pool: Option<&'static str>| {
        move |service: &mut Service| service.annotations.address_pool = pool.map(Into::into)
    };
    cluster.edit("web", ask(Some("b")));
    cluster.settle();
    assert_eq!(cluster.status("web"), ["198.51.100.0"]);
    cluster.edit("web", ask(None));
    cluster.settle();
    assert_eq!(cluster.status("web"), ["198.51.100.0"], "the wish is gone, the address stays");
    cluster.edit("web", ask(Some("a")));
    cluster.settle();
    assert_eq!(cluster.status("web"), ["192.0.2.0"]);
    cluster.edit("web", ask(Some("nowhere")));
    cluster.settle();
    assert_eq!(cluster.status("web"), [""; 0]);
    cluster.pool("nowhere", Some(&["203.0.113.0/31"]));
    cluster.settle();
    assert_eq!(cluster.status("web"), ["203.0.113.0"], "woken by the pool it waits for");
}

#[test]
fn a_pool_renamed_shrunk_and_split() {
    let mut cluster = Cluster::new(&[("old", &["192.0.2.0/30"])]);
    for name in ["x", "y", "z"] {
        cluster.edit(name, |_| {});
        cluster.settle();
    }
    let key = |name| ServiceKey::new("default", name);
    let pool_of = |cluster: &Cluster, name| {
        cluster.services[&key(name)].annotations.allocated_from_pool.clone()
    };
    let writes = cluster.writes;
    cluster.pool("old", None);
    cluster.pool("new", Some(&["192.0.2.0/30"]));
    cluster.settle();
    assert_eq!(cluster.status("z"), ["192.0.2.2"], "renamed: the address stays");
    assert_eq!(pool_of(&cluster, "z").as_deref(), Some("new"));
    assert_eq!(cluster.writes, writes + 3, "one write each, for the annotation");
    cluster.pool("new", Some(&["192.0.2.0/31"]));
    cluster.settle();
    assert_eq!(cluster.status("z"), [""; 0], "shrunk: it is out and nothing is left");
    cluster.pool("new", Some(&["192.0.2.0/32"]));
    cluster.pool("rest", Some(&["192.0.2.1/32", "192.0.2.3/32"]));
    cluster.settle();
    assert_eq!(cluster.status("y"), ["192.0.2.1"], "split: it stays");
    assert_eq!(pool_of(&cluster, "y").as_deref(), Some("rest"));
    assert_eq!(cluster.status("z"), ["192.0.2.3"]);
}

#[test]
fn buggy_addresses_are_given_up_when_the_pool_leaves_them_out() {
    let mut cluster = Cluster::new(&[("lan", &["192.0.2.0/30"])]);
    cluster.edit("web", |_| {});
    cluster.settle();
    assert_eq!(cluster.status("web"), ["192.0.2.0"]);
    let mut pool = mk_pool("lan", &["192.0.2.0/30"]);
    pool.spec.avoid_buggy_ips = true;
    cluster.ledger.apply(Change::Pool("lan".to_owned(), Some(Box::new(pool))));
    cluster.settle();
    assert_eq!(cluster.status("web"), ["192.0.2.1"]);
}

#[test]
fn a_namespace_that_loses_its_label_loses_the_pool_and_gets_it_back() {
    let mut cluster = Cluster::new(&[]);
    let mut pool = mk_pool("team", &["192.0.2.0/31"]);
    pool.spec.service_allocation = serde_json::from_value(serde_json::json!({
        "namespaceSelectors": [{ "matchLabels": { "team": "metallb" } }],
    }))
    .unwrap();
    cluster.ledger.apply(Change::Pool("team".to_owned(), Some(Box::new(pool))));
    let label = |cluster: &mut Cluster, team: &str| {
        let namespace = ferrolb_model::Namespace {
            name: "default".into(),
            labels: ferrolb_model::Labels::from([("team".to_owned(), team.to_owned())]),
        };
        cluster.ledger.apply(Change::Namespace("default".into(), Some(namespace)));
        cluster.settle();
    };
    cluster.edit("web", |_| {});
    label(&mut cluster, "other");
    assert_eq!(cluster.status("web"), [""; 0]);
    label(&mut cluster, "metallb");
    assert_eq!(cluster.status("web"), ["192.0.2.0"]);
    label(&mut cluster, "other");
    assert_eq!(cluster.status("web"), [""; 0]);
}

#[test]
fn q_08_selectors_that_match_nothing_close_the_pool_unless_upstreams_reading_is_asked_for() {
    for (open, expected) in [(false, vec![]), (true, vec!["192.0.2.0".to_owned()])] {
        let options = Options { open_unmatched_pools: open, conditions: false, class: None };
        let mut cluster = Cluster::with(options, &[]);
        let mut pool = mk_pool("team", &["192.0.2.0/31"]);
        pool.spec.service_allocation = serde_json::from_value(serde_json::json!({
            "namespaceSelectors": [{ "matchLabels": { "team": "metallb" } }],
        }))
        .unwrap();
        cluster.ledger.apply(Change::Pool("team".to_owned(), Some(Box::new(pool))));
        cluster.edit("unasked", |_| {});
        cluster.edit("asks", |service| service.annotations.address_pool = Some("team".into()));
        cluster.settle();
        assert_eq!(cluster.status("unasked"), [""; 0], "never picked");
        assert_eq!(cluster.status("asks"), expected);
    }
}

#[test]
fn q_07_an_address_left_for_another_one_goes_to_who_waits() {
    let mut cluster = Cluster::new(&[("lan", &["192.0.2.0/32"]), ("fix", &["198.51.100.0/32"])]);
    cluster.edit("first", |service| service.annotations.address_pool = Some("lan".into()));
    cluster.settle();
    cluster.edit("waits", |service| service.annotations.address_pool = Some("lan".into()));
    cluster.settle();
    cluster.edit("first", |service| service.annotations.address_pool = Some("fix".into()));
    cluster.settle();
    assert_eq!(cluster.status("waits"), ["192.0.2.0"]);
}

#[test]
fn ports_that_clash_part_those_that_share() {
    let mut cluster = Cluster::new(&[("lan", &["192.0.2.0/31"])]);
    let share = |port: u16| {
        move |service: &mut Service| {
            service.annotations.allow_shared_ip = Some("key".into());
            service.ports[0].number = port;
        }
    };
    cluster.edit("x", share(80));
    cluster.edit("y", share(81));
    cluster.settle();
    assert_eq!(
        (cluster.status("x"), cluster.status("y")),
        (vec!["192.0.2.0".into()], vec!["192.0.2.0".into()])
    );
    cluster.edit("y", share(80));
    cluster.settle();
    assert_eq!(cluster.status("x"), ["192.0.2.0"], "who was there stays");
    assert_eq!(cluster.status("y"), ["192.0.2.1"]);
    cluster.edit("y", |service| service.annotations.allow_shared_ip = None);
    cluster.settle();
    assert_eq!(cluster.status("y"), ["192.0.2.1"], "alone on it, it may change its terms");
}
