//! Writing to the API server: the newest wish per key, in order per key, many keys at a time.
//!
//! ```text
//!   submit(key, write) ──▶ slot of the key ──▶ (16 at a time) ──▶ request
//!                           │ a newer write            │ 5xx, 429, no answer: pause, again
//!                           └ replaces one unsent      └ else: Outcome ──▶ inbox of the owner
//! ```
//!
//! A guard may stand before the wire (the lease of a leader): it is asked right before each send,
//! and what it does not let through is told as [`Outcome::Refused`].
//!
//! It does not decide whether a write is needed, and it does not retry what needs a new decision:
//! a conflict or a refusal goes back to the owner.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Method, Request, header};
use kube::Client;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::backoff::Backoff;
use crate::election::Leadership;
use crate::inbox::Post;
use crate::resource::Resource;
use crate::trouble::{Failure, Trouble};

mod merge;

/// Requests under way at one time.
const PARALLEL: usize = 16;
/// Time for one request; a guard may allow less.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One wish.
#[derive(Clone, Debug)]
pub struct Write {
    /// The kind.
    pub resource: Resource,
    /// Namespace of the object; `None` for cluster-wide kinds.
    pub namespace: Option<Arc<str>>,
    /// Name of the object; not read by [`Action::Create`].
    pub name: Arc<str>,
    /// For instance `status`.
    pub subresource: Option<&'static str>,
    /// What to do.
    pub action: Action,
}

/// What to do with an object.
#[derive(Clone, Debug)]
pub enum Action {
    /// Apply a merge patch (RFC 7386).
    Patch {
        /// The facts to set; `null` removes.
        body: Body,
        /// Only if the object is still at this version.
        resource_version: Option<Arc<str>>,
    },
    /// Make a new object.
    Create(Body),
    /// Remove the object.
    Delete,
}

/// An object or a part of one, as the text that is sent: thousands may wait, and a tree takes ten times
/// as much.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Body(Box<str>);

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self(value.to_string().into())
    }
}

impl Body {
    fn value(&self) -> Value {
        // It was one.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

/// How a write ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Done.
    Written {
        /// Name of the object, as the server says.
        name: Arc<str>,
        /// Its version now; empty after a deletion.
        resource_version: Arc<str>,
    },
    /// The object was changed meanwhile, or exists already: decide again.
    Conflict,
    /// The object is gone; nothing was written. After a deletion that is success.
    Missing,
    /// The guard did not let it through: nothing was sent.
    Refused,
    /// The server does not want it.
    Failed(WriteError),
}

/// Why the server does not want a write; one sentence with verb, resource and reason.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct WriteError {
    message: String,
    forbidden: bool,
}

impl WriteError {
    /// A permission is missing.
    pub fn is_forbidden(&self) -> bool {
        self.forbidden
    }
}

/// Sends writes. Cheap to clone; writes under way go on when it is dropped.
pub struct Writer<K> {
    shared: Arc<Shared<K>>,
}

/// Room for so many requests at a time; who has waited longest is the next one.
#[derive(Clone, Debug)]
pub struct Places(Arc<Semaphore>);

/// One of the [`Places`], until it is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Places {
    /// So many.
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// Waits for a place.
    pub async fn take(&self) -> Place {
        // The semaphore is never closed.
        Place { _permit: Arc::clone(&self.0).acquire_owned().await.ok() }
    }
}

/// How long a request that is sent now may take; `None` if it must not be sent.
type Guard = Box<dyn Fn() -> Option<Duration> + Send + Sync>;

type Report<K> = Box<dyn Fn(K, Outcome) -> BoxFuture<'static, ()> + Send + Sync>;

struct Shared<K> {
    client: Client,
    report: Report<K>,
    guard: Guard,
    places: Places,
    /// A key is here while a task works for it; the value is a newer wish.
    slots: Mutex<HashMap<K, Option<Write>>>,
    emptied: Notify,
    /// Resources on which `patch` was forbidden and `update` was not.
    update_only: Mutex<HashSet<(Resource, Option<&'static str>)>>,
    /// The trouble that was said last.
    said: Mutex<Option<std::mem::Discriminant<Trouble>>>,
    sent: AtomicU64,
}

/// What we read of an answer.
#[derive(Default, Deserialize)]
struct Answer {
    #[serde(default)]
    metadata: AnswerMeta,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AnswerMeta {
    name: String,
    resource_version: String,
}

impl<K> Writer<K>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
{
    /// A writer that posts how each write ended to `post`, as `wrap` makes an entry of it. The
    /// outcome of a write that was replaced before it was sent is not told.
    pub fn new<PK, PV>(
        client: Client,
        post: Post<PK, PV>,
        wrap: impl Fn(K, Outcome) -> (PK, PV) + Send + Sync + 'static,
    ) -> Self
    where
        PK: Clone + Eq + Hash + Send + 'static,
        PV: Send + 'static,
    {
        let report = move |key, outcome| -> BoxFuture<'static, ()> {
            let (key, value) = wrap(key, outcome);
            let post = post.clone();
            Box::pin(async move {
                // An owner that is gone does not ask any more.
                post.send(key, value).await;
            })
        };
        Self {
            shared: Arc::new(Shared {
                client,
                report: Box::new(report),
                guard: Box::new(|| Some(TIMEOUT)),
                places: Places::new(PARALLEL),
                slots: Mutex::default(),
                emptied: Notify::new(),
                update_only: Mutex::default(),
                said: Mutex::default(),
                sent: AtomicU64::new(0),
            }),
        }
    }

    /// The same writer, which sends nothing while `may_write` says no. Call it before the first wish.
    #[must_use]
    pub fn with_guard(self, may_write: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.guarded(Box::new(move || may_write().then_some(TIMEOUT)))
    }

    /// The same writer, which sends only while `leadership` allows it, and lets no request outlive
    /// what the next leader waits for. Call it before the first wish.
    #[must_use]
    pub fn with_leadership(self, leadership: Leadership) -> Self {
        self.guarded(Box::new(move || leadership.time_to_write()))
    }

    fn guarded(mut self, guard: Guard) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.guard = guard;
        } else {
            // Rather no guard for what is under way than a panic: this is a mistake of the caller.
            tracing::error!(op = "write", "a guard was set after the first wish and is not in use");
        }
        self
    }

    /// Hands over a wish and returns at once; needs a tokio runtime. A wish for the same key that
    /// was not sent yet is forgotten.
    pub fn submit(&self, key: K, write: Write) {
        {
            let mut slots = self.shared.slots.lock();
            if let Some(newer) = slots.get_mut(&key) {
                *newer = Some(write);
                return;
            }
            slots.insert(key.clone(), None);
        }
        tokio::spawn(work(Arc::clone(&self.shared), key, write));
    }

    /// Where requests of others may queue behind the writes that are waiting already.
    pub fn places(&self) -> Places {
        self.shared.places.clone()
    }

    /// Waits until nothing is left to send.
    pub async fn idle(&self) {
        loop {
            let emptied = self.shared.emptied.notified();
            if self.shared.slots.lock().is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Requests that wrote something, or tried to, since the start.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }
}

/// Serves one key until there is no newer wish.
async fn work<K: Clone + Eq + Hash>(shared: Arc<Shared<K>>, key: K, mut write: Write) {
    let mut backoff = Backoff::new();
    loop {
        let sent = {
            let _place = shared.places.take().await;
            if let Some(newer) = shared.newer(&key) {
                write = newer;
            }
            // Boxed: a task that waits for its place stays small.
            Box::pin(shared.send(&write)).await
        };
        if let Err(failure) = &sent
            && failure.trouble.is_transient()
        {
            shared.say(failure);
            tokio::time::sleep(backoff.pause(failure.trouble.longest_pause())).await;
            continue;
        }
        shared.over();
        backoff.reset();
        (shared.report)(key.clone(), outcome(sent)).await;
        match shared.newer_or_leave(&key) {
            Some(newer) => write = newer,
            None => return,
        }
    }
}

fn outcome(sent: Result<Answer, Failure>) -> Outcome {
    match sent {
        Ok(Answer { metadata }) => Outcome::Written {
            name: metadata.name.into(),
            resource_version: metadata.resource_version.into(),
        },
        Err(failure) => match failure.trouble {
            Trouble::Barred => Outcome::Refused,
            Trouble::Conflict => Outcome::Conflict,
            Trouble::Missing if failure.verb != "create" => Outcome::Missing,
            _ => Outcome::Failed(WriteError {
                message: failure.to_string(),
                forbidden: matches!(failure.trouble, Trouble::Forbidden(_)),
            }),
        },
    }
}

impl<K: Eq + Hash> Shared<K> {
    fn newer(&self, key: &K) -> Option<Write> {
        self.slots.lock().get_mut(key)?.take()
    }

    fn newer_or_leave(&self, key: &K) -> Option<Write> {
        let mut slots = self.slots.lock();
        let newer = slots.get_mut(key).and_then(Option::take);
        if newer.is_none() {
            slots.remove(key);
            if slots.is_empty() {
                self.emptied.notify_waiters();
            }
        }
        newer
    }

    async fn send(&self, write: &Write) -> Result<Answer, Failure> {
        match &write.action {
            Action::Patch { body, resource_version } => {
                let (body, version) = (&body.value(), resource_version.as_deref());
                if self.update_only.lock().contains(&(write.resource.clone(), write.subresource)) {
                    return self.update(write, body, version).await;
                }
                match self.patch(write, body, version).await {
                    Err(denied) if matches!(denied.trouble, Trouble::Forbidden(_)) => {
                        self.update_instead(write, body, version, denied).await
                    }
                    sent => sent,
                }
            }
            Action::Create(body) => {
                self.request(write, "create", Method::POST, "application/json", &body.value()).await
            }
            Action::Delete => {
                let none = Value::Object(serde_json::Map::new());
                self.request(write, "delete", Method::DELETE, "application/json", &none).await
            }
        }
    }

    async fn patch(
        &self,
        write: &Write,
        body: &Value,
        version: Option<&str>,
    ) -> Result<Answer, Failure> {
        let kind = "application/merge-patch+json";
        match version {
            None => self.request(write, "patch", Method::PATCH, kind, body).await,
            Some(version) => {
                let body = merge::with_version(body.clone(), version);
                self.request(write, "patch", Method::PATCH, kind, &body).await
            }
        }
    }

    /// RBAC of upstream grants `update` where ours grants `patch`: try that, and remember.
    async fn update_instead(
        &self,
        write: &Write,
        body: &Value,
        version: Option<&str>,
        denied: Failure,
    ) -> Result<Answer, Failure> {
        match self.update(write, body, version).await {
            Err(failure) if matches!(failure.trouble, Trouble::Forbidden(_)) => Err(denied),
            Err(failure) if failure.trouble == Trouble::Barred => Err(failure),
            sent => {
                let place = (write.resource.clone(), write.subresource);
                if self.update_only.lock().insert(place) {
                    tracing::warn!(
                        op = "write",
                        "{denied}; using update (read and replace) instead"
                    );
                }
                sent
            }
        }
    }

    async fn update(
        &self,
        write: &Write,
        body: &Value,
        version: Option<&str>,
    ) -> Result<Answer, Failure> {
        let request = Request::get(write.url(false)).body(Vec::new());
        let mut object: Value = self.call(write, "get", request).await?;
        // Without a wish, the version just read guards against a change between read and replace.
        merge::apply(&mut object, body);
        let object = match version {
            Some(version) => merge::with_version(object, version),
            None => object,
        };
        self.request(write, "update", Method::PUT, "application/json", &object).await
    }

    async fn request(
        &self,
        write: &Write,
        verb: &'static str,
        method: Method,
        kind: &'static str,
        body: &Value,
    ) -> Result<Answer, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(write.url(true))
            .header(header::CONTENT_TYPE, kind)
            .header(header::ACCEPT, "application/json")
            .body(body.to_string().into_bytes());
        self.call(write, verb, request).await
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        write: &Write,
        verb: &'static str,
        request: http::Result<Request<Vec<u8>>>,
    ) -> Result<T, Failure> {
        let trouble = match (request, (self.guard)()) {
            (Err(error), _) => Trouble::Refused(0, error.to_string()),
            (_, None) => Trouble::Barred,
            (Ok(request), Some(longest)) => {
                if verb != "get" {
                    self.sent.fetch_add(1, Ordering::Relaxed);
                }
                let longest = longest.min(TIMEOUT);
                match timeout(longest, self.client.request(request)).await {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(error)) => error.into(),
                    Err(elapsed) => elapsed.into(),
                }
            }
        };
        let Write { resource, subresource, namespace, .. } = write;
        Err(Failure::new(verb, resource, *subresource, namespace.as_deref(), trouble))
    }

    /// One line per kind of trouble.
    fn say(&self, failure: &Failure) {
        let kind = failure.trouble.kind();
        if self.said.lock().replace(kind) != Some(kind) {
            tracing::warn!(op = "write", "{failure}; trying again");
        }
    }

    fn over(&self) {
        if self.said.lock().take().is_some() {
            tracing::info!(op = "write", "the API server takes writes again");
        }
    }
}

impl Write {
    fn url(&self, with_subresource: bool) -> String {
        let mut url = self.resource.collection(self.namespace.as_deref());
        if !matches!(self.action, Action::Create(_)) {
            url.push('/');
            url.push_str(&self.name);
            if let Some(subresource) = self.subresource.filter(|_| with_subresource) {
                url.push('/');
                url.push_str(subresource);
            }
        }
        url
    }
}

impl<K> Clone for Writer<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K> fmt::Debug for Writer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.shared.slots.lock().len();
        f.debug_struct("Writer").field("waiting", &waiting).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
