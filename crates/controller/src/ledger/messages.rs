//! What goes into the ledger, and what comes out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_api::{IPAddressPool, L2Advertisement};
use ferrolb_ipam::{Counters, NodeName, PoolName, ServiceKey};
use ferrolb_model::{Namespace, Node, Problem};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::converge::Note;
use crate::row::Row;

/// Something that happened outside.
#[derive(Clone, Debug)]
pub enum Change {
    /// A Service is there, or changed.
    Service(Box<Row>),
    /// A Service is gone, or no longer of type `LoadBalancer`.
    ServiceGone(ServiceKey),
    /// A pool is there, changed, or is gone.
    Pool(String, Option<Box<IPAddressPool>>),
    /// An advertisement, read for the sake of its problems only.
    L2Advertisement(String, Option<Box<L2Advertisement>>),
    /// A Namespace is there, changed, or is gone.
    Namespace(Arc<str>, Option<Namespace>),
    /// A Node is there, changed, or is gone.
    Node(NodeName, Option<Node>),
    /// A status write came back: one answer to each [`Effect::Write`].
    Written(ServiceKey, WriteResult),
    /// Decide about a Service once more.
    Again(ServiceKey),
    /// These are all the reports about who announces a Service.
    Announced(ServiceKey, BTreeSet<Arc<str>>),
    /// Speakers refuse to announce these addresses of a Service, and no others, because a station
    /// outside the cluster has each.
    Refused(ServiceKey, BTreeMap<IpAddr, String>),
    /// Every report there was at the start was told.
    AnnouncedComplete,
}

/// How a status write ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WriteResult {
    /// The Service has the status, at this version.
    Done(Arc<str>),
    /// Somebody else was faster; the change is on its way to us.
    Conflict,
    /// The Service is gone.
    Missing,
    /// The server refuses; worth another try later.
    Failed,
}

/// Something to do outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Write the status of a Service.
    Write(StatusWrite),
    /// Record an Event on a Service.
    Event {
        /// The Service.
        service: Arc<ServiceRef>,
        /// Reason and sentence.
        note: Note,
    },
    /// Figures of a pool changed; none: the pool is gone.
    Figures(PoolName, Option<Counters>),
    /// So many Services wait in vain for this reason.
    Pending(String, usize),
    /// A configuration was taken over that differs from the one before.
    Configured {
        /// Problems that were not there before.
        new_problems: Vec<Problem>,
        /// Some object is invalid.
        stale: bool,
    },
    /// A Service whose status we had written is gone from our sight.
    Retired(ServiceKey),
}

/// What events need to know of a Service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceRef {
    /// Namespace and name.
    pub key: ServiceKey,
    /// `metadata.uid`.
    pub uid: Arc<str>,
    /// `metadata.resourceVersion`.
    pub resource_version: Arc<str>,
}

/// What is to be written of the status of a Service.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusWrite {
    /// The Service.
    pub key: ServiceKey,
    /// The version this was decided on.
    pub resource_version: Arc<str>,
    /// Addresses and their pool; none: they stay as they are.
    pub balancer: Option<Balancer>,
    /// All conditions; none: they stay as they are.
    pub conditions: Option<Arc<[Condition]>>,
}

/// The addresses a Service is to show.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Balancer {
    /// In order; none clears the status.
    pub addresses: Vec<IpAddr>,
    /// Their pool.
    pub pool: Option<PoolName>,
}
