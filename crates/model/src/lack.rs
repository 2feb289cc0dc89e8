//! What a node says it cannot announce on: an interface, a network, or anything.
//!
//! A node knows best what it lacks, and tells the others with every heartbeat. So a lack is eight
//! bytes whatever it is about, and whoever hears it asks only whether it [`Lack::impairs`] an
//! address. It never takes a node out of an election: a node that lacks nothing comes before one that does,
//! and where all lack something the order is the usual one.
//!
//! ```text
//!  1                      anything (the node gives its addresses away)
//!  2 · 7 bytes            an interface: hash of its name
//!  3 · length · 6 bytes   a network of IPv4: its address; of IPv6: hash of its prefix
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ferrolb_ipam::NodeName;
use ipnet::IpNet;
use sha2::{Digest, Sha256};

use crate::verdict::Interfaces;

/// Something a node lacks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Lack(u64);

/// What each node lacks that lacks something.
pub type Lacks = BTreeMap<NodeName, BTreeSet<Lack>>;

const INTERFACE: u64 = 2 << 56;
const NETWORK: u64 = 3 << 56;

impl Lack {
    /// The node itself is not to be used.
    pub const NODE: Self = Self(1 << 56);

    /// It has no interface of this name, or none that passes frames.
    pub fn interface(name: &str) -> Self {
        Self(INTERFACE | digest(name.as_bytes()) >> 8)
    }

    /// Its interfaces on this network pass no frames.
    pub fn network(network: IpNet) -> Self {
        let address = match network.network() {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            IpAddr::V6(ip) => digest(&ip.octets()) >> 16,
        };
        Self(NETWORK | u64::from(network.prefix_len()) << 48 | address)
    }

    /// As it is told to others.
    pub fn word(self) -> u64 {
        self.0
    }

    /// What others told; one of a later version impairs nothing.
    pub fn of_word(word: u64) -> Self {
        Self(word)
    }

    /// Whether it is a network that holds `address`.
    fn is_about(self, address: IpAddr) -> bool {
        let [_, length, ..] = self.0.to_be_bytes();
        IpNet::new(address, length).is_ok_and(|network| Self::network(network) == self)
    }

    /// Whether a node that lacks `lacks` is worse than others for `address` on `interfaces`.
    pub fn impairs(lacks: &BTreeSet<Self>, address: IpAddr, interfaces: &Interfaces) -> bool {
        let unnamed = match interfaces {
            Interfaces::All => false,
            Interfaces::Named(names) => {
                names.iter().all(|name| lacks.contains(&Self::interface(name)))
            }
        };
        unnamed || lacks.contains(&Self::NODE) || lacks.iter().any(|lack| lack.is_about(address))
    }
}

/// The first eight bytes.
fn digest(bytes: &[u8]) -> u64 {
    Sha256::digest(bytes).iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn mk_lack(text: &str) -> Lack {
        match text {
            "node" => Lack::NODE,
            "later" => Lack::of_word(9 << 56),
            name if name.starts_with("eth") => Lack::interface(name),
            network => Lack::network(network.parse().unwrap()),
        }
    }

    #[rstest]
    #[case::nothing("", "192.0.2.9", "", false)]
    #[case::node("node", "192.0.2.9", "", true)]
    #[case::of_a_later_version("later", "192.0.2.9", "eth0", false)]
    #[case::the_only_interface("eth0", "192.0.2.9", "eth0", true)]
    #[case::one_of_two("eth0", "192.0.2.9", "eth0 eth1", false)]
    #[case::both("eth0 eth1", "192.0.2.9", "eth0 eth1", true)]
    #[case::not_named("eth0", "192.0.2.9", "", false)]
    #[case::network("192.0.2.0/24", "192.0.2.9", "", true)]
    #[case::other_network("192.0.2.0/25", "192.0.2.200", "", false)]
    #[case::other_family("192.0.2.0/24", "2001:db8::9", "", false)]
    #[case::everything("0.0.0.0/0", "192.0.2.9", "", true)]
    #[case::network_v6("2001:db8::/64", "2001:db8::9", "", true)]
    #[case::other_network_v6("2001:db8:1::/64", "2001:db8::9", "", false)]
    #[case::network_of_named_interfaces("192.0.2.0/24", "192.0.2.9", "eth0 eth1", true)]
    fn impairs(
        #[case] lacks: &str,
        #[case] address: IpAddr,
        #[case] interfaces: &str,
        #[case] expected: bool,
    ) {
        let lacks = lacks.split_whitespace().map(mk_lack).collect();
        let names: BTreeSet<String> = interfaces.split_whitespace().map(str::to_owned).collect();
        let interfaces = if names.is_empty() { Interfaces::All } else { Interfaces::Named(names) };
        assert_eq!(Lack::impairs(&lacks, address, &interfaces), expected);
    }
}
