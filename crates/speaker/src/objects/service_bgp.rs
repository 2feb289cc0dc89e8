//! `ServiceBGPStatus`: one object per node and Service that its routers are to know.

use ferrolb_api::{ServiceBGPStatus, conditions, labels, names};
use ferrolb_ipam::ServiceKey;
use ferrolb_kube_rt::Resource;
use ferrolb_model::bgp::PeerName;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::service_l2::service_labels;
use super::{Kind, Row};
use crate::bgp::Audience;

/// Reports of BGP. Every node announces for itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ServiceBgp {}

/// Who was told, and who was not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    /// Sorted.
    told: Box<[Box<str>]>,
    /// The sentence about those that were not.
    lack: Option<String>,
    /// Since when all were told, or were not, if that is known.
    pub(super) since: Option<Timestamp>,
}

impl PartialEq for Peers {
    fn eq(&self, other: &Self) -> bool {
        (&self.told, &self.lack) == (&other.told, &other.lack)
    }
}

impl Kind for ServiceBgp {
    type Key = ServiceKey;
    type Content = Peers;

    const EXCLUSIVE: bool = false;

    fn kind() -> (String, &'static str) {
        (names::API_VERSION.to_owned(), "ServiceBGPStatus")
    }

    fn resource() -> Resource {
        Resource::of::<ServiceBGPStatus>()
    }

    fn stem(_: &ServiceKey) -> String {
        "bgp".to_owned()
    }

    fn labels(key: &ServiceKey) -> Vec<(&'static str, String)> {
        service_labels(key)
    }

    fn status(node: &str, key: &ServiceKey, peers: &Peers, before: Option<&Peers>) -> Value {
        let same = before.filter(|before| before.lack.is_some() == peers.lack.is_some());
        let since = same.and_then(|before| before.since).unwrap_or_else(Timestamp::now);
        let (status, reason, message) = match &peers.lack {
            None => ("True", "AllPeersTold", "every peer was sent the addresses"),
            Some(lack) => ("False", "PeersNotTold", lack.as_str()),
        };
        json!({
            "node": node,
            "serviceName": &*key.name,
            "serviceNamespace": &*key.namespace,
            "peers": peers.told,
            "conditions": [{
                "type": conditions::ADVERTISED,
                "status": status,
                "reason": reason,
                "message": message,
                "lastTransitionTime": since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            }],
        })
    }
}

impl ServiceBgp {
    /// Reduces an object; one without our labels is not ours to look at.
    pub(crate) fn row(mut object: ServiceBGPStatus) -> Option<Row<Self>> {
        let mut all = object.metadata.labels.take().unwrap_or_default();
        let status = object.status.unwrap_or_default();
        let key = ServiceKey::new(
            all.remove(labels::SERVICE_NAMESPACE)?,
            all.remove(labels::SERVICE_NAME)?,
        );
        let node = all.remove(labels::NODE)?;
        let advertised = status
            .conditions
            .into_iter()
            .find(|condition| condition.type_ == conditions::ADVERTISED);
        let since = advertised.as_ref().map(|condition| condition.last_transition_time.0);
        let lack = match advertised {
            Some(condition) if condition.status == "True" => None,
            Some(condition) => Some(condition.message),
            // Written by upstream, or by hand.
            None => Some(String::new()),
        };
        let mut told: Vec<_> = status.peers.into_iter().map(String::into_boxed_str).collect();
        told.sort_unstable();
        told.dedup();
        let peers = Peers { told: told.into(), lack, since };
        Some(Row::new(object.metadata, key, node, &status.node, peers))
    }
}

impl Peers {
    /// What there is to say; nothing if no peer is to be told.
    pub(crate) fn of(audience: &Audience) -> Option<Self> {
        let Audience { told, untold } = audience;
        if told.is_empty() && untold.is_empty() {
            return None;
        }
        let names: Vec<&str> = untold.iter().map(PeerName::as_str).collect();
        let lack = (!names.is_empty()).then(|| format!("not sent yet to: {}", names.join(", ")));
        let told = told.iter().map(|peer| peer.as_str().into()).collect();
        Some(Self { told, lack, since: None })
    }
}
