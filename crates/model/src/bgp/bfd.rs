//! How fast the path to a router is watched (`bgp.md` 4.1).

use std::time::Duration;

/// One `BFDProfile`, with the defaults for what it leaves open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BfdProfile {
    /// The required minimum interval between packets received.
    pub receive_interval: Duration,
    /// The desired minimum interval between packets sent.
    pub transmit_interval: Duration,
    /// After how many missing packets the other side gives us up.
    pub detect_multiplier: u8,
    /// Stay silent until the other side has sent a packet.
    pub passive: bool,
    /// The smallest TTL that is taken, on paths of more than one hop.
    pub minimum_ttl: u8,
}

impl Default for BfdProfile {
    /// What an empty profile means: the values of FRR.
    fn default() -> Self {
        Self {
            receive_interval: Duration::from_millis(300),
            transmit_interval: Duration::from_millis(300),
            detect_multiplier: 3,
            passive: false,
            minimum_ttl: 254,
        }
    }
}
