//! Status objects through the eyes of an API server that the test plays.

use ferrolb_api::{InterfaceStatus, ServiceL2StatusStatus};

use super::*;

const WEB: (&str, &str) = ("default", "web");

fn mk_key() -> ServiceKey {
    ServiceKey::new(WEB.0, WEB.1)
}

fn mk_row(node: &str, shown: bool, interfaces: &[&str]) -> Row {
    let mut object = ServiceL2Status::default();
    object.metadata.labels = Some(
        [(labels::NODE, node), (labels::SERVICE_NAMESPACE, WEB.0), (labels::SERVICE_NAME, WEB.1)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    );
    object.status = shown.then(|| ServiceL2StatusStatus {
        node: node.to_owned(),
        service_name: WEB.1.to_owned(),
        service_namespace: WEB.0.to_owned(),
        interfaces: interfaces
            .iter()
            .map(|name| InterfaceStatus { name: (*name).to_owned() })
            .collect(),
    });
    Row::of(object).unwrap()
}

fn mk_announcement(interfaces: Interfaces) -> Announcement {
    Announcement {
        pool: "pool".into(),
        addresses: vec![("192.0.2.1".parse().unwrap(), interfaces)],
    }
}

fn mk_reconciler() -> Reconciler {
    let mut reconciler = Reconciler::new("n1".into(), "metallb-system".to_owned());
    reconciler.set_owner(Some(OwnerPod { name: "speaker-1".into(), uid: "pod-uid".into() }));
    reconciler
}

/// Creates the object of an announcement on all interfaces and shows it.
fn create(reconciler: &mut Reconciler) -> Arc<str> {
    reconciler.want(&mk_key(), Some(&mk_announcement(Interfaces::All)));
    let actions = reconciler.reconcile(&mk_key());
    let [(name, Action::Create(_))] = actions.as_slice() else { panic!("{actions:?}") };
    reconciler.see(name, Some(mk_row("n1", false, &[])));
    reconciler.written(name, &mk_key());
    Arc::clone(name)
}

#[test]
fn k_067_one_object_with_owner_and_labels_then_its_status() {
    let mut reconciler = mk_reconciler();
    reconciler.want(&mk_key(), Some(&mk_announcement(Interfaces::All)));
    let actions = reconciler.reconcile(&mk_key());
    let [(name, Action::Create(object))] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(object["metadata"]["labels"]["metallb.io/node"], "n1");
    assert_eq!(object["metadata"]["labels"]["metallb.io/service-name"], "web");
    assert_eq!(object["metadata"]["labels"]["metallb.io/service-namespace"], "default");
    assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], "pod-uid");
    // Nothing more while the write is under way.
    assert_eq!(reconciler.reconcile(&mk_key()), []);
    reconciler.see(name, Some(mk_row("n1", false, &[])));
    reconciler.written(name, &mk_key());
    let actions = reconciler.reconcile(&mk_key());
    let [(_, Action::SetStatus(patch))] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(patch["status"]["node"], "n1");
    reconciler.see(name, Some(mk_row("n1", true, &[])));
    reconciler.written(name, &mk_key());
    assert_eq!(reconciler.reconcile(&mk_key()), []);
}

#[test]
fn k_068_interfaces_are_told_sorted_and_compared_as_a_set() {
    let mut reconciler = mk_reconciler();
    let name = create(&mut reconciler);
    reconciler.see(&name, Some(mk_row("n1", true, &[])));
    let two = Interfaces::Named(["eth1".to_owned(), "eth0".to_owned()].into());
    reconciler.want(&mk_key(), Some(&mk_announcement(two)));
    let actions = reconciler.reconcile(&mk_key());
    let [(_, Action::SetStatus(patch))] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(patch["status"]["interfaces"], json!([{ "name": "eth0" }, { "name": "eth1" }]));
    reconciler.written(&name, &mk_key());
    reconciler.see(&name, Some(mk_row("n1", true, &["eth1", "eth0"])));
    assert_eq!(reconciler.reconcile(&mk_key()), []);
}

#[test]
fn k_069_what_is_not_announced_has_no_object() {
    let mut reconciler = mk_reconciler();
    let name = create(&mut reconciler);
    reconciler.want(&mk_key(), None);
    assert_eq!(reconciler.reconcile(&mk_key()), [(name, Action::Delete)]);
}

#[test]
fn k_070_the_announcer_removes_what_others_left() {
    let mut reconciler = mk_reconciler();
    let name = create(&mut reconciler);
    reconciler.see(&name, Some(mk_row("n1", true, &[])));
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
