//! Status objects of speakers, gathered by Service: who announces it, and how.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_api::{ServiceBGPStatus, ServiceL2Status};
use ferrolb_ipam::ServiceKey;
use ferrolb_kube_rt::ObjectKey;

/// One speaker's report about one Service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Announcer {
    service: ServiceKey,
    /// Node and protocol, in words; none: it does not announce.
    report: Option<Arc<str>>,
    /// Addresses it refuses to announce, and the station that has each.
    refused: BTreeMap<IpAddr, String>,
}

/// All that speakers report about one Service.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reports {
    /// Who announces it, and how, in words.
    pub announcers: BTreeSet<Arc<str>>,
    /// Addresses that are refused, and the station that has each.
    pub refused: BTreeMap<IpAddr, String>,
}

/// What a Layer 2 status says; nothing until its speaker has filled it in.
pub fn layer2(object: ServiceL2Status) -> Option<Announcer> {
    let status = object.status?;
    let refused = status.refused.into_iter();
    let refused: BTreeMap<_, _> =
        refused.filter_map(|refused| Some((refused.ip.parse().ok()?, refused.mac))).collect();
    if (status.node.is_empty() && refused.is_empty()) || status.service_name.is_empty() {
        return None;
    }
    Some(Announcer {
        service: ServiceKey::new(status.service_namespace, status.service_name),
        report: (!status.node.is_empty()).then(|| format!("{} (layer2)", status.node).into()),
        refused,
    })
}

/// What a BGP status says; nothing while no peer was told.
pub fn bgp(object: ServiceBGPStatus) -> Option<Announcer> {
    let status = object.status?;
    if status.node.is_empty() || status.service_name.is_empty() || status.peers.is_empty() {
        return None;
    }
    Some(Announcer {
        service: ServiceKey::new(status.service_namespace, status.service_name),
        report: Some(format!("{} (bgp, to {})", status.node, status.peers.join(" ")).into()),
        refused: BTreeMap::new(),
    })
}

/// All reports.
#[derive(Debug, Default)]
pub struct Announcers {
    of: BTreeMap<Key, Announcer>,
    /// A Service may be reported on twice by one speaker, while that replaces its object.
    by: BTreeSet<(ServiceKey, Key)>,
}

/// Kind and name of a report.
type Key = (&'static str, ObjectKey);

impl Announcers {
    /// The object `key`, by kind and name, says this now. Returns the Services whose reports are
    /// different, each with all of them.
    pub fn set(&mut self, key: Key, announcer: Option<Announcer>) -> Vec<(ServiceKey, Reports)> {
        let mut touched = BTreeSet::new();
        if let Some(old) = self.of.remove(&key) {
            self.by.remove(&(old.service.clone(), key.clone()));
            touched.insert(old.service);
        }
        if let Some(new) = announcer {
            touched.insert(new.service.clone());
            self.by.insert((new.service.clone(), key.clone()));
            self.of.insert(key, new);
        }
        let told = touched.into_iter().map(|service| {
            let reports = self.reports(&service);
            (service, reports)
        });
        told.collect()
    }

    fn reports(&self, service: &ServiceKey) -> Reports {
        let mut reports = Reports::default();
        let from = (service.clone(), ("", ObjectKey::new("", "")));
        let keys = self.by.range(from..).take_while(|(about, _)| about == service);
        for announcer in keys.filter_map(|(_, key)| self.of.get(key)) {
            reports.announcers.extend(announcer.report.clone());
            reports.refused.extend(announcer.refused.clone());
        }
        reports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_status(node: &str) -> Option<Announcer> {
        let object = serde_json::from_value(serde_json::json!({
            "metadata": { "name": "l2-x" },
            "status": { "node": node, "serviceName": "web", "serviceNamespace": "default" },
        }));
        layer2(object.unwrap())
    }

    #[test]
    fn a_report_of_bgp_names_the_peers() {
        let mk = |peers: &[&str]| {
            let object = serde_json::from_value(serde_json::json!({
                "metadata": { "name": "bgp-x" },
                "status": {
                    "node": "n1", "serviceName": "web", "serviceNamespace": "default", "peers": peers,
                },
            }));
            bgp(object.unwrap()).and_then(|announcer| announcer.report)
        };
        assert_eq!(mk(&["tor1", "tor2"]).as_deref(), Some("n1 (bgp, to tor1 tor2)"));
        assert_eq!(mk(&[]), None);
    }

    #[test]
    fn reports_are_gathered_by_service_and_counted() {
        let web = ServiceKey::new("default", "web");
        let key = |name: &str| ("", ObjectKey::new("metallb-system", name));
        let mut all = Announcers::default();
        let mut set = |name: &str, node: Option<&str>| {
            let changes = all.set(key(name), node.and_then(mk_status));
            let [(service, reports)] = <[_; 1]>::try_from(changes).unwrap();
            assert_eq!(service, web);
            reports.announcers.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(set("a", Some("n1")), "n1 (layer2)");
        assert_eq!(set("b", Some("n1")), "n1 (layer2)");
        assert_eq!(set("a", None), "n1 (layer2)");
        assert_eq!(set("b", Some("n2")), "n2 (layer2)");
        assert_eq!(set("b", None), "");
        assert_eq!(all.set(key("b"), None), []);
        assert_eq!(all.set(key("c"), mk_status("")), [], "not filled in yet");
    }

    #[test]
    fn an_address_may_be_refused_by_who_announces_another_one() {
        let mk = |node: &str| {
            let object = serde_json::from_value(serde_json::json!({
                "metadata": { "name": "l2-x" },
                "status": {
                    "node": node, "serviceName": "web", "serviceNamespace": "default",
                    "refused": [{ "ip": "192.0.2.1", "mac": "06:00:00:00:00:01" }, { "ip": "x" }],
                },
            }));
            layer2(object.unwrap()).unwrap()
        };
        let refused = BTreeMap::from([(IpAddr::from([192, 0, 2, 1]), "06:00:00:00:00:01".into())]);
        assert_eq!((mk("").report, mk("").refused), (None, refused.clone()));
        assert_eq!((mk("n1").report.as_deref(), mk("n1").refused), (Some("n1 (layer2)"), refused));
    }
}
