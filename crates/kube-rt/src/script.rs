//! A scripted API server for tests: the test reads each request as it comes and answers it.

use std::convert::Infallible;

use axum::body::Body;
use futures::StreamExt as _;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body as RequestBody;
use serde_json::{Value, json};
use tower_test::mock::{Handle, SendResponse};

/// The server's side.
pub(crate) struct Script(Handle<Request<RequestBody>, Response<Body>>);

/// One request, read and not yet answered. Dropping it breaks the connection.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) content_type: String,
    pub(crate) body: Value,
    answer: SendResponse<Response<Body>>,
}

/// A client and the server it talks to.
pub(crate) fn mk_script() -> (Client, Script) {
    let (service, handle) = tower_test::mock::pair::<Request<RequestBody>, Response<Body>>();
    (Client::new(service, "default"), Script(handle))
}

impl Script {
    /// The next request.
    pub(crate) async fn next(&mut self) -> Call {
        let (request, answer) = self.0.next_request().await.unwrap();
        let (parts, body) = request.into_parts();
        let body = Body::new(body);
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let header = parts.headers.get(http::header::CONTENT_TYPE);
        Call {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            content_type: header.map_or("", |value| value.to_str().unwrap()).to_owned(),
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            answer,
        }
    }

    /// Whether nobody is left who could send a request. Waits for the next one otherwise.
    pub(crate) async fn is_over(&mut self) -> bool {
        self.0.next_request().await.is_none()
    }

    /// Whether no request comes while everything else runs until it has nothing to do but wait.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        let next = std::pin::pin!(self.0.next_request());
        let quiet = std::pin::pin!(async {
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
        });
        matches!(futures::future::select(next, quiet).await, futures::future::Either::Right(_))
    }
}

impl Call {
    /// `VERB path`, to compare with.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// Answers 200 with `body`.
    pub(crate) fn ok(self, body: &Value) {
        self.respond(200, Body::from(body.to_string().into_bytes()));
    }

    /// Answers an error as the API server writes it.
    pub(crate) fn fail(self, code: u16, message: &str) {
        let status = mk_status(code, message);
        self.respond(code, Body::from(status.to_string().into_bytes()));
    }

    /// Answers a watch with `events` that then ends, or stays `open`.
    pub(crate) fn stream(self, events: &[Value], open: bool) {
        let lines: Vec<_> =
            events.iter().map(|event| Ok::<_, Infallible>(format!("{event}\n"))).collect();
        let lines = futures::stream::iter(lines);
        let body = if open {
            Body::from_stream(lines.chain(futures::stream::pending()))
        } else {
            Body::from_stream(lines)
        };
        self.respond(200, body);
    }

    fn respond(self, code: u16, body: Body) {
        self.answer.send_response(Response::builder().status(code).body(body).unwrap());
    }
}

/// A `Status` object of a failure.
pub(crate) fn mk_status(code: u16, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "code": code,
    })
}
