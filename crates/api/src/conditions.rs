//! Types and reasons of the conditions we write, and the schema of a list of them: the standard one,
//! with limits as upstream has them and texts of our own.

use schemars::{Schema, SchemaGenerator, json_schema};

/// On a Service of our class: whether it has its addresses. Written by the controller.
pub const ALLOCATED: &str = "metallb.io/Allocated";

/// On a Service of our class: whether some node announces it. Written by the controller.
pub const ANNOUNCED: &str = "metallb.io/Announced";

/// On a `ServiceBGPStatus`: whether every peer that should be told was told.
pub const ADVERTISED: &str = "metallb.io/Advertised";

/// On the `ConfigurationState` of the controller, as upstream's.
pub const POOL_RECONCILER_VALID: &str = "poolReconcilerValid";

/// On the `ConfigurationState` of a speaker, as upstream's.
pub const CONFIG_RECONCILER_VALID: &str = "configReconcilerValid";

/// On a `ConfigurationState`: whether all names that objects mention belong to something. Not known
/// upstream, where such names are silently left aside; `False` does not make the result invalid.
pub const REFERENCES_RESOLVED: &str = "metallb.io/ReferencesResolved";

/// Reason of a condition that holds, as upstream's.
pub const RECONCILED: &str = "Reconciled";

/// Reason of a condition that makes the result of a `ConfigurationState` invalid, as upstream's.
pub const CONFIGURATION_ERROR: &str = "ConfigurationError";

/// Reason of [`REFERENCES_RESOLVED`] when it does not hold.
pub const DANGLING_REFERENCE: &str = "DanglingReference";

/// Schema of a list of conditions, one of each type.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {
            "description": "One aspect of the state.",
            "type": "object",
            "properties": {
                "lastTransitionTime": {
                    "description": "When the status changed last.",
                    "type": "string",
                    "format": "date-time",
                },
                "message": {
                    "description": "What there is to say about it, in words.",
                    "type": "string",
                    "maxLength": 32768,
                },
                "observedGeneration": {
                    "description": "The generation of the object that the condition is about.",
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0.0,
                },
                "reason": {
                    "description": "Why the status is as it is, in one word for programs.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "status": {
                    "description": "Whether it holds.",
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                },
                "type": {
                    "description": "The aspect.",
                    "type": "string",
                    "maxLength": 316,
                    "pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
                },
            },
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
        },
        "x-kubernetes-list-map-keys": ["type"],
        "x-kubernetes-list-type": "map",
    })
}
