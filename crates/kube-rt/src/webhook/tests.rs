//! Reviews over a real TLS connection.

use std::net::{IpAddr, Ipv4Addr};

use rstest::rstest;

use super::*;
use crate::metrics::{Registry, encode};
use crate::tls::tests::{mk_answer, mk_client, mk_pair};

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Refuses objects called `bad`, takes for ever about those called `slow`; converts by setting the
/// version.
fn mk_routes() -> Routes {
    Routes::new()
        .admit("/validate", |request| async move {
            let answer = Answer::from(&request);
            match request.name.as_str() {
                "bad" => answer.deny("it is bad"),
                "slow" => std::future::pending().await,
                _ => answer,
            }
        })
        .convert("/convert", |mut object, wanted| {
            if object["metadata"]["name"] == "bad" {
                return Err("bad cannot be converted".to_owned());
            }
            object["apiVersion"] = wanted.into();
            Ok(object)
        })
}

struct Server {
    address: SocketAddr,
    certificate: String,
    registry: Registry,
    _stop: tokio_util::sync::DropGuard,
}

async fn mk_server() -> Server {
    let (certificate, key) = mk_pair();
    let identity = ServerIdentity::empty();
    identity.show(certificate.as_bytes(), key.as_bytes()).unwrap();
    let mut registry = Registry::default();
    let metrics = WebhookMetrics::register(&mut registry);
    let stop = CancellationToken::new();
    let options = Options::default();
    let address =
        serve(ANY, &options, identity, mk_routes(), &metrics, stop.clone()).await.unwrap();
    Server { address, certificate, registry, _stop: stop.drop_guard() }
}

impl Server {
    /// Status code and body.
    async fn ask(&self, path: &str, body: &str) -> (u16, String) {
        let client = mk_client(&self.certificate, &[&rustls::version::TLS13]);
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let answer = mk_answer(client, self.address, &request).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

fn mk_review(name: &str) -> String {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u1", "name": name, "operation": "CREATE", "userInfo": {},
            "kind": { "group": "metallb.io", "version": "v1beta1", "kind": "IPAddressPool" },
            "resource": { "group": "metallb.io", "version": "v1beta1", "resource": "ipaddresspools" },
            "object": {
                "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
                "metadata": { "name": name },
            },
        },
    })
    .to_string()
}

#[tokio::test]
async fn admission_is_answered_with_the_uid_of_the_request() {
    let server = mk_server().await;
    let (code, body) = server.ask("/validate", &mk_review("good")).await;
    let review: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(code, 200);
    assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(review["response"]["uid"], "u1");
    assert_eq!(review["response"]["allowed"], true);
    let (_, body) = server.ask("/validate", &mk_review("bad")).await;
    let review: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(review["response"]["allowed"], false);
    assert_eq!(review["response"]["status"]["message"], "it is bad");
    let page = encode(&server.registry).unwrap();
    assert!(page.contains(r#"{path="/validate",code="200"} 2"#), "{page}");
}

#[rstest]
#[case::no_json("/validate", "{")]
#[case::no_request("/validate", "{}")]
#[case::nothing("/validate", "")]
#[case::conversion_without_request("/convert", "{}")]
#[case::conversion_of_nothing("/convert", "[]")]
#[tokio::test]
async fn what_cannot_be_read_is_a_bad_request(#[case] path: &str, #[case] body: &str) {
    let server = mk_server().await;
    let (code, text) = server.ask(path, body).await;
    assert_eq!(code, 400);
    assert!(text.contains("cannot read the review"), "{text}");
}

#[tokio::test]
async fn body_without_end_and_unknown_path_are_refused() {
    let server = mk_server().await;
    assert_eq!(server.ask("/nowhere", "{}").await.0, 404);
    let client = mk_client(&server.certificate, &[&rustls::version::TLS13]);
    let length = BODY_LIMIT + 1;
    let request = format!(
        "POST /validate HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    let answer = mk_answer(client, server.address, &request).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[rstest]
#[case::v1("apiextensions.k8s.io/v1")]
#[case::v1beta1("apiextensions.k8s.io/v1beta1")]
#[tokio::test]
async fn conversion_echoes_the_version_of_the_review(#[case] version: &str) {
    let server = mk_server().await;
    let review = |name: &str| {
        let objects = json!([{ "apiVersion": "metallb.io/v1beta1", "metadata": { "name": name } }]);
        json!({
            "apiVersion": version, "kind": "ConversionReview",
            "request": {
                "uid": "u2", "desiredAPIVersion": "metallb.io/v1beta2", "objects": objects,
            },
        })
        .to_string()
    };
    let (_, body) = server.ask("/convert", &review("good")).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["apiVersion"], version);
    assert_eq!(answer["kind"], "ConversionReview");
    let response = &answer["response"];
    assert_eq!(response["uid"], "u2");
    assert_eq!(response["result"]["status"], "Success");
    assert_eq!(response["convertedObjects"][0]["apiVersion"], "metallb.io/v1beta2");
    let (code, body) = server.ask("/convert", &review("bad")).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(code, 200);
    assert_eq!(answer["response"]["result"]["message"], "bad cannot be converted");
}

#[tokio::test(start_paused = true)]
async fn answer_that_takes_too_long_is_cut_off() {
    use tower::ServiceExt as _;

    let metrics = WebhookMetrics::register(&mut Registry::default());
    let request =
        http::Request::post("/validate").body(axum::body::Body::from(mk_review("slow"))).unwrap();
    let answer = mk_routes().router(&metrics).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
}
