//! What a router is to do, in words that FRR, BIRD and `GoBGP` share.

use std::net::IpAddr;

use ferrolb_addr::Family;
use ipnet::IpNet;

/// A router's whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its own AS.
    pub asn: u32,
    /// Whom it speaks with.
    pub neighbours: Vec<Neighbour>,
    /// What it announces itself.
    pub announce: Vec<IpNet>,
}

impl Config {
    /// A router of that AS that waits for nodes to dial, and speaks both families with them.
    pub fn new(asn: u32, neighbours: impl IntoIterator<Item = Neighbour>) -> Self {
        Self { asn, neighbours: neighbours.into_iter().collect(), announce: Vec::new() }
    }
}

/// Who may be a neighbour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Remote {
    /// The speaker at that address.
    Address(IpAddr),
    /// Any speaker of the range that dials.
    Range(IpNet),
}

/// A neighbour, or a range of them.
#[derive(Clone, Debug)]
pub struct Neighbour {
    /// Who it is.
    pub remote: Remote,
    /// The AS it must be in.
    pub asn: u32,
    /// Whether to wait for it to dial.
    pub passive: bool,
    /// What is spoken about.
    pub families: Vec<Family>,
    /// The password of TCP MD5.
    pub password: Option<String>,
    /// How many hops away it may be, if it is not on the LAN.
    pub hops: Option<u8>,
    /// BFD beside it.
    pub bfd: Option<Bfd>,
    /// The hold time to propose, in seconds.
    pub hold_time: u16,
}

impl Neighbour {
    /// One at that address, passive, both families, hold time 90 s.
    pub fn new(address: IpAddr, asn: u32) -> Self {
        Self {
            remote: Remote::Address(address),
            asn,
            passive: true,
            families: vec![Family::V4, Family::V6],
            password: None,
            hops: None,
            bfd: None,
            hold_time: 90,
        }
    }

    pub(super) fn is_in(&self, family: Family) -> bool {
        self.families.contains(&family)
    }
}

/// Timers of BFD.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bfd {
    /// Time between two packets, both ways, in milliseconds.
    pub interval: u32,
    /// Packets that may be missing.
    pub multiplier: u8,
}
