//! What the server does to objects of some built-in kinds, and only to those.

use serde_json::{Value, json};

use crate::kind::Kind;
use crate::object::{fields, text};
use crate::refusal::Refusal;

/// How a kind differs from an ordinary one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Behaviour {
    Plain,
    /// Carries its name as a label and is active at once.
    Namespace,
    /// May be created together with its status, as the kubelet does.
    Node,
    /// Begins as pending.
    Pod,
    /// Gets cluster addresses and many defaults.
    Service,
    /// Makes a kind.
    Definition,
}

/// Sets the status that a new object begins with.
pub(crate) fn begin(object: &mut Value, kind: &Kind) -> Result<(), Refusal> {
    if !kind.has_status {
        return Ok(());
    }
    let status = match kind.behaviour() {
        Behaviour::Node => return Ok(()),
        Behaviour::Namespace => {
            let name = text(object, "/metadata/name").to_owned();
            let metadata = fields(object, "metadata")?;
            let labels = metadata.entry("labels").or_insert_with(|| json!({}));
            if let Some(labels) = labels.as_object_mut() {
                labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
            }
            json!({ "phase": "Active" })
        }
        Behaviour::Pod => json!({ "phase": "Pending" }),
        Behaviour::Service => json!({ "loadBalancer": {} }),
        Behaviour::Plain | Behaviour::Definition => Value::Null,
    };
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
        if !status.is_null() {
            object.insert("status".to_owned(), status);
        }
    }
    Ok(())
}
