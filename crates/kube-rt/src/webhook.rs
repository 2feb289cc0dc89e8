//! The server that the API server calls: admission of objects, conversion between versions.
//!
//! A route is a path and what to answer. What an answer says is the room's that owns the rules
//! (`model`); this one reads and writes the envelopes and keeps a request from costing too much.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::future::BoxFuture;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::admin::{AdminError, bind};
use crate::metrics::WebhookMetrics;
use crate::tls::{Options, ServerIdentity, TlsListener};

/// The API server does not store larger objects, and a review carries two of them.
const BODY_LIMIT: usize = 7 * 1024 * 1024;
/// Time for one answer; the API server waits 10 s unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(8);

/// What admission is asked.
pub type Request = AdmissionRequest<DynamicObject>;
/// What it answers.
pub type Answer = AdmissionResponse;

type Admit = Arc<dyn Fn(Request) -> BoxFuture<'static, Answer> + Send + Sync>;
type Convert = Arc<dyn Fn(Value, &str) -> Result<Value, String> + Send + Sync>;

/// What is served where.
#[derive(Clone, Default)]
pub struct Routes {
    paths: BTreeMap<&'static str, Route>,
}

#[derive(Clone)]
enum Route {
    Admit(Admit),
    Convert(Convert),
}

/// The webhooks cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The port is not to be had.
    #[error(transparent)]
    Listen(#[from] AdminError),
    /// The listener is of no use.
    #[error("cannot serve webhooks: {0}")]
    Io(#[from] io::Error),
    /// The TLS options contradict each other.
    #[error("cannot serve webhooks: {0}")]
    Tls(#[from] rustls::Error),
}

impl Routes {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an admission webhook.
    #[must_use]
    pub fn admit<F>(
        mut self,
        path: &'static str,
        handler: impl Fn(Request) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let handler: Admit = Arc::new(move |request| Box::pin(handler(request)));
        self.paths.insert(path, Route::Admit(handler));
        self
    }

    /// Adds a conversion webhook: object and the wanted `apiVersion` in, object or reason out.
    #[must_use]
    pub fn convert(
        mut self,
        path: &'static str,
        handler: impl Fn(Value, &str) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        self.paths.insert(path, Route::Convert(Arc::new(handler)));
        self
    }

    /// Answers the body of one request, as the server does; `None`: nothing is at `path`.
    pub async fn judge(&self, path: &str, body: &[u8]) -> Option<Result<Value, String>> {
        Some(self.paths.get(path)?.judge(body).await)
    }

    fn router(self, metrics: &WebhookMetrics) -> Router {
        let mut router = Router::new();
        for (path, route) in self.paths {
            let metrics = metrics.clone();
            let handler = move |request: axum::extract::Request| {
                let (route, metrics) = (route.clone(), metrics.clone());
                async move {
                    let begun = tokio::time::Instant::now();
                    let answer = tokio::time::timeout(TIMEOUT, route.answer(request)).await;
                    let answer = answer.unwrap_or_else(|_| {
                        let text = "no decision in time";
                        (StatusCode::GATEWAY_TIMEOUT, text).into_response()
                    });
                    metrics.answered(path, answer.status().as_u16(), begun.elapsed());
                    answer
                }
            };
            router = router.route(path, post(handler));
        }
        router
    }
}

impl Route {
    async fn judge(&self, body: &[u8]) -> Result<Value, String> {
        match self {
            Self::Admit(admit) => admission(body, admit).await,
            Self::Convert(convert) => conversion(body, convert),
        }
    }

    async fn answer(&self, request: axum::extract::Request) -> Response {
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > BODY_LIMIT) {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        }
        let Ok(body) = to_bytes(request.into_body(), BODY_LIMIT).await else {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        };
        match self.judge(&body).await {
            Ok(page) => axum::Json(page).into_response(),
            Err(why) => (StatusCode::BAD_REQUEST, why).into_response(),
        }
    }
}

async fn admission(body: &[u8], admit: &Admit) -> Result<Value, String> {
    let undecodable = |error: &dyn std::fmt::Display| format!("cannot read the review: {error}");
    let review: AdmissionReview<DynamicObject> =
        serde_json::from_slice(body).map_err(|error| undecodable(&error))?;
    let request: Request = review.try_into().map_err(|error| undecodable(&error))?;
    let answer = admit(request).await.into_review();
    serde_json::to_value(answer).map_err(|error| error.to_string())
}

/// Answers a `ConversionReview` under the `apiVersion` it came with, whichever it is: the shape is
/// the same in all of them. One object that cannot be converted fails the review.
fn conversion(body: &[u8], convert: &Convert) -> Result<Value, String> {
    let mut review: Value =
        serde_json::from_slice(body).map_err(|error| format!("cannot read the review: {error}"))?;
    let request = review.get_mut("request").map(Value::take).unwrap_or_default();
    let (Some(uid), Some(wanted), Some(objects)) = (
        request["uid"].as_str(),
        request["desiredAPIVersion"].as_str(),
        request["objects"].as_array(),
    ) else {
        return Err("cannot read the review: it has no request with objects".to_owned());
    };
    let converted: Result<Vec<_>, String> =
        objects.iter().map(|object| convert(object.clone(), wanted)).collect();
    let mut response = json!({ "uid": uid });
    match converted {
        Ok(objects) => {
            response["convertedObjects"] = objects.into();
            response["result"] = json!({ "status": "Success" });
        }
        Err(why) => response["result"] = json!({ "status": "Failure", "message": why }),
    }
    Ok(json!({ "apiVersion": review["apiVersion"], "kind": review["kind"], "response": response }))
}

/// Serves `routes` over HTTPS until `stop`. The port is open when this returns; handshakes succeed
/// as soon as `identity` has something to show. HTTP/1.1 only.
pub async fn serve(
    address: SocketAddr,
    options: &Options,
    identity: ServerIdentity,
    routes: Routes,
    metrics: &WebhookMetrics,
    stop: CancellationToken,
) -> Result<SocketAddr, ServeError> {
    let listener = bind("webhooks", address).await?;
    let listener = TlsListener::new(listener, options.server(identity)?)?;
    let address = axum::serve::Listener::local_addr(&listener)?;
    let router = routes.router(metrics);
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(op = "serveWebhooks", %error, "webhooks ended");
        }
    });
    Ok(address)
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.paths.keys()).finish()
    }
}

#[cfg(test)]
mod tests;
