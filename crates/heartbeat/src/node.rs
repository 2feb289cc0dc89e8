//! What a node is called on the wire.

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

/// Spreads `seed` over all values. Every node must get the same from the same, so it is spelled out:
/// one step of `splitmix64` (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
pub(crate) const fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl fmt::Debug for NodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::NodeHash;

    #[test]
    fn a_hash_is_the_first_eight_bytes_of_sha_256() {
        // FIPS 180-4 example: SHA-256("abc").
        assert_eq!(NodeHash::of("abc"), NodeHash(0xba78_16bf_8f01_cfea));
    }
}
