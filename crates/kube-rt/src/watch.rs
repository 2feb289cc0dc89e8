//! Watching one kind: a list, then a watch from its version, for ever. Objects are pruned to rows
//! the moment they are read, and rows go to an [`inbox`](crate::inbox()).
//!
//! ```text
//!            ┌────────────── 410: the version is gone ──────────────┐
//!            ▼                                                      │
//!   ┌──▶ list (pages) ──complete──▶ Gone for vanished keys ──▶ watch ◀──┐
//!   └─ pause ─┘ failed                 first time: Synced       └─ ended ┘ resume
//! ```
//!
//! The loop is written on [`Api::list`] and [`Api::watch`] and not on kube's `watcher`, because
//! that one does not tell when a watch works again, has no time limit on a list, and logs a missing
//! permission at every attempt.
//!
//! A reader may rely on this: `Gone` is said only for an object that was seen to go or to change
//! out of interest, or that a complete list lacks; while the API server is away nothing is said.

use std::fmt;
use std::marker::PhantomData;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::backoff::Backoff;
use crate::inbox::Post;
use crate::metrics::ClientMetrics;
use crate::resource::{ObjectKey, Resource};
use crate::trouble::{Failure, Trouble};

mod known;
mod state;

use known::Known;
use state::Reports;
pub use state::WatchState;

/// Objects per page: what is held unpruned at one time.
const PAGE: u32 = 200;
/// Time for one page to arrive.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for a watch to be accepted.
const START_TIMEOUT: Duration = Duration::from_secs(15);
/// After this many seconds the server ends a watch by itself.
const WATCH_SECONDS: u32 = 290;
/// A watch that says nothing for this long is dead.
const IDLE_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);
/// A watch that ended sooner than this did not work.
const SHORT_LIVED: Duration = Duration::from_secs(1);

/// What to watch.
#[derive(Clone, Debug)]
pub struct WatchSpec<K> {
    api: Api<K>,
    labels: Option<String>,
    fields: Option<String>,
    fields_optional: bool,
    metrics: ClientMetrics,
}

/// What a watch says to its reader.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Update<R> {
    /// The object is there, or changed.
    Set(ObjectKey, R),
    /// The object is gone, or no longer of interest.
    Gone(ObjectKey),
    /// The first list is complete: every object there is was said. Once per watch.
    Synced,
}

/// A running watch; it ends when this is dropped, or when its reader is gone.
#[derive(Debug)]
pub struct Watch {
    state: WatchState,
    task: JoinHandle<()>,
}

impl<K: kube::Resource<DynamicType = ()>> WatchSpec<K> {
    /// All objects of the kind, in every namespace.
    pub fn all(client: Client) -> Self {
        Self::new(Api::all(client))
    }

    /// The objects of the kind in one namespace.
    pub fn namespaced(client: Client, namespace: &str) -> Self
    where
        K: kube::Resource<Scope = NamespaceResourceScope>,
    {
        Self::new(Api::namespaced(client, namespace))
    }

    fn new(api: Api<K>) -> Self {
        Self {
            api,
            labels: None,
            fields: None,
            fields_optional: false,
            metrics: ClientMetrics::default(),
        }
    }

    /// Only objects with these labels.
    #[must_use]
    pub fn labels(self, selector: impl Into<String>) -> Self {
        Self { labels: Some(selector.into()), ..self }
    }

    /// Only objects with these fields.
    #[must_use]
    pub fn fields(self, selector: impl Into<String>) -> Self {
        Self { fields: Some(selector.into()), ..self }
    }

    /// Only objects with these fields, if the server can select by them; else all objects, so
    /// that the prune function has to sort them out in any case.
    #[must_use]
    pub fn fields_if_possible(self, selector: impl Into<String>) -> Self {
        Self { fields: Some(selector.into()), fields_optional: true, ..self }
    }

    /// Counts updates here.
    #[must_use]
    pub fn metrics(self, metrics: &ClientMetrics) -> Self {
        Self { metrics: metrics.clone(), ..self }
    }
}

/// Starts a watch. `prune` makes a row of an object, or `None` for one that is of no interest;
/// `wrap` turns what is said into an entry of the reader's inbox.
pub fn spawn<K, R, PK, PV>(
    spec: WatchSpec<K>,
    prune: impl Fn(&ObjectKey, K) -> Option<R> + Send + 'static,
    post: Post<PK, PV>,
    wrap: impl Fn(Update<R>) -> (PK, PV) + Send + 'static,
) -> Watch
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
    R: Send + 'static,
    PK: Clone + Eq + std::hash::Hash + Send + 'static,
    PV: Send + 'static,
{
    let resource = Resource::of::<K>();
    let state = WatchState::new(&resource);
    let namespace = spec.api.namespace().map(str::to_owned);
    let watcher = Watcher {
        api: spec.api,
        reports: Reports { resource, namespace, state: state.clone() },
        labels: spec.labels,
        fields: spec.fields,
        fields_optional: spec.fields_optional,
        metrics: spec.metrics,
        known: Known::default(),
        prune,
        post,
        wrap,
        row: PhantomData,
    };
    Watch { state, task: tokio::spawn(watcher.run()) }
}

impl Watch {
    /// How it is doing.
    pub fn state(&self) -> WatchState {
        self.state.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why a list or a watch ended.
enum End {
    /// The watch is over; go on from where it was.
    Resume,
    /// List again.
    Relist,
    /// It did not work.
    Failed(Failure),
    /// Nobody listens any more.
    ReaderGone,
}

struct Watcher<K, R, P, W, PK, PV> {
    api: Api<K>,
    labels: Option<String>,
    fields: Option<String>,
    fields_optional: bool,
    metrics: ClientMetrics,
    known: Known,
    reports: Reports,
    prune: P,
    post: Post<PK, PV>,
    wrap: W,
    row: PhantomData<fn() -> R>,
}

impl<K, R, P, W, PK, PV> Watcher<K, R, P, W, PK, PV>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug,
    P: Fn(&ObjectKey, K) -> Option<R>,
    W: Fn(Update<R>) -> (PK, PV),
    PK: Clone + Eq + std::hash::Hash,
{
    async fn run(mut self) {
        let mut backoff = Backoff::new();
        // The version to watch from; `None` asks for a list first.
        let mut version: Option<String> = None;
        loop {
            let started = Instant::now();
            let end = match version.as_mut() {
                None => match self.list().await {
                    Ok(listed) => {
                        version = Some(listed);
                        continue;
                    }
                    Err(end) => end,
                },
                Some(version) => self.watch(version).await,
            };
            // Only a watch that lasted shows that all is well: lists may work where it does not.
            let lasted = version.is_some() && started.elapsed() >= SHORT_LIVED;
            if lasted {
                backoff.reset();
            }
            let pause = match end {
                End::ReaderGone => return,
                End::Resume => (!lasted).then_some(SHORT_LIVED),
                End::Relist => {
                    version = None;
                    (!lasted).then_some(SHORT_LIVED)
                }
                End::Failed(failure) if self.can_drop_fields(&failure.trouble) => {
                    self.drop_fields();
                    None
                }
                End::Failed(failure) => {
                    let longest = failure.trouble.longest_pause();
                    // A server that answers, but not with a watch, may have forgotten the version.
                    // Without the permission to watch, listing again would help nobody.
                    if !matches!(failure.trouble, Trouble::Unreachable(_) | Trouble::Forbidden(_)) {
                        version = None;
                    }
                    self.reports.failed(failure);
                    Some(longest)
                }
            };
            if let Some(longest) = pause {
                tokio::time::sleep(backoff.pause(longest)).await;
            }
        }
    }

    /// Reads all pages; answers the version to watch from.
    async fn list(&mut self) -> Result<String, End> {
        self.known.begin();
        let mut params = ListParams {
            label_selector: self.labels.clone(),
            field_selector: self.fields.clone(),
            ..ListParams::default().limit(PAGE)
        };
        let version = loop {
            let page = match timeout(PAGE_TIMEOUT, self.api.list(&params)).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) => return Err(self.ended("list", error.into())),
                Err(elapsed) => return Err(self.ended("list", elapsed.into())),
            };
            for object in page.items {
                self.set(object).await?;
            }
            let filled = |text: &String| !text.is_empty();
            params.continue_token = page.metadata.continue_.filter(filled);
            if params.continue_token.is_none() {
                break page.metadata.resource_version.filter(filled);
            }
        };
        let Some(version) = version else {
            let trouble = Trouble::Garbled("the list has no resourceVersion".to_owned());
            return Err(self.ended("list", trouble));
        };
        for key in self.known.vanished() {
            self.say(Update::Gone(key)).await?;
        }
        if !self.reports.state.is_synced() {
            self.say(Update::Synced).await?;
        }
        self.reports.listed();
        Ok(version)
    }

    /// Follows changes and moves `version` along.
    async fn watch(&mut self, version: &mut String) -> End {
        let params = WatchParams {
            label_selector: self.labels.clone(),
            field_selector: self.fields.clone(),
            timeout: Some(WATCH_SECONDS),
            bookmarks: true,
            send_initial_events: false,
        };
        let stream = match timeout(START_TIMEOUT, self.api.watch(&params, version)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return self.ended("watch", error.into()),
            Err(elapsed) => return self.ended("watch", elapsed.into()),
        };
        self.reports.works();
        let mut stream = pin!(stream);
        while let Ok(Some(event)) = timeout(IDLE_TIMEOUT, stream.next()).await {
            let done = match event {
                Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                    follow(version, object.resource_version());
                    self.set(object).await
                }
                Ok(WatchEvent::Deleted(object)) => {
                    follow(version, object.resource_version());
                    let key = self.known.key_of(&object);
                    self.gone(key).await
                }
                Ok(WatchEvent::Bookmark(bookmark)) => {
                    follow(version, Some(bookmark.metadata.resource_version));
                    Ok(())
                }
                Ok(WatchEvent::Error(status)) => {
                    let trouble = Trouble::of_status(status.code, &status.message);
                    return self.ended("watch", trouble);
                }
                // One unreadable object must not stop the others; its last row stays in use.
                Err(error) if is_unreadable(&error) => {
                    let resource = &self.reports.resource;
                    tracing::error!(op = "watch", %resource, %error, "skipping an unreadable object");
                    self.metrics.update_errors.inc();
                    Ok(())
                }
                Err(error) => {
                    tracing::debug!(op = "watch", resource = %self.reports.resource, %error, "interrupted");
                    return End::Resume;
                }
            };
            if let Err(end) = done {
                return end;
            }
        }
        End::Resume
    }

    async fn set(&mut self, object: K) -> Result<(), End> {
        let key = self.known.key_of(&object);
        match (self.prune)(&key, object) {
            Some(row) => {
                self.known.add(key.clone());
                self.metrics.updates.inc();
                self.say(Update::Set(key, row)).await
            }
            None => self.gone(key).await,
        }
    }

    async fn gone(&mut self, key: ObjectKey) -> Result<(), End> {
        if self.known.remove(&key) {
            self.metrics.updates.inc();
            self.say(Update::Gone(key)).await?;
        }
        Ok(())
    }

    async fn say(&mut self, update: Update<R>) -> Result<(), End> {
        let (key, value) = (self.wrap)(update);
        if self.post.send(key, value).await { Ok(()) } else { Err(End::ReaderGone) }
    }

    fn ended(&self, verb: &'static str, trouble: Trouble) -> End {
        if trouble == Trouble::Expired {
            return End::Relist;
        }
        let Reports { resource, namespace, .. } = &self.reports;
        End::Failed(Failure::new(verb, resource, None, namespace.as_deref(), trouble))
    }

    fn can_drop_fields(&self, trouble: &Trouble) -> bool {
        self.fields_optional && self.fields.is_some() && matches!(trouble, Trouble::Refused(400, _))
    }

    fn drop_fields(&mut self) {
        let resource = &self.reports.resource;
        let fields = self.fields.take().unwrap_or_default();
        tracing::info!(
            op = "watch", %resource, fields,
            "the API server cannot select by these fields: watching all objects instead"
        );
    }
}

/// The line arrived and makes no sense. kube takes any line that is no event of this kind for a
/// `Status`, which then lacks its code.
fn is_unreadable(error: &kube::Error) -> bool {
    match error {
        kube::Error::SerdeError(_) => true,
        kube::Error::Api(status) => status.code == 0,
        _ => false,
    }
}

fn follow(version: &mut String, newer: Option<String>) {
    if let Some(newer) = newer.filter(|text| !text.is_empty()) {
        *version = newer;
    }
}

#[cfg(test)]
mod tests;
