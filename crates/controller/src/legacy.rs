//! The configuration of releases before custom resources: a `ConfigMap` that nobody reads any more.
//!
//! Whoever comes from there and has no pools yet is told once how to go on.

use std::sync::Arc;
use std::time::Duration;

use ferrolb_api::reasons::EventReason;
use ferrolb_kube_rt::events::{ObjectRef, Recorder};
use ferrolb_model::report::is_legacy_configuration;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use tracing::{debug, warn};

/// Name of the object, and of the key in it.
const CONFIG: &str = "config";
/// Time for the one request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks for such a `ConfigMap` in `namespace`, and says on it what to do.
pub(crate) async fn look(client: Client, namespace: Arc<str>, recorder: Recorder) {
    let api = Api::<ConfigMap>::namespaced(client, &namespace);
    let object = match tokio::time::timeout(PATIENCE, api.get_opt(CONFIG)).await {
        Ok(Ok(Some(object))) => object,
        Ok(Ok(None)) | Err(_) => return,
        Ok(Err(error)) => {
            // Without the permission there is nothing to tell.
            debug!(op = "lookForLegacyConfiguration", %error);
            return;
        }
    };
    let text = object.data.as_ref().and_then(|data| data.get(CONFIG));
    if !text.is_some_and(|text| is_legacy_configuration(text)) {
        return;
    }
    let message = "this configuration is of version 0.12 or before and is not read: convert it to \
                   custom resources (IPAddressPool and others) with MetalLB's configmaptocrs";
    warn!(namespace = &*namespace, name = CONFIG, "{message}");
    let reason = EventReason::LegacyConfig;
    recorder.record(&ObjectRef::of(&object), reason.event_type(), reason.as_str(), message);
}
