//! The recorder against a scripted server, on paused time.

use k8s_openapi::api::core::v1::{Node, Service};
use serde_json::json;

use super::*;
use crate::clock::SetClock;
use crate::script::{Script, mk_script};

fn mk_recorder() -> (Recorder, Script) {
    let (client, script) = mk_script();
    (Recorder::new(client, "metallb-controller"), script)
}

fn mk_service(name: &str) -> ObjectRef {
    let object: Service = serde_json::from_value(json!({
        "metadata": { "namespace": "team", "name": name, "uid": "u-1", "resourceVersion": "42" },
    }))
    .unwrap();
    ObjectRef::of(&object)
}

const EVENTS: &str = "/api/v1/namespaces/team/events";

#[tokio::test(start_paused = true)]
async fn first_event_is_created_with_all_that_kubectl_sorts_and_prints() {
    let (recorder, mut script) = mk_recorder();
    recorder.record(&mk_service("web"), EventType::Normal, "IPAllocated", "Assigned");
    let call = script.next().await;
    assert_eq!(call.line(), format!("POST {EVENTS}"));
    let mut body = call.body.clone();

    let name = body["metadata"]["name"].take();
    let (object, hex) = name.as_str().unwrap().split_once('.').unwrap();
    assert_eq!(object, "web");
    assert!(u64::from_str_radix(hex, 16).is_ok(), "{hex}");
    let first = body["firstTimestamp"].take();
    assert_eq!(first, body["lastTimestamp"].take());
    let first = first.as_str().unwrap();
    assert_eq!(first.len(), "2026-11-21T10:00:00Z".len(), "{first}");
    assert!(first.parse::<Timestamp>().is_ok(), "{first}");
    assert_eq!(
        body,
        json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": { "name": null, "namespace": "team" },
            "involvedObject": {
                "apiVersion": "v1", "kind": "Service", "namespace": "team", "name": "web",
                "uid": "u-1", "resourceVersion": "42",
            },
            "type": "Normal", "reason": "IPAllocated", "message": "Assigned",
            "source": { "component": "metallb-controller" },
            "reportingComponent": "metallb-controller", "reportingInstance": "",
            "firstTimestamp": null, "lastTimestamp": null, "count": 1,
        })
    );
}

#[tokio::test(start_paused = true)]
async fn repeated_event_counts_up_and_another_message_is_another_event() {
    let (recorder, mut script) = mk_recorder();
    let service = mk_service("web");
    recorder.record(&service, EventType::Warning, "AllocationFailed", "exhausted");
    let call = script.next().await;
    let name = call.body["metadata"]["name"].as_str().unwrap().to_owned();
    call.ok(&json!({}));
    for count in 2..=3 {
        // A newer version of the object is still the same object.
        let service = ObjectRef { resource_version: count.to_string().into(), ..service.clone() };
        recorder.record(&service, EventType::Warning, "AllocationFailed", "exhausted");
        let call = script.next().await;
        assert_eq!(call.line(), format!("PATCH {EVENTS}/{name}"));
        assert_eq!(call.content_type, "application/merge-patch+json");
        assert_eq!(call.body["count"], count);
        assert!(call.body["lastTimestamp"].is_string());
        assert_eq!(call.body.as_object().unwrap().len(), 2, "{}", call.body);
        call.ok(&json!({}));
    }
    recorder.record(&service, EventType::Warning, "AllocationFailed", "unknown pool");
    assert_eq!(script.next().await.method, Method::POST);
}

#[tokio::test(start_paused = true)]
async fn clock_that_stands_still_or_steps_by_a_day_loses_no_event() {
    let (client, mut script) = mk_script();
    let (set, start) = (SetClock::default(), Timestamp::from_second(1_800_000_000).unwrap());
    let recorder = Recorder::with_clock(client, "metallb-controller", set.clock(start));
    let mut names = std::collections::BTreeSet::new();
    for (message, days) in [("a", 0), ("b", 0), ("c", -1), ("d", 1)] {
        set.set_days(days);
        recorder.record(&mk_service("web"), EventType::Normal, "nodeAssigned", message);
        let call = script.next().await;
        assert_eq!((call.method.clone(), &call.body["message"]), (Method::POST, &json!(message)));
        assert!(names.insert(call.body["metadata"]["name"].to_string()), "{names:?}");
        call.ok(&json!({}));
    }
    // What was said stays said: a step is no hour.
    recorder.record(&mk_service("web"), EventType::Normal, "nodeAssigned", "a");
    assert_eq!(script.next().await.method, Method::PATCH);
}

#[tokio::test(start_paused = true)]
async fn event_is_made_anew_after_an_hour_or_when_the_server_forgot_it() {
    let (recorder, mut script) = mk_recorder();
    let say = || recorder.record(&mk_service("web"), EventType::Normal, "nodeAssigned", "n1");
    say();
    script.next().await.ok(&json!({}));
    assert!(script.is_quiet().await);
    tokio::time::advance(REPEAT_WITHIN).await;
    say();
    let call = script.next().await;
    assert_eq!(call.method, Method::POST);
    call.ok(&json!({}));
    say();
    let call = script.next().await;
    assert_eq!(call.method, Method::PATCH);
    call.fail(404, "not found");
    let call = script.next().await;
    assert_eq!((call.method.clone(), &call.body["count"]), (Method::POST, &json!(1)));
    call.ok(&json!({}));
    say();
    assert_eq!(script.next().await.body["count"], 2);
}

#[tokio::test(start_paused = true)]
async fn recording_never_waits_and_what_the_queue_could_not_hold_is_counted() {
    let lines = crate::logs::tests::mk_capture();
    let (client, mut script) = mk_script();
    let clock = WallClock::system();
    let recorder = Recorder::start(client, "metallb-controller", clock, None, 8);
    for _wave in 0..2 {
        for number in 0..11 {
            let message = number.to_string();
            recorder.record(&mk_service("web"), EventType::Normal, "nodeAssigned", message);
        }
        for _ in 0..8 {
            script.next().await.ok(&json!({}));
        }
        assert!(script.is_quiet().await);
    }
    assert_eq!(lines.messages(), ["events were dropped, too many waited"; 2]);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_services_may_say_something_at_once() {
    let (client, script) = mk_script();
    let recorder = Recorder::behind(client, "metallb-controller", Places::new(0));
    for number in 0..10_000 {
        let service = mk_service(&format!("many-{number}"));
        recorder.record(&service, EventType::Normal, "IPAllocated", "Assigned");
        // Said twice before it is sent, it is sent once.
        recorder.record(&service, EventType::Normal, "IPAllocated", "Assigned");
    }
    assert_eq!(recorder.dropped.load(Ordering::Relaxed), 0);
    drop(script);
}

#[tokio::test(start_paused = true)]
async fn server_in_trouble_is_asked_again_and_at_last_the_event_is_dropped() {
    let lines = crate::logs::tests::mk_capture();
    let (recorder, mut script) = mk_recorder();
    recorder.record(&mk_service("web"), EventType::Normal, "a", "first");
    for _ in 0..ATTEMPTS {
        script.next().await.fail(503, "starting");
    }
    recorder.record(&mk_service("web"), EventType::Normal, "b", "second");
    let call = script.next().await;
    assert_eq!(call.body["reason"], "b");
    call.fail(503, "starting");
    script.next().await.ok(&json!({}));
    assert_eq!(lines.messages().len(), 1, "{:?}", lines.messages());
}

#[tokio::test(start_paused = true)]
async fn missing_permission_is_named_once_and_never_retried() {
    let lines = crate::logs::tests::mk_capture();
    let (recorder, mut script) = mk_recorder();
    for reason in ["a", "b"] {
        recorder.record(&mk_service("web"), EventType::Normal, reason, "x");
        script.next().await.fail(403, "no rule");
    }
    assert!(script.is_quiet().await);
    assert_eq!(
        lines.messages(),
        ["cannot create events in namespace team: forbidden: needs verb \"create\" (no rule); \
          the event is dropped"]
    );
}

#[tokio::test(start_paused = true)]
async fn events_on_cluster_wide_objects_go_to_default() {
    let (recorder, mut script) = mk_recorder();
    let node: Node = serde_json::from_value(json!({ "metadata": { "name": "n1" } })).unwrap();
    recorder.record(&ObjectRef::of(&node), EventType::Warning, "r", "m");
    let call = script.next().await;
    assert_eq!(call.line(), "POST /api/v1/namespaces/default/events");
    assert_eq!(call.body["metadata"]["namespace"], "default");
    assert_eq!(call.body["involvedObject"]["namespace"], "");
}

#[tokio::test(start_paused = true)]
async fn finish_sends_what_waits_and_does_not_wait_for_ever() {
    let (recorder, mut script) = mk_recorder();
    recorder.record(&mk_service("web"), EventType::Normal, "a", "x");
    let finished = tokio::spawn(recorder.finish(Duration::from_secs(5)));
    script.next().await.ok(&json!({}));
    finished.await.unwrap();

    let (recorder, mut script) = mk_recorder();
    recorder.record(&mk_service("web"), EventType::Normal, "a", "x");
    let started = Instant::now();
    let finished = tokio::spawn(recorder.finish(Duration::from_secs(5)));
    let _held = script.next().await;
    finished.await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(5));
}

#[test]
fn only_the_last_notes_are_remembered() {
    let mut sent = Sent::default();
    let now = Instant::now();
    let last = Identity::try_from(REMEMBERED).unwrap();
    for identity in 0..=last {
        let known = Known { name: "e".into(), count: 1, last: now };
        sent.remember(identity, known);
    }
    assert!(sent.known(0, now).is_none());
    assert!(sent.known(1, now).is_some());
    assert_eq!((sent.by_note.len(), sent.order.len()), (REMEMBERED, REMEMBERED));
}

#[test]
fn long_names_are_cut_at_a_character() {
    let name = event_name(&"ü".repeat(200), 0);
    assert!(name.len() <= 253 && name.ends_with(".0"), "{name}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_place_already_goes_first() {
    let (client, mut script) = mk_script();
    let places = Places::new(1);
    let recorder = Recorder::behind(client, "metallb-controller", places.clone());
    let under_way = places.take().await;
    let waiting = tokio::spawn({
        let places = places.clone();
        async move { places.take().await }
    });
    tokio::task::yield_now().await;
    recorder.record(&mk_service("web"), EventType::Normal, "IPAllocated", "Assigned");
    let minute = Duration::from_mins(1);
    assert!(timeout(minute, script.next()).await.is_err(), "the place is taken");
    drop(under_way);
    assert!(timeout(minute, script.next()).await.is_err(), "another one has waited longer");
    drop(waiting.await.unwrap());
    assert_eq!(script.next().await.line(), format!("POST {EVENTS}"));
}
