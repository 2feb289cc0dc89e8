//! `BGPPeer`: a router to hold a BGP session with.
//!
//! Two versions are served. `v1beta2` is stored. `v1beta1` is deprecated; its schema has every field
//! of `v1beta2`, so that an object read through one and written through the other loses nothing:
//!
//! ```text
//!  write v1beta1 ──prune by its schema──► rename ──► etcd (v1beta2) ──► rename ──► read v1beta1
//!                  (knows all fields)                 defaults here      (knows all fields)
//! ```
//!
//! That is why no conversion webhook is needed: the API server only renames the version. An unset
//! timer stays unset on the way. Definitions that upstream left behind still ask for a webhook; for
//! those there is [`crate::conversion`].

#![expect(clippy::duplicated_attributes, reason = "each printer column has a type and a path")]
#![allow(dead_code, reason = "the derive puts a copy of the struct into a function")]
#![expect(clippy::struct_excessive_bools, reason = "so upstream made it")]
#![expect(unreachable_pub, reason = "the derive puts a copy of the struct into a function")]

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, CustomResourceExt, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::absent_is_default;
use crate::password::Password;
use crate::selector::selectors;

/// The version that is stored.
pub const STORED_VERSION: &str = "v1beta2";

/// The version that is only kept for those who still use it.
pub const DEPRECATED_VERSION: &str = "v1beta1";

/// The router and how to talk to it.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "metallb.io",
    version = "v1beta2",
    kind = "BGPPeer",
    plural = "bgppeers",
    namespaced,
    status = "BGPPeerStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A router that the speakers hold a BGP session with.",
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.peerAddress"),
    printcolumn(name = "ASN", type_ = "string", json_path = ".spec.peerASN"),
    printcolumn(name = "BFD Profile", type_ = "string", json_path = ".spec.bfdProfile"),
    printcolumn(name = "Multi Hops", type_ = "string", json_path = ".spec.ebgpMultiHop")
)]
#[x_kube(
    validation = Rule::new("self.myASN > 0").message("myASN: the own AS number is missing"),
    validation = Rule::new("(has(self.peerASN) && self.peerASN > 0) != has(self.dynamicASN)")
        .message("exactly one of peerASN and dynamicASN is needed"),
    validation = Rule::new(
        "(has(self.peerAddress) && self.peerAddress != '') \
         != (has(self.interface) && self.interface != '')"
    )
    .message("exactly one of peerAddress and interface is needed"),
    validation = Rule::new(
        "!has(self.ebgpMultiHop) || !self.ebgpMultiHop \
         || !has(self.peerASN) || self.peerASN != self.myASN"
    )
    .message("ebgpMultiHop is for peers of another AS"),
    validation = Rule::new(
        "!has(self.password) || self.password == '' || !has(self.passwordSecret) \
         || !has(self.passwordSecret.name) || self.passwordSecret.name == ''"
    )
    .message("password and passwordSecret are mutually exclusive"),
    validation = Rule::new(
        "!has(self.holdTime) || !has(self.keepaliveTime) \
         || duration(self.keepaliveTime) <= duration(self.holdTime)"
    )
    .message("keepaliveTime must not be longer than holdTime")
)]
#[schemars(extend("required" = ["myASN"]))]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct BGPPeerSpec {
    /// The AS number of this side.
    #[serde(default, rename = "myASN")]
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    pub my_asn: i64,

    /// The AS number of the router. Equal to myASN makes the session an internal one.
    #[serde(default, rename = "peerASN", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 0, max = 4_294_967_295_u32))]
    pub peer_asn: Option<i64>,

    /// Takes any AS number from the router instead of one peerASN: `internal` one that equals
    /// myASN, `external` any other.
    #[serde(default, rename = "dynamicASN", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("enum" = ["internal", "external"]))]
    pub dynamic_asn: Option<String>,

    /// Another AS number to show to this router instead of myASN. For external sessions.
    #[serde(default, rename = "localASN", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1, max = 4_294_967_295_u32))]
    pub local_asn: Option<i64>,

    /// The address of the router, IPv4 or IPv6.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub peer_address: String,

    /// The interface behind which the router is, for a session without configured addresses.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub interface: String,

    /// The address of this side to connect from; the system chooses when it is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source_address: String,

    /// The TCP port of the router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1, max = 16384), extend("default" = 179))]
    pub peer_port: Option<i64>,

    /// How long the session lives without a sign of the router: zero (for ever) or at least 3 s.
    /// Sent to the router, the shorter of both sides' times counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('3s') || (duration(self) >= duration('0s') && duration(self) < duration('1s'))")
        .message("must be zero or at least 3 seconds, like 90s"))]
    pub hold_time: Option<String>,

    /// How often to give a sign; a third of the hold time when it is unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('0s')")
        .message("must be a duration like 30s"))]
    pub keepalive_time: Option<String>,

    /// How long to wait between attempts to connect, in whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    #[x_kube(
        validation = Rule::new("duration(self).getSeconds() >= 1 && duration(self).getSeconds() <= 65535")
            .message("must be from 1 second to 65535 seconds"),
        validation = Rule::new("duration(self).getMilliseconds() % 1000 == 0")
            .message("must be whole seconds")
    )]
    pub connect_time: Option<String>,

    /// The BGP identifier of this side, written like an IPv4 address; chosen from the addresses of
    /// the node when it is empty.
    #[serde(default, rename = "routerID", skip_serializing_if = "String::is_empty")]
    pub router_id: String,

    /// Nodes, by their labels, that hold the session. One matching selector is enough; without
    /// selectors all nodes do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "selectors")]
    pub node_selectors: Vec<LabelSelector>,

    /// The TCP MD5 password, readable for everybody who can read this object; passwordSecret is
    /// the better place for it.
    #[serde(default, skip_serializing_if = "Password::is_empty")]
    pub password: Password,

    /// The Secret that holds the TCP MD5 password.
    #[serde(default, skip_serializing_if = "SecretReference::is_empty")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub password_secret: SecretReference,

    /// Name of the BFD profile with which the path to the router is watched; not watched when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bfd_profile: String,

    /// Asks the router to keep the routes while the speaker restarts. Cannot be changed.
    #[serde(default, skip_serializing_if = "is_false")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("enableGracefulRestart cannot change"))]
    pub enable_graceful_restart: bool,

    /// Whether the router is more than one hop away.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ebgp_multi_hop: bool,

    /// The VRF of the node that the session runs in; the main one when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub vrf: String,

    /// Without effect, kept for old manifests.
    #[serde(default, rename = "disableMP")]
    pub disable_mp: bool,

    /// Carries routes of both address families over this one session.
    #[serde(default)]
    pub dual_stack_address_family: bool,
}

absent_is_default!(BGPPeerSpec);

/// A Secret, by name.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct SecretReference {
    /// Name of a Secret of type kubernetes.io/basic-auth with key password, in the namespace of
    /// this object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,

    /// Accepted and not used: the Secret is looked for in the namespace of this object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

impl SecretReference {
    /// Whether it refers to nothing.
    pub fn is_empty(&self) -> bool {
        self.name.is_empty() && self.namespace.is_empty()
    }
}

/// Nothing is reported on a peer; its sessions are in `BGPSession` objects.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct BGPPeerStatus {}

/// The definition with both versions.
pub(crate) fn definition() -> CustomResourceDefinition {
    let mut definition = BGPPeer::crd();
    let mut deprecated = definition.spec.versions.clone();
    for version in &mut deprecated {
        DEPRECATED_VERSION.clone_into(&mut version.name);
        version.storage = false;
        version.deprecated = Some(true);
        version.deprecation_warning =
            Some("metallb.io/v1beta1 BGPPeer is deprecated, use metallb.io/v1beta2".to_owned());
        // The port may be zero there, and the default is the business of the stored version.
        let spec = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut()?.properties.as_mut())
            .and_then(|properties| properties.get_mut("spec")?.properties.as_mut());
        if let Some(port) = spec.and_then(|spec| spec.get_mut("peerPort")) {
            port.default = None;
            port.minimum = Some(0.0);
        }
    }
    deprecated.append(&mut definition.spec.versions);
    definition.spec.versions = deprecated;
    definition
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(flag: &bool) -> bool {
    !flag
}
