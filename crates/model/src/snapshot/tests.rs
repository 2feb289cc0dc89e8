//! How many decisions an event costs in a cluster with 10,000 Services: as many as it alters.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::fixture::{
    apply, mk_config, mk_ingress, mk_key, mk_labels, mk_node, mk_nodes_selector, mk_service,
    mk_slice, mk_slice_key,
};

const PER_POOL: usize = 5_000;
const NODES: [&str; 10] = ["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"];

/// Pool `wide` is advertised by every node, pool `narrow` by the first five.
fn mk_written() -> Value {
    json!({
        "pools": {
            "wide": { "addresses": ["10.0.0.0/16"] },
            "narrow": { "addresses": ["10.1.0.0/17", "10.1.128.0/17"] },
        },
        "advertisements": {
            "wide": { "ipAddressPools": ["wide"] },
            "narrow": {
                "ipAddressPools": ["narrow"], "nodeSelectors": mk_nodes_selector(&NODES[..5]),
            },
        },
    })
}

/// The cluster as `n0` sees it.
static LARGE: LazyLock<Snapshot> = LazyLock::new(|| mk_large("n0"));

/// 10,000 Services as seen from `own`, half of them in each pool, each with one endpoint.
fn mk_large(own: &str) -> Snapshot {
    let mut snapshot =
        Snapshot::new(Settings { own: own.into(), class: None, ignore_exclude_lb: false });
    let mut changes = vec![Change::Config(mk_config(&mk_written()))];
    changes.extend(NODES.map(|name| Change::Node(name.into(), Some(mk_node(name)))));
    changes.push(Change::Members(everyone_but(None)));
    for number in 0..PER_POOL {
        for (pool, net) in [("wide", 0), ("narrow", 1)] {
            let name = format!("{pool}-{number}");
            let service = mk_service(&name, &[&address(net, number)]);
            let slice = mk_slice(&format!("slice-{name}"), &name, &["n0"]);
            changes.push(Change::Service(service.key.clone(), Some(service)));
            changes.push(Change::Slice(slice.key.clone(), Some(slice)));
        }
    }
    for change in changes {
        apply(&mut snapshot, change);
    }
    snapshot
}

/// Addresses spread over the whole of a pool's /16.
fn address(net: u8, number: usize) -> String {
    format!("10.{net}.{}.{}", (number * 10) / 256 % 256, (number * 10) % 256)
}

fn everyone_but(absent: Option<&str>) -> Members {
    let present = NODES.iter().filter(|name| Some(**name) != absent);
    Members::Known(present.map(|name| NodeName::from(*name)).collect())
}

fn owned_by(snapshot: &Snapshot, node: &str) -> usize {
    snapshot.services_by_owner.get(&Some(node.into())).map_or(0, BTreeSet::len)
}

/// Applies `change`. Returns how many decisions it took and how many of them came out otherwise.
fn cost(snapshot: &mut Snapshot, change: Change) -> (usize, usize) {
    let affected = snapshot.apply(change);
    let revisions: Vec<Revision> = affected.iter().map(|key| snapshot.refresh(key)).collect();
    let altered = revisions.iter().filter(|one| one.before.as_ref() != Some(&one.after));
    (affected.len(), altered.count())
}

fn node(name: &str, change: impl FnOnce(&mut Node)) -> Change {
    let mut node = mk_node(name);
    change(&mut node);
    Change::Node(name.into(), Some(node))
}

#[test]
fn what_does_not_matter_costs_nothing() {
    let mut snapshot = LARGE.clone();
    let label =
        |node: &mut Node| node.labels.extend([("unrelated".to_owned(), "label".to_owned())]);
    assert_eq!(cost(&mut snapshot, node("n3", label)), (0, 0), "label no selector asks for");
    assert_eq!(cost(&mut snapshot, Change::Config(mk_config(&mk_written()))), (0, 0), "same again");
    assert_eq!(cost(&mut snapshot, Change::Members(everyone_but(None))), (0, 0), "same members");

    let mut service = mk_service("wide-7", &[&address(0, 7)]);
    service.resource_version = "2".into();
    service.annotations.allocated_from_pool = Some("wide".to_owned());
    let change = Change::Service(service.key.clone(), Some(service));
    assert_eq!(cost(&mut snapshot, change), (0, 0), "fields no decision reads");

    let slice = mk_slice("slice-wide-7", "wide-7", &["n1", "n2"]);
    let change = Change::Slice(slice.key.clone(), Some(slice));
    assert_eq!(cost(&mut snapshot, change), (0, 0), "endpoints moved, any node may announce");

    let mut written = mk_written();
    written["pools"]["other"] = json!({ "addresses": ["10.2.0.0/16"] });
    let change = Change::Config(mk_config(&written));
    assert_eq!(cost(&mut snapshot, change), (0, 0), "pool without Services");
}

#[test]
fn one_service_costs_one_decision() {
    let mut snapshot = LARGE.clone();
    let service = mk_service("new", &["10.0.255.255"]);
    let change = Change::Service(service.key.clone(), Some(service.clone()));
    assert_eq!(cost(&mut snapshot, change), (1, 1));
    let slice = mk_slice("slice-new", "new", &["n1"]);
    assert_eq!(cost(&mut snapshot, Change::Slice(slice.key.clone(), Some(slice))), (1, 1));
    let mut moved = service;
    moved.ingress = vec![mk_ingress("10.0.255.254")];
    let change = Change::Service(moved.key.clone(), Some(moved));
    assert_eq!(cost(&mut snapshot, change).0, 1);
    assert_eq!(cost(&mut snapshot, Change::Slice(mk_slice_key("slice-new"), None)), (1, 1));
    assert_eq!(cost(&mut snapshot, Change::Service(mk_key("new"), None)), (1, 1));
    assert_eq!(snapshot.verdict(&mk_key("new")), None);
}

#[test]
fn a_member_costs_its_own_share() {
    let mut snapshot = LARGE.clone();
    let share = owned_by(&snapshot, "n3");
    assert!((1_000..2_000).contains(&share), "{share}");
    let gone = Change::Members(everyone_but(Some("n3")));
    assert_eq!(cost(&mut snapshot, gone), (share, share), "lost");
    assert_eq!(owned_by(&snapshot, "n3"), 0);
    let back = Change::Members(everyone_but(None));
    assert_eq!(cost(&mut snapshot, back), (share, share), "taken back");
    assert_eq!(owned_by(&snapshot, "n3"), share);
}

#[test]
fn a_lack_costs_the_share_of_who_lacks() {
    let mut snapshot = LARGE.clone();
    let share = owned_by(&snapshot, "n3");
    let lacks = |names: &[&str]| {
        Change::Lacks(names.iter().map(|name| ((*name).into(), [Lack::NODE].into())).collect())
    };
    assert_eq!(cost(&mut snapshot, lacks(&["n3"])), (share, share), "lost");
    assert_eq!(owned_by(&snapshot, "n3"), 0);
    assert_eq!(cost(&mut snapshot, lacks(&["n3"])), (0, 0), "the same again");
    assert_eq!(cost(&mut snapshot, lacks(&[])), (share, share), "taken back");
}

#[test]
fn the_first_node_to_return_gets_everything() {
    // Seen from a node that all, and from one that only one of the advertisements lists.
    for own in ["n0", "n9"] {
        let mut snapshot = if own == "n0" { LARGE.clone() } else { mk_large(own) };
        let nobody = Change::Members(Members::Known(BTreeSet::new()));
        assert_eq!(cost(&mut snapshot, nobody), (2 * PER_POOL, 2 * PER_POOL));
        let one = Change::Members(Members::Known(["n3".into()].into()));
        assert_eq!(cost(&mut snapshot, one), (2 * PER_POOL, 2 * PER_POOL));
        assert_eq!(owned_by(&snapshot, "n3"), 2 * PER_POOL);
    }
}

#[test]
fn x_12_a_node_costs_what_it_loses_or_wins() {
    let mut snapshot = LARGE.clone();
    let share = owned_by(&snapshot, "n4");
    let change = node("n4", |node| node.network_unavailable = true);
    assert_eq!(cost(&mut snapshot, change), (share, share), "network unavailable");
    assert_eq!(cost(&mut snapshot, node("n4", |_| ())), (share, share), "available again");
    let change = node("n4", |node| node.labels.extend([(EXCLUDE_LABEL.to_owned(), String::new())]));
    assert_eq!(cost(&mut snapshot, change), (share, share), "excluded");
    assert_eq!(cost(&mut snapshot, node("n4", |_| ())), (share, share), "no longer excluded");

    let narrow = |node: &NodeName| {
        let owned = snapshot.owned_by(Some(node));
        owned.filter(|key| key.name.starts_with("narrow")).count()
    };
    let share = narrow(&"n4".into());
    let change = node("n4", |node| node.labels = mk_labels(&[("name", "other")]));
    assert_eq!(cost(&mut snapshot, change), (share, share), "unlisted in one advertisement");

    let members = Members::Known(NODES.into_iter().chain(["n10"]).map(NodeName::from).collect());
    assert_eq!(cost(&mut snapshot, Change::Members(members)), (0, 0), "speaker before its Node");
    let (decisions, altered) = cost(&mut snapshot, node("n10", |_| ()));
    assert_eq!((decisions, altered), (owned_by(&snapshot, "n10"), decisions), "new node");
    assert!((300..800).contains(&decisions), "about an eleventh of the wide pool: {decisions}");
    assert_eq!(cost(&mut snapshot, node("n10", |_| ())), (0, 0), "told again");
    let gone = Change::Node("n10".into(), None);
    assert_eq!(cost(&mut snapshot, gone), (decisions, decisions), "deleted");
}

#[test]
fn configuration_costs_the_services_it_is_about() {
    let mut snapshot = LARGE.clone();
    let mut written = mk_written();
    written["advertisements"]["narrow"]["interfaces"] = json!(["eth1"]);
    let change = Change::Config(mk_config(&written));
    assert_eq!(cost(&mut snapshot, change).0, PER_POOL, "rule of one pool");

    written["pools"]["narrow"]["addresses"] = json!(["10.1.0.0/17"]);
    let outside = (0..PER_POOL).filter(|number| (number * 10) / 256 % 256 >= 128).count();
    let change = Change::Config(mk_config(&written));
    assert_eq!(cost(&mut snapshot, change), (outside, outside), "range taken away");

    let half = written["pools"]["narrow"].take();
    written["pools"] = json!({ "wide": { "addresses": ["10.0.0.0/16"] }, "renamed": half });
    let change = Change::Config(mk_config(&written));
    let renamed = PER_POOL - outside;
    assert_eq!(cost(&mut snapshot, change), (renamed, renamed), "pool renamed");
}
