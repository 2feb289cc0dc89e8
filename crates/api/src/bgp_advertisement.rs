//! `BGPAdvertisement`: which addresses are told to routers, as which prefixes, with which
//! attributes, by which nodes and to which peers.

#![expect(clippy::duplicated_attributes, reason = "each printer column has a type and a path")]
#![allow(dead_code, reason = "the derive puts a copy of the struct into a function")]
#![expect(unreachable_pub, reason = "the derive puts a copy of the struct into a function")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::absent_is_default;
use crate::selector::selectors;

/// The wanted state of a BGP advertisement. Everything is optional: an empty one advertises every
/// address of every pool by itself, from every node to every peer.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "BGPAdvertisement",
    plural = "bgpadvertisements",
    namespaced,
    status = "BGPAdvertisementStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Announces addresses to routers by BGP. Every node it allows announces, and routers spread the traffic over them.",
    printcolumn(name = "IPAddressPools", type_ = "string", json_path = ".spec.ipAddressPools"),
    printcolumn(
        name = "IPAddressPool Selectors",
        type_ = "string",
        json_path = ".spec.ipAddressPoolSelectors"
    ),
    printcolumn(name = "Peers", type_ = "string", json_path = ".spec.peers"),
    printcolumn(
        name = "Node Selectors",
        type_ = "string",
        json_path = ".spec.nodeSelectors",
        priority = 10
    )
)]
#[x_kube(
    validation = Rule::new(
        "!has(self.serviceSelectors) || self.serviceSelectors.size() == 0 \
         || ((!has(self.aggregationLength) || self.aggregationLength == 32) \
         && (!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128))"
    )
    .message("serviceSelectors and an aggregation length other than 32 (IPv4) or 128 (IPv6) are mutually exclusive")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct BGPAdvertisementSpec {
    /// Length of the IPv4 prefixes announced: 32 announces each address by itself, less announces
    /// the network of that length around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 1, max = 32), extend("default" = 32))]
    pub aggregation_length: Option<i64>,

    /// Length of the IPv6 prefixes announced: 128 announces each address by itself, less announces
    /// the network of that length around it.
    #[serde(default, rename = "aggregationLengthV6", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 1, max = 128), extend("default" = 128))]
    pub aggregation_length_v6: Option<i64>,

    /// The local preference of the routes; 0 leaves it at its default. Only internal peers see it.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    pub local_pref: i64,

    /// BGP communities of the routes: `65000:100`, `large:65000:1:2`, or a name that a Community
    /// object defines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<String>,

    /// Pools, by name, whose addresses are announced. Pools matched by ipAddressPoolSelectors are
    /// added to these; without either, all pools are announced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_address_pools: Vec<String>,

    /// Pools, by their labels, whose addresses are announced. One matching selector is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "selectors")]
    pub ip_address_pool_selectors: Vec<LabelSelector>,

    /// Nodes, by their labels, that announce. One matching selector is enough; without selectors
    /// all nodes do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "selectors")]
    pub node_selectors: Vec<LabelSelector>,

    /// Names of the peers that are told; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<String>,

    /// Services, by their labels, whose addresses are announced. One matching selector is enough;
    /// without selectors all Services are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "selectors")]
    pub service_selectors: Vec<LabelSelector>,
}

absent_is_default!(BGPAdvertisementSpec);

/// Nothing is reported on an advertisement yet.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct BGPAdvertisementStatus {}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}
