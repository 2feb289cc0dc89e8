//! The objects of one kind, with a ring of their latest changes.
//!
//! ```text
//! history:  [ 12 added a ][ 15 changed a ][ 19 deleted a ]
//!   forgotten = 9 ─┘                          watch at 15 ─┘ reads 19 next
//! ```
//!
//! A watch asks for the changes after the last revision it saw. If that is older than what the ring
//! has forgotten, some may be missing and it has to list again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::watch;

use crate::object::{Key, Stored};
use crate::refusal::Refusal;
use crate::selector::Filter;

/// What happened to an object at a revision. One side is missing where it did not exist.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) old: Option<Arc<Stored>>,
    /// For a deletion: how the object was at its end, with the revision of its end.
    pub(crate) new: Arc<Stored>,
    pub(crate) deleted: bool,
}

#[derive(Debug)]
pub(crate) struct Collection {
    objects: BTreeMap<Key, Arc<Stored>>,
    history: VecDeque<Change>,
    capacity: usize,
    /// Revision of the newest change that the ring has forgotten.
    forgotten: u64,
    changed: watch::Sender<()>,
}

impl Collection {
    /// An empty collection that begins at `revision` and remembers `capacity` changes.
    pub(crate) fn new(capacity: usize, revision: u64) -> Self {
        Self {
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            capacity,
            forgotten: revision,
            changed: watch::Sender::new(()),
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Stored>> {
        self.objects.get(key)
    }

    /// The objects in a namespace, or all of them if it is empty, in order of their keys.
    pub(crate) fn list<'a>(
        &'a self,
        namespace: &'a str,
        filter: &'a Filter,
    ) -> impl Iterator<Item = &'a Arc<Stored>> {
        let first = Key { namespace: namespace.to_owned(), name: String::new() };
        self.objects
            .range(first..)
            .take_while(move |(key, _)| namespace.is_empty() || key.namespace == namespace)
            .map(|(_, object)| object)
            .filter(|object| filter.matches(&object.value))
    }

    pub(crate) fn put(&mut self, revision: u64, new: Arc<Stored>) {
        let old = self.objects.insert(new.key(), Arc::clone(&new));
        self.record(Change { revision, old, new, deleted: false });
    }

    /// Removes an object; `last` is how watches shall see it go.
    pub(crate) fn remove(&mut self, revision: u64, last: Arc<Stored>) {
        let old = self.objects.remove(&last.key());
        self.record(Change { revision, old, new: last, deleted: true });
    }

    /// The changes after `revision`, oldest first.
    pub(crate) fn since(&self, revision: u64) -> Result<impl Iterator<Item = &Change>, Refusal> {
        if revision < self.forgotten {
            return Err(Refusal::expired(revision, self.forgotten));
        }
        let first = self.history.partition_point(|change| change.revision <= revision);
        Ok(self.history.range(first..))
    }

    /// Forgets all changes, so that watches from before them have to list again.
    pub(crate) fn forget(&mut self, revision: u64) {
        self.history.clear();
        self.forgotten = revision;
    }

    /// Wakes at each change.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn record(&mut self, change: Change) {
        self.history.push_back(change);
        if self.history.len() > self.capacity
            && let Some(change) = self.history.pop_front()
        {
            self.forgotten = change.revision;
        }
        self.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mk_object(namespace: &str, name: &str) -> Arc<Stored> {
        Stored::new(json!({ "metadata": { "namespace": namespace, "name": name } }))
    }

    fn revisions(collection: &Collection, after: u64) -> Option<Vec<u64>> {
        Some(collection.since(after).ok()?.map(|change| change.revision).collect())
    }

    #[test]
    fn a_ring_forgets_its_oldest_changes_and_says_so() {
        let mut collection = Collection::new(2, 3);
        assert_eq!(revisions(&collection, 3), Some(vec![]));
        for revision in [5, 6, 8] {
            collection.put(revision, mk_object("a", "x"));
        }
        assert_eq!(revisions(&collection, 8), Some(vec![]));
        assert_eq!(revisions(&collection, 5), Some(vec![6, 8]));
        assert_eq!(revisions(&collection, 4), None);

        collection.forget(9);
        assert_eq!(revisions(&collection, 8), None);
        assert_eq!(revisions(&collection, 9), Some(vec![]));
    }

    #[test]
    fn lists_are_in_order_and_keep_to_their_namespace() {
        let mut collection = Collection::new(9, 0);
        for (revision, (namespace, name)) in
            [(1, ("b", "x")), (2, ("a", "z")), (3, ("a", "y")), (4, ("ab", "w"))]
        {
            collection.put(revision, mk_object(namespace, name));
        }
        let names = |namespace: &str| -> Vec<String> {
            let filter = Filter::default();
            collection.list(namespace, &filter).map(|object| object.key().name).collect()
        };
        assert_eq!(names("a"), ["y", "z"]);
        assert_eq!(names("ab"), ["w"]);
        assert_eq!(names("c"), Vec::<String>::new());
        assert_eq!(names(""), ["y", "z", "w", "x"]);
    }
}
