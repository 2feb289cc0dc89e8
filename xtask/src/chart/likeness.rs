//! What exists twice, as a plain manifest and as a template, says the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Findings;
use super::helm::{Helm, Release, Rendered};

/// Parts of a Pod's spec in which the two may differ: names that carry the release's, and flags
/// whose value is the default.
const DIFFERENT: [&str; 2] = ["/serviceAccountName", "/containers/0/args"];

/// Everything that the plain manifests and their overlays have.
const VALUES: &str = "{prometheus: {prometheusRule: {enabled: true}}, networkpolicies: {enabled: true, defaultDeny: true}}";

pub(super) fn check(helm: &Helm, root: &Path) -> Result<Findings> {
    let chart = helm.must_render(Release::usual(VALUES))?;
    let mut findings = Findings::new();
    for (kind, component) in [("Deployment", "controller"), ("DaemonSet", "speaker")] {
        let plain = read(root, &format!("deploy/manifests/{component}.yaml"))?;
        let plain = plain.into_iter().find(|object| object["kind"] == kind).unwrap_or_default();
        let name = format!("metallb-{component}");
        let ours = pod(&plain);
        let theirs = pod(chart.object(kind, &name).unwrap_or(&Value::Null));
        findings.extend(differences(&format!("{kind} {component}"), &ours, &theirs));
    }
    let excluded = read(root, "deploy/manifests/exclude-l2.yaml")?;
    findings.extend(same(
        "exclude-l2",
        &excluded,
        &chart,
        "ConfigMap",
        "metallb-excludel2",
        "/data",
    ));
    let alerts = read(root, "deploy/kustomize/overlays/prometheus/alerts.yaml")?;
    findings.extend(same("alerts", &alerts, &chart, "PrometheusRule", "metallb", "/spec"));
    let policies = read(root, "deploy/kustomize/overlays/network-policies/network-policies.yaml")?;
    findings.extend(network_policies(&policies, &chart));
    let webhooks = read(root, "deploy/manifests/webhook.yaml")?;
    // Upstream has one webhook under another name in its manifests than in its chart.
    let webhooks: Vec<Value> = webhooks
        .iter()
        .filter(|object| object["kind"] == "ValidatingWebhookConfiguration")
        .map(|object| {
            let text = object.to_string();
            serde_json::from_str(&text.replace("bgppeersvalidation", "bgppeervalidation"))
        })
        .collect::<Result<_, _>>()?;
    let name = "metallb-webhook-configuration";
    findings.extend(same(
        "webhooks",
        &webhooks,
        &chart,
        "ValidatingWebhookConfiguration",
        name,
        "/webhooks",
    ));
    Ok(findings)
}

/// Both have the same policies, and what they let in is what the controller listens on (NP-01: no
/// network plugin enforces them in a lab, so that much is checked as it is written).
fn network_policies(plain: &[Value], chart: &Rendered) -> Findings {
    let mut findings = Findings::new();
    for policy in plain {
        let name = policy["metadata"]["name"].as_str().unwrap_or_default();
        let without_pods = |policy: &Value| {
            let mut spec = policy["spec"].clone();
            spec["podSelector"] = json!(policy["spec"]["podSelector"] != json!({}));
            spec
        };
        let theirs = chart.object("NetworkPolicy", name).map(without_pods);
        if theirs != Some(without_pods(policy)) {
            findings.push(format!("NetworkPolicy {name}: manifests and chart differ"));
        }
    }
    let ports = |list: &Value, key: &str| -> BTreeSet<String> {
        list.as_array().into_iter().flatten().map(|port| port[key].to_string()).collect()
    };
    let controller = chart.object("Deployment", "metallb-controller").unwrap_or(&Value::Null);
    let policy = chart.object("NetworkPolicy", "controller").unwrap_or(&Value::Null);
    let listens = ports(&controller["spec"]["template"]["spec"]["containers"][0]["ports"], "name");
    let open = ports(&policy["spec"]["ingress"][0]["ports"], "port");
    if listens != open {
        findings.push(format!("the controller listens on {listens:?}, its policy opens {open:?}"));
    }
    findings
}

fn same(
    title: &str,
    plain: &[Value],
    chart: &Rendered,
    kind: &str,
    name: &str,
    part: &str,
) -> Option<String> {
    let plain = plain.iter().find(|object| object["kind"] == kind);
    let plain = plain.and_then(|object| object.pointer(part));
    let chart = chart.object(kind, name).and_then(|object| object.pointer(part));
    (plain.is_none() || plain != chart).then(|| format!("{title}: manifests and chart differ"))
}

/// The spec of the Pods of a workload, with names as the plain manifests have them.
fn pod(workload: &Value) -> Value {
    let mut spec = workload["spec"]["template"]["spec"].clone();
    for part in DIFFERENT {
        if let Some(value) = spec.pointer_mut(part) {
            *value = Value::Null;
        }
    }
    let text = spec
        .to_string()
        .replace(
            "app.kubernetes.io/name=metallb,app.kubernetes.io/component=speaker",
            "app=metallb,component=speaker",
        )
        .replace("\"metallb-memberlist\"", "\"memberlist\"")
        .replace("\"metallb-controller\"", "\"controller\"");
    let mut spec: Value = serde_json::from_str(&text).unwrap_or_default();
    let container = &mut spec["containers"][0];
    // Defaults of the API that the chart writes out.
    for probe in ["livenessProbe", "readinessProbe"] {
        if container[probe]["successThreshold"] == json!(1)
            && let Some(fields) = container[probe].as_object_mut()
        {
            fields.remove("successThreshold");
        }
    }
    if let Some(context) = container["securityContext"].as_object_mut() {
        context.remove("runAsNonRoot");
    }
    if let Some(environment) = container["env"].as_array_mut() {
        environment.retain(|variable| variable["name"] != "METALLB_ML_BIND_PORT");
    }
    spec
}

/// The first part in which two values differ, if they do.
fn differences(title: &str, plain: &Value, chart: &Value) -> Option<String> {
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (a, b) = (fields(plain), fields(chart));
    if a.is_empty() || b.is_empty() {
        return (plain != chart).then(|| format!("{title}: manifests {plain}, chart {chart}"));
    }
    a.keys().chain(b.keys()).find_map(|key| {
        let (plain, chart) = (&plain[key.as_str()], &chart[key.as_str()]);
        match (plain, chart) {
            (plain, chart) if plain == chart => None,
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                a.iter().zip(b).find_map(|(a, b)| differences(&format!("{title}.{key}[]"), a, b))
            }
            _ => differences(&format!("{title}.{key}"), plain, chart),
        }
    })
}

fn read(root: &Path, path: &str) -> Result<Vec<Value>> {
    let text =
        fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))?;
    serde_saphyr::from_multiple(&text).with_context(|| format!("{path} is not YAML"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_difference_is_named() {
        let plain = json!({"a": [{"b": 1}], "c": 2});
        let chart = json!({"a": [{"b": 3}], "c": 2});
        let found = differences("Pod", &plain, &chart);
        assert_eq!(found.as_deref(), Some("Pod.a[].b: manifests 1, chart 3"));
        assert_eq!(differences("Pod", &plain, &plain), None);
    }
}
