//! The API objects a lab writes in kubelet's and the EndpointSlice controller's place.

use std::net::IpAddr;

use ferrolb_addr::Family;
use serde_json::{Map, Value, json};

use crate::host::Host;
use crate::plan::{self, Lan, Role};

/// A Node without its status.
pub(crate) fn node(host: &Host) -> Value {
    let ranges = match host.role {
        Role::Node(index) => plan::pod_ranges(index).to_vec(),
        _ => Vec::new(),
    };
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": host.name(),
            "labels": {
                "kubernetes.io/hostname": host.name(),
                "kubernetes.io/os": "linux",
            },
        },
        "spec": { "podCIDR": ranges.first(), "podCIDRs": ranges },
    })
}

/// A healthy Node's status.
pub(crate) fn node_status(host: &Host) -> Value {
    json!({
        "addresses": [
            { "type": "InternalIP", "address": host.address(Lan::One, Family::V4) },
            { "type": "InternalIP", "address": host.address(Lan::One, Family::V6) },
            { "type": "Hostname", "address": host.name() },
        ],
        "capacity": { "cpu": "2", "memory": "4Gi", "pods": "110" },
        "conditions": [{
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "the lab stands in for kubelet",
        }],
    })
}

/// A Pod of a workload in its place on a node, where no controller makes it.
pub(crate) fn instance(workload: &Value, name: &str, node: &Host) -> Value {
    let mut pod = workload["spec"]["template"].clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = name.into();
    pod["metadata"]["namespace"] = workload["metadata"]["namespace"].clone();
    pod["spec"]["nodeName"] = node.name().into();
    pod
}

/// What a Pod needs to be written.
#[derive(Clone, Debug)]
pub(crate) struct Pod<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) node: &'a Host,
    pub(crate) labels: &'a [(&'a str, &'a str)],
    pub(crate) addresses: Vec<IpAddr>,
    /// Name and image of its container.
    pub(crate) container: (&'a str, &'a str),
}

/// The container of Pods the lab writes itself.
pub(crate) const CONTAINER: (&str, &str) = ("main", "lab");

impl Pod<'_> {
    /// The Pod without its status, as if the scheduler had placed it.
    pub(crate) fn object(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": labels(self.labels),
            },
            "spec": {
                "nodeName": self.node.name(),
                "terminationGracePeriodSeconds": 0,
                "containers": [{ "name": self.container.0, "image": self.container.1 }],
            },
        })
    }

    /// Its status while it runs.
    pub(crate) fn status(&self, ready: bool) -> Value {
        let container = json!({
            "name": self.container.0,
            "image": self.container.1,
            "imageID": self.container.1,
            "ready": ready,
            "started": true,
            "restartCount": 0,
            "state": { "running": {} },
        });
        let ready = if ready { "True" } else { "False" };
        let addresses: Vec<_> =
            self.addresses.iter().map(|address| json!({ "ip": address })).collect();
        let conditions: Vec<_> = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
            .iter()
            .map(|kind| {
                let status = if kind.ends_with("Ready") { ready } else { "True" };
                json!({ "type": kind, "status": status })
            })
            .collect();
        json!({
            "phase": "Running",
            "hostIP": self.node.address(Lan::One, Family::V4),
            "podIP": self.addresses.first(),
            "podIPs": addresses,
            "conditions": conditions,
            "containerStatuses": [container],
        })
    }
}

/// One endpoint of a Service, for [`endpoint_slice`].
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: IpAddr,
    pub(crate) node: String,
    pub(crate) pod: String,
    pub(crate) ready: bool,
}

/// The EndpointSlice of one family of a Service.
pub(crate) fn endpoint_slice(
    service: &Value,
    family: Family,
    target_port: u16,
    endpoints: &[Endpoint],
) -> Value {
    let name = service["metadata"]["name"].as_str().unwrap_or_default();
    let (suffix, address_type) = match family {
        Family::V4 => ("ipv4", "IPv4"),
        Family::V6 => ("ipv6", "IPv6"),
    };
    let ports: Vec<_> = service["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| {
            json!({
                "name": port["name"].as_str().unwrap_or_default(),
                "protocol": port["protocol"].as_str().unwrap_or("TCP"),
                "port": target_port,
            })
        })
        .collect();
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|endpoint| {
            json!({
                "addresses": [endpoint.address],
                "nodeName": endpoint.node,
                "conditions": {
                    "ready": endpoint.ready,
                    "serving": endpoint.ready,
                    "terminating": false,
                },
                "targetRef": {
                    "kind": "Pod",
                    "name": endpoint.pod,
                    "namespace": service["metadata"]["namespace"],
                },
            })
        })
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{name}-{suffix}"),
            "namespace": service["metadata"]["namespace"],
            "labels": { "kubernetes.io/service-name": name },
        },
        "addressType": address_type,
        "ports": ports,
        "endpoints": endpoints,
    })
}

fn labels(pairs: &[(&str, &str)]) -> Value {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value)));
    Value::Object(pairs.collect::<Map<_, _>>())
}
