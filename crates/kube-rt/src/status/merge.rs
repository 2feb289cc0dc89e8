//! JSON merge patch (RFC 7386), for servers that let us replace but not patch.

use serde_json::{Map, Value};

/// Applies `patch` to `target`.
pub(super) fn apply(target: &mut Value, patch: &Value) {
    // RFC 7386 2: a patch that is no object replaces the target.
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            apply(target.entry(name.as_str()).or_insert(Value::Null), value);
        }
    }
}

/// Sets `metadata.resourceVersion`.
pub(super) fn with_version(mut object: Value, version: &str) -> Value {
    apply(&mut object, &serde_json::json!({ "metadata": { "resourceVersion": version } }));
    object
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    // RFC 7386 appendix A, the cases that differ in kind.
    #[rstest]
    #[case::replace(json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"}))]
    #[case::add(json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"}))]
    #[case::remove(json!({"a":"b"}), json!({"a":null}), json!({}))]
    #[case::remove_one(json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"}))]
    #[case::array_is_replaced(json!({"a":["b"]}), json!({"a":["c"]}), json!({"a":["c"]}))]
    #[case::nested(json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}}))]
    #[case::scalar_becomes_object(json!({"a":"foo"}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}}))]
    #[case::not_an_object(json!({"a":"foo"}), json!(["c"]), json!(["c"]))]
    fn merges(#[case] mut target: Value, #[case] patch: Value, #[case] expected: Value) {
        apply(&mut target, &patch);
        assert_eq!(target, expected);
    }

    #[test]
    fn version_is_set_beside_other_metadata() {
        let object = with_version(json!({"metadata": {"labels": {"a": "b"}}}), "7");
        assert_eq!(object, json!({"metadata": {"labels": {"a": "b"}, "resourceVersion": "7"}}));
    }
}
