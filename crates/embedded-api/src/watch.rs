//! Watches: a cursor into the changes of a kind, turned into lines of JSON.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::collection::Change;
use crate::kind::Kind;
use crate::object::{Stored, metadata_only};
use crate::refusal::Refusal;
use crate::selector::Filter;
use crate::server::Shared;

/// How often a quiet watch is told of the current revision, if it asked for that.
const BOOKMARK_EVERY: Duration = Duration::from_mins(1);

/// What a watch asks for.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) kind: Arc<Kind>,
    pub(crate) namespace: String,
    pub(crate) filter: Filter,
    /// Changes after this one; `None` begins with what is there now.
    pub(crate) after: Option<u64>,
    pub(crate) bookmarks: bool,
    /// A bookmark shall tell when all that was there has been sent.
    pub(crate) marks_initial_end: bool,
    pub(crate) metadata_only: bool,
    pub(crate) timeout: Duration,
}

/// A watch under way.
struct Watch {
    shared: Arc<Shared>,
    order: Order,
    cursor: u64,
    changes: watch::Receiver<()>,
    drops: watch::Receiver<()>,
    deadline: Instant,
    bookmark_at: Instant,
    lines: BytesMut,
    ended: bool,
}

/// The body of the answer to a watch.
pub(crate) fn body(shared: Arc<Shared>, order: Order) -> Result<Body, Refusal> {
    let watch = Watch::new(shared, order)?;
    Ok(Body::from_stream(stream::unfold(watch, |mut watch| async move {
        let lines = watch.next().await?;
        Some((Ok::<Bytes, Infallible>(lines), watch))
    })))
}

impl Watch {
    fn new(shared: Arc<Shared>, order: Order) -> Result<Self, Refusal> {
        let drops = shared.faults.drops();
        let now = Instant::now();
        let store = shared.store.lock();
        let changes = store.changes(&order.kind)?;
        let mut lines = BytesMut::new();
        let cursor = if let Some(revision) = order.after {
            // If that is too long ago, the first line says so: the real server does not refuse.
            revision
        } else {
            let (revision, objects) = store.list(&order.kind, &order.namespace, &order.filter)?;
            for object in objects {
                order.line(&mut lines, "ADDED", &object);
            }
            if order.marks_initial_end {
                order.bookmark(&mut lines, revision, true);
            }
            revision
        };
        drop(store);
        Ok(Self {
            deadline: now + order.timeout,
            bookmark_at: now + BOOKMARK_EVERY,
            shared,
            order,
            cursor,
            changes,
            drops,
            lines,
            ended: false,
        })
    }

    /// The next lines; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.read();
            if !self.lines.is_empty() {
                return Some(self.lines.split().freeze());
            }
            if self.ended {
                return None;
            }
            tokio::select! {
                changed = self.changes.changed() => self.ended |= changed.is_err(),
                _ = self.drops.changed() => return None,
                () = sleep_until(self.deadline) => self.ended = true,
                () = sleep_until(self.bookmark_at) => {
                    self.bookmark_at += BOOKMARK_EVERY;
                    if self.order.bookmarks {
                        self.order.bookmark(&mut self.lines, self.cursor, false);
                    }
                }
            }
        }
    }

    /// Turns the changes after the cursor into lines.
    fn read(&mut self) {
        self.changes.mark_unchanged();
        let news = self.shared.store.lock().since(&self.order.kind, self.cursor);
        match news {
            Ok((revision, changes)) => {
                self.cursor = revision;
                for change in &changes {
                    self.order.change(&mut self.lines, change);
                }
            }
            Err(refusal) if !self.ended => {
                self.ended = true;
                put_line(&mut self.lines, "ERROR", refusal.status().to_string().as_bytes());
            }
            Err(_) => {}
        }
    }
}

impl Order {
    /// A change as this watch sees it: an object that begins or ceases to fit comes or goes.
    fn change(&self, lines: &mut BytesMut, change: &Change) {
        let fits = |object: &Stored| {
            let namespace = object.value.pointer("/metadata/namespace").and_then(Value::as_str);
            (self.namespace.is_empty() || namespace == Some(&self.namespace))
                && self.filter.matches(&object.value)
        };
        let old = change.old.as_ref().filter(|old| fits(old));
        match (old, fits(&change.new)) {
            (Some(_), _) if change.deleted => self.line(lines, "DELETED", &change.new),
            (None, _) if change.deleted => {}
            (None, true) => self.line(lines, "ADDED", &change.new),
            (Some(_), true) => self.line(lines, "MODIFIED", &change.new),
            // As it was when it fitted, but as of now.
            (Some(old), false) => {
                let mut last = old.value.clone();
                last["metadata"]["resourceVersion"] = change.revision.to_string().into();
                self.line(lines, "DELETED", &Stored::new(last));
            }
            (None, false) => {}
        }
    }

    fn line(&self, lines: &mut BytesMut, event: &str, object: &Stored) {
        if self.metadata_only {
            put_line(lines, event, metadata_only(&object.value).to_string().as_bytes());
        } else {
            put_line(lines, event, &object.json);
        }
    }

    fn bookmark(&self, lines: &mut BytesMut, revision: u64, initial_end: bool) {
        let mut object = json!({
            "kind": self.kind.kind,
            "apiVersion": self.kind.api_version(),
            "metadata": { "resourceVersion": revision.to_string(), "creationTimestamp": null },
        });
        if initial_end {
            object["metadata"]["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        put_line(lines, "BOOKMARK", object.to_string().as_bytes());
    }
}

fn put_line(lines: &mut BytesMut, event: &str, object: &[u8]) {
    lines.extend_from_slice(br#"{"type":""#);
    lines.extend_from_slice(event.as_bytes());
    lines.extend_from_slice(br#"","object":"#);
    lines.extend_from_slice(object);
    lines.extend_from_slice(b"}\n");
}
