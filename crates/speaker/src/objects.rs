//! Objects that report: one for each thing that this node has something to say about, and none
//! besides.
//!
//! ```text
//!  owner ── want(key, content) ──────────►┐
//!  watch of the kind ─────────────────────┼──► Reconciler ──► Create / Patch / Delete
//!  how writes ended ──────────────────────┘
//! ```
//!
//! What was written counts as there at once, so that neither the next step waits for the watch nor
//! is anything written twice because the watch is late.
//!
//! Decides only: the owner task carries the actions out and reports back.

mod bgp_session;
mod reports;
mod service_bgp;
mod service_l2;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use ferrolb_api::labels;
use ferrolb_ipam::NodeName;
use ferrolb_kube_rt::status::Outcome;
use ferrolb_kube_rt::{Resource, version};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) use self::bgp_session::Session;
pub(crate) use self::reports::Reports;
pub(crate) use self::service_bgp::{Peers, ServiceBgp};
pub(crate) use self::service_l2::ServiceL2;

/// A kind of objects that report.
pub(crate) trait Kind {
    /// What an object is about.
    type Key: Clone + Ord + fmt::Display;
    /// What it says.
    type Content: Clone + fmt::Debug + PartialEq;

    /// Only one node has something to report about a thing: it owns the truth and removes what
    /// others left behind. Otherwise each node looks after its own objects only.
    const EXCLUSIVE: bool;

    /// `apiVersion` and `kind`.
    fn kind() -> (String, &'static str);

    /// The kind as the API has it.
    fn resource() -> Resource;

    /// How the names of objects begin.
    fn stem(key: &Self::Key) -> String;

    /// Labels beside the one of the node.
    fn labels(key: &Self::Key) -> Vec<(&'static str, String)>;

    /// Whether other nodes read it.
    fn is_for_others(_: &Self::Content) -> bool {
        false
    }

    /// Annotations.
    fn annotations(_: &Self::Key) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// What `status` says instead of `before`, with nothing left out that could be left over.
    fn status(
        node: &str,
        key: &Self::Key,
        content: &Self::Content,
        before: Option<&Self::Content>,
    ) -> Value;
}

/// An object, as far as we read it.
#[derive(Debug, PartialEq)]
pub(crate) struct Row<K: Kind> {
    /// What it is about.
    key: K::Key,
    /// The node it is of, by its label.
    node: Arc<str>,
    /// What it says; none until the status is written.
    content: Option<K::Content>,
    /// `metadata.uid` of the Pod it goes with; empty for none.
    owner: Arc<str>,
    /// `metadata.resourceVersion`.
    version: Arc<str>,
}

impl<K: Kind> Clone for Row<K> {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            node: Arc::clone(&self.node),
            content: self.content.clone(),
            owner: Arc::clone(&self.owner),
            version: Arc::clone(&self.version),
        }
    }
}

impl<K: Kind> Row<K> {
    /// An object about `key`, written by the node that `status` names.
    fn new(
        metadata: ObjectMeta,
        key: K::Key,
        node: String,
        status_node: &str,
        content: K::Content,
    ) -> Self {
        Self {
            key,
            content: (status_node == node).then_some(content),
            node: node.into(),
            owner: metadata
                .owner_references
                .unwrap_or_default()
                .into_iter()
                .find(|owner| owner.kind == "Pod")
                .map_or_else(Arc::default, |owner| owner.uid.into()),
            version: metadata.resource_version.unwrap_or_default().into(),
        }
    }

    /// What it is about.
    pub(crate) const fn key(&self) -> &K::Key {
        &self.key
    }

    /// The same row with `key`, which is the same one, and no copy of its own.
    pub(crate) fn with_key(self, key: K::Key) -> Self {
        Self { key, ..self }
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
enum Doing<K: Kind> {
    Set(Row<K>),
    Delete,
}

/// An object of another node.
struct Other<K: Kind> {
    key: K::Key,
    /// What it says, if that is for us.
    content: Option<Box<K::Content>>,
}

/// The Pod that owns status objects: they go with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct OwnerPod {
    pub(crate) name: Arc<str>,
    pub(crate) uid: Arc<str>,
}

/// Wanted and existing objects of a kind.
pub(crate) struct Reconciler<K: Kind> {
    node: NodeName,
    namespace: String,
    owner: Option<OwnerPod>,
    wanted: BTreeMap<K::Key, K::Content>,
    /// What this node has written, by name of object.
    rows: BTreeMap<Arc<str>, Row<K>>,
    /// What other nodes have written: there may be thousands, and next to nothing is read of them.
    others: BTreeMap<Arc<str>, Other<K>>,
    by_key: BTreeSet<(K::Key, Arc<str>)>,
    /// Objects with a write under way.
    busy: BTreeMap<Arc<str>, Doing<K>>,
    /// The watch has listed what there is.
    listed: bool,
}

impl<K: Kind> Reconciler<K> {
    pub(crate) fn new(node: NodeName, namespace: String) -> Self {
        Self {
            node,
            namespace,
            owner: None,
            wanted: BTreeMap::new(),
            rows: BTreeMap::new(),
            others: BTreeMap::new(),
            by_key: BTreeSet::new(),
            busy: BTreeMap::new(),
            listed: false,
        }
    }

    /// The Pod that the objects of this node belong to. Returns the keys to reconcile.
    pub(crate) fn set_owner(&mut self, owner: OwnerPod) -> BTreeSet<K::Key> {
        if self.owner.replace(owner) == self.owner {
            return BTreeSet::new();
        }
        self.wanted.keys().cloned().collect()
    }

    /// The watch has listed what there is; nothing is written before, because it might be there.
    /// Returns the keys to reconcile.
    pub(crate) fn set_listed(&mut self) -> BTreeSet<K::Key> {
        self.listed = true;
        self.wanted.keys().chain(self.by_key.iter().map(|(key, _)| key)).cloned().collect()
    }

    /// This node says this about `key`, or nothing. Whether that is news.
    pub(crate) fn want(&mut self, key: &K::Key, content: Option<K::Content>) -> bool {
        match content {
            Some(content) if self.wanted.get(key) == Some(&content) => false,
            Some(content) => {
                self.wanted.insert(key.clone(), content);
                true
            }
            None => self.wanted.remove(key).is_some(),
        }
    }

    /// An object is there, changed or is gone. Returns the keys to reconcile.
    pub(crate) fn see(&mut self, name: &Arc<str>, row: Option<Row<K>>) -> BTreeSet<K::Key> {
        if let (Some(known), Some(row)) = (self.rows.get(name), &row)
            && version::is_newer(&known.version, &row.version)
        {
            // Our own write is newer.
            return BTreeSet::new();
        }
        let concerned = row.as_ref().map(|row| row.key.clone());
        self.store(name, row).into_iter().chain(concerned).collect()
    }

    /// Returns what the object was about.
    fn store(&mut self, name: &Arc<str>, row: Option<Row<K>>) -> Option<K::Key> {
        let old = self.rows.remove(name).map(|row| row.key);
        let old = old.or_else(|| self.others.remove(name).map(|other| other.key));
        if let Some(old) = &old {
            self.by_key.remove(&(old.clone(), Arc::clone(name)));
        }
        if let Some(row) = row {
            let row = self.shared(row);
            self.by_key.insert((row.key.clone(), Arc::clone(name)));
            if *row.node == *self.node.as_str() {
                self.rows.insert(Arc::clone(name), row);
            } else {
                let content = row.content.filter(K::is_for_others).map(Box::new);
                self.others.insert(Arc::clone(name), Other { key: row.key, content });
            }
        }
        old
    }

    /// The same row, with names from here and no copies of its own.
    fn shared(&self, mut row: Row<K>) -> Row<K> {
        if let Some((key, _)) = self.wanted.get_key_value(&row.key) {
            row.key = key.clone();
        }
        if *row.node == *self.node.as_str() {
            row.node = self.node.shared();
        }
        if let Some(pod) = self.owner.as_ref().filter(|pod| pod.uid == row.owner) {
            row.owner = Arc::clone(&pod.uid);
        }
        row
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

    /// What to write so that the objects about `key` are as they should be.
    pub(crate) fn reconcile(&mut self, key: &K::Key) -> Vec<(Arc<str>, Action)> {
        if !self.listed {
            return Vec::new();
        }
        let existing: Vec<Arc<str>> = self.about(key).cloned().collect();
        let mut steps: Vec<(Arc<str>, Action, Doing<K>)> = Vec::new();
        match self.wanted.get(key) {
            None => {
                let own = existing.into_iter().filter(|name| self.is_own(name));
                steps.extend(own.map(|name| (name, Action::Delete, Doing::Delete)));
            }
            Some(wanted) => {
                let kept = existing.iter().find(|name| self.is_own(name)).cloned();
                let others = existing
                    .into_iter()
                    .filter(|name| Some(name) != kept.as_ref())
                    .filter(|name| K::EXCLUSIVE || self.is_own(name));
                steps.extend(others.map(|name| (name, Action::Delete, Doing::Delete)));
                steps.extend(self.step(key, wanted, kept));
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

    /// The names of the objects about `key`.
    fn about(&self, key: &K::Key) -> impl Iterator<Item = &Arc<str>> {
        let names = self.by_key.range((key.clone(), Arc::default())..);
        names.take_while(move |(of, _)| of == key).map(|(_, name)| name)
    }

    /// What is known of what an object says.
    fn content(&self, name: &Arc<str>) -> Option<&K::Content> {
        match self.rows.get(name) {
            Some(row) => row.content.as_ref(),
            None => self.others.get(name)?.content.as_deref(),
        }
    }

    /// The next step towards the object about `key`, of which this node has `kept`.
    fn step(
        &self,
        key: &K::Key,
        wanted: &K::Content,
        kept: Option<Arc<str>>,
    ) -> Option<(Arc<str>, Action, Doing<K>)> {
        let owner = self.owner.as_ref().map_or_else(Arc::default, |pod| Arc::clone(&pod.uid));
        let Some((name, row)) = kept.and_then(|name| self.rows.get_key_value(&name)) else {
            let row = Row {
                key: key.clone(),
                node: self.node.shared(),
                content: None,
                owner,
                version: Arc::default(),
            };
            let create = Action::Create(self.object(key));
            return Some((self.name_of(key), create, Doing::Set(row)));
        };
        if row.content.as_ref() != Some(wanted) {
            let next = Row { content: Some(wanted.clone()), ..row.clone() };
            let status = K::status(self.node.as_str(), key, wanted, row.content.as_ref());
            let status = json!({ "status": status });
            return Some((Arc::clone(name), Action::SetStatus(status), Doing::Set(next)));
        }
        if self.owner.is_some() && row.owner != owner {
            let action =
                Action::SetOwner(json!({ "metadata": { "ownerReferences": self.owners() } }));
            return Some((Arc::clone(name), action, Doing::Set(Row { owner, ..row.clone() })));
        }
        None
    }

    fn is_own(&self, name: &Arc<str>) -> bool {
        self.rows.contains_key(name)
    }

    /// A name that a restarted speaker finds again: no second object for the same thing.
    fn name_of(&self, key: &K::Key) -> Arc<str> {
        let digest = Sha256::digest(format!("{key}@{}", self.node));
        let mut name = format!("{}-", K::stem(key));
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

    fn object(&self, key: &K::Key) -> Value {
        let (api_version, kind) = K::kind();
        let mut all: BTreeMap<&str, String> = K::labels(key).into_iter().collect();
        all.insert(labels::NODE, self.node.to_string());
        let annotations: BTreeMap<&str, String> = K::annotations(key).into_iter().collect();
        json!({
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {
                "name": &*self.name_of(key),
                "namespace": self.namespace,
                "labels": all,
                "annotations": (!annotations.is_empty()).then_some(annotations),
                "ownerReferences": self.owners(),
            },
            "spec": {},
        })
    }
}

#[cfg(test)]
mod tests;
