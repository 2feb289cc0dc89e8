//! Services that left our sight with something of ours: each was deleted, or changed its type. In the
//! second case the API server has cleared its addresses; our annotation and our conditions are left
//! for us to remove.
//!
//! Beside the ledger, because it needs a look at the object, and one at a time, because it is in no
//! hurry.

use std::time::Duration;

use ferrolb_api::annotations::ALLOCATED_FROM_POOL;
use ferrolb_ipam::ServiceKey;
use ferrolb_kube_rt::status::{Action, Outcome, Writer};
use ferrolb_kube_rt::{Inbox, Post, inbox};
use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client};
use serde_json::Value;
use tokio::task::JoinHandle;
use tracing::{debug, error};

use crate::standing::without_ours;
use crate::status;

/// Services that may wait; beyond that something is left behind, which harms nobody.
const QUEUE: usize = 4096;
/// Attempts per Service.
const ATTEMPTS: usize = 10;
/// Time between two attempts.
const PAUSE: Duration = Duration::from_secs(2);

/// The task that looks after them; it ends with this.
pub(crate) struct Retirement {
    post: Post<ServiceKey, ()>,
    task: JoinHandle<()>,
}

/// Starts the task.
pub(crate) fn start(client: Client) -> Retirement {
    let (post, services) = inbox(QUEUE);
    Retirement { post, task: tokio::spawn(turn(client, services)) }
}

impl Retirement {
    /// `service` is gone from our sight.
    pub(crate) fn add(&self, service: ServiceKey) {
        if let Err(full) = self.post.try_send(service, ()) {
            debug!(op = "retire", error = %full);
        }
    }
}

impl Drop for Retirement {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn turn(client: Client, mut services: Inbox<ServiceKey, ()>) {
    let (post, mut outcomes) = inbox(1);
    let writer = Writer::new(client.clone(), post, |key: ServiceKey, outcome| (key, outcome));
    while let Some((key, ())) = services.recv().await {
        for _ in 0..ATTEMPTS {
            match left_behind(&client, &key).await {
                Ok(None) => break,
                Ok(Some((version, body))) => {
                    let body = body.into();
                    let action = Action::Patch { body, resource_version: Some(version.into()) };
                    writer.submit(key.clone(), status::write(&key, action));
                    match outcomes.recv().await {
                        Some((_, Outcome::Conflict)) => continue,
                        Some((_, Outcome::Failed(error))) => {
                            error!(service = %key, %error, "cannot remove what is ours");
                        }
                        _ => {}
                    }
                    break;
                }
                Err(error) => {
                    debug!(op = "retire", service = %key, %error);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// The version of a Service of another type on which something of ours is left, and what removes it.
async fn left_behind(client: &Client, key: &ServiceKey) -> kube::Result<Option<(String, Value)>> {
    let api = Api::<Service>::namespaced(client.clone(), &key.namespace);
    let Some(service) = api.get_opt(&key.name).await? else { return Ok(None) };
    let other_type = service.spec.and_then(|spec| spec.type_).is_some_and(|t| t != "LoadBalancer");
    let annotations = service.metadata.annotations.unwrap_or_default();
    let conditions = service.status.and_then(|status| status.conditions).unwrap_or_default();
    let rest = without_ours(&conditions);
    let left = other_type && (annotations.contains_key(ALLOCATED_FROM_POOL) || rest.is_some());
    let version = service.metadata.resource_version.filter(|_| left);
    Ok(version.map(|version| (version, status::disown(rest.as_deref()))))
}
