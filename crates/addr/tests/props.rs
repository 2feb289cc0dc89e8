//! Properties: round trips, and interval sets against plain sets.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ferrolb_addr::{AddrRange, Family, IntervalSet, Mac, from_bits, to_bits};
use ipnet::IpNet;
use proptest::prelude::*;

fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

/// Addresses of one family, near each other and near the ends more often than not.
fn bits(family: Family) -> impl Strategy<Value = u128> {
    let max = family.max_bits();
    prop_oneof![0..=max, 0..=600_u128, max - 600..=max]
}

fn range() -> impl Strategy<Value = AddrRange> {
    family().prop_flat_map(|family| {
        (bits(family), bits(family)).prop_filter_map("ascending", move |(a, b)| {
            AddrRange::new(from_bits(family, a.min(b)), from_bits(family, a.max(b)))
        })
    })
}

/// Points at both ends of the number line, so that runs meet zero and the maximum.
fn point() -> impl Strategy<Value = u128> {
    prop_oneof![0..40_u128, u128::MAX - 39..=u128::MAX]
}

#[derive(Clone, Debug)]
enum Change {
    Insert(u128),
    InsertRange(u128, u128),
    Remove(u128),
    RemoveRange(u128, u128),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        point().prop_map(Change::Insert),
        (point(), 0..12_u128).prop_map(|(a, n)| Change::InsertRange(a, a.saturating_add(n))),
        point().prop_map(Change::Remove),
        (point(), 0..12_u128).prop_map(|(a, n)| Change::RemoveRange(a, a.saturating_add(n))),
    ]
}

proptest! {
    #[test]
    fn bits_round_trip(family in family(), raw in any::<u128>()) {
        let bits = raw & family.max_bits();
        let address = from_bits(family, bits);
        prop_assert_eq!(Family::of(address), family);
        prop_assert_eq!(to_bits(address), bits);
    }

    #[test]
    fn macs_round_trip(octets in any::<[u8; 6]>()) {
        let mac = Mac(octets);
        prop_assert_eq!(mac.to_string().parse::<Mac>().unwrap(), mac);
    }

    /// IPv4-mapped addresses have no range of their own: their texts mean IPv4.
    #[test]
    fn printed_ranges_parse_back(range in range()) {
        let mapped = |ip: IpAddr| ip.to_canonical() != ip;
        prop_assume!(!mapped(range.first()) && !mapped(range.last()));
        prop_assert_eq!(range.to_string().parse::<AddrRange>().unwrap(), range);
    }

    #[test]
    fn parsing_never_panics(text in "[0-9a-f:./% -]{0,24}") {
        if let Ok(range) = text.parse::<AddrRange>() {
            prop_assert!(range.first() <= range.last());
        }
    }

    #[test]
    fn prefixes_cover_exactly_the_range(range in range()) {
        let prefixes: Vec<IpNet> = range.prefixes().collect();
        let mut next = Some(to_bits(range.first()));
        for prefix in &prefixes {
            prop_assert_eq!(Some(to_bits(prefix.network())), next, "ascending, without holes");
            prop_assert_eq!(prefix.addr(), prefix.network());
            next = to_bits(prefix.broadcast()).checked_add(1);
        }
        prop_assert_eq!(prefixes.last().unwrap().broadcast(), range.last());
        // The fewest: no prefix merges with its neighbour, which ipnet's own algorithm confirms.
        prop_assert_eq!(IpNet::aggregate(&prefixes), prefixes);
    }

    #[test]
    fn interval_sets_are_sets(changes in prop::collection::vec(change(), 0..60)) {
        let (mut set, mut naive) = (IntervalSet::new(), BTreeSet::new());
        for change in changes {
            match change {
                Change::Insert(p) => prop_assert_eq!(set.insert(p), naive.insert(p)),
                Change::Remove(p) => prop_assert_eq!(set.remove(p), naive.remove(&p)),
                Change::InsertRange(a, b) => {
                    set.insert_range(a, b);
                    naive.extend(a..=b);
                }
                Change::RemoveRange(a, b) => {
                    set.remove_range(a, b);
                    naive.retain(|p| !(a..=b).contains(p));
                }
            }
            let points: Vec<u128> = set.iter().flat_map(|(a, b)| a..=b).collect();
            prop_assert_eq!(&points, &naive.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(set.len(), naive.len() as u128);
            prop_assert_eq!(set.is_empty(), naive.is_empty());
            let touching = set.iter().zip(set.iter().skip(1)).any(|((_, b), (c, _))| b + 1 >= c);
            prop_assert!(!touching, "{:?}", set);
        }
    }

    #[test]
    fn next_gap_is_the_lowest_point_that_is_missing(
        points in prop::collection::btree_set(point(), 0..60),
        from in point(),
        length in 0..50_u128,
    ) {
        let set: IntervalSet = points.iter().copied().collect();
        let to = from.saturating_add(length);
        let naive = (from..=to).find(|p| !points.contains(p));
        prop_assert_eq!(set.next_gap(from, to), naive);
    }
}

#[test]
fn the_full_set_has_no_gap() {
    let mut set = IntervalSet::new();
    set.insert_range(0, u128::MAX);
    assert_eq!(set.next_gap(0, u128::MAX), None);
    assert_eq!(set.len(), u128::MAX);
    assert!(set.remove(7));
    assert_eq!(set.next_gap(0, u128::MAX), Some(7));
    assert_eq!(set.iter().collect::<Vec<_>>(), [(0, 6), (8, u128::MAX)]);
}
