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
use std::time::Duration;

use ferrolb_api::conditions::{ALLOCATED, ANNOUNCED};
use ferrolb_api::reasons::{EventReason, EventType};
use ferrolb_kube_rt::version::{is_at_least, is_newer};
use ferrolb_model::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::messages::{Balancer, Effect, ServiceRef, StatusWrite, WriteResult};
use super::rivalry::Rivalry;
use super::status::{Conditions, Status};
use crate::converge::Note;
use crate::row::Row;
use crate::standing::merged;

/// Who serves a Service, by its class.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Whose {
    /// Not decided. Conditions it has may be those of another installation for another class.
    Unknown,
    /// Ours. If it stops being so, what we said of it is taken back, once.
    Ours,
    /// Not ours: what its status says is no concern of ours.
    Others,
}

/// A Service and where it stands.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) row: Service,
    /// Who else wrote the addresses of `row`.
    rival: Option<Arc<str>>,
    /// What the API server stores, as far as we know.
    stored: Status,
    /// All conditions that go with `stored`.
    conditions: Conditions,
    /// Version of `stored`, while our own write makes it newer than `row`.
    ahead: Option<Arc<str>>,
    /// The version that first showed an address which is stored now and was not before.
    since: Arc<str>,
    /// What was decided and is not stored.
    plan: Option<Arc<Status>>,
    /// What was sent and not answered.
    attempt: Option<Box<Attempt>>,
    /// Addresses of writes of which it is unknown whether they were done.
    doubt: Option<Box<Doubt>>,
    /// Addresses that we have written were stored, so that others are foreign.
    ours: bool,
    pub(super) rivalry: Rivalry,
    /// The warnings that were told last, so that each is told once.
    told: Vec<Note>,
    /// Place among those that wait for an address.
    pub(super) waiting: Option<u64>,
    /// Whose it was when it was last decided about.
    pub(super) whose: Whose,
    /// Something happened while a write was under way.
    pub(super) again: bool,
    /// The round of listing that showed it last.
    pub(super) round: u64,
}

#[derive(Debug)]
struct Attempt {
    status: Arc<Status>,
    conditions: Option<Conditions>,
    basis: Arc<str>,
}

#[derive(Debug, Default)]
struct Doubt {
    addresses: Vec<IpAddr>,
    /// A row that is newer settles it: the writes cannot be done on top of it.
    basis: Arc<str>,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answered {
    /// There is something to decide at once.
    pub(super) again: bool,
    /// We begin to yield to a rival.
    pub(super) yields: bool,
    /// Addresses of ours are stored; the watch may have shown them before the answer came.
    pub(super) stored_addresses: bool,
}

impl Entry {
    pub(super) fn new(row: Row) -> Self {
        let Row { service, conditions, rival } = row;
        let stored = Status::of_row(&service, &conditions);
        Self::showing(service, rival, stored, Conditions::of(&conditions))
    }

    fn showing(
        row: Service,
        rival: Option<Arc<str>>,
        stored: Status,
        conditions: Conditions,
    ) -> Self {
        Self {
            since: Arc::clone(&row.resource_version),
            row,
            rival,
            stored,
            conditions,
            ahead: None,
            plan: None,
            attempt: None,
            doubt: None,
            ours: false,
            rivalry: Rivalry::default(),
            told: Vec::new(),
            waiting: None,
            whose: Whose::Unknown,
            again: false,
            round: 0,
        }
    }

    /// Forgets everything but what the watch shows, and since when.
    pub(super) fn restart(&mut self) {
        let Status { allocated, announced, .. } = std::mem::take(&mut self.stored);
        let stored = Status::of_row(&self.row, &[]).with(allocated, announced);
        let conditions = std::mem::take(&mut self.conditions);
        let (since, round) = (Arc::clone(&self.since), self.round);
        let shown = Self::showing(self.row.clone(), self.rival.take(), stored, conditions);
        *self = Self { since, round, ..shown };
    }

    /// The watch shows `row`. Returns whether we begin to yield to a rival.
    pub(super) fn see(&mut self, row: Row, now: Duration) -> bool {
        let Row { service, conditions, rival } = row;
        let version = Arc::clone(&service.resource_version);
        if self.doubt.as_ref().is_some_and(|doubt| is_newer(&version, &doubt.basis)) {
            self.doubt = None;
        }
        if !same_wish(&self.row, &service) {
            self.rivalry.user_change();
        }
        self.row = service;
        self.rival = rival;
        let mut yields = false;
        if self.ahead.as_ref().is_none_or(|ahead| is_at_least(&version, ahead)) {
            self.ahead = None;
            let status = Status::of_row(&self.row, &conditions);
            self.conditions = Conditions::of(&conditions);
            if status.ingress != self.stored.ingress {
                yields = self.is_foreign_write(now);
            }
            self.take_stored(status, &version);
        }
        if self.whose == Whose::Others {
            // To be decided anew.
            self.whose = Whose::Unknown;
        }
        self.drop_plan_if_stored();
        yields
    }

    /// A write came back.
    pub(super) fn written(&mut self, result: &WriteResult, now: Duration) -> Answered {
        let again = std::mem::take(&mut self.again);
        let Some(attempt) = self.attempt.take() else {
            // The answer is to a Service that had this name before.
            return Answered { again: true, ..Answered::default() };
        };
        let Attempt { status, conditions, basis } = *attempt;
        let mut answered = Answered { again, ..Answered::default() };
        match result {
            WriteResult::Done(version) => {
                self.doubt = None;
                answered.stored_addresses = status.texts().next().is_some();
                self.ours |= answered.stored_addresses;
                if is_newer(&self.row.resource_version, version) {
                    // The watch was faster, and shows that somebody wrote after us.
                    if Status::of_row(&self.row, &[]).ingress != status.ingress {
                        answered.yields = self.is_foreign_write(now);
                    }
                } else {
                    self.take_stored(Arc::unwrap_or_clone(status), version);
                    if let Some(conditions) = conditions {
                        self.conditions = conditions;
                    }
                    let is_shown = self.row.resource_version == *version;
                    self.ahead = (!is_shown).then(|| Arc::clone(version));
                }
                self.drop_plan_if_stored();
                answered.again |= self.plan.is_some();
            }
            // What was in the way is here, or comes by the watch.
            WriteResult::Conflict => answered.again |= basis != self.row.resource_version,
            WriteResult::Missing | WriteResult::Failed => self.doubt = None,
        }
        answered
    }

    /// The addresses the Service has: those decided on, until the API server stores them.
    pub(super) fn held(&self) -> Vec<String> {
        self.plan.as_deref().unwrap_or(&self.stored).texts().map(str::to_owned).collect()
    }

    /// What the API server stores, as far as we know.
    pub(super) fn stored(&self) -> &Status {
        &self.stored
    }

    /// Whether the API server stores the addresses the Service has.
    pub(super) fn is_stored(&self) -> bool {
        self.plan.as_ref().is_none_or(|plan| plan.same_balancer(&self.stored))
    }

    /// The version that first showed what is stored.
    pub(super) fn since(&self) -> &str {
        &self.since
    }

    /// Addresses that the API server shows for this Service, or might.
    pub(super) fn shown(&self) -> BTreeSet<IpAddr> {
        let doubtful = self.doubt.iter().flat_map(|doubt| doubt.addresses.iter().copied());
        self.stored.addresses().chain(doubtful).collect()
    }

    /// This is what the Service is to have. Returns whether something is left to be stored.
    pub(super) fn plan(&mut self, status: Status) -> bool {
        self.plan = (status != self.stored).then(|| Arc::new(status));
        self.plan.is_some()
    }

    /// Nothing is left to be stored.
    pub(super) fn drop_plan(&mut self) {
        self.plan = None;
    }

    /// What is left to be stored.
    pub(super) fn planned(&self) -> Option<Arc<Status>> {
        self.plan.clone()
    }

    /// Whether everything stored is among `addresses`, or nothing is.
    pub(super) fn stores_nothing_but(&self, addresses: &[IpAddr]) -> bool {
        self.stored.ingress.iter().all(Option::is_some)
            && self.stored.addresses().all(|ip| addresses.contains(&ip))
    }

    /// `status` is being written at the time `wall`: as much of it as differs from what is stored.
    pub(super) fn send(&mut self, status: Arc<Status>, wall: &Time) -> StatusWrite {
        let basis = Arc::clone(self.ahead.as_ref().unwrap_or(&self.row.resource_version));
        let balancer = (!status.same_balancer(&self.stored)).then(|| Balancer {
            addresses: status.addresses().collect(),
            pool: status.pool.as_deref().map(Into::into),
        });
        if let Some(Balancer { addresses, .. }) = &balancer {
            let doubt = self.doubt.get_or_insert_default();
            doubt.basis = Arc::clone(&basis);
            for ip in addresses {
                if !doubt.addresses.contains(ip) {
                    doubt.addresses.push(*ip);
                }
            }
        }
        let wanted =
            [(ALLOCATED, status.allocated.as_ref()), (ANNOUNCED, status.announced.as_ref())];
        let conditions = (!status.same_conditions(&self.stored))
            .then(|| merged(&self.conditions.in_full(&self.stored), wanted, wall));
        let write = StatusWrite {
            key: self.row.key.clone(),
            resource_version: Arc::clone(&basis),
            balancer,
            conditions: conditions.as_deref().map(Arc::from),
        };
        let conditions = conditions.as_deref().map(Conditions::of);
        self.attempt = Some(Box::new(Attempt { status, conditions, basis }));
        write
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

    pub(super) fn reference(&self) -> Arc<ServiceRef> {
        Arc::new(ServiceRef {
            key: self.row.key.clone(),
            uid: Arc::clone(&self.row.uid),
            resource_version: Arc::clone(&self.row.resource_version),
        })
    }

    /// The addresses in `row` are not what we wrote. Returns whether we begin to yield.
    fn is_foreign_write(&mut self, now: Duration) -> bool {
        match &self.rival {
            Some(rival) if self.ours => self.rivalry.foreign_write(now, rival),
            _ => false,
        }
    }

    fn take_stored(&mut self, status: Status, version: &Arc<str>) {
        let is_new = |ip: IpAddr| !self.stored.addresses().any(|known| known == ip);
        if status.addresses().any(is_new) {
            self.since = Arc::clone(version);
        }
        self.stored = status;
    }

    fn drop_plan_if_stored(&mut self) {
        if self.plan.as_deref() == Some(&self.stored) {
            self.plan = None;
        }
    }
}

/// Whether two rows of a Service ask for the same: all that users set is equal.
fn same_wish(one: &Service, other: &Service) -> bool {
    let mut one = one.clone();
    one.resource_version = Arc::clone(&other.resource_version);
    one.ingress.clone_from(&other.ingress);
    one.annotations.allocated_from_pool.clone_from(&other.annotations.allocated_from_pool);
    one == *other
}
