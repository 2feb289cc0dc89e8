//! The kube-proxy stand-in of the embedded mode: a Service's external addresses become DNAT rules on
//! every node.
//!
//! It does for TCP and UDP what matters to a load balancer: random choice among ready endpoints,
//! `externalTrafficPolicy: Local` (endpoints of this node only, the client's address kept, silence
//! where there are none) and `Cluster` (all endpoints, the client's address replaced by the node's).
//! Cluster addresses, session affinity and the rest of kube-proxy are not here.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::api::Api;
use crate::command::Run;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::lab::note;

const PERIOD: Duration = Duration::from_millis(20);

/// Keeps the rules of all nodes current until it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Proxy {
    pub(crate) fn start(api: Api, nodes: Vec<Host>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || keep(&api, &nodes, &stopped))
            .map_err(Error::io("proxy"))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn keep(api: &Api, nodes: &[Host], stop: &AtomicBool) {
    let mut versions = (String::new(), String::new());
    let mut installed = vec![String::new(); nodes.len()];
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(PERIOD);
        // A server that does not answer changes nothing: the rules stay.
        let Ok((services, service_version)) = api.list_with_version("Service", "", "") else {
            continue;
        };
        let Ok((slices, slice_version)) = api.list_with_version("EndpointSlice", "", "") else {
            continue;
        };
        let seen = (service_version, slice_version);
        if seen == versions {
            continue;
        }
        let mut complete = true;
        for (node, installed) in nodes.iter().zip(&mut installed) {
            let rules = render(node.name(), &services, &slices);
            if rules != *installed {
                let run = Run::new(["nft", "-f", "-"]).input(&rules);
                match node.netns.success(&run) {
                    Ok(_) => *installed = rules,
                    Err(error) => {
                        complete = false;
                        note("proxy", format_args!("{}: {error}", node.name()));
                    }
                }
            }
        }
        if complete {
            versions = seen;
        }
    }
}

/// The whole rule set of a node, as one transaction that replaces the one before.
fn render(node: &str, services: &[Value], slices: &[Value]) -> String {
    let mut rules = String::new();
    for service in services {
        render_service(&mut rules, node, service, slices);
    }
    format!(
        "table inet lab_proxy\n\
         delete table inet lab_proxy\n\
         table inet lab_proxy {{\n\
         chain services {{\n{rules}}}\n\
         chain prerouting {{ type nat hook prerouting priority dstnat; jump services; }}\n\
         chain output {{ type nat hook output priority -100; jump services; }}\n\
         chain postrouting {{ type nat hook postrouting priority srcnat; meta mark & 0x4000 == 0x4000 masquerade; }}\n\
         }}\n"
    )
}

fn render_service(rules: &mut String, node: &str, service: &Value, slices: &[Value]) {
    let local = service["spec"]["externalTrafficPolicy"] == "Local";
    for address in ingress_addresses(service) {
        let family = if address.is_ipv4() { "ip" } else { "ip6" };
        for port in service["spec"]["ports"].as_array().into_iter().flatten() {
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            let (Some(number), "TCP" | "UDP") = (port["port"].as_u64(), protocol) else { continue };
            let endpoints: Vec<_> = slices
                .iter()
                .filter(|slice| belongs(slice, service))
                .flat_map(|slice| endpoints(slice, port, address.is_ipv4(), local.then_some(node)))
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
            let matching =
                format!("{family} daddr {address} {} dport {number}", protocol.to_lowercase());
            if endpoints.is_empty() {
                let _ = writeln!(rules, "{matching} drop");
                continue;
            }
            let mark = if local { "" } else { " meta mark set meta mark | 0x4000" };
            let map: Vec<_> = endpoints
                .iter()
                .enumerate()
                .map(|(index, (address, port))| format!("{index} : {address} . {port}"))
                .collect();
            let _ = writeln!(
                rules,
                "{matching}{mark} dnat {family} to numgen random mod {} map {{ {} }}",
                endpoints.len(),
                map.join(", ")
            );
        }
    }
}

fn ingress_addresses(service: &Value) -> Vec<IpAddr> {
    let ingress = service["status"]["loadBalancer"]["ingress"].as_array();
    ingress.into_iter().flatten().filter_map(|entry| entry["ip"].as_str()?.parse().ok()).collect()
}

fn belongs(slice: &Value, service: &Value) -> bool {
    slice["metadata"]["namespace"] == service["metadata"]["namespace"]
        && slice["metadata"]["labels"]["kubernetes.io/service-name"] == service["metadata"]["name"]
}

/// Ready endpoints of one slice for one port of the Service; on one node only where asked.
fn endpoints(slice: &Value, port: &Value, v4: bool, node: Option<&str>) -> Vec<(IpAddr, u64)> {
    let name = port["name"].as_str().unwrap_or_default();
    let target = slice["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|entry| entry["name"].as_str().unwrap_or_default() == name)
        .and_then(|entry| entry["port"].as_u64());
    let Some(target) = target else { return Vec::new() };
    slice["endpoints"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|endpoint| endpoint["conditions"]["ready"] != false)
        .filter(|endpoint| node.is_none_or(|node| endpoint["nodeName"] == node))
        .flat_map(|endpoint| endpoint["addresses"].as_array().into_iter().flatten())
        .filter_map(|address| address.as_str()?.parse::<IpAddr>().ok())
        .filter(|address| address.is_ipv4() == v4)
        .map(|address| (address, target))
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn mk_service(policy: &str) -> Value {
        json!({
            "metadata": { "namespace": "default", "name": "web" },
            "spec": {
                "externalTrafficPolicy": policy,
                "ports": [{ "name": "http", "protocol": "TCP", "port": 80 }],
            },
            "status": { "loadBalancer": { "ingress": [{ "ip": "172.30.1.240" }] } },
        })
    }

    fn mk_slice() -> Value {
        json!({
            "metadata": {
                "namespace": "default",
                "labels": { "kubernetes.io/service-name": "web" },
            },
            "ports": [{ "name": "http", "port": 8080 }],
            "endpoints": [
                { "addresses": ["10.244.1.10"], "nodeName": "node1", "conditions": { "ready": true } },
                { "addresses": ["10.244.2.10"], "nodeName": "node2", "conditions": { "ready": true } },
                { "addresses": ["10.244.3.10"], "nodeName": "node3", "conditions": { "ready": false } },
            ],
        })
    }

    #[rstest]
    #[case::cluster_takes_all_ready_ones_and_hides_the_client(
        "Cluster",
        "node1",
        "ip daddr 172.30.1.240 tcp dport 80 meta mark set meta mark | 0x4000 dnat ip to numgen random mod 2 map { 0 : 10.244.1.10 . 8080, 1 : 10.244.2.10 . 8080 }"
    )]
    #[case::local_takes_its_own(
        "Local",
        "node2",
        "ip daddr 172.30.1.240 tcp dport 80 dnat ip to numgen random mod 1 map { 0 : 10.244.2.10 . 8080 }"
    )]
    #[case::local_without_its_own_is_silent(
        "Local",
        "node3",
        "ip daddr 172.30.1.240 tcp dport 80 drop"
    )]
    fn renders(#[case] policy: &str, #[case] node: &str, #[case] rule: &str) {
        let rules = render(node, &[mk_service(policy)], &[mk_slice()]);
        assert!(rules.lines().any(|line| line == rule), "{rules}");
    }

    #[test]
    fn a_service_without_an_address_has_no_rule() {
        let mut service = mk_service("Cluster");
        service["status"] = json!({});
        let rules = render("node1", &[service], &[mk_slice()]);
        assert!(!rules.contains("dport"), "{rules}");
    }
}
