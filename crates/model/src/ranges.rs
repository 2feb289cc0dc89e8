//! Which pool holds an address: disjoint ranges sorted by their first address, so that a look-up
//! is one search and not a walk over pools.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ferrolb_addr::AddrRange;
use ferrolb_ipam::PoolName;

/// A range and the pool it belongs to.
pub(crate) type Row<'a> = (AddrRange, &'a PoolName);

/// Disjoint ranges and the pools they belong to.
#[derive(Clone, Debug, Default)]
pub(crate) struct RangeTable {
    by_first: BTreeMap<IpAddr, (AddrRange, PoolName)>,
}

impl RangeTable {
    /// Enters `range`. The caller has made sure that it overlaps nothing.
    pub(crate) fn insert(&mut self, range: AddrRange, pool: &PoolName) {
        self.by_first.insert(range.first(), (range, pool.clone()));
    }

    /// Takes out a range that was entered exactly so.
    pub(crate) fn remove(&mut self, range: &AddrRange) {
        self.by_first.remove(&range.first());
    }

    /// A range in the table that shares an address with `range`, the highest if there are several.
    pub(crate) fn overlap(&self, range: &AddrRange) -> Option<Row<'_>> {
        let (_, (below, pool)) = self.by_first.range(..=range.last()).next_back()?;
        below.overlaps(range).then_some((*below, pool))
    }

    /// The pool that holds `address`.
    pub(crate) fn pool_at(&self, address: IpAddr) -> Option<&PoolName> {
        let (_, (below, pool)) = self.by_first.range(..=address).next_back()?;
        below.contains(address).then_some(pool)
    }

    /// The one pool that holds all of `addresses`; none for no address.
    pub(crate) fn pool_of(&self, addresses: &[IpAddr]) -> Option<&PoolName> {
        let (first, rest) = addresses.split_first()?;
        let pool = self.pool_at(*first)?;
        rest.iter().all(|address| self.pool_at(*address) == Some(pool)).then_some(pool)
    }

    /// Rows that are in one of the tables only.
    pub(crate) fn difference<'a>(&'a self, other: &'a Self) -> BTreeSet<Row<'a>> {
        let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) =
            (self.rows().collect(), other.rows().collect());
        ours.symmetric_difference(&theirs).copied().collect()
    }

    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.by_first.values().map(|(range, pool)| (*range, pool))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn mk_table() -> RangeTable {
        let mut table = RangeTable::default();
        for (range, pool) in [
            ("10.0.0.0/24", "a"),
            ("10.0.2.10-10.0.2.20", "b"),
            ("10.0.2.21-10.0.2.21", "a"),
            ("2001:db8::/64", "a"),
        ] {
            table.insert(range.parse().unwrap(), &pool.into());
        }
        table
    }

    #[rstest]
    #[case(&["10.0.0.0"], Some("a"))]
    #[case(&["10.0.0.255"], Some("a"))]
    #[case(&["10.0.1.0"], None)]
    #[case(&["9.255.255.255"], None)]
    #[case(&["10.0.2.9"], None)]
    #[case(&["10.0.2.20"], Some("b"))]
    #[case(&["10.0.2.22"], None)]
    #[case(&["::1"], None)]
    #[case(&["2001:db8::ffff"], Some("a"))]
    #[case(&["2001:db8:0:1::"], None)]
    #[case::both_in_one(&["2001:db8::1", "10.0.2.21"], Some("a"))]
    #[case::in_two_pools(&["2001:db8::1", "10.0.2.20"], None)]
    #[case::one_outside(&["10.0.0.1", "10.0.1.1"], None)]
    #[case::no_address(&[], None)]
    fn pool_of(#[case] addresses: &[&str], #[case] expected: Option<&str>) {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(mk_table().pool_of(&addresses).map(PoolName::as_str), expected);
    }

    #[rstest]
    #[case("10.0.0.255-10.0.1.5", Some("a"))]
    #[case("9.0.0.0-10.0.0.0", Some("a"))]
    #[case("10.0.0.0/8", Some("a"))]
    #[case("10.0.2.12-10.0.2.13", Some("b"))]
    #[case("10.0.1.0/24", None)]
    #[case("0.0.0.0/5", None)]
    #[case("::/64", None)]
    fn overlap(#[case] range: &str, #[case] expected: Option<&str>) {
        let found = mk_table().overlap(&range.parse().unwrap()).map(|(_, pool)| pool.clone());
        assert_eq!(found.as_ref().map(PoolName::as_str), expected);
    }
}
