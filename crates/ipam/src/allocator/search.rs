//! The search for an address: which pool, and which address of it.
//!
//! | Families of the Service | Pool | Addresses |
//! |---|---|---|
//! | one | the first that has one of the family | that one |
//! | both, required | the first that has one of each | IPv4, IPv6 |
//! | both, preferred | the first that has one of each; else the first that has one of the primary family; else the first that has one of the other | the pair, or the one |
//!
//! Pinned pools are searched before the others, and if they have anything at all the others are not
//! asked, even where these could give a pair (upstream behaviour, controller.md 3.5).

use std::net::IpAddr;

use ferrolb_addr::{AddrRange, Family};

use crate::holdings::Terms;
use crate::name::PoolName;
use crate::refusal::{PoolRefusal, Refusal, Why};
use crate::request::{DualPolicy, Families, Request};

use super::Allocator;
use super::stock::Stock;

/// A pool, and the addresses of it that would be taken.
type Choice = (PoolName, Vec<IpAddr>);

impl Allocator {
    /// The best addresses among all pools for automatic assignment.
    pub(super) fn search(&self, request: &Request<'_>) -> Result<Choice, Refusal> {
        if self.pools.is_empty() {
            return Err(Refusal::NoPools);
        }
        forbid_contradiction(request.families)?;
        let stocks: Vec<_> = self.order.iter().filter_map(|name| self.pools.get(name)).collect();
        // The order has the pinned ones first.
        let (pinned, open) =
            stocks.split_at(stocks.partition_point(|stock| stock.pool.pinning.is_some()));
        let (mut tried, mut not_tried) = (Vec::new(), Vec::new());
        for group in [pinned, open] {
            if let Some(choice) = self.best_of(group, request, &mut tried, &mut not_tried) {
                return Ok(choice);
            }
        }
        tried.append(&mut not_tried);
        Err(Refusal::NoAddress { tried })
    }

    /// The best addresses of one pool, be it for automatic assignment or not.
    pub(super) fn search_in(
        &self,
        stock: &Stock,
        request: &Request<'_>,
    ) -> Result<Vec<IpAddr>, Refusal> {
        forbid_contradiction(request.families)?;
        match stock.pool.turns_away(request.service, request.labels) {
            Some(why) => Err(vec![why]),
            None => self.lowest(stock, request, &request.terms()),
        }
        .map_err(|why| Refusal::Pool(PoolRefusal { pool: stock.pool.name.clone(), why }))
    }

    /// The best addresses of the first pool of `group` that suits. Pools that do not suit are
    /// noted with their reasons, apart from those that could not be tried at all.
    fn best_of(
        &self,
        group: &[&Stock],
        request: &Request<'_>,
        tried: &mut Vec<PoolRefusal>,
        not_tried: &mut Vec<PoolRefusal>,
    ) -> Option<Choice> {
        let terms = request.terms();
        // One address where a pair would be better: of the primary family, and of the other.
        let mut fallbacks = [None, None];
        for stock in group {
            let pool = stock.pool.name.clone();
            let shut = stock.pool.turns_away(request.service, request.labels);
            if let Some(why) = shut.or((!stock.pool.auto_assign).then_some(Why::NotAutomatic)) {
                not_tried.push(PoolRefusal { pool, why: vec![why] });
                continue;
            }
            match (self.lowest(stock, request, &terms), request.families) {
                (Ok(ips), Families::Dual { primary, .. }) if ips.len() == 1 => {
                    let place = usize::from(Family::of(ips[0]) != primary);
                    fallbacks[place].get_or_insert((pool, ips));
                }
                (Ok(ips), _) => return Some((pool, ips)),
                (Err(why), _) => tried.push(PoolRefusal { pool, why }),
            }
        }
        fallbacks.into_iter().flatten().next()
    }

    /// The lowest acceptable addresses of one pool, as many as the request has families if possible.
    fn lowest(
        &self,
        stock: &Stock,
        request: &Request<'_>,
        terms: &Terms,
    ) -> Result<Vec<IpAddr>, Vec<Why>> {
        let lowest = |family| self.lowest_of(stock, family, request, terms);
        match request.families {
            Families::Single(family) => match lowest(family) {
                Ok(ip) => Ok(vec![ip]),
                Err(why) => Err(vec![why]),
            },
            Families::Dual { policy, .. } => {
                match (lowest(Family::V4), lowest(Family::V6), policy) {
                    (Ok(v4), Ok(v6), _) => Ok(vec![v4, v6]),
                    (Err(v4), Err(v6), _) => Err(vec![v4, v6]),
                    (Ok(ip), Err(_), DualPolicy::Prefer) | (Err(_), Ok(ip), DualPolicy::Prefer) => {
                        Ok(vec![ip])
                    }
                    (Ok(_), Err(why), _) | (Err(why), Ok(_), _) => Err(vec![why]),
                }
            }
        }
    }

    /// The lowest acceptable address of one family in one pool. O(log n) for each range.
    pub(super) fn lowest_of(
        &self,
        stock: &Stock,
        family: Family,
        request: &Request<'_>,
        terms: &Terms,
    ) -> Result<IpAddr, Why> {
        let (pool, size) = (&stock.pool, stock.capacity.of(family));
        if size == 0 {
            return Err(Why::NoFamily { family });
        }
        let ranges = || pool.ranges.iter().filter(move |range| range.family() == family);
        if stock.used.of(family) < size || terms.shareable() {
            let acceptable = |ip| !pool.avoids(ip) && !self.reserved.contains(ip);
            for range in ranges() {
                let free = self.occupied.lowest_free(range, pool.avoid_buggy_ips);
                // Only an address below the free one is worth sharing.
                let below = free.and_then(|ip| AddrRange::new(range.first(), ip)).unwrap_or(*range);
                let shared =
                    self.holdings.lowest_shareable(&below, terms, request.ports, acceptable);
                if let Some(ip) = shared.or(free) {
                    return Ok(ip);
                }
            }
        }
        let others = ranges().flat_map(|range| self.reserved.owners_in(range)).collect();
        Err(Why::Full { family, size, others })
    }
}

/// A Service with two families of cluster addresses cannot do with one load balancer address.
fn forbid_contradiction(families: Families) -> Result<(), Refusal> {
    match families {
        Families::Dual { policy: DualPolicy::Single, .. } => Err(Refusal::SingleStackPolicy),
        _ => Ok(()),
    }
}
