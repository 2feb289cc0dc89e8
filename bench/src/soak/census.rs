//! Who shows which address, and for how long two showed the same one.
//!
//! Fed by what a watch says and by whoever deletes; looks at no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Namespace and name of a Service.
pub(super) type Name = (String, String);

/// Everything that is known of the Services of a soak.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// What each Service that exists shows.
    shown: BTreeMap<Name, BTreeSet<IpAddr>>,
    holders: BTreeMap<IpAddr, BTreeSet<Name>>,
    /// Addresses that two show now.
    open: BTreeMap<IpAddr, Duplicate>,
    closed: Vec<Duplicate>,
    /// Services that were made to show another's address on purpose.
    forged: BTreeSet<Name>,
    /// How many Services of a namespace were given an address so far.
    given: BTreeMap<String, usize>,
}

/// One address that was shown by several Services.
#[derive(Clone, Debug)]
pub(super) struct Duplicate {
    pub(super) address: IpAddr,
    pub(super) holders: BTreeSet<Name>,
    pub(super) forged: bool,
    since: Instant,
    pub(super) length: Duration,
}

impl Census {
    /// A Service is about to be made.
    pub(super) fn expect(&mut self, name: Name) {
        self.shown.insert(name, BTreeSet::new());
    }

    /// A Service is about to be deleted; what is heard of it from now on is old.
    pub(super) fn forget(&mut self, name: &Name, at: Instant) {
        for address in self.shown.remove(name).unwrap_or_default() {
            self.leaves(name, address, at);
        }
    }

    /// A Service is about to be made to show another's address.
    pub(super) fn forge(&mut self, name: Name) {
        self.forged.insert(name);
    }

    /// A Service shows these addresses.
    pub(super) fn see(&mut self, name: &Name, addresses: &BTreeSet<IpAddr>, at: Instant) {
        let Some(shown) = self.shown.get_mut(name) else { return };
        let before = std::mem::replace(shown, addresses.clone());
        if before.is_empty() && !addresses.is_empty() {
            *self.given.entry(name.0.clone()).or_default() += 1;
        }
        for address in before.difference(addresses) {
            self.leaves(name, *address, at);
        }
        for address in addresses.difference(&before) {
            let holders = self.holders.entry(*address).or_default();
            holders.insert(name.clone());
            if holders.len() > 1 {
                let forged = holders.iter().any(|holder| self.forged.contains(holder));
                let length = Duration::ZERO;
                let duplicate = self.open.entry(*address).or_insert_with(|| Duplicate {
                    address: *address,
                    holders: BTreeSet::new(),
                    forged,
                    since: at,
                    length,
                });
                duplicate.holders.extend(holders.iter().cloned());
            }
        }
    }

    /// How many Services of a namespace were given an address so far.
    pub(super) fn given(&self, namespace: &str) -> usize {
        self.given.get(namespace).copied().unwrap_or_default()
    }

    /// How many were, in all namespaces.
    pub(super) fn all_given(&self) -> usize {
        self.given.values().sum()
    }

    /// The Services of a namespace that show an address nobody else shows.
    pub(super) fn sole_holders(&self, namespace: &str) -> Vec<(Name, IpAddr)> {
        let holders = self.holders.iter().filter_map(|(address, holders)| {
            let only = holders.first().filter(|_| holders.len() == 1)?;
            (only.0 == namespace).then(|| (only.clone(), *address))
        });
        holders.collect()
    }

    /// Whether two show the address now.
    pub(super) fn is_duplicate(&self, address: IpAddr) -> bool {
        self.open.contains_key(&address)
    }

    /// All duplicates there were; those there are have the age they have `now`.
    pub(super) fn duplicates(&self, now: Instant) -> Vec<Duplicate> {
        let open = self.open.values().map(|open| Duplicate {
            length: now.saturating_duration_since(open.since),
            ..open.clone()
        });
        self.closed.iter().cloned().chain(open).collect()
    }

    fn leaves(&mut self, name: &Name, address: IpAddr, at: Instant) {
        let Some(holders) = self.holders.get_mut(&address) else { return };
        holders.remove(name);
        if holders.len() <= 1
            && let Some(mut duplicate) = self.open.remove(&address)
        {
            duplicate.length = at.saturating_duration_since(duplicate.since);
            self.closed.push(duplicate);
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn name(text: &str) -> Name {
        ("shop".to_owned(), text.to_owned())
    }

    fn mk_census(names: &[&str]) -> Census {
        let mut census = Census::default();
        for text in names {
            census.expect(name(text));
        }
        census
    }

    fn address(number: u8) -> BTreeSet<IpAddr> {
        BTreeSet::from([IpAddr::from([192, 0, 2, number])])
    }

    #[rstest]
    #[case::withdrawn(false)]
    #[case::deleted(true)]
    fn a_duplicate_lasts_until_one_is_left(#[case] deleted: bool) {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut census = mk_census(&["a", "b"]);
        census.see(&name("a"), &address(1), after(0));
        census.see(&name("b"), &address(1), after(1));
        census.see(&name("a"), &address(1), after(2));
        assert!(census.is_duplicate([192, 0, 2, 1].into()));
        assert_eq!(census.duplicates(after(3))[0].length, Duration::from_secs(2));
        if deleted {
            census.forget(&name("b"), after(5));
            census.see(&name("b"), &address(1), after(6));
        } else {
            census.see(&name("b"), &address(2), after(5));
        }
        let all = census.duplicates(after(9));
        assert_eq!((all.len(), all[0].length), (1, Duration::from_secs(4)));
        assert_eq!(all[0].holders, BTreeSet::from([name("a"), name("b")]));
        assert!(!all[0].forged);
    }

    #[test]
    fn an_address_that_goes_from_one_to_the_next_is_no_duplicate() {
        let now = Instant::now();
        let mut census = mk_census(&["a", "b"]);
        census.see(&name("a"), &address(1), now);
        census.see(&name("a"), &address(2), now);
        census.see(&name("b"), &address(1), now);
        assert!(census.duplicates(now).is_empty());
        assert_eq!(census.sole_holders("shop").len(), 2);
        assert_eq!((census.given("shop"), census.all_given()), (2, 2));
    }

    #[test]
    fn what_was_forged_is_told_apart() {
        let now = Instant::now();
        let mut census = mk_census(&["a", "b"]);
        census.see(&name("a"), &address(1), now);
        census.forge(name("b"));
        census.see(&name("b"), &address(1), now);
        assert!(census.duplicates(now)[0].forged);
    }
}
