//! Custom resource definitions: the kinds they make, and the status that says so.

use serde_json::{Value, json};

use crate::kind::Kind;
use crate::object::{now, text};
use crate::refusal::Refusal;

/// The kind that a definition makes, at the version that is stored.
pub(crate) fn kind_of(definition: &Value, kind: &Kind) -> Result<Kind, Refusal> {
    let name = text(definition, "/metadata/name");
    let (group, plural) = (text(definition, "/spec/group"), text(definition, "/spec/names/plural"));
    if name != format!("{plural}.{group}") {
        let why = format!("must be spec.names.plural+\".\"+spec.group ({plural}.{group})");
        return Err(Refusal::invalid(kind, name, "metadata.name", &why));
    }
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
    let Some(version) =
        versions.into_iter().flatten().find(|version| version["storage"] == Value::Bool(true))
    else {
        return Err(Refusal::invalid(kind, name, "spec.versions", "no version is stored"));
    };
    let short_names = definition.pointer("/spec/names/shortNames").and_then(Value::as_array);
    let selectable = version["selectableFields"].as_array();
    Ok(Kind {
        group: group.to_owned(),
        version: text(version, "/name").to_owned(),
        kind: text(definition, "/spec/names/kind").to_owned(),
        plural: plural.to_owned(),
        short_names: strings(short_names, ""),
        namespaced: text(definition, "/spec/scope") == "Namespaced",
        has_status: version.pointer("/subresources/status").is_some(),
        fields: strings(selectable, "/jsonPath")
            .iter()
            .map(|path| path.trim_start_matches('.').to_owned())
            .collect(),
        custom: true,
    })
}

/// The status of a definition whose kind is served.
pub(crate) fn established(definition: &Value, kind: &Kind) -> Value {
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": now(),
        })
    };
    json!({
        "acceptedNames": definition.pointer("/spec/names"),
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "storedVersions": [kind.version],
    })
}

fn strings(values: Option<&Vec<Value>>, pointer: &str) -> Vec<String> {
    values.into_iter().flatten().map(|value| text(value, pointer).to_owned()).collect()
}
