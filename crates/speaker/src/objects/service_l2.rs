//! `ServiceL2Status`: one object per Service that a node answers for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ferrolb_api::{ServiceL2Status, labels, names};
use ferrolb_ipam::ServiceKey;
use ferrolb_kube_rt::Resource;
use ferrolb_l2_proto::Mac;
use ferrolb_model::{Announcement, Interfaces};
use serde_json::{Value, json};

use super::{Kind, Reconciler, Row};

/// What a node reports about a Service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layer2Report {
    /// It announces some address of it.
    announced: bool,
    /// The interfaces named by any address; none named means all.
    interfaces: BTreeSet<String>,
    /// Addresses it would announce if a station outside the cluster did not have them.
    refused: BTreeMap<IpAddr, String>,
}

/// Reports of Layer 2. Who announces, or would, owns the truth.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ServiceL2 {}

impl Kind for ServiceL2 {
    type Key = ServiceKey;
    type Content = Layer2Report;

    const EXCLUSIVE: bool = true;

    fn kind() -> (String, &'static str) {
        (names::API_VERSION.to_owned(), "ServiceL2Status")
    }

    fn resource() -> Resource {
        Resource::of::<ServiceL2Status>()
    }

    fn stem(_: &ServiceKey) -> String {
        "l2".to_owned()
    }

    fn labels(key: &ServiceKey) -> Vec<(&'static str, String)> {
        service_labels(key)
    }

    /// Whoever is the next owner asks for an address that was refused.
    fn is_for_others(report: &Layer2Report) -> bool {
        !report.refused.is_empty()
    }

    fn status(
        node: &str,
        key: &ServiceKey,
        report: &Layer2Report,
        before: Option<&Layer2Report>,
    ) -> Value {
        let interfaces = report.interfaces.iter();
        let interfaces: Vec<_> = interfaces.map(|name| json!({ "name": name })).collect();
        let mut status = json!({
            // Absent, not empty: once it is written it may not change.
            "node": report.announced.then_some(node),
            "serviceName": &*key.name,
            "serviceNamespace": &*key.namespace,
            "interfaces": interfaces,
        });
        if !report.refused.is_empty() || before.is_some_and(|before| !before.refused.is_empty()) {
            let refused = report.refused.iter().map(|(ip, mac)| json!({ "ip": ip, "mac": mac }));
            status["refused"] = refused.collect();
        }
        status
    }
}

impl ServiceL2 {
    /// What there is to say about what is announced and what is refused; none: nothing.
    pub(crate) fn content(
        announcement: Option<&Announcement>,
        refused: impl Iterator<Item = (IpAddr, Mac)>,
    ) -> Option<Layer2Report> {
        let refused: BTreeMap<_, _> = refused.map(|(ip, mac)| (ip, mac.to_string())).collect();
        (announcement.is_some() || !refused.is_empty()).then(|| Layer2Report {
            announced: announcement.is_some(),
            interfaces: announcement.map(named).unwrap_or_default(),
            refused,
        })
    }

    /// Reduces an object; one without our labels is not ours to look at.
    pub(crate) fn row(mut object: ServiceL2Status) -> Option<Row<Self>> {
        let mut all = object.metadata.labels.take().unwrap_or_default();
        let status = object.status.unwrap_or_default();
        let key = ServiceKey::new(
            all.remove(labels::SERVICE_NAMESPACE)?,
            all.remove(labels::SERVICE_NAME)?,
        );
        let node = all.remove(labels::NODE)?;
        let refused = status.refused.into_iter();
        let refused: BTreeMap<_, _> =
            refused.filter_map(|refused| Some((refused.ip.parse().ok()?, refused.mac))).collect();
        let announced = !status.node.is_empty();
        // Who refuses names no node in the status, and says who it is by its label alone.
        let reporter = if announced || refused.is_empty() { &status.node } else { &node }.clone();
        let interfaces = status.interfaces.into_iter().map(|interface| interface.name).collect();
        let report = Layer2Report { announced, interfaces, refused };
        Some(Row::new(object.metadata, key, node, &reporter, report))
    }
}

impl Reconciler<ServiceL2> {
    /// The addresses of a Service that were not announced, by what any node has reported last, because
    /// a station outside the cluster has them.
    pub(crate) fn refused(&self, key: &ServiceKey) -> BTreeSet<IpAddr> {
        let reports = self.about(key).filter_map(|name| self.content(name));
        reports.flat_map(|report| report.refused.keys().copied()).collect()
    }
}

/// The interfaces that are named; none if it is announced on all.
fn named(announcement: &Announcement) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, interfaces) in &announcement.addresses {
        match interfaces {
            Interfaces::All => return BTreeSet::new(),
            Interfaces::Named(some) => names.extend(some.iter().cloned()),
        }
    }
    names
}

/// The labels that say which Service an object is about.
pub(super) fn service_labels(key: &ServiceKey) -> Vec<(&'static str, String)> {
    vec![
        (labels::SERVICE_NAME, key.name.to_string()),
        (labels::SERVICE_NAMESPACE, key.namespace.to_string()),
    ]
}
