//! A Service as the controller reads it: the model's row, and what concerns writing alone.

use std::sync::Arc;

use ferrolb_kube_rt::{ObjectKey, rows};
use ferrolb_model::Service;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ManagedFieldsEntry};
use serde_json::Value;

/// The name under which the API server keeps account of our own writes: what stands before the
/// slash in our `User-Agent`.
const OUR_MANAGER: &str = "ferrolb";

/// A Service of type `LoadBalancer`.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What decisions read.
    pub service: Service,
    /// All of `status.conditions`, ours and others'.
    pub conditions: Arc<[Condition]>,
    /// Who else wrote the addresses in the status last; none if we did, or nobody.
    pub rival: Option<Arc<str>>,
}

impl Row {
    /// Reduces an object; `None` for another type of Service.
    pub fn prune(key: &ObjectKey, mut object: core::Service) -> Option<Self> {
        let rival = rival(object.metadata.managed_fields.take().unwrap_or_default());
        let conditions = object.status.as_mut().and_then(|status| status.conditions.take());
        let mut service = rows::service(key, object)?;
        // As they were read they have room for more.
        service.cluster_ips.shrink_to_fit();
        service.ingress.shrink_to_fit();
        Some(Self { service, conditions: conditions.unwrap_or_default().into(), rival })
    }
}

impl From<Service> for Row {
    fn from(service: Service) -> Self {
        Self { service, conditions: Arc::default(), rival: None }
    }
}

/// The manager, other than us, that owns `status.loadBalancer.ingress`; the latest if there are
/// several. An update moves the ownership to whoever made it.
fn rival(managed: Vec<ManagedFieldsEntry>) -> Option<Arc<str>> {
    let owns_ingress = |entry: &ManagedFieldsEntry| {
        entry.subresource.as_deref() == Some("status")
            && entry.fields_v1.as_ref().is_some_and(|fields| {
                let path = ["f:status", "f:loadBalancer", "f:ingress"];
                path.iter().try_fold(&fields.0, |at: &Value, key| at.get(key)).is_some()
            })
    };
    let theirs = managed.into_iter().filter(owns_ingress);
    let latest = theirs.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?;
    let manager = latest.manager.unwrap_or_default();
    (manager != OUR_MANAGER && !manager.is_empty()).then(|| manager.into())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn mk_service(managed: &Value) -> core::Service {
        serde_json::from_value(json!({
            "metadata": { "name": "web", "managedFields": managed },
            "spec": { "type": "LoadBalancer" },
            "status": { "conditions": [{
                "type": "example.org/Checked", "status": "True", "reason": "Fine", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }] },
        }))
        .unwrap()
    }

    fn mk_entry(manager: &str, subresource: &str, time: &str) -> Value {
        json!({
            "manager": manager, "operation": "Update", "subresource": subresource, "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": { "f:status": { "f:loadBalancer": { "f:ingress": {} } } },
        })
    }

    const EARLY: &str = "2026-01-01T00:00:00Z";
    const LATE: &str = "2026-01-01T00:00:01Z";

    #[rstest]
    #[case::nobody(json!([]), None)]
    #[case::ourselves(json!([mk_entry("ferrolb", "status", EARLY)]), None)]
    #[case::another(json!([mk_entry("kube-vip", "status", EARLY)]), Some("kube-vip"))]
    #[case::not_the_status(json!([mk_entry("kubectl", "", EARLY)]), None)]
    #[case::the_latest(
        json!([mk_entry("b", "status", LATE), mk_entry("a", "status", EARLY)]),
        Some("b")
    )]
    #[case::we_were_later(
        json!([mk_entry("ferrolb", "status", LATE), mk_entry("a", "status", EARLY)]),
        None
    )]
    #[case::only_conditions(
        json!([{ "manager": "x", "subresource": "status", "fieldsV1": { "f:status": { "f:conditions": {} } } }]),
        None
    )]
    fn rivals_are_who_owns_the_addresses(#[case] managed: Value, #[case] rival: Option<&str>) {
        let row = Row::prune(&ObjectKey::new("default", "web"), mk_service(&managed)).unwrap();
        assert_eq!(row.rival.as_deref(), rival);
        assert_eq!(row.conditions.len(), 1);
    }
}
