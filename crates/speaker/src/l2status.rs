//! `ServiceL2Status`: one object per Service that this node announces, and none besides.
//!
//! ```text
//!  owner ── want(Service, interfaces) ──►┐
//!  watch of status objects ──────────────┼──► Reconciler ──► Create / Patch / Delete
//!  how writes ended ─────────────────────┘
//! ```
//!
//! Who announces owns the truth: it removes what other nodes left behind. Who does not announce
//! removes only its own. Pure: the owner task carries the actions out and reports back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ferrolb_api::{ServiceL2Status, labels, names};
use ferrolb_ipam::{NodeName, ServiceKey};
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
    /// Remove it.
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
    busy: BTreeSet<Arc<str>>,
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
            busy: BTreeSet::new(),
        }
    }

    /// The Pod that new objects belong to.
    pub(crate) fn set_owner(&mut self, owner: Option<OwnerPod>) {
        self.owner = owner;
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
        let mut concerned = BTreeSet::new();
        if let Some(old) = self.rows.remove(name) {
            if let Some(names) = self.by_service.get_mut(&old.service) {
                names.remove(name);
            }
            concerned.insert(old.service);
        }
        if let Some(row) = row {
            self.by_service.entry(row.service.clone()).or_default().insert(Arc::clone(name));
            concerned.insert(row.service.clone());
            self.rows.insert(Arc::clone(name), row);
        }
        concerned
    }

    /// The write of an object ended. Returns the Service to reconcile: what changed meanwhile was
    /// not acted on.
    pub(crate) fn written(&mut self, name: &Arc<str>, service: &ServiceKey) -> ServiceKey {
        self.busy.remove(name);
        service.clone()
    }

    /// What to write so that the objects of `service` are as they should be.
    pub(crate) fn reconcile(&mut self, service: &ServiceKey) -> Vec<(Arc<str>, Action)> {
        let existing: Vec<Arc<str>> =
            self.by_service.get(service).into_iter().flatten().cloned().collect();
        let mut actions = Vec::new();
        match self.wanted.get(service) {
            None => {
                let own = existing.iter().filter(|name| self.is_own(name)).cloned();
                actions.extend(own.map(|name| (name, Action::Delete)));
            }
            Some(wanted) => {
                let kept = existing.iter().find(|name| self.is_own(name)).cloned();
                let others = existing.iter().filter(|name| Some(*name) != kept.as_ref()).cloned();
                actions.extend(others.map(|name| (name, Action::Delete)));
                match kept {
                    None => {
                        actions.push((self.name_of(service), Action::Create(self.object(service))))
                    }
                    Some(name) if !self.shows(&name, wanted) => {
                        actions.push((name, Action::SetStatus(self.status(service, wanted))));
                    }
                    Some(_) => {}
                }
            }
        }
        actions.retain(|(name, _)| self.busy.insert(Arc::clone(name)));
        actions
    }

    fn is_own(&self, name: &Arc<str>) -> bool {
        self.rows.get(name).is_some_and(|row| *row.node == *self.node.as_str())
    }

    fn shows(&self, name: &Arc<str>, interfaces: &BTreeSet<String>) -> bool {
        self.rows.get(name).is_some_and(|row| {
            row.status_node == self.node.as_str() && row.interfaces == *interfaces
        })
    }

    /// A name that a restarted speaker finds again: no second object for the same thing.
    fn name_of(&self, service: &ServiceKey) -> Arc<str> {
        let digest = Sha256::digest(format!("{service}@{}", self.node));
        let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("l2-{short}").into()
    }

    fn object(&self, service: &ServiceKey) -> Value {
        let owners = self.owner.as_ref().map(|pod| {
            json!([{ "apiVersion": "v1", "kind": "Pod", "name": &*pod.name, "uid": &*pod.uid }])
        });
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
                "ownerReferences": owners,
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
