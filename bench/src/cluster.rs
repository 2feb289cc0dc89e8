//! A lab in which one implementation runs, with a pool large enough for every figure.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ferrolb_addr::Mac;
use ferrolb_lab::api::{Api, wait_until};
use ferrolb_lab::plan::Lan;
use ferrolb_lab::probe::neighbour;
use ferrolb_lab::process::Process;
use ferrolb_lab::report::complain;
use ferrolb_lab::{Control, Error, Host, Lab, Options, Result};
use serde_json::{Value, json};

use crate::subject::Subject;

/// The label of the Pods behind Services that carry traffic.
pub(crate) const APP: &str = "web";

pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Writers at a time when many objects are made.
const WRITERS: usize = 4;

/// How long a controller may take for thousands of addresses.
const MANY_PATIENCE: Duration = Duration::from_mins(5);

/// Addresses outside of the LAN's own network are answered like any other.
const CONFIGURATION: &str = "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: { name: bench, namespace: metallb-system }
spec: { addresses: [172.31.0.0/18] }
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
    /// Where clients ask.
    pub(crate) lan: Lan,
}

impl Cluster {
    /// A lab that is there already, and its first LAN.
    pub(crate) fn of(lab: Lab) -> Self {
        Self { lab, lan: Lan::One }
    }

    /// Builds the lab and waits until everything is ready.
    pub(crate) fn up(subject: &Subject, control: &Control) -> Result<Self> {
        Self::up_with(subject, control, |_| {})
    }

    /// As [`Self::up`], in a lab of another kind; clients are on its last LAN.
    pub(crate) fn up_with(
        subject: &Subject,
        control: &Control,
        change: impl FnOnce(&mut Options),
    ) -> Result<Self> {
        let mut options = subject.options(control);
        change(&mut options);
        let lan = if options.second_lan { Lan::Two } else { Lan::One };
        let lab = Lab::up(options)?;
        let started = lab
            .install()
            .and_then(|()| lab.api().apply_yaml(CONFIGURATION))
            .and_then(|()| lab.wait_ready(PATIENCE));
        if let Err(error) = started {
            lab.tails(8).iter().for_each(complain);
            return Err(error);
        }
        Ok(Self { lab, lan })
    }

    /// Starts a backend on every node.
    pub(crate) fn with_backends(mut self) -> Result<Self> {
        let nodes = self.lab.network().nodes();
        let nodes: Vec<_> = nodes.iter().map(|node| node.name().to_owned()).collect();
        for node in &nodes {
            self.lab.start_backend("default", APP, node)?;
        }
        Ok(self)
    }

    pub(crate) fn controller(&self) -> Result<Arc<Process>> {
        self.lab.process("controller")
    }

    pub(crate) fn speakers(&self) -> Result<Vec<Arc<Process>>> {
        self.lab.network().nodes().iter().map(|node| self.lab.speaker(node.name())).collect()
    }

    pub(crate) fn client(&self) -> Result<&Host> {
        self.lab.host(if self.lan == Lan::One { "client" } else { "client2" })
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
        in_parallel(from..to, WRITERS, |n| {
            make(api, n)?;
            api.apply(&endpoint_slice(&name(n))).map(drop)
        })?;
        wait_until("all Services have addresses", MANY_PATIENCE, || {
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
        neighbour::ask(self.client()?, self.lan, address, 3, Duration::from_millis(10))
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
            // There are 2,768 ports of nodes, and nobody asks for one.
            "allocateLoadBalancerNodePorts": false,
            "ipFamilyPolicy": "SingleStack",
            "ipFamilies": ["IPv4"],
            "ports": [
                { "name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080 },
                { "name": "echo", "protocol": "UDP", "port": 80, "targetPort": 8080 },
            ],
        },
    })
}

/// The name of one of many Services.
pub(crate) fn name(number: usize) -> String {
    format!("many-{number}")
}

/// Does the same for each of these numbers, so many at a time.
pub(crate) fn in_parallel(
    numbers: Range<usize>,
    hands: usize,
    work: impl Fn(usize) -> Result<()> + Sync,
) -> Result<()> {
    let work = &work;
    thread::scope(|scope| {
        let hands: Vec<_> = (0..hands)
            .map(|hand| {
                let mut numbers = numbers.clone().skip(hand).step_by(hands);
                scope.spawn(move || numbers.try_for_each(work))
            })
            .collect();
        hands.into_iter().try_for_each(|hand| {
            hand.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
        })
    })
}

/// Makes one of many Services.
pub(crate) fn make(api: &Api, number: usize) -> Result<()> {
    let mut object = service(&name(number));
    object["metadata"]["labels"] = json!({ "bench": "many" });
    api.apply(&object).map(drop)
}

/// The one endpoint of a Service, which nobody asks, and without which nobody announces it.
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
