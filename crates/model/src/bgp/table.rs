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
    routes: BTreeMap<ServiceKey, Box<[Route]>>,
    /// The different wishes for each prefix: few, and mostly one.
    prefixes: BTreeMap<IpNet, Vec<Wish>>,
    /// Who is behind each prefix.
    services: BTreeSet<(IpNet, ServiceKey)>,
}

/// What is wanted of one prefix.
#[derive(Clone, Debug)]
struct Wish {
    peers: PeerScope,
    attributes: Attributes,
    /// How many Services want it.
    count: usize,
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
            self.services.remove(&(*prefix, service.clone()));
        }
        self.services.extend(prefixes(&routes).into_iter().map(|prefix| (prefix, service.clone())));
        if !routes.is_empty() {
            self.routes.insert(service.clone(), routes.into());
        }
        changed
    }

    /// What `peer` is told about `prefix`; none if nothing.
    pub fn told(&self, prefix: &IpNet, peer: &PeerName) -> Option<Attributes> {
        let mut told: Option<Attributes> = None;
        let wishes = self.prefixes.get(prefix).into_iter().flatten();
        for wish in wishes.filter(|wish| wish.peers.includes(peer)) {
            told.get_or_insert_default().absorb(&wish.attributes);
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
            .flatten()
            .map(|wish| &wish.peers)
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
        let behind = self.services.range((*prefix, ServiceKey::default())..);
        behind.take_while(move |(of, _)| of == prefix).map(|(_, service)| service)
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
        let wishes = self.prefixes.entry(route.prefix).or_default();
        if let Some(wish) = wishes.iter_mut().find(|wish| wish.is_of(route)) {
            wish.count += 1;
            return false;
        }
        let (peers, attributes) = (route.peers.clone(), route.attributes.clone());
        wishes.reserve_exact(1);
        wishes.push(Wish { peers, attributes, count: 1 });
        true
    }

    /// Takes back a wish; whether nobody has it any more.
    fn forget(&mut self, route: &Route) -> bool {
        let Some(wishes) = self.prefixes.get_mut(&route.prefix) else { return false };
        let Some(place) = wishes.iter().position(|wish| wish.is_of(route)) else { return false };
        wishes[place].count -= 1;
        let gone = wishes[place].count == 0;
        if gone {
            wishes.swap_remove(place);
        }
        if wishes.is_empty() {
            self.prefixes.remove(&route.prefix);
        }
        gone
    }
}

impl Wish {
    fn is_of(&self, route: &Route) -> bool {
        (&self.peers, &self.attributes) == (&route.peers, &route.attributes)
    }
}

fn prefixes(routes: &[Route]) -> BTreeSet<IpNet> {
    routes.iter().map(|route| route.prefix).collect()
}
