//! Everything a speaker knows, and which Services a change of it can touch.
//!
//! ```text
//!              ┌─ rows: Services, slices, Nodes, members, configuration
//!  Change ───► │
//!              ├─ indexes: address → Service, pool → Services, owner → Services
//!              │
//!              └─► keys to decide again ──(caller's queue)──► refresh(key) ──► Revision
//! ```
//!
//! The last verdict of each Service is kept, because the owner in it tells cheaply whom a change of
//! one node concerns: what it owned, and what it would win. The rule that keeps this right: every
//! key that [`Snapshot::apply`] returns is refreshed some time later, in any order, once or more.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_ipam::{NodeName, PoolName, ServiceKey};

use crate::config::{Config, L2Advertisement};
use crate::decide::decide;
use crate::lack::{Lack, Lacks};
use crate::ranges::RangeTable;
use crate::rows::{EndpointSlice, Node, Service, SliceKey};
use crate::verdict::{EXCLUDE_LABEL, Exclusion, Verdict};

mod affected;
mod bgp_rules;
mod endpoints;
pub(crate) mod listing;

pub(crate) use bgp_rules::BgpRules;
use endpoints::Endpoints;
use listing::Listing;

/// What this process was started with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The node this process speaks for.
    pub own: NodeName,
    /// `--lb-class`.
    pub class: Option<Arc<str>>,
    /// `--ignore-exclude-lb`.
    pub ignore_exclude_lb: bool,
}

/// One new fact. Rows replace what was known under their key; none means deleted.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "taken apart at once, never kept")]
pub enum Change {
    /// A Service.
    Service(ServiceKey, Option<Service>),
    /// A slice of a Service's endpoints.
    Slice(SliceKey, Option<EndpointSlice>),
    /// A Node.
    Node(NodeName, Option<Node>),
    /// The configuration.
    Config(Arc<Config>),
    /// The members.
    Members(Members),
    /// What nodes say they lack; empty where some member cannot know of it.
    Lacks(Lacks),
}

/// Which nodes may own an address, as far as their speakers are concerned.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Members {
    /// Membership is off: every known node counts.
    #[default]
    Unknown,
    /// The nodes whose speakers are alive and eligible.
    Known(BTreeSet<NodeName>),
}

/// What a new decision made of an old one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revision {
    /// The verdict until now, if there was one.
    pub before: Option<Verdict>,
    /// The verdict from now on.
    pub after: Verdict,
}

/// The view of one speaker.
#[derive(Clone, Debug)]
pub struct Snapshot {
    settings: Settings,
    services: BTreeMap<ServiceKey, Box<Entry>>,
    /// The verdicts on Services that are gone, until that is decided about.
    departed: BTreeMap<ServiceKey, Verdict>,
    endpoints: Endpoints,
    nodes: BTreeMap<NodeName, Node>,
    members: Members,
    lacks: Lacks,
    config: Option<Arc<Config>>,
    ranges: RangeTable,
    /// The advertisements of `config`, with the nodes they list now.
    listings: Vec<Listing>,
    /// Places in `listings`.
    listings_of: BTreeMap<PoolName, Vec<usize>>,
    /// The BGP advertisements of `config` that list this node now.
    bgp_rules: BgpRules,
    services_at: BTreeSet<(IpAddr, ServiceKey)>,
    services_of: BTreeMap<Option<PoolName>, BTreeSet<ServiceKey>>,
    services_by_owner: BTreeMap<Option<NodeName>, BTreeSet<ServiceKey>>,
}

/// A Service with what is derived from its row and the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) service: Service,
    /// Addresses of the status in order, or the first entry that is none.
    pub(crate) addresses: Result<Vec<IpAddr>, String>,
    /// The pool that holds them all.
    pub(crate) pool: Option<PoolName>,
    /// The last verdict.
    verdict: Option<Verdict>,
}

impl Snapshot {
    /// Knows nothing yet; membership counts as off.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            services: BTreeMap::new(),
            departed: BTreeMap::new(),
            endpoints: Endpoints::default(),
            nodes: BTreeMap::new(),
            members: Members::Unknown,
            lacks: Lacks::new(),
            config: None,
            ranges: RangeTable::default(),
            listings: Vec::new(),
            listings_of: BTreeMap::new(),
            bgp_rules: BgpRules::default(),
            services_at: BTreeSet::new(),
            services_of: BTreeMap::new(),
            services_by_owner: BTreeMap::new(),
        }
    }

    /// Takes over one change. Returns the Services whose verdict it can alter; they are due for
    /// [`Self::refresh`].
    #[must_use = "a key that is not refreshed keeps an outdated verdict"]
    pub fn apply(&mut self, change: Change) -> BTreeSet<ServiceKey> {
        match change {
            Change::Service(key, service) => self.apply_service(key, service),
            Change::Slice(key, slice) => self.apply_slice(key, slice),
            Change::Node(name, node) => self.apply_node(&name, node),
            Change::Config(config) => self.apply_config(&config),
            Change::Members(members) => self.apply_members(members),
            Change::Lacks(lacks) => self.apply_lacks(lacks),
        }
    }

    /// Decides about `key` anew and keeps the verdict.
    pub fn refresh(&mut self, key: &ServiceKey) -> Revision {
        let after = decide(self, key);
        let entry = self.services.get_mut(key);
        let is_there = entry.is_some();
        let before = match entry {
            Some(entry) => entry.verdict.replace(after.clone()),
            None => self.departed.remove(key),
        };
        if let Some(before) = &before {
            unfile(&mut self.services_by_owner, &before.owner, key);
        }
        if is_there {
            file(&mut self.services_by_owner, after.owner.clone(), key);
        }
        Revision { before, after }
    }

    /// The verdict of the last [`Self::refresh`] of `key`.
    pub fn verdict(&self, key: &ServiceKey) -> Option<&Verdict> {
        match self.services.get(key) {
            Some(entry) => entry.verdict.as_ref(),
            None => self.departed.get(key),
        }
    }

    /// What this process was started with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The configuration, once there is one.
    pub fn config(&self) -> Option<&Arc<Config>> {
        self.config.as_ref()
    }

    /// The members.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The Service `key`.
    pub fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.services.get(key).map(|entry| &entry.service)
    }

    /// All Services, by key.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.values().map(|entry| &entry.service)
    }

    /// The slice `key`.
    pub fn slice(&self, key: &SliceKey) -> Option<&EndpointSlice> {
        self.endpoints.slice(key)
    }

    /// The slices of Service `key`, by name.
    pub fn slices(&self, key: &ServiceKey) -> impl Iterator<Item = &EndpointSlice> {
        self.endpoints.slices(key)
    }

    /// All Nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// The Node `name`.
    pub fn node(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// Whether the speaker of node `name` may own addresses, as far as members can tell.
    pub fn is_member(&self, name: &NodeName) -> bool {
        match &self.members {
            Members::Unknown => self.nodes.contains_key(name),
            Members::Known(names) => names.contains(name),
        }
    }

    /// Why `node` cannot own any address at all, if so.
    pub(crate) fn unfit(&self, node: &NodeName) -> Option<Exclusion> {
        if self.is_member(node) { self.barred(node) } else { Some(Exclusion::NotMember) }
    }

    /// Why `node` cannot announce any address, whatever its speaker does, if so.
    pub(crate) fn barred(&self, node: &NodeName) -> Option<Exclusion> {
        let row = self.node(node)?;
        if row.network_unavailable {
            return Some(Exclusion::NetworkUnavailable);
        }
        let counts = !self.settings.ignore_exclude_lb;
        (counts && row.labels.contains_key(EXCLUDE_LABEL)).then_some(Exclusion::ExcludeLabel)
    }

    /// What `node` says it lacks, if anything.
    pub(crate) fn lacks(&self, node: &NodeName) -> Option<&BTreeSet<Lack>> {
        self.lacks.get(node)
    }

    pub(crate) fn entry(&self, key: &ServiceKey) -> Option<&Entry> {
        self.services.get(key).map(|entry| &**entry)
    }

    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The advertisements of `pool`.
    pub(crate) fn listings(&self, pool: &PoolName) -> impl Iterator<Item = &Listing> {
        let places = self.listings_of.get(pool).into_iter().flatten();
        places.filter_map(|place| self.listings.get(*place))
    }

    /// The BGP advertisements that list this node.
    pub(crate) fn bgp_rules(&self) -> &BgpRules {
        &self.bgp_rules
    }

    fn apply_service(&mut self, key: ServiceKey, service: Option<Service>) -> BTreeSet<ServiceKey> {
        let mut old = self.services.remove(&key);
        if let Some(old) = &old {
            self.unfile_service(&key, old);
        }
        let verdict = match &mut old {
            Some(old) => old.verdict.take(),
            None => self.departed.remove(&key),
        };
        let entry = service.map(|service| Entry::new(service, &self.ranges));
        let touched = match (&old, &entry) {
            (Some(old), Some(new)) => !old.service.is_announced_like(&new.service),
            (None, None) => false,
            _ => true,
        };
        if let Some(entry) = entry {
            for address in entry.addresses.iter().flatten() {
                self.services_at.insert((*address, key.clone()));
            }
            file(&mut self.services_of, entry.pool.clone(), &key);
            self.services.insert(key.clone(), Box::new(Entry { verdict, ..entry }));
        } else if let Some(verdict) = verdict {
            self.departed.insert(key.clone(), verdict);
        }
        touched.then_some(key).into_iter().collect()
    }

    fn unfile_service(&mut self, key: &ServiceKey, entry: &Entry) {
        for address in entry.addresses.iter().flatten() {
            self.services_at.remove(&(*address, key.clone()));
        }
        unfile(&mut self.services_of, &entry.pool, key);
    }

    fn apply_slice(&mut self, key: SliceKey, slice: Option<EndpointSlice>) -> BTreeSet<ServiceKey> {
        let before = self.endpoints.service_of(&key).cloned();
        let after = slice.as_ref().map(|slice| slice.service.clone());
        let concerned: BTreeSet<ServiceKey> = before.into_iter().chain(after).collect();
        let facts = |snapshot: &Self| -> Vec<_> {
            concerned
                .iter()
                .filter_map(|key| Some((key, snapshot.service(key)?.local_traffic_only)))
                .map(|(key, local)| (key.clone(), snapshot.endpoints.facts(key, local)))
                .collect()
        };
        let before = facts(self);
        self.endpoints.set(key, slice);
        let after = facts(self);
        let changed = before.into_iter().zip(after).filter(|(before, after)| before != after);
        changed.map(|((key, _), _)| key).collect()
    }

    fn apply_node(&mut self, name: &NodeName, node: Option<Node>) -> BTreeSet<ServiceKey> {
        let fitness = |node: Option<&Node>| {
            node.map(|node| (node.network_unavailable, node.labels.contains_key(EXCLUDE_LABEL)))
        };
        let fitness_changed = fitness(self.nodes.get(name)) != fitness(node.as_ref());
        let mut pools: BTreeSet<PoolName> = BTreeSet::new();
        for listing in &mut self.listings {
            let listed = listing.weight(name).is_some();
            if listing.update(name, node.as_ref())
                || (fitness_changed && (listed || listing.weight(name).is_some()))
            {
                pools.extend(listing.pools().cloned());
            }
        }
        match node {
            Some(node) => self.nodes.insert(name.clone(), node),
            None => self.nodes.remove(name),
        };
        let mut affected = self.concerned_by(name, &pools);
        if *name == self.settings.own {
            affected.extend(self.apply_bgp_rules());
            if fitness_changed {
                affected.extend(self.services_in(self.bgp_rules.pools()).cloned());
            }
        }
        affected
    }

    fn apply_members(&mut self, members: Members) -> BTreeSet<ServiceKey> {
        let known: Vec<NodeName> = self.nodes.keys().cloned().collect();
        let was_member: Vec<bool> = known.iter().map(|name| self.is_member(name)).collect();
        self.members = members;
        let changed =
            known.iter().zip(was_member).filter(|(name, was)| self.is_member(name) != *was);
        changed.flat_map(|(name, _)| self.concerned_where_listed(name)).collect()
    }

    fn apply_lacks(&mut self, lacks: Lacks) -> BTreeSet<ServiceKey> {
        let before = std::mem::replace(&mut self.lacks, lacks);
        let names: BTreeSet<&NodeName> = before.keys().chain(self.lacks.keys()).collect();
        let changed = names.into_iter().filter(|name| before.get(*name) != self.lacks.get(*name));
        changed.flat_map(|name| self.concerned_where_listed(name)).collect()
    }

    fn concerned_where_listed(&self, node: &NodeName) -> BTreeSet<ServiceKey> {
        let listings = self.listings.iter().filter(|listing| listing.weight(node).is_some());
        self.concerned_by(node, &listings.flat_map(Listing::pools).cloned().collect())
    }

    fn apply_config(&mut self, config: &Arc<Config>) -> BTreeSet<ServiceKey> {
        let old = self.config.replace(config.clone());
        let mut affected = self.apply_ranges(config);
        affected.extend(self.apply_rules(&config.l2_advertisements));
        affected.extend(self.apply_bgp_rules());
        match old {
            None => affected.extend(self.services.keys().cloned()),
            Some(old) if old.held_invalid != config.held_invalid => {
                affected.extend(self.services_of.get(&None).into_iter().flatten().cloned());
            }
            Some(_) => {}
        }
        affected
    }

    /// Takes over the pools' ranges. Returns the Services that are in another pool now.
    fn apply_ranges(&mut self, config: &Config) -> BTreeSet<ServiceKey> {
        let mut ranges = RangeTable::default();
        for (name, pool) in &config.pools {
            for range in &pool.ranges {
                ranges.insert(*range, name);
            }
        }
        let candidates: BTreeSet<ServiceKey> = ranges
            .difference(&self.ranges)
            .into_iter()
            .flat_map(|(range, _)| self.services_within(range.first(), range.last()))
            .map(|(_, key)| key.clone())
            .collect();
        let mut moved = BTreeSet::new();
        for key in candidates {
            let Some(entry) = self.services.get_mut(&key) else { continue };
            let pool = pool_of(&ranges, &entry.addresses);
            if entry.pool != pool {
                unfile(&mut self.services_of, &entry.pool, &key);
                file(&mut self.services_of, pool.clone(), &key);
                entry.pool = pool;
                moved.insert(key);
            }
        }
        self.ranges = ranges;
        moved
    }

    /// The Services at addresses from `first` to `last`, by address.
    fn services_within(
        &self,
        first: IpAddr,
        last: IpAddr,
    ) -> impl Iterator<Item = &(IpAddr, ServiceKey)> {
        let places = self.services_at.range((first, ServiceKey::default())..);
        places.take_while(move |(address, _)| *address <= last)
    }

    /// Takes over the advertisements. Returns the Services of pools they now treat otherwise.
    fn apply_rules(&mut self, rules: &[L2Advertisement]) -> BTreeSet<ServiceKey> {
        let listings: Vec<Listing> =
            rules.iter().map(|rule| Listing::new(rule.clone(), self.nodes.values())).collect();
        let mut listings_of: BTreeMap<PoolName, Vec<usize>> = BTreeMap::new();
        for (place, listing) in listings.iter().enumerate() {
            for pool in listing.pools() {
                listings_of.entry(pool.clone()).or_default().push(place);
            }
        }
        let old_listings = std::mem::replace(&mut self.listings, listings);
        let old_listings_of = std::mem::replace(&mut self.listings_of, listings_of);

        let pools: BTreeSet<&PoolName> =
            old_listings_of.keys().chain(self.listings_of.keys()).collect();
        let changed = pools.into_iter().filter(|pool| {
            let places = old_listings_of.get(*pool).into_iter().flatten();
            let before = places.filter_map(|place| old_listings.get(*place));
            let after = self.listings(pool);
            before
                .map(|listing| listing.rule.without_pools())
                .ne(after.map(|listing| listing.rule.without_pools()))
        });
        changed
            .flat_map(|pool| self.services_of.get(&Some(pool.clone())).into_iter().flatten())
            .cloned()
            .collect()
    }
}

impl Entry {
    fn new(service: Service, ranges: &RangeTable) -> Self {
        let addresses: Result<Vec<IpAddr>, String> = service
            .ingress
            .iter()
            .map(|ingress| {
                let text = ingress.ip.as_deref().unwrap_or_default();
                text.parse().map(|ip: IpAddr| ip.to_canonical()).map_err(|_| {
                    match &ingress.hostname {
                        Some(hostname) if text.is_empty() => hostname.clone(),
                        _ => text.to_owned(),
                    }
                })
            })
            .collect();
        // In no more room than they take.
        let addresses = addresses.map(|addresses| addresses.as_slice().to_vec());
        let pool = pool_of(ranges, &addresses);
        Self { service, addresses, pool, verdict: None }
    }
}

fn pool_of(ranges: &RangeTable, addresses: &Result<Vec<IpAddr>, String>) -> Option<PoolName> {
    ranges.pool_of(addresses.as_deref().unwrap_or_default()).cloned()
}

fn file<K: Ord>(index: &mut BTreeMap<K, BTreeSet<ServiceKey>>, place: K, key: &ServiceKey) {
    index.entry(place).or_default().insert(key.clone());
}

fn unfile<K: Ord>(index: &mut BTreeMap<K, BTreeSet<ServiceKey>>, place: &K, key: &ServiceKey) {
    if let Some(keys) = index.get_mut(place) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(place);
        }
    }
}

#[cfg(test)]
mod tests;
