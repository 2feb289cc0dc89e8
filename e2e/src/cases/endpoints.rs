//! Which endpoints count, by EndpointSlices written by hand.

use ferrolb_lab::Result;
use ferrolb_lab::plan::{self, Lan};
use serde_json::{Value, json};

use super::case;
use crate::manifest::{TARGET_PORT, service};
use crate::stage::Stage;
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[case(
    "endpoint_conditions",
    "G-35 ready, or serving although terminating, or unset",
    conditions,
)];

fn conditions(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start/pool.yaml")?;
    stage.apply(&service("bare").spec(&json!({ "selector": null })))?;
    let address = stage.address("bare")?;
    for (conditions, counts) in [
        (json!({ "ready": true }), true),
        (json!({ "ready": false }), false),
        (json!({ "ready": false, "serving": true, "terminating": true }), true),
        (json!({ "ready": false, "serving": false, "terminating": true }), false),
        (json!({ "ready": null, "serving": null, "terminating": null }), true),
    ] {
        stage.api().apply(&slice(&conditions))?;
        if counts {
            stage.announced("bare", Lan::One, address)?;
            stage.curl(address)?;
        } else {
            stage.expect_answerers(Lan::One, address, &[])?;
            stage.expect_no_status("bare")?;
        }
    }
    Ok(())
}

/// One endpoint, the stage's backend on node 1, in these conditions.
fn slice(conditions: &Value) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "bare-by-hand",
            "namespace": "default",
            "labels": { "kubernetes.io/service-name": "bare" },
        },
        "addressType": "IPv4",
        "ports": [{ "name": "tcp-80", "protocol": "TCP", "port": TARGET_PORT }],
        "endpoints": [{
            "addresses": [plan::pod_addresses(1, 0)[0]],
            "nodeName": "node1",
            "conditions": conditions,
        }],
    })
}
