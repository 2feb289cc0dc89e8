//! What a router says about itself, whichever program says it.

use std::net::IpAddr;

use serde_json::Value;

use crate::error::{Error, Result};

/// A BGP session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Session {
    /// The neighbour's address.
    pub peer: IpAddr,
    /// Whether it is established.
    pub is_up: bool,
    /// The neighbour's AS, 0 where it is not known.
    pub asn: u32,
    /// The neighbour's identifier, if it is known.
    pub router_id: Option<IpAddr>,
    /// The hold time in force in seconds, if it is known.
    pub hold_time: Option<u16>,
    /// How often it was established; `None` where the program does not count.
    pub established: Option<u64>,
    /// Whether the neighbour said it can restart while its routes stay in use.
    pub restarts_gracefully: bool,
    /// Why it went down last, in the program's words.
    pub last_error: String,
}

/// A way to a prefix.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Path {
    /// Next hops, the global ones.
    pub next_hop: Option<IpAddr>,
    /// The AS path, as numbers.
    pub as_path: Vec<u32>,
    /// `LOCAL_PREF`, where there is one.
    pub local_pref: Option<u32>,
    /// Communities, as `65535:65281`.
    pub communities: Vec<String>,
    /// Large communities, as `64500:1:2`.
    pub large_communities: Vec<String>,
    /// Whether the origin is IGP.
    pub origin_is_igp: bool,
    /// Whether it is kept although its neighbour is away.
    pub is_stale: bool,
}

/// A BFD session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BfdSession {
    /// The neighbour's address.
    pub peer: IpAddr,
    /// Whether it is up.
    pub is_up: bool,
    /// The neighbour's wanted receive and transmit intervals in milliseconds, if they are told.
    pub intervals: Option<(u64, u64)>,
}

/// Reads what a program has printed as JSON.
pub(super) fn json(text: &str) -> Result<Value> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text)
        .map_err(|error| Error::Story(format!("a router's answer: {error}: {text}")))
}

/// The `"asn:value"` spelling of a community.
pub(super) fn community(value: u64) -> String {
    format!("{}:{}", value >> 16, value & 0xffff)
}

/// A number of a document, where it is one.
pub(super) fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|value| value.try_into().ok())
}
