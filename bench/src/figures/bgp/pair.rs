//! One node and two routers, all three tied by BFD and BGP.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_addr::Family;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::process::Process;
use ferrolb_lab::report::complain;
use ferrolb_lab::router::{Bfd, Config, Neighbour, Router, Software};
use ferrolb_lab::{Control, Lab, Options, Result};
use ipnet::IpNet;
use serde_json::json;

use super::until;
use crate::cluster::{Cluster, endpoint_slice, service};
use crate::subject::Subject;

/// The cluster's AS.
const ASN: u32 = 64_512;

/// Missing packets after which a path has failed.
const MULTIPLIER: u8 = 3;

const PATIENCE: Duration = Duration::from_secs(40);

const CONFIGURATION: &str = "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: { name: bfd, namespace: metallb-system }
spec: { addresses: [198.18.0.1/32] }
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: { name: all, namespace: metallb-system }
";

/// Dropped in this order: the routers' programs, then the lab.
pub(crate) struct Pair {
    pub(crate) bird: Router,
    pub(crate) frr: Router,
    pub(crate) service: IpAddr,
    pub(crate) cluster: Cluster,
}

impl Pair {
    /// Builds it, with one Service and no sessions yet.
    pub(crate) fn up(subject: &Subject) -> Result<Self> {
        let options = Options { nodes: 1, ..subject.options(&Control::Embedded) };
        let mut lab = Lab::up(options)?;
        let (bird, frr) = (lab.add_router(Software::Bird)?, lab.add_router(Software::Frr)?);
        let service = IpAddr::from([198, 18, 0, 1]);
        let pair = Self { bird, frr, service, cluster: Cluster::of(lab) };
        if let Err(error) = pair.begin() {
            pair.cluster.lab.tails(8).iter().for_each(complain);
            return Err(error);
        }
        Ok(pair)
    }

    fn begin(&self) -> Result<()> {
        let lab = &self.cluster.lab;
        lab.install()?;
        lab.api().apply_yaml(CONFIGURATION)?;
        lab.wait_ready(PATIENCE)?;
        lab.api().apply(&endpoint_slice("web"))?;
        lab.api().apply(&service("web")).map(drop)
    }

    /// Ties all three with these timers, and waits until they are.
    pub(crate) fn configure(&self, interval: u32) -> Result<()> {
        let api = self.cluster.lab.api();
        api.apply(&json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": "BFDProfile",
            "metadata": { "name": "bench", "namespace": "metallb-system" },
            "spec": {
                "receiveInterval": interval,
                "transmitInterval": interval,
                "detectMultiplier": MULTIPLIER,
            },
        }))?;
        for (router, other) in [(&self.bird, &self.frr), (&self.frr, &self.bird)] {
            router.configure(&self.config(router, other, interval)?)?;
            api.apply(&json!({
                "apiVersion": "metallb.io/v1beta2",
                "kind": "BGPPeer",
                "metadata": { "name": router.name(), "namespace": "metallb-system" },
                "spec": {
                    "myASN": ASN,
                    "peerASN": asn(router.software()),
                    "peerAddress": Self::address(router),
                    "bfdProfile": "bench",
                },
            }))?;
        }
        self.wait_until_whole()
    }

    /// Waits until every session is up and every route is there.
    fn wait_until_whole(&self) -> Result<()> {
        for (router, other) in [(&self.bird, &self.frr), (&self.frr, &self.bird)] {
            until(&format!("{} is tied to both", router.name()), PATIENCE, || {
                let bfd = router.bfd()?;
                let routed = |to: IpAddr| Ok(!router.kernel_next_hops(IpNet::from(to))?.is_empty());
                let sessions = router.sessions()?;
                Ok(bfd.iter().filter(|one| one.is_up).count() == 2
                    && sessions.iter().filter(|one| one.is_up).count() == 2
                    && routed(self.service)?
                    && routed(Self::announced(other.software()))?)
            })?;
        }
        Ok(())
    }

    /// The same with a fresh speaker, which remembers no failures: it would dial the later the more there were.
    pub(crate) fn renew(&self) -> Result<()> {
        self.speaker()?.restart()?;
        self.wait_until_whole()
    }

    pub(crate) fn speaker(&self) -> Result<Arc<Process>> {
        self.cluster.lab.speaker("node1")
    }

    /// The address of a router.
    pub(crate) fn address(router: &Router) -> IpAddr {
        router.address(Family::V4)
    }

    /// What a router announces to the other one.
    pub(crate) fn announced(software: Software) -> IpAddr {
        IpAddr::from([192, 0, 2, if software == Software::Bird { 1 } else { 2 }])
    }

    fn config(&self, router: &Router, other: &Router, interval: u32) -> Result<Config> {
        let node = self.cluster.lab.host("node1")?.address(Lan::One, Family::V4);
        let tied = |neighbour: Neighbour| Neighbour {
            families: vec![Family::V4],
            bfd: Some(Bfd { interval, multiplier: MULTIPLIER }),
            ..neighbour
        };
        let other = Neighbour {
            passive: router.software() == Software::Frr,
            ..Neighbour::new(Self::address(other), asn(other.software()))
        };
        let neighbours = [tied(Neighbour::new(node, ASN)), tied(other)];
        let announce = vec![IpNet::from(Self::announced(router.software()))];
        Ok(Config { announce, ..Config::new(asn(router.software()), neighbours) })
    }
}

fn asn(software: Software) -> u32 {
    if software == Software::Bird { 64_602 } else { 64_601 }
}
