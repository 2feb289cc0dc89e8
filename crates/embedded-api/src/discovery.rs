//! Discovery: what the server says of itself.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::kind::Kind;

const VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// `/version`: the release whose behaviour this is modelled on.
pub(crate) fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "gitVersion": "v1.36.3+embedded",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// `/api`.
pub(crate) fn core_versions() -> Value {
    json!({ "kind": "APIVersions", "versions": ["v1"] })
}

/// `/apis`.
pub(crate) fn groups<'a>(kinds: impl Iterator<Item = &'a Kind>) -> Value {
    let versions: BTreeMap<&str, &str> = kinds
        .filter(|kind| !kind.group.is_empty())
        .map(|kind| (kind.group.as_str(), kind.version.as_str()))
        .collect();
    let groups: Vec<_> = versions.iter().map(|(name, version)| entry(name, version)).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

/// `/apis/<group>`.
pub(crate) fn group<'a>(mut kinds: impl Iterator<Item = &'a Kind>, name: &str) -> Option<Value> {
    let kind = kinds.find(|kind| kind.group == name && !name.is_empty())?;
    let mut group = entry(name, &kind.version);
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    Some(group)
}

/// `/api/v1` and `/apis/<group>/<version>`.
pub(crate) fn resources<'a>(
    kinds: impl Iterator<Item = &'a Kind>,
    group: &str,
    version: &str,
) -> Option<Value> {
    let mut resources = Vec::new();
    let mut group_version = None;
    for kind in kinds.filter(|kind| kind.group == group && kind.version == version) {
        group_version = Some(kind.api_version());
        resources.push(json!({
            "name": kind.plural,
            "singularName": kind.kind.to_lowercase(),
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": VERBS,
            "shortNames": kind.short_names,
        }));
        if kind.has_status {
            resources.push(json!({
                "name": format!("{}/status", kind.plural),
                "singularName": "",
                "namespaced": kind.namespaced,
                "kind": kind.kind,
                "verbs": ["get", "patch", "update"],
            }));
        }
    }
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version?,
        "resources": resources,
    }))
}

fn entry(name: &str, version: &str) -> Value {
    let version = json!({ "groupVersion": format!("{name}/{version}"), "version": version });
    json!({ "name": name, "versions": [version], "preferredVersion": version })
}
