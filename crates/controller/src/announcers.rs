//! Status objects of speakers, gathered by Service: who announces it, and how.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ferrolb_api::{ServiceBGPStatus, ServiceL2Status};
use ferrolb_ipam::ServiceKey;
use ferrolb_kube_rt::ObjectKey;

/// One speaker's report about one Service.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Announcer {
    service: ServiceKey,
    /// Node and protocol, in words.
    report: String,
}

/// What a Layer 2 status says; nothing until its speaker has filled it in.
pub(crate) fn layer2(object: ServiceL2Status) -> Option<Announcer> {
    let status = object.status?;
    if status.node.is_empty() || status.service_name.is_empty() {
        return None;
    }
    Some(Announcer {
        service: ServiceKey::new(status.service_namespace, status.service_name),
        report: format!("{} (layer2)", status.node),
    })
}

/// What a BGP status says; nothing while no peer was told.
pub(crate) fn bgp(object: ServiceBGPStatus) -> Option<Announcer> {
    let status = object.status?;
    if status.node.is_empty() || status.service_name.is_empty() || status.peers.is_empty() {
        return None;
    }
    Some(Announcer {
        service: ServiceKey::new(status.service_namespace, status.service_name),
        report: format!("{} (bgp, to {})", status.node, status.peers.join(" ")),
    })
}

/// All reports.
#[derive(Debug, Default)]
pub(crate) struct Announcers {
    of: HashMap<(&'static str, ObjectKey), Announcer>,
    /// A report may come twice, while a speaker replaces its object.
    by: HashMap<ServiceKey, BTreeMap<String, usize>>,
}

impl Announcers {
    /// The object `key`, by kind and name, says this now. Returns the Services whose reports are different, each with
    /// all of them.
    pub(crate) fn set(
        &mut self,
        key: (&'static str, ObjectKey),
        announcer: Option<Announcer>,
    ) -> Vec<(ServiceKey, BTreeSet<String>)> {
        let mut touched = BTreeSet::new();
        if let Some(old) = self.of.remove(&key) {
            if let Some(reports) = self.by.get_mut(&old.service) {
                if let Some(count) = reports.get_mut(&old.report) {
                    *count -= 1;
                    if *count == 0 {
                        reports.remove(&old.report);
                    }
                }
                if reports.is_empty() {
                    self.by.remove(&old.service);
                }
            }
            touched.insert(old.service);
        }
        if let Some(new) = announcer {
            let reports = self.by.entry(new.service.clone()).or_default();
            *reports.entry(new.report.clone()).or_default() += 1;
            touched.insert(new.service.clone());
            self.of.insert(key, new);
        }
        let reports = |service: &ServiceKey| {
            self.by.get(service).into_iter().flat_map(BTreeMap::keys).cloned().collect()
        };
        touched
            .into_iter()
            .map(|service| {
                let reports = reports(&service);
                (service, reports)
            })
            .collect()
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
            bgp(object.unwrap()).map(|announcer| announcer.report)
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
            reports.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(set("a", Some("n1")), "n1 (layer2)");
        assert_eq!(set("b", Some("n1")), "n1 (layer2)");
        assert_eq!(set("a", None), "n1 (layer2)");
        assert_eq!(set("b", Some("n2")), "n2 (layer2)");
        assert_eq!(set("b", None), "");
        assert_eq!(all.set(key("b"), None), []);
        assert_eq!(all.set(key("c"), mk_status("")), [], "not filled in yet");
    }
}
