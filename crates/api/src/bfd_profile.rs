//! `BFDProfile`: how fast the path to a router is watched.

#![expect(clippy::duplicated_attributes, reason = "each printer column has a type and a path")]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::absent_is_default;

/// Timers and modes of a BFD session. What is unset has the value that is named there.
#[derive(
    Clone, CustomResource, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize,
)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "BFDProfile",
    plural = "bfdprofiles",
    namespaced,
    status = "BFDProfileStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Timers with which the path to a router is watched, so that its loss is noticed within a fraction of a second.",
    printcolumn(name = "Passive Mode", type_ = "boolean", json_path = ".spec.passiveMode"),
    printcolumn(
        name = "Transmit Interval",
        type_ = "integer",
        json_path = ".spec.transmitInterval"
    ),
    printcolumn(name = "Receive Interval", type_ = "integer", json_path = ".spec.receiveInterval"),
    printcolumn(name = "Multiplier", type_ = "integer", json_path = ".spec.detectMultiplier")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct BFDProfileSpec {
    /// The shortest interval, in milliseconds, at which packets of the router are taken. 300 when
    /// unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 10, max = 60000))]
    pub receive_interval: Option<i64>,

    /// The shortest interval, in milliseconds, at which packets are sent. 300 when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 10, max = 60000))]
    pub transmit_interval: Option<i64>,

    /// After how many missing packets the router gives this side up. 3 when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 2, max = 255))]
    pub detect_multiplier: Option<i64>,

    /// The interval of echo packets in milliseconds. 50 when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 10, max = 60000))]
    pub echo_interval: Option<i64>,

    /// Whether echo packets are sent. For IPv4 routers one hop away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub echo_mode: Option<bool>,

    /// Whether to be silent until the router has sent a packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub passive_mode: Option<bool>,

    /// The smallest TTL with which packets of a router more than one hop away are taken. 254 when
    /// unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 1, max = 254))]
    pub minimum_ttl: Option<i64>,
}

absent_is_default!(BFDProfileSpec);

/// Nothing is reported on a profile.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct BFDProfileStatus {}
