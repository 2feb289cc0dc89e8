//! `BGPSession`: how the session of one node with one router is doing. Not known upstream, so it
//! lives in a group of our own.

#![expect(clippy::duplicated_attributes, reason = "each printer column has a type and a path")]
#![expect(unreachable_pub, reason = "the derive puts a copy of the struct into a function")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::absent_is_default;

/// Always empty: the object only reports.
#[derive(
    Clone, CustomResource, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize,
)]
#[kube(
    group = "ferrolb.io",
    version = "v1alpha1",
    kind = "BGPSession",
    plural = "bgpsessions",
    namespaced,
    status = "BGPSessionStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Tells how the BGP session of a node with a router is doing. Written by the speaker on that node.",
    printcolumn(name = "Node", type_ = "string", json_path = ".status.node"),
    printcolumn(name = "Peer", type_ = "string", json_path = ".status.peer"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.bgpStatus"),
    printcolumn(name = "BFD", type_ = "string", json_path = ".status.bfdStatus"),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.since"),
    printcolumn(name = "Sent", type_ = "integer", json_path = ".status.prefixes.sent"),
    printcolumn(
        name = "Last Error",
        type_ = "string",
        json_path = ".status.lastError.message",
        priority = 10
    )
)]
#[serde(remote = "Self")]
pub struct BGPSessionSpec {}

absent_is_default!(BGPSessionSpec);

/// The session as it is. Node and peer never change once they are set.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BGPSessionStatus {
    /// The node that holds the session.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the node cannot change"))]
    pub node: String,

    /// Name of the router, as its `BGPPeer` object is called.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the peer cannot change"))]
    pub peer: String,

    /// The address of the router.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub peer_address: String,

    /// The AS number the router showed.
    #[serde(default, rename = "peerASN", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub peer_asn: Option<i64>,

    /// The VRF of the session; the main one when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub vrf: String,

    /// State of the session: Idle, Connect, Active, `OpenSent`, `OpenConfirm` or Established.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bgp_status: String,

    /// State of the BFD session: Up, Down, Init, `AdminDown`, or N/A without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bfd_status: String,

    /// When the session became established, or stopped being so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time")]
    pub since: Option<Time>,

    /// Why the session ended last, or why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BGPSessionError")]
    pub last_error: Option<BGPSessionError>,

    /// Address families both sides agreed on: ipv4-unicast, ipv6-unicast.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub families: Vec<String>,

    /// How many routes there are on this session.
    #[serde(default)]
    pub prefixes: BGPSessionPrefixes,

    /// The timers both sides agreed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BGPSessionTimers")]
    pub timers: Option<BGPSessionTimers>,
}

/// What went wrong, and when.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct BGPSessionError {
    /// What went wrong, in words, with the text of the router's notification if it sent one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,

    /// When it went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time")]
    pub time: Option<Time>,
}

/// Numbers of routes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct BGPSessionPrefixes {
    /// Prefixes that the router should know.
    #[serde(default)]
    pub wanted: i64,

    /// Prefixes that the router was told.
    #[serde(default)]
    pub sent: i64,

    /// Prefixes that the router told; they are counted and never used.
    #[serde(default)]
    pub received: i64,
}

/// Timers in force, as durations like `90s`.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BGPSessionTimers {
    /// How long the session lives without a sign of the router.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hold_time: String,

    /// How often signs are given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub keepalive_time: String,

    /// How long until the next attempt to connect.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub connect_time: String,
}
