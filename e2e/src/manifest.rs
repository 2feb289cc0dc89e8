//! Objects that cases apply, and the little in which they differ from case to case.

use serde_json::{Map, Value, json};

/// The app that the stage's backends belong to.
pub(crate) const APP: &str = "echo";

/// The port backends listen on.
pub(crate) const TARGET_PORT: u16 = 8080;

/// An object that is being put together.
#[derive(Clone, Debug)]
pub(crate) struct Manifest(Value);

impl Manifest {
    /// Merges into the whole object, as a merge patch does.
    pub(crate) fn with(mut self, patch: &Value) -> Self {
        merge(&mut self.0, patch);
        self
    }

    /// Merges into the spec.
    pub(crate) fn spec(self, spec: &Value) -> Self {
        self.with(&json!({ "spec": spec }))
    }

    /// Puts an annotation on it.
    pub(crate) fn annotate(self, key: &str, value: &str) -> Self {
        self.with(&json!({ "metadata": { "annotations": { key: value } } }))
    }

    /// Puts a label on it.
    pub(crate) fn label(self, key: &str, value: &str) -> Self {
        self.with(&json!({ "metadata": { "labels": { key: value } } }))
    }

    /// Moves it into a namespace.
    pub(crate) fn namespace(self, namespace: &str) -> Self {
        self.with(&json!({ "metadata": { "namespace": namespace } }))
    }

    /// Its port.
    pub(crate) fn port(self, protocol: &str, port: u16) -> Self {
        let name = format!("{}-{port}", protocol.to_lowercase());
        self.spec(&json!({ "ports": [{
            "name": name, "protocol": protocol, "port": port, "targetPort": TARGET_PORT,
        }] }))
    }

    /// The families it wants.
    pub(crate) fn families(self, policy: &str, families: &[&str]) -> Self {
        self.spec(&json!({ "ipFamilyPolicy": policy, "ipFamilies": families }))
    }

    /// Traffic to endpoints of the same node only.
    pub(crate) fn local(self) -> Self {
        self.spec(&json!({ "externalTrafficPolicy": "Local" }))
    }

    /// The object.
    pub(crate) fn object(&self) -> &Value {
        &self.0
    }
}

/// A `LoadBalancer` Service in namespace default, TCP port 80, before the stage's backends.
pub(crate) fn service(name: &str) -> Manifest {
    Manifest(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "namespace": "default" },
        "spec": { "type": "LoadBalancer", "selector": { "app": APP } },
    }))
    .port("TCP", 80)
}

/// A pool.
pub(crate) fn pool(name: &str, addresses: &[&str]) -> Manifest {
    configuration("IPAddressPool", name).spec(&json!({ "addresses": addresses }))
}

/// An advertisement of every pool, everywhere.
pub(crate) fn advertisement(name: &str) -> Manifest {
    configuration("L2Advertisement", name).spec(&json!({}))
}

/// An object of ours in our namespace.
pub(crate) fn configuration(kind: &str, name: &str) -> Manifest {
    Manifest(json!({
        "apiVersion": "metallb.io/v1beta1",
        "kind": kind,
        "metadata": { "name": name, "namespace": ferrolb_lab::NAMESPACE },
    }))
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (key, value) in patch {
        merge(&mut target[key], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        let service = service("web").annotate("a", "1").label("b", "2").local().port("UDP", 53);
        let object = service.object();
        assert_eq!(object["metadata"]["annotations"]["a"], "1");
        assert_eq!(object["metadata"]["labels"]["b"], "2");
        assert_eq!(object["metadata"]["name"], "web");
        assert_eq!(object["spec"]["externalTrafficPolicy"], "Local");
        assert_eq!(object["spec"]["ports"][0]["name"], "udp-53");
        assert_eq!(object["spec"]["ports"].as_array().unwrap().len(), 1);
    }
}
