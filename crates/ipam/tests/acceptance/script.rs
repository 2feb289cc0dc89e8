//! Tables whose rows share state: each row is a test that replays, and checks, all rows up to it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ferrolb_addr::Family;
use ferrolb_ipam::{
    Allocator, DualPolicy, Families, Labels, Pinning, Pool, PoolName, Port, Refusal, Request,
    Selector, ServiceKey,
};

/// Makes a module of tests, one for each row, named as the row.
macro_rules! sequence {
    ($table:ident on $pools:expr; $($row:ident: $step:expr => $expected:expr;)*) => {
        mod $table {
            use super::*;

            fn rows() -> Vec<(&'static str, Step, Expected)> {
                vec![$((stringify!($row), $step, $expected)),*]
            }

            $(#[test]
            fn $row() {
                replay(&$pools, rows(), stringify!($row));
            })*
        }
    };
}
pub(crate) use sequence;

/// One command of one Service.
#[derive(Clone)]
pub(crate) struct Step {
    service: ServiceKey,
    labels: Labels,
    ports: Vec<Port>,
    sharing_key: &'static str,
    backend_key: &'static str,
    verb: Verb,
}

#[derive(Clone)]
enum Verb {
    Takes(Vec<IpAddr>),
    Asks(Families),
    AsksPool(Families, &'static str),
    AddsFamily,
    Leaves,
}

/// How a command ends.
pub(crate) enum Expected {
    /// With these addresses.
    Holds(&'static [&'static str]),
    /// With a refusal of this reason, and nothing changed.
    Refused(&'static str),
    /// With nothing held.
    Nothing,
}

pub(crate) use Expected::{Holds, Nothing, Refused};

pub(crate) const V4: Families = Families::Single(Family::V4);
pub(crate) const V6: Families = Families::Single(Family::V6);
pub(crate) const REQUIRE: Families = dual(DualPolicy::Require);
pub(crate) const PREFER: Families = dual(DualPolicy::Prefer);
pub(crate) const NO_POLICY: Families = dual(DualPolicy::Single);

const fn dual(policy: DualPolicy) -> Families {
    Families::Dual { policy, primary: Family::V4 }
}

/// A Service `name` in a namespace no pool knows.
pub(crate) fn s(name: &str) -> Step {
    Step {
        service: ServiceKey::new("default", name),
        labels: Labels::new(),
        ports: Vec::new(),
        sharing_key: "",
        backend_key: "",
        verb: Verb::Leaves,
    }
}

impl Step {
    pub(crate) fn takes(self, ips: &[&str]) -> Self {
        Self { verb: Verb::Takes(mk_ips(ips)), ..self }
    }

    pub(crate) fn asks(self, families: Families) -> Self {
        Self { verb: Verb::Asks(families), ..self }
    }

    pub(crate) fn asks_pool(self, families: Families, pool: &'static str) -> Self {
        Self { verb: Verb::AsksPool(families, pool), ..self }
    }

    pub(crate) fn adds_family(self) -> Self {
        Self { verb: Verb::AddsFamily, ..self }
    }

    pub(crate) fn leaves(self) -> Self {
        Self { verb: Verb::Leaves, ..self }
    }

    pub(crate) fn of(self, namespace: &str) -> Self {
        Self { service: ServiceKey::new(namespace, self.service.name), ..self }
    }

    pub(crate) fn labelled(mut self, key: &str, value: &str) -> Self {
        self.labels.extend([(key.to_owned(), value.to_owned())]);
        self
    }

    pub(crate) fn tcp(self, port: u16) -> Self {
        Self { ports: vec![Port::tcp(port)], ..self }
    }

    pub(crate) fn udp(self, port: u16) -> Self {
        Self { ports: vec![Port::udp(port)], ..self }
    }

    pub(crate) fn shares(self, sharing_key: &'static str, backend_key: &'static str) -> Self {
        Self { sharing_key, backend_key, ..self }
    }

    /// Runs the command; gives what the Service holds then, or the reason of the refusal.
    pub(crate) fn run(&self, allocator: &mut Allocator) -> Result<Vec<IpAddr>, &'static str> {
        self.answer(allocator).map_err(|refusal| refusal.reason())
    }

    /// Runs the command; gives what the Service holds then, or the refusal.
    pub(crate) fn answer(&self, allocator: &mut Allocator) -> Result<Vec<IpAddr>, Refusal> {
        let families = match self.verb {
            Verb::Asks(families) | Verb::AsksPool(families, _) => families,
            Verb::Takes(_) | Verb::AddsFamily | Verb::Leaves => V4,
        };
        let request = Request {
            service: &self.service,
            labels: &self.labels,
            ports: &self.ports,
            sharing_key: self.sharing_key,
            backend_key: self.backend_key,
            families,
        };
        let assignment = match &self.verb {
            Verb::Takes(ips) => allocator.assign(&request, ips)?,
            Verb::Asks(_) => allocator.allocate(&request)?,
            Verb::AsksPool(_, pool) => allocator.allocate_from(&request, &PoolName::from(*pool))?,
            Verb::AddsFamily => allocator.add_family(&request)?,
            Verb::Leaves => {
                allocator.release(&self.service);
                return Ok(Vec::new());
            }
        };
        Ok(assignment.ips)
    }
}

/// Runs `rows` up to the one named `until` on a fresh allocator, and checks each.
pub(crate) fn replay(
    pools: &[Pool],
    rows: Vec<(&'static str, Step, Expected)>,
    until: &'static str,
) {
    let mut allocator = Allocator::new();
    allocator.set_pools(pools.to_vec());
    for (row, step, expected) in rows {
        let before = allocator.assignment(&step.service).cloned();
        let result = step.run(&mut allocator);
        let after = allocator.assignment(&step.service);
        match expected {
            Holds(ips) => {
                assert_eq!(result, Ok(mk_ips(ips)), "{row}");
                let held = after.expect("recorded");
                assert_eq!(held.ips, mk_ips(ips), "{row}");
                assert!(held.ips.iter().all(|ip| {
                    allocator.pools().any(|pool| pool.name == held.pool && pool.contains(*ip))
                }));
            }
            Refused(reason) => {
                assert_eq!(result, Err(reason), "{row}");
                assert_eq!(after, before.as_ref(), "{row}: a refusal changes nothing");
            }
            Nothing => assert_eq!(after, None, "{row}"),
        }
        assert!(allocator.pools().all(|pool| pools.contains(pool)), "{row}: pools stay as given");
        if row == until {
            return;
        }
    }
    panic!("no row {until}");
}

/// A pool for everybody.
pub(crate) fn mk_pool(name: &str, ranges: &[&str]) -> Pool {
    Pool {
        name: name.into(),
        ranges: ranges.iter().map(|range| range.parse().expect(range)).collect(),
        auto_assign: true,
        avoid_buggy_ips: false,
        pinning: None,
    }
}

/// `pool` for Services of `namespaces` with `labels`; empty lists are any.
pub(crate) fn pinned(pool: Pool, priority: i64, namespaces: &[&str], labels: &[&str]) -> Pool {
    let selector = |label: &&str| {
        let (key, value) = label.split_once('=').expect("key=value");
        Selector::new(&BTreeMap::from([(key.to_owned(), value.to_owned())]), []).expect("valid")
    };
    let pinning = Pinning {
        priority,
        namespaces: (!namespaces.is_empty())
            .then(|| namespaces.iter().map(ToString::to_string).collect()),
        service_selectors: labels.iter().map(selector).collect(),
    };
    Pool { pinning: Some(pinning), ..pool }
}

/// `pool` without addresses that end in 0 or 255.
pub(crate) fn avoiding(pool: Pool) -> Pool {
    Pool { avoid_buggy_ips: true, ..pool }
}

pub(crate) fn mk_ips(ips: &[&str]) -> Vec<IpAddr> {
    ips.iter().map(|ip| ip.parse().expect(ip)).collect()
}
