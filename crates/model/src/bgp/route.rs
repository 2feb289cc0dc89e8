//! A prefix with its attributes, and how several of one prefix become one (`bgp.md` 1.4, 1.5).

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::{Community, PeerName, PeerScope};

/// What one advertisement makes of one address.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Route {
    /// The address, or the network around it. Host bits are zero.
    pub prefix: IpNet,
    /// Who is told.
    pub peers: PeerScope,
    /// What is told beside the prefix.
    pub attributes: Attributes,
}

/// What a route carries beside its prefix and what every route of a session carries.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Attributes {
    /// `LOCAL_PREF` for internal peers; none is the default of the engine.
    pub local_pref: Option<u32>,
    /// Communities, each once.
    pub communities: BTreeSet<Community>,
}

impl Attributes {
    /// Takes over another route of the same prefix: communities add up, the higher preference
    /// counts. The order of merging makes no difference.
    pub fn absorb(&mut self, other: &Self) {
        self.local_pref = self.local_pref.max(other.local_pref);
        self.communities.extend(&other.communities);
    }
}

/// What `peer` is told of `routes`.
pub fn merge<'a>(
    routes: impl IntoIterator<Item = &'a Route>,
    peer: &PeerName,
) -> BTreeMap<IpNet, Attributes> {
    let mut merged: BTreeMap<IpNet, Attributes> = BTreeMap::new();
    for route in routes.into_iter().filter(|route| route.peers.includes(peer)) {
        merged.entry(route.prefix).or_default().absorb(&route.attributes);
    }
    merged
}
