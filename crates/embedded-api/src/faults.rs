//! Faults on demand, and counts of what was asked: how tests look at clients.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::refusal::Refusal;

/// What was asked for: a verb as RBAC names it, and a resource with its subresource.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Request {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: &'static str,
    /// Such as `services` or `services/status`.
    pub resource: String,
}

impl Request {
    /// Whether this asks for a change.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    state: Mutex<State>,
    /// Each change ends all watches.
    drops: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    latency: Duration,
    failing_writes: Option<(u32, StatusCode)>,
    denied: BTreeSet<(String, String)>,
    counts: BTreeMap<Request, u64>,
}

impl Faults {
    pub(crate) fn set_latency(&self, latency: Duration) {
        self.state.lock().latency = latency;
    }

    pub(crate) fn fail_writes(&self, count: u32, code: StatusCode) {
        self.state.lock().failing_writes = Some((count, code));
    }

    pub(crate) fn deny(&self, verb: &str, resource: &str) {
        self.state.lock().denied.insert((verb.to_owned(), resource.to_owned()));
    }

    pub(crate) fn allow_all(&self) {
        self.state.lock().denied.clear();
    }

    pub(crate) fn drop_watches(&self) {
        self.drops.send_replace(());
    }

    pub(crate) fn drops(&self) -> watch::Receiver<()> {
        self.drops.subscribe()
    }

    pub(crate) fn counts(&self) -> BTreeMap<Request, u64> {
        self.state.lock().counts.clone()
    }

    pub(crate) fn reset_counts(&self) {
        self.state.lock().counts.clear();
    }

    pub(crate) fn latency(&self) -> Duration {
        self.state.lock().latency
    }

    /// Counts a request and says whether it shall go wrong.
    pub(crate) fn admit(&self, request: Request, group: &str) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        if state.denied.contains(&(request.verb.to_owned(), request.resource.clone())) {
            let message = format!(
                "{} is forbidden: User cannot {} resource \"{}\" in API group \"{group}\"",
                request.resource, request.verb, request.resource
            );
            *state.counts.entry(request).or_default() += 1;
            return Err(Refusal::new(StatusCode::FORBIDDEN, message));
        }
        let is_write = request.is_write();
        *state.counts.entry(request).or_default() += 1;
        if is_write && let Some((count, code)) = state.failing_writes {
            state.failing_writes = (count > 1).then(|| (count - 1, code));
            return Err(Refusal::new(code, "failed on demand"));
        }
        Ok(())
    }
}
