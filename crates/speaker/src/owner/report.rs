//! What the owner tells people: log lines, Events on Services, the gauge of announcements.

use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_api::reasons::EventReason;
use ferrolb_ipam::ServiceKey;
use ferrolb_kube_rt::events::ObjectRef;
use ferrolb_kube_rt::metrics::{AnnouncedLabels, Shown};
use ferrolb_model::verdict::Exclusion;
use ferrolb_model::{Announcement, Interfaces, Reason, Revision};
use tracing::{debug, error, info, warn};

use super::Owner;

/// Protocol of our announcements, in metrics and events.
const PROTOCOL: &str = "layer2";

impl Owner {
    /// Says that this node announces, when that is news: of the announcement or of the object.
    pub(super) fn tell_announced(
        &mut self,
        key: &ServiceKey,
        announcement: &Announcement,
        is_new: bool,
    ) {
        let Some(service) = self.snapshot.service(key) else { return };
        let uid = Arc::clone(&service.uid);
        if !is_new && self.assigned.get(key) == Some(&uid) {
            return;
        }
        self.assigned.insert(key.clone(), uid);
        let ips: Vec<_> = announcement.addresses.iter().map(|(ip, _)| ip.to_string()).collect();
        info!(
            event = "serviceAnnounced",
            service = %key,
            ips = ips.join(","),
            pool = %announcement.pool,
            protocol = PROTOCOL,
            "service has IP, announcing"
        );
        let node = &self.parts.node;
        let message = format!("announcing from node \"{node}\" with protocol \"{PROTOCOL}\"");
        self.record(key, EventReason::NodeAssigned, message);
    }

    /// Says why this node is silent, when that is news.
    pub(super) fn tell_silent(
        &mut self,
        key: &ServiceKey,
        revision: &Revision,
        before: Option<&Announcement>,
    ) {
        self.assigned.remove(key);
        let reason = revision.after.reason();
        if let Some(before) = before {
            let ips: Vec<_> = before.addresses.iter().map(|(ip, _)| ip.to_string()).collect();
            let (code, message) = self.why_silent(revision);
            info!(
                event = "serviceWithdrawn",
                service = %key,
                ip = ips.join(","),
                reason = code,
                "{message}"
            );
        }
        if !self.health.heard && matches!(reason, Some(Reason::NoEligibleNodes { .. })) {
            self.unexplained.insert(key.clone());
            return;
        }
        let explained = !self.unexplained.remove(key);
        let known = revision.before.as_ref().filter(|_| explained).and_then(|v| v.reason());
        if let Some(reason) = reason.filter(|reason| known != Some(*reason)) {
            self.explain(key, reason);
        }
    }

    /// Why this node does not answer: the decision says so, or something keeps it from acting on it.
    fn why_silent(&self, revision: &Revision) -> (&'static str, String) {
        if let Some(reason) = revision.after.reason() {
            return (reason.code(), reason.to_string());
        }
        let mut wanted = revision.after.announcement().into_iter().flat_map(|a| &a.addresses);
        wanted.find_map(|(ip, _)| self.vetting.hold(*ip)).map_or_else(
            || ("interfaceMissing", "this node has none of the interfaces".to_owned()),
            |hold| (hold.code(), hold.to_string()),
        )
    }

    fn explain(&self, key: &ServiceKey, reason: &Reason) {
        let code = reason.code();
        match reason {
            Reason::InvalidIp { .. } | Reason::IpNotAllowed { .. } => {
                error!(event = "notAnnounced", service = %key, reason = code, "{reason}");
            }
            Reason::SharedIpWithServiceSelector { .. } => {
                warn!(event = "notAnnounced", service = %key, reason = code, "{reason}");
            }
            Reason::NoEligibleNodes { dropped } => {
                warn!(event = "notAnnounced", service = %key, reason = code, "{reason}");
                // Nobody announces, so nobody else says it: the first of those that could does.
                let alive = dropped.iter().find(|(_, why)| *why != Exclusion::NotMember);
                let teller = alive.or(dropped.first()).map(|(node, _)| node);
                if teller == Some(&self.parts.node) {
                    self.record(key, EventReason::AnnounceFailed, reason.to_string());
                }
            }
            _ => debug!(event = "notAnnounced", service = %key, reason = code, "{reason}"),
        }
    }

    /// Says that this node has none of the interfaces that `ip` is to be announced on.
    pub(super) fn tell_impossible(&self, key: &ServiceKey, ip: IpAddr, interfaces: &Interfaces) {
        let node = &self.parts.node;
        warn!(
            op = "SetBalancer",
            service = %key,
            %ip,
            wanted = %interfaces,
            present = ?self.parts.layer2.names(),
            "this node has none of the interfaces to announce on"
        );
        let message = format!(
            "cannot announce \"{ip}\" from node \"{node}\" with protocol \"{PROTOCOL}\": \
             it has none of the interfaces {interfaces}"
        );
        self.record(key, EventReason::AnnounceFailed, message);
    }

    /// Follows an announcement with the gauge, one series an address.
    pub(super) fn count(
        &self,
        key: &ServiceKey,
        before: Option<&Announcement>,
        after: Option<&Announcement>,
    ) {
        let ips = |announcement: Option<&Announcement>| -> Vec<_> {
            announcement.into_iter().flat_map(|a| &a.addresses).map(|(ip, _)| *ip).collect()
        };
        self.count_ips(PROTOCOL, key, &ips(before), &ips(after));
    }

    /// Follows the addresses that a Service is announced by.
    pub(super) fn count_ips(
        &self,
        protocol: &'static str,
        key: &ServiceKey,
        before: &[IpAddr],
        after: &[IpAddr],
    ) {
        let labels = |ip: &IpAddr| AnnouncedLabels {
            service: Shown(key.clone()),
            protocol,
            node: self.parts.node.shared(),
            ip: Shown(*ip),
        };
        for ip in before.iter().filter(|ip| !after.contains(ip)) {
            self.parts.metrics.withdrawn(&labels(ip));
        }
        for ip in after.iter().filter(|ip| !before.contains(ip)) {
            self.parts.metrics.announced(&labels(ip));
        }
    }

    pub(super) fn record(&self, key: &ServiceKey, reason: EventReason, message: String) {
        let Some(service) = self.snapshot.service(key) else { return };
        let object = ObjectRef {
            api_version: "v1".into(),
            kind: "Service".into(),
            namespace: Arc::clone(&key.namespace),
            name: Arc::clone(&key.name),
            uid: Arc::clone(&service.uid),
            resource_version: Arc::clone(&service.resource_version),
        };
        self.parts.recorder.record(&object, reason.event_type(), reason.as_str(), message);
    }
}
