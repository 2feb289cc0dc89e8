//! The plan by table over the years, and whole rounds against the embedded API server.

use ferrolb_embedded_api::{Config, EmbeddedApi};
use jiff::SignedDuration;
use kube::core::DynamicObject;
use rstest::rstest;

use super::*;
use crate::clock::SetClock;
use crate::probes::Probes;
use crate::script::mk_script;

const NAME: &str = "metallb-webhook-service.metallb-system.svc";
const YEAR: i64 = 365;

fn day(days: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_hours(24 * days)
}

/// What a first start leaves in an empty Secret.
fn mk_contents() -> Contents {
    let empty = Contents::default();
    let first = plan(&empty, NAME, day(0));
    assert_eq!(first, Plan::NewCa { overlap: String::new(), and_server: true });
    authority::carry_out(&first, &empty, NAME, day(0)).unwrap()
}

fn bundle_size(contents: &Contents) -> usize {
    plan::certificates(&contents.ca_crt).count()
}

#[rstest]
#[case::at_once(0, Plan::Keep)]
#[case::long_before(274, Plan::Keep)]
#[case::ninety_days_before(276, Plan::ReissueServer)]
#[case::expired(YEAR + 1, Plan::ReissueServer)]
#[case::clock_a_day_back(-1, Plan::Keep)]
#[case::clock_a_day_ahead(1, Plan::Keep)]
fn server_certificate_over_time(#[case] days: i64, #[case] expected: Plan) {
    assert_eq!(plan(&mk_contents(), NAME, day(days)), expected);
}

#[test]
fn ca_near_its_end_gets_a_successor_beside_it_and_the_server_follows() {
    let mut contents = mk_contents();
    let mut now = day(9 * YEAR);
    contents = authority::carry_out(&Plan::ReissueServer, &contents, NAME, now).unwrap();
    now = day(10 * YEAR - 89);
    contents.tls_crt = authority::carry_out(&Plan::ReissueServer, &contents, NAME, now)
        .map(|new| {
            contents.tls_key = new.tls_key;
            new.tls_crt
        })
        .unwrap();
    let step = plan(&contents, NAME, now);
    let Plan::NewCa { overlap, and_server } = &step else { panic!("{step:?}") };
    assert_eq!(*overlap, contents.ca_crt);
    assert!(!and_server, "the old certificate holds until the bundle is spread");
    let shown = contents.tls_crt.clone();
    contents = authority::carry_out(&step, &contents, NAME, now).unwrap();
    assert_eq!(contents.tls_crt, shown);
    assert_eq!(bundle_size(&contents), 2);
    assert_eq!(plan(&contents, NAME, now), Plan::ReissueServer);
    contents = authority::carry_out(&Plan::ReissueServer, &contents, NAME, now).unwrap();
    assert_eq!(plan(&contents, NAME, now), Plan::Keep);
    assert_eq!(bundle_size(&contents), 2, "what was signed before is still trusted");
}

#[test]
fn ca_that_expired_leaves_no_overlap() {
    let contents = mk_contents();
    let step = plan(&contents, NAME, day(11 * YEAR));
    assert_eq!(step, Plan::NewCa { overlap: String::new(), and_server: true });
}

#[test]
fn clock_far_back_makes_a_pair_that_holds_now() {
    let contents = mk_contents();
    let now = day(-3 * YEAR);
    let step = plan(&contents, NAME, now);
    assert!(matches!(step, Plan::NewCa { and_server: true, .. }), "{step:?}");
    let contents = authority::carry_out(&step, &contents, NAME, now).unwrap();
    assert_eq!(plan(&contents, NAME, now), Plan::Keep);
}

#[rstest]
#[case::no_certificate(|c: &mut Contents| c.tls_crt.clear())]
#[case::no_key(|c: &mut Contents| c.tls_key.clear())]
#[case::key_of_another(|c: &mut Contents| c.tls_key = mk_contents().tls_key)]
#[case::garbage(|c: &mut Contents| c.tls_crt = "no PEM".to_owned())]
fn server_pair_that_cannot_be_shown_is_issued_again(#[case] spoil: fn(&mut Contents)) {
    let mut contents = mk_contents();
    spoil(&mut contents);
    assert_eq!(plan(&contents, NAME, day(1)), Plan::ReissueServer);
}

#[test]
fn other_service_name_is_another_certificate() {
    assert_eq!(plan(&mk_contents(), "other.ns.svc", day(1)), Plan::ReissueServer);
}

#[rstest]
#[case::foreign_key(mk_contents().ca_key)]
#[case::key_we_do_not_sign_with("-----BEGIN RSA PRIVATE KEY-----\nAA==\n-----END RSA PRIVATE KEY-----\n".to_owned())]
#[case::none(String::new())]
fn ca_that_cannot_sign_goes_on_being_trusted_beside_ours(#[case] key: String) {
    let contents = Contents { ca_key: key, ..mk_contents() };
    let step = plan(&contents, NAME, day(1));
    assert_eq!(step, Plan::NewCa { overlap: contents.ca_crt.clone(), and_server: false });
    let next = authority::carry_out(&step, &contents, NAME, day(1)).unwrap();
    assert_eq!(next.tls_crt, contents.tls_crt);
    assert_eq!(plan(&next, NAME, day(1)), Plan::ReissueServer);
}

/// An API server with the Secret (empty), the webhook configuration and the definition.
async fn mk_world() -> (EmbeddedApi, Client) {
    let server = EmbeddedApi::start(&Config::default()).unwrap();
    crate::client::install_crypto();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), server.kubeconfig()).unwrap();
    let client = crate::client::connect(Some(file.path())).await.unwrap();
    let namespace = json!({ "metadata": { "name": "metallb-system" } });
    create(&client, "/api/v1/namespaces", namespace).await;
    let secret = json!({ "metadata": { "name": "metallb-webhook-cert" } });
    create(&client, "/api/v1/namespaces/metallb-system/secrets", secret).await;
    create_configuration(&client).await;
    (server, client)
}

async fn create(client: &Client, path: &str, body: Value) {
    let request = Request::post(path).header(CONTENT_TYPE, "application/json");
    let request = request.body(body.to_string().into_bytes()).unwrap();
    client.request::<Value>(request).await.unwrap();
}

/// The configuration as manifests have it: it trusts nobody yet.
async fn create_configuration(client: &Client) {
    let hook = |name: &str| {
        let service = json!({ "name": "s", "namespace": "n", "path": "/x" });
        json!({
            "name": name, "clientConfig": { "service": service }, "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "aFieldOfTomorrow": true,
        })
    };
    let configuration = json!({
        "metadata": { "name": "metallb-webhook-configuration" },
        "webhooks": [hook("a.metallb.io"), hook("b.metallb.io")],
    });
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    create(client, path, configuration).await;
}

fn mk_keeper(client: &Client, leads: bool) -> Keeper {
    let identity = ServerIdentity::empty();
    let settings = Settings::new("metallb-system");
    let told = Probes::new().check("webhooks", "not told");
    let keeper = Keeper::new(client.clone(), settings, identity, told, move || leads)
        .with_clock(WallClock::from_fn(|| day(0)));
    // However slow the machine is, nothing is given up.
    Keeper { begun: Instant::now() + Duration::from_hours(1), ..keeper }
}

async fn hooks(client: &Client) -> Vec<Value> {
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/";
    let request = Request::get(format!("{path}metallb-webhook-configuration"));
    let object: Value = client.request(request.body(Vec::new()).unwrap()).await.unwrap();
    object["webhooks"].as_array().unwrap().clone()
}

#[tokio::test]
async fn leader_fills_the_secret_spreads_the_bundle_and_is_quiet_then() {
    let (server, client) = mk_world().await;
    let mut keeper = mk_keeper(&client, true);
    keeper.round().await.unwrap();
    assert!(keeper.identity.is_ready());
    let shown = keeper.shown.clone().unwrap();
    let bundle = json!(ByteString(shown.ca_crt.clone().into_bytes()));
    for hook in hooks(&client).await {
        assert_eq!(hook["clientConfig"]["caBundle"], bundle);
        assert_eq!(hook["clientConfig"]["service"]["path"], "/x");
        assert_eq!(hook["aFieldOfTomorrow"], true);
    }
    let writes = server.writes();
    keeper.round().await.unwrap();
    assert_eq!(server.writes(), writes, "nothing differs");

    // Somebody applies the manifests again.
    let api = Api::<DynamicObject>::all_with(
        client.clone(),
        &kube::core::ApiResource {
            group: "admissionregistration.k8s.io".into(),
            version: "v1".into(),
            api_version: "admissionregistration.k8s.io/v1".into(),
            kind: "ValidatingWebhookConfiguration".into(),
            plural: "validatingwebhookconfigurations".into(),
        },
    );
    let patch = json!({ "webhooks": [{ "name": "a.metallb.io", "clientConfig": {} }] });
    let patch = kube::api::Patch::Merge(patch);
    api.patch("metallb-webhook-configuration", &kube::api::PatchParams::default(), &patch)
        .await
        .unwrap();
    keeper.round().await.unwrap();
    assert_eq!(hooks(&client).await[0]["clientConfig"]["caBundle"], bundle);
}

#[tokio::test]
async fn follower_shows_what_the_leader_made_and_writes_nothing() {
    let (server, client) = mk_world().await;
    let mut follower = mk_keeper(&client, false);
    let writes = server.writes();
    follower.round().await.unwrap();
    assert!(!follower.identity.is_ready());
    assert_eq!(server.writes(), writes);
    mk_keeper(&client, true).round().await.unwrap();
    follower.round().await.unwrap();
    assert!(follower.identity.is_ready());
}

#[tokio::test]
async fn ready_is_who_shows_what_the_api_server_trusts() {
    let (_server, client) = mk_world().await;
    let url = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/";
    let url = format!("{url}metallb-webhook-configuration");
    let request = Request::delete(&url).body(Vec::new()).unwrap();
    client.request::<Value>(request).await.unwrap();
    let (mut leader, mut follower) = (mk_keeper(&client, true), mk_keeper(&client, false));
    for keeper in [&mut leader, &mut follower] {
        keeper.round().await.unwrap();
        assert!(keeper.identity.is_ready() && !keeper.told.is_ready(), "nobody would ask");
    }
    create_configuration(&client).await;
    follower.round().await.unwrap();
    assert!(!follower.told.is_ready(), "the leader has not written yet");
    leader.round().await.unwrap();
    follower.round().await.unwrap();
    assert!(leader.told.is_ready() && follower.told.is_ready());
}

#[tokio::test]
async fn a_round_reads_the_webhooks_once() {
    crate::client::install_crypto();
    let (client, mut script) = mk_script();
    let (mut keeper, contents) = (mk_keeper(&client, true), mk_contents());
    drop(client);
    let told = tokio::spawn(async move {
        keeper.round().await.unwrap();
        keeper.told.is_ready()
    });
    let encoded = |text: &str| json!(ByteString(text.as_bytes().to_vec()));
    let data = entries(&contents).map(|(key, text)| (key.to_owned(), encoded(text)));
    let data: serde_json::Map<_, _> = data.into_iter().collect();
    let hook = json!({ "clientConfig": { "caBundle": encoded(&contents.ca_crt) } });
    script.next().await.ok(&json!({ "metadata": { "name": "x" }, "data": data }));
    let call = script.next().await;
    assert!(call.path.contains("/validatingwebhookconfigurations/"), "{}", call.path);
    call.ok(&json!({ "metadata": { "name": "x" }, "webhooks": [hook] }));
    let call = script.next().await;
    assert!(call.path.contains("/customresourcedefinitions/"), "{}", call.path);
    call.fail(404, "no such definition");
    assert!(script.is_over().await, "nothing else is asked");
    assert!(told.await.unwrap());
}

#[tokio::test]
async fn a_step_of_the_clock_by_a_day_makes_no_certificate() {
    let (server, client) = mk_world().await;
    let set = SetClock::default();
    let mut keeper = mk_keeper(&client, true).with_clock(set.clock(day(0)));
    keeper.round().await.unwrap();
    let (writes, shown) = (server.writes(), keeper.shown.clone());
    for days in [1, -1, 0] {
        set.set_days(days);
        keeper.round().await.unwrap();
    }
    assert!(server.writes() == writes && keeper.shown == shown);
}

#[tokio::test]
async fn what_somebody_takes_away_is_put_back_at_once() {
    const SECRET: &str = "/api/v1/namespaces/metallb-system/secrets/metallb-webhook-cert";
    let (_server, client) = mk_world().await;
    let keeper = mk_keeper(&client, true);
    let identity = keeper.identity.clone();
    let stop = CancellationToken::new();
    keeper.spawn(stop.clone());
    let _stop = stop.drop_guard();
    let begun = std::time::Instant::now();
    let authority = async || {
        let request = Request::get(SECRET).body(Vec::new()).unwrap();
        let secret = client.request::<Value>(request).await.unwrap_or_default();
        secret["data"]["ca.crt"].as_str().map(str::to_owned)
    };
    let settled = async |old: Option<String>| loop {
        let found = authority().await.filter(|found| old.as_ref() != Some(found));
        let bundles = hooks(&client).await;
        let is_known =
            |found: &String| bundles.iter().all(|hook| hook["clientConfig"]["caBundle"] == **found);
        if let Some(found) = found.filter(is_known) {
            break found;
        }
        sleep(Duration::from_millis(20)).await;
    };
    let first = settled(None).await;
    assert!(identity.is_ready());
    let request = Request::delete(SECRET).body(Vec::new()).unwrap();
    client.request::<Value>(request).await.unwrap();
    assert_ne!(settled(Some(first.clone())).await, first);
    // Two rounds and their pauses; looking now and then would take longer than this.
    assert!(begun.elapsed() < LOOK, "{:?}", begun.elapsed());
}
