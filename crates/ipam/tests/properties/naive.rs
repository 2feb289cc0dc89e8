//! The allocator as one would write it without a thought for speed: lists, and walking over them.
//!
//! Rules read from controller.md 3, not from the code under test.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ferrolb_addr::{Family, from_bits, to_bits};
use ferrolb_ipam::{
    Assignment, Counters, DualPolicy, Families, Moved, Pool, PoolName, PoolsChange, Port,
    ServiceKey,
};
use proptest::prelude::*;

use crate::history::{Answer, Command, Question};

#[derive(Default)]
pub(crate) struct Naive {
    /// Sorted by name.
    pools: Vec<Pool>,
    reserved: BTreeSet<IpAddr>,
    held: BTreeMap<ServiceKey, (Assignment, Question)>,
}

impl Naive {
    pub(crate) fn run(&mut self, command: &Command) -> Answer {
        let choice = match command {
            Command::SetPools(pools) => return Answer::Changed(self.set_pools(pools)),
            Command::SetReserved(ips) => {
                self.reserved.clone_from(ips);
                return Answer::Done;
            }
            Command::Release(service) => {
                return Answer::Released(self.held.remove(service).map(|(held, _)| held));
            }
            Command::Assign(question, ips) => self.assign(question, ips),
            Command::Allocate(question) => match self.held.get(&question.service) {
                Some((held, _)) => self.assign(question, &held.ips),
                None => self.allocate(question),
            },
            Command::AllocateFrom(question, pool) => self.allocate_from(question, pool),
            Command::AddFamily(question) => self.add_family(question),
        };
        let (Some(choice), Some(question)) = (choice, command.question()) else {
            return Answer::Refused;
        };
        self.held.insert(question.service.clone(), (choice.clone(), question.clone()));
        Answer::Holds(choice)
    }

    pub(crate) fn assignments(&self) -> BTreeMap<ServiceKey, Assignment> {
        self.held.iter().map(|(service, (held, _))| (service.clone(), held.clone())).collect()
    }

    pub(crate) fn counters(&self, pool: &Pool) -> Counters {
        let used: BTreeSet<IpAddr> =
            self.held.values().flat_map(|(held, _)| held.ips.iter().copied()).collect();
        let count = |family, wanted: &dyn Fn(IpAddr) -> bool| {
            let ips = addresses(pool, family).into_iter().filter(|ip| wanted(*ip));
            i64::try_from(ips.count()).expect("few")
        };
        Counters {
            assigned_v4: count(Family::V4, &|ip| used.contains(&ip)),
            assigned_v6: count(Family::V6, &|ip| used.contains(&ip)),
            available_v4: count(Family::V4, &|ip| !used.contains(&ip)),
            available_v6: count(Family::V6, &|ip| !used.contains(&ip)),
        }
    }

    /// No two Services hold one address unless the sharing rule lets them.
    pub(crate) fn check_sharing(&self) -> Result<(), TestCaseError> {
        for (a, (held_a, asked_a)) in &self.held {
            for (b, (held_b, asked_b)) in &self.held {
                if a < b && held_a.ips.iter().any(|ip| held_b.ips.contains(ip)) {
                    prop_assert!(may_share(asked_a, asked_b), "{} and {}", a, b);
                }
            }
        }
        Ok(())
    }

    fn assign(&self, question: &Question, ips: &[IpAddr]) -> Option<Assignment> {
        let in_order = match ips {
            [_] => true,
            [a, b] => Family::of(*a) != Family::of(*b),
            _ => false,
        };
        let holds_all = |pool: &&Pool| ips.iter().all(|ip| pool.contains(*ip));
        let current = self.held.get(&question.service).map(|(held, _)| &held.pool);
        let pool = self
            .pools
            .iter()
            .filter(holds_all)
            .find(|pool| Some(&pool.name) == current)
            .or_else(|| self.pools.iter().find(holds_all))?;
        in_order.then(|| self.assign_from(question, pool, ips))?
    }

    fn assign_from(&self, question: &Question, pool: &Pool, ips: &[IpAddr]) -> Option<Assignment> {
        (is_for(pool, question) && ips.iter().all(|ip| self.joinable(question, *ip)))
            .then(|| Assignment { pool: pool.name.clone(), ips: ips.to_vec() })
    }

    fn allocate(&self, question: &Question) -> Option<Assignment> {
        let automatic =
            || self.pools.iter().filter(|pool| pool.auto_assign && is_for(pool, question));
        let mut pinned: Vec<&Pool> = automatic().filter(|pool| pool.pinning.is_some()).collect();
        let open: Vec<&Pool> = automatic().filter(|pool| pool.pinning.is_none()).collect();
        // Stable: pools of one priority stay in the order of their names.
        pinned.sort_by_key(|pool| {
            let priority = pool.pinning.as_ref().map_or(0, |pinning| pinning.priority);
            if priority > 0 { priority } else { i64::MAX }
        });
        self.best(question, &pinned).or_else(|| self.best(question, &open))
    }

    fn allocate_from(&self, question: &Question, name: &PoolName) -> Option<Assignment> {
        let pool = self.pools.iter().find(|pool| pool.name == *name)?;
        let Some((held, _)) = self.held.get(&question.service) else {
            return is_for(pool, question).then(|| self.best(question, &[pool]))?;
        };
        let suits = match (question.families, held.ips.as_slice()) {
            (Families::Single(family), [ip]) => Family::of(*ip) == family,
            (Families::Dual { policy, .. }, [_]) => policy == DualPolicy::Prefer,
            (Families::Dual { .. }, [_, _]) => true,
            _ => false,
        };
        (suits && held.ips.iter().all(|ip| pool.contains(*ip)))
            .then(|| self.assign_from(question, pool, &held.ips))?
    }

    fn add_family(&self, question: &Question) -> Option<Assignment> {
        let (held, _) = self.held.get(&question.service)?;
        let &[ip] = held.ips.as_slice() else { return None };
        let pool = self.pools.iter().find(|pool| pool.name == held.pool)?;
        let other = self.lowest(question, pool, Family::of(ip).other())?;
        self.assign_from(question, pool, &[ip, other])
    }

    fn best(&self, question: &Question, pools: &[&Pool]) -> Option<Assignment> {
        let of = |pool: &Pool, families: &[Family]| {
            let ips = families.iter().map(|family| self.lowest(question, pool, *family));
            Some(Assignment { pool: pool.name.clone(), ips: ips.collect::<Option<_>>()? })
        };
        let first = |families: &[Family]| pools.iter().find_map(|pool| of(pool, families));
        match question.families {
            Families::Single(family) => first(&[family]),
            Families::Dual { policy: DualPolicy::Single, .. } => None,
            Families::Dual { policy: DualPolicy::Require, .. } => first(&Family::BOTH),
            Families::Dual { policy: DualPolicy::Prefer, primary } => first(&Family::BOTH)
                .or_else(|| first(&[primary]))
                .or_else(|| first(&[primary.other()])),
        }
    }

    fn lowest(&self, question: &Question, pool: &Pool, family: Family) -> Option<IpAddr> {
        addresses(pool, family)
            .into_iter()
            .find(|ip| !self.reserved.contains(ip) && self.joinable(question, *ip))
    }

    /// Whether every other holder of `ip`, if any, would share it.
    fn joinable(&self, question: &Question, ip: IpAddr) -> bool {
        self.held.iter().all(|(service, (held, asked))| {
            *service == question.service || !held.ips.contains(&ip) || may_share(asked, question)
        })
    }

    fn set_pools(&mut self, pools: &[Pool]) -> PoolsChange {
        let before = std::mem::replace(&mut self.pools, pools.to_vec());
        let mut change = PoolsChange::default();
        let names = before.iter().chain(pools).map(|pool| &pool.name);
        let find =
            |pools: &[Pool], name: &PoolName| pools.iter().find(|pool| pool.name == *name).cloned();
        change.changed =
            names.filter(|name| find(&before, name) != find(pools, name)).cloned().collect();
        let mut kept = BTreeMap::new();
        for (service, (held, question)) in std::mem::take(&mut self.held) {
            let holds_all = |pool: &&Pool| held.ips.iter().all(|ip| pool.contains(*ip));
            let mut candidates = pools.iter().filter(holds_all);
            let same = candidates.clone().find(|pool| pool.name == held.pool);
            let Some(pool) = same.or_else(|| candidates.next()) else {
                change.released.push((service, held));
                continue;
            };
            let (from, to) = (held.pool, pool.name.clone());
            if from != to {
                change.moved.push(Moved { service: service.clone(), from, to: to.clone() });
            }
            kept.insert(service, (Assignment { pool: to, ips: held.ips }, question));
        }
        self.held = kept;
        change
    }
}

impl Command {
    fn question(&self) -> Option<&Question> {
        match self {
            Self::Assign(question, _)
            | Self::Allocate(question)
            | Self::AllocateFrom(question, _)
            | Self::AddFamily(question) => Some(question),
            Self::SetPools(_) | Self::SetReserved(_) | Self::Release(_) => None,
        }
    }
}

/// The addresses of a pool in the order in which they are given out.
fn addresses(pool: &Pool, family: Family) -> Vec<IpAddr> {
    pool.ranges
        .iter()
        .filter(|range| range.family() == family)
        .flat_map(|range| to_bits(range.first())..=to_bits(range.last()))
        .map(|bits| from_bits(family, bits))
        .filter(|ip| match ip {
            IpAddr::V4(v4) => !(pool.avoid_buggy_ips && matches!(v4.octets()[3], 0 | 255)),
            IpAddr::V6(_) => true,
        })
        .collect()
}

fn is_for(pool: &Pool, question: &Question) -> bool {
    pool.pinning.as_ref().is_none_or(|pinning| {
        let selectors = &pinning.service_selectors;
        pinning.namespaces.as_ref().is_none_or(|set| set.contains(&*question.service.namespace))
            && (selectors.is_empty() || selectors.iter().any(|s| s.matches(&question.labels)))
    })
}

fn may_share(a: &Question, b: &Question) -> bool {
    let ports = |question: &Question| question.ports.iter().copied().collect::<BTreeSet<Port>>();
    !a.sharing_key.is_empty()
        && a.sharing_key == b.sharing_key
        && a.backend_key == b.backend_key
        && ports(a).is_disjoint(&ports(b))
}
