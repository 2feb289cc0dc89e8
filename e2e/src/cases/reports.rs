//! What the controller reports: the state of pools, Services and the configuration, in the objects.

use std::time::Duration;

use ferrolb_lab::api::{Ref, wait_until};
use ferrolb_lab::plan::Lan;
use ferrolb_lab::{NAMESPACE, Result};
use serde_json::{Value, json};

use super::case;
use crate::manifest::{advertisement, pool, service};
use crate::stage::{PATIENCE, Stage, check, fail};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("e_23_pool_status", "E-23 L2-20 assigned and available; an edit is put back", pool_status),
    case("service_conditions", "Allocated and Announced tell what is true, and why", conditions),
    case("configuration_state", "CS-10 the controller's report; deleted, it comes back", state),
    case("e_26_wrong_secret", "E-26 CS-01 only the speaker it concerns reports it", wrong_secret),
    case(
        "e_27_missing_references",
        "E-27 CS-02 CS-05 all speakers, and not the controller",
        missing,
    ),
    case("e_29_relabelled_node", "E-29 CS-07 two peers collide on one node", collision),
    case("legacy_configuration", "without pools, an event names the way to convert it", legacy),
];

/// How soon a report that was deleted is there again.
const AGAIN: Duration = Duration::from_mins(1);

fn pool_status(stage: &mut Stage) -> Result<()> {
    let expect = |available: i64, assigned: i64| {
        let wanted = json!({
            "availableIPv4": available, "availableIPv6": available,
            "assignedIPv4": assigned, "assignedIPv6": assigned,
        });
        wait_until(&format!("the pool's status is {wanted}"), PATIENCE, || {
            let object = stage.api().get(Ref::new("IPAddressPool", NAMESPACE, "lan"))?;
            let status = object.unwrap_or_default()["status"].clone();
            Ok(if status == wanted { Ok(()) } else { Err(status) })
        })
    };
    stage.apply(&pool("lan", &["192.168.10.0/30", "fc00:f853:ccd:e799::/126"]))?;
    expect(4, 0)?;
    stage.apply(&service("web").families("RequireDualStack", &["IPv4", "IPv6"]))?;
    expect(3, 1)?;
    stage.apply(&pool("lan", &["192.168.10.0/29", "fc00:f853:ccd:e799::/125"]))?;
    expect(7, 1)?;
    stage.delete_service("web")?;
    expect(8, 0)?;
    let wrong = json!({
        "availableIPv4": 5, "availableIPv6": 5, "assignedIPv4": 5, "assignedIPv6": 5,
    });
    stage.api().patch_status(Ref::new("IPAddressPool", NAMESPACE, "lan"), &wrong)?;
    expect(8, 0)
}

fn conditions(stage: &mut Stage) -> Result<()> {
    let expect = |kind: &str, status: &str, words: &[&str]| {
        wait_until(&format!("{kind} is {status} with {words:?}"), PATIENCE, || {
            let object = stage.api().get(Ref::new("Service", "default", "web"))?;
            let object = object.unwrap_or_default();
            let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let kind = format!("metallb.io/{kind}");
            let Some(condition) = all.iter().find(|one| one["type"] == kind.as_str()) else {
                return Ok(Err(format!("{all:?}")));
            };
            let text = format!("{}: {}", condition["reason"], condition["message"]);
            let holds =
                condition["status"] == status && words.iter().all(|word| text.contains(word));
            Ok(if holds { Ok(()) } else { Err(condition.to_string()) })
        })
    };
    stage.apply(&service("web"))?;
    expect("Allocated", "False", &["NoPools"])?;
    stage.apply(&pool("lan", &["172.30.1.200/32"]))?;
    expect("Allocated", "True", &["Allocated", "lan"])?;
    expect("Announced", "False", &["NotAnnounced"])?;
    stage.apply(&advertisement("all"))?;
    let address = stage.address("web")?;
    let owner = stage.announced("web", Lan::One, address)?;
    expect("Announced", "True", &[&owner, "layer2"])?;
    stage.delete_pool("lan")?;
    expect("Allocated", "False", &["NoPools"])
}

fn state(stage: &mut Stage) -> Result<()> {
    let target = Ref::new("ConfigurationState", NAMESPACE, "controller");
    let valid = |limit: Duration, besides: &Value| {
        wait_until("the controller's report is Valid", limit, || {
            let object = stage.api().get(target)?.unwrap_or_default();
            let is_new = object["metadata"]["uid"] != *besides;
            let is_valid = object["status"]["result"] == "Valid";
            Ok(if is_new && is_valid { Ok(object) } else { Err(object["status"].to_string()) })
        })
    };
    let object = valid(PATIENCE, &Value::Null)?;
    let metadata = &object["metadata"];
    check(metadata["labels"] == json!({ "metallb.io/component-type": "controller" }), || {
        metadata.to_string()
    })?;
    let owner = &metadata["ownerReferences"][0];
    let pod = owner["name"].as_str().unwrap_or_default();
    let pod = stage.api().get(Ref::new("Pod", NAMESPACE, pod))?.unwrap_or_default();
    check(pod["metadata"]["uid"] == owner["uid"], || format!("owned by {owner}"))?;
    let managers = metadata["managedFields"].as_array();
    let applied = managers.into_iter().flatten().any(|one| {
        one["manager"] == "poolReconciler"
            && one["operation"] == "Apply"
            && one["subresource"] == "status"
    });
    check(applied, || metadata["managedFields"].to_string())?;
    let summary = &object["status"]["errorSummary"];
    check(summary.is_null() || summary == "", || summary.to_string())?;
    stage.api().delete(target)?;
    valid(AGAIN, &metadata["uid"]).map(drop)
}

fn wrong_secret(stage: &mut Stage) -> Result<()> {
    let nodes = stage.nodes();
    expect_states(stage, &[], "")?;
    let secret = Ref::new("Secret", NAMESPACE, "bgp-password");
    let typed = |kind: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind,
            "metadata": { "name": secret.name, "namespace": NAMESPACE },
            "stringData": { "username": "nobody", "password": "e2e" },
        })
    };
    stage.api().apply(&typed("Opaque"))?;
    let on_first = json!([{ "matchLabels": { "kubernetes.io/hostname": nodes[0] } }]);
    let password = json!({ "name": secret.name });
    stage.api().apply(&peer(
        "tor",
        &json!({
            "passwordSecret": password, "nodeSelectors": on_first,
        }),
    ))?;
    let result = expect_states(stage, &nodes[..1], secret.name);
    stage.api().delete(secret)?;
    result?;
    stage.api().apply(&typed("kubernetes.io/basic-auth"))?;
    expect_states(stage, &[], "")?;
    stage.api().delete(secret)
}

fn missing(stage: &mut Stage) -> Result<()> {
    let nodes = stage.nodes();
    let profile = Ref::new("BFDProfile", NAMESPACE, "fast");
    stage.api().apply(&peer("tor", &json!({ "bfdProfile": profile.name })))?;
    expect_states(stage, &nodes, profile.name)?;
    stage.api().apply(&json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "BFDProfile",
        "metadata": { "name": profile.name, "namespace": NAMESPACE }, "spec": {},
    }))?;
    expect_states(stage, &[], "")?;
    let password = json!({ "name": "nowhere" });
    stage.api().apply(&peer("tor", &json!({ "passwordSecret": password })))?;
    expect_states(stage, &nodes, "nowhere")?;
    stage.api().delete(Ref::new("BGPPeer", NAMESPACE, "tor"))?;
    expect_states(stage, &[], "")
}

fn collision(stage: &mut Stage) -> Result<()> {
    let nodes = stage.nodes();
    for (name, label, node) in [("a", "e2e/a", &nodes[0]), ("b", "e2e/b", &nodes[1])] {
        stage.label_node(node, label, Some("yes"))?;
        let selectors = json!([{ "matchLabels": { label: "yes" } }]);
        stage.api().apply(&peer(name, &json!({ "nodeSelectors": selectors })))?;
    }
    expect_states(stage, &[], "")?;
    stage.label_node(&nodes[1], "e2e/a", Some("yes"))?;
    expect_states(stage, &nodes[1..2], "already exists")?;
    stage.label_node(&nodes[1], "e2e/a", None)?;
    expect_states(stage, &[], "")
}

/// A peer that nobody is.
fn peer(name: &str, more: &Value) -> Value {
    let mut spec = json!({ "myASN": 64500, "peerASN": 64501, "peerAddress": "10.200.200.1" });
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({
        "apiVersion": "metallb.io/v1beta2", "kind": "BGPPeer",
        "metadata": { "name": name, "namespace": NAMESPACE }, "spec": spec,
    })
}

/// Waits until controller and speakers have reported, and all is valid but for the speakers of these
/// nodes, whose reports have this word.
fn expect_states(stage: &Stage, invalid: &[String], word: &str) -> Result<()> {
    let mut wanted = vec![("controller".to_owned(), "Valid")];
    for node in stage.nodes() {
        let result = if invalid.contains(&node) { "Invalid" } else { "Valid" };
        wanted.push((format!("speaker-{node}"), result));
    }
    wait_until(&format!("reports are {wanted:?}"), PATIENCE, || {
        let mut states = stage.api().list("ConfigurationState", NAMESPACE, "")?;
        states.sort_by_key(|state| state["metadata"]["name"].to_string());
        let is_wanted = |(state, (name, result)): (&Value, &(String, &str))| {
            let summary = state["status"]["errorSummary"].as_str().unwrap_or_default();
            let is_told =
                if *result == "Valid" { summary.is_empty() } else { summary.contains(word) };
            state["metadata"]["name"] == name.as_str()
                && state["status"]["result"] == *result
                && is_told
        };
        let holds = states.len() == wanted.len() && states.iter().zip(&wanted).all(is_wanted);
        let seen =
            states.iter().map(|state| format!("{} {}", state["metadata"]["name"], state["status"]));
        Ok(if holds { Ok(()) } else { Err(seen.collect::<Vec<_>>().join("; ")) })
    })
}

fn legacy(stage: &mut Stage) -> Result<()> {
    let target = Ref::new("ConfigMap", NAMESPACE, "config");
    stage.api().apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": target.name, "namespace": target.namespace },
        "data": { "config": "address-pools:\n- name: old\n  protocol: layer2\n" },
    }))?;
    stage.restart("controller")?;
    let told = wait_until("an event on the ConfigMap", PATIENCE, || {
        let events = stage.api().list("Event", NAMESPACE, "")?;
        let about = |event: &&Value| event["involvedObject"]["name"] == target.name;
        let message = events.iter().find(about).and_then(|event| event["message"].as_str());
        Ok(message.map(str::to_owned).ok_or("none"))
    });
    stage.api().delete(target)?;
    let told = told?;
    if told.contains("IPAddressPool") { Ok(()) } else { Err(fail(told)) }
}
