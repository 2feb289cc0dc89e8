//! One node, BIRD beside it, and what is asked of both.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_addr::Family;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::process::Process;
use ferrolb_lab::report::complain;
use ferrolb_lab::router::{Config, Neighbour, Router, Software};
use ferrolb_lab::{Control, FOLDER, Lab, Options, Result};
use serde_json::json;

use super::routes::RouteWatch;
use super::until;
use crate::cluster::{Cluster, PATIENCE, broken, endpoint_slice, service};
use crate::subject::Subject;
use crate::usage::cpu_seconds;

/// The cluster's AS and the router's.
const ASN: u32 = 64_512;
const ROUTER_ASN: u32 = 64_602;

/// So long that no KEEPALIVE falls into a measurement: sent are those of the beginning.
const HOLD_TIME: u16 = 3600;

/// How often Services are made before a server counts as unable to.
const ATTEMPTS: usize = 4;

/// A process that used less than this share of a second has nothing more to do.
const IDLE: f64 = 0.005;

const CONFIGURATION: &str = "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: { name: many, namespace: metallb-system }
spec: { addresses: [198.18.0.0/16] }
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: { name: single, namespace: metallb-system }
spec: { addresses: [198.19.0.0/16], autoAssign: false }
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: { name: all, namespace: metallb-system }
";

/// Dropped in this order: the router's programs, then the lab.
pub(super) struct Rig {
    router: Router,
    pub(super) cluster: Cluster,
    singles: Cell<usize>,
}

impl Rig {
    /// Builds it and waits until the node has a session with the router.
    pub(super) fn up(subject: &Subject, control: &Control) -> Result<Self> {
        let mut lab = Lab::up(Options { nodes: 1, ..subject.options(control) })?;
        let router = lab.add_router(Software::Bird)?;
        let rig = Self { router, cluster: Cluster::of(lab), singles: Cell::default() };
        if let Err(error) = rig.begin() {
            rig.cluster.lab.tails(8).iter().for_each(complain);
            return Err(error);
        }
        Ok(rig)
    }

    fn begin(&self) -> Result<()> {
        let lab = &self.cluster.lab;
        let node = lab.host("node1")?.address(Lan::One, Family::V4);
        let neighbour = Neighbour {
            families: vec![Family::V4],
            hold_time: HOLD_TIME,
            ..Neighbour::new(node, ASN)
        };
        self.router.configure(&Config::new(ROUTER_ASN, [neighbour]))?;
        lab.install()?;
        lab.api().apply_yaml(CONFIGURATION)?;
        lab.api().apply(&json!({
            "apiVersion": "metallb.io/v1beta2",
            "kind": "BGPPeer",
            "metadata": { "name": "router1", "namespace": "metallb-system" },
            "spec": {
                "myASN": ASN,
                "peerASN": ROUTER_ASN,
                "peerAddress": self.router.address(Family::V4),
                "holdTime": format!("{HOLD_TIME}s"),
            },
        }))?;
        lab.wait_ready(PATIENCE)?;
        until("the router has a session", PATIENCE, || {
            Ok(self.router.sessions()?.iter().any(|session| session.is_up))
        })
    }

    pub(super) fn speaker(&self) -> Result<Arc<Process>> {
        self.cluster.lab.speaker("node1")
    }

    /// Makes Services; an API server that is too slow for it is asked again.
    pub(super) fn serve_many(&self, from: usize, to: usize) -> Result<()> {
        let mut last = self.cluster.serve_many(from, to);
        for _ in 1..ATTEMPTS {
            let Err(error) = &last else { break };
            complain(format_args!("   once more: {error}"));
            last = self.cluster.serve_many(from, to);
        }
        last.map(drop)
    }

    /// Services that were made alone.
    pub(super) fn singles(&self) -> usize {
        self.singles.get()
    }

    /// The number of prefixes the router has learned.
    pub(super) fn routes(&self) -> Result<usize> {
        // "2000 of 2003 routes for 2000 networks in table master4", first the ones that were asked for.
        let text = self.birdc("show route protocol peer0 table master4 count")?;
        let count = text.lines().find_map(|line| {
            let (count, _) = line.split_once(" of ")?;
            count.trim().parse().ok()
        });
        count.ok_or_else(|| broken(format!("no count: {text}")))
    }

    pub(super) fn wait_for_routes(&self, number: usize, limit: Duration) -> Result<()> {
        until(
            &format!("the router knows {number} prefixes"),
            limit,
            || Ok(self.routes()? == number),
        )
    }

    pub(super) fn watch_routes(&self) -> Result<RouteWatch> {
        RouteWatch::start(self.router.host())
    }

    /// Waits until the speaker has nothing more to do.
    pub(super) fn settle(&self) -> Result<()> {
        let (speaker, begun) = (self.speaker()?, Instant::now());
        let mut before = cpu_seconds(&speaker)?;
        loop {
            thread::sleep(Duration::from_secs(1));
            let now = cpu_seconds(&speaker)?;
            if now - before < IDLE {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(broken(format!("the speaker is still busy after {PATIENCE:?}")));
            }
            before = now;
        }
    }

    /// The address of a Service that is made alone.
    pub(super) fn single(services: usize, round: usize) -> IpAddr {
        let high = u8::try_from(services / 1000).unwrap_or(u8::MAX);
        Ipv4Addr::new(198, 19, high, u8::try_from(round + 1).unwrap_or(u8::MAX)).into()
    }

    /// Makes the endpoint of a Service that is to come.
    pub(super) fn prepare(&self, name: &str) -> Result<()> {
        self.cluster.lab.api().apply(&endpoint_slice(name)).map(drop)
    }

    /// Makes a Service that wants this address.
    pub(super) fn request(&self, name: &str, wanted: IpAddr) -> Result<()> {
        let mut object = service(name);
        object["metadata"]["annotations"] = json!({ "metallb.io/loadBalancerIPs": wanted });
        self.singles.set(self.singles.get() + 1);
        self.cluster.lab.api().apply(&object).map(drop)
    }

    /// Octets the speaker has sent over its connection with the router.
    pub(super) fn bytes_sent(&self) -> Result<f64> {
        let node = self.cluster.lab.host("node1")?;
        let filter = ["state", "established", "dport", "=", ":179"];
        let words = ["ss", "--tcp", "--numeric", "--info", "--no-header", "--oneline"];
        let text = node.success(words.into_iter().chain(filter))?;
        let value = text.split_whitespace().find_map(|word| word.strip_prefix("bytes_sent:"));
        let value = value.and_then(|value| value.parse().ok());
        value.ok_or_else(|| broken(format!("no connection with the router: {text}")))
    }

    /// Updates and withdrawals the router has received.
    pub(super) fn updates(&self) -> Result<f64> {
        let text = self.birdc("show protocols all peer0")?;
        let lines = text.lines().filter_map(|line| {
            let line = line.trim();
            let counts = ["Import updates:", "Import withdraws:"];
            let is_it = counts.iter().any(|count| line.starts_with(count));
            is_it.then(|| line.split_whitespace().nth(2)?.parse::<f64>().ok()).flatten()
        });
        Ok(lines.sum())
    }

    /// What BIRD answers to a command.
    fn birdc(&self, command: &str) -> Result<String> {
        let socket = format!("{FOLDER}/routers/{}/bird.ctl", self.router.name());
        let words = ["birdc", "-s", &socket];
        self.router.host().success(words.into_iter().chain(command.split(' ')))
    }
}
