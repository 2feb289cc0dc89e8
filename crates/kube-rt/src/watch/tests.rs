//! The watch loop against a scripted server, on paused time. Config maps stand for any kind; one
//! whose `data` is missing is of no interest.

use k8s_openapi::api::core::v1::ConfigMap;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::inbox::{Inbox, inbox};
use crate::script::{Script, mk_script, mk_status};

/// What the reader got, as short texts.
struct Reader(Inbox<String, String>);

impl Reader {
    async fn next(&mut self) -> String {
        // Virtual time: a test that waits for what never comes fails instead of running for ever.
        timeout(Duration::from_hours(1), self.0.recv()).await.unwrap().unwrap().1
    }

    async fn take(&mut self, count: usize) -> Vec<String> {
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.push(self.next().await);
        }
        taken
    }
}

fn mk_watch(spec: impl FnOnce(Client) -> WatchSpec<ConfigMap>) -> (Watch, Script, Reader) {
    let (client, script) = mk_script();
    let (post, inbox) = inbox(64);
    let prune = |_: &ObjectKey, object: ConfigMap| object.data?.remove("v");
    let watch = spawn(spec(client), prune, post, |update| match update {
        Update::Set(key, row) => (key.to_string(), format!("{key}={row}")),
        Update::Gone(key) => (key.to_string(), format!("{key} gone")),
        Update::Synced => (String::new(), "synced".to_owned()),
    });
    (watch, script, Reader(inbox))
}

fn mk_object(name: &str, version: &str, value: Option<&str>) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "namespace": "ns", "name": name, "resourceVersion": version },
        "data": value.map(|value| json!({ "v": value })),
    })
}

fn mk_list(version: &str, token: &str, objects: &[Value]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMapList",
        "metadata": { "resourceVersion": version, "continue": token }, "items": objects,
    })
}

fn mk_event(kind: &str, object: &Value) -> Value {
    json!({ "type": kind, "object": object })
}

const LIST: &str = "GET /api/v1/configmaps";

#[tokio::test(start_paused = true)]
async fn first_list_reads_all_pages_then_says_synced_once() {
    let (watch, mut script, mut reader) = mk_watch(WatchSpec::all);
    assert_eq!(
        watch.state().missing().as_deref(),
        Some("waiting for the first list of configmaps")
    );

    let call = script.next().await;
    assert_eq!(call.line(), LIST);
    assert_eq!((call.query("limit"), call.query("continue")), (Some("200"), None));
    call.ok(&mk_list("5", "more", &[mk_object("a", "1", Some("1"))]));
    let call = script.next().await;
    assert_eq!(call.query("continue"), Some("more"));
    call.ok(&mk_list("5", "", &[mk_object("b", "2", Some("1")), mk_object("c", "3", None)]));

    let call = script.next().await;
    assert_eq!(call.query("watch"), Some("true"));
    assert_eq!(call.query("resourceVersion"), Some("5"));
    assert_eq!(call.query("allowWatchBookmarks"), Some("true"));
    assert_eq!(reader.take(3).await, ["ns/a=1", "ns/b=1", "synced"]);
    assert!(watch.state().is_synced());
    assert_eq!(watch.state().missing(), None);
}

#[tokio::test(start_paused = true)]
async fn events_set_and_remove_and_losing_interest_removes() {
    let (_watch, mut script, mut reader) = mk_watch(WatchSpec::all);
    let listed = [mk_object("a", "1", Some("1")), mk_object("b", "2", Some("1"))];
    script.next().await.ok(&mk_list("5", "", &listed));
    reader.take(3).await;
    script.next().await.stream(
        &[
            mk_event("ADDED", &mk_object("c", "6", Some("1"))),
            mk_event("MODIFIED", &mk_object("a", "7", None)),
            mk_event("DELETED", &mk_object("b", "8", Some("1"))),
            // Never told, so its end is not told either.
            mk_event("ADDED", &mk_object("d", "9", None)),
            mk_event("DELETED", &mk_object("d", "10", None)),
            mk_event("MODIFIED", &mk_object("c", "11", Some("2"))),
            mk_event("ADDED", &mk_object("end", "12", Some("1"))),
        ],
        true,
    );
    let mut said = Vec::new();
    while said.last().is_none_or(|last| last != "ns/end=1") {
        said.push(reader.next().await);
    }
    assert!(said.contains(&"ns/c=2".to_owned()), "{said:?}");
    said.retain(|text| text.ends_with("gone"));
    assert_eq!(said, ["ns/a gone", "ns/b gone"]);
}

#[tokio::test(start_paused = true)]
async fn watch_that_ends_is_resumed_from_the_newest_version_without_a_list() {
    let (_watch, mut script, mut reader) = mk_watch(WatchSpec::all);
    script.next().await.ok(&mk_list("5", "", &[]));
    assert_eq!(reader.next().await, "synced");
    script.next().await.stream(&[mk_event("ADDED", &mk_object("a", "7", Some("1")))], false);
    let call = script.next().await;
    assert_eq!((call.query("watch"), call.query("resourceVersion")), (Some("true"), Some("7")));
    let bookmark = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "resourceVersion": "30" },
    });
    call.stream(&[mk_event("BOOKMARK", &bookmark)], false);
    let call = script.next().await;
    assert_eq!((call.query("watch"), call.query("resourceVersion")), (Some("true"), Some("30")));
    // A broken connection changes nothing: the same version is asked for again.
    drop(call);
    assert_eq!(script.next().await.query("resourceVersion"), Some("30"));
    assert_eq!(reader.next().await, "ns/a=1");
}

#[rstest]
#[case::as_event(true)]
#[case::as_answer(false)]
#[tokio::test(start_paused = true)]
async fn version_gone_lists_again_and_removes_what_is_missing(#[case] as_event: bool) {
    let (_watch, mut script, mut reader) = mk_watch(WatchSpec::all);
    let listed = [mk_object("a", "1", Some("1")), mk_object("b", "2", Some("1"))];
    script.next().await.ok(&mk_list("5", "", &listed));
    assert_eq!(reader.take(3).await, ["ns/a=1", "ns/b=1", "synced"]);
    let call = script.next().await;
    if as_event {
        call.stream(&[mk_event("ERROR", &mk_status(410, "too old"))], true);
    } else {
        call.fail(410, "too old");
    }
    let call = script.next().await;
    assert_eq!((call.line().as_str(), call.query("watch")), (LIST, None));
    let listed = [mk_object("b", "2", Some("1")), mk_object("c", "20", Some("1"))];
    call.ok(&mk_list("21", "", &listed));
    // No second `synced`: the watch follows at once.
    assert_eq!(script.next().await.query("resourceVersion"), Some("21"));
    assert_eq!(reader.take(3).await, ["ns/b=1", "ns/c=1", "ns/a gone"]);
    assert!(reader.0.try_recv().is_none());
}

#[tokio::test(start_paused = true)]
async fn list_that_breaks_off_removes_nothing() {
    let (_watch, mut script, mut reader) = mk_watch(WatchSpec::all);
    let listed = [mk_object("a", "1", Some("1")), mk_object("b", "2", Some("1"))];
    script.next().await.ok(&mk_list("5", "", &listed));
    reader.take(3).await;
    script.next().await.fail(410, "too old");
    script.next().await.ok(&mk_list("9", "more", &[mk_object("c", "8", Some("1"))]));
    script.next().await.fail(500, "etcd");
    assert_eq!(reader.next().await, "ns/c=1");
    // The next complete list lacks `b` and the half-listed `c`.
    script.next().await.ok(&mk_list("12", "", &[mk_object("a", "1", Some("1"))]));
    script.next().await.stream(&[], true);
    let mut said = reader.take(3).await;
    said.sort();
    assert_eq!(said, ["ns/a=1", "ns/b gone", "ns/c gone"]);
}

#[tokio::test(start_paused = true)]
async fn missing_permission_names_verb_resource_and_namespace_until_it_is_granted() {
    let (watch, mut script, mut reader) =
        mk_watch(|client| WatchSpec::namespaced(client, "metallb-system"));
    for _ in 0..3 {
        let call = script.next().await;
        assert_eq!(call.line(), "GET /api/v1/namespaces/metallb-system/configmaps");
        call.fail(403, "no rule");
    }
    let call = script.next().await;
    let expected = "cannot list configmaps in namespace metallb-system: \
                    forbidden: needs verb \"list\" (no rule)";
    assert_eq!(watch.state().missing().as_deref(), Some(expected));
    call.ok(&mk_list("5", "", &[]));
    assert_eq!(reader.next().await, "synced");

    for _ in 0..2 {
        let call = script.next().await;
        assert_eq!(call.query("watch"), Some("true"), "listing again would not help");
        call.fail(403, "no rule");
    }
    let call = script.next().await;
    assert!(watch.state().trouble().unwrap().contains("needs verb \"watch\""));
    assert_eq!(watch.state().missing(), None, "readiness outlives trouble");
    call.stream(&[], true);
    assert!(script.is_quiet().await);
    assert_eq!(watch.state().trouble(), None);
}

#[tokio::test(start_paused = true)]
async fn kind_that_does_not_exist_is_waited_for() {
    let (watch, mut script, mut reader) = mk_watch(WatchSpec::all);
    for _ in 0..5 {
        script.next().await.fail(404, "the server could not find the requested resource");
    }
    let call = script.next().await;
    assert!(watch.state().missing().unwrap().contains("is its CRD installed?"));
    call.ok(&mk_list("5", "", &[mk_object("a", "1", Some("1"))]));
    assert_eq!(reader.take(2).await, ["ns/a=1", "synced"]);
    assert_eq!(watch.state().trouble(), None);
}

#[tokio::test(start_paused = true)]
async fn server_that_is_away_is_asked_every_two_seconds_and_nothing_is_said() {
    let (watch, mut script, mut reader) = mk_watch(WatchSpec::all);
    script.next().await.ok(&mk_list("5", "", &[mk_object("a", "1", Some("1"))]));
    reader.take(2).await;
    let started = Instant::now();
    let mut asked = 0;
    // The outage that everything is measured against.
    while started.elapsed() < Duration::from_mins(10) {
        drop(script.next().await);
        asked += 1;
    }
    let call = script.next().await;
    assert!((300..=750).contains(&asked), "{asked}");
    assert!(reader.0.try_recv().is_none());
    assert!(watch.state().trouble().unwrap().contains("cannot be reached"));
    assert_eq!(call.query("resourceVersion"), Some("5"));
    call.stream(&[mk_event("ADDED", &mk_object("b", "9", Some("1")))], true);
    assert_eq!(reader.next().await, "ns/b=1");
    assert_eq!(watch.state().trouble(), None);
}

#[rstest]
#[case::list(false)]
#[case::watch(true)]
#[tokio::test(start_paused = true)]
async fn server_that_never_answers_is_given_up_on(#[case] at_watch: bool) {
    let (watch, mut script, mut reader) = mk_watch(WatchSpec::all);
    if at_watch {
        script.next().await.ok(&mk_list("5", "", &[]));
        reader.next().await;
    }
    let _held = script.next().await;
    // Comes only because the one that is held timed out.
    let _second = script.next().await;
    assert!(watch.state().trouble().unwrap().contains("no answer in time"));
}

#[tokio::test(start_paused = true)]
async fn silent_watch_is_ended_and_resumed() {
    let (_watch, mut script, mut reader) = mk_watch(WatchSpec::all);
    script.next().await.ok(&mk_list("5", "", &[]));
    reader.next().await;
    script.next().await.stream(&[], true);
    assert_eq!(script.next().await.query("resourceVersion"), Some("5"));
}

#[rstest]
#[case::refused(500)]
#[case::version_always_gone(410)]
#[tokio::test(start_paused = true)]
async fn lists_that_work_do_not_hurry_a_watch_that_does_not(#[case] code: u16) {
    let (_watch, mut script, _reader) = mk_watch(WatchSpec::all);
    let started = Instant::now();
    for _ in 0..20 {
        script.next().await.ok(&mk_list("5", "", &[]));
        script.next().await.fail(code, "no");
    }
    assert!(started.elapsed() > Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn optional_fields_are_dropped_when_the_server_cannot_select_by_them() {
    let fields = "spec.type=LoadBalancer";
    let (watch, mut script, mut reader) =
        mk_watch(|client| WatchSpec::all(client).fields_if_possible(fields));
    let call = script.next().await;
    assert_eq!(call.query("fieldSelector"), Some("spec.type%3DLoadBalancer"));
    call.fail(400, "field label not supported: spec.type");
    let call = script.next().await;
    assert_eq!(call.query("fieldSelector"), None);
    call.ok(&mk_list("5", "", &[mk_object("a", "1", None), mk_object("b", "2", Some("1"))]));
    let call = script.next().await;
    assert_eq!((call.query("watch"), call.query("fieldSelector")), (Some("true"), None));
    assert_eq!(reader.take(2).await, ["ns/b=1", "synced"]);
    assert_eq!(watch.state().trouble(), None);
}

#[tokio::test(start_paused = true)]
async fn required_selectors_stay_whatever_the_server_says() {
    let (watch, mut script, _reader) =
        mk_watch(|client| WatchSpec::all(client).fields("metadata.name=x").labels("app=y"));
    script.next().await.fail(400, "bad");
    let call = script.next().await;
    assert_eq!(call.query("fieldSelector"), Some("metadata.name%3Dx"));
    assert_eq!(call.query("labelSelector"), Some("app%3Dy"));
    assert!(watch.state().trouble().unwrap().contains("refused with 400: bad"));
}

#[tokio::test(start_paused = true)]
async fn unreadable_event_is_skipped_and_counted() {
    let mut registry = crate::metrics::Registry::default();
    let metrics = ClientMetrics::register(&mut registry);
    let (_watch, mut script, mut reader) =
        mk_watch(|client| WatchSpec::all(client).metrics(&metrics));
    script.next().await.ok(&mk_list("5", "", &[]));
    reader.next().await;
    let mut broken = mk_object("a", "6", Some("1"));
    broken["data"] = json!(7);
    script.next().await.stream(
        &[mk_event("ADDED", &broken), mk_event("ADDED", &mk_object("b", "7", Some("1")))],
        true,
    );
    assert_eq!(reader.next().await, "ns/b=1");
    assert_eq!((metrics.updates.get(), metrics.update_errors.get()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn same_trouble_is_logged_once_and_its_end_too() {
    let lines = crate::logs::tests::mk_capture();
    let (_watch, mut script, _reader) = mk_watch(WatchSpec::all);
    for _ in 0..4 {
        script.next().await.fail(403, "no rule");
    }
    for _ in 0..4 {
        script.next().await.fail(503, "starting");
    }
    script.next().await.ok(&mk_list("5", "", &[]));
    script.next().await.stream(&[], true);
    script.is_quiet().await;
    let said: Vec<_> = lines.messages();
    assert_eq!(
        said,
        [
            "cannot list configmaps: forbidden: needs verb \"list\" (no rule)",
            "cannot list configmaps: the API server answers 503: starting",
            "the API server answers again",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn watch_ends_with_its_handle() {
    let (watch, mut script, mut reader) = mk_watch(WatchSpec::all);
    script.next().await.ok(&mk_list("5", "", &[]));
    assert_eq!(reader.next().await, "synced");
    drop(watch);
    assert!(reader.0.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn watch_ends_with_its_reader() {
    let (watch, mut script, reader) = mk_watch(WatchSpec::all);
    drop(reader);
    script.next().await.ok(&mk_list("5", "", &[mk_object("a", "1", Some("1"))]));
    script.is_quiet().await;
    assert!(watch.task.is_finished());
}
