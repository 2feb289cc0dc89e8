//! How a watch is doing: for readiness, and for the log, which hears of each trouble once.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::resource::Resource;
use crate::trouble::{Failure, Trouble};

/// How a watch is doing. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WatchState {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    resource: String,
    synced: bool,
    failure: Option<Failure>,
}

impl WatchState {
    pub(super) fn new(resource: &Resource) -> Self {
        let shared = Shared { resource: resource.to_string(), synced: false, failure: None };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    /// The first list was complete.
    pub fn is_synced(&self) -> bool {
        self.shared.lock().synced
    }

    /// What is wrong at the moment, as one sentence; `None` while all is well.
    pub fn trouble(&self) -> Option<String> {
        self.shared.lock().failure.as_ref().map(ToString::to_string)
    }

    /// What is missing for readiness: `None` from the first complete list on, whatever happens
    /// later. Fits [`Probes::require`](crate::probes::Probes::require).
    pub fn missing(&self) -> Option<String> {
        let shared = self.shared.lock();
        if shared.synced {
            return None;
        }
        Some(match &shared.failure {
            Some(failure) => failure.to_string(),
            None => format!("waiting for the first list of {}", shared.resource),
        })
    }
}

/// Says each kind of trouble once, and when it is over.
pub(super) struct Reports {
    pub(super) resource: Resource,
    pub(super) namespace: Option<String>,
    pub(super) state: WatchState,
}

impl Reports {
    pub(super) fn failed(&self, failure: Failure) {
        let mut shared = self.state.shared.lock();
        let said = shared.failure.as_ref().is_some_and(|last| {
            last.verb == failure.verb && last.trouble.kind() == failure.trouble.kind()
        });
        if said {
            tracing::debug!(op = failure.verb, "{failure}");
        } else if matches!(failure.trouble, Trouble::Forbidden(_)) {
            tracing::error!(op = failure.verb, resource = failure.resource, "{failure}");
        } else {
            tracing::warn!(op = failure.verb, resource = failure.resource, "{failure}");
        }
        shared.failure = Some(failure);
    }

    /// A list was complete. Only its own troubles are over by that.
    pub(super) fn listed(&self) {
        let mut shared = self.state.shared.lock();
        shared.synced = true;
        if shared.failure.as_ref().is_some_and(|failure| failure.verb == "list") {
            self.over(&mut shared);
        }
    }

    /// A watch was accepted.
    pub(super) fn works(&self) {
        self.over(&mut self.state.shared.lock());
    }

    fn over(&self, shared: &mut Shared) {
        if shared.failure.take().is_some() {
            let resource = &self.resource;
            tracing::info!(op = "watch", %resource, "the API server answers again");
        }
    }
}
