//! What all Services together want to be told, by prefix.
//!
//! ```text
//!  Service ──set──► routes ──┐                        ┌─► told(prefix, peer): Attributes
//!                            ├─► by prefix: Services ─┤
//!  prefixes that changed ◄───┘                        └─► peers_of(Service): whom it reaches
//! ```
//!
//! A prefix stays as long as one Service is behind it. The work of one change depends on the routes
//! of that Service, not on the size of the table.

use std::collections::{BTreeMap, BTreeSet};

use ferrolb_ipam::ServiceKey;
use ipnet::IpNet;

use super::{Attributes, PeerName, PeerScope, Route};

/// The routes of every Service that is announced.
#[derive(Clone, Debug, Default)]
pub struct Table {
    routes: BTreeMap<ServiceKey, Vec<Route>>,
    prefixes: BTreeMap<IpNet, Wanted>,
}

/// What is wanted of one prefix, and by whom.
#[derive(Clone, Debug, Default)]
struct Wanted {
    /// Different wishes, and how many Services have each.
    wishes: BTreeMap<(PeerScope, Attributes), usize>,
    services: BTreeSet<ServiceKey>,
}

impl Table {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the routes of `service`; none withdraws it. Returns the prefixes of which somebody
    /// may be told something else now.
    pub fn set(&mut self, service: &ServiceKey, mut routes: Vec<Route>) -> BTreeSet<IpNet> {
        routes.sort_unstable();
        routes.dedup();
        let old = self.routes.remove(service).unwrap_or_default();
        let mut changed = BTreeSet::new();
        for route in old.iter().filter(|route| routes.binary_search(route).is_err()) {
            changed.extend(self.forget(route).then_some(route.prefix));
        }
        for route in routes.iter().filter(|route| old.binary_search(route).is_err()) {
            changed.extend(self.wish(route).then_some(route.prefix));
        }
        for prefix in prefixes(&old).difference(&prefixes(&routes)) {
            if let Some(wanted) = self.prefixes.get_mut(prefix) {
                wanted.services.remove(service);
                if wanted.services.is_empty() {
                    self.prefixes.remove(prefix);
                }
            }
        }
        for prefix in prefixes(&routes) {
            self.prefixes.entry(prefix).or_default().services.insert(service.clone());
        }
        if !routes.is_empty() {
            self.routes.insert(service.clone(), routes);
        }
        changed
    }

    /// What `peer` is told about `prefix`; none if nothing.
    pub fn told(&self, prefix: &IpNet, peer: &PeerName) -> Option<Attributes> {
        let mut told: Option<Attributes> = None;
        let wishes = self.prefixes.get(prefix).into_iter().flat_map(|wanted| wanted.wishes.keys());
        for (_, attributes) in wishes.filter(|(peers, _)| peers.includes(peer)) {
            told.get_or_insert_default().absorb(attributes);
        }
        told
    }

    /// All that `peer` is told, by prefix.
    pub fn all_told<'a>(
        &'a self,
        peer: &'a PeerName,
    ) -> impl Iterator<Item = (IpNet, Attributes)> + 'a {
        self.prefixes.keys().filter_map(|prefix| Some((*prefix, self.told(prefix, peer)?)))
    }

    /// Those of `peers` that are told a prefix of `service`, be it for another Service's sake.
    pub fn peers_of<'a>(
        &self,
        service: &ServiceKey,
        peers: impl IntoIterator<Item = &'a PeerName>,
    ) -> BTreeSet<&'a PeerName> {
        let prefixes = self.prefixes_of(service);
        let scopes: BTreeSet<&PeerScope> = prefixes
            .iter()
            .filter_map(|prefix| self.prefixes.get(prefix))
            .flat_map(|wanted| wanted.wishes.keys())
            .map(|(peers, _)| peers)
            .collect();
        let is_told = |peer: &&PeerName| scopes.iter().any(|scope| scope.includes(peer));
        peers.into_iter().filter(is_told).collect()
    }

    /// The prefixes of `service`.
    pub fn prefixes_of(&self, service: &ServiceKey) -> BTreeSet<IpNet> {
        self.routes.get(service).map(|routes| prefixes(routes)).unwrap_or_default()
    }

    /// The Services behind `prefix`: those to report on when it changes.
    pub fn services_of(&self, prefix: &IpNet) -> impl Iterator<Item = &ServiceKey> {
        self.prefixes.get(prefix).into_iter().flat_map(|wanted| &wanted.services)
    }

    /// Number of different prefixes.
    pub fn len(&self) -> usize {
        self.prefixes.len()
    }

    /// Whether nothing is announced.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// Counts a wish; whether it is a new one.
    fn wish(&mut self, route: &Route) -> bool {
        let wishes = &mut self.prefixes.entry(route.prefix).or_default().wishes;
        let count = wishes.entry((route.peers.clone(), route.attributes.clone())).or_default();
        *count += 1;
        *count == 1
    }

    /// Takes back a wish; whether nobody has it any more.
    fn forget(&mut self, route: &Route) -> bool {
        let Some(wanted) = self.prefixes.get_mut(&route.prefix) else { return false };
        let wish = (route.peers.clone(), route.attributes.clone());
        let Some(count) = wanted.wishes.get_mut(&wish) else { return false };
        *count -= 1;
        let gone = *count == 0;
        if gone {
            wanted.wishes.remove(&wish);
        }
        gone
    }
}

fn prefixes(routes: &[Route]) -> BTreeSet<IpNet> {
    routes.iter().map(|route| route.prefix).collect()
}
