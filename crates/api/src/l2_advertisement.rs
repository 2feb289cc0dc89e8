//! `L2Advertisement`: which addresses are answered for on the local network, by which nodes and on
//! which interfaces.

#![expect(clippy::duplicated_attributes, reason = "each printer column has a type and a path")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::absent_is_default;
use crate::selector::{selector, selectors};

/// The wanted state of a Layer 2 advertisement. Everything is optional: an empty one advertises
/// every pool from every node on every interface.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "L2Advertisement",
    plural = "l2advertisements",
    namespaced,
    status = "L2AdvertisementStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Announces addresses on the local network by answering ARP (IPv4) and neighbour discovery (IPv6). Of the nodes it allows, one at a time answers for a Service.",
    printcolumn(name = "IPAddressPools", type_ = "string", json_path = ".spec.ipAddressPools"),
    printcolumn(
        name = "IPAddressPool Selectors",
        type_ = "string",
        json_path = ".spec.ipAddressPoolSelectors"
    ),
    printcolumn(name = "Interfaces", type_ = "string", json_path = ".spec.interfaces"),
    printcolumn(
        name = "Node Selectors",
        type_ = "string",
        json_path = ".spec.nodeSelectors",
        priority = 10
    )
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct L2AdvertisementSpec {
    /// Pools, by name, whose addresses are announced. Pools matched by ipAddressPoolSelectors are
    /// added to these; without either, all pools are announced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_address_pools: Vec<String>,

    /// Pools, by their labels, whose addresses are announced. One matching selector is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "selectors")]
    pub ip_address_pool_selectors: Vec<LabelSelector>,

    /// Nodes, by their labels, that may announce. One matching selector is enough; without
    /// selectors all nodes may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "selectors")]
    pub node_selectors: Vec<LabelSelector>,

    /// Exact names of the network interfaces on which the addresses are answered for; all
    /// interfaces of the node when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,

    /// Services, by their labels, whose addresses are announced. One matching selector is enough;
    /// without selectors all Services are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "selectors")]
    pub service_selectors: Vec<LabelSelector>,

    /// Nodes that should rather announce than others, among those that may. The weights of the
    /// matching entries add up, over all advertisements of a Service, and the node with the largest
    /// sum announces it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preferred_node_selectors: Vec<PreferredNodeSelector>,
}

absent_is_default!(L2AdvertisementSpec);

/// A preference for some nodes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(extend("required" = ["preference", "weight"]))]
pub struct PreferredNodeSelector {
    /// How much a matching node is preferred, from 1 to 100.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,

    /// The nodes that are preferred, by their labels.
    #[serde(default)]
    #[schemars(schema_with = "selector")]
    pub preference: LabelSelector,
}

/// Nothing is reported on an advertisement yet.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct L2AdvertisementStatus {}
