//! The facts of a Service's status that are ours.

use std::net::IpAddr;

use ferrolb_api::conditions::{ALLOCATED, ANNOUNCED};
use ferrolb_ipam::PoolName;
use ferrolb_model::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::standing::Standing;

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
