//! Annotations on Services, and how the two prefixes go together.
//!
//! A key is written `metallb.io/…`; the deprecated `metallb.universe.tf/…` is still read. The
//! stable key wins by being there: even an empty value hides the deprecated one.

use std::collections::BTreeMap;

/// Prefix of all keys.
pub const PREFIX: &str = "metallb.io/";

/// Prefix of the deprecated keys, which are read and never written.
pub const DEPRECATED_PREFIX: &str = "metallb.universe.tf/";

/// Every annotation that is read from a Service.
pub const READ: [Annotation; 3] =
    [Annotation::ADDRESS_POOL, Annotation::LOAD_BALANCER_IPS, Annotation::ALLOW_SHARED_IP];

/// Written on a Service: the pool its addresses came from. Has no deprecated twin.
pub const ALLOCATED_FROM_POOL: &str = "metallb.io/ip-allocated-from-pool";

/// An annotation known under both prefixes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Annotation {
    /// The key to write.
    pub key: &'static str,
    /// The key that older manifests have.
    pub deprecated_key: &'static str,
}

impl Annotation {
    /// Names the pool to take the address from.
    pub const ADDRESS_POOL: Self =
        Self { key: "metallb.io/address-pool", deprecated_key: "metallb.universe.tf/address-pool" };

    /// Lists the wanted addresses, separated by commas.
    pub const LOAD_BALANCER_IPS: Self = Self {
        key: "metallb.io/loadBalancerIPs",
        deprecated_key: "metallb.universe.tf/loadBalancerIPs",
    };

    /// Key under which Services agree to share an address.
    pub const ALLOW_SHARED_IP: Self = Self {
        key: "metallb.io/allow-shared-ip",
        deprecated_key: "metallb.universe.tf/allow-shared-ip",
    };

    /// The value under the stable key if that is present, else under the deprecated key.
    pub fn read(self, annotations: &BTreeMap<String, String>) -> Option<&str> {
        annotations
            .get(self.key)
            .or_else(|| annotations.get(self.deprecated_key))
            .map(String::as_str)
    }
}

/// The deprecated keys among `annotations`, known to us or not, in order.
pub fn deprecated(annotations: &BTreeMap<String, String>) -> impl Iterator<Item = &str> {
    annotations.keys().map(String::as_str).filter(|key| key.starts_with(DEPRECATED_PREFIX))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn mk_annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[rstest]
    #[case::absent(&[], None)]
    #[case::stable(&[("metallb.io/address-pool", "a")], Some("a"))]
    #[case::deprecated(&[("metallb.universe.tf/address-pool", "b")], Some("b"))]
    #[case::stable_wins(&[("metallb.io/address-pool", "a"), ("metallb.universe.tf/address-pool", "b")], Some("a"))]
    #[case::empty_stable_hides(&[("metallb.io/address-pool", ""), ("metallb.universe.tf/address-pool", "b")], Some(""))]
    fn a_key_is_looked_up_by_presence(#[case] pairs: &[(&str, &str)], #[case] value: Option<&str>) {
        assert_eq!(Annotation::ADDRESS_POOL.read(&mk_annotations(pairs)), value);
    }

    #[test]
    fn keys_differ_in_their_prefix_only() {
        for annotation in READ {
            let name = annotation.key.strip_prefix(PREFIX).unwrap();
            assert_eq!(annotation.deprecated_key.strip_prefix(DEPRECATED_PREFIX), Some(name));
        }
    }

    #[test]
    fn deprecated_keys_are_found_known_or_not() {
        let annotations = mk_annotations(&[
            ("metallb.io/address-pool", ""),
            ("metallb.universe.tf/address-pool", ""),
            ("metallb.universe.tf/other", ""),
            ("example.org/metallb.universe.tf", ""),
        ]);
        let found: Vec<_> = deprecated(&annotations).collect();
        assert_eq!(found, ["metallb.universe.tf/address-pool", "metallb.universe.tf/other"]);
    }
}
