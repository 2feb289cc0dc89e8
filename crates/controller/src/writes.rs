//! What this process writes: the status of Services and pools, while it leads.
//!
//! The guard is asked right before each send, and no request outlives what the next leader waits
//! for. What was handed over before and not sent falls to the guard too, as long as nobody leads
//! here; so a new term begins when nothing is left of the one before ([`Writes::idle`]).

use std::fmt;
use std::sync::Arc;

use ferrolb_api::{IPAddressPool, IPAddressPoolStatus};
use ferrolb_ipam::PoolName;
use ferrolb_kube_rt::election::Leadership;
use ferrolb_kube_rt::status::{Action, Outcome, Places, Write, WriteError, Writer};
use ferrolb_kube_rt::{Post, Resource};
use kube::Client;
use parking_lot::Mutex;
use serde_json::json;
use tracing::error;

use crate::ledger::{StatusWrite, WriteResult};
use crate::status;
use crate::topics::{Message, Target, Topic};

/// The writer. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Writes {
    writer: Writer<Target>,
}

impl Writes {
    /// A writer that posts how each write ended to `post`.
    pub(crate) fn new(
        client: Client,
        leadership: Option<Leadership>,
        post: Post<Topic, Message>,
    ) -> Self {
        // What keeps the server from taking writes is said once, not for each object and attempt.
        let said: Mutex<Option<WriteError>> = Mutex::default();
        let writer = Writer::new(client, post, move |target: Target, outcome| {
            if let Outcome::Failed(reason) = &outcome
                && said.lock().replace(reason.clone()).as_ref() != Some(reason)
            {
                error!(%target, error = %reason, "cannot write a status");
            }
            let result = match outcome {
                Outcome::Written { resource_version, .. } => {
                    said.lock().take();
                    WriteResult::Done(resource_version)
                }
                Outcome::Conflict => WriteResult::Conflict,
                Outcome::Missing => WriteResult::Missing,
                Outcome::Refused | Outcome::Failed(_) => WriteResult::Failed,
            };
            (Topic::Written(target), Message::Written(result))
        });
        let writer = match leadership {
            Some(leadership) => writer.with_leadership(leadership),
            None => writer,
        };
        Self { writer }
    }

    /// Sends the status of a Service.
    pub(crate) fn service(&self, write: &StatusWrite) {
        let action = Action::Patch {
            body: status::patch(write).into(),
            resource_version: Some(Arc::clone(&write.resource_version)),
        };
        let target = Target::Service(write.key.clone());
        self.writer.submit(target, status::write(&write.key, action));
    }

    /// Sends the status of a pool in `namespace`.
    pub(crate) fn pool(&self, namespace: &Arc<str>, pool: PoolName, status: IPAddressPoolStatus) {
        let write = Write {
            resource: Resource::of::<IPAddressPool>(),
            namespace: Some(Arc::clone(namespace)),
            name: pool.as_str().into(),
            subresource: Some("status"),
            action: Action::Patch {
                body: json!({ "status": status }).into(),
                resource_version: None,
            },
        };
        self.writer.submit(Target::Pool(pool), write);
    }

    /// Where others queue behind what is written.
    pub(crate) fn places(&self) -> Places {
        self.writer.places()
    }

    /// Waits until nothing is left to send.
    pub(crate) async fn idle(&self) {
        self.writer.idle().await;
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(key) => write!(f, "Service {key}"),
            Self::Pool(name) => write!(f, "IPAddressPool {}", name.as_str()),
        }
    }
}
