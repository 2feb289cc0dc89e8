//! The store: all collections under one count of revisions, and what each verb does to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::builtin::{Behaviour, begin};
use crate::collection::{Change, Collection};
use crate::config::Config;
use crate::definition;
use crate::kind::Kind;
use crate::object::{
    Key, Part, Stored, key, merge_patch, merge_written, now, set_kind, set_namespace, set_revision,
    stamp, text,
};
use crate::refusal::Refusal;
use crate::selector::Filter;
use crate::service::{ClusterIps, default_fields, default_ingress};

/// Everything the server knows.
#[derive(Debug)]
pub(crate) struct Store {
    revision: u64,
    history: usize,
    kinds: BTreeMap<(String, String), (Arc<Kind>, Collection)>,
    cluster_ips: ClusterIps,
}

/// What a deletion asks to be true of the object.
#[derive(Debug, Default)]
pub(crate) struct Preconditions {
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
}

impl Store {
    pub(crate) fn new(config: &Config) -> Result<Self, Refusal> {
        let mut store = Self {
            revision: 1,
            history: config.history,
            kinds: BTreeMap::new(),
            cluster_ips: ClusterIps::new(&config.service_networks),
        };
        for kind in &config.kinds {
            store.serve(kind.clone());
        }
        if let Ok(namespaces) = store.kind("", "v1", "namespaces") {
            for name in ["default", "kube-system"] {
                store.create(&namespaces, "", json!({ "metadata": { "name": name } }))?;
            }
        }
        for crd in &config.definitions {
            let kind = store.kind("apiextensions.k8s.io", "v1", "customresourcedefinitions")?;
            store.create(&kind, "", crd.clone())?;
        }
        Ok(store)
    }

    pub(crate) fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.values().map(|(kind, _)| kind.as_ref())
    }

    pub(crate) fn kind(
        &self,
        group: &str,
        version: &str,
        plural: &str,
    ) -> Result<Arc<Kind>, Refusal> {
        self.kinds
            .get(&(group.to_owned(), plural.to_owned()))
            .filter(|(kind, _)| kind.version == version)
            .map(|(kind, _)| Arc::clone(kind))
            .ok_or_else(Refusal::no_such_resource)
    }

    pub(crate) fn get(&self, kind: &Kind, key: &Key) -> Result<Arc<Stored>, Refusal> {
        let object = self.collection(kind)?.get(key);
        object.cloned().ok_or_else(|| Refusal::not_found(kind, &key.name))
    }

    /// The objects that fit, and the revision at which this was so.
    pub(crate) fn list(
        &self,
        kind: &Kind,
        namespace: &str,
        filter: &Filter,
    ) -> Result<(u64, Vec<Arc<Stored>>), Refusal> {
        let objects = self.collection(kind)?.list(namespace, filter).cloned().collect();
        Ok((self.revision, objects))
    }

    /// The changes to a kind after `revision`, and the revision up to which this is all.
    pub(crate) fn since(&self, kind: &Kind, revision: u64) -> Result<(u64, Vec<Change>), Refusal> {
        let changes = self.collection(kind)?.since(revision)?.cloned().collect();
        Ok((self.revision, changes))
    }

    pub(crate) fn changes(&self, kind: &Kind) -> Result<watch::Receiver<()>, Refusal> {
        Ok(self.collection(kind)?.changes())
    }

    pub(crate) fn create(
        &mut self,
        kind: &Kind,
        namespace: &str,
        mut object: Value,
    ) -> Result<Arc<Stored>, Refusal> {
        set_kind(&mut object, kind)?;
        set_namespace(&mut object, namespace)?;
        stamp(&mut object, kind)?;
        let key = key(&object);
        if self.collection(kind)?.get(&key).is_some() {
            return Err(Refusal::already_exists(kind, &key.name));
        }
        begin(&mut object, kind)?;
        self.behave(kind, &mut object, None)?;
        self.put(kind, object)
    }

    pub(crate) fn update(
        &mut self,
        kind: &Kind,
        key: &Key,
        part: Part,
        mut body: Value,
    ) -> Result<Arc<Stored>, Refusal> {
        set_kind(&mut body, kind)?;
        set_namespace(&mut body, &key.namespace)?;
        let name = text(&body, "/metadata/name");
        if name != key.name {
            let message = format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                key.name
            );
            return Err(Refusal::bad_request(message));
        }
        if text(&body, "/metadata/resourceVersion").is_empty() && !kind.allows_blind_update() {
            let why = "must be specified for an update";
            return Err(Refusal::invalid(kind, &key.name, "metadata.resourceVersion", why));
        }
        self.write(kind, key, part, body)
    }

    pub(crate) fn patch(
        &mut self,
        kind: &Kind,
        key: &Key,
        part: Part,
        patch: &Value,
    ) -> Result<Arc<Stored>, Refusal> {
        let mut body = self.get(kind, key)?.value.clone();
        merge_patch(&mut body, patch);
        set_kind(&mut body, kind)?;
        self.write(kind, key, part, body)
    }

    /// Removes an object, or marks it as going if somebody has to finish with it first.
    pub(crate) fn delete(
        &mut self,
        kind: &Kind,
        key: &Key,
        preconditions: &Preconditions,
    ) -> Result<Arc<Stored>, Refusal> {
        let object = self.get(kind, key)?;
        let differs = |wanted: &Option<String>, pointer: &str| {
            wanted.as_ref().is_some_and(|wanted| wanted != text(&object.value, pointer))
        };
        if differs(&preconditions.uid, "/metadata/uid")
            || differs(&preconditions.resource_version, "/metadata/resourceVersion")
        {
            let why = "the UID or resourceVersion in the precondition does not match the object's";
            return Err(Refusal::conflict(kind, &key.name, why));
        }
        if has_finalizers(&object.value) {
            if object.value.pointer("/metadata/deletionTimestamp").is_some() {
                return Ok(object);
            }
            let mut object = object.value.clone();
            object["metadata"]["deletionTimestamp"] = now().into();
            return self.put(kind, object);
        }
        self.remove(kind, object.value.clone())
    }

    /// Removes the objects that fit, and returns them.
    pub(crate) fn delete_collection(
        &mut self,
        kind: &Kind,
        namespace: &str,
        filter: &Filter,
    ) -> Result<(u64, Vec<Arc<Stored>>), Refusal> {
        let (_, objects) = self.list(kind, namespace, filter)?;
        let mut deleted = Vec::new();
        for object in objects {
            deleted.push(self.delete(kind, &object.key(), &Preconditions::default())?);
        }
        Ok((self.revision, deleted))
    }

    /// Forgets the changes of all kinds, so that watches have to list again.
    pub(crate) fn forget(&mut self) {
        for (_, collection) in self.kinds.values_mut() {
            collection.forget(self.revision);
        }
    }

    /// Stores what a request made of an object, unless that changes nothing.
    fn write(
        &mut self,
        kind: &Kind,
        key: &Key,
        part: Part,
        body: Value,
    ) -> Result<Arc<Stored>, Refusal> {
        let old = self.get(kind, key)?;
        for pointer in ["/metadata/resourceVersion", "/metadata/uid"] {
            let found = text(&body, pointer);
            if !found.is_empty() && found != text(&old.value, pointer) {
                return Err(Refusal::modified(kind, &key.name));
            }
        }
        let mut new = merge_written(&old.value, body, kind, part)?;
        if part == Part::Main {
            self.behave(kind, &mut new, Some(&old.value))?;
        } else if kind.behaviour() == Behaviour::Service {
            default_ingress(&mut new);
        }
        if new == old.value {
            return Ok(old);
        }
        if new.pointer("/metadata/deletionTimestamp").is_some() && !has_finalizers(&new) {
            return self.remove(kind, new);
        }
        self.put(kind, new)
    }

    /// What writing an object of a special kind brings with it.
    fn behave(
        &mut self,
        kind: &Kind,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), Refusal> {
        match kind.behaviour() {
            Behaviour::Service => {
                default_fields(object)?;
                self.cluster_ips.settle(object, old, kind)?;
            }
            Behaviour::Definition => {
                let made = definition::kind_of(object, kind)?;
                if old.is_none() {
                    object["status"] = definition::established(object, &made);
                }
                self.serve(made);
            }
            Behaviour::Plain | Behaviour::Namespace | Behaviour::Node | Behaviour::Pod => {}
        }
        Ok(())
    }

    fn put(&mut self, kind: &Kind, mut object: Value) -> Result<Arc<Stored>, Refusal> {
        let revision = self.next_revision();
        set_revision(&mut object, revision)?;
        let object = Stored::new(object);
        self.collection_mut(kind)?.put(revision, Arc::clone(&object));
        Ok(object)
    }

    fn remove(&mut self, kind: &Kind, mut object: Value) -> Result<Arc<Stored>, Refusal> {
        let revision = self.next_revision();
        set_revision(&mut object, revision)?;
        match kind.behaviour() {
            Behaviour::Service => self.cluster_ips.release_all(&object),
            Behaviour::Definition => {
                let made = definition::kind_of(&object, kind)?;
                self.kinds.remove(&(made.group, made.plural));
            }
            _ => {}
        }
        let object = Stored::new(object);
        self.collection_mut(kind)?.remove(revision, Arc::clone(&object));
        Ok(object)
    }

    /// Begins to serve a kind; objects of an earlier definition of it stay.
    fn serve(&mut self, kind: Kind) {
        let key = (kind.group.clone(), kind.plural.clone());
        let kind = Arc::new(kind);
        if let Some((old, _)) = self.kinds.get_mut(&key) {
            *old = kind;
        } else {
            let collection = Collection::new(self.history, self.revision);
            self.kinds.insert(key, (kind, collection));
        }
    }

    fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    fn collection(&self, kind: &Kind) -> Result<&Collection, Refusal> {
        let entry = self.kinds.get(&(kind.group.clone(), kind.plural.clone()));
        entry.map(|(_, collection)| collection).ok_or_else(|| gone(kind))
    }

    fn collection_mut(&mut self, kind: &Kind) -> Result<&mut Collection, Refusal> {
        let entry = self.kinds.get_mut(&(kind.group.clone(), kind.plural.clone()));
        entry.map(|(_, collection)| collection).ok_or_else(|| gone(kind))
    }
}

/// The kind vanished, with its definition, while a request for it was under way.
fn gone(kind: &Kind) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("{} is no longer served", kind.qualified()))
}

fn has_finalizers(object: &Value) -> bool {
    let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    finalizers.is_some_and(|finalizers| !finalizers.is_empty())
}
