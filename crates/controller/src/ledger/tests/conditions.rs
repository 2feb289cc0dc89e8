//! What is said on a Service about its addresses.

use ferrolb_api::conditions::{ALLOCATED, ANNOUNCED};
use k8s_openapi::jiff::Timestamp;

use super::*;
use crate::standing::{REASONS, Standing};

impl Cluster {
    fn speaking(pools: &[(&str, &[&str])]) -> Self {
        Self::with(Options::default(), pools)
    }

    /// Time goes on, to `second`.
    pub(super) fn tick(&mut self, second: u64) {
        let wall = Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
        self.ledger.tick(Duration::from_secs(second), wall);
        self.settle();
    }

    pub(super) fn condition(&self, name: &str, kind: &str) -> Option<Standing> {
        Standing::read(self.conditions.get(&ServiceKey::new("default", name))?, kind)
    }

    fn since(&self, name: &str, kind: &str) -> i64 {
        let conditions = &self.conditions[&ServiceKey::new("default", name)];
        let condition = conditions.iter().find(|condition| condition.type_ == kind).unwrap();
        condition.last_transition_time.0.as_second()
    }

    fn report(&mut self, name: &str, reports: &[&str]) {
        let reports = reports.iter().map(|&report| report.into()).collect();
        self.ledger.apply(Change::Announced(ServiceKey::new("default", name), reports));
    }
}

#[test]
fn the_condition_rides_with_the_address() {
    let mut cluster = Cluster::speaking(&[("lan", &["192.0.2.0/31"])]);
    cluster.edit("web", |_| {});
    cluster.settle();
    assert_eq!(cluster.writes, 1);
    let said = cluster.condition("web", ALLOCATED);
    assert_eq!(said, Some(Standing::yes("Allocated", "192.0.2.0 of pool \"lan\"")));
    cluster.edit("web", |service| service.ports[0].number = 81);
    cluster.settle();
    assert_eq!(cluster.writes, 1, "nothing new to say");
}

#[test]
fn addresses_are_written_before_it_is_said_who_announces_them() {
    let mut cluster = Cluster::speaking(&[("lan", &["10.1.0.0/16"])]);
    cluster.ledger.apply(Change::AnnouncedComplete);
    cluster.edit("web", |_| {});
    cluster.settle();
    for n in 0..100 {
        cluster.edit(&format!("s{n}"), |_| {});
    }
    let writes = cluster.work();
    assert_eq!(writes.len(), 100);
    cluster.report("web", &["n1 (layer2)"]);
    cluster.ledger.tick(Duration::from_mins(1), Timestamp::UNIX_EPOCH);
    assert_eq!(cluster.work(), [], "there is no room");
    for write in &writes[..36] {
        cluster.accept(write);
        assert_eq!(cluster.work(), []);
    }
    cluster.accept(&writes[36]);
    let said = cluster.work();
    assert_eq!((said.len(), &*said[0].key.name, &said[0].balancer), (1, "web", &None));
    for write in said.iter().chain(&writes[37..]) {
        cluster.accept(write);
    }
    cluster.settle();
    assert_eq!(cluster.condition("web", ANNOUNCED).unwrap().message, "by n1 (layer2)");
}

#[test]
fn who_waits_is_told_which_pools_refused_and_why_once() {
    let mut cluster = Cluster::speaking(&[("lan", &["192.0.2.0/32"]), ("v6", &["2001:db8::/126"])]);
    cluster.tick(10);
    cluster.edit("first", |_| {});
    cluster.settle();
    cluster.edit("second", |_| {});
    cluster.settle();
    assert_eq!(cluster.writes, 2);
    let said = cluster.condition("second", ALLOCATED).unwrap();
    assert_eq!((said.holds, &*said.reason), (false, "NoAddressAvailable"));
    assert!(
        said.message.contains("\"lan\"") && said.message.contains("\"v6\""),
        "{}",
        said.message
    );
    cluster.tick(20);
    cluster.delete("first");
    cluster.settle();
    assert_eq!(cluster.writes, 3, "address and condition in one");
    assert!(cluster.condition("second", ALLOCATED).unwrap().holds);
    assert_eq!(cluster.since("second", ALLOCATED), 20);
}

#[test]
fn conditions_of_others_survive_ours() {
    let mut cluster = Cluster::speaking(&[("lan", &["192.0.2.0/32"])]);
    let theirs = Condition {
        type_: "example.org/Checked".to_owned(),
        status: "True".to_owned(),
        reason: "Fine".to_owned(),
        message: String::new(),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
        observed_generation: Some(3),
    };
    let key = ServiceKey::new("default", "web");
    cluster.conditions.insert(key.clone(), [theirs.clone()].into());
    cluster.edit("web", |_| {});
    cluster.settle();
    let conditions = &cluster.conditions[&key];
    assert_eq!((conditions.len(), &conditions[0]), (2, &theirs));
    // A Service of another class is not ours: what we said is taken back, and nothing else.
    cluster.edit("web", |service| service.class = Some("other".into()));
    cluster.settle();
    assert_eq!(*cluster.conditions[&key], [theirs]);
    assert_eq!(cluster.status("web"), [""; 0]);
    let writes = cluster.writes;
    cluster.edit("web", |service| service.ports[0].number = 81);
    cluster.settle();
    assert_eq!(cluster.writes, writes);
}

#[test]
fn a_service_that_waits_and_changes_class_keeps_its_foreign_status() {
    let mut cluster = Cluster::speaking(&[]);
    cluster.edit("web", |_| {});
    cluster.settle();
    assert_eq!(cluster.condition("web", ALLOCATED).unwrap().reason, "NoPools");
    cluster.edit("web", |service| {
        service.class = Some("other".into());
        service.ingress = vec![Ingress { ip: None, hostname: Some("lb.example.org".into()) }];
    });
    let writes = cluster.work();
    assert_eq!((writes.len(), &writes[0].balancer), (1, &None), "only our own words go");
    cluster.accept(&writes[0]);
    cluster.settle();
    assert_eq!(cluster.condition("web", ALLOCATED), None);
}

/// Two installations, each with its own class, write conditions of one type.
#[test]
fn a_service_of_another_installation_is_left_alone_whatever_happens_to_it() {
    let mut cluster = Cluster::speaking(&[("lan", &["192.0.2.0/24"])]);
    let key = ServiceKey::new("default", "web");
    let theirs = |status: &str| Condition {
        type_: ALLOCATED.to_owned(),
        status: status.to_owned(),
        reason: "Allocated".to_owned(),
        message: String::new(),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
        observed_generation: None,
    };
    for (status, address) in [
        ("False", None),
        ("True", Some("198.51.100.1")),
        ("False", None),
        ("True", Some("192.0.2.1")),
    ] {
        cluster.conditions.insert(key.clone(), [theirs(status)].into());
        cluster.edit("web", |service| {
            service.class = Some("other".into());
            let entry = |ip: &str| Ingress { ip: Some(ip.to_owned()), hostname: None };
            service.ingress = address.map(entry).into_iter().collect();
        });
        assert!(cluster.work().is_empty(), "{status} {address:?}");
    }
    cluster.restart(&[("lan", &["192.0.2.0/24"])]);
    cluster.settle();
    assert_eq!((cluster.writes, &*cluster.conditions[&key]), (0, &[theirs("True")][..]));
}

#[test]
fn switched_off_they_are_removed_and_then_nothing_is_written() {
    let pools: &[(&str, &[&str])] = &[("lan", &["192.0.2.0/31"])];
    let mut cluster = Cluster::speaking(pools);
    cluster.edit("web", |_| {});
    cluster.settle();
    cluster.options.conditions = false;
    cluster.restart(pools);
    cluster.settle();
    assert_eq!((cluster.writes, cluster.condition("web", ALLOCATED)), (2, None));
    assert_eq!(cluster.status("web"), ["192.0.2.0"]);
    cluster.restart(pools);
    cluster.settle();
    assert_eq!(cluster.writes, 2);
}

#[test]
fn announcements_are_told_when_they_have_calmed_down() {
    let mut cluster = Cluster::speaking(&[("lan", &["192.0.2.0/31"])]);
    cluster.ledger.apply(Change::AnnouncedComplete);
    cluster.tick(100);
    cluster.edit("web", |_| {});
    cluster.settle();
    cluster.report("web", &["n1 (layer2)"]);
    cluster.tick(101);
    assert_eq!((cluster.writes, cluster.condition("web", ANNOUNCED)), (1, None));
    cluster.tick(102);
    let said = cluster.condition("web", ANNOUNCED).unwrap();
    assert_eq!((said.message.as_str(), cluster.writes), ("by n1 (layer2)", 2));
    // A fail-over: two changes, one write, and the time of transition stays.
    cluster.report("web", &[]);
    cluster.report("web", &["n2 (layer2)"]);
    cluster.tick(110);
    assert_eq!(cluster.condition("web", ANNOUNCED).unwrap().message, "by n2 (layer2)");
    assert_eq!((cluster.writes, cluster.since("web", ANNOUNCED)), (3, 102));
    cluster.report("web", &[]);
    cluster.tick(120);
    assert!(!cluster.condition("web", ANNOUNCED).unwrap().holds);
    // With the address goes the word about it.
    cluster.pool("lan", None);
    cluster.settle();
    assert_eq!((cluster.writes, cluster.condition("web", ANNOUNCED)), (5, None));
    cluster.tick(500);
    assert_eq!(cluster.writes, 5, "at rest nothing is written");
}

#[test]
fn silence_is_told_after_a_while_also_after_a_restart() {
    let pools: &[(&str, &[&str])] = &[("lan", &["192.0.2.0/31"])];
    let mut cluster = Cluster::speaking(pools);
    cluster.ledger.apply(Change::AnnouncedComplete);
    cluster.tick(100);
    cluster.edit("web", |_| {});
    cluster.settle();
    cluster.tick(114);
    assert_eq!(cluster.condition("web", ANNOUNCED), None);
    cluster.tick(115);
    assert_eq!(cluster.condition("web", ANNOUNCED).unwrap().reason, "NotAnnounced");
    cluster.report("web", &["n1 (layer2)"]);
    cluster.tick(120);
    let writes = cluster.writes;
    // A new process hears the reports one by one.
    cluster.restart(pools);
    cluster.tick(1);
    cluster.ledger.apply(Change::AnnouncedComplete);
    cluster.tick(10);
    cluster.report("web", &["n1 (layer2)"]);
    cluster.tick(60);
    assert_eq!(cluster.writes, writes);
}

#[test]
fn silence_is_told_also_when_the_watch_was_faster_than_the_answer() {
    let mut cluster = Cluster::speaking(&[("lan", &["192.0.2.0/31"])]);
    cluster.ledger.apply(Change::AnnouncedComplete);
    cluster.tick(100);
    cluster.edit("web", |_| {});
    let writes = cluster.work();
    let [write] = &writes[..] else { panic!("{writes:?}") };
    cluster.version += 1;
    let service = cluster.services.get_mut(&write.key).unwrap();
    store(service, write, cluster.version);
    let done = WriteResult::Done(Arc::clone(&service.resource_version));
    cluster.conditions.insert(write.key.clone(), Arc::clone(write.conditions.as_ref().unwrap()));
    cluster.show(&write.key);
    cluster.ledger.apply(Change::Written(write.key.clone(), done));
    cluster.tick(115);
    assert_eq!(cluster.condition("web", ANNOUNCED).unwrap().reason, "NotAnnounced");
}

#[test]
fn a_rival_is_named_left_alone_and_tried_again() {
    let mut cluster = Cluster::speaking(&[("lan", &["192.0.2.0/31"])]);
    cluster.tick(1);
    cluster.edit("web", |_| {});
    cluster.settle();
    let mut last = 0;
    let mut rival_writes = |cluster: &mut Cluster| {
        last += 1;
        let ip = format!("203.0.113.{last}");
        cluster.rivals.insert(ServiceKey::new("default", "web"), "kube-vip".into());
        cluster.edit("web", |service| {
            service.ingress = vec![Ingress { ip: Some(ip.clone()), hostname: None }];
        });
        cluster.settle();
    };
    rival_writes(&mut cluster);
    assert_eq!(cluster.status("web"), ["192.0.2.0"], "once may be a mistake");
    cluster.tick(30);
    rival_writes(&mut cluster);
    assert_eq!(cluster.status("web"), ["203.0.113.2"]);
    let said = cluster.condition("web", ALLOCATED).unwrap();
    assert_eq!(said.reason, "RivalController");
    assert!(said.message.contains("kube-vip"), "{}", said.message);
    let told = cluster.events_of("web").iter().filter(|r| **r == "RivalController").count();
    assert_eq!(told, 1);
    let writes = cluster.writes;
    cluster.tick(200);
    rival_writes(&mut cluster);
    assert_eq!(cluster.writes, writes, "nothing is written while it lasts");
    // Five minutes after it wrote last, one try.
    cluster.tick(499);
    assert_eq!(cluster.writes, writes);
    cluster.tick(501);
    assert_eq!(cluster.status("web"), ["192.0.2.0"]);
    assert_eq!(cluster.condition("web", ALLOCATED).unwrap().reason, "Allocated");
    rival_writes(&mut cluster);
    assert_eq!(cluster.status("web"), ["203.0.113.4"], "and at once no more");
    // The user does something about it.
    cluster.edit("web", |service| service.ports[0].number = 81);
    cluster.settle();
    assert_eq!(cluster.status("web"), ["192.0.2.0"]);
}

#[test]
fn reasons_are_from_the_list() {
    type Edit = fn(&mut Service);
    let mut cluster = Cluster::speaking(&[("lan", &["192.0.2.0/32"]), ("v6", &["2001:db8::/128"])]);
    let edits: [(&str, Edit); 9] = [
        ("first", |_| {}),
        ("full", |_| {}),
        ("no-ip", |service| service.cluster_ips.clear()),
        ("one-ip", |service| service.ip_family_policy = IpFamilyPolicy::RequireDualStack),
        ("headless", |service| service.cluster_ips = vec!["None".into()]),
        ("pool", |service| service.annotations.address_pool = Some("nowhere".into())),
        ("text", |service| service.load_balancer_ip = Some("text".into())),
        ("family", |service| service.load_balancer_ip = Some("2001:db8::".into())),
        ("outside", |service| service.load_balancer_ip = Some("203.0.113.1".into())),
    ];
    for (name, edit) in edits {
        cluster.edit(name, edit);
        cluster.settle();
        let said = cluster.condition(name, ALLOCATED).unwrap();
        assert!(REASONS.contains(&&*said.reason), "{}", said.reason);
        assert_eq!(said.holds, name == "first");
    }
}
