//! Names and selectors: those of MetalLB's chart, for every release name and override. They are
//! written out here and not computed, because a formula could be wrong in the same way as the chart.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::{Value, json};

use super::Findings;
use super::helm::{Helm, Release, Rendered};

struct Case {
    release: &'static str,
    values: &'static str,
    /// What object names begin with.
    fullname: &'static str,
    /// `app.kubernetes.io/name`.
    label: &'static str,
}

const CASES: [Case; 7] = [
    Case { release: "metallb", values: "{}", fullname: "metallb", label: "metallb" },
    Case { release: "lb", values: "{}", fullname: "lb-metallb", label: "metallb" },
    Case { release: "my-metallb-2", values: "{}", fullname: "my-metallb-2", label: "metallb" },
    Case { release: "lb", values: "{nameOverride: edge}", fullname: "lb-edge", label: "edge" },
    Case { release: "edge-1", values: "{nameOverride: edge}", fullname: "edge-1", label: "edge" },
    Case { release: "lb", values: "{fullnameOverride: vip}", fullname: "vip", label: "metallb" },
    Case {
        release: "lb",
        values: "{fullnameOverride: a-name-that-is-longer-than-the-sixty-three-characters-of-a-label-x}",
        fullname: "a-name-that-is-longer-than-the-sixty-three-characters-of-a-labe",
        label: "metallb",
    },
];

/// Kinds and names of everything upstream's chart makes with its defaults, `*` for the full name;
/// its frr-k8s apart.
const UPSTREAM: &[(&str, &str)] = &[
    ("ServiceAccount", "*-controller"),
    ("ServiceAccount", "*-speaker"),
    ("Secret", "metallb-webhook-cert"),
    ("ConfigMap", "metallb-excludel2"),
    ("CustomResourceDefinition", "bfdprofiles.metallb.io"),
    ("CustomResourceDefinition", "bgpadvertisements.metallb.io"),
    ("CustomResourceDefinition", "bgppeers.metallb.io"),
    ("CustomResourceDefinition", "communities.metallb.io"),
    ("CustomResourceDefinition", "configurationstates.metallb.io"),
    ("CustomResourceDefinition", "ipaddresspools.metallb.io"),
    ("CustomResourceDefinition", "l2advertisements.metallb.io"),
    ("CustomResourceDefinition", "servicebgpstatuses.metallb.io"),
    ("CustomResourceDefinition", "servicel2statuses.metallb.io"),
    ("ClusterRole", "*:controller"),
    ("ClusterRole", "*:speaker"),
    ("ClusterRoleBinding", "*:controller"),
    ("ClusterRoleBinding", "*:speaker"),
    ("Role", "*-controller"),
    ("Role", "*-pod-lister"),
    ("RoleBinding", "*-controller"),
    ("RoleBinding", "*-pod-lister"),
    ("Service", "metallb-webhook-service"),
    ("Deployment", "*-controller"),
    ("DaemonSet", "*-speaker"),
    ("ValidatingWebhookConfiguration", "metallb-webhook-configuration"),
];

/// What ours makes besides.
const OURS: &[(&str, &str)] = &[
    ("CustomResourceDefinition", "bgpsessions.ferrolb.io"),
    ("Role", "*:speaker"),
    ("RoleBinding", "*:speaker"),
];

pub(super) fn check(helm: &Helm) -> Result<Findings> {
    let mut findings = Findings::new();
    for case in &CASES {
        let rendered = helm.must_render(Release {
            name: case.release,
            namespace: "metallb-system",
            values: case.values,
        })?;
        let title = format!("release {} with {}", case.release, case.values);
        findings.extend(objects(case, &rendered).map(|finding| format!("{title}: {finding}")));
        findings.extend(selectors(case, &rendered).map(|finding| format!("{title}: {finding}")));
    }
    Ok(findings)
}

fn objects<'a>(case: &'a Case, rendered: &Rendered) -> impl Iterator<Item = String> + use<'a> {
    let wanted: BTreeSet<(String, String)> = UPSTREAM
        .iter()
        .chain(OURS)
        .map(|(kind, name)| ((*kind).to_owned(), name.replace('*', case.fullname)))
        .collect();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let present: BTreeSet<(String, String)> = rendered
        .objects
        .iter()
        .map(|object| (text(&object["kind"]), text(&object["metadata"]["name"])))
        .collect();
    let missing: Vec<_> = wanted
        .difference(&present)
        .map(|(kind, name)| format!("{kind} {name} is missing"))
        .collect();
    let unknown: Vec<_> = present
        .difference(&wanted)
        .map(|(kind, name)| format!("{kind} {name} is unknown"))
        .collect();
    missing.into_iter().chain(unknown)
}

fn selectors<'a>(case: &'a Case, rendered: &Rendered) -> impl Iterator<Item = String> + use<'a> {
    let mut findings = Findings::new();
    for (kind, component) in [("Deployment", "controller"), ("DaemonSet", "speaker")] {
        let wanted = json!({
            "app.kubernetes.io/name": case.label,
            "app.kubernetes.io/instance": case.release,
            "app.kubernetes.io/component": component,
        });
        let name = format!("{}-{component}", case.fullname);
        let Some(workload) = rendered.object(kind, &name) else { continue };
        let spec = &workload["spec"];
        for (what, labels) in [
            ("selector", &spec["selector"]["matchLabels"]),
            ("labels of its Pods", &spec["template"]["metadata"]["labels"]),
        ] {
            if *labels != wanted {
                findings.push(format!("{kind} {name}: {what} {labels}, want {wanted}"));
            }
        }
    }
    findings.into_iter()
}
