//! Which address families a Service has, and whether its addresses still fit it
//! (`controller.md` 2.4).

use std::net::IpAddr;

use ferrolb_addr::Family;
use ferrolb_ipam::{DualPolicy, Families};

use crate::rows::{IpFamilyPolicy, Service};

/// The families of one or two addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stack {
    /// One address.
    Single(Family),
    /// One address of each family.
    Dual,
}

impl Stack {
    /// The families of addresses as text. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn of_texts(texts: &[impl AsRef<str>]) -> Result<Self, FamilyError> {
        let parse = |text: &str| {
            text.parse().map_err(|_| FamilyError::Unparsable { value: text.to_owned() })
        };
        let addresses: Vec<IpAddr> =
            texts.iter().map(|text| parse(text.as_ref())).collect::<Result<_, _>>()?;
        Self::of_addresses(&addresses)
    }

    /// The families of parsed addresses.
    pub fn of_addresses(addresses: &[IpAddr]) -> Result<Self, FamilyError> {
        let family = |address: &IpAddr| Family::of(address.to_canonical());
        match addresses {
            [] => Err(FamilyError::None),
            [one] => Ok(Self::Single(family(one))),
            [first, second] if family(first) == family(second) => Err(FamilyError::SameFamily {
                first: *first,
                second: *second,
                family: family(first),
            }),
            [_, _] => Ok(Self::Dual),
            more => Err(FamilyError::TooMany { count: more.len() }),
        }
    }

    /// The families the cluster gave to `service`, told by its cluster IPs.
    pub fn of_service(service: &Service) -> Result<Self, FamilyError> {
        Self::of_texts(&service.cluster_ips)
    }

    /// What to ask the allocator for on behalf of a Service with this stack of cluster IPs.
    pub fn families(self, policy: IpFamilyPolicy, primary: Family) -> Families {
        let policy = match policy {
            IpFamilyPolicy::SingleStack => DualPolicy::Single,
            IpFamilyPolicy::PreferDualStack => DualPolicy::Prefer,
            IpFamilyPolicy::RequireDualStack => DualPolicy::Require,
        };
        match self {
            Self::Single(family) => Families::Single(family),
            Self::Dual => Families::Dual { policy, primary },
        }
    }

    /// Whether load balancer addresses of this stack no longer fit a Service whose cluster IPs
    /// have stack `cluster`. One address is enough for a dual-stack Service that only prefers two.
    pub fn is_outdated(self, cluster: Self, policy: IpFamilyPolicy) -> bool {
        let one_is_enough = matches!((self, cluster), (Self::Single(_), Self::Dual))
            && policy == IpFamilyPolicy::PreferDualStack;
        self != cluster && !one_is_enough
    }
}

impl std::fmt::Display for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Single(family) => family.fmt(f),
            Self::Dual => f.write_str("dual-stack"),
        }
    }
}

/// Why a list of addresses has no stack.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FamilyError {
    /// There is none.
    #[error("there is no address")]
    None,
    /// One of them is no address.
    #[error("{value:?} is not an IP address")]
    Unparsable {
        /// The text.
        value: String,
    },
    /// Two of one family.
    #[error("{first} and {second} are both {family}: two addresses must be of different families")]
    SameFamily {
        /// The first address.
        first: IpAddr,
        /// The second address.
        second: IpAddr,
        /// The family of both.
        family: Family,
    },
    /// More than two.
    #[error("{count} addresses are given, at most one per family is possible")]
    TooMany {
        /// How many.
        count: usize,
    },
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const V4: Stack = Stack::Single(Family::V4);
    const V6: Stack = Stack::Single(Family::V6);

    #[rstest]
    #[case::f_01_ipv4(&["1.1.1.1"], Some(V4))]
    #[case::f_02_ipv6(&["100::1"], Some(V6))]
    #[case::f_03_no_address(&["!.1.1.1"], None)]
    #[case::f_04_one_of_each(&["1.2.3.4", "100::1"], Some(Stack::Dual))]
    #[case::f_04_other_order(&["100::1", "1.2.3.4"], Some(Stack::Dual))]
    #[case::f_05_two_of_one_family(&["1.2.3.4", "5.6.7.8"], None)]
    #[case::f_06_empty_texts(&["", ""], None)]
    #[case::f_07_one_is_no_address(&["!.1.1.1", "100::1"], None)]
    #[case::f_08_three(&["1.2.3.4", "100::1", "100::2"], None)]
    #[case::f_13_nothing_parsable(&["None"], None)]
    #[case::none(&[], None)]
    #[case::mapped_is_ipv4(&["::ffff:1.2.3.4"], Some(V4))]
    #[case::mapped_beside_ipv4(&["::ffff:1.2.3.4", "1.2.3.5"], None)]
    fn of_texts(#[case] texts: &[&str], #[case] expected: Option<Stack>) {
        assert_eq!(Stack::of_texts(texts).ok(), expected);
    }

    #[rstest]
    #[case::f_09_ipv4(&["1.2.4.0"], Some(V4))]
    #[case::f_10_ipv6(&["100::1"], Some(V6))]
    #[case::f_11_one_of_each(&["1.2.3.4", "100::1"], Some(Stack::Dual))]
    #[case::f_12_two_of_one_family(&["1.2.3.4", "5.6.7.8"], None)]
    #[case::f_14_three(&["1.2.3.4", "5.6.7.8", "100::1"], None)]
    fn of_addresses(#[case] addresses: &[&str], #[case] expected: Option<Stack>) {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(Stack::of_addresses(&addresses).ok(), expected);
    }

    #[rstest]
    #[case(&["1.2.3.4", "nope"], "\"nope\" is not an IP address")]
    #[case(
        &["1.2.3.4", "5.6.7.8"],
        "1.2.3.4 and 5.6.7.8 are both IPv4: two addresses must be of different families"
    )]
    fn errors_name_the_value(#[case] texts: &[&str], #[case] expected: &str) {
        assert_eq!(Stack::of_texts(texts).unwrap_err().to_string(), expected);
    }

    #[rstest]
    #[case::equal_v4(V4, V4, IpFamilyPolicy::SingleStack, false)]
    #[case::equal_dual(Stack::Dual, Stack::Dual, IpFamilyPolicy::RequireDualStack, false)]
    #[case::one_preferred(V4, Stack::Dual, IpFamilyPolicy::PreferDualStack, false)]
    #[case::one_required(V6, Stack::Dual, IpFamilyPolicy::RequireDualStack, true)]
    #[case::one_single(V6, Stack::Dual, IpFamilyPolicy::SingleStack, true)]
    #[case::two_for_one(Stack::Dual, V4, IpFamilyPolicy::PreferDualStack, true)]
    #[case::other_family(V4, V6, IpFamilyPolicy::PreferDualStack, true)]
    #[case::other_family_back(V6, V4, IpFamilyPolicy::SingleStack, true)]
    fn family_changed(
        #[case] load_balancer: Stack,
        #[case] cluster: Stack,
        #[case] policy: IpFamilyPolicy,
        #[case] outdated: bool,
    ) {
        assert_eq!(load_balancer.is_outdated(cluster, policy), outdated);
    }
}
