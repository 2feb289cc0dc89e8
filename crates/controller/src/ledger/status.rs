//! The facts of a Service's status that are ours.

use std::net::IpAddr;

use ferrolb_api::conditions::{ALLOCATED, ANNOUNCED};
use ferrolb_ipam::PoolName;
use ferrolb_model::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::standing::{Standing, condition};

/// What is stored with a Service, or is to be.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Status {
    /// `ingress[].ip`, in order; none for an entry that names a host.
    pub(super) ingress: Vec<Option<String>>,
    /// Annotation `ip-allocated-from-pool`.
    pub(super) pool: Option<String>,
    /// What the condition of that name says.
    pub(super) allocated: Option<Standing>,
    /// What the condition of that name says.
    pub(super) announced: Option<Standing>,
}

impl Status {
    pub(super) fn new(addresses: &[IpAddr], pool: Option<&PoolName>) -> Self {
        Self {
            ingress: addresses.iter().map(|ip| Some(ip.to_string())).collect(),
            pool: pool.map(ToString::to_string),
            ..Self::default()
        }
    }

    pub(super) fn of_row(row: &Service, conditions: &[Condition]) -> Self {
        Self {
            ingress: row.ingress.iter().map(|entry| entry.ip.clone()).collect(),
            pool: row.annotations.allocated_from_pool.clone(),
            allocated: Standing::read(conditions, ALLOCATED),
            announced: Standing::read(conditions, ANNOUNCED),
        }
    }

    /// This status with other conditions.
    pub(super) fn with(self, allocated: Option<Standing>, announced: Option<Standing>) -> Self {
        Self { allocated, announced, ..self }
    }

    /// Same addresses and pool.
    pub(super) fn same_balancer(&self, other: &Self) -> bool {
        (&self.ingress, &self.pool) == (&other.ingress, &other.pool)
    }

    pub(super) fn same_conditions(&self, other: &Self) -> bool {
        (&self.allocated, &self.announced) == (&other.allocated, &other.announced)
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.ingress.iter().filter_map(Option::as_deref)
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.texts().filter_map(|text| text.parse().ok()).map(|ip: IpAddr| ip.to_canonical())
    }
}

/// All conditions of a Service, in order. What ours say is known from its [`Status`], and not kept twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions(Box<[Slot]>);

/// One of them.
#[derive(Clone, Debug)]
enum Slot {
    /// Ours, and since when it is true or false.
    Allocated(Time),
    /// The other of ours.
    Announced(Time),
    Foreign(Box<Condition>),
}

impl Conditions {
    pub(super) fn of(conditions: &[Condition]) -> Self {
        let slot = |condition: &Condition| match condition.type_.as_str() {
            ALLOCATED => Slot::Allocated(condition.last_transition_time.clone()),
            ANNOUNCED => Slot::Announced(condition.last_transition_time.clone()),
            _ => Slot::Foreign(Box::new(condition.clone())),
        };
        Self(conditions.iter().map(slot).collect())
    }

    /// Each of them, where ours say what `status` does.
    pub(super) fn in_full(&self, status: &Status) -> Vec<Condition> {
        let ours = |kind, standing: &Option<Standing>, since: &Time| {
            standing.as_ref().map(|standing| condition(kind, standing, since.clone()))
        };
        let condition = |slot: &Slot| match slot {
            Slot::Allocated(since) => ours(ALLOCATED, &status.allocated, since),
            Slot::Announced(since) => ours(ANNOUNCED, &status.announced, since),
            Slot::Foreign(condition) => Some((**condition).clone()),
        };
        self.0.iter().filter_map(condition).collect()
    }
}
