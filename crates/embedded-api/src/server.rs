//! Requests: from HTTP to verbs on the store, and back.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::Config;
use crate::discovery;
use crate::faults::{Faults, Request};
use crate::kind::Kind;
use crate::object::{Key, Part, Stored, metadata_only};
use crate::path::{Route, Target};
use crate::refusal::Refusal;
use crate::selector::Filter;
use crate::store::{Preconditions, Store};
use crate::watch::{self, Order};

/// The largest body the real server takes.
const MAX_BODY: usize = 3 << 20;

/// How long a watch lasts that does not say.
const WATCH_TIMEOUT: Duration = Duration::from_hours(1);

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Mutex<Store>,
    pub(crate) faults: Faults,
}

/// The query parameters that mean something here.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Query {
    watch: String,
    label_selector: String,
    field_selector: String,
    resource_version: String,
    send_initial_events: String,
    allow_watch_bookmarks: String,
    timeout_seconds: Option<u64>,
    dry_run: String,
}

/// A request for objects, as far as it is understood without the store.
struct Call<'a> {
    method: &'a Method,
    target: Target<'a>,
    query: Query,
    metadata_only: bool,
    content_type: &'a str,
    body: &'a [u8],
}

impl Shared {
    pub(crate) fn new(config: &Config) -> Result<Self, Refusal> {
        Ok(Self { store: Mutex::new(Store::new(config)?), faults: Faults::default() })
    }
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(answer).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(shared)
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let latency = shared.faults.latency();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let route = Route::parse(uri.path());
    let document = match route {
        Route::Health => return "ok".into_response(),
        Route::Version => Some(discovery::version()),
        Route::CoreVersions => Some(discovery::core_versions()),
        Route::Groups => Some(discovery::groups(shared.store.lock().kinds())),
        Route::Group(name) => discovery::group(shared.store.lock().kinds(), name),
        Route::Resources { group, version } => {
            discovery::resources(shared.store.lock().kinds(), group, version)
        }
        Route::Objects(target) => {
            let call = |query| Call {
                method: &method,
                target,
                query,
                metadata_only: header(&headers, &ACCEPT).contains("as=PartialObjectMetadata"),
                content_type: header(&headers, &CONTENT_TYPE),
                body: &body,
            };
            return query(&uri)
                .and_then(|query| call(query).answer(&shared))
                .unwrap_or_else(IntoResponse::into_response);
        }
        Route::Unknown => None,
    };
    match document {
        Some(document) => json_response(StatusCode::OK, document.to_string()),
        None => (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
    }
}

impl Call<'_> {
    fn answer(&self, shared: &Arc<Shared>) -> Result<Response, Refusal> {
        let target = self.target;
        let kind = shared.store.lock().kind(target.group, target.version, target.plural);
        let Ok(kind) = kind else {
            // The real server does not make a Status of this one.
            return Ok((StatusCode::NOT_FOUND, "404 page not found\n").into_response());
        };
        let part = match target.subresource {
            "" => Part::Main,
            "status" if kind.has_status => Part::Status,
            _ => return Err(Refusal::no_such_resource()),
        };
        let verb = self.verb(part)?;
        let resource = match part {
            Part::Main => kind.plural.clone(),
            Part::Status => format!("{}/status", kind.plural),
        };
        shared.faults.admit(Request { verb, resource }, &kind.group)?;
        if !self.query.dry_run.is_empty() {
            return Err(Refusal::bad_request("dryRun is not supported here"));
        }
        self.check_namespace(&kind, verb)?;

        let key = Key { namespace: target.namespace.to_owned(), name: target.name.to_owned() };
        let filter = Filter::parse(&kind, &self.query.label_selector, &self.query.field_selector)?;
        if verb == "watch" {
            let order = self.order(kind, filter)?;
            return Ok(json_response(StatusCode::OK, watch::body(Arc::clone(shared), order)?));
        }
        let mut store = shared.store.lock();
        let (code, object) = match verb {
            "get" => (StatusCode::OK, store.get(&kind, &key)?),
            "list" => {
                let (revision, objects) = store.list(&kind, target.namespace, &filter)?;
                drop(store);
                return Ok(self.list(&kind, revision, &objects));
            }
            "create" => {
                (StatusCode::CREATED, store.create(&kind, target.namespace, self.object()?)?)
            }
            "update" => (StatusCode::OK, store.update(&kind, &key, part, self.object()?)?),
            "patch" => (StatusCode::OK, store.patch(&kind, &key, part, &self.patch()?)?),
            "delete" => {
                let object = store.delete(&kind, &key, &self.preconditions()?)?;
                drop(store);
                return Ok(deleted(&kind, &object));
            }
            _ => {
                let (revision, objects) =
                    store.delete_collection(&kind, target.namespace, &filter)?;
                drop(store);
                return Ok(self.list(&kind, revision, &objects));
            }
        };
        drop(store);
        Ok(self.object_response(code, &object))
    }

    /// The verb, as RBAC names it.
    fn verb(&self, part: Part) -> Result<&'static str, Refusal> {
        let is_object = !self.target.name.is_empty();
        let is_watch = matches!(self.query.watch.as_str(), "1" | "true");
        match (self.method, is_object, part) {
            (&Method::GET, true, _) => Ok("get"),
            (&Method::GET, false, _) if is_watch => Ok("watch"),
            (&Method::GET, false, _) => Ok("list"),
            (&Method::POST, false, _) => Ok("create"),
            (&Method::PUT, true, _) => Ok("update"),
            (&Method::PATCH, true, _) => Ok("patch"),
            (&Method::DELETE, true, Part::Main) => Ok("delete"),
            (&Method::DELETE, false, _) => Ok("deletecollection"),
            _ => Err(Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "the server does not allow this method on the requested resource",
            )),
        }
    }

    fn check_namespace(&self, kind: &Kind, verb: &str) -> Result<(), Refusal> {
        let has_namespace = !self.target.namespace.is_empty();
        let needs_namespace = kind.namespaced && !matches!(verb, "list" | "watch");
        if has_namespace && !kind.namespaced || needs_namespace && !has_namespace {
            return Err(Refusal::no_such_resource());
        }
        Ok(())
    }

    fn order(&self, kind: Arc<Kind>, filter: Filter) -> Result<Order, Refusal> {
        let sends_initial = self.query.send_initial_events == "true";
        let after = match self.query.resource_version.as_str() {
            "" | "0" => None,
            _ if sends_initial => None,
            version => Some(version.parse().map_err(|_| {
                Refusal::bad_request(format!("invalid resource version: \"{version}\""))
            })?),
        };
        let bookmarks = self.query.allow_watch_bookmarks == "true";
        Ok(Order {
            kind,
            namespace: self.target.namespace.to_owned(),
            filter,
            after,
            bookmarks,
            marks_initial_end: sends_initial && bookmarks,
            metadata_only: self.metadata_only,
            timeout: self.query.timeout_seconds.map_or(WATCH_TIMEOUT, Duration::from_secs),
        })
    }

    fn object(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(self.body)
            .map_err(|error| Refusal::bad_request(format!("the body is not JSON: {error}")))
    }

    fn patch(&self) -> Result<Value, Refusal> {
        let content_type = self.content_type.split(';').next().unwrap_or_default().trim();
        if content_type != "application/merge-patch+json" {
            let message = format!(
                "the body of the request was in an unknown format ({content_type}); accepted media types include: application/merge-patch+json"
            );
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        self.object()
    }

    fn preconditions(&self) -> Result<Preconditions, Refusal> {
        if self.body.is_empty() {
            return Ok(Preconditions::default());
        }
        let options = self.object()?;
        let condition =
            |field: &str| options.get("preconditions")?.get(field)?.as_str().map(str::to_owned);
        Ok(Preconditions { uid: condition("uid"), resource_version: condition("resourceVersion") })
    }

    fn object_response(&self, code: StatusCode, object: &Stored) -> Response {
        if self.metadata_only {
            return json_response(code, metadata_only(&object.value).to_string());
        }
        json_response(code, object.json.clone())
    }

    fn list(&self, kind: &Kind, revision: u64, objects: &[Arc<Stored>]) -> Response {
        let (list, version) = if self.metadata_only {
            ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned())
        } else {
            (format!("{}List", kind.kind), kind.api_version())
        };
        let head = format!(
            r#"{{"kind":"{list}","apiVersion":"{version}","metadata":{{"resourceVersion":"{revision}"}},"items":["#
        );
        let mut body = BytesMut::from(head.as_bytes());
        for (index, object) in objects.iter().enumerate() {
            if index > 0 {
                body.extend_from_slice(b",");
            }
            if self.metadata_only {
                body.extend_from_slice(metadata_only(&object.value).to_string().as_bytes());
            } else {
                body.extend_from_slice(&object.json);
            }
        }
        body.extend_from_slice(b"]}\n");
        json_response(StatusCode::OK, body.freeze())
    }
}

/// The answer to a deletion: the object while others still have to finish with it, else a success.
fn deleted(kind: &Kind, object: &Stored) -> Response {
    if object.value.pointer("/metadata/deletionTimestamp").is_some() {
        return json_response(StatusCode::OK, object.json.clone());
    }
    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {
            "name": object.key().name,
            "group": kind.group,
            "kind": kind.plural,
            "uid": object.value.pointer("/metadata/uid"),
        },
    });
    json_response(StatusCode::OK, status.to_string())
}

fn json_response(code: StatusCode, body: impl Into<Body>) -> Response {
    (code, [(CONTENT_TYPE, "application/json")], body.into()).into_response()
}

fn header<'a>(headers: &'a HeaderMap, name: &axum::http::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn query(uri: &Uri) -> Result<Query, Refusal> {
    axum::extract::Query::try_from_uri(uri)
        .map(|query| query.0)
        .map_err(|error| Refusal::bad_request(error.body_text()))
}
