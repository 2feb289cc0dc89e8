//! Events on objects, the way `kubectl describe` and `kubectl get events` expect them: core/v1,
//! with first and last time, a count and a source.
//!
//! What was said about an object within the last hour is not said again: its count and last time
//! go up. Recording never waits. The queue is long enough for a start with 10,000 Services, each of which
//! says something; beyond that events are dropped, because they are advice and not state, and the log
//! says how many.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use ferrolb_api::reasons::EventType;
use http::{Method, Request, header};
use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::backoff::Backoff;
use crate::clock::WallClock;
use crate::inbox::{Inbox, Post, inbox};
use crate::resource::Resource;
use crate::status::Places;
use crate::trouble::{Failure, Trouble};

/// Events that may wait, each with a few hundred octets.
const QUEUE: usize = 16_384;
/// Events remembered for counting.
const REMEMBERED: usize = 1024;
/// The API server forgets events after an hour; so do we.
const REPEAT_WITHIN: Duration = Duration::from_hours(1);
/// Attempts per event.
const ATTEMPTS: u32 = 6;
/// Time for one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Names end here, so that `.<hex>` fits behind.
const NAME_LENGTH: usize = 230;

/// The object an event is about.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ObjectRef {
    /// `v1`, or `group/version`.
    pub api_version: Cow<'static, str>,
    /// `Service` and so on.
    pub kind: Cow<'static, str>,
    /// Namespace; empty for cluster-wide objects, whose events go to `default`.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// `metadata.uid`: `kubectl describe` finds events by it.
    pub uid: Arc<str>,
    /// `metadata.resourceVersion`; may be empty.
    pub resource_version: Arc<str>,
}

/// Records events. Cheap to clone; the last clone ends the task behind it.
#[derive(Clone)]
pub struct Recorder {
    post: Post<Identity, Box<Note>>,
    hasher: RandomState,
    /// Events that found no place in the queue, and of which nothing was said yet.
    dropped: Arc<AtomicU64>,
    task: Arc<JoinHandle<()>>,
}

/// Equal for events that are the same one. A hash and not the texts: it is only for counting.
type Identity = u64;

/// One event that waits.
#[derive(Clone, Debug)]
struct Note {
    object: ObjectRef,
    event_type: EventType,
    reason: Cow<'static, str>,
    message: Box<str>,
}

impl Recorder {
    /// A recorder that names `component` (`metallb-controller`) as the source; needs a tokio
    /// runtime.
    pub fn new(client: Client, component: &'static str) -> Self {
        Self::with_clock(client, component, WallClock::system())
    }

    /// The same, but what waits for one of `places` already goes first: a status matters more than
    /// what is told of it.
    pub fn behind(client: Client, component: &'static str, places: Places) -> Self {
        Self::start(client, component, WallClock::system(), Some(places), QUEUE)
    }

    /// The same as [`Self::new`] with another clock for the times that people read.
    pub fn with_clock(client: Client, component: &'static str, clock: WallClock) -> Self {
        Self::start(client, component, clock, None, QUEUE)
    }

    fn start(
        client: Client,
        component: &'static str,
        clock: WallClock,
        places: Option<Places>,
        queue: usize,
    ) -> Self {
        let (post, inbox) = inbox(queue);
        let dropped = Arc::new(AtomicU64::new(0));
        let sender = Sender {
            client,
            component,
            clock,
            places,
            named: i128::MIN,
            resource: Resource::of::<k8s_openapi::api::core::v1::Event>(),
            sent: Sent::default(),
            said: None,
            dropped: Arc::clone(&dropped),
        };
        let task = Arc::new(tokio::spawn(sender.run(inbox)));
        Self { post, hasher: RandomState::new(), dropped, task }
    }

    /// Says `reason` and `message` about `object`. Never waits.
    pub fn record(
        &self,
        object: &ObjectRef,
        event_type: EventType,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<Box<str>>,
    ) {
        let (reason, message) = (reason.into(), message.into());
        let note = Note { object: object.clone(), event_type, reason, message };
        let identity = self.hasher.hash_one(note.identity());
        if self.post.try_send(identity, Box::new(note)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits, at most `limit`, until what was recorded is sent, and ends the recorder.
    pub async fn finish(self, limit: Duration) {
        let Self { post, mut task, .. } = self;
        drop(post);
        if let Some(task) = Arc::get_mut(&mut task) {
            // Late events are lost, as any.
            let _ = timeout(limit, task).await;
        }
    }
}

impl Note {
    fn identity(&self) -> impl std::hash::Hash {
        let ObjectRef { kind, namespace, name, uid, .. } = &self.object;
        (kind, namespace, name, uid, self.event_type, &self.reason, &self.message)
    }
}

impl ObjectRef {
    /// The reference to a typed object.
    pub fn of<K: kube::Resource<DynamicType = ()>>(object: &K) -> Self {
        let meta = object.meta();
        let text =
            |field: &Option<String>| -> Arc<str> { field.as_deref().unwrap_or_default().into() };
        Self {
            api_version: K::api_version(&()),
            kind: K::kind(&()),
            namespace: text(&meta.namespace),
            name: text(&meta.name),
            uid: text(&meta.uid),
            resource_version: text(&meta.resource_version),
        }
    }

    fn event_namespace(&self) -> &str {
        if self.namespace.is_empty() { "default" } else { &self.namespace }
    }
}

/// The task that sends.
struct Sender {
    client: Client,
    component: &'static str,
    clock: WallClock,
    places: Option<Places>,
    /// The number in the newest name.
    named: i128,
    resource: Resource,
    sent: Sent,
    said: Option<std::mem::Discriminant<Trouble>>,
    dropped: Arc<AtomicU64>,
}

impl Sender {
    async fn run(mut self, mut inbox: Inbox<Identity, Box<Note>>) {
        loop {
            let mut next = inbox.try_recv();
            if next.is_none() {
                self.say_dropped();
                next = inbox.recv().await;
            }
            let Some((identity, note)) = next else { return };
            let mut backoff = Backoff::new();
            for attempt in 1..=ATTEMPTS {
                let place = match &self.places {
                    Some(places) => Some(places.take().await),
                    None => None,
                };
                let sent = self.send(identity, &note).await;
                drop(place);
                match sent {
                    Ok(()) => {
                        self.said = None;
                        break;
                    }
                    Err(failure) => {
                        let again = failure.trouble.is_transient() && attempt < ATTEMPTS;
                        self.say(&failure, again);
                        if !again {
                            break;
                        }
                        tokio::time::sleep(backoff.pause(failure.trouble.longest_pause())).await;
                    }
                }
            }
        }
    }

    async fn send(&mut self, identity: Identity, note: &Note) -> Result<(), Failure> {
        let now = Instant::now();
        if let Some(known) = self.sent.known(identity, now) {
            match self.count_up(&known, &note.object).await {
                Ok(()) => {
                    let known = Known { count: known.count + 1, last: now, ..known };
                    self.sent.remember(identity, known);
                    return Ok(());
                }
                // Forgotten by the server, or out of our reach: say it anew.
                Err(Failure { trouble: Trouble::Missing | Trouble::Forbidden(_), .. }) => {}
                Err(failure) => return Err(failure),
            }
        }
        let name = self.create(note).await?;
        self.sent.remember(identity, Known { name, count: 1, last: now });
        Ok(())
    }

    async fn count_up(&self, known: &Known, object: &ObjectRef) -> Result<(), Failure> {
        let namespace = object.event_namespace();
        let url = format!("{}/{}", self.resource.collection(Some(namespace)), known.name);
        let body = json!({ "count": known.count + 1, "lastTimestamp": written(self.clock.now()) });
        self.call("patch", Method::PATCH, url, "application/merge-patch+json", namespace, &body)
            .await
    }

    async fn create(&mut self, note: &Note) -> Result<Arc<str>, Failure> {
        let namespace = note.object.event_namespace();
        let now = self.clock.now();
        // No two have one name, wherever the clock is set to.
        self.named = now.as_nanosecond().max(self.named.saturating_add(1));
        let name = event_name(&note.object.name, self.named);
        let body = event(&name, note, self.component, now);
        let url = self.resource.collection(Some(namespace));
        self.call("create", Method::POST, url, "application/json", namespace, &body).await?;
        Ok(name.into())
    }

    async fn call(
        &self,
        verb: &'static str,
        method: Method,
        url: String,
        kind: &'static str,
        namespace: &str,
        body: &Value,
    ) -> Result<(), Failure> {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header(header::CONTENT_TYPE, kind)
            .body(body.to_string().into_bytes());
        let trouble = match request {
            Err(error) => Trouble::Refused(0, error.to_string()),
            Ok(request) => match timeout(TIMEOUT, self.client.request_text(request)).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => error.into(),
                Err(elapsed) => elapsed.into(),
            },
        };
        Err(Failure::new(verb, &self.resource, None, Some(namespace), trouble))
    }

    /// One line for all that found no place since the queue was empty last.
    fn say_dropped(&self) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(op = "recordEvent", dropped, "events were dropped, too many waited");
        }
    }

    fn say(&mut self, failure: &Failure, again: bool) {
        let kind = failure.trouble.kind();
        if self.said.replace(kind) != Some(kind) {
            let end = if again { "trying again" } else { "the event is dropped" };
            tracing::warn!(op = "recordEvent", "{failure}; {end}");
        }
    }
}

/// `<object>.<hex of the time>`, as client-go names events.
fn event_name(object: &str, nanoseconds: i128) -> String {
    let end = object.floor_char_boundary(NAME_LENGTH);
    format!("{}.{nanoseconds:x}", &object[..end])
}

fn event(name: &str, note: &Note, component: &str, now: Timestamp) -> Value {
    let (now, object) = (written(now), &note.object);
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "name": name, "namespace": object.event_namespace() },
        "involvedObject": {
            "apiVersion": object.api_version,
            "kind": object.kind,
            "namespace": &*object.namespace,
            "name": &*object.name,
            "uid": &*object.uid,
            "resourceVersion": &*object.resource_version,
        },
        "type": note.event_type.to_string(),
        "reason": note.reason,
        "message": &*note.message,
        "source": { "component": component },
        "reportingComponent": component,
        "reportingInstance": "",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    })
}

/// As `metav1.Time` is written: whole seconds, UTC.
fn written(time: Timestamp) -> String {
    format!("{time:.0}")
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

/// What was sent of late.
#[derive(Default)]
struct Sent {
    by_note: HashMap<Identity, Known>,
    order: VecDeque<Identity>,
}

#[derive(Clone, Debug)]
struct Known {
    name: Arc<str>,
    count: u32,
    last: Instant,
}

impl Sent {
    fn known(&self, identity: Identity, now: Instant) -> Option<Known> {
        let known = self.by_note.get(&identity)?;
        (now.duration_since(known.last) < REPEAT_WITHIN).then(|| known.clone())
    }

    fn remember(&mut self, identity: Identity, known: Known) {
        if self.by_note.insert(identity, known).is_none() {
            self.order.push_back(identity);
            if self.order.len() > REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.by_note.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests;
