//! What a node is called on the wire, and whom it watches.

use std::fmt;

use ring::digest;

/// First eight bytes of SHA-256 of a node's name. Two names of one cluster that collide (chance
/// 2⁻⁶⁴ a pair) cannot both be watched; the first in name order is.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeHash(pub(crate) u64);

impl NodeHash {
    /// The hash of `name`.
    pub fn of(name: &str) -> Self {
        let whole = digest::digest(&digest::SHA256, name.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&whole.as_ref()[..8]);
        Self(u64::from_be_bytes(first))
    }
}

impl fmt::Debug for NodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Whom `me` watches and beats to: everybody, whatever their number. A ring above eight nodes needs
/// the bits of the unwatched carried on by others first, so it would be this function and that.
pub fn watched(
    me: NodeHash,
    members: impl IntoIterator<Item = NodeHash>,
) -> impl Iterator<Item = NodeHash> {
    members.into_iter().filter(move |member| *member != me)
}

#[cfg(test)]
mod tests {
    use super::{NodeHash, watched};

    #[test]
    fn a_hash_is_the_first_eight_bytes_of_sha_256() {
        // FIPS 180-4 example: SHA-256("abc").
        assert_eq!(NodeHash::of("abc"), NodeHash(0xba78_16bf_8f01_cfea));
    }

    #[test]
    fn everybody_but_oneself_is_watched() {
        let members = ["a", "b", "c"].map(NodeHash::of);
        let found: Vec<_> = watched(members[1], members).collect();
        assert_eq!(found, [members[0], members[2]]);
    }
}
