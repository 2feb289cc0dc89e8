//! API objects reduced to model rows, one function per kind in the shape
//! [`watch::spawn`](crate::watch::spawn) takes. The object is consumed: what a row does not need
//! (first of all `managedFields`) is freed before anything is kept.
//!
//! `None` means that the object is of no interest: the reader is told it is gone if it knew it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrolb_addr::Family;
use ferrolb_api::annotations::{self, Annotation};
use ferrolb_api::labels::SLICE_SERVICE_NAME;
use ferrolb_ipam::{NodeName, Port, Protocol, ServiceKey};
use ferrolb_model::bgp::SecretRow;
use ferrolb_model::rows;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use zeroize::{Zeroize as _, Zeroizing};

use crate::resource::ObjectKey;

/// Field selector for [`service`]: what the server sorts out costs nothing here.
pub const LOAD_BALANCERS: &str = "spec.type=LoadBalancer";

/// A Service of type `LoadBalancer`.
pub fn service(key: &ObjectKey, object: core::Service) -> Option<rows::Service> {
    let spec = object.spec.unwrap_or_default();
    if spec.type_.as_deref() != Some("LoadBalancer") {
        return None;
    }
    let meta = object.metadata;
    let cluster_ips = match spec.cluster_ips {
        Some(ips) if !ips.is_empty() => ips,
        _ => spec.cluster_ip.into_iter().collect(),
    };
    let primary = spec.ip_families.as_ref().and_then(|families| families.first());
    let balancer = object.status.and_then(|status| status.load_balancer);
    let ingress = balancer.and_then(|balancer| balancer.ingress).unwrap_or_default();
    Some(rows::Service {
        key: ServiceKey::new(Arc::clone(&key.namespace), Arc::clone(&key.name)),
        uid: text(meta.uid),
        resource_version: text(meta.resource_version),
        labels: meta.labels.unwrap_or_default().into(),
        annotations: service_annotations(&meta.annotations.unwrap_or_default()),
        is_load_balancer: true,
        class: spec.load_balancer_class.map(Into::into),
        cluster_ips: cluster_ips.into_iter().filter(|ip| !ip.is_empty()).collect(),
        primary_family: match primary.map(String::as_str) {
            Some("IPv6") => Family::V6,
            _ => Family::V4,
        },
        ip_family_policy: match spec.ip_family_policy.as_deref() {
            Some("PreferDualStack") => rows::IpFamilyPolicy::PreferDualStack,
            Some("RequireDualStack") => rows::IpFamilyPolicy::RequireDualStack,
            _ => rows::IpFamilyPolicy::SingleStack,
        },
        load_balancer_ip: spec.load_balancer_ip.filter(|ip| !ip.is_empty()),
        ports: spec.ports.unwrap_or_default().iter().filter_map(port).collect(),
        local_traffic_only: spec.external_traffic_policy.as_deref() == Some("Local"),
        selector: spec.selector.unwrap_or_default().into(),
        ingress: exactly(
            ingress
                .into_iter()
                .map(|entry| rows::Ingress { ip: entry.ip, hostname: entry.hostname }),
        ),
    })
}

/// A Node.
pub fn node(key: &ObjectKey, object: core::Node) -> Option<rows::Node> {
    let status = object.status.unwrap_or_default();
    let network_unavailable = status
        .conditions
        .unwrap_or_default()
        .iter()
        .any(|condition| condition.type_ == "NetworkUnavailable" && condition.status == "True");
    let addresses = status.addresses.unwrap_or_default();
    Some(rows::Node {
        name: NodeName::new(Arc::clone(&key.name)),
        labels: object.metadata.labels.unwrap_or_default().into(),
        network_unavailable,
        addresses: addresses
            .iter()
            .filter(|address| matches!(address.type_.as_str(), "InternalIP" | "ExternalIP"))
            .filter_map(|address| address.address.parse().ok())
            .collect(),
    })
}

/// A Namespace.
pub fn namespace(key: &ObjectKey, object: core::Namespace) -> Option<rows::Namespace> {
    Some(rows::Namespace {
        name: Arc::clone(&key.name),
        labels: object.metadata.labels.unwrap_or_default().into(),
    })
}

/// An `EndpointSlice` that belongs to a Service.
pub fn endpoint_slice(
    key: &ObjectKey,
    object: discovery::EndpointSlice,
) -> Option<rows::EndpointSlice> {
    let service =
        object.metadata.labels?.remove(SLICE_SERVICE_NAME).filter(|name| !name.is_empty())?;
    let endpoints = object.endpoints.unwrap_or_default().into_iter().map(|endpoint| {
        let conditions = endpoint.conditions.unwrap_or_default();
        rows::Endpoint {
            ready: conditions.ready,
            serving: conditions.serving,
            node: endpoint.node_name.map(NodeName::from),
        }
    });
    Some(rows::EndpointSlice::reduce(
        rows::SliceKey { namespace: Arc::clone(&key.namespace), name: Arc::clone(&key.name) },
        ServiceKey::new(Arc::clone(&key.namespace), service),
        endpoints,
    ))
}

/// A Secret that may hold the password of a BGP session. The other content is dropped unseen.
pub fn secret(_: &ObjectKey, object: core::Secret) -> Option<SecretRow> {
    let mut data = object.data.unwrap_or_default();
    let password = data.remove("password").map(|bytes| Zeroizing::new(bytes.0));
    for bytes in data.values_mut() {
        bytes.0.zeroize();
    }
    let password = password.as_ref().map(|bytes| bytes.as_slice());
    Some(SecretRow::new(&object.type_.unwrap_or_default(), password))
}

/// A speaker Pod. One that ended has no address any more, whatever its status still says.
pub fn speaker_pod(key: &ObjectKey, object: core::Pod) -> Option<rows::SpeakerPod> {
    let status = object.status.unwrap_or_default();
    if matches!(status.phase.as_deref(), Some("Failed" | "Succeeded")) {
        return None;
    }
    Some(rows::SpeakerPod {
        name: Arc::clone(&key.name),
        uid: text(object.metadata.uid),
        node: object.spec.and_then(|spec| spec.node_name).map(NodeName::from),
        address: status.pod_ip.and_then(|ip| ip.parse().ok()),
    })
}

fn service_annotations(all: &BTreeMap<String, String>) -> rows::ServiceAnnotations {
    let read = |annotation: Annotation| annotation.read(all).map(str::to_owned);
    rows::ServiceAnnotations {
        address_pool: read(Annotation::ADDRESS_POOL),
        load_balancer_ips: read(Annotation::LOAD_BALANCER_IPS),
        allow_shared_ip: read(Annotation::ALLOW_SHARED_IP),
        allocated_from_pool: all.get(annotations::ALLOCATED_FROM_POOL).cloned(),
        deprecated_keys: annotations::deprecated(all).map(str::to_owned).collect(),
    }
}

fn port(port: &core::ServicePort) -> Option<Port> {
    let protocol = match port.protocol.as_deref() {
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        _ => Protocol::Tcp,
    };
    Some(Port { protocol, number: u16::try_from(port.port).ok()? })
}

/// All of them, in no more room than they take: what is collected from an owned list keeps the room of
/// that list.
fn exactly<T>(items: impl ExactSizeIterator<Item = T>) -> Vec<T> {
    let mut list = Vec::with_capacity(items.len());
    list.extend(items);
    list
}

fn text(field: Option<String>) -> Arc<str> {
    field.unwrap_or_default().into()
}

#[cfg(test)]
mod tests;
