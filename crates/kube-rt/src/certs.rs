//! The certificates of the webhooks: made, kept in a Secret, renewed in time, and made known to the
//! API server.
//!
//! ```text
//!   Secret ca.crt ca.key tls.crt tls.key ──read──▶ every replica shows tls.crt
//!     ▲                                    │
//!     └── leader: plan (pure) ─ authority ─┘
//!              └── caBundle ──▶ ValidatingWebhookConfiguration, CRD bgppeers (only if it differs)
//! ```
//!
//! A change of one of the three is seen by watch and put right within a second or so. What upstream
//! left in the Secret stays in use as long as it holds; its RSA key does not sign any more, so a CA
//! of ours comes beside it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::plan::{Contents, Plan, plan};
use crate::bell::Bell;
use crate::clock::WallClock;
use crate::probes::Check;
use crate::resource::Resource;
use crate::tls::{IdentityError, ServerIdentity};
use crate::trouble::{Failure, Trouble};

mod authority;
mod plan;

/// How often everything is looked at unasked: no watch tells that time goes on, that leadership
/// changed, or what it is not permitted to see.
const LOOK: Duration = Duration::from_secs(15);
/// The shortest time from one look to the next: somebody else may insist on another bundle.
const PAUSE: Duration = Duration::from_millis(500);
/// The same until there is something to show and the API server trusts it.
const LOOK_AT_START: Duration = Duration::from_secs(1);
/// Time for the API server to have been told whom to trust, until a process counts as ready anyway:
/// a leader that died is followed by then, and what hinders (a role without the verb) would hinder for
/// ever.
const TELLING: Duration = Duration::from_secs(15);
/// The same where no webhook is configured: whoever installs does that right after the workloads.
const CONFIGURING: Duration = Duration::from_secs(1);
/// Time for one request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Steps of one round: a new CA, then a server certificate by it, then nothing.
const STEPS: usize = 3;

/// Where certificates are kept, and who must know them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the Secret and of the Service.
    pub namespace: String,
    /// Name of the Secret (`--webhook-secret`).
    pub secret: String,
    /// Name of the Service (`--cert-service-name`).
    pub service: String,
    /// The webhook configuration that gets the bundle.
    pub webhooks: String,
    /// The definition whose conversion gets the bundle, if it has a conversion webhook.
    pub definition: String,
}

impl Settings {
    /// Upstream's names in `namespace`.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            secret: "metallb-webhook-cert".to_owned(),
            service: "metallb-webhook-service".to_owned(),
            webhooks: "metallb-webhook-configuration".to_owned(),
            definition: "bgppeers.metallb.io".to_owned(),
        }
    }
}

/// A round did not come to its end.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Api(#[from] Failure),
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    #[error("Secret {0}: {1}")]
    Show(String, IdentityError),
}

/// Keeps certificates. See [`Keeper::spawn`].
pub struct Keeper {
    client: Client,
    settings: Settings,
    identity: ServerIdentity,
    may_write: Arc<dyn Fn() -> bool + Send + Sync>,
    clock: WallClock,
    shown: Option<Contents>,
    /// Set once the API server has the authority of what is shown.
    told: Check,
    begun: Instant,
}

impl Keeper {
    /// Keeps what `identity` shows; `may_write` is asked right before each write, so that only the
    /// leader writes. `told` is set once the API server was seen to trust what is shown, or after a
    /// while without: before, no review would succeed.
    pub fn new(
        client: Client,
        settings: Settings,
        identity: ServerIdentity,
        told: Check,
        may_write: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let (may_write, clock) = (Arc::new(may_write), WallClock::system());
        Self {
            client,
            settings,
            identity,
            may_write,
            clock,
            shown: None,
            told,
            begun: Instant::now(),
        }
    }

    /// The same keeper with another wall clock.
    #[must_use]
    pub fn with_clock(self, clock: WallClock) -> Self {
        Self { clock, ..self }
    }

    /// Goes on until `stop`; needs a tokio runtime.
    pub fn spawn(mut self, stop: CancellationToken) {
        tokio::spawn(async move {
            let Settings { namespace, secret, webhooks, definition, .. } = &self.settings;
            let mut bell = Bell::new();
            bell.on_object::<Secret>(&self.client, namespace, secret);
            bell.on_cluster_object::<ValidatingWebhookConfiguration>(&self.client, webhooks);
            bell.on_cluster_object::<CustomResourceDefinition>(&self.client, definition);
            let mut said = None;
            loop {
                match self.round().await {
                    Ok(()) => said = None,
                    Err(error) => {
                        let text = error.to_string();
                        if said.as_ref() != Some(&text) {
                            tracing::warn!(op = "certificates", "{text}; trying again");
                            said = Some(text);
                        }
                    }
                }
                if !self.told.is_ready() && self.begun.elapsed() >= TELLING {
                    tracing::warn!(
                        op = "certificates",
                        "the API server was not told yet whom to trust at our webhooks"
                    );
                    self.told.ready();
                }
                let settled = self.identity.is_ready() && self.told.is_ready();
                let pause = if settled { LOOK } else { LOOK_AT_START };
                let waited = async {
                    sleep(PAUSE).await;
                    // Either way it is time to look.
                    let _ = timeout(pause, bell.rung()).await;
                };
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = waited => {}
                }
            }
        });
    }

    /// Looks at everything once and puts right what is not.
    async fn round(&mut self) -> Result<(), RoundError> {
        let name = format!("{}.{}.svc", self.settings.service, self.settings.namespace);
        for _ in 0..STEPS {
            let secret = self.read_secret().await?;
            let contents = contents(secret.as_ref());
            self.show(&contents)?;
            if !(self.may_write)() {
                if !self.told.is_ready() {
                    let webhooks = self.webhooks().await?;
                    self.look_whether_told(webhooks.as_ref(), &contents.ca_crt);
                }
                return Ok(());
            }
            let now = self.clock.now();
            let plan = plan(&contents, &name, now);
            // The bundle goes out before a server certificate that needs it.
            let webhooks = match plan {
                Plan::NewCa { .. } => None,
                _ => self.spread(&contents.ca_crt).await?,
            };
            if plan == Plan::Keep {
                self.look_whether_told(webhooks.as_ref(), &contents.ca_crt);
                return Ok(());
            }
            self.carry_out(&plan, &contents, &name, now, secret).await?;
        }
        Ok(())
    }

    async fn carry_out(
        &self,
        plan: &Plan,
        old: &Contents,
        name: &str,
        now: Timestamp,
        secret: Option<Secret>,
    ) -> Result<(), RoundError> {
        let new = authority::carry_out(plan, old, name, now)?;
        let what = if *plan == Plan::ReissueServer { "server certificate" } else { "CA" };
        tracing::info!(event = "certificates", "making a new {what}");
        match self.write_secret(secret, &new).await {
            // Somebody else was faster: what is there now is looked at next.
            Err(failure) if failure.trouble == Trouble::Conflict => Ok(()),
            written => Ok(written?),
        }
    }

    fn show(&mut self, contents: &Contents) -> Result<(), RoundError> {
        if contents.tls_crt.is_empty() || self.shown.as_ref() == Some(contents) {
            return Ok(());
        }
        self.shown = Some(contents.clone());
        self.identity
            .show(contents.tls_crt.as_bytes(), contents.tls_key.as_bytes())
            .or_else(|error| {
                // Without a leader to repair it this lasts; with one it is replaced in this round.
                if (self.may_write)() { Ok(()) } else { Err(error) }
            })
            .map_err(|error| RoundError::Show(self.settings.secret.clone(), error))
    }

    async fn read_secret(&self) -> Result<Option<Secret>, Failure> {
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &self.settings.namespace);
        match self.bounded("get", secrets.get(&self.settings.secret)).await {
            Err(failure) if failure.trouble == Trouble::Missing => Ok(None),
            answer => answer.map(Some),
        }
    }

    async fn write_secret(&self, old: Option<Secret>, new: &Contents) -> Result<(), Failure> {
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &self.settings.namespace);
        let exists = old.is_some();
        let mut secret = old.unwrap_or_default();
        secret.metadata.name = Some(self.settings.secret.clone());
        let data = secret.data.get_or_insert_with(BTreeMap::new);
        for (key, text) in entries(new) {
            data.insert(key.to_owned(), ByteString(text.as_bytes().to_vec()));
        }
        let params = PostParams::default();
        if exists {
            let written = secrets.replace(&self.settings.secret, &params, &secret);
            self.bounded("update", written).await.map(drop)
        } else {
            self.bounded("create", secrets.create(&params, &secret)).await.map(drop)
        }
    }

    /// Makes `bundle` known to the API server, where it is not. Returns the webhooks as they are then.
    async fn spread(&self, bundle: &str) -> Result<Option<Value>, Failure> {
        let bundle = json!(ByteString(bundle.as_bytes().to_vec()));
        let Settings { webhooks: name, definition, .. } = &self.settings;

        let mut webhooks = self.webhooks().await?;
        if let Some(object) = &mut webhooks {
            let mut hooks = object["webhooks"].clone();
            for hook in hooks.as_array_mut().into_iter().flatten() {
                hook["clientConfig"]["caBundle"] = bundle.clone();
            }
            if hooks != object["webhooks"] {
                let resource = Resource::of::<ValidatingWebhookConfiguration>();
                let body = json!({ "webhooks": hooks });
                if let Some(written) = self.patch(&resource, name, object, body).await? {
                    *object = written;
                }
            }
        }

        let resource = Resource::of::<CustomResourceDefinition>();
        if let Some(object) = self.get(&resource, definition).await? {
            let client = object.pointer("/spec/conversion/webhook/clientConfig");
            if client.is_some_and(|client| client["caBundle"] != bundle) {
                let client = json!({ "clientConfig": { "caBundle": bundle } });
                let body = json!({ "spec": { "conversion": { "webhook": client } } });
                self.patch(&resource, definition, &object, body).await?;
            }
        }
        Ok(webhooks)
    }

    async fn webhooks(&self) -> Result<Option<Value>, Failure> {
        let resource = Resource::of::<ValidatingWebhookConfiguration>();
        self.get(&resource, &self.settings.webhooks).await
    }

    /// Whether the API server has `bundle` for each of its `webhooks`, until it had it once.
    fn look_whether_told(&self, webhooks: Option<&Value>, bundle: &str) {
        if self.told.is_ready() || bundle.is_empty() {
            return;
        }
        let bundle = json!(ByteString(bundle.as_bytes().to_vec()));
        let is_told = match webhooks {
            Some(object) => {
                let mut hooks = object["webhooks"].as_array().into_iter().flatten();
                hooks.all(|hook| hook["clientConfig"]["caBundle"] == bundle)
            }
            None => self.begun.elapsed() >= CONFIGURING,
        };
        if is_told {
            self.told.ready();
        }
    }

    /// A cluster-wide object as the server has it, so that no field is lost that we do not know.
    async fn get(&self, resource: &Resource, name: &str) -> Result<Option<Value>, Failure> {
        let url = format!("{}/{name}", resource.collection(None));
        match self.request("get", resource, Request::get(url), Vec::new()).await {
            Err(failure) if failure.trouble == Trouble::Missing => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Applies a merge patch if `object` is still what the server has. Returns the object then, or
    /// nothing where nothing may be written.
    async fn patch(
        &self,
        resource: &Resource,
        name: &str,
        object: &Value,
        mut body: Value,
    ) -> Result<Option<Value>, Failure> {
        if !(self.may_write)() {
            return Ok(None);
        }
        body["metadata"] = json!({ "resourceVersion": object["metadata"]["resourceVersion"] });
        let url = format!("{}/{name}?fieldManager=MetalLB", resource.collection(None));
        let request = Request::patch(url).header(CONTENT_TYPE, "application/merge-patch+json");
        self.request("patch", resource, request, body.to_string().into_bytes()).await.map(Some)
    }

    async fn request(
        &self,
        verb: &'static str,
        resource: &Resource,
        request: http::request::Builder,
        body: Vec<u8>,
    ) -> Result<Value, Failure> {
        let trouble = match request.body(body) {
            Err(error) => Trouble::Refused(0, error.to_string()),
            Ok(request) => match timeout(TIMEOUT, self.client.request(request)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error.into(),
                Err(elapsed) => elapsed.into(),
            },
        };
        Err(Failure::new(verb, resource, None, None, trouble))
    }

    async fn bounded<K: kube::Resource<DynamicType = ()>>(
        &self,
        verb: &'static str,
        request: impl Future<Output = kube::Result<K>>,
    ) -> Result<K, Failure> {
        let trouble = match timeout(TIMEOUT, request).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error.into(),
            Err(elapsed) => elapsed.into(),
        };
        Err(Failure::new(verb, &Resource::of::<K>(), None, None, trouble))
    }
}

fn entries(contents: &Contents) -> [(&'static str, &str); 4] {
    let Contents { ca_crt, ca_key, tls_crt, tls_key } = contents;
    [("ca.crt", ca_crt), ("ca.key", ca_key), ("tls.crt", tls_crt), ("tls.key", tls_key)]
}

fn contents(secret: Option<&Secret>) -> Contents {
    let data = secret.and_then(|secret| secret.data.as_ref());
    let text = |key: &str| {
        let bytes = data.and_then(|data| data.get(key));
        bytes.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()).unwrap_or_default()
    };
    Contents {
        ca_crt: text("ca.crt"),
        ca_key: text("ca.key"),
        tls_crt: text("tls.crt"),
        tls_key: text("tls.key"),
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
