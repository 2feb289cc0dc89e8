//! `BGPPeer` between its two versions, for definitions that upstream left behind: those ask a
//! webhook to convert (`api.md` 2). Ours need none, see [`crate::bgp_peer`].
//!
//! Both versions mean the same by the same fields, so converting changes the name of the version
//! and nothing else. What upstream loses on the way stays: fields that only `v1beta2` knows, and
//! the difference between an unset timer and one that is zero.

use serde_json::{Map, Value};

use crate::bgp_peer::{DEPRECATED_VERSION, STORED_VERSION};
use crate::names::GROUP;

/// Why an object cannot be converted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConversionError {
    /// Something else than a `BGPPeer`.
    #[error("{kind:?} is not BGPPeer, the only kind that is converted")]
    Kind {
        /// The kind.
        kind: String,
    },
    /// From or to a version that does not exist.
    #[error("{version:?} is not metallb.io/v1beta1 or metallb.io/v1beta2")]
    Version {
        /// The version.
        version: String,
    },
}

/// Converts `object`, a `BGPPeer` of either version, to `api_version`.
pub fn convert(object: Value, api_version: &str) -> Result<Value, ConversionError> {
    check_version(api_version)?;
    let text = |field| object.get(field).and_then(Value::as_str).unwrap_or_default();
    if text("kind") != "BGPPeer" {
        return Err(ConversionError::Kind { kind: text("kind").to_owned() });
    }
    check_version(text("apiVersion"))?;

    let mut object = object;
    if let Some(fields) = object.as_object_mut() {
        fields.insert("apiVersion".to_owned(), api_version.into());
        if let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut) {
            drop_zero_port(spec);
        }
    }
    Ok(object)
}

fn check_version(api_version: &str) -> Result<(), ConversionError> {
    let known = api_version
        .strip_prefix(GROUP)
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|version| [DEPRECATED_VERSION, STORED_VERSION].contains(&version));
    known.then_some(()).ok_or_else(|| ConversionError::Version { version: api_version.to_owned() })
}

/// A port of zero means the default; only the old version lets it be written.
fn drop_zero_port(spec: &mut Map<String, Value>) {
    if spec.get("peerPort").and_then(Value::as_i64) == Some(0) {
        spec.remove("peerPort");
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const V1: &str = "metallb.io/v1beta1";
    const V2: &str = "metallb.io/v1beta2";

    fn mk_peer(api_version: &str, spec: &Value) -> Value {
        json!({
            "apiVersion": api_version,
            "kind": "BGPPeer",
            "metadata": { "name": "peer", "labels": { "a": "b" }, "uid": "1" },
            "spec": spec,
        })
    }

    #[rstest]
    #[case::unset_timers_stay_unset(json!({ "myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.1" }))]
    #[case::zero_timers_stay_zero(json!({ "myASN": 1, "holdTime": "0s", "keepaliveTime": "0s" }))]
    #[case::newer_fields_stay(json!({
        "myASN": 1, "dynamicASN": "external", "localASN": 7, "interface": "eth0", "connectTime": "9s",
        "passwordSecret": { "name": "secret" }, "enableGracefulRestart": true, "vrf": "red",
        "disableMP": false, "dualStackAddressFamily": true,
    }))]
    #[case::selectors_without_values(json!({
        "myASN": 1,
        "nodeSelectors": [{}, { "matchExpressions": [{ "key": "a", "operator": "Exists" }] }],
    }))]
    #[case::unknown_fields_stay(json!({ "myASN": 1, "later": { "a": 1 } }))]
    fn nothing_is_lost_there_and_back(#[case] spec: Value) {
        let stored = mk_peer(V2, &spec);
        let shown = convert(stored.clone(), V1).unwrap();
        assert_eq!(shown, mk_peer(V1, &spec));
        assert_eq!(convert(shown, V2).unwrap(), stored);
    }

    #[rstest]
    fn a_port_of_zero_is_the_default() {
        let written = mk_peer(V1, &json!({ "myASN": 1, "peerPort": 0 }));
        assert_eq!(convert(written, V2).unwrap(), mk_peer(V2, &json!({ "myASN": 1 })));
    }

    #[rstest]
    fn the_same_version_is_fine() {
        let peer = mk_peer(V2, &json!({}));
        assert_eq!(convert(peer.clone(), V2).unwrap(), peer);
    }

    #[rstest]
    #[case::to_nowhere(mk_peer(V1, &json!({})), "metallb.io/v1", "\"metallb.io/v1\" is not metallb.io/v1beta1 or metallb.io/v1beta2")]
    #[case::from_nowhere(mk_peer("v1beta1", &json!({})), V2, "\"v1beta1\" is not metallb.io/v1beta1 or metallb.io/v1beta2")]
    #[case::other_kind(json!({ "apiVersion": V1, "kind": "BFDProfile" }), V2, "\"BFDProfile\" is not BGPPeer, the only kind that is converted")]
    #[case::no_object(json!([]), V2, "\"\" is not BGPPeer, the only kind that is converted")]
    fn refuses(#[case] object: Value, #[case] api_version: &str, #[case] expected: &str) {
        assert_eq!(convert(object, api_version).unwrap_err().to_string(), expected);
    }
}
