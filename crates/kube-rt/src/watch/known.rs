//! Which objects the reader was told of, so that a list can tell it what is gone.

use std::collections::HashMap;
use std::sync::Arc;

use crate::resource::ObjectKey;

/// The keys that the reader believes to exist, each with the list that last showed it.
#[derive(Default)]
pub(super) struct Known {
    keys: HashMap<ObjectKey, u64>,
    round: u64,
    /// Namespace of the object before: lists come sorted, so neighbours share one text.
    namespace: Arc<str>,
}

impl Known {
    pub(super) fn begin(&mut self) {
        self.round += 1;
    }

    pub(super) fn key_of<K: kube::Resource>(&mut self, object: &K) -> ObjectKey {
        let meta = object.meta();
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        if *self.namespace != *namespace {
            self.namespace = namespace.into();
        }
        ObjectKey::new(Arc::clone(&self.namespace), meta.name.as_deref().unwrap_or_default())
    }

    pub(super) fn add(&mut self, key: ObjectKey) {
        self.keys.insert(key, self.round);
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) -> bool {
        self.keys.remove(key).is_some()
    }

    /// Takes out the keys that the list of this round did not show.
    pub(super) fn vanished(&mut self) -> Vec<ObjectKey> {
        let round = self.round;
        self.keys.extract_if(|_, shown| *shown != round).map(|(key, _)| key).collect()
    }
}
