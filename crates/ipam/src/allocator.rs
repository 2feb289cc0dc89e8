//! The allocator: which Service holds which addresses of which pool.
//!
//! Rules (upstream behaviour, controller.md 3, with its oddities repaired):
//!
//! - An assignment is one address, or one of each family, from one pool.
//! - Of a pool, the lowest acceptable address of the first range that has one is given. Acceptable
//!   is what nobody holds, and what others hold under the same sharing and backend key with other
//!   ports.
//! - Reserved addresses ([`Allocator::set_reserved`]) are given only to who asks for them.
//! - A refusal changes nothing.
//!
//! Nothing here walks over used addresses, over other Services or over pools that have nothing to
//! do with the command, except that an allocation asks the pools one after another.

mod search;
mod stock;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_addr::Family;

use crate::counters::Counters;
use crate::free::Occupied;
use crate::holdings::{Holdings, Terms};
use crate::name::{PoolName, ServiceKey};
use crate::pool::Pool;
use crate::port::Port;
use crate::refusal::{PoolRefusal, Refusal};
use crate::request::Request;
use crate::reserved::{Owner, Reserved};
use crate::territory::Territory;

use stock::Stock;

/// What a Service holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Assignment {
    /// The pool that all of the addresses are in.
    pub pool: PoolName,
    /// One address, or one of each family; in the order in which they were asked for, IPv4 first
    /// when they were not.
    pub ips: Vec<IpAddr>,
}

/// What [`Allocator::set_pools`] did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PoolsChange {
    /// Services whose addresses are in no pool any more, and what they held, sorted.
    pub released: Vec<(ServiceKey, Assignment)>,
    /// Services that keep their addresses, which are in another pool now, sorted.
    pub moved: Vec<Moved>,
    /// Pools that are new, gone or different. Their Services, and those that wait for an address,
    /// may be decided differently now; nobody else is.
    pub changed: BTreeSet<PoolName>,
}

/// A Service whose addresses changed pools.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Moved {
    /// The Service.
    pub service: ServiceKey,
    /// The pool its addresses were in.
    pub from: PoolName,
    /// The pool they are in now.
    pub to: PoolName,
}

/// Pools in which something happened since the last [`Allocator::take_touched`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Touched {
    /// Counters may differ, or the pool is gone.
    pub counters: BTreeSet<PoolName>,
    /// A Service that was refused here might be accepted now: an address became free, or is
    /// held on other terms, or the pool changed.
    pub openings: BTreeSet<PoolName>,
}

/// Pools, and who holds which of their addresses.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Allocator {
    pools: BTreeMap<PoolName, Stock>,
    /// Names of all pools in the order in which an allocation tries them.
    order: Vec<PoolName>,
    territory: Territory,
    services: BTreeMap<ServiceKey, Held>,
    holdings: Holdings,
    reserved: Reserved,
    /// Held or reserved.
    occupied: Occupied,
    touched: Touched,
}

/// An assignment, and the terms under which it is held.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Held {
    assignment: Assignment,
    terms: Terms,
    /// Sorted, without duplicates.
    ports: Box<[Port]>,
}

impl Allocator {
    /// An allocator without pools.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives `ips`, and nothing else, to the Service: what it asks for by address, or held before.
    ///
    /// Takes the place of what it holds now. When that is the same already, nothing happens.
    /// `autoAssign` does not matter here, and neither does who is reserved; the caller can warn if
    /// it has an [`Allocator::owner`].
    pub fn assign(&mut self, request: &Request<'_>, ips: &[IpAddr]) -> Result<Assignment, Refusal> {
        check_families(ips)?;
        let pool = self.pool_for(request.service, ips)?;
        self.assign_from(pool, request, ips)
    }

    /// Gives the Service an address, or a pair, of any pool that gives addresses to those who do
    /// not ask for it: pinned pools first.
    ///
    /// A Service that holds something keeps it, if it still may.
    pub fn allocate(&mut self, request: &Request<'_>) -> Result<Assignment, Refusal> {
        if let Some(held) = self.assignment(request.service) {
            let ips = held.ips.clone();
            return self.assign(request, &ips);
        }
        let (pool, ips) = self.search(request)?;
        Ok(self.take(pool, ips, request))
    }

    /// Gives the Service an address, or a pair, of `pool`, be it for automatic assignment or not.
    ///
    /// A Service that holds something keeps it, if the pool has it, the families suit the request
    /// and it still may.
    pub fn allocate_from(
        &mut self,
        request: &Request<'_>,
        pool: &PoolName,
    ) -> Result<Assignment, Refusal> {
        let stock =
            self.pools.get(pool).ok_or_else(|| Refusal::UnknownPool { pool: pool.clone() })?;
        let Some(held) = self.assignment(request.service) else {
            let ips = self.search_in(stock, request)?;
            return Ok(self.take(pool.clone(), ips, request));
        };
        let (service, ips) = (request.service.clone(), held.ips.clone());
        if !request.families.accept(&ips) {
            return Err(Refusal::OtherFamilyHeld { service, held: ips });
        }
        if !ips.iter().all(|ip| self.is_in(*ip, pool)) {
            return Err(Refusal::OtherPoolHeld { service, held: ips, pool: pool.clone() });
        }
        self.assign_from(pool.clone(), request, &ips)
    }

    /// Adds an address of the other family, from the same pool, to the single one the Service holds.
    pub fn add_family(&mut self, request: &Request<'_>) -> Result<Assignment, Refusal> {
        let (pool, ip) = match self.assignment(request.service) {
            Some(Assignment { pool, ips }) if ips.len() == 1 => (pool.clone(), ips[0]),
            _ => return Err(Refusal::NotExtendable { service: request.service.clone() }),
        };
        let stock =
            self.pools.get(&pool).ok_or_else(|| Refusal::UnknownPool { pool: pool.clone() })?;
        let other = self
            .lowest_of(stock, Family::of(ip).other(), request, &request.terms())
            .map_err(|why| Refusal::Pool(PoolRefusal { pool: pool.clone(), why: vec![why] }))?;
        self.assign_from(pool, request, &[ip, other])
    }

    /// Gives the Service other addresses than it holds, of `pool` or else of any pool that gives
    /// addresses to those who do not ask. What is reserved is left, so reserve what it is to leave;
    /// what it holds besides may change too.
    pub fn replace(
        &mut self,
        request: &Request<'_>,
        pool: Option<&PoolName>,
    ) -> Result<Assignment, Refusal> {
        let (pool, ips) = match pool {
            None => self.search(request)?,
            Some(pool) => {
                let stock = self.pools.get(pool);
                let stock = stock.ok_or_else(|| Refusal::UnknownPool { pool: pool.clone() })?;
                (pool.clone(), self.search_in(stock, request)?)
            }
        };
        Ok(self.take(pool, ips, request))
    }

    /// Takes back what the Service holds, and returns it.
    pub fn release(&mut self, service: &ServiceKey) -> Option<Assignment> {
        let held = self.services.remove(service)?;
        if let Some(stock) = self.pools.get_mut(&held.assignment.pool) {
            stock.services.remove(service);
        }
        for &ip in &held.assignment.ips {
            if self.holdings.remove(ip, service, &held.ports) {
                if !self.reserved.contains(ip) {
                    self.occupied.remove(ip);
                }
                self.count(ip, |used| *used -= 1);
            }
            self.touch(ip, true);
        }
        Some(held.assignment)
    }

    /// What the Service holds.
    pub fn assignment(&self, service: &ServiceKey) -> Option<&Assignment> {
        self.services.get(service).map(|held| &held.assignment)
    }

    /// All Services that hold something, sorted.
    pub fn assignments(&self) -> impl Iterator<Item = (&ServiceKey, &Assignment)> {
        self.services.iter().map(|(service, held)| (service, &held.assignment))
    }

    /// The Services that hold `ip`, sorted.
    pub fn holders(&self, ip: IpAddr) -> impl Iterator<Item = &ServiceKey> {
        self.holdings.holders(ip)
    }

    /// A Service that keeps the one that asks from holding `ip`, whatever pools say.
    pub fn conflict(&self, request: &Request<'_>, ip: IpAddr) -> Option<&ServiceKey> {
        self.holdings
            .conflict(ip, request.service, &request.terms(), request.ports)
            .map(|(holder, _)| holder)
    }

    /// The Services that hold an address of `pool`, sorted.
    pub fn services_of(&self, pool: &PoolName) -> impl Iterator<Item = &ServiceKey> {
        self.pools.get(pool).into_iter().flat_map(|stock| &stock.services)
    }

    /// The pool that all of `ips` are in; the lowest name if there are several.
    pub fn pool_of(&self, ips: &[IpAddr]) -> Option<&PoolName> {
        let (first, rest) = ips.split_first()?;
        self.pools_at(*first).find(|pool| rest.iter().all(|ip| self.is_in(*ip, pool)))
    }

    /// The pools, sorted by name.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> + Clone {
        self.pools.values().map(|stock| &stock.pool)
    }

    /// How full `pool` is; all zero when there is no such pool.
    pub fn counters(&self, pool: &PoolName) -> Counters {
        self.pools.get(pool).map(Stock::counters).unwrap_or_default()
    }

    /// Whose `ip` is, and the owner's name, if it is given only to who asks for it.
    pub fn owner(&self, ip: IpAddr) -> Option<(Owner, &str)> {
        self.reserved.owner(ip)
    }

    /// Where something happened since the last call.
    pub fn take_touched(&mut self) -> Touched {
        std::mem::take(&mut self.touched)
    }

    /// Gives `ips`, which are in `pool`, to the Service, if the pool and other holders allow it.
    fn assign_from(
        &mut self,
        pool: PoolName,
        request: &Request<'_>,
        ips: &[IpAddr],
    ) -> Result<Assignment, Refusal> {
        if let Some(why) = self
            .pools
            .get(&pool)
            .and_then(|stock| stock.pool.turns_away(request.service, request.labels))
        {
            return Err(Refusal::Pool(PoolRefusal { pool, why: vec![why] }));
        }
        let terms = request.terms();
        for &address in ips {
            if let Some((holder, conflict)) =
                self.holdings.conflict(address, request.service, &terms, request.ports)
            {
                return Err(Refusal::InUse { address, holder: holder.clone(), conflict });
            }
        }
        Ok(self.take(pool, ips.to_vec(), request))
    }

    /// Records that the Service holds `ips` of `pool` and nothing else. Everything was checked.
    fn take(&mut self, pool: PoolName, ips: Vec<IpAddr>, request: &Request<'_>) -> Assignment {
        let assignment = Assignment { pool, ips };
        let held = Held {
            assignment: assignment.clone(),
            terms: request.terms(),
            ports: distinct(request.ports),
        };
        if self.services.get(request.service).is_some_and(|current| *current == held) {
            return assignment;
        }
        self.release(request.service);
        for &ip in &assignment.ips {
            if self.holdings.add(ip, request.service, &held.terms, &held.ports) {
                self.occupied.insert(ip);
                self.count(ip, |used| *used += 1);
            }
            // No opening: it was free, so whoever may join now could have had it before.
            self.touch(ip, false);
        }
        if let Some(stock) = self.pools.get_mut(&assignment.pool) {
            stock.services.insert(request.service.clone());
        }
        self.services.insert(request.service.clone(), held);
        assignment
    }

    /// The pool that all of `ips` are in; the one the Service has its addresses from, if it may be.
    fn pool_for(&self, service: &ServiceKey, ips: &[IpAddr]) -> Result<PoolName, Refusal> {
        if let Some(Assignment { pool, .. }) = self.assignment(service)
            && ips.iter().all(|ip| self.is_in(*ip, pool))
        {
            return Ok(pool.clone());
        }
        if let Some(pool) = self.pool_of(ips) {
            return Ok(pool.clone());
        }
        let mut addresses = Vec::with_capacity(ips.len());
        for &address in ips {
            let pool = self.pools_at(address).next().ok_or_else(|| {
                match self.territory.pools_at(address).first() {
                    Some(pool) => Refusal::Avoided { address, pool: pool.clone() },
                    None => Refusal::OutsidePools { address },
                }
            })?;
            addresses.push((address, pool.clone()));
        }
        Err(Refusal::DifferentPools { addresses })
    }

    /// The pools that `ip` belongs to, sorted by name.
    fn pools_at(&self, ip: IpAddr) -> impl Iterator<Item = &PoolName> {
        self.territory
            .pools_at(ip)
            .iter()
            .filter(move |name| self.pools.get(*name).is_some_and(|stock| !stock.pool.avoids(ip)))
    }

    fn is_in(&self, ip: IpAddr, pool: &PoolName) -> bool {
        self.pools_at(ip).any(|name| name == pool)
    }

    /// Adjusts the number of used addresses of each pool that `ip` belongs to.
    fn count(&mut self, ip: IpAddr, adjust: impl Fn(&mut i64)) {
        for name in self.territory.pools_at(ip) {
            if let Some(stock) = self.pools.get_mut(name)
                && !stock.pool.avoids(ip)
            {
                adjust(stock.used.of_mut(Family::of(ip)));
            }
        }
    }

    /// Remembers that something happened to `ip`.
    fn touch(&mut self, ip: IpAddr, opening: bool) {
        for name in self.territory.pools_at(ip) {
            self.touched.counters.insert(name.clone());
            if opening {
                self.touched.openings.insert(name.clone());
            }
        }
    }
}

impl Request<'_> {
    fn terms(&self) -> Terms {
        Terms { sharing_key: text(self.sharing_key), backend_key: text(self.backend_key) }
    }
}

/// Most are empty, and those are one text.
fn text(text: &str) -> Arc<str> {
    if text.is_empty() { Arc::default() } else { text.into() }
}

/// One address, or one of each family.
fn check_families(ips: &[IpAddr]) -> Result<(), Refusal> {
    match *ips {
        [first, second] if Family::of(first) == Family::of(second) => {
            Err(Refusal::SameFamily { addresses: [first, second], family: Family::of(first) })
        }
        [_] | [_, _] => Ok(()),
        _ => Err(Refusal::AddressCount { count: ips.len() }),
    }
}

/// Sorted, each once: the API server forbids a port given twice, a row might still have it.
fn distinct(ports: &[Port]) -> Box<[Port]> {
    let mut ports = ports.to_vec();
    ports.sort_unstable();
    ports.dedup();
    ports.into()
}
