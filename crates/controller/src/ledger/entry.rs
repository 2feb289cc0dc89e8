//! One Service: what the API server stores, what it is to store, and what is under way.
//!
//! ```text
//!            decide: differs           send                 Done
//!  stored ───────────────────► plan ─────────► attempt ───────────► stored
//!     ▲                         ▲                 │ Conflict, Failed
//!     └── row of the watch      └─────────────────┘
//! ```
//!
//! While there is a plan, it is what the Service has, whatever the watch shows: rows may be older
//! than the decision (Q-25).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_api::reasons::{EventReason, EventType};
use ferrolb_ipam::PoolName;
use ferrolb_kube_rt::version::{is_at_least, is_newer};
use ferrolb_model::Service;

use super::messages::{Effect, ServiceRef, WriteResult};
use crate::converge::{Decision, Note};

/// A Service and where it stands.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) row: Service,
    /// What the API server stores, as far as we know.
    stored: Status,
    /// Version of `stored`, while our own write makes it newer than `row`.
    ahead: Option<Arc<str>>,
    /// What was decided and is not stored.
    plan: Option<Status>,
    /// What was sent and not answered.
    attempt: Option<Attempt>,
    /// Addresses of writes of which it is unknown whether they were done.
    doubt: Option<Doubt>,
    /// The warnings that were told last, so that each is told once.
    told: Vec<Note>,
    /// Place among those that wait for an address.
    pub(super) waiting: Option<u64>,
    /// Not ours: what its status says is no concern of ours.
    pub(super) foreign: bool,
    /// Something happened while a write was under way.
    pub(super) again: bool,
}

/// The facts of a status that are ours.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Status {
    /// `ingress[].ip`, in order; none for an entry that names a host.
    ingress: Vec<Option<String>>,
    /// Annotation `ip-allocated-from-pool`.
    pool: Option<String>,
}

#[derive(Debug)]
struct Attempt {
    status: Status,
    basis: Arc<str>,
}

#[derive(Debug)]
struct Doubt {
    addresses: BTreeSet<IpAddr>,
    /// A row that is newer settles it: the writes cannot be done on top of it.
    basis: Arc<str>,
}

impl Entry {
    pub(super) fn new(row: Service) -> Self {
        Self {
            stored: Status::of_row(&row),
            row,
            ahead: None,
            plan: None,
            attempt: None,
            doubt: None,
            told: Vec::new(),
            waiting: None,
            foreign: false,
            again: false,
        }
    }

    /// The watch shows `row`.
    pub(super) fn see(&mut self, row: Service) {
        let version = &row.resource_version;
        if self.doubt.as_ref().is_some_and(|doubt| is_newer(version, &doubt.basis)) {
            self.doubt = None;
        }
        if self.ahead.as_ref().is_none_or(|ahead| is_at_least(version, ahead)) {
            self.ahead = None;
            self.stored = Status::of_row(&row);
        }
        self.row = row;
        // To be decided anew.
        self.foreign = false;
        self.drop_plan_if_stored();
    }

    /// A write came back. Returns whether there is something to decide at once.
    pub(super) fn written(&mut self, result: &WriteResult) -> bool {
        let again = std::mem::take(&mut self.again);
        let Some(Attempt { status, basis }) = self.attempt.take() else {
            // The answer is to a Service that had this name before.
            return true;
        };
        match result {
            WriteResult::Done(version) => {
                self.doubt = None;
                if !is_newer(&self.row.resource_version, version) {
                    self.stored = status;
                    let is_shown = self.row.resource_version == *version;
                    self.ahead = (!is_shown).then(|| Arc::clone(version));
                }
                self.drop_plan_if_stored();
                again || self.plan.is_some()
            }
            // What was in the way is here, or comes by the watch.
            WriteResult::Conflict => again || basis != self.row.resource_version,
            WriteResult::Missing | WriteResult::Failed => {
                self.doubt = None;
                again
            }
        }
    }

    /// The addresses the Service has: those decided on, until the API server stores them.
    pub(super) fn held(&self) -> Vec<String> {
        self.plan.as_ref().unwrap_or(&self.stored).texts().map(str::to_owned).collect()
    }

    /// Whether the API server stores what the Service has.
    pub(super) fn is_stored(&self) -> bool {
        self.plan.is_none()
    }

    /// Addresses that the API server shows for this Service, or might.
    pub(super) fn shown(&self) -> BTreeSet<IpAddr> {
        let doubtful = self.doubt.iter().flat_map(|doubt| doubt.addresses.iter().copied());
        self.stored.addresses().chain(doubtful).collect()
    }

    /// Takes over a decision. Returns whether something is left to be stored.
    pub(super) fn decided(&mut self, decision: &Decision) -> bool {
        let status = Status::of_decision(decision);
        self.plan = (status != self.stored).then_some(status);
        self.plan.is_some()
    }

    /// Whether everything stored is among `addresses`, or nothing is.
    pub(super) fn stores_nothing_but(&self, addresses: &[IpAddr]) -> bool {
        self.stored.ingress.iter().all(Option::is_some)
            && self.stored.addresses().all(|ip| addresses.contains(&ip))
    }

    /// `addresses` of `pool` are being written. Returns the version to write on.
    pub(super) fn send(&mut self, addresses: &[IpAddr], pool: Option<&PoolName>) -> Arc<str> {
        let basis = Arc::clone(self.ahead.as_ref().unwrap_or(&self.row.resource_version));
        let status = Status::new(addresses, pool);
        let doubt = self
            .doubt
            .get_or_insert_with(|| Doubt { addresses: BTreeSet::new(), basis: Arc::clone(&basis) });
        doubt.basis = Arc::clone(&basis);
        doubt.addresses.extend(addresses);
        self.attempt = Some(Attempt { status, basis: Arc::clone(&basis) });
        basis
    }

    /// Tells what happened; a warning that lasts is told once.
    pub(super) fn tell(&mut self, notes: Vec<Note>, effects: &mut Vec<Effect>) {
        let service = self.reference();
        let mut warnings = Vec::new();
        for note in notes {
            let is_warning = note.reason.event_type() == EventType::Warning;
            if !(is_warning && self.told.contains(&note)) {
                effects.push(Effect::Event { service: Arc::clone(&service), note: note.clone() });
            }
            if is_warning {
                warnings.push(note);
            }
        }
        self.told = warnings;
    }

    /// Points at annotations under their old prefix, whenever they led to a change.
    pub(super) fn deprecated(&self, effects: &mut Vec<Effect>) {
        for key in &self.row.annotations.deprecated_keys {
            let message = format!(
                "annotation {key} has a deprecated prefix, use metallb.io/ instead of metallb.universe.tf/"
            );
            let note = Note { reason: EventReason::DeprecatedAnnotation, message };
            effects.push(Effect::Event { service: self.reference(), note });
        }
    }

    fn drop_plan_if_stored(&mut self) {
        if self.plan.as_ref() == Some(&self.stored) {
            self.plan = None;
        }
    }

    fn reference(&self) -> Arc<ServiceRef> {
        Arc::new(ServiceRef {
            key: self.row.key.clone(),
            uid: Arc::clone(&self.row.uid),
            resource_version: Arc::clone(&self.row.resource_version),
        })
    }
}

impl Status {
    fn new(addresses: &[IpAddr], pool: Option<&PoolName>) -> Self {
        Self {
            ingress: addresses.iter().map(|ip| Some(ip.to_string())).collect(),
            pool: pool.map(ToString::to_string),
        }
    }

    fn of_decision(decision: &Decision) -> Self {
        Self::new(&decision.addresses, decision.pool.as_ref())
    }

    fn of_row(row: &Service) -> Self {
        Self {
            ingress: row.ingress.iter().map(|entry| entry.ip.clone()).collect(),
            pool: row.annotations.allocated_from_pool.clone(),
        }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.ingress.iter().filter_map(Option::as_deref)
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.texts().filter_map(|text| text.parse().ok()).map(|ip: IpAddr| ip.to_canonical())
    }
}
