//! Pools must not share addresses. Which of two is the invalid one never depends on chance:
//!
//! 1. A set of pools without overlaps is accepted as it is, whatever acted before.
//! 2. Otherwise the version that acts stays; an edit that collides with it is refused.
//! 3. Among edits, and among pools that never acted, the older object wins, then the lower name.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ferrolb_addr::AddrRange;
use ferrolb_ipam::PoolName;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::pool::PoolSource;
use super::problem::{Fault, Kind, Problem, ProblemReason};
use crate::ranges::RangeTable;

/// A pool whose object is valid by itself.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) name: PoolName,
    pub(super) created: Option<Time>,
    /// What the object says now.
    pub(super) source: PoolSource,
    /// The version that acts.
    pub(super) acting: Option<PoolSource>,
}

/// Who acts, and in which version.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub(super) acting: BTreeMap<PoolName, PoolSource>,
    pub(super) left_out: BTreeMap<PoolName, Vec<AddrRange>>,
    pub(super) problems: Vec<Problem>,
}

/// Settles who acts beside `fixed`, the last valid versions of objects that are invalid now.
pub(super) fn settle(
    fixed: &BTreeMap<PoolName, PoolSource>,
    mut candidates: Vec<Candidate>,
) -> Settled {
    candidates.sort_by(|one, other| one.age().cmp(&other.age()));
    let mut settled = Settled::default();
    let mut table = RangeTable::default();
    for (name, source) in fixed {
        enter(&mut table, name, source);
    }

    let (known, new): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|candidate| candidate.acting.is_some());
    settle_known(&mut table, known, &mut settled);
    for Candidate { name, source, .. } in new {
        match collision(&table, &source) {
            None => {
                enter(&mut table, &name, &source);
                settled.acting.insert(name, source);
            }
            Some(fault) => {
                settled.problems.push(Kind::IpAddressPool.problem(&name, fault, false));
                settled.left_out.insert(name, source.ranges);
            }
        }
    }
    settled
}

/// Settles pools of which some version acts already.
fn settle_known(table: &mut RangeTable, known: Vec<Candidate>, settled: &mut Settled) {
    let (mut refused, mut accepted): (Vec<Candidate>, Vec<Candidate>) = (Vec::new(), known);
    // Each round refuses one edit for good: its old version may collide with edits that had passed.
    while let Some(place) = first_collision(table, &refused, &accepted) {
        refused.push(accepted.remove(place));
    }
    for Candidate { name, source, .. } in accepted {
        enter(table, &name, &source);
        settled.acting.insert(name, source);
    }
    for Candidate { name, acting, .. } in &refused {
        if let Some(acting) = acting {
            enter(table, name, acting);
        }
    }
    for Candidate { name, source, acting, .. } in refused {
        let Some(acting) = acting else { continue };
        leave(table, &acting);
        // The edit it collided with may have been refused later; then there is no reason left.
        let version = match collision(table, &source) {
            None => source,
            Some(fault) => {
                settled.problems.push(Kind::IpAddressPool.problem(&name, fault, true));
                acting
            }
        };
        enter(table, &name, &version);
        settled.acting.insert(name, version);
    }
}

/// The first of `accepted` whose edit collides, when the `refused` act in their old versions.
fn first_collision(
    table: &RangeTable,
    refused: &[Candidate],
    accepted: &[Candidate],
) -> Option<usize> {
    let mut table = table.clone();
    for candidate in refused {
        if let Some(acting) = &candidate.acting {
            enter(&mut table, &candidate.name, acting);
        }
    }
    let mut order: Vec<usize> = (0..accepted.len()).collect();
    order.sort_by_key(|place| Reverse(accepted.get(*place).is_some_and(Candidate::is_unchanged)));
    order.into_iter().find(|place| {
        let Some(candidate) = accepted.get(*place) else { return false };
        let collides = collision(&table, &candidate.source).is_some();
        if !collides {
            enter(&mut table, &candidate.name, &candidate.source);
        }
        collides
    })
}

impl Candidate {
    /// Sorts older before younger; an object without a time stamp is not stored yet.
    fn age(&self) -> (bool, Option<&Time>, &PoolName) {
        (self.created.is_none(), self.created.as_ref(), &self.name)
    }

    fn is_unchanged(&self) -> bool {
        self.acting.as_ref().is_some_and(|acting| acting.ranges == self.source.ranges)
    }
}

fn enter(table: &mut RangeTable, name: &PoolName, source: &PoolSource) {
    for range in &source.ranges {
        table.insert(*range, name);
    }
}

fn leave(table: &mut RangeTable, source: &PoolSource) {
    for range in &source.ranges {
        table.remove(range);
    }
}

fn collision(table: &RangeTable, source: &PoolSource) -> Option<Fault> {
    source.ranges.iter().enumerate().find_map(|(place, range)| {
        let (other, pool) = table.overlap(range)?;
        let field = format!("spec.addresses[{place}]");
        let cause = already_defined(range, &other, pool);
        Some(Fault::at(&field, &range.to_string(), &cause).because(ProblemReason::Overlap))
    })
}

/// How an overlap of two pools is told. Upstream's tests look for the middle of it (row WH-01).
pub(crate) fn already_defined(range: &AddrRange, other: &AddrRange, pool: &PoolName) -> String {
    format!("{range} overlaps with already defined CIDR {other} of address pool {pool}")
}
