//! One Service, one decision: which addresses it holds from now on, and what to say about it.
//!
//! Pure: reads the row and the configuration, changes nothing but the allocator it is given. The
//! order of examination is upstream's (`controller.md` 2.3), except where that loses an address
//! flaps or strands one.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{AddrParseError, IpAddr};

use ferrolb_api::reasons::EventReason;
use ferrolb_ipam::{Allocator, Assignment, Owner, PoolName, Refusal};
use ferrolb_model::family::Stack;
use ferrolb_model::wanted::{check_families, wanted_addresses};
use ferrolb_model::{Config, IpFamilyPolicy, Service, class};

use crate::standing::Standing;

mod kept;
mod refused;
mod request;
mod wording;

pub use kept::Kept;
use refused::Refused;
use request::same_set;
pub(crate) use request::{backend_key, request};
use wording::{List, Quoted};

/// What the status of a Service must say, and what happened on the way there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision {
    /// The addresses for `status.loadBalancer.ingress`, in order; empty clears it.
    pub addresses: Vec<IpAddr>,
    /// The pool of the addresses, for the annotation `ip-allocated-from-pool`.
    pub pool: Option<PoolName>,
    /// Events to record on the Service.
    pub notes: Vec<Note>,
    /// What the condition `Allocated` says; nothing about a Service that is not ours.
    pub standing: Option<Standing>,
    /// It left an address that somebody outside the cluster has.
    pub moved: bool,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a decision ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The Service has what it asks for.
    Settled,
    /// It has not; a freed address or a changed pool may help.
    Waiting,
    /// It asks for something impossible; only its own change helps.
    Invalid,
    /// It is not ours, and its status is none of our business.
    Ignored,
    /// It holds addresses of an invalid pool, which stay as they are.
    Kept,
    /// It needs an address it does not hold, and this was about what it holds.
    Deferred,
}

/// An Event to record on the Service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// Reason and type.
    pub reason: EventReason,
    /// The sentence people read.
    pub message: String,
}

/// What a decision reads besides the Service and the allocator.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The load balancer class this process serves.
    pub ours: Option<&'a str>,
    /// The configuration.
    pub config: &'a Config,
    /// Addresses that others keep.
    pub kept: &'a Kept,
    /// The status shows what is held; else that was decided and not stored yet.
    pub stored: bool,
    /// It had been given what it shows, or some of it.
    pub entitled: bool,
    /// Addresses that somebody outside the cluster has.
    pub taken: Taken<'a>,
    /// Give nothing new, say [`Outcome::Deferred`] instead.
    pub only_confirm: bool,
}

/// What speakers refuse to announce for a Service.
#[derive(Clone, Copy, Debug)]
pub struct Taken<'a> {
    /// The address and the station that has it.
    pub stations: &'a BTreeMap<IpAddr, String>,
    /// It keeps them all the same: speakers announce some of its addresses, or did, or enough others
    /// were tried.
    pub stays: bool,
}

/// Decides about `service`, whose status holds `held` (texts of `ingress[].ip`, in order).
///
/// `held` is passed apart from the row, because between a write and its echo the owner knows
/// better than the row does.
pub fn converge(
    service: &Service,
    held: &[String],
    rules: &Rules<'_>,
    allocator: &mut Allocator,
) -> Decision {
    if !service.is_load_balancer || !class::handles(rules.ours, service.class.as_deref()) {
        // a Service that stopped being ours gives its address back.
        let gave_back = allocator.release(&service.key).is_some();
        let foreign = service.is_load_balancer && !gave_back;
        return Decision {
            addresses: Vec::new(),
            pool: None,
            notes: Vec::new(),
            standing: None,
            moved: false,
            outcome: if foreign { Outcome::Ignored } else { Outcome::Settled },
        };
    }
    if rules.stored
        && let Some(decision) = kept_for_invalid_pool(service, held, rules.config, allocator)
    {
        return decision;
    }
    let mut convergence = Convergence {
        service,
        backend_key: backend_key(service),
        rules,
        allocator,
        notes: Vec::new(),
        shortfall: None,
        moved: false,
    };
    let outcome = match convergence.settle(held) {
        Ok(()) => Outcome::Settled,
        Err(outcome) => outcome,
    };
    // Whatever is still assigned stays in the status: a bad wish never costs an address.
    let (addresses, pool) = match convergence.current() {
        Some(assignment) => (assignment.ips.clone(), Some(assignment.pool.clone())),
        None => (Vec::new(), None),
    };
    let standing = standing(&addresses, pool.as_ref(), convergence.shortfall);
    let Convergence { notes, moved, .. } = convergence;
    Decision { addresses, pool, notes, standing, moved, outcome }
}

/// What to say of a Service that holds `addresses` and lacks what `shortfall` says.
fn standing(
    addresses: &[IpAddr],
    pool: Option<&PoolName>,
    shortfall: Option<(&'static str, String)>,
) -> Option<Standing> {
    let Some(pool) = pool else {
        return shortfall.map(|(reason, message)| Standing::no(reason, message));
    };
    let ips = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    let has = format!("{ips} of pool {:?}", pool.as_str());
    Some(match shortfall {
        None => Standing::yes("Allocated", has),
        Some((reason, message)) => Standing::yes(reason, format!("{has}; {message}")),
    })
}

/// An address of a pool that is invalid, and has been since this process started, is neither taken
/// away nor judged: the pool's owner may mend it any moment.
fn kept_for_invalid_pool(
    service: &Service,
    held: &[String],
    config: &Config,
    allocator: &mut Allocator,
) -> Option<Decision> {
    let addresses = parse(held).ok()?;
    if addresses.is_empty() || allocator.pool_of(&addresses).is_some() {
        return None;
    }
    // Given to somebody else, by a pool that is valid: not ours to keep.
    if addresses.iter().any(|ip| allocator.holders(*ip).any(|holder| *holder != service.key)) {
        return None;
    }
    let allocated_from = service.annotations.allocated_from_pool.as_deref();
    let pool = config.left_out_holder(allocated_from, &addresses)?;
    allocator.release(&service.key);
    let invalid = ("KeptFromInvalidPool", "the pool is invalid at present".to_owned());
    Some(Decision {
        standing: standing(&addresses, Some(pool), Some(invalid)),
        addresses,
        pool: Some(pool.clone()),
        notes: Vec::new(),
        moved: false,
        outcome: Outcome::Kept,
    })
}

fn parse(texts: &[String]) -> Result<Vec<IpAddr>, AddrParseError> {
    texts.iter().map(|text| text.parse().map(|ip: IpAddr| ip.to_canonical())).collect()
}

struct Convergence<'a> {
    service: &'a Service,
    backend_key: String,
    rules: &'a Rules<'a>,
    allocator: &'a mut Allocator,
    notes: Vec<Note>,
    /// What it lacks: a reason and a sentence.
    shortfall: Option<(&'static str, String)>,
    moved: bool,
}

impl Convergence<'_> {
    fn settle(&mut self, held: &[String]) -> Result<(), Outcome> {
        let service = self.service;
        if service.cluster_ips.is_empty() {
            self.allocator.release(&service.key);
            self.lacks("NoClusterIPs", "the Service has no cluster IP".to_owned());
            return Err(Outcome::Waiting);
        }
        if self.rules.config.pools.is_empty() {
            // Upstream says nothing here and leaves people to guess.
            self.allocator.release(&service.key);
            self.lacks(Refusal::NoPools.reason(), Refusal::NoPools.to_string());
            let message = self.failed(&Refusal::NoPools);
            self.note(EventReason::AllocationFailed, message);
            return Err(Outcome::Waiting);
        }
        if service.ip_family_policy == IpFamilyPolicy::RequireDualStack
            && service.cluster_ips.len() < 2
        {
            self.allocator.release(&service.key);
            let have = List(&service.cluster_ips);
            let message = format!("two cluster IPs are required, the Service has {have}");
            self.lacks("NotEnoughClusterIPs", message.clone());
            return Err(self.invalid(EventReason::NotEnoughClusterIps, message));
        }
        let cluster = Stack::of_service(service);
        // what the status holds is registered before anything about it can fail.
        self.register(held, cluster.as_ref().ok().copied());
        let cluster = cluster.map_err(|error| {
            let message = format!("cluster IPs {}: {error}", List(&service.cluster_ips));
            self.lacks("ClusterIPsInvalid", message.clone());
            self.invalid(EventReason::ClusterIpsFamily, message)
        })?;
        let pool = service.annotations.address_pool.as_deref().filter(|name| !name.is_empty());
        if let (Some(pool), Some(assignment)) = (pool, self.current())
            && assignment.pool.as_str() != pool
        {
            self.allocator.release(&service.key);
        }
        let wanted = wanted_addresses(service).map_err(|error| {
            let (reason, message) = match self.current() {
                Some(_) => (
                    EventReason::LoadBalancerFailed,
                    format!("invalid requested load balancer IPs: {error}"),
                ),
                None => (EventReason::AllocationFailed, self.failed(&error)),
            };
            let code = if self.current().is_some() { "RequestIgnored" } else { "RequestInvalid" };
            self.lacks(code, format!("invalid requested load balancer IPs: {error}"));
            self.invalid(reason, message)
        })?;
        if let Some(assignment) = self.current()
            && !wanted.is_empty()
            && !same_set(&assignment.ips, &wanted)
        {
            self.allocator.release(&service.key);
        }
        if self.current().is_some() {
            self.leave_refused(cluster, &wanted, pool)?;
            return if wanted.is_empty() { self.add_second_family(cluster) } else { Ok(()) };
        }
        if self.rules.only_confirm {
            return Err(Outcome::Deferred);
        }
        self.allocate(cluster, &wanted, pool)
    }

    /// Takes over the addresses the status holds; what cannot be kept is let go.
    fn register(&mut self, held: &[String], cluster: Option<Stack>) {
        let service = self.service;
        if held.is_empty() {
            self.allocator.release(&service.key);
            return;
        }
        let stack = match Stack::of_texts(held) {
            Ok(stack) => stack,
            Err(error) => {
                self.allocator.release(&service.key);
                let message = format!("load balancer IPs {}: {error}", List(held));
                self.note(EventReason::LoadBalancerIpsFamily, message);
                return;
            }
        };
        if cluster.is_some_and(|cluster| stack.is_outdated(cluster, service.ip_family_policy)) {
            self.allocator.release(&service.key);
            return;
        }
        let addresses = parse(held).unwrap_or_default();
        if let Err(refusal) = self.assign(stack, &addresses) {
            self.allocator.release(&service.key);
            let key = Quoted(&service.key);
            let message = format!("current IP for {key} not allowed by config: {refusal}");
            let reason = match refusal {
                // It shows what it was never given, or has lost to an earlier claim.
                Refusal::InUse { .. } if self.rules.stored && !self.rules.entitled => {
                    EventReason::AddressDuplicate
                }
                _ => EventReason::ClearAssignment,
            };
            self.note(reason, message);
        }
    }

    /// Takes other addresses in place of those that somebody outside the cluster has, unless they are
    /// asked for.
    fn leave_refused(
        &mut self,
        cluster: Stack,
        wanted: &[IpAddr],
        pool: Option<&str>,
    ) -> Result<(), Outcome> {
        let held = self.current().map(|assignment| assignment.ips.clone()).unwrap_or_default();
        let mut taken = self.rules.taken.stations.iter().filter(|(ip, _)| held.contains(ip));
        let Some((ip, station)) = taken.next() else { return Ok(()) };
        let why = format!("{ip} is not announced, because station {station} has it");
        if !wanted.is_empty() || self.rules.taken.stays {
            self.lacks("AddressRefused", why);
            return Ok(());
        }
        if self.rules.only_confirm {
            return Err(Outcome::Deferred);
        }
        let wish = request(self.service, &self.backend_key, cluster);
        let pool = pool.map(PoolName::from);
        match self.allocator.replace(&wish, pool.as_ref()) {
            Ok(assignment) => {
                let ips = assignment.ips.iter().map(ToString::to_string).collect::<Vec<_>>();
                let ips = List(&ips).to_string();
                self.moved = true;
                self.note(EventReason::AddressConflict, format!("{why}: IP {ips} in its place"));
                self.note(EventReason::IpAllocated, format!("Assigned IP {ips}"));
                Ok(())
            }
            Err(refusal) => {
                self.lacks("AddressRefused", format!("{why}, and there is no other: {refusal}"));
                Err(Outcome::Waiting)
            }
        }
    }

    /// Gives a Service with one address a second one, where it prefers two and the cluster gave it
    /// two.
    fn add_second_family(&mut self, cluster: Stack) -> Result<(), Outcome> {
        let service = self.service;
        let has_one = self.current().is_some_and(|assignment| assignment.ips.len() == 1);
        if !has_one
            || cluster != Stack::Dual
            || service.ip_family_policy != IpFamilyPolicy::PreferDualStack
        {
            return Ok(());
        }
        if self.rules.only_confirm {
            return Err(Outcome::Deferred);
        }
        let before = self.current().map(|assignment| assignment.ips.clone()).unwrap_or_default();
        // A refusal is no event: that the pool has one family is a standing fact.
        let wish = request(service, &self.backend_key, cluster);
        let assignment = self.allocator.add_family(&wish).map_err(|refusal| {
            self.lacks("OneFamilyOnly", refusal.to_string());
            Outcome::Waiting
        })?;
        for ip in assignment.ips.into_iter().filter(|ip| !before.contains(ip)) {
            let message = format!("Assigned additional IP {:?}", ip.to_string());
            self.note(EventReason::IpAllocated, message);
        }
        Ok(())
    }

    fn allocate(
        &mut self,
        cluster: Stack,
        wanted: &[IpAddr],
        pool: Option<&str>,
    ) -> Result<(), Outcome> {
        let service = self.service;
        let result = if !wanted.is_empty() {
            check_families(wanted, cluster).map_err(|error| {
                let message = self.failed(&error);
                self.lacks("FamilyMismatch", error.to_string());
                self.invalid(EventReason::AllocationFailed, message)
            })?;
            self.assign_wanted(cluster, wanted, pool)
        } else if let Some(pool) = pool {
            let request = request(service, &self.backend_key, cluster);
            self.allocator.allocate_from(&request, &PoolName::from(pool)).map_err(Refused::from)
        } else {
            self.allocator
                .allocate(&request(service, &self.backend_key, cluster))
                .map_err(Refused::from)
        };
        match result {
            Ok(assignment) => {
                let ips = assignment.ips.iter().map(ToString::to_string).collect::<Vec<_>>();
                self.note(EventReason::IpAllocated, format!("Assigned IP {}", List(&ips)));
                Ok(())
            }
            Err(refused) => {
                self.lacks(refused.reason(), refused.to_string());
                let message = self.failed(&refused);
                self.note(EventReason::AllocationFailed, message);
                Err(Outcome::Waiting)
            }
        }
    }

    /// Assigns exactly the addresses asked for, from the pool asked for if there is one.
    fn assign_wanted(
        &mut self,
        cluster: Stack,
        wanted: &[IpAddr],
        pool: Option<&str>,
    ) -> Result<Assignment, Refused> {
        let kept = |ip: &IpAddr| Some((*ip, self.rules.kept.by_another(&self.service.key, *ip)?));
        if let Some((address, holder)) = wanted.iter().find_map(kept) {
            return Err(Refused::Kept { address, holder: holder.clone() });
        }
        // Looked up and not tried out: a release would wake those that wait, this Service among them.
        if let (Some(pool), Some(holder)) = (pool, self.allocator.pool_of(wanted))
            && holder.as_str() != pool
        {
            return Err(Refused::OtherPool { pool: pool.to_owned(), holder: holder.clone() });
        }
        let assignment = self.assign(cluster, wanted)?;
        for ip in wanted {
            let Some((owner, name)) = self.allocator.owner(*ip) else { continue };
            let (reason, why) = match owner {
                Owner::Node => (EventReason::NodeAddress, format!("is the address of node {name}")),
                Owner::SubnetRouters => {
                    let why = format!("is what routers of the subnet of node {name} answer for");
                    (EventReason::NodeAddress, why)
                }
                Owner::Station => {
                    let why = format!("is refused by speakers, because station {name} has it");
                    (EventReason::AddressConflict, why)
                }
                // Nobody but this Service itself.
                Owner::Service => continue,
            };
            self.note(reason, format!("{ip} {why}; given because it is asked for"));
        }
        Ok(assignment)
    }

    fn assign(&mut self, stack: Stack, addresses: &[IpAddr]) -> Result<Assignment, Refusal> {
        self.allocator.assign(&request(self.service, &self.backend_key, stack), addresses)
    }

    fn current(&self) -> Option<&Assignment> {
        self.allocator.assignment(&self.service.key)
    }

    fn failed(&self, cause: &impl fmt::Display) -> String {
        format!("Failed to allocate IP for {}: {cause}", Quoted(&self.service.key))
    }

    fn lacks(&mut self, reason: &'static str, message: String) {
        self.shortfall = Some((reason, message));
    }

    fn invalid(&mut self, reason: EventReason, message: String) -> Outcome {
        self.note(reason, message);
        Outcome::Invalid
    }

    fn note(&mut self, reason: EventReason, message: String) {
        self.notes.push(Note { reason, message });
    }
}

#[cfg(test)]
mod tests;
