//! `ServiceL2Status`: which node answers for a Service on the local network, told by that node.

#![expect(clippy::duplicated_attributes, reason = "each printer column has a type and a path")]
#![expect(unreachable_pub, reason = "the derive puts a copy of the struct into a function")]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::absent_is_default;

/// Always empty: the object only reports.
#[derive(
    Clone, CustomResource, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize,
)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "ServiceL2Status",
    plural = "servicel2statuses",
    namespaced,
    status = "ServiceL2StatusStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Tells which node answers for the addresses of a Service on the local network. Written by the speaker on that node.",
    printcolumn(name = "Allocated Node", type_ = "string", json_path = ".status.node"),
    printcolumn(name = "Service Name", type_ = "string", json_path = ".status.serviceName"),
    printcolumn(
        name = "Service Namespace",
        type_ = "string",
        json_path = ".status.serviceNamespace"
    )
)]
#[serde(remote = "Self")]
pub struct ServiceL2StatusSpec {}

absent_is_default!(ServiceL2StatusSpec);

/// Who answers for which Service. Node and Service never change once they are set: a move makes a
/// new object.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceL2StatusStatus {
    /// The node that answers; absent while it refuses to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the node cannot change"))]
    pub node: String,

    /// Name of the Service.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the Service cannot change"))]
    pub service_name: String,

    /// Namespace of the Service.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the Service cannot change"))]
    pub service_namespace: String,

    /// The interfaces on which the node answers; all of its interfaces when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<InterfaceStatus>,

    /// Addresses that would be this node's to announce and are not announced, because a station
    /// outside the cluster has them. Not known upstream.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedAddress>,
}

/// An address that somebody else has.
#[derive(
    Clone, Debug, Default, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
pub struct RefusedAddress {
    /// The address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ip: String,

    /// The hardware address of the station that has it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mac: String,
}

/// A network interface.
#[derive(
    Clone, Debug, Default, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
pub struct InterfaceStatus {
    /// Name of the interface on its node.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}
