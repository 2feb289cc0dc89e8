//! The body of a status write: the facts that are ours, and nothing else.

use std::sync::Arc;

use ferrolb_api::annotations::ALLOCATED_FROM_POOL;
use ferrolb_ipam::{PoolName, ServiceKey};
use ferrolb_kube_rt::Resource;
use ferrolb_kube_rt::status::{Action, Write};
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use crate::ledger::StatusWrite;

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
/// takes both away. The subresource admits changes of annotations.
pub(crate) fn patch(write: &StatusWrite) -> Value {
    let ingress = match write.addresses.as_slice() {
        [] => Value::Null,
        addresses => addresses.iter().map(|ip| json!({ "ip": ip.to_string() })).collect(),
    };
    json!({
        "metadata": { "annotations": { ALLOCATED_FROM_POOL: write.pool.as_ref().map(PoolName::as_str) } },
        "status": { "loadBalancer": { "ingress": ingress } },
    })
}

/// A merge patch that removes the annotation from a Service that is not of type `LoadBalancer` any
/// more; the API server itself has cleared its status.
pub(crate) fn forget_pool() -> Value {
    json!({ "metadata": { "annotations": { ALLOCATED_FROM_POOL: null } } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_write(addresses: &[&str], pool: Option<&str>) -> StatusWrite {
        StatusWrite {
            key: ServiceKey::new("default", "web"),
            resource_version: "7".into(),
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
            pool: pool.map(Into::into),
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
}
