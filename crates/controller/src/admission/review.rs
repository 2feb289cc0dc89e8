//! `AdmissionReview` and `ConversionReview`: read, judged, answered.

use ferrolb_api::conversion;
use ferrolb_model::admission::{Object, Operation, Request, Response, validate, webhook_kind};
use ferrolb_model::config::Kind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Store;

/// A body that is no review, or is about something else than its path.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Nothing is validated there.
    #[error("nothing is validated under {path}")]
    Path {
        /// The path of the request.
        path: String,
    },
    /// Not the shape of a review.
    #[error("not a review: {0}")]
    Review(#[source] serde_json::Error),
    /// The object in it cannot be read.
    #[error("cannot read the {kind}: {error}")]
    Object {
        /// What it should be.
        kind: Kind,
        /// Why it is not.
        #[source]
        error: serde_json::Error,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<R> {
    api_version: String,
    kind: String,
    request: R,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionRequest {
    uid: String,
    operation: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    object: Value,
    #[serde(default)]
    old_object: Value,
}

#[derive(Deserialize)]
struct ConversionRequest {
    uid: String,
    #[serde(rename = "desiredAPIVersion")]
    desired: String,
    #[serde(default)]
    objects: Vec<Value>,
}

/// Judges the `AdmissionReview` in `body`, which came to `path`.
pub fn review(store: &Store, path: &str, body: Value) -> Result<Value, Unreadable> {
    let kind = webhook_kind(path).ok_or_else(|| Unreadable::Path { path: path.to_owned() })?;
    let Review { api_version, kind: review_kind, request } =
        serde_json::from_value::<Review<AdmissionRequest>>(body).map_err(Unreadable::Review)?;
    let uid = request.uid.clone();
    let response = match read(kind, request)? {
        Some(request) => store.with_objects(|objects| validate(objects, &request)),
        // Upstream lets through what it was not registered for.
        None => Response::default(),
    };
    Ok(json!({
        "apiVersion": api_version,
        "kind": review_kind,
        "response": answer(&uid, response),
    }))
}

/// Converts the objects of the `ConversionReview` in `body`. The answer is of the version that was
/// asked in: definitions that upstream left behind ask in v1beta1.
pub fn convert(body: Value) -> Result<Value, Unreadable> {
    let Review { api_version, kind, request } =
        serde_json::from_value::<Review<ConversionRequest>>(body).map_err(Unreadable::Review)?;
    let ConversionRequest { uid, desired, objects } = request;
    let converted: Result<Vec<Value>, _> =
        objects.into_iter().map(|object| conversion::convert(object, &desired)).collect();
    let response = match converted {
        Ok(objects) => json!({
            "uid": uid, "convertedObjects": objects, "result": { "status": "Success" },
        }),
        Err(error) => json!({
            "uid": uid, "convertedObjects": [],
            "result": { "status": "Failure", "message": error.to_string() },
        }),
    };
    Ok(json!({ "apiVersion": api_version, "kind": kind, "response": response }))
}

/// `None`: nothing there is to be judged.
fn read(kind: Kind, request: AdmissionRequest) -> Result<Option<Request>, Unreadable> {
    let operation = match request.operation.as_str() {
        "CREATE" => Operation::Create,
        "UPDATE" => Operation::Update,
        "DELETE" => Operation::Delete,
        _ => return Ok(None),
    };
    let object = |value: Value| {
        (!value.is_null())
            .then(|| Object::read(kind, value))
            .transpose()
            .map_err(|error| Unreadable::Object { kind, error })
    };
    Ok(Some(Request {
        kind,
        operation,
        namespace: request.namespace,
        name: request.name,
        old: object(request.old_object)?,
        new: object(request.object)?,
    }))
}

fn answer(uid: &str, response: Response) -> Value {
    let mut answer = json!({ "uid": uid, "allowed": response.denied.is_none() });
    if let Some(why) = response.denied {
        answer["status"] =
            json!({ "status": "Failure", "reason": "Forbidden", "code": 403, "message": why });
    }
    if !response.warnings.is_empty() {
        answer["warnings"] = response.warnings.into();
    }
    answer
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const POOLS: &str = "/validate-metallb-io-v1beta1-ipaddresspool";

    fn mk_review(operation: &str, namespace: &str, addresses: &Value) -> Value {
        json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "42", "operation": operation, "namespace": namespace, "name": "lan",
                "object": {
                    "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
                    "metadata": { "name": "lan", "namespace": namespace },
                    "spec": { "addresses": addresses },
                },
            },
        })
    }

    #[rstest]
    #[case::good("CREATE", "metallb-system", json!(["192.0.2.0/24"]), None)]
    #[case::bad_range("CREATE", "metallb-system", json!(["nonsense"]), Some("nonsense"))]
    #[case::elsewhere("CREATE", "default", json!(["192.0.2.0/24"]), Some("metallb-system"))]
    #[case::not_asked_for("CONNECT", "default", json!(["nonsense"]), None)]
    fn an_answer_names_its_question(
        #[case] operation: &str,
        #[case] namespace: &str,
        #[case] addresses: Value,
        #[case] denied: Option<&str>,
    ) {
        let store = Store::new("metallb-system");
        let answer = review(&store, POOLS, mk_review(operation, namespace, &addresses)).unwrap();
        let response = &answer["response"];
        assert_eq!((&answer["kind"], &response["uid"]), (&json!("AdmissionReview"), &json!("42")));
        assert_eq!(response["allowed"], json!(denied.is_none()), "{answer}");
        if let Some(word) = denied {
            assert_eq!(response["status"]["code"], 403);
            assert!(response["status"]["message"].as_str().unwrap().contains(word), "{answer}");
        }
    }

    #[test]
    fn a_pool_that_nobody_announces_is_let_in_with_a_warning() {
        let store = Store::new("metallb-system");
        let body = mk_review("CREATE", "metallb-system", &json!(["192.0.2.0/24"]));
        let answer = review(&store, POOLS, body).unwrap();
        assert!(!answer["response"]["warnings"].as_array().unwrap().is_empty(), "{answer}");
    }

    #[rstest]
    #[case::path("/validate-pods", json!({}))]
    #[case::no_review(POOLS, json!({ "request": 7 }))]
    #[case::no_object(POOLS, mk_review("CREATE", "metallb-system", &json!(17)))]
    fn what_cannot_be_read_is_told(#[case] path: &str, #[case] body: Value) {
        assert!(review(&Store::new("metallb-system"), path, body).is_err());
    }

    #[test]
    fn peers_are_converted_in_the_version_of_the_question() {
        let mk = |desired: &str| {
            json!({
                "apiVersion": "apiextensions.k8s.io/v1beta1", "kind": "ConversionReview",
                "request": {
                    "uid": "7", "desiredAPIVersion": desired,
                    "objects": [{
                        "apiVersion": "metallb.io/v1beta1", "kind": "BGPPeer",
                        "metadata": { "name": "tor" },
                        "spec": { "myASN": 64512, "peerASN": 64513, "peerAddress": "10.0.0.1" },
                    }],
                },
            })
        };
        let answer = convert(mk("metallb.io/v1beta2")).unwrap();
        assert_eq!(answer["apiVersion"], "apiextensions.k8s.io/v1beta1");
        assert_eq!(answer["response"]["result"]["status"], "Success");
        let peer = &answer["response"]["convertedObjects"][0];
        assert_eq!(peer["apiVersion"], "metallb.io/v1beta2");
        let answer = convert(mk("metallb.io/v9")).unwrap();
        assert_eq!(answer["response"]["result"]["status"], "Failure");
        assert!(convert(json!([])).is_err());
    }
}
