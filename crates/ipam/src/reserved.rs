//! Addresses that are given only to who asks for them, and whose they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_addr::AddrRange;

/// Whose an address is, in the order in which it is said when it is several's.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Owner {
    /// A node answers for it: its own address.
    Node,
    /// The routers of a node's subnet answer for it (RFC 4291 2.6.1).
    SubnetRouters,
    /// A Service keeps it, although the pool it has it from is invalid at present.
    Service,
    /// A station outside the cluster has it, so speakers refuse to announce it.
    Station,
}

impl Owner {
    /// What the addresses of such owners are called.
    fn of_many(self) -> &'static str {
        match self {
            Self::Node => "nodes' own",
            Self::SubnetRouters => "subnet routers'",
            Self::Service => "kept from an invalid pool",
            Self::Station => "other hosts'",
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.of_many())
    }
}

/// Addresses that are given only to who asks for them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reserved {
    /// Each owner's addresses, and the owner's name.
    of: BTreeMap<Owner, BTreeMap<IpAddr, Arc<str>>>,
}

impl Reserved {
    /// Whose `ip` is, and the name of that owner.
    pub fn owner(&self, ip: IpAddr) -> Option<(Owner, &str)> {
        self.of.iter().find_map(|(owner, ips)| Some((*owner, &**ips.get(&ip)?)))
    }

    /// Whose addresses are in `range`.
    pub(crate) fn owners_in(&self, range: &AddrRange) -> impl Iterator<Item = Owner> {
        let span = range.first()..=range.last();
        let has_some = move |ips: &BTreeMap<IpAddr, _>| ips.range(span.clone()).next().is_some();
        self.of.iter().filter(move |(_, ips)| has_some(ips)).map(|(owner, _)| *owner)
    }

    /// All of the addresses.
    pub(crate) fn addresses(&self) -> BTreeSet<IpAddr> {
        self.of.values().flat_map(BTreeMap::keys).copied().collect()
    }

    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        self.owner(ip).is_some()
    }
}

/// Of several owners of one kind the first one is named.
impl<N: Into<Arc<str>>> FromIterator<(IpAddr, Owner, N)> for Reserved {
    fn from_iter<I: IntoIterator<Item = (IpAddr, Owner, N)>>(entries: I) -> Self {
        let mut reserved = Self::default();
        for (ip, owner, name) in entries {
            reserved.of.entry(owner).or_default().entry(ip).or_insert_with(|| name.into());
        }
        reserved
    }
}
