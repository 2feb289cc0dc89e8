//! What controller and speakers say of the configuration: their `ConfigurationState` objects.

use std::time::Duration;

use ferrolb_lab::api::{Ref, wait_until};
use ferrolb_lab::{NAMESPACE, Result};
use serde_json::{Value, json};

use super::case;
use crate::manifest::configuration;
use crate::stage::{PATIENCE, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("controller_state", "CS-10 the controller's report; deleted, it comes back", state),
    case(
        "e_26_wrong_secret",
        "E-26 CS-01 CS-06 only the speaker it concerns says so",
        wrong_secret,
    ),
    case(
        "e_27_missing_references",
        "E-27 CS-02 CS-03 CS-05 all speakers, and not the controller",
        missing,
    ),
    case("missing_community", "CS-04 all speakers, until there is one", missing_community),
    case("e_28_deleted_reports", "E-28 CS-08 CS-10 all come back as they were", deleted),
    case("e_29_relabelled_node", "E-29 CS-07 two peers collide on one node", collision),
    case("dangling_names", "a name of nothing is told, and invalidates nothing", dangling),
];

/// How soon a report that was deleted is there again: sooner than by looking now and then.
const AGAIN: Duration = Duration::from_secs(20);

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
    stage.api().apply(&peer("tor", &json!({ "bfdProfile": "fast" })))?;
    expect_states(stage, &nodes, "fast")?;
    stage.apply(&configuration("BFDProfile", "fast").spec(&json!({})))?;
    expect_states(stage, &[], "")?;
    stage.api().apply(&peer("tor", &json!({ "bfdProfile": "faster" })))?;
    expect_states(stage, &nodes, "faster")?;
    let password = json!({ "name": "nowhere" });
    stage.api().apply(&peer("tor", &json!({ "bfdProfile": null, "passwordSecret": password })))?;
    expect_states(stage, &nodes, "nowhere")?;
    stage.api().delete(Ref::new("BGPPeer", NAMESPACE, "tor"))?;
    expect_states(stage, &[], "")
}

fn missing_community(stage: &mut Stage) -> Result<()> {
    let nodes = stage.nodes();
    let advertisement = configuration("BGPAdvertisement", "coloured");
    stage.apply(&advertisement.spec(&json!({ "communities": ["my-valid-alias"] })))?;
    expect_states(stage, &nodes, "my-valid-alias")?;
    let aliases = json!([{ "name": "my-valid-alias", "value": "64512:100" }]);
    stage.apply(&configuration("Community", "aliases").spec(&json!({ "communities": aliases })))?;
    expect_states(stage, &[], "")
}

fn deleted(stage: &mut Stage) -> Result<()> {
    let nodes = stage.nodes();
    stage.api().apply(&peer("tor", &json!({ "bfdProfile": "fast" })))?;
    expect_states(stage, &nodes, "fast")?;
    let before = reports(stage)?;
    delete_all(stage, &before)?;
    expect_states(stage, &nodes, "fast")?;
    let summaries = |reports: &[Value]| -> Vec<_> {
        reports.iter().map(|report| report["status"]["errorSummary"].clone()).collect()
    };
    let after = reports(stage)?;
    check(summaries(&before) == summaries(&after), || format!("{before:?}, now {after:?}"))?;
    stage.apply(&configuration("BFDProfile", "fast").spec(&json!({})))?;
    expect_states(stage, &[], "")?;
    delete_all(stage, &reports(stage)?)?;
    expect_states(stage, &[], "")
}

/// Deletes these reports and waits until there are others.
fn delete_all(stage: &Stage, old: &[Value]) -> Result<()> {
    let name = |report: &Value| report["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    for report in old {
        stage.api().delete(Ref::new("ConfigurationState", NAMESPACE, &name(report)))?;
    }
    let uid = |report: &Value| report["metadata"]["uid"].clone();
    let gone: Vec<_> = old.iter().map(uid).collect();
    wait_until("every report is there again", AGAIN, || {
        let now = reports(stage)?;
        let done = now.len() == old.len() && !now.iter().any(|report| gone.contains(&uid(report)));
        Ok(if done {
            Ok(())
        } else {
            Err(format!("{:?}", now.iter().map(name).collect::<Vec<_>>()))
        })
    })
}

fn reports(stage: &Stage) -> Result<Vec<Value>> {
    let mut reports = stage.api().list("ConfigurationState", NAMESPACE, "")?;
    reports.sort_by_key(|report| report["metadata"]["name"].to_string());
    Ok(reports)
}

fn dangling(stage: &mut Stage) -> Result<()> {
    let advertisement = configuration("L2Advertisement", "ad");
    stage.apply(&advertisement.spec(&json!({ "ipAddressPools": ["ghost"] })))?;
    let resolved = |status: &str, word: &str| {
        wait_until(&format!("all speakers' references: {status}"), PATIENCE, || {
            let reports = reports(stage)?;
            let found: Vec<_> = reports
                .iter()
                .filter_map(|report| {
                    let conditions = report["status"]["conditions"].as_array()?;
                    conditions.iter().find(|one| one["type"] == "metallb.io/ReferencesResolved")
                })
                .collect();
            let is_told = |condition: &&Value| {
                let message = condition["message"].as_str().unwrap_or_default();
                condition["status"] == status && message.contains(word)
            };
            let holds = found.len() == stage.nodes().len() && found.iter().all(is_told);
            Ok(if holds { Ok(()) } else { Err(format!("{found:?}")) })
        })
    };
    resolved("False", "ghost")?;
    expect_states(stage, &[], "")?;
    let held = configuration("IPAddressPool", "ghost");
    stage.apply(&held.spec(&json!({ "addresses": ["172.30.1.200/32"] })))?;
    resolved("True", "")
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
        let states = reports(stage)?;
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
