//! The body of a status write: the facts that are ours, and nothing else.

use std::sync::Arc;

use ferrolb_api::annotations::ALLOCATED_FROM_POOL;
use ferrolb_ipam::{PoolName, ServiceKey};
use ferrolb_kube_rt::Resource;
use ferrolb_kube_rt::status::{Action, Write};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Value, json};

use crate::ledger::{Balancer, StatusWrite};

/// A write of the status of Service `key`.
pub(crate) fn write(key: &ServiceKey, action: Action) -> Write {
    Write {
        resource: Resource::of::<Service>(),
        namespace: Some(Arc::clone(&key.namespace)),
        name: Arc::clone(&key.name),
        subresource: Some("status"),
        action,
    }
}

/// A merge patch (RFC 7386) for `services/status` that sets the addresses and names their pool, or
/// takes both away, and replaces the conditions; what the write leaves alone is not in it. The
/// subresource admits changes of annotations.
pub(crate) fn patch(write: &StatusWrite) -> Value {
    let mut status = serde_json::Map::new();
    let mut body = serde_json::Map::new();
    if let Some(Balancer { addresses, pool }) = &write.balancer {
        let ingress = match addresses.as_slice() {
            [] => Value::Null,
            addresses => addresses.iter().map(|ip| json!({ "ip": ip.to_string() })).collect(),
        };
        let pool = pool.as_ref().map(PoolName::as_str);
        body.insert("metadata".into(), json!({ "annotations": { ALLOCATED_FROM_POOL: pool } }));
        status.insert("loadBalancer".into(), json!({ "ingress": ingress }));
    }
    if let Some(conditions) = &write.conditions {
        status.insert("conditions".into(), list(conditions));
    }
    body.insert("status".into(), status.into());
    body.into()
}

/// A merge patch that removes what is ours from a Service that is not of type `LoadBalancer` any
/// more; the API server itself has cleared its addresses. `conditions`: those that stay, if ours
/// are to be removed.
pub(crate) fn disown(conditions: Option<&[Condition]>) -> Value {
    let mut body = json!({ "metadata": { "annotations": { ALLOCATED_FROM_POOL: null } } });
    if let Some(conditions) = conditions {
        body["status"] = json!({ "conditions": list(conditions) });
    }
    body
}

fn list(conditions: &[Condition]) -> Value {
    if conditions.is_empty() { Value::Null } else { json!(conditions) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_write(addresses: &[&str], pool: Option<&str>) -> StatusWrite {
        StatusWrite {
            key: ServiceKey::new("default", "web"),
            resource_version: "7".into(),
            balancer: Some(Balancer {
                addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
                pool: pool.map(Into::into),
            }),
            conditions: None,
        }
    }

    #[test]
    fn sets_addresses_in_order_and_names_the_pool() {
        assert_eq!(
            patch(&mk_write(&["192.0.2.1", "2001:db8::1"], Some("p"))),
            json!({
                "metadata": { "annotations": { "metallb.io/ip-allocated-from-pool": "p" } },
                "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }, { "ip": "2001:db8::1" }] } },
            })
        );
    }

    #[test]
    fn clearing_removes_both() {
        assert_eq!(
            patch(&mk_write(&[], None)),
            json!({
                "metadata": { "annotations": { "metallb.io/ip-allocated-from-pool": null } },
                "status": { "loadBalancer": { "ingress": null } },
            })
        );
    }

    #[test]
    fn what_stays_is_not_in_the_patch() {
        let write = StatusWrite { balancer: None, ..mk_write(&[], None) };
        let none = StatusWrite { conditions: Some(Arc::default()), ..write.clone() };
        assert_eq!(patch(&write), json!({ "status": {} }));
        assert_eq!(patch(&none), json!({ "status": { "conditions": null } }));
    }
}
