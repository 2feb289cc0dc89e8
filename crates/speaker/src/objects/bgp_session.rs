//! `BGPSession`: one object per node and router, for people who ask why a session is not up.

use ferrolb_api::{BGPSession, BGPSessionError, BGPSessionPrefixes, BGPSessionStatus};
use ferrolb_api::{BGPSessionTimers, labels};
use ferrolb_kube_rt::Resource;
use ferrolb_model::bgp::PeerName;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource as _;
use serde_json::{Value, json};

use super::{Kind, Row};
use crate::bgp::{Terms, View, name_of, word_of};

/// Reports of sessions. Every node has its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Session {}

/// Says which peer an object is about before its status does.
const PEER: &str = "ferrolb.io/peer";

/// Names of objects are at most 253 long, and the rest of ours takes 17.
const STEM: usize = 230;

impl Kind for Session {
    type Key = PeerName;
    type Content = Box<BGPSessionStatus>;

    const EXCLUSIVE: bool = false;

    fn kind() -> (String, &'static str) {
        (BGPSession::api_version(&()).into_owned(), "BGPSession")
    }

    fn resource() -> Resource {
        Resource::of::<BGPSession>()
    }

    fn stem(key: &PeerName) -> String {
        key.as_str().chars().take(STEM).collect::<String>().trim_end_matches(['.', '-']).to_owned()
    }

    fn labels(_: &PeerName) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn annotations(key: &PeerName) -> Vec<(&'static str, String)> {
        vec![(PEER, key.to_string())]
    }

    fn status(
        node: &str,
        key: &PeerName,
        content: &Box<BGPSessionStatus>,
        _: Option<&Box<BGPSessionStatus>>,
    ) -> Value {
        let now = &**content;
        // A merge patch keeps what it does not name.
        json!({
            "node": node,
            "peer": key.as_str(),
            "peerAddress": now.peer_address,
            "peerASN": now.peer_asn,
            "bgpStatus": now.bgp_status,
            "bfdStatus": now.bfd_status,
            "since": now.since,
            "lastError": now.last_error,
            "families": now.families,
            "prefixes": now.prefixes,
            "timers": now.timers,
        })
    }
}

impl Session {
    /// Reduces an object; one without our marks is not ours to look at.
    pub(crate) fn row(mut object: BGPSession) -> Option<Row<Self>> {
        let node = object.metadata.labels.take().unwrap_or_default().remove(labels::NODE)?;
        let peer = object.metadata.annotations.take().unwrap_or_default().remove(PEER)?;
        let status = object.status.unwrap_or_default();
        let key = PeerName::new(peer);
        let written_by = status.node.clone();
        Some(Row::new(object.metadata, key, node, &written_by, Box::new(status)))
    }

    /// What there is to say about a session.
    pub(crate) fn content(node: &str, terms: &Terms, view: Option<&View>) -> Box<BGPSessionStatus> {
        let mut status = Self::blank(node, &terms.peer().name, &terms.target().ip().to_string());
        let Some(view) = view else {
            return status;
        };
        word_of(view.state).clone_into(&mut status.bgp_status);
        let bfd = view.bfd_up.map_or("N/A", |up| if up { "Up" } else { "Down" });
        bfd.clone_into(&mut status.bfd_status);
        status.since = Some(time(view.since));
        status.last_error = view
            .last_error
            .as_ref()
            .map(|(why, at)| BGPSessionError { message: why.to_string(), time: Some(time(*at)) });
        status.prefixes = BGPSessionPrefixes {
            wanted: number(view.wanted),
            sent: number(view.sent),
            received: i64::try_from(view.received).unwrap_or(i64::MAX),
        };
        if let Some(agreed) = &view.terms {
            status.peer_asn = Some(agreed.peer_asn.number().into());
            status.families =
                agreed.families.iter().map(|family| name_of(family).to_owned()).collect();
            let seconds = |time: std::time::Duration| format!("{}s", time.as_secs_f64());
            status.timers = Some(BGPSessionTimers {
                hold_time: format!("{}s", agreed.hold_time.seconds()),
                keepalive_time: agreed.keepalive_time.map_or_else(|| "0s".to_owned(), seconds),
                connect_time: terms.peer().connect_time.map(seconds).unwrap_or_default(),
            });
        }
        status
    }

    /// A session that is not tried, and why.
    pub(crate) fn refused(
        node: &str,
        peer: &PeerName,
        address: &str,
        (why, at): &(String, Timestamp),
    ) -> Box<BGPSessionStatus> {
        let mut status = Self::blank(node, peer, address);
        status.since = Some(time(*at));
        let error = BGPSessionError { message: why.clone(), time: Some(time(*at)) };
        status.last_error = Some(error);
        status
    }

    fn blank(node: &str, peer: &PeerName, address: &str) -> Box<BGPSessionStatus> {
        Box::new(BGPSessionStatus {
            node: node.to_owned(),
            peer: peer.to_string(),
            peer_address: address.to_owned(),
            bgp_status: "Idle".to_owned(),
            bfd_status: "N/A".to_owned(),
            ..BGPSessionStatus::default()
        })
    }
}

/// Whole seconds: objects hold no more.
fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
