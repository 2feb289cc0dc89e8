//! The ledger through its changes and effects, with the API server played by the test.

use std::collections::BTreeMap;

use ferrolb_addr::Family;
use ferrolb_model::{Ingress, IpFamilyPolicy, Labels, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::*;
use crate::objects::{hold, mk_pool, mk_service};
use crate::row::Row;

mod conditions;
mod histories;
mod life;
mod refusals;
mod replicas;
mod work;

/// An API server that stores what it is told to write and shows it again.
struct Cluster {
    ledger: Ledger,
    options: Options,
    services: BTreeMap<ServiceKey, Service>,
    conditions: BTreeMap<ServiceKey, Arc<[Condition]>>,
    /// Who is said to have written the addresses last, if not we.
    rivals: BTreeMap<ServiceKey, Arc<str>>,
    version: u64,
    writes: usize,
    events: Vec<(String, &'static str)>,
}

impl Cluster {
    fn new(pools: &[(&str, &[&str])]) -> Self {
        Self::with(Options { conditions: false, ..Options::default() }, pools)
    }

    fn with(options: Options, pools: &[(&str, &[&str])]) -> Self {
        let mut cluster = Self {
            ledger: Ledger::new(options.clone()),
            options,
            services: BTreeMap::new(),
            conditions: BTreeMap::new(),
            rivals: BTreeMap::new(),
            version: 1,
            writes: 0,
            events: Vec::new(),
        };
        for (name, addresses) in pools {
            cluster.pool(name, Some(addresses));
        }
        cluster
    }

    fn pool(&mut self, name: &str, addresses: Option<&[&str]>) {
        let pool = addresses.map(|addresses| Box::new(mk_pool(name, addresses)));
        self.ledger.apply(Change::Pool(name.to_owned(), pool));
    }

    /// Creates or edits a Service, as a user does.
    fn edit(&mut self, name: &str, edit: impl Fn(&mut Service)) {
        self.version += 1;
        let key = ServiceKey::new("default", name);
        let service = self.services.entry(key.clone()).or_insert_with(|| mk_service(name));
        edit(service);
        service.resource_version = self.version.to_string().into();
        self.show(&key);
    }

    /// The watch shows a Service as it is.
    fn show(&mut self, key: &ServiceKey) {
        let row = Row {
            service: self.services[key].clone(),
            conditions: self.conditions.get(key).cloned().unwrap_or_default(),
            rival: self.rivals.get(key).cloned(),
        };
        self.ledger.apply(Change::Service(Box::new(row)));
    }

    fn delete(&mut self, name: &str) {
        let key = ServiceKey::new("default", name);
        self.services.remove(&key);
        self.conditions.remove(&key);
        self.ledger.apply(Change::ServiceGone(key));
    }

    /// Lets everything happen until nothing is left; writes succeed at once and are shown.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let writes = self.work();
            if writes.is_empty() {
                return;
            }
            for write in writes {
                self.accept(&write);
            }
        }
        panic!("does not settle");
    }

    /// Lets the ledger work; returns what it wants written.
    fn work(&mut self) -> Vec<StatusWrite> {
        let mut writes = Vec::new();
        while let Some(effects) = self.ledger.step() {
            for effect in effects {
                match effect {
                    Effect::Write(write) => writes.push(write),
                    Effect::Event { service, note } => {
                        self.events.push((service.key.name.to_string(), note.reason.as_str()));
                    }
                    _ => {}
                }
            }
        }
        self.writes += writes.len();
        writes
    }

    /// Stores a write as the API server would, answers, and shows the new object.
    fn accept(&mut self, write: &StatusWrite) {
        let Some(service) = self.services.get_mut(&write.key) else {
            self.ledger.apply(Change::Written(write.key.clone(), WriteResult::Missing));
            return;
        };
        if service.resource_version != write.resource_version {
            self.ledger.apply(Change::Written(write.key.clone(), WriteResult::Conflict));
            return;
        }
        self.version += 1;
        store(service, write, self.version);
        let version = Arc::clone(&service.resource_version);
        if write.balancer.is_some() {
            self.rivals.remove(&write.key);
        }
        if let Some(conditions) = &write.conditions {
            self.conditions.insert(write.key.clone(), Arc::clone(conditions));
        }
        self.ledger.apply(Change::Written(write.key.clone(), WriteResult::Done(version)));
        self.show(&write.key);
    }

    fn status(&self, name: &str) -> Vec<String> {
        let service = &self.services[&ServiceKey::new("default", name)];
        service.ingress.iter().filter_map(|entry| entry.ip.clone()).collect()
    }

    fn events_of(&self, name: &str) -> Vec<&'static str> {
        self.events.iter().filter(|(of, _)| of == name).map(|(_, reason)| *reason).collect()
    }

    /// A new process that lists what is there.
    fn restart(&mut self, pools: &[(&str, &[&str])]) {
        self.ledger = Ledger::new(self.options.clone());
        for (name, addresses) in pools {
            self.pool(name, Some(addresses));
        }
        for key in self.services.keys().cloned().collect::<Vec<_>>() {
            self.show(&key);
        }
    }
}

/// The addresses that a write sets.
fn given(write: &StatusWrite) -> Vec<String> {
    write.balancer.iter().flat_map(|b| &b.addresses).map(ToString::to_string).collect()
}

fn store(service: &mut Service, write: &StatusWrite, version: u64) {
    if let Some(Balancer { addresses, pool }) = &write.balancer {
        hold(service, addresses, pool.as_ref());
    }
    service.resource_version = version.to_string().into();
}

#[test]
fn c_47_to_50_nothing_is_given_before_there_are_pools() {
    let mut cluster = Cluster::new(&[]);
    cluster.edit("web", |_| {});
    cluster.settle();
    // Nothing is decided before the pools are listed; that there is none is told then.
    assert_eq!((cluster.writes, cluster.events_of("web")), (0, vec!["AllocationFailed"]));
    cluster.pool("default", Some(&["1.2.3.0/24"]));
    cluster.settle();
    assert_eq!(cluster.status("web"), ["1.2.3.0"]);
    assert_eq!(cluster.events_of("web"), ["AllocationFailed", "IPAllocated"]);
}

#[test]
fn c_51_to_53_without_pools_the_address_is_taken_back() {
    let mut cluster = Cluster::new(&[("default", &["1.2.3.0/24"])]);
    cluster.edit("web", |_| {});
    cluster.settle();
    cluster.pool("default", None);
    cluster.settle();
    assert_eq!(cluster.status("web"), [""; 0]);
}

#[test]
fn c_54_to_57_and_k_044_and_k_050_a_freed_address_goes_to_who_waits() {
    let mut cluster = Cluster::new(&[("p", &["1.2.3.0/32"])]);
    cluster.edit("first", |_| {});
    cluster.settle();
    cluster.edit("second", |_| {});
    cluster.settle();
    assert_eq!(cluster.status("first"), ["1.2.3.0"]);
    assert_eq!(cluster.status("second"), [""; 0]);
    assert_eq!(cluster.events_of("second"), ["AllocationFailed"]);
    cluster.delete("first");
    cluster.settle();
    assert_eq!(cluster.status("second"), ["1.2.3.0"]);
    assert_eq!(cluster.events_of("second"), ["AllocationFailed", "IPAllocated"]);
}

#[test]
fn c_58_to_62_pools_change_under_an_address() {
    let mut cluster = Cluster::new(&[("default", &["1.2.3.0/24", "1000::/127"])]);
    cluster.edit("web", |_| {});
    cluster.settle();
    cluster.pool("second", Some(&["4.5.6.0/24"]));
    cluster.settle();
    assert_eq!((cluster.status("web"), cluster.writes), (vec!["1.2.3.0".to_owned()], 1));
    cluster.pool("default", None);
    cluster.settle();
    // Upstream's poller indexes the status unguarded (L2-06): the move is one write.
    assert_eq!((cluster.status("web"), cluster.writes), (vec!["4.5.6.0".to_owned()], 2));
}

#[test]
fn c_63_to_66_dual_stack_waits_for_pools_too() {
    let mut cluster = Cluster::new(&[]);
    cluster.edit("web", |service| {
        service.cluster_ips = vec!["1.2.3.4".to_owned(), "1000::1".to_owned()];
        service.ip_family_policy = IpFamilyPolicy::RequireDualStack;
    });
    cluster.settle();
    assert_eq!(cluster.writes, 0);
    cluster.pool("default", Some(&["1.2.3.0/24", "1000::/127"]));
    cluster.settle();
    assert_eq!(cluster.status("web"), ["1.2.3.0", "1000::"]);
}

#[test]
fn e_01_a_service_that_becomes_cluster_ip_frees_its_address() {
    let mut cluster = Cluster::new(&[("p", &["1.2.3.0/32"])]);
    cluster.edit("a", |_| {});
    cluster.settle();
    cluster.edit("b", |_| {});
    cluster.settle();
    // The field selector makes the change of type look like a deletion.
    cluster.delete("a");
    cluster.settle();
    assert_eq!(cluster.status("b"), ["1.2.3.0"]);
}

#[test]
fn e_03_addresses_survive_restarts_whatever_order_services_are_listed_in() {
    let pools: &[(&str, &[&str])] = &[("p", &["192.168.10.100/32", "192.168.20.200/32"])];
    let mut cluster = Cluster::new(pools);
    for name in ["z", "y", "b", "a"] {
        cluster.edit(name, |_| {});
        cluster.settle();
    }
    let before = (cluster.status("z"), cluster.status("y"));
    assert_eq!(before, (vec!["192.168.10.100".to_owned()], vec!["192.168.20.200".to_owned()]));
    for _ in 0..5 {
        let writes = cluster.writes;
        cluster.restart(pools);
        cluster.settle();
        assert_eq!((cluster.status("z"), cluster.status("y")), before);
        assert_eq!(cluster.writes, writes, "a restart changes nothing");
    }
}

#[test]
fn e_04_to_08_sharing_follows_key_ports_policy_and_selector() {
    let mut cluster = Cluster::new(&[("p", &["1.2.3.0/32"])]);
    let share = |service: &mut Service| {
        service.annotations.allow_shared_ip = Some("share".to_owned());
        service.selector = Labels::from([("app".to_owned(), "one".to_owned())]);
    };
    cluster.edit("svc1", share);
    cluster.edit("svc2", |service| {
        share(service);
        service.ports[0].number = 81;
    });
    cluster.settle();
    let held = |cluster: &Cluster| (cluster.status("svc1").len(), cluster.status("svc2").len());
    assert_eq!(held(&cluster), (1, 1));
    cluster.edit("svc2", |service| service.local_traffic_only = true);
    cluster.settle();
    assert_eq!(held(&cluster), (1, 0), "second switches to Local");
    cluster.edit("svc1", |service| service.local_traffic_only = true);
    cluster.settle();
    assert_eq!(held(&cluster), (1, 1), "first switches to Local too");
    let other = Labels::from([("foo".to_owned(), "bar".to_owned())]);
    cluster.edit("svc1", |service| service.selector = other.clone());
    cluster.settle();
    assert_eq!(held(&cluster), (0, 1), "first changes its selector");
    cluster.edit("svc2", |service| service.selector = other.clone());
    cluster.settle();
    assert_eq!(held(&cluster), (1, 1), "second changes to the same");
}

#[test]
fn a_row_from_before_our_write_does_not_give_the_address_away() {
    let mut cluster = Cluster::new(&[("p", &["1.2.3.0/31"])]);
    cluster.edit("a", |_| {});
    let writes = cluster.work();
    assert_eq!(writes.len(), 1);
    // The user edits a label while the write is under way: the row still has no status.
    cluster.edit("a", |service| {
        service.labels.extend([("k".to_owned(), "v".to_owned())]);
    });
    assert_eq!(cluster.work(), []);
    cluster.edit("b", |_| {});
    let other = cluster.work();
    assert_eq!(given(&other[0]), ["1.2.3.1"]);
    // Our write comes too late for its version, is decided again and sent again.
    cluster.accept(&writes[0]);
    cluster.accept(&other[0]);
    cluster.settle();
    assert_eq!(
        (cluster.status("a"), cluster.status("b")),
        (vec!["1.2.3.0".into()], vec!["1.2.3.1".into()])
    );
}

#[test]
fn k_042_and_k_048_a_write_that_fails_is_kept_in_mind_and_sent_again() {
    let mut cluster = Cluster::new(&[("p", &["1.2.3.0/31"])]);
    cluster.edit("a", |_| {});
    let key = ServiceKey::new("default", "a");
    assert_eq!(cluster.work().len(), 1);
    cluster.ledger.apply(Change::Written(key.clone(), WriteResult::Failed));
    assert_eq!(cluster.work(), [], "not before it is asked to");
    cluster.ledger.apply(Change::Again(key));
    let writes = cluster.work();
    assert_eq!(given(&writes[0]), ["1.2.3.0"]);
    cluster.accept(&writes[0]);
    cluster.settle();
    assert_eq!(cluster.status("a"), ["1.2.3.0"]);
}

#[test]
fn a_failure_that_lasts_is_told_once() {
    let mut cluster = Cluster::new(&[("p", &["1.2.3.0/32"])]);
    cluster.edit("a", |_| {});
    cluster.settle();
    cluster.edit("b", |_| {});
    cluster.settle();
    for label in ["x", "y", "z"] {
        cluster.edit("b", |service| {
            service.labels.extend([(label.to_owned(), String::new())]);
        });
        cluster.settle();
    }
    assert_eq!(cluster.events_of("b"), ["AllocationFailed"]);
}

#[test]
fn a_status_that_somebody_clears_is_written_again() {
    let mut cluster = Cluster::new(&[("p", &["1.2.3.0/31"])]);
    cluster.edit("a", |_| {});
    cluster.settle();
    cluster.edit("a", |service| service.ingress.clear());
    cluster.settle();
    assert_eq!(cluster.status("a"), ["1.2.3.0"]);
}

#[test]
fn an_address_of_a_pool_that_is_invalid_is_neither_cleared_nor_given_away() {
    let mut cluster = Cluster::new(&[("p", &["1.2.3.0/31"]), ("q", &["4.5.6.0/31"])]);
    cluster.edit("a", |service| service.annotations.address_pool = Some("p".to_owned()));
    cluster.settle();
    assert_eq!(cluster.status("a"), ["1.2.3.0"]);
    let writes = cluster.writes;
    cluster.restart(&[("p", &["1.2.3.0/31", "nonsense"]), ("q", &["4.5.6.0/31"])]);
    cluster.settle();
    assert_eq!((cluster.status("a"), cluster.writes), (vec!["1.2.3.0".to_owned()], writes));
}

#[test]
fn k_046_and_k_051_at_rest_nothing_is_written_and_nothing_told() {
    let mut cluster = Cluster::new(&[("p", &["1.2.0.0/16"])]);
    for n in 0..200 {
        cluster.edit(&format!("s{n}"), |_| {});
    }
    cluster.settle();
    assert_eq!(cluster.writes, 200);
    let (writes, events) = (cluster.writes, cluster.events.len());
    // Everything is shown again, as after a relist.
    for key in cluster.services.keys().cloned().collect::<Vec<_>>() {
        cluster.show(&key);
    }
    cluster.pool("p", Some(&["1.2.0.0/16"]));
    cluster.settle();
    assert_eq!((cluster.writes, cluster.events.len()), (writes, events));
}

#[test]
fn what_is_held_is_confirmed_before_anybody_moves() {
    let mut cluster = Cluster::new(&[("a-old", &["192.0.2.9/32"]), ("new", &["1.2.3.0/31"])]);
    cluster.edit("mover", |_| {});
    cluster.settle();
    assert_eq!(cluster.status("mover"), ["192.0.2.9"]);
    cluster.edit("keeper", |_| {});
    cluster.settle();
    assert_eq!(cluster.status("keeper"), ["1.2.3.0"]);
    // While no process runs, the first pool goes; then the mover is listed first.
    cluster.ledger = Ledger::new(cluster.options.clone());
    cluster.pool("new", Some(&["1.2.3.0/31"]));
    for name in ["mover", "keeper"] {
        cluster.edit(name, |_| {});
    }
    cluster.settle();
    assert_eq!(cluster.status("keeper"), ["1.2.3.0"]);
    assert_eq!(cluster.status("mover"), ["1.2.3.1"]);
}

#[test]
fn an_address_is_written_only_after_its_last_holder_stopped_showing_it() {
    let mut cluster = Cluster::new(&[("p", &["1.2.3.0/32"]), ("q", &["4.5.6.0/32"])]);
    cluster.edit("a", |_| {});
    cluster.settle();
    cluster.edit("a", |service| service.annotations.address_pool = Some("q".to_owned()));
    cluster.edit("b", |service| service.annotations.address_pool = Some("p".to_owned()));
    let writes = cluster.work();
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert_eq!(&*writes[0].key.name, "a");
    // Not even when the clearing write is refused.
    let key = writes[0].key.clone();
    cluster.ledger.apply(Change::Written(key.clone(), WriteResult::Failed));
    assert_eq!(cluster.work(), []);
    cluster.ledger.apply(Change::Again(key));
    let writes = cluster.work();
    cluster.accept(&writes[0]);
    let writes = cluster.work();
    assert_eq!(&*writes[0].key.name, "b");
    assert_eq!(given(&writes[0]), ["1.2.3.0"]);
}

#[test]
fn two_that_swap_their_addresses_get_there() {
    let mut cluster = Cluster::new(&[("p", &["1.2.3.0/31"])]);
    let wish = |ip: &'static str| {
        move |service: &mut Service| service.load_balancer_ip = Some(ip.to_owned())
    };
    cluster.edit("a", wish("1.2.3.0"));
    cluster.edit("b", wish("1.2.3.1"));
    cluster.settle();
    cluster.edit("a", wish("1.2.3.1"));
    cluster.edit("b", wish("1.2.3.0"));
    cluster.settle();
    assert_eq!(
        (cluster.status("a"), cluster.status("b")),
        (vec!["1.2.3.1".to_owned()], vec!["1.2.3.0".to_owned()],)
    );
}

#[test]
fn the_answer_to_a_write_for_a_deleted_namesake_is_not_taken_for_ours() {
    let mut cluster = Cluster::new(&[("p", &["1.2.3.0/31"])]);
    cluster.edit("a", |_| {});
    let old = cluster.work();
    cluster.delete("a");
    cluster.edit("a", |service| service.uid = "another".into());
    assert_eq!(cluster.work(), [], "one write at a time");
    cluster.accept(&old[0]);
    assert_eq!(cluster.status("a"), [""; 0]);
    cluster.settle();
    assert_eq!(cluster.status("a"), ["1.2.3.0"]);
}

#[test]
fn pools_that_go_and_come_back_while_a_write_is_under_way_cost_nobody_the_address() {
    let mut cluster = Cluster::new(&[("p", &["1.2.3.0/32"])]);
    cluster.edit("a", |_| {});
    let writes = cluster.work();
    cluster.pool("p", None);
    assert_eq!(cluster.work(), []);
    cluster.pool("p", Some(&["1.2.3.0/32"]));
    cluster.edit("b", |_| {});
    assert_eq!(cluster.work(), [], "the address may be shown for another");
    cluster.accept(&writes[0]);
    cluster.settle();
    assert_eq!(cluster.status("a").len() + cluster.status("b").len(), 1);
}

#[test]
fn a_conflict_is_decided_again_when_the_newer_row_is_here_already() {
    let mut cluster = Cluster::new(&[("p", &["1.2.3.0/31"])]);
    cluster.edit("a", |_| {});
    let writes = cluster.work();
    cluster.edit("a", |service| service.ports[0].number = 81);
    cluster.accept(&writes[0]);
    let writes = cluster.work();
    assert_eq!(writes.len(), 1);
    cluster.accept(&writes[0]);
    assert_eq!(cluster.status("a"), ["1.2.3.0"]);
}

#[test]
fn a_lone_address_gets_its_second_family_when_one_becomes_free() {
    let mut cluster = Cluster::new(&[("p", &["1.2.3.0/30", "1000::/128"])]);
    let dual = |service: &mut Service| {
        service.cluster_ips = vec!["10.96.0.1".to_owned(), "fd00::1".to_owned()];
        service.ip_family_policy = IpFamilyPolicy::PreferDualStack;
    };
    cluster.edit("a", dual);
    cluster.settle();
    cluster.edit("b", dual);
    cluster.settle();
    assert_eq!(cluster.status("b"), ["1.2.3.1"]);
    cluster.delete("a");
    cluster.settle();
    assert_eq!(cluster.status("b"), ["1.2.3.1", "1000::"]);
}

#[test]
fn a_freed_address_is_work_for_one_waiter_not_for_all() {
    let mut cluster = Cluster::new(&[("p", &["1.2.3.0/32"])]);
    cluster.edit("holder", |_| {});
    cluster.settle();
    for n in 0..500 {
        cluster.edit(&format!("w{n:03}"), |_| {});
    }
    cluster.settle();
    cluster.delete("holder");
    let mut steps = 0;
    while let Some(effects) = cluster.ledger.step() {
        steps += 1;
        for effect in effects {
            if let Effect::Write(write) = effect {
                cluster.accept(&write);
            }
        }
    }
    assert_eq!(cluster.status("w000"), ["1.2.3.0"], "who waited longest");
    assert!(steps < 10, "{steps} steps");
}

#[test]
fn an_address_kept_from_an_invalid_pool_is_given_to_nobody_else() {
    let mut cluster = Cluster::new(&[("bad", &["1.2.3.0/31", "1000::/127"])]);
    cluster.edit("a", |service| {
        service.cluster_ips = vec!["10.96.0.1".to_owned(), "fd00::1".to_owned()];
        service.ip_family_policy = IpFamilyPolicy::RequireDualStack;
    });
    cluster.settle();
    // Another pool has one address of the pair.
    cluster.restart(&[("bad", &["1000::/127", "nonsense"]), ("good", &["1.2.3.0/31"])]);
    cluster.edit("b", |_| {});
    cluster.settle();
    assert_eq!(cluster.status("a"), ["1.2.3.0", "1000::"]);
    assert_eq!(cluster.status("b"), ["1.2.3.1"]);
    cluster.edit("c", |service| service.load_balancer_ip = Some("1.2.3.0".to_owned()));
    cluster.settle();
    assert_eq!(cluster.status("c"), [""; 0]);
    cluster.delete("a");
    cluster.settle();
    assert_eq!(cluster.status("c"), ["1.2.3.0"], "free again");
}

#[test]
fn figures_follow_the_last_deletion() {
    let mut cluster = Cluster::new(&[("p", &["1.2.3.0/31"])]);
    cluster.edit("a", |_| {});
    cluster.settle();
    cluster.delete("a");
    let effects = cluster.ledger.step().unwrap();
    let free = cluster.ledger.allocator.counters(&"p".into());
    let retired = Effect::Retired(ServiceKey::new("default", "a"));
    assert_eq!(effects, [retired, Effect::Figures("p".into(), Some(free))]);
    assert_eq!(free.assigned_v4, 0);
}

#[test]
fn what_nodes_answer_to_is_not_given_unasked() {
    let mut cluster = Cluster::new(&[("lan", &["fd00:1::/64"])]);
    let node = ferrolb_model::Node {
        name: "node1".into(),
        labels: Labels::new(),
        network_unavailable: false,
        addresses: ["fd00:1::1".parse().unwrap()].into(),
    };
    cluster.ledger.apply(Change::Node(node.name.clone(), Some(node)));
    let v6 = |service: &mut Service| {
        service.cluster_ips = vec!["fd00:10::1".to_owned()];
        service.primary_family = Family::V6;
    };
    cluster.edit("web", v6);
    cluster.settle();
    assert_eq!(cluster.status("web"), ["fd00:1::2"], "neither the routers' address nor the node's");
    cluster.edit("fixed", |service| {
        v6(service);
        service.load_balancer_ip = Some("fd00:1::".to_owned());
    });
    cluster.settle();
    assert_eq!(cluster.status("fixed"), ["fd00:1::"]);
}
