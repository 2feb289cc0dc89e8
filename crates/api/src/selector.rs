//! Schema of the standard label selector, with list and map types and texts of our own.
//!
//! The type itself is `k8s_openapi`'s; whether its operators and values make sense is decided where
//! it is parsed, since the schema of upstream leaves them open too.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// Schema of a list of selectors. The description is that of the field it stands on.
pub(crate) fn selectors(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": selector_value() })
}

/// Schema of a single selector.
pub(crate) fn selector(_: &mut SchemaGenerator) -> Schema {
    Schema::try_from(selector_value()).unwrap_or_default()
}

fn selector_value() -> Value {
    json!({
        "description": "A label selector. All conditions in it must hold; an empty selector matches everything.",
        "type": "object",
        "properties": {
            "matchExpressions": {
                "description": "Conditions on labels; all of them must hold.",
                "type": "array",
                "items": {
                    "description": "A condition on one label.",
                    "type": "object",
                    "properties": {
                        "key": {
                            "description": "The label this condition looks at.",
                            "type": "string",
                        },
                        "operator": {
                            "description": "How the label relates to the values: In, NotIn, Exists or DoesNotExist.",
                            "type": "string",
                        },
                        "values": {
                            "description": "The values to compare with: at least one for In and NotIn, none for Exists and DoesNotExist.",
                            "type": "array",
                            "items": { "type": "string" },
                            "x-kubernetes-list-type": "atomic",
                        },
                    },
                    "required": ["key", "operator"],
                },
                "x-kubernetes-list-type": "atomic",
            },
            "matchLabels": {
                "description": "Labels that must be present with exactly these values.",
                "type": "object",
                "additionalProperties": { "type": "string" },
            },
        },
        "x-kubernetes-map-type": "atomic",
    })
}
