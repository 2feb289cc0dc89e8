//! The writer against a scripted server, on paused time.

use k8s_openapi::api::core::v1::Service;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::inbox::{Inbox, inbox};
use crate::script::{Call, Script, mk_script};

type Told = Inbox<u32, (&'static str, Outcome)>;

/// A writer keyed by name; outcomes come in the order they are told.
fn mk_writer() -> (Writer<&'static str>, Script, Told) {
    let (client, script) = mk_script();
    let (post, told) = inbox(256);
    let turn = std::sync::atomic::AtomicU32::new(0);
    let writer = Writer::new(client, post, move |key, outcome| {
        (turn.fetch_add(1, Ordering::Relaxed), (key, outcome))
    });
    (writer, script, told)
}

/// A status patch of Service `ns/<name>` that sets `v`.
fn mk_patch(name: &str, value: u32) -> Write {
    mk_write(name, Action::Patch { body: json!({ "v": value }).into(), resource_version: None })
}

fn mk_write(name: &str, action: Action) -> Write {
    Write {
        resource: Resource::of::<Service>(),
        namespace: Some("ns".into()),
        name: name.into(),
        subresource: Some("status"),
        action,
    }
}

fn mk_written(name: &str, version: &str) -> Outcome {
    Outcome::Written { name: name.into(), resource_version: version.into() }
}

fn ok(call: Call, version: &str) {
    let name = call.path.split('/').nth(6).unwrap_or_default().to_owned();
    call.ok(&json!({ "metadata": { "name": name, "resourceVersion": version } }));
}

async fn next(told: &mut Told) -> (&'static str, Outcome) {
    timeout(Duration::from_hours(1), told.recv()).await.unwrap().unwrap().1
}

#[tokio::test(start_paused = true)]
async fn patch_is_a_merge_patch_of_the_subresource_and_the_new_version_is_told() {
    let (writer, mut script, mut told) = mk_writer();
    let resource_version = Some("41".into());
    let body = json!({ "metadata": { "annotations": { "a": null } }, "status": {} }).into();
    writer.submit("a", mk_write("a", Action::Patch { body, resource_version }));
    let call = script.next().await;
    assert_eq!(call.line(), "PATCH /api/v1/namespaces/ns/services/a/status");
    assert_eq!(call.content_type, "application/merge-patch+json");
    assert_eq!(
        call.body,
        json!({
            "metadata": { "annotations": { "a": null }, "resourceVersion": "41" }, "status": {},
        })
    );
    ok(call, "42");
    assert_eq!(next(&mut told).await, ("a", mk_written("a", "42")));
    assert_eq!(writer.sent(), 1);
}

#[tokio::test(start_paused = true)]
async fn newer_wish_replaces_the_one_not_sent_and_order_is_kept() {
    let (writer, mut script, mut told) = mk_writer();
    writer.submit("a", mk_patch("a", 1));
    let first = script.next().await;
    writer.submit("a", mk_patch("a", 2));
    writer.submit("a", mk_patch("a", 3));
    assert!(script.is_quiet().await, "one request per key at a time");
    ok(first, "1");
    let second = script.next().await;
    assert_eq!(second.body, json!({ "v": 3 }));
    ok(second, "2");
    assert_eq!(next(&mut told).await, ("a", mk_written("a", "1")));
    assert_eq!(next(&mut told).await, ("a", mk_written("a", "2")));
    writer.idle().await;
    assert_eq!(writer.sent(), 2);
}

#[tokio::test(start_paused = true)]
async fn sixteen_keys_are_written_at_a_time() {
    const NAMES: [&str; 20] = [
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r",
        "s", "t",
    ];
    let (writer, mut script, _told) = mk_writer();
    for name in NAMES {
        writer.submit(name, mk_patch(name, 1));
    }
    let mut calls = Vec::new();
    for _ in 0..PARALLEL {
        calls.push(script.next().await);
    }
    assert!(script.is_quiet().await);
    // A wish that waits for its place is replaced too.
    writer.submit("t", mk_patch("t", 2));
    for call in calls {
        ok(call, "1");
    }
    for _ in PARALLEL..NAMES.len() {
        let call = script.next().await;
        let newest = if call.path.contains("/t/") { 2 } else { 1 };
        assert_eq!(call.body, json!({ "v": newest }));
        ok(call, "1");
    }
    writer.idle().await;
    assert_eq!(writer.sent(), 20);
}

#[rstest]
#[case::conflict(409, Outcome::Conflict)]
#[case::gone(404, Outcome::Missing)]
#[tokio::test(start_paused = true)]
async fn what_needs_a_new_decision_is_told_and_not_retried(
    #[case] code: u16,
    #[case] expected: Outcome,
) {
    let (writer, mut script, mut told) = mk_writer();
    writer.submit("a", mk_patch("a", 1));
    script.next().await.fail(code, "no");
    assert_eq!(next(&mut told).await, ("a", expected));
    writer.idle().await;
    assert!(script.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn refusal_names_verb_and_resource() {
    let (writer, mut script, mut told) = mk_writer();
    writer.submit("a", mk_patch("a", 1));
    script.next().await.fail(422, "bad field");
    let (_, outcome) = next(&mut told).await;
    let Outcome::Failed(error) = outcome else { panic!("{outcome:?}") };
    assert!(!error.is_forbidden());
    assert_eq!(
        error.to_string(),
        "cannot patch services/status in namespace ns: refused with 422: bad field"
    );
}

#[rstest]
#[case::busy(Some(503))]
#[case::too_many(Some(429))]
#[case::broken(Some(500))]
#[case::no_answer(None)]
#[tokio::test(start_paused = true)]
async fn passing_trouble_is_retried_with_the_newest_wish(#[case] code: Option<u16>) {
    let (writer, mut script, mut told) = mk_writer();
    writer.submit("a", mk_patch("a", 1));
    let mut held = Vec::new();
    for _ in 0..3 {
        let call = script.next().await;
        assert_eq!(call.body, json!({ "v": 1 }));
        match code {
            Some(code) => call.fail(code, "later"),
            None => held.push(call),
        }
    }
    writer.submit("a", mk_patch("a", 2));
    // With requests that time out, the third may still be under way: the newest comes next.
    let call = script.next().await;
    assert_eq!(call.body, json!({ "v": 2 }));
    ok(call, "9");
    assert_eq!(next(&mut told).await, ("a", mk_written("a", "9")));
    writer.idle().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_ten_minutes_loses_no_wish() {
    let (writer, mut script, mut told) = mk_writer();
    for key in ["a", "b"] {
        writer.submit(key, mk_patch(key, 1));
    }
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < Duration::from_mins(10) {
        drop(script.next().await);
    }
    writer.submit("a", mk_patch("a", 2));
    let mut written = std::collections::BTreeMap::new();
    while written.len() < 2 {
        let call = script.next().await;
        let version = call.body["v"].to_string();
        if call.path.contains("/a/") && version == "1" {
            // It was under way when the newer wish came.
            drop(call);
            continue;
        }
        ok(call, &version);
        let (key, outcome) = next(&mut told).await;
        written.insert(key, outcome);
    }
    assert_eq!(written["a"], mk_written("a", "2"));
    assert_eq!(written["b"], mk_written("b", "1"));
    writer.idle().await;
}

#[tokio::test(start_paused = true)]
async fn trouble_of_one_key_does_not_hold_up_others() {
    let (writer, mut script, mut told) = mk_writer();
    writer.submit("a", mk_patch("a", 1));
    script.next().await.fail(500, "webhook");
    writer.submit("b", mk_patch("b", 1));
    loop {
        let call = script.next().await;
        if call.path.contains("/b/") {
            ok(call, "2");
            break;
        }
        call.fail(500, "webhook");
    }
    assert_eq!(next(&mut told).await, ("b", mk_written("b", "2")));
}

#[tokio::test(start_paused = true)]
async fn forbidden_patch_becomes_update_and_is_remembered() {
    let lines = crate::logs::tests::mk_capture();
    let (writer, mut script, mut told) = mk_writer();
    writer.submit("a", mk_patch("a", 1));
    script.next().await.fail(403, "no rule");

    let call = script.next().await;
    assert_eq!(call.line(), "GET /api/v1/namespaces/ns/services/a");
    call.ok(&json!({ "metadata": { "resourceVersion": "7" }, "spec": { "x": 1 }, "v": 0 }));
    let call = script.next().await;
    assert_eq!(call.line(), "PUT /api/v1/namespaces/ns/services/a/status");
    assert_eq!(
        call.body,
        json!({ "metadata": { "resourceVersion": "7" }, "spec": { "x": 1 }, "v": 1 })
    );
    ok(call, "8");
    assert_eq!(next(&mut told).await, ("a", mk_written("a", "8")));

    // The second write asks no more, and its own precondition wins over the version read.
    let resource_version = Some("8".into());
    let body = json!({ "v": 2 }).into();
    writer.submit("a", mk_write("a", Action::Patch { body, resource_version }));
    script.next().await.ok(&json!({ "metadata": { "resourceVersion": "9" }, "v": 1 }));
    let call = script.next().await;
    assert_eq!(call.body, json!({ "metadata": { "resourceVersion": "8" }, "v": 2 }));
    call.fail(409, "changed");
    assert_eq!(next(&mut told).await, ("a", Outcome::Conflict));

    let said = lines.messages();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("needs verb \"patch\"") && said[0].contains("services/status"));
}

#[tokio::test(start_paused = true)]
async fn forbidden_patch_and_update_is_told_with_the_verb_that_is_wanted() {
    let (writer, mut script, mut told) = mk_writer();
    writer.submit("a", mk_patch("a", 1));
    script.next().await.fail(403, "no rule");
    script.next().await.ok(&json!({ "metadata": { "resourceVersion": "7" } }));
    script.next().await.fail(403, "no rule");
    let (_, outcome) = next(&mut told).await;
    let Outcome::Failed(error) = outcome else { panic!("{outcome:?}") };
    assert!(error.is_forbidden());
    assert!(
        error
            .to_string()
            .contains("services/status in namespace ns: forbidden: needs verb \"patch\"")
    );
    // Not remembered: a permission may be granted later.
    writer.submit("a", mk_patch("a", 2));
    assert_eq!(script.next().await.method, Method::PATCH);
}

#[tokio::test(start_paused = true)]
async fn create_posts_to_the_collection_and_tells_the_name() {
    let (writer, mut script, mut told) = mk_writer();
    let body = json!({ "metadata": { "generateName": "l2-" } });
    writer.submit("a", mk_write("", Action::Create(body.clone().into())));
    let call = script.next().await;
    assert_eq!(call.line(), "POST /api/v1/namespaces/ns/services");
    assert_eq!(call.body, body);
    call.ok(&json!({ "metadata": { "name": "l2-x7", "resourceVersion": "3" } }));
    assert_eq!(next(&mut told).await, ("a", mk_written("l2-x7", "3")));
}

#[tokio::test(start_paused = true)]
async fn create_of_an_unknown_kind_is_a_failure_and_not_a_missing_object() {
    let (writer, mut script, mut told) = mk_writer();
    writer.submit("a", mk_write("", Action::Create(json!({}).into())));
    script.next().await.fail(404, "not found");
    let (_, outcome) = next(&mut told).await;
    assert!(matches!(outcome, Outcome::Failed(ref error) if error.to_string().contains("CRD")));
}

#[tokio::test(start_paused = true)]
async fn delete_removes_the_object() {
    let (writer, mut script, mut told) = mk_writer();
    writer.submit("a", Write { subresource: None, ..mk_write("a", Action::Delete) });
    let call = script.next().await;
    assert_eq!(call.line(), "DELETE /api/v1/namespaces/ns/services/a");
    call.ok(&json!({ "kind": "Status", "status": "Success" }));
    assert_eq!(next(&mut told).await, ("a", mk_written("", "")));
}

/// A writer behind a gate that the test opens and closes.
fn mk_guarded() -> (Writer<&'static str>, Script, Told, Arc<std::sync::atomic::AtomicBool>) {
    let (writer, script, told) = mk_writer();
    let gate = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let asked = Arc::clone(&gate);
    (writer.with_guard(move || asked.load(Ordering::Relaxed)), script, told, gate)
}

#[tokio::test(start_paused = true)]
async fn guard_is_asked_before_each_send_and_a_refusal_is_told() {
    let (writer, mut script, mut told, gate) = mk_guarded();
    writer.submit("a", mk_patch("a", 1));
    let call = script.next().await;
    gate.store(false, Ordering::Relaxed);
    // Sent while it was open, so it counts; the attempt after the failure does not go out.
    call.fail(503, "later");
    assert_eq!(next(&mut told).await, ("a", Outcome::Refused));
    writer.submit("b", mk_patch("b", 1));
    assert_eq!(next(&mut told).await, ("b", Outcome::Refused));
    assert!(script.is_quiet().await);
    assert_eq!(writer.sent(), 1);

    gate.store(true, Ordering::Relaxed);
    writer.submit("b", mk_patch("b", 2));
    ok(script.next().await, "3");
    assert_eq!(next(&mut told).await, ("b", mk_written("b", "3")));
}

#[tokio::test(start_paused = true)]
async fn guard_is_asked_between_read_and_replace() {
    let (writer, mut script, mut told, gate) = mk_guarded();
    writer.submit("a", mk_patch("a", 1));
    script.next().await.fail(403, "no rule");
    let read = script.next().await;
    gate.store(false, Ordering::Relaxed);
    read.ok(&json!({ "metadata": { "resourceVersion": "7" } }));
    assert_eq!(next(&mut told).await, ("a", Outcome::Refused));
    assert!(script.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn passing_trouble_is_said_once() {
    let lines = crate::logs::tests::mk_capture();
    let (writer, mut script, _told) = mk_writer();
    writer.submit("a", mk_patch("a", 1));
    for _ in 0..4 {
        script.next().await.fail(503, "starting");
    }
    ok(script.next().await, "1");
    writer.idle().await;
    let said = lines.messages();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("answers 503: starting; trying again"), "{said:?}");
    assert_eq!(said[1], "the API server takes writes again");
}
