//! What a Service asks the allocator for.

use std::net::IpAddr;

use ferrolb_ipam::Request;
use ferrolb_model::Service;
use ferrolb_model::family::Stack;

/// Services with local traffic share an address only with those that have the same endpoints, which
/// is what an equal selector means. With cluster-wide traffic anybody may share.
pub(crate) fn backend_key(service: &Service) -> String {
    if !service.local_traffic_only {
        return String::new();
    }
    let pairs: Vec<_> =
        service.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

/// What `service` asks the allocator for.
pub(crate) fn request<'a>(service: &'a Service, backend_key: &'a str, stack: Stack) -> Request<'a> {
    Request {
        service: &service.key,
        labels: &service.labels,
        ports: &service.ports,
        sharing_key: service.annotations.allow_shared_ip.as_deref().unwrap_or_default(),
        backend_key,
        families: stack.families(service.ip_family_policy, service.primary_family),
    }
}

pub(super) fn same_set(one: &[IpAddr], other: &[IpAddr]) -> bool {
    one.len() == other.len() && one.iter().all(|ip| other.contains(ip))
}
