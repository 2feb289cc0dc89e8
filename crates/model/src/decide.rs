//! One Service, one node, one verdict (`layer2.md` 1.2 to 1.6).
//!
//! ```text
//!  gates: ours? address? pool? endpoints? advertisements? ──no──► Silent(reason), no owner
//!    │ yes
//!  candidates = nodes listed by the matching advertisements, minus the dropped ones
//!    │
//!  owner = first of the election, those that lack nothing before the others ──► this node: Announce · else: Silent(why not this node)
//! ```
//!
//! Everything but the last step reads the same inputs on every node, so nodes that see the same
//! objects and the same members agree on the owner.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_ipam::{NodeName, PoolName, ServiceKey};

use crate::config::L2Advertisement;
use crate::election::{self, Rank};
use crate::gates::{self, Admitted};
use crate::lack::Lack;
use crate::rows::Service;
use crate::snapshot::Snapshot;
use crate::snapshot::listing::Listing;
use crate::verdict::{
    AdvertisementLack, Announcement, Exclusion, Interfaces, Outcome, Reason, Verdict,
};

/// What the snapshot's own node does about Service `key`, and why.
pub fn decide(snapshot: &Snapshot, key: &ServiceKey) -> Verdict {
    let subject = match Subject::admit(snapshot, key) {
        Ok(subject) => subject,
        Err(reason) => return Verdict { owner: None, outcome: Outcome::Silent(reason) },
    };
    let field = subject.field();
    let owner = election::winner(field.candidates.iter().copied(), subject.first_address).cloned();
    let outcome = match subject.refusal(&field, owner.as_ref()) {
        Some(reason) => Outcome::Silent(reason),
        None => Outcome::Announce(subject.announcement()),
    };
    Verdict { owner, outcome }
}

/// A Service that passed every gate that no node can change.
pub(crate) struct Subject<'a> {
    snapshot: &'a Snapshot,
    key: &'a ServiceKey,
    service: &'a Service,
    addresses: &'a [IpAddr],
    first_address: IpAddr,
    pool: &'a PoolName,
    pool_is_advertised: bool,
    /// Advertisements of the pool that match the Service.
    listings: Vec<&'a Listing>,
}

/// Where a node stands in the election for one Service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    /// No matching advertisement lists it.
    Unlisted,
    /// Listed, but out.
    Dropped(Exclusion),
    /// In.
    Candidate(Rank),
}

struct Field<'a> {
    candidates: Vec<election::Candidate<'a>>,
    dropped: Vec<(&'a NodeName, Exclusion)>,
}

impl<'a> Subject<'a> {
    /// Passes Service `key` through the gates, in upstream's order.
    pub(crate) fn admit(snapshot: &'a Snapshot, key: &'a ServiceKey) -> Result<Self, Reason> {
        let Admitted { service, addresses, first_address, pool } = gates::admit(snapshot, key)?;
        if !snapshot.endpoints().can_serve(key) {
            return Err(Reason::NoEndpoints);
        }
        let listings: Vec<&Listing> =
            snapshot.listings(pool).filter(|listing| selects(&listing.rule, service)).collect();
        if service.annotations.allow_shared_ip.is_some()
            && let Some(listing) =
                listings.iter().find(|listing| !listing.rule.service_selectors.is_empty())
        {
            let advertisement = listing.rule.name.clone();
            return Err(Reason::SharedIpWithServiceSelector { advertisement });
        }
        let pool_is_advertised = snapshot.listings(pool).next().is_some();
        Ok(Self {
            snapshot,
            key,
            service,
            addresses,
            first_address,
            pool,
            pool_is_advertised,
            listings,
        })
    }

    /// Whether `challenger` would win against `holder`, if both may stand.
    pub(crate) fn prefers(&self, challenger: &NodeName, holder: &NodeName) -> bool {
        match (self.standing(challenger), self.standing(holder)) {
            (Standing::Candidate(ours), Standing::Candidate(theirs)) => {
                election::beats((challenger, ours), (holder, theirs), self.first_address)
            }
            (Standing::Candidate(_), _) => true,
            _ => false,
        }
    }

    /// Whether `rival` comes before `own`, whatever is known of either beside their names.
    pub(crate) fn outranks(&self, rival: &NodeName, own: &NodeName) -> bool {
        let rank = |node| {
            Rank::sound(self.listings.iter().filter_map(|listing| listing.weight(node)).sum())
        };
        election::beats((rival, rank(rival)), (own, rank(own)), self.first_address)
    }

    fn standing(&self, node: &NodeName) -> Standing {
        let mut weights =
            self.listings.iter().filter_map(|listing| listing.weight(node)).peekable();
        if weights.peek().is_none() {
            return Standing::Unlisted;
        }
        match self.exclusion(node) {
            Some(exclusion) => Standing::Dropped(exclusion),
            None => Standing::Candidate(self.rank(node, weights.sum())),
        }
    }

    fn exclusion(&self, node: &NodeName) -> Option<Exclusion> {
        self.snapshot.unfit(node).or_else(|| {
            let needs_endpoint = self.service.local_traffic_only;
            (needs_endpoint && !self.snapshot.endpoints().can_serve_on(self.key, node))
                .then_some(Exclusion::NoLocalEndpoints)
        })
    }

    fn rank(&self, node: &NodeName, preference: i64) -> Rank {
        let sound = self.snapshot.lacks(node).is_none_or(|lacks| {
            let interfaces = self.interfaces(node);
            !self.addresses.iter().any(|ip| Lack::impairs(lacks, *ip, &interfaces))
        });
        Rank { sound, preference }
    }

    /// Every listed node, sorted into candidates and dropped ones, each by name.
    fn field(&self) -> Field<'a> {
        let mut weights: BTreeMap<&'a NodeName, i64> = BTreeMap::new();
        for listing in &self.listings {
            for (node, weight) in listing.nodes() {
                *weights.entry(node).or_default() += weight;
            }
        }
        let mut field = Field { candidates: Vec::new(), dropped: Vec::new() };
        for (node, weight) in weights {
            match self.exclusion(node) {
                Some(exclusion) => field.dropped.push((node, exclusion)),
                None => field.candidates.push((node, self.rank(node, weight))),
            }
        }
        field
    }

    /// Why this node stays silent; none if it is the owner.
    fn refusal(&self, field: &Field<'_>, owner: Option<&NodeName>) -> Option<Reason> {
        let own = &self.snapshot.settings().own;
        let standing = self.standing(own);
        if standing == Standing::Unlisted {
            let lack = if !self.pool_is_advertised {
                AdvertisementLack::Pool
            } else if self.listings.is_empty() {
                AdvertisementLack::Service
            } else {
                AdvertisementLack::Node { node: own.clone() }
            };
            return Some(Reason::NoMatchingAdvertisement { pool: self.pool.clone(), lack });
        }
        let Some(owner) = owner else {
            let dropped: Arc<[_]> =
                field.dropped.iter().map(|(node, why)| ((*node).clone(), *why)).collect();
            return Some(Reason::NoEligibleNodes { dropped });
        };
        match standing {
            Standing::Dropped(exclusion) => Some(Reason::excluded(own.clone(), exclusion)),
            _ if owner != own => Some(Reason::NotOwner { owner: owner.clone() }),
            _ => None,
        }
    }

    fn announcement(&self) -> Announcement {
        let interfaces = self.interfaces(&self.snapshot.settings().own);
        Announcement {
            pool: self.pool.clone(),
            addresses: self.addresses.iter().map(|ip| (*ip, interfaces.clone())).collect(),
        }
    }

    /// Where `node` would announce.
    fn interfaces(&self, node: &NodeName) -> Interfaces {
        self.listings
            .iter()
            .filter(|listing| listing.weight(node).is_some())
            .map(|listing| &listing.rule.interfaces)
            .fold(Interfaces::Named([].into()), Interfaces::union)
    }
}

/// An advertisement without selectors matches every Service; several are alternatives.
fn selects(rule: &L2Advertisement, service: &Service) -> bool {
    rule.service_selectors.is_empty()
        || rule.service_selectors.iter().any(|selector| selector.matches(&service.labels))
}

#[cfg(test)]
mod tests;
