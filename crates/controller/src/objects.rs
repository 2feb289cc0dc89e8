//! Objects for tests and benchmarks.

use std::net::IpAddr;

use ferrolb_addr::Family;
use ferrolb_api::IPAddressPool;
use ferrolb_ipam::{PoolName, Port, Protocol, ServiceKey};
use ferrolb_model::{Ingress, IpFamilyPolicy, Labels, Service, ServiceAnnotations};
use serde_json::json;

/// An IPv4 Service with one port and no address.
pub(crate) fn mk_service(name: &str) -> Service {
    Service {
        key: ServiceKey::new("default", name),
        uid: format!("uid-{name}").into(),
        resource_version: "1".into(),
        labels: Labels::new(),
        annotations: ServiceAnnotations::default(),
        is_load_balancer: true,
        class: None,
        cluster_ips: vec!["10.96.0.1".to_owned()],
        primary_family: Family::V4,
        ip_family_policy: IpFamilyPolicy::SingleStack,
        load_balancer_ip: None,
        ports: vec![Port { protocol: Protocol::Tcp, number: 80 }],
        local_traffic_only: false,
        selector: Labels::new(),
        ingress: Vec::new(),
    }
}

pub(crate) fn mk_pool(name: &str, addresses: &[&str]) -> IPAddressPool {
    serde_json::from_value(json!({
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": { "name": name, "namespace": "metallb-system" },
        "spec": { "addresses": addresses },
    }))
    .unwrap_or_else(|error| panic!("a pool: {error}"))
}

/// The Service as the API server has it after these addresses were written.
pub(crate) fn hold(service: &mut Service, addresses: &[IpAddr], pool: Option<&PoolName>) {
    let ingress = |ip: &IpAddr| Ingress { ip: Some(ip.to_string()), hostname: None };
    service.ingress = addresses.iter().map(ingress).collect();
    service.annotations.allocated_from_pool = pool.map(ToString::to_string);
}
