//! A lab in which one implementation runs, with a pool large enough for every figure.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ferrolb_addr::Mac;
use ferrolb_lab::api::{Api, wait_until};
use ferrolb_lab::plan::Lan;
use ferrolb_lab::probe::neighbour;
use ferrolb_lab::process::Process;
use ferrolb_lab::report::complain;
use ferrolb_lab::{Control, Error, Host, Lab, Result};
use serde_json::{Value, json};

use crate::subject::Subject;

/// The label of the Pods behind Services that carry traffic.
pub(crate) const APP: &str = "web";

pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Writers at a time when many objects are made.
const WRITERS: usize = 4;

/// Addresses outside of the LAN's own network are answered like any other.
const CONFIGURATION: &str = "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: { name: bench, namespace: metallb-system }
spec: { addresses: [172.31.0.0/20] }
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: { name: lan, namespace: metallb-system }
spec: { addresses: [172.30.1.200-172.30.1.249], autoAssign: false }
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: { name: bench, namespace: metallb-system }
";

/// A lab with running processes.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) lab: Lab,
}

impl Cluster {
    /// Builds the lab and waits until everything is ready.
    pub(crate) fn up(subject: &Subject, control: &Control) -> Result<Self> {
        let lab = Lab::up(subject.options(control))?;
        let started = lab
            .install()
            .and_then(|()| lab.api().apply_yaml(CONFIGURATION))
            .and_then(|()| lab.wait_ready(PATIENCE));
        if let Err(error) = started {
            lab.tails(8).iter().for_each(complain);
            return Err(error);
        }
        Ok(Self { lab })
    }

    /// As [`Self::up`], with a backend on every node.
    pub(crate) fn up_with_backends(subject: &Subject, control: &Control) -> Result<Self> {
        let mut cluster = Self::up(subject, control)?;
        let nodes = cluster.lab.network().nodes();
        let nodes: Vec<_> = nodes.iter().map(|node| node.name().to_owned()).collect();
        for node in &nodes {
            cluster.lab.start_backend("default", APP, node)?;
        }
        Ok(cluster)
    }

    pub(crate) fn controller(&self) -> Result<Arc<Process>> {
        self.lab.process("controller")
    }

    pub(crate) fn speakers(&self) -> Result<Vec<Arc<Process>>> {
        self.lab.network().nodes().iter().map(|node| self.lab.speaker(node.name())).collect()
    }

    pub(crate) fn client(&self) -> Result<&Host> {
        self.lab.host("client")
    }

    /// A Service in front of the backends, with an address of the LAN.
    pub(crate) fn serve(&self, name: &str) -> Result<IpAddr> {
        let mut service = service(name);
        service["metadata"]["annotations"] = json!({ "metallb.io/address-pool": "lan" });
        service["spec"]["selector"] = json!({ "app": APP });
        self.lab.apply_service(&service)?;
        wait_until(&format!("Service {name} has an address"), PATIENCE, || {
            Ok(self.lab.service_addresses("default", name)?.first().copied().ok_or("none"))
        })
    }

    /// Makes Services `many-FROM` to `many-(TO-1)`, each with an endpoint nobody asks, and waits until
    /// each has an address. Returns all addresses of such Services.
    pub(crate) fn serve_many(&self, from: usize, to: usize) -> Result<Vec<Ipv4Addr>> {
        let api = self.lab.api();
        thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    scope.spawn(move || {
                        (from + writer..to).step_by(WRITERS).try_for_each(|n| make_one(api, n))
                    })
                })
                .collect();
            writers.into_iter().try_for_each(|writer| {
                writer.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
            })
        })?;
        wait_until("all Services have addresses", PATIENCE, || {
            let services = api.list("Service", "default", "labelSelector=bench%3Dmany")?;
            let addresses: Vec<Ipv4Addr> =
                services.iter().filter_map(|service| address(service)?.parse().ok()).collect();
            Ok(if addresses.len() >= to { Ok(addresses) } else { Err(addresses.len()) })
        })
    }

    /// Waits until one host answers for an address, and returns it.
    pub(crate) fn wait_for_owner(&self, address: IpAddr) -> Result<(Host, Mac)> {
        wait_until(&format!("one node answers for {address}"), PATIENCE, || {
            let answers = self.ask(address)?;
            let mut owners =
                answers.iter().filter_map(|mac| Some((self.lab.host_with_mac(*mac)?, *mac)));
            Ok(match (owners.next(), owners.next()) {
                (Some((host, mac)), None) => Ok((host.clone(), mac)),
                _ => Err(format!("answers from {answers:?}")),
            })
        })
    }

    /// Who answers three questions of the client.
    pub(crate) fn ask(&self, address: IpAddr) -> Result<BTreeSet<Mac>> {
        neighbour::ask(self.client()?, Lan::One, address, 3, Duration::from_millis(10))
    }
}

/// The first address in a Service's status.
pub(crate) fn address(service: &Value) -> Option<&str> {
    service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str()
}

/// An IPv4 Service without a selector.
pub(crate) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "type": "LoadBalancer",
            "ipFamilyPolicy": "SingleStack",
            "ipFamilies": ["IPv4"],
            "ports": [
                { "name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080 },
                { "name": "echo", "protocol": "UDP", "port": 80, "targetPort": 8080 },
            ],
        },
    })
}

fn make_one(api: &Api, number: usize) -> Result<()> {
    let name = format!("many-{number}");
    let mut object = service(&name);
    object["metadata"]["labels"] = json!({ "bench": "many" });
    api.apply(&object)?;
    api.apply(&endpoint_slice(&name)).map(drop)
}

/// The one endpoint of a Service, which nobody asks.
pub(crate) fn endpoint_slice(service: &str) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{service}-a"),
            "namespace": "default",
            "labels": { "kubernetes.io/service-name": service },
        },
        "addressType": "IPv4",
        "ports": [
            { "name": "http", "protocol": "TCP", "port": 8080 },
            { "name": "echo", "protocol": "UDP", "port": 8080 },
        ],
        "endpoints": [{
            "addresses": ["10.244.1.10"],
            "nodeName": "node1",
            "conditions": { "ready": true, "serving": true, "terminating": false },
        }],
    })
}

/// So that a wrong answer of an API client is worded like the lab's own.
pub(crate) fn broken(text: impl Into<String>) -> Error {
    Error::Story(text.into())
}
