//! Objects through the eyes of an API server that the test plays.

use std::net::IpAddr;

use ferrolb_api::{InterfaceStatus, ServiceL2Status, ServiceL2StatusStatus};
use ferrolb_ipam::ServiceKey;
use ferrolb_l2_proto::Mac;
use ferrolb_model::bgp::PeerName;
use ferrolb_model::{Announcement, Interfaces};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::service_l2::Layer2Report;
use super::*;
use crate::bgp::Audience;

const WEB: (&str, &str) = ("default", "web");

fn mk_key() -> ServiceKey {
    ServiceKey::new(WEB.0, WEB.1)
}

fn mk_row(node: &str, shown: bool, interfaces: &[&str]) -> Row<ServiceL2> {
    let mut object = ServiceL2Status::default();
    object.metadata.labels = Some(
        [(labels::NODE, node), (labels::SERVICE_NAMESPACE, WEB.0), (labels::SERVICE_NAME, WEB.1)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    );
    object.metadata.resource_version = Some("100".to_owned());
    object.metadata.owner_references = Some(vec![OwnerReference {
        kind: "Pod".to_owned(),
        uid: format!("uid-{node}"),
        ..OwnerReference::default()
    }]);
    object.status = shown.then(|| ServiceL2StatusStatus {
        node: node.to_owned(),
        service_name: WEB.1.to_owned(),
        service_namespace: WEB.0.to_owned(),
        interfaces: interfaces
            .iter()
            .map(|name| InterfaceStatus { name: (*name).to_owned() })
            .collect(),
        refused: Vec::new(),
    });
    ServiceL2::row(object).unwrap()
}

fn mk_pod(uid: &str) -> OwnerPod {
    OwnerPod { name: "speaker-1".into(), uid: uid.into() }
}

fn written(version: &str) -> Outcome {
    Outcome::Written { name: "any".into(), resource_version: version.into() }
}

/// What an announcement on these interfaces is reported as.
fn mk_content(interfaces: &[&str]) -> Layer2Report {
    let names = interfaces.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let interfaces = if names.is_empty() { Interfaces::All } else { Interfaces::Named(names) };
    let announcement =
        Announcement { pool: "pool".into(), addresses: vec![(mk_ip(2), interfaces)] };
    ServiceL2::content(Some(&announcement), std::iter::empty()).unwrap()
}

fn mk_ip(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn mk_reconciler() -> Reconciler<ServiceL2> {
    let mut reconciler = Reconciler::<ServiceL2>::new("n1".into(), "metallb-system".to_owned());
    reconciler.set_owner(mk_pod("uid-n1"));
    reconciler.set_listed();
    reconciler
}

/// The only thing to do.
fn only(reconciler: &mut Reconciler<ServiceL2>) -> (Arc<str>, Action) {
    let mut actions = reconciler.reconcile(&mk_key());
    assert_eq!(actions.len(), 1, "{actions:?}");
    actions.remove(0)
}

/// Has the object of an announcement on all interfaces written to the end.
fn announce(reconciler: &mut Reconciler<ServiceL2>) -> Arc<str> {
    reconciler.want(&mk_key(), Some(mk_content(&[])));
    let (name, action) = only(reconciler);
    assert!(matches!(action, Action::Create(_)), "{action:?}");
    assert_eq!(reconciler.written(&name, &written("100")), Again::Now);
    let (_, action) = only(reconciler);
    assert!(matches!(action, Action::SetStatus(_)), "{action:?}");
    assert_eq!(reconciler.written(&name, &written("101")), Again::Now);
    assert_eq!(reconciler.reconcile(&mk_key()), []);
    name
}

#[test]
fn k_067_one_object_with_owner_and_labels_then_its_status() {
    let mut reconciler = mk_reconciler();
    reconciler.want(&mk_key(), Some(mk_content(&[])));
    let (name, Action::Create(object)) = only(&mut reconciler) else { panic!() };
    assert_eq!(object["metadata"]["labels"]["metallb.io/node"], "n1");
    assert_eq!(object["metadata"]["labels"]["metallb.io/service-name"], "web");
    assert_eq!(object["metadata"]["labels"]["metallb.io/service-namespace"], "default");
    assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], "uid-n1");
    // Nothing more while the write is under way.
    assert_eq!(reconciler.reconcile(&mk_key()), []);
    reconciler.written(&name, &written("100"));
    let (_, Action::SetStatus(patch)) = only(&mut reconciler) else { panic!() };
    assert_eq!(patch["status"]["node"], "n1");
    reconciler.written(&name, &written("101"));
    assert_eq!(reconciler.reconcile(&mk_key()), []);
}

#[test]
fn a_late_watch_neither_repeats_nor_undoes_anything() {
    let mut reconciler = mk_reconciler();
    let name = announce(&mut reconciler);
    assert_eq!(reconciler.see(&name, Some(mk_row("n1", false, &[]))), [].into());
    assert_eq!(reconciler.reconcile(&mk_key()), []);
    reconciler.want(&mk_key(), None);
    assert_eq!(only(&mut reconciler), (Arc::clone(&name), Action::Delete));
    assert_eq!(reconciler.written(&name, &written("")), Again::Now);
    assert_eq!(reconciler.reconcile(&mk_key()), []);
}

#[test]
fn nothing_is_written_before_it_is_known_what_there_is() {
    let mut reconciler = Reconciler::<ServiceL2>::new("n1".into(), "metallb-system".to_owned());
    reconciler.want(&mk_key(), Some(mk_content(&[])));
    assert_eq!(reconciler.reconcile(&mk_key()), []);
    reconciler.see(&"l2-mine".into(), Some(mk_row("n1", true, &[])));
    assert_eq!(reconciler.set_listed(), [mk_key()].into());
    assert_eq!(reconciler.reconcile(&mk_key()), []);
}

#[test]
fn an_object_that_is_there_already_is_not_made_again_and_again() {
    let mut reconciler = mk_reconciler();
    reconciler.want(&mk_key(), Some(mk_content(&[])));
    let (name, _) = only(&mut reconciler);
    assert_eq!(reconciler.written(&name, &Outcome::Conflict), Again::Soon);
    reconciler.see(&name, Some(mk_row("n1", true, &[])));
    assert_eq!(reconciler.reconcile(&mk_key()), []);
}

#[test]
fn an_object_that_vanished_is_made_anew() {
    let mut reconciler = mk_reconciler();
    let name = announce(&mut reconciler);
    reconciler.want(&mk_key(), Some(mk_content(&["eth0"])));
    assert!(matches!(only(&mut reconciler), (_, Action::SetStatus(_))));
    assert_eq!(reconciler.written(&name, &Outcome::Missing), Again::Now);
    assert!(matches!(only(&mut reconciler), (_, Action::Create(_))));
}

#[test]
fn an_object_follows_the_pod_it_goes_with() {
    let mut reconciler = mk_reconciler();
    announce(&mut reconciler);
    assert_eq!(reconciler.set_owner(mk_pod("uid-n1")), [].into());
    assert_eq!(reconciler.set_owner(mk_pod("uid-next")), [mk_key()].into());
    let (name, Action::SetOwner(patch)) = only(&mut reconciler) else { panic!() };
    assert_eq!(patch["metadata"]["ownerReferences"][0]["uid"], "uid-next");
    reconciler.written(&name, &written("102"));
    assert_eq!(reconciler.reconcile(&mk_key()), []);
}

#[test]
fn k_068_interfaces_are_told_sorted_and_compared_as_a_set() {
    let mut reconciler = mk_reconciler();
    let name = announce(&mut reconciler);
    reconciler.want(&mk_key(), Some(mk_content(&["eth1", "eth0"])));
    let (_, Action::SetStatus(patch)) = only(&mut reconciler) else { panic!() };
    assert_eq!(patch["status"]["interfaces"], json!([{ "name": "eth0" }, { "name": "eth1" }]));
    reconciler.written(&name, &written("102"));
    let row = Row { version: "103".into(), ..mk_row("n1", true, &["eth1", "eth0"]) };
    reconciler.see(&name, Some(row));
    assert_eq!(reconciler.reconcile(&mk_key()), []);
}

/// `status.node` may not change once it is written, and nobody announces here yet.
#[test]
fn what_is_refused_is_reported_without_a_node() {
    let mut reconciler = mk_reconciler();
    let refused = || [(mk_ip(1), Mac([6, 0, 0, 0, 0, 1]))].into_iter();
    reconciler.want(&mk_key(), ServiceL2::content(None, refused()));
    let (name, Action::Create(object)) = only(&mut reconciler) else { panic!() };
    reconciler.written(&name, &written("100"));
    let (_, Action::SetStatus(patch)) = only(&mut reconciler) else { panic!() };
    let told = json!([{ "ip": "192.0.2.1", "mac": "06:00:00:00:00:01" }]);
    assert_eq!((&patch["status"]["node"], &patch["status"]["refused"]), (&Value::Null, &told));
    reconciler.written(&name, &written("101"));
    assert_eq!(reconciler.reconcile(&mk_key()), []);

    // As the API server stores it.
    let mut object: ServiceL2Status = serde_json::from_value(object).unwrap();
    let mut status = patch["status"].clone();
    status.as_object_mut().unwrap().remove("node");
    object.status = Some(serde_json::from_value(status).unwrap());
    object.metadata.resource_version = Some("102".to_owned());
    reconciler.see(&name, ServiceL2::row(object));
    assert_eq!(reconciler.reconcile(&mk_key()), []);

    reconciler.want(&mk_key(), Some(mk_content(&[])));
    let (_, Action::SetStatus(patch)) = only(&mut reconciler) else { panic!() };
    assert_eq!((&patch["status"]["node"], &patch["status"]["refused"]), (&json!("n1"), &json!([])));
    assert_eq!(ServiceL2::content(None, std::iter::empty()), None);
}

#[test]
fn k_069_what_is_not_announced_has_no_object() {
    let mut reconciler = mk_reconciler();
    let name = announce(&mut reconciler);
    reconciler.want(&mk_key(), None);
    assert_eq!(reconciler.reconcile(&mk_key()), [(name, Action::Delete)]);
}

#[test]
fn k_070_the_announcer_removes_what_others_left() {
    let mut reconciler = mk_reconciler();
    announce(&mut reconciler);
    let left: Arc<str> = "l2-left".into();
    let concerned = reconciler.see(&left, Some(mk_row("n2", true, &[])));
    assert_eq!(concerned, [mk_key()].into());
    assert_eq!(reconciler.reconcile(&mk_key()), [(left, Action::Delete)]);
}

#[test]
fn k_071_who_does_not_announce_leaves_others_alone() {
    let mut reconciler = mk_reconciler();
    reconciler.see(&"l2-left".into(), Some(mk_row("n2", true, &[])));
    assert_eq!(reconciler.reconcile(&mk_key()), []);
}

fn mk_peers(told: &[&str], untold: &[&str]) -> Option<Peers> {
    let names = |names: &[&str]| names.iter().map(|name| PeerName::from(*name)).collect();
    Peers::of(&Audience { told: names(told), untold: names(untold) })
}

#[test]
fn t_202_t_204_one_object_with_owner_and_labels_and_what_others_write_is_put_right() {
    let mut reconciler = Reconciler::<ServiceBgp>::new("n1".into(), "metallb-system".to_owned());
    reconciler.set_owner(mk_pod("uid-n1"));
    reconciler.set_listed();
    reconciler.want(&mk_key(), mk_peers(&["r1"], &[]));
    let (name, Action::Create(object)) = reconciler.reconcile(&mk_key()).remove(0) else {
        panic!()
    };
    assert_eq!(object["metadata"]["labels"]["metallb.io/node"], "n1");
    assert_eq!(object["metadata"]["labels"]["metallb.io/service-name"], "web");
    assert_eq!(object["metadata"]["labels"]["metallb.io/service-namespace"], "default");
    assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], "uid-n1");
    reconciler.written(&name, &written("100"));
    let (_, Action::SetStatus(right)) = reconciler.reconcile(&mk_key()).remove(0) else { panic!() };
    reconciler.written(&name, &written("101"));
    // Somebody writes other peers into it.
    let mut edited = object;
    edited["metadata"]["resourceVersion"] = json!("102");
    edited["status"] = right["status"].clone();
    edited["status"]["peers"] = json!(["r1", "r9"]);
    reconciler.see(&name, ServiceBgp::row(serde_json::from_value(edited).unwrap()));
    let (_, action) = reconciler.reconcile(&mk_key()).remove(0);
    let Action::SetStatus(patch) = action else { panic!("{action:?}") };
    assert_eq!(patch["status"]["peers"], json!(["r1"]));
}

#[test]
fn t_203_t_205_only_peers_that_were_sent_routes_are_listed_and_the_condition_names_the_others() {
    let mut reconciler = Reconciler::<ServiceBgp>::new("n1".into(), "metallb-system".to_owned());
    reconciler.set_listed();
    assert!(reconciler.want(&mk_key(), mk_peers(&["r2", "r1"], &["r3"])));
    let (name, _) = reconciler.reconcile(&mk_key()).remove(0);
    reconciler.written(&name, &written("100"));
    let (_, action) = reconciler.reconcile(&mk_key()).remove(0);
    let Action::SetStatus(patch) = action else { panic!("{action:?}") };
    let status = &patch["status"];
    assert_eq!(status["peers"], json!(["r1", "r2"]));
    assert_eq!(status["conditions"][0]["type"], "metallb.io/Advertised");
    assert_eq!(status["conditions"][0]["status"], "False");
    assert_eq!(status["conditions"][0]["message"], "not sent yet to: r3");
    reconciler.written(&name, &written("101"));
    assert!(!reconciler.want(&mk_key(), mk_peers(&["r1", "r2"], &["r3"])));
    assert_eq!(reconciler.reconcile(&mk_key()), []);
    // Nobody is to be told.
    assert!(reconciler.want(&mk_key(), mk_peers(&[], &[])));
    assert_eq!(reconciler.reconcile(&mk_key()), [(name, Action::Delete)]);
}

#[test]
fn what_other_nodes_tell_their_routers_is_theirs_to_report() {
    let mut object = ferrolb_api::ServiceBGPStatus::default();
    object.metadata.labels = Some(
        [(labels::NODE, "n2"), (labels::SERVICE_NAMESPACE, WEB.0), (labels::SERVICE_NAME, WEB.1)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    );
    let mut reconciler = Reconciler::<ServiceBgp>::new("n1".into(), "metallb-system".to_owned());
    reconciler.set_listed();
    reconciler.see(&"bgp-other".into(), ServiceBgp::row(object));
    reconciler.want(&mk_key(), mk_peers(&["r1"], &[]));
    let actions = reconciler.reconcile(&mk_key());
    assert!(matches!(actions.as_slice(), [(_, Action::Create(_))]), "{actions:?}");
}

#[test]
fn a_session_that_went_down_keeps_nothing_of_when_it_was_up() {
    let content = Session::refused("n1", &"r1".into(), "192.0.2.1", &mk_trouble());
    let status = Session::status("n1", &"r1".into(), &content, None);
    assert_eq!(status["peerASN"], Value::Null);
    assert_eq!(status["timers"], Value::Null);
    assert_eq!(status["families"], json!([]));
    assert_eq!(status["bgpStatus"], "Idle");
    assert_eq!(status["lastError"]["message"], "no Secret");
    assert_eq!(status["lastError"]["time"], "1970-01-01T00:00:05Z");
}

#[test]
fn a_session_object_is_known_by_its_peer_before_its_status_is_written() {
    let mut reconciler = Reconciler::<Session>::new("n1".into(), "metallb-system".to_owned());
    reconciler.set_listed();
    let (peer, trouble) = (PeerName::from("r1"), mk_trouble());
    let content = Session::refused("n1", &peer, "192.0.2.1", &trouble);
    reconciler.want(&peer, Some(content));
    let (name, action) = reconciler.reconcile(&peer).remove(0);
    let Action::Create(object) = action else { panic!("{action:?}") };
    let row = Session::row(serde_json::from_value(object).unwrap()).unwrap();
    assert_eq!(reconciler.see(&name, Some(row)), [peer.clone()].into());
    reconciler.written(&name, &written("100"));
    let (same, action) = reconciler.reconcile(&peer).remove(0);
    assert!(same == name && matches!(action, Action::SetStatus(_)), "{action:?}");
}

fn mk_trouble() -> (String, Timestamp) {
    ("no Secret".to_owned(), Timestamp::from_millisecond(5_400).unwrap())
}

#[test]
fn a_condition_keeps_its_time_while_it_holds() {
    let lacking = |peer: &str| mk_peers(&[], &[peer]).unwrap();
    let mut before = lacking("r1");
    before.since = Some(Timestamp::from_second(5).unwrap());
    let at = |now: &Peers| {
        let status = ServiceBgp::status("n1", &mk_key(), now, Some(&before));
        status["conditions"][0]["lastTransitionTime"].clone()
    };
    assert_eq!(at(&lacking("r2")), "1970-01-01T00:00:05Z");
    assert_ne!(at(&mk_peers(&["r1"], &[]).unwrap()), "1970-01-01T00:00:05Z");
}
