//! `Community`: names for BGP communities.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::absent_is_default;

/// A list of names and what they stand for.
#[derive(
    Clone, CustomResource, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize,
)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "Community",
    plural = "communities",
    namespaced,
    status = "CommunityStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Names for BGP communities, to be used in a BGPAdvertisement."
)]
#[serde(remote = "Self")]
pub struct CommunitySpec {
    /// The names. Each may be defined once in all Community objects together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<CommunityAlias>,
}

absent_is_default!(CommunitySpec);

/// A name for a community.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct CommunityAlias {
    /// The name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,

    /// The community: `65000:100`, or `large:65000:1:2`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
}

/// Nothing is reported on communities.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct CommunityStatus {}
