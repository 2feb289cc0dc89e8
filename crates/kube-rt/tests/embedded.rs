//! Watch, writer and events together, over real connections to the embedded API server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use ferrolb_embedded_api::{Config, EmbeddedApi};
use ferrolb_kube_rt::election::{Election, Leadership, Role, Settings};
use ferrolb_kube_rt::events::{EventType, ObjectRef, Recorder};
use ferrolb_kube_rt::status::{Action, Outcome, Write, Writer};
use ferrolb_kube_rt::watch::{self, Update, Watch, WatchSpec};
use ferrolb_kube_rt::{Inbox, ObjectKey, Resource, client, inbox, rows};
use ferrolb_model::Service as Row;
use k8s_openapi::api::core::v1::{Event, Service};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio_util::sync::CancellationToken;

async fn mk_client(server: &EmbeddedApi) -> Client {
    client::install_crypto();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), server.kubeconfig()).unwrap();
    client::connect(Some(file.path())).await.unwrap()
}

fn mk_service(name: &str, kind: &str) -> Service {
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "default" },
        "spec": { "type": kind, "ports": [{ "port": 80 }] },
    }))
    .unwrap()
}

/// A watch of load balancers; what it says comes under running numbers, so that nothing coalesces.
fn mk_watch(client: Client) -> (Watch, Inbox<u32, Update<Row>>) {
    let (post, said) = inbox(64);
    let turn = std::sync::atomic::AtomicU32::new(0);
    let spec = WatchSpec::<Service>::all(client).fields_if_possible(rows::LOAD_BALANCERS);
    let watch = watch::spawn(spec, rows::service, post, move |update| {
        (turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed), update)
    });
    (watch, said)
}

async fn next<V>(inbox: &mut Inbox<u32, V>) -> V {
    tokio::time::timeout(Duration::from_secs(30), inbox.recv()).await.unwrap().unwrap().1
}

/// The name of the row that was set.
async fn next_set(said: &mut Inbox<u32, Update<Row>>) -> String {
    match next(said).await {
        Update::Set(key, _) => key.name.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn load_balancers_are_followed_through_an_outage_and_a_lost_history() {
    let server = EmbeddedApi::start(&Config::default()).unwrap();
    let client = mk_client(&server).await;
    let services = Api::<Service>::namespaced(client.clone(), "default");
    let create = async |name: &str, kind: &str| {
        services.create(&PostParams::default(), &mk_service(name, kind)).await.unwrap();
    };
    create("a", "LoadBalancer").await;
    create("plain", "ClusterIP").await;

    let (watch, mut said) = mk_watch(client.clone());
    assert_eq!(next_set(&mut said).await, "a");
    assert_eq!(next(&mut said).await, Update::Synced);
    create("b", "LoadBalancer").await;
    assert_eq!(next_set(&mut said).await, "b");

    // Away and back: the watch goes on where it was.
    server.stop().await;
    while watch.state().trouble().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(said.try_recv().is_none(), "nothing is said while the server is away");
    server.resume().unwrap();
    create("c", "LoadBalancer").await;
    assert_eq!(next_set(&mut said).await, "c");
    assert_eq!(watch.state().trouble(), None);

    // A deletion is told; a lost history makes a new list, and only one.
    let lists = server.count("list", "services");
    services.delete("b", &DeleteParams::default()).await.unwrap();
    assert_eq!(next(&mut said).await, Update::Gone(ObjectKey::new("default", "b")));
    create("d", "LoadBalancer").await;
    assert_eq!(next_set(&mut said).await, "d");
    // Moves the server's version on and not ours, which is then too old.
    create("plain-2", "ClusterIP").await;
    server.expire_history();
    server.drop_watches();
    let mut listed =
        [next_set(&mut said).await, next_set(&mut said).await, next_set(&mut said).await];
    listed.sort();
    assert_eq!(listed, ["a", "c", "d"]);
    assert_eq!(server.count("list", "services"), lists + 1);
}

#[tokio::test]
async fn status_is_written_and_a_stale_precondition_is_a_conflict() {
    let server = EmbeddedApi::start(&Config::default()).unwrap();
    let client = mk_client(&server).await;
    let services = Api::<Service>::namespaced(client.clone(), "default");
    let made =
        services.create(&PostParams::default(), &mk_service("a", "LoadBalancer")).await.unwrap();
    let version = made.metadata.resource_version.unwrap();

    let (post, mut told) = inbox(8);
    let turn = std::sync::atomic::AtomicU32::new(0);
    let writer = Writer::new(client, post, move |key: &'static str, outcome| {
        (turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed), (key, outcome))
    });
    let submit = |ip: &str, version: &str| {
        let ingress = json!([{ "ip": ip }]);
        let write = Write {
            resource: Resource::of::<Service>(),
            namespace: Some("default".into()),
            name: "a".into(),
            subresource: Some("status"),
            action: Action::Patch {
                body: json!({ "status": { "loadBalancer": { "ingress": ingress } } }).into(),
                resource_version: Some(version.into()),
            },
        };
        writer.submit("a", write);
    };
    let ingress = async || {
        let status = services.get("a").await.unwrap().status.unwrap();
        status.load_balancer.unwrap().ingress.unwrap()[0].ip.clone().unwrap()
    };

    submit("192.0.2.1", &version);
    let (_, Outcome::Written { resource_version, .. }) = next(&mut told).await else { panic!() };
    assert_eq!(ingress().await, "192.0.2.1");
    submit("192.0.2.2", &version);
    assert_eq!(next(&mut told).await, ("a", Outcome::Conflict));
    assert_eq!(ingress().await, "192.0.2.1");

    server.deny("patch", "services/status");
    submit("192.0.2.3", &resource_version);
    let (_, outcome) = next(&mut told).await;
    assert!(matches!(outcome, Outcome::Written { .. }), "{outcome:?}");
    assert_eq!(ingress().await, "192.0.2.3");
}

#[tokio::test]
async fn repeated_event_is_one_object_with_a_count() {
    let server = EmbeddedApi::start(&Config::default()).unwrap();
    let client = mk_client(&server).await;
    let services = Api::<Service>::namespaced(client.clone(), "default");
    let made =
        services.create(&PostParams::default(), &mk_service("a", "LoadBalancer")).await.unwrap();
    let recorder = Recorder::new(client.clone(), "metallb-controller");
    let events = Api::<Event>::namespaced(client, "default");
    for count in 1..=2 {
        recorder.record(&ObjectRef::of(&made), EventType::Normal, "IPAllocated", "Assigned");
        loop {
            let list = events.list(&ListParams::default()).await.unwrap().items;
            if list.len() == 1 && list[0].count == Some(count) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A candidate called `identity`.
fn mk_candidate(client: &Client, identity: &str) -> Leadership {
    let settings = Settings::new("default", identity);
    Election::new(client.clone(), settings).spawn(CancellationToken::new())
}

async fn leading(leadership: &mut Leadership) {
    let leads = async { while leadership.changed().await != Role::Leading {} };
    tokio::time::timeout(Duration::from_secs(30), leads).await.unwrap();
}

#[tokio::test]
async fn lease_goes_from_one_to_the_next_on_release_and_after_a_crash() {
    let server = EmbeddedApi::start(&Config::default()).unwrap();
    let client = mk_client(&server).await;
    let mut first = mk_candidate(&client, "first");
    leading(&mut first).await;
    let mut second = mk_candidate(&client, "second");
    assert_eq!(second.changed().await, Role::Following { leader: Some("first".into()) });
    assert!(first.may_write() && !second.may_write());

    first.release().await;
    assert!(!first.may_write());
    let released = tokio::time::Instant::now();
    leading(&mut second).await;
    assert!(released.elapsed() < Duration::from_secs(5), "not waited out");

    // All handles gone is as good as dead.
    let mut third = mk_candidate(&client, "third");
    assert_eq!(third.changed().await, Role::Following { leader: Some("second".into()) });
    drop(second);
    leading(&mut third).await;
    assert!(third.may_write());
}
