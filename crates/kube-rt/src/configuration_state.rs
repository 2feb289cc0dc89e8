//! The `ConfigurationState` object of one component: what it thinks of its configuration.
//!
//! ```text
//!   post(conditions) ──▶ newest wish ──▶ (at most once a second) ──▶ read, compare
//!                                          conditions differ ──▶ apply, as upstream's manager
//!                                          result differs    ──▶ merge patch
//! ```
//!
//! Conditions are applied under the field manager that upstream uses, because people and tests look
//! for it. The object is watched, so one that was deleted or edited is put right. The result follows from the conditions that the object has, whoever wrote them.

use std::time::Duration;

use ferrolb_api::ConfigurationState;
use ferrolb_model::report::{self, Condition};
use http::Request;
use http::header::CONTENT_TYPE;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::bell::Bell;
use crate::clock::WallClock;
use crate::resource::Resource;
use crate::trouble::{Failure, Trouble};

/// The shortest time from one write to the next.
const DEBOUNCE: Duration = Duration::from_secs(1);
/// How often the object is looked at unasked, where it may not be watched.
const LOOK: Duration = Duration::from_secs(45);
/// Pause after trouble.
const RETRY: Duration = Duration::from_secs(5);
/// Time for one request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Which object, and whose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of FerroLB's own objects.
    pub namespace: String,
    /// `controller`, or `speaker-<node>`.
    pub name: String,
    /// All labels it shall have.
    pub labels: Vec<(&'static str, String)>,
    /// Name and UID of the Pod that owns it; without one it stays when the Pod goes.
    pub pod: Option<(String, String)>,
    /// Who applies the conditions: `poolReconciler` or `configReconciler`.
    pub manager: &'static str,
}

/// Takes what a component thinks. Cheap to clone; the writer ends with the last one.
#[derive(Clone, Debug)]
pub struct Reporter {
    wish: watch::Sender<Option<Vec<Condition>>>,
}

struct Writer {
    client: Client,
    settings: Settings,
    clock: WallClock,
    may_write: Box<dyn Fn() -> bool + Send + Sync>,
    resource: Resource,
}

impl Reporter {
    /// Starts the writer, which creates the object at once; needs a tokio runtime. `may_write` is
    /// asked right before each write.
    pub fn spawn(
        client: Client,
        settings: Settings,
        clock: WallClock,
        may_write: impl Fn() -> bool + Send + Sync + 'static,
        stop: CancellationToken,
    ) -> Self {
        let (wish, wishes) = watch::channel(None);
        let resource = Resource::new("metallb.io", "v1beta1", "configurationstates");
        let may_write = Box::new(may_write);
        let writer = Writer { client, settings, clock, may_write, resource };
        tokio::spawn(async move {
            tokio::select! {
                () = writer.run(wishes) => {}
                () = stop.cancelled() => {}
            }
        });
        Self { wish }
    }

    /// Replaces what was said before.
    pub fn post(&self, conditions: Vec<Condition>) {
        self.wish.send_if_modified(|wish| {
            let is_news = wish.as_ref() != Some(&conditions);
            *wish = Some(conditions);
            is_news
        });
    }

    /// Looks at the object now: who may write since a moment ago makes it its own, before it goes
    /// with the Pod of whoever wrote it until then.
    pub fn look_again(&self) {
        self.wish.send_modify(|_| {});
    }
}

impl Writer {
    async fn run(self, mut wishes: watch::Receiver<Option<Vec<Condition>>>) {
        let Settings { namespace, name, .. } = &self.settings;
        let mut bell = Bell::new();
        bell.on_object::<ConfigurationState>(&self.client, namespace, name);
        let mut said = None;
        loop {
            let wish = wishes.borrow_and_update().clone();
            let pause = match self.reconcile(wish.as_deref()).await {
                Ok(()) => {
                    said = None;
                    LOOK
                }
                Err(failure) => {
                    if said.replace(failure.trouble.kind()) != Some(failure.trouble.kind()) {
                        tracing::warn!(op = "configurationState", "{failure}; trying again");
                    }
                    RETRY
                }
            };
            sleep(DEBOUNCE).await;
            tokio::select! {
                wish = wishes.changed() => if wish.is_err() { return },
                () = bell.rung() => {}
                () = sleep(pause) => {}
            }
        }
    }

    async fn reconcile(&self, wish: Option<&[Condition]>) -> Result<(), Failure> {
        let object = match self.call("get", Request::get(self.url("")), Value::Null).await {
            Err(failure) if failure.trouble == Trouble::Missing => {
                if !(self.may_write)() {
                    return Ok(());
                }
                let namespace = &self.settings.namespace;
                let request = Request::post(self.resource.collection(Some(namespace)));
                self.call("create", request, self.object()).await?
            }
            answer => answer?,
        };
        let wanted = self.object();
        let is_ours = |part: &str| object["metadata"][part] == wanted["metadata"][part];
        if !(is_ours("labels") && is_ours("ownerReferences")) {
            let part = |part: &str| wanted["metadata"][part].clone();
            let metadata = json!({
                "labels": part("labels"), "ownerReferences": part("ownerReferences"),
            });
            self.merge("", json!({ "metadata": metadata })).await?;
        }
        let mut status = object["status"].clone();
        if let Some(conditions) = wish.and_then(|wish| self.applied(&status, wish)) {
            if !(self.may_write)() {
                return Ok(());
            }
            let url = format!(
                "{}?fieldManager={}&force=true",
                self.url("/status"),
                self.settings.manager
            );
            let request = Request::patch(url).header(CONTENT_TYPE, "application/apply-patch+yaml");
            let body = json!({
                "apiVersion": "metallb.io/v1beta1", "kind": "ConfigurationState",
                "metadata": { "name": self.settings.name, "namespace": self.settings.namespace },
                "status": { "conditions": conditions },
            });
            status = self.call("patch", request, body).await?["status"].clone();
        }
        let (result, summary) = result(&status["conditions"]);
        let text = |field: &str| status[field].as_str().unwrap_or_default();
        if text("result") != result || text("errorSummary") != summary {
            let status = json!({ "result": result, "errorSummary": summary });
            self.merge("/status", json!({ "status": status })).await?;
        }
        Ok(())
    }

    /// The conditions to apply; `None` if the object has them all. The time of a condition is the
    /// time its status changed.
    fn applied(&self, status: &Value, wish: &[Condition]) -> Option<Vec<Value>> {
        let none = Vec::new();
        let known = status["conditions"].as_array().unwrap_or(&none);
        let mut differs = false;
        let now = jiff::Timestamp::from_second(self.clock.now().as_second()).unwrap_or_default();
        let conditions = wish
            .iter()
            .map(|condition| {
                let mut wanted = to_value(condition);
                let old = known.iter().find(|old| old["type"] == wanted["type"]);
                let same = |field: &str| old.is_some_and(|old| old[field] == wanted[field]);
                differs |= !["status", "reason", "message"].into_iter().all(same);
                wanted["lastTransitionTime"] = match old {
                    Some(old) if old["status"] == wanted["status"] => {
                        old["lastTransitionTime"].clone()
                    }
                    _ => now.to_string().into(),
                };
                wanted
            })
            .collect();
        differs.then_some(conditions)
    }

    /// The object as it begins.
    fn object(&self) -> Value {
        let Settings { namespace, name, labels, pod, .. } = &self.settings;
        let labels: serde_json::Map<_, _> = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Value::from(value.clone())))
            .collect();
        let mut metadata = json!({ "name": name, "namespace": namespace, "labels": labels });
        if let Some((name, uid)) = pod {
            metadata["ownerReferences"] =
                json!([{ "apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid }]);
        }
        json!({ "apiVersion": "metallb.io/v1beta1", "kind": "ConfigurationState", "metadata": metadata })
    }

    fn url(&self, subresource: &str) -> String {
        let Settings { namespace, name, .. } = &self.settings;
        format!("{}/{name}{subresource}", self.resource.collection(Some(namespace)))
    }

    async fn merge(&self, subresource: &str, body: Value) -> Result<(), Failure> {
        if !(self.may_write)() {
            return Ok(());
        }
        let request = Request::patch(self.url(subresource))
            .header(CONTENT_TYPE, "application/merge-patch+json");
        self.call("patch", request, body).await.map(drop)
    }

    async fn call(
        &self,
        verb: &'static str,
        request: http::request::Builder,
        body: Value,
    ) -> Result<Value, Failure> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let trouble = match request.body(body) {
            Err(error) => Trouble::Refused(0, error.to_string()),
            Ok(request) => match timeout(TIMEOUT, self.client.request(request)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error.into(),
                Err(elapsed) => elapsed.into(),
            },
        };
        Err(Failure::new(verb, &self.resource, None, Some(&self.settings.namespace), trouble))
    }
}

fn to_value(condition: &Condition) -> Value {
    let Condition { type_, holds, reason, message } = condition;
    let status = if *holds { "True" } else { "False" };
    json!({ "type": type_, "status": status, "reason": reason, "message": message })
}

/// `.status.result` and `.status.errorSummary` for these conditions.
fn result(conditions: &Value) -> (String, String) {
    let conditions = conditions.as_array().map(Vec::as_slice).unwrap_or_default();
    let read = conditions.iter().map(|condition| {
        let text = |field: &str| condition[field].as_str().unwrap_or_default();
        (text("status"), text("reason"), text("message"))
    });
    let (result, summary) = report::result(read);
    (result.to_string(), summary)
}

#[cfg(test)]
mod tests;
