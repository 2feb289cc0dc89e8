//! The address plan of a lab: which host has which number, and what follows from it.
//!
//! | | IPv4 | IPv6 |
//! |---|---|---|
//! | LAN 1 | 172.30.1.0/24 | fd00:172:30:1::/64 |
//! | LAN 2 | 172.30.2.0/24 | fd00:172:30:2::/64 |
//! | behind router i | 172.31.i.0/24 | fd00:172:31:i::/64 |
//! | pods of node i | 10.244.i.0/24 | fd00:244:i::/64 |
//! | Services | 10.96.0.0/16 | fd00:10:96::/112 |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ferrolb_addr::Mac;

/// Cluster addresses of Services, both families, as kube-apiserver wants them.
pub const SERVICE_RANGE: &str = "10.96.0.0/16,fd00:10:96::/112";

/// Pod addresses of all nodes, both families.
pub const POD_RANGE: &str = "10.244.0.0/16,fd00:244::/32";

/// Pods of ours with a network of their own that can run at a time: two controllers and the successor
/// of one of them.
pub const PODS: u8 = 3;

/// Most nodes a lab can have: their numbers end where the clients' begin.
pub const MAX_NODES: u8 = 80;

/// One of the lab's Ethernet segments.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Lan {
    /// Everything is on it; `eth0`.
    One,
    /// Nodes and a second client are on it; `eth1`.
    Two,
}

impl Lan {
    /// 1 or 2.
    pub fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// The network namespace that is its switch.
    pub fn switch(self) -> &'static str {
        match self {
            Self::One => "lan1",
            Self::Two => "lan2",
        }
    }

    /// What a host calls its interface on it.
    pub fn interface(self) -> &'static str {
        match self {
            Self::One => "eth0",
            Self::Two => "eth1",
        }
    }

    /// An IPv4 address on it, by last octet.
    pub fn v4(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(172, 30, self.number(), host)
    }

    /// An IPv6 address on it; the last group reads like the IPv4 address' last octet.
    pub fn v6(self, host: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0x172, 0x30, self.number().into(), 0, 0, 0, same_digits(host))
    }

    /// The hardware address a host has on it: readable in a capture, unique in the lab.
    pub fn mac(self, host: u8) -> Mac {
        let [high, low] = same_digits(host).to_be_bytes();
        Mac([0x02, 0xfe, 0, self.number(), high, low])
    }
}

/// What a host is in the lab, and with it its number in every network.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// The control plane; also where the lab's own process is.
    Control,
    /// The i-th node, from 1.
    Node(u8),
    /// The i-th client, from 1.
    Client(u8),
    /// The i-th stranger on the LAN, from 1.
    Guest(u8),
    /// The i-th Pod of ours that has a network of its own, from 1.
    Pod(u8),
    /// The i-th router, from 1.
    Router(u8),
    /// The client behind the i-th router; on no LAN.
    Far(u8),
}

impl Role {
    /// Last octet of its addresses.
    pub fn host_number(self) -> u8 {
        match self {
            Self::Control => 2,
            Self::Pod(index) => 2 + index,
            Self::Node(index) => 10 + index,
            Self::Client(index) => 99 + index,
            Self::Router(index) => 119 + index,
            Self::Far(index) => 134 + index,
            Self::Guest(index) => 149 + index,
        }
    }
}

/// The n-th pod address of a node (from 0), IPv4 then IPv6.
pub fn pod_addresses(node: u8, pod: u8) -> [IpAddr; 2] {
    [
        Ipv4Addr::new(10, 244, node, 10 + pod).into(),
        Ipv6Addr::new(0xfd00, 0x244, node.into(), 0, 0, 0, 0, same_digits(10 + pod)).into(),
    ]
}

/// The pod ranges of a node, IPv4 then IPv6.
pub fn pod_ranges(node: u8) -> [String; 2] {
    [format!("10.244.{node}.0/24"), format!("fd00:244:{node:x}::/64")]
}

/// Addresses of the i-th router on its far side and of what is there, IPv4 then IPv6.
pub fn far_addresses(router: u8) -> [[IpAddr; 2]; 2] {
    let v4 = |host| Ipv4Addr::new(172, 31, router, host).into();
    let v6 = |host| Ipv6Addr::new(0xfd00, 0x172, 0x31, same_digits(router), 0, 0, 0, host).into();
    [[v4(1), v4(2)], [v6(1), v6(2)]]
}

/// The networks behind the i-th router, IPv4 then IPv6.
pub fn far_ranges(router: u8) -> [String; 2] {
    [format!("172.31.{router}.0/24"), format!("fd00:172:31:{router}::/64")]
}

/// The number whose hexadecimal digits are this number's decimal ones.
fn same_digits(number: u8) -> u16 {
    let number = u16::from(number);
    number / 100 * 0x100 + number / 10 % 10 * 0x10 + number % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_never_meet() {
        let mut roles = vec![Role::Control];
        roles.extend((1..=MAX_NODES).map(Role::Node));
        roles.extend((1..=10).map(Role::Client));
        roles.extend((1..=10).map(Role::Guest));
        roles.extend((1..=PODS).map(Role::Pod));
        roles.extend((1..=10).map(Role::Router));
        roles.extend((1..=10).map(Role::Far));
        let mut numbers: Vec<_> = roles.iter().map(|role| role.host_number()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), roles.len());
    }

    #[test]
    fn addresses_follow_the_table() {
        assert_eq!(Lan::Two.v4(11).to_string(), "172.30.2.11");
        assert_eq!(Lan::One.v6(240).to_string(), "fd00:172:30:1::240");
        assert_eq!(Lan::One.mac(111).to_string(), "02:fe:00:01:01:11");
        assert_eq!(
            pod_addresses(3, 0).map(|address| address.to_string()),
            ["10.244.3.10", "fd00:244:3::10"]
        );
        assert_eq!(pod_ranges(12), ["10.244.12.0/24", "fd00:244:c::/64"]);
    }
}
