//! The writer against a scripted server.

use super::*;
use crate::script::{Call, Script, mk_script};

const PATH: &str = "/apis/metallb.io/v1beta1/namespaces/ns/configurationstates";

/// What the writer asks for itself; its watch is answered when the test says so.
struct Server {
    script: Script,
    held: Vec<Call>,
}

impl Server {
    async fn next(&mut self) -> Call {
        loop {
            let call = self.script.next().await;
            if call.query("fieldSelector").is_none() {
                return call;
            }
            self.held.push(call);
        }
    }

    async fn is_quiet(&mut self) -> bool {
        if self.held.is_empty() {
            let call = self.script.next().await;
            assert_eq!(call.query("fieldSelector"), Some("metadata.name%3Dcontroller"));
            self.held.push(call);
        }
        self.script.is_quiet().await
    }

    /// Lets the watch say something.
    fn ring(&mut self) {
        for call in self.held.drain(..) {
            call.ok(&json!({ "metadata": { "resourceVersion": "1" }, "items": [] }));
        }
    }
}

fn mk_reporter() -> (Reporter, Server) {
    let (client, script) = mk_script();
    let settings = Settings {
        namespace: "ns".to_owned(),
        name: "controller".to_owned(),
        labels: vec![("metallb.io/component-type", "controller".to_owned())],
        pod: Some(("pod-1".to_owned(), "u-1".to_owned())),
        manager: "poolReconciler",
    };
    let clock = WallClock::from_fn(|| jiff::Timestamp::from_second(1_800_000_000).unwrap());
    let reporter = Reporter::spawn(client, settings, clock, || true, CancellationToken::new());
    (reporter, Server { script, held: Vec::new() })
}

/// The object as the server has it once created, with `status`.
fn mk_object(status: &Value) -> Value {
    json!({
        "metadata": {
            "name": "controller",
            "labels": { "metallb.io/component-type": "controller" },
            "ownerReferences":
                [{ "apiVersion": "v1", "kind": "Pod", "name": "pod-1", "uid": "u-1" }],
        },
        "status": status,
    })
}

fn mk_condition(error: Option<&str>) -> Condition {
    Condition {
        type_: "poolReconcilerValid",
        holds: error.is_none(),
        reason: if error.is_none() { "Reconciled" } else { "ConfigurationError" },
        message: error.unwrap_or_default().to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn k_019_missing_object_is_created_with_owner_and_labels_and_begins_unknown() {
    let (_reporter, mut script) = mk_reporter();
    let call = script.next().await;
    assert_eq!(call.line(), format!("GET {PATH}/controller"));
    call.fail(404, "none");
    let call = script.next().await;
    assert_eq!(call.line(), format!("POST {PATH}"));
    assert_eq!(call.body["metadata"]["ownerReferences"][0]["uid"], "u-1");
    call.ok(&mk_object(&Value::Null));
    let call = script.next().await;
    assert_eq!(call.line(), format!("PATCH {PATH}/controller/status"));
    assert_eq!(call.body["status"], json!({ "result": "Unknown", "errorSummary": "" }));
    call.ok(&json!({}));
}

#[tokio::test(start_paused = true)]
async fn conditions_are_applied_as_upstreams_manager_and_the_result_follows() {
    let (reporter, mut script) = mk_reporter();
    reporter.post(vec![mk_condition(Some("pool1: no prefixes"))]);
    let unknown = json!({ "result": "Unknown", "errorSummary": "" });
    script.next().await.ok(&mk_object(&unknown));
    let call = script.next().await;
    assert_eq!(call.content_type, "application/apply-patch+yaml");
    assert_eq!(call.query("fieldManager"), Some("poolReconciler"));
    assert_eq!(call.query("force"), Some("true"));
    let condition = &call.body["status"]["conditions"][0];
    assert_eq!(condition["reason"], "ConfigurationError");
    assert_eq!(condition["message"], "pool1: no prefixes");
    assert_eq!(condition["lastTransitionTime"], "2027-01-15T08:00:00Z");
    let mut status = call.body["status"].clone();
    status["result"] = "Unknown".into();
    call.ok(&mk_object(&status));
    let call = script.next().await;
    assert_eq!(
        call.body["status"],
        json!({ "result": "Invalid", "errorSummary": "pool1: no prefixes" })
    );
    call.ok(&json!({}));
}

#[tokio::test(start_paused = true)]
async fn what_is_there_already_is_not_written_and_a_burst_is_one_write() {
    let (reporter, mut script) = mk_reporter();
    reporter.post(vec![mk_condition(None)]);
    let condition = json!({
        "type": "poolReconcilerValid", "status": "True", "reason": "Reconciled", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let valid = json!({ "conditions": [condition], "result": "Valid", "errorSummary": "" });
    script.next().await.ok(&mk_object(&valid));
    assert!(script.is_quiet().await);
    for n in 0..100 {
        reporter.post(vec![mk_condition(Some(&n.to_string()))]);
    }
    let begun = tokio::time::Instant::now();
    let call = script.next().await;
    assert!(begun.elapsed() >= DEBOUNCE);
    assert_eq!(call.method, http::Method::GET);
    call.ok(&mk_object(&valid));
    let call = script.next().await;
    let message = &call.body["status"]["conditions"][0]["message"];
    assert_eq!(message, "99");
}

#[tokio::test(start_paused = true)]
async fn deleted_object_comes_back_with_its_conditions() {
    let (reporter, mut script) = mk_reporter();
    reporter.post(vec![mk_condition(None)]);
    let begun = tokio::time::Instant::now();
    for _ in 0..2 {
        script.next().await.fail(404, "none");
        script.next().await.ok(&mk_object(&Value::Null));
        let call = script.next().await;
        assert_eq!(call.content_type, "application/apply-patch+yaml");
        let status = call.body["status"].clone();
        call.ok(&mk_object(&status));
        let call = script.next().await;
        assert_eq!(call.body["status"]["result"], "Valid");
        call.ok(&json!({}));
        assert!(begun.elapsed() < LOOK, "what the watch tells is not waited for");
        script.ring();
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_makes_the_object_its_own_at_once() {
    let (reporter, mut script) = mk_reporter();
    let valid = json!({ "result": "Unknown", "errorSummary": "" });
    let begun = tokio::time::Instant::now();
    script.next().await.ok(&mk_object(&valid));
    reporter.look_again();
    let mut of_another = mk_object(&valid);
    of_another["metadata"]["ownerReferences"][0]["uid"] = "u-0".into();
    let call = script.next().await;
    assert_eq!(call.line(), format!("GET {PATH}/controller"));
    call.ok(&of_another);
    let call = script.next().await;
    assert_eq!(call.line(), format!("PATCH {PATH}/controller"));
    assert_eq!(call.body["metadata"]["ownerReferences"][0]["uid"], "u-1");
    assert!(begun.elapsed() < LOOK);
    call.ok(&mk_object(&valid));
}
