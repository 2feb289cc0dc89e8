//! What is said about an announced prefix, beside what the session itself decides (origin, path,
//! next hop, MED).

use std::fmt;

/// A community (RFC 1997).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Community(pub u32);

impl Community {
    /// Asks receivers to prefer any other path (RFC 8326).
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xFFFF_0000);

    /// `high:low`, as communities are written.
    pub const fn new(high: u16, low: u16) -> Self {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Self(u32::from_be_bytes([a, b, c, d]))
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0 >> 16, self.0 & 0xFFFF)
    }
}

/// A large community (RFC 8092).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LargeCommunity {
    /// Global Administrator, by convention an AS number.
    pub global: u32,
    /// Local Data Part 1.
    pub local_1: u32,
    /// Local Data Part 2.
    pub local_2: u32,
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.global, self.local_1, self.local_2)
    }
}

/// The attributes of an announced prefix. Equal content is equal, however it was given.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PathAttributes {
    local_pref: Option<u32>,
    communities: Box<[Community]>,
    large_communities: Box<[LargeCommunity]>,
}

/// More communities than fit in a message beside a prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "communities take {octets} octets of a message, at most {} fit",
    PathAttributes::MAX_OCTETS
)]
pub struct TooManyCommunities {
    /// What they would take.
    pub octets: usize,
}

impl PathAttributes {
    /// LOCAL_PREF towards internal peers unless set.
    pub const DEFAULT_LOCAL_PREF: u32 = 100;

    /// What all communities of a prefix may take together: 900 communities or 300 large ones. The
    /// rest of 4,096 octets holds everything else there can be, with a prefix and room to spare.
    pub const MAX_OCTETS: usize = 3600;

    /// Attributes in canonical form: communities sorted, each once (RFC 8092 5).
    pub fn new(
        local_pref: Option<u32>,
        communities: impl IntoIterator<Item = Community>,
        large_communities: impl IntoIterator<Item = LargeCommunity>,
    ) -> Result<Self, TooManyCommunities> {
        let (communities, large_communities) =
            (canonical(communities), canonical(large_communities));
        let octets = communities.len() * 4 + large_communities.len() * 12;
        if octets > Self::MAX_OCTETS {
            return Err(TooManyCommunities { octets });
        }
        Ok(Self { local_pref, communities, large_communities })
    }

    /// LOCAL_PREF, if configured.
    pub const fn local_pref(&self) -> Option<u32> {
        self.local_pref
    }

    /// Communities, ascending.
    pub fn communities(&self) -> &[Community] {
        &self.communities
    }

    /// Large communities, ascending.
    pub fn large_communities(&self) -> &[LargeCommunity] {
        &self.large_communities
    }
}

fn canonical<T: Ord>(items: impl IntoIterator<Item = T>) -> Box<[T]> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort_unstable();
    items.dedup();
    items.into()
}
