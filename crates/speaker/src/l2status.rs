//! `ServiceL2Status`: one object per Service that this node announces, and none besides.
//!
//! ```text
//!  owner ── want(Service, interfaces) ──►┐
//!  watch of status objects ──────────────┼──► Reconciler ──► Create / Patch / Delete
//!  how writes ended ─────────────────────┘
//! ```
//!
//! Who announces owns the truth: it removes what other nodes left behind. Who does not announce
//! removes only its own. What was written counts as there at once, so that neither the next step waits
//! for the watch nor is anything written twice because the watch is late.
//!
//! Decides only: the owner task carries the actions out and reports back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use ferrolb_api::{ServiceL2Status, labels, names};
use ferrolb_ipam::{NodeName, ServiceKey};
use ferrolb_kube_rt::status::Outcome;
use ferrolb_kube_rt::version;
use ferrolb_model::{Announcement, Interfaces};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A status object, as far as we read it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Row {
    /// The Service it is about, by its labels.
    service: ServiceKey,
    /// The node it is of, by its label.
    node: Arc<str>,
    /// `status.node`; empty until the status is written.
    status_node: String,
    /// `status.interfaces[].name`, sorted.
    interfaces: BTreeSet<String>,
    /// `metadata.uid` of the Pod it goes with; empty for none.
    owner: Arc<str>,
    /// `metadata.resourceVersion`.
    version: Arc<str>,
}

impl Row {
    /// Reduces an object; one without our labels is not ours to look at.
    pub(crate) fn of(object: ServiceL2Status) -> Option<Self> {
        let mut all = object.metadata.labels.unwrap_or_default();
        let status = object.status.unwrap_or_default();
        Some(Self {
            service: ServiceKey::new(
                all.remove(labels::SERVICE_NAMESPACE)?,
                all.remove(labels::SERVICE_NAME)?,
            ),
            node: all.remove(labels::NODE)?.into(),
            status_node: status.node,
            interfaces: status.interfaces.into_iter().map(|interface| interface.name).collect(),
            owner: object
                .metadata
                .owner_references
                .unwrap_or_default()
                .into_iter()
                .find(|owner| owner.kind == "Pod")
                .map_or_else(Arc::default, |owner| owner.uid.into()),
            version: object.metadata.resource_version.unwrap_or_default().into(),
        })
    }
}

/// Something to write. Each object is written by name, one write at a time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Make the object.
    Create(Value),
    /// Set its status, with a merge patch.
    SetStatus(Value),
    /// Set whose it is, with a merge patch.
    SetOwner(Value),
    /// Remove it.
    Delete,
}

/// When to look again at what is left to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Again {
    /// At once.
    Now,
    /// When the watch shows more, or after a while: somebody was faster.
    Soon,
    /// After a long while: the server refuses.
    Late,
}

/// What the row will be when the write under way is done.
#[derive(Clone, Debug)]
enum Doing {
    Set(Row),
    Delete,
}

/// The Pod that owns status objects: they go with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct OwnerPod {
    pub(crate) name: Arc<str>,
    pub(crate) uid: Arc<str>,
}

/// Wanted and existing status objects.
pub(crate) struct Reconciler {
    node: NodeName,
    namespace: String,
    owner: Option<OwnerPod>,
    wanted: BTreeMap<ServiceKey, BTreeSet<String>>,
    /// What exists, by name of object.
    rows: BTreeMap<Arc<str>, Row>,
    by_service: BTreeMap<ServiceKey, BTreeSet<Arc<str>>>,
    /// Objects with a write under way.
    busy: BTreeMap<Arc<str>, Doing>,
    /// The watch has listed what there is.
    listed: bool,
}

impl Reconciler {
    pub(crate) fn new(node: NodeName, namespace: String) -> Self {
        Self {
            node,
            namespace,
            owner: None,
            wanted: BTreeMap::new(),
            rows: BTreeMap::new(),
            by_service: BTreeMap::new(),
            busy: BTreeMap::new(),
            listed: false,
        }
    }

    /// The Pod that the objects of this node belong to. Returns the Services to reconcile.
    pub(crate) fn set_owner(&mut self, owner: OwnerPod) -> BTreeSet<ServiceKey> {
        if self.owner.replace(owner) == self.owner {
            return BTreeSet::new();
        }
        self.wanted.keys().cloned().collect()
    }

    /// The watch has listed what there is; nothing is written before, because it might be there.
    /// Returns the Services to reconcile.
    pub(crate) fn set_listed(&mut self) -> BTreeSet<ServiceKey> {
        self.listed = true;
        self.wanted.keys().chain(self.by_service.keys()).cloned().collect()
    }

    /// This node announces `service` like this, or not at all.
    pub(crate) fn want(&mut self, service: &ServiceKey, announcement: Option<&Announcement>) {
        match announcement {
            Some(announcement) => {
                self.wanted.insert(service.clone(), interfaces(announcement));
            }
            None => {
                self.wanted.remove(service);
            }
        }
    }

    /// An object is there, changed or is gone. Returns the Services to reconcile.
    pub(crate) fn see(&mut self, name: &Arc<str>, row: Option<Row>) -> BTreeSet<ServiceKey> {
        let known = self.rows.get(name);
        if let (Some(known), Some(row)) = (known, &row)
            && version::is_newer(&known.version, &row.version)
        {
            // Our own write is newer.
            return BTreeSet::new();
        }
        let concerned = known.into_iter().chain(&row).map(|row| row.service.clone()).collect();
        self.store(name, row);
        concerned
    }

    fn store(&mut self, name: &Arc<str>, row: Option<Row>) {
        if let Some(old) = self.rows.remove(name)
            && let Some(names) = self.by_service.get_mut(&old.service)
        {
            names.remove(name);
            if names.is_empty() {
                self.by_service.remove(&old.service);
            }
        }
        if let Some(row) = row {
            self.by_service.entry(row.service.clone()).or_default().insert(Arc::clone(name));
            self.rows.insert(Arc::clone(name), row);
        }
    }

    /// The write of an object ended.
    pub(crate) fn written(&mut self, name: &Arc<str>, outcome: &Outcome) -> Again {
        let Some(doing) = self.busy.remove(name) else { return Again::Now };
        match (outcome, doing) {
            (Outcome::Written { resource_version, .. }, Doing::Set(row)) => {
                let row = Row { version: Arc::clone(resource_version), ..row };
                let known = self.rows.get(name);
                if known.is_none_or(|known| !version::is_newer(&known.version, &row.version)) {
                    self.store(name, Some(row));
                }
                Again::Now
            }
            (Outcome::Written { .. } | Outcome::Missing, _) => {
                self.store(name, None);
                Again::Now
            }
            // No guard stands before a speaker's writes, so nothing is refused for long.
            (Outcome::Conflict | Outcome::Refused, _) => Again::Soon,
            (Outcome::Failed(_), _) => Again::Late,
        }
    }

    /// What to write so that the objects of `service` are as they should be.
    pub(crate) fn reconcile(&mut self, service: &ServiceKey) -> Vec<(Arc<str>, Action)> {
        if !self.listed {
            return Vec::new();
        }
        let existing: Vec<Arc<str>> =
            self.by_service.get(service).into_iter().flatten().cloned().collect();
        let mut steps: Vec<(Arc<str>, Action, Doing)> = Vec::new();
        match self.wanted.get(service) {
            None => {
                let own = existing.into_iter().filter(|name| self.is_own(name));
                steps.extend(own.map(|name| (name, Action::Delete, Doing::Delete)));
            }
            Some(wanted) => {
                let kept = existing.iter().find(|name| self.is_own(name)).cloned();
                let others = existing.into_iter().filter(|name| Some(name) != kept.as_ref());
                steps.extend(others.map(|name| (name, Action::Delete, Doing::Delete)));
                steps.extend(self.step(service, wanted, kept));
            }
        }
        let mut actions = Vec::new();
        for (name, action, doing) in steps {
            if !self.busy.contains_key(&name) {
                self.busy.insert(Arc::clone(&name), doing);
                actions.push((name, action));
            }
        }
        actions
    }

    /// The next step towards the object of `service`, of which this node has `kept`.
    fn step(
        &self,
        service: &ServiceKey,
        wanted: &BTreeSet<String>,
        kept: Option<Arc<str>>,
    ) -> Option<(Arc<str>, Action, Doing)> {
        let owner = self.owner.as_ref().map_or_else(Arc::default, |pod| Arc::clone(&pod.uid));
        let Some((name, row)) = kept.and_then(|name| self.rows.get_key_value(&name)) else {
            let row = Row {
                service: service.clone(),
                node: self.node.as_str().into(),
                status_node: String::new(),
                interfaces: BTreeSet::new(),
                owner,
                version: Arc::default(),
            };
            let create = Action::Create(self.object(service));
            return Some((self.name_of(service), create, Doing::Set(row)));
        };
        if row.status_node != self.node.as_str() || row.interfaces != *wanted {
            let next = Row {
                status_node: self.node.to_string(),
                interfaces: wanted.clone(),
                ..row.clone()
            };
            let action = Action::SetStatus(self.status(service, wanted));
            return Some((Arc::clone(name), action, Doing::Set(next)));
        }
        if self.owner.is_some() && row.owner != owner {
            let action =
                Action::SetOwner(json!({ "metadata": { "ownerReferences": self.owners() } }));
            return Some((Arc::clone(name), action, Doing::Set(Row { owner, ..row.clone() })));
        }
        None
    }

    fn is_own(&self, name: &Arc<str>) -> bool {
        self.rows.get(name).is_some_and(|row| *row.node == *self.node.as_str())
    }

    /// A name that a restarted speaker finds again: no second object for the same thing.
    fn name_of(&self, service: &ServiceKey) -> Arc<str> {
        let digest = Sha256::digest(format!("{service}@{}", self.node));
        let mut name = "l2-".to_owned();
        for byte in digest.iter().take(8) {
            // Writing to a String does not fail.
            let _ = write!(name, "{byte:02x}");
        }
        name.into()
    }

    fn owners(&self) -> Option<Value> {
        self.owner.as_ref().map(|pod| {
            json!([{ "apiVersion": "v1", "kind": "Pod", "name": &*pod.name, "uid": &*pod.uid }])
        })
    }

    fn object(&self, service: &ServiceKey) -> Value {
        json!({
            "apiVersion": names::API_VERSION,
            "kind": "ServiceL2Status",
            "metadata": {
                "name": &*self.name_of(service),
                "namespace": self.namespace,
                "labels": {
                    labels::NODE: self.node.as_str(),
                    labels::SERVICE_NAME: &*service.name,
                    labels::SERVICE_NAMESPACE: &*service.namespace,
                },
                "ownerReferences": self.owners(),
            },
            "spec": {},
        })
    }

    fn status(&self, service: &ServiceKey, interfaces: &BTreeSet<String>) -> Value {
        let interfaces: Vec<_> = interfaces.iter().map(|name| json!({ "name": name })).collect();
        json!({ "status": {
            "node": self.node.as_str(),
            "serviceName": &*service.name,
            "serviceNamespace": &*service.namespace,
            "interfaces": interfaces,
        }})
    }
}

/// The interfaces named by any address; none named means all.
fn interfaces(announcement: &Announcement) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, interfaces) in &announcement.addresses {
        match interfaces {
            Interfaces::All => return BTreeSet::new(),
            Interfaces::Named(some) => names.extend(some.iter().cloned()),
        }
    }
    names
}

#[cfg(test)]
mod tests;
