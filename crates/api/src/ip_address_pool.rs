//! `IPAddressPool`: addresses the cluster may hand out, and to whom.

#![expect(clippy::duplicated_attributes, reason = "each printer column has a type and a path")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::lenient::absent_is_default;
use crate::selector::selectors;

/// The wanted state of a pool.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "IPAddressPool",
    plural = "ipaddresspools",
    namespaced,
    status = "IPAddressPoolStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A set of addresses that Services of type LoadBalancer get theirs from.",
    printcolumn(name = "Auto Assign", type_ = "boolean", json_path = ".spec.autoAssign"),
    printcolumn(name = "Avoid Buggy IPs", type_ = "boolean", json_path = ".spec.avoidBuggyIPs"),
    printcolumn(name = "Addresses", type_ = "string", json_path = ".spec.addresses"),
    printcolumn(name = "Used IPv4", type_ = "integer", json_path = ".status.assignedIPv4"),
    printcolumn(name = "Free IPv4", type_ = "integer", json_path = ".status.availableIPv4"),
    printcolumn(name = "Used IPv6", type_ = "integer", json_path = ".status.assignedIPv6"),
    printcolumn(name = "Free IPv6", type_ = "integer", json_path = ".status.availableIPv6")
)]
#[schemars(extend("required" = ["addresses"]))]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct IPAddressPoolSpec {
    /// The addresses of the pool: prefixes (`192.0.2.0/24`, `2001:db8::/64`) and inclusive ranges
    /// (`192.0.2.10-192.0.2.20`), IPv4 and IPv6 mixed as needed. Entries must not overlap each
    /// other or those of another pool.
    #[serde(default)]
    #[schemars(schema_with = "addresses")]
    pub addresses: Vec<String>,

    /// Whether a Service that asks for nothing special may get an address of this pool. When
    /// false, the pool serves only Services that name the pool or one of its addresses.
    #[serde(default = "yes")]
    pub auto_assign: bool,

    /// Leaves out the IPv4 addresses that end in .0 or .255, which some old network devices drop
    /// because they take them for network or broadcast addresses.
    #[serde(default, rename = "avoidBuggyIPs")]
    pub avoid_buggy_ips: bool,

    /// Restricts the pool to some Services and orders it among the pools they may use. A pool that
    /// has this, even empty, is tried before the pools that do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ServiceAllocation")]
    pub service_allocation: Option<ServiceAllocation>,
}

absent_is_default!(IPAddressPoolSpec);

impl Default for IPAddressPoolSpec {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            auto_assign: true,
            avoid_buggy_ips: false,
            service_allocation: None,
        }
    }
}

/// Which Services may use a pool, and how early the pool is tried.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAllocation {
    /// Order among the pools that a Service may use: 1 is tried first, larger numbers later, and 0
    /// or no number last.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i64,

    /// Namespaces whose Services may use the pool. Namespaces matched by namespaceSelectors are
    /// added to these; without either, Services of all namespaces may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,

    /// Namespaces, by their labels, whose Services may use the pool. One matching selector is
    /// enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "selectors")]
    pub namespace_selectors: Vec<LabelSelector>,

    /// Services, by their labels, that may use the pool. One matching selector is enough; without
    /// selectors all Services may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "selectors")]
    pub service_selectors: Vec<LabelSelector>,
}

/// How much of a pool is in use. Written by the controller.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(extend("required" = ["assignedIPv4", "assignedIPv6", "availableIPv4", "availableIPv6"]))]
pub struct IPAddressPoolStatus {
    /// Number of different IPv4 addresses of the pool that Services hold.
    #[serde(default, rename = "assignedIPv4")]
    pub assigned_ipv4: i64,

    /// Number of different IPv6 addresses of the pool that Services hold.
    #[serde(default, rename = "assignedIPv6")]
    pub assigned_ipv6: i64,

    /// Number of IPv4 addresses of the pool that are still free.
    #[serde(default, rename = "availableIPv4")]
    pub available_ipv4: i64,

    /// Number of IPv6 addresses of the pool that are still free; the largest 64-bit integer stands
    /// for that many and more.
    #[serde(default, rename = "availableIPv6")]
    pub available_ipv6: i64,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The most entries a pool may have: what bounds the estimated cost of the rule for one entry, so
/// that the API server takes it.
const MAX_ADDRESSES: usize = 4096;

/// The most characters an entry may have, for the same reason: two written-out IPv6 addresses and
/// some blanks.
const MAX_ADDRESS_LENGTH: usize = 128;

/// Holds for everything that a parser could take. Two spellings are let pass for the parser to
/// judge, because the functions for addresses refuse them and upstream does not: IPv4 addresses
/// written as IPv6 (`::ffff:192.0.2.1`) and prefix lengths with leading zeros.
const ADDRESS_RULE: &str = "(self.contains('-') \
    ? isIP(self.substring(0, self.indexOf('-')).trim()) && isIP(self.substring(self.indexOf('-') + 1).trim()) \
    : isCIDR(self)) || self.matches(r'(^|-)\\s*[0:]+:[Ff]{4}:|/0[0-9]+$')";

/// Schema of `spec.addresses`.
fn addresses(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_ADDRESSES,
        "items": {
            "type": "string",
            "maxLength": MAX_ADDRESS_LENGTH,
            "x-kubernetes-validations": [{
                "rule": ADDRESS_RULE,
                "message": "must be a prefix like 192.0.2.0/24 or a range like 192.0.2.10-192.0.2.20",
            }],
        },
        "x-kubernetes-validations": [{
            "rule": "self.size() > 0",
            "message": "a pool needs at least one prefix or range",
        }],
    })
}
