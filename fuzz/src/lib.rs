//! Texts that become objects, a field a line: mutations of such a text are objects that Kubernetes
//! could send, which mutations of JSON seldom are.

use serde_json::{Map, Value};

/// Sets what `path` (RFC 6901) leads to, and makes what is missing on the way; `-` adds to a list.
pub fn set(object: &mut Value, path: &str, value: Value) {
    let mut at = object;
    for part in path.split('/').skip(1) {
        if part == "-" {
            if !at.is_array() {
                *at = Value::Array(Vec::new());
            }
            let Some(list) = at.as_array_mut() else { return };
            list.push(Value::Null);
            let Some(last) = list.last_mut() else { return };
            at = last;
            continue;
        }
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[part.replace("~1", "/").as_str()];
    }
    *at = value;
}
