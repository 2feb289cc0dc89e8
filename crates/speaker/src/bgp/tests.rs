//! Sessions over loopback with a router that the test plays.

mod router;

use std::net::SocketAddr;

use ferrolb_kube_rt::metrics::{Registry, encode};
use ferrolb_model::bgp::PeerScope;
use ferrolb_model::{Config, ConfigObjects};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::time::timeout;

use self::router::{Caller, Router, Said};
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_millis(300);

/// The BGP of a node, and what it is told.
struct Speaker {
    bgp: Bgp,
    registry: Registry,
}

impl Speaker {
    fn new() -> Self {
        let mut registry = Registry::default();
        let metrics = BgpMetrics::register(&mut registry);
        let bfd = BfdMetrics::register(&mut registry);
        let common = Common { node: "n1".into(), lenient_ttl: true };
        Self { bgp: Bgp::new(common, metrics, bfd, 7), registry }
    }

    fn routes(&mut self, service: &str, routes: &[(&str, u32)]) {
        let routes = routes.iter().map(|(prefix, community)| mk_route(prefix, *community));
        self.bgp.set_routes(&mk_key(service), routes.collect());
        self.bgp.flush();
    }

    fn peers(&mut self, peers: &[Value]) {
        let terms = peers.iter().map(|peer| mk_terms(peer, &self.bgp.common)).collect();
        self.bgp.set_peers(terms);
    }

    /// Takes in news until it knows what `wanted` asks for.
    async fn until(&mut self, wanted: impl Fn(&Bgp, &Outcome) -> bool) -> Outcome {
        let mut all = Outcome::default();
        let done = async {
            loop {
                let Outcome { services, peers, happened } = self.bgp.take(self.bgp.news.take());
                all.services.extend(services);
                all.peers.extend(peers);
                all.happened.extend(happened);
                if wanted(&self.bgp, &all) {
                    return all;
                }
                self.bgp.news().arrived().await;
            }
        };
        timeout(PATIENCE, done).await.expect("not in time")
    }

    async fn told(&mut self, service: &str, peers: &[&str]) {
        let peers: BTreeSet<PeerName> = peers.iter().map(|name| PeerName::from(*name)).collect();
        let key = mk_key(service);
        self.until(|bgp, _| bgp.audience(&key).told == peers).await;
    }
}

fn mk_key(name: &str) -> ServiceKey {
    ServiceKey::new("default", name)
}

fn mk_route(prefix: &str, community: u32) -> Route {
    let communities = [model::Community::Standard(community)].into();
    let attributes = Attributes { local_pref: None, communities };
    Route { prefix: prefix.parse().unwrap(), peers: PeerScope::All, attributes }
}

fn mk_peer(name: &str, router: SocketAddr) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "myASN": 64512,
            "peerASN": 64513,
            "peerAddress": router.ip().to_string(),
            "peerPort": router.port(),
        },
    })
}

fn with(mut peer: Value, field: &str, value: impl Into<Value>) -> Value {
    peer["spec"][field] = value.into();
    peer
}

fn mk_terms(peer: &Value, common: &Common) -> Terms {
    let mut objects = ConfigObjects::default();
    let name = peer["metadata"]["name"].as_str().unwrap().to_owned();
    objects.peers.insert(name.clone(), serde_json::from_value(peer.clone()).unwrap());
    let config = Config::build(&objects, None);
    assert_eq!(config.problems, []);
    let peer = &config.peers[name.as_str()];
    let password = model::join_password(peer, |_| None).unwrap();
    Terms::new(peer, password.as_ref(), None, common).unwrap()
}

#[rstest]
#[case::external(json!({}), false, Some(1))]
#[case::external_lenient(json!({}), true, None)]
#[case::multihop(json!({ "ebgpMultiHop": true }), false, Some(255))]
#[case::internal(json!({ "peerASN": 64512 }), false, Some(255))]
#[case::internal_lenient(json!({ "peerASN": 64512 }), true, Some(255))]
fn how_far_a_session_reaches(
    #[case] fields: Value,
    #[case] lenient_ttl: bool,
    #[case] ttl: Option<u8>,
) {
    let mut peer = mk_peer("r1", "192.0.2.1:179".parse().unwrap());
    for (field, value) in fields.as_object().unwrap() {
        peer = with(peer, field, value.clone());
    }
    let terms = mk_terms(&peer, &Common { node: "n1".into(), lenient_ttl });
    assert_eq!(terms.tcp().ttl, ttl);
}

#[test]
fn a_password_that_moves_is_no_other_password() {
    let common = Common { node: "n1".into(), lenient_ttl: false };
    let peer = mk_peer("r1", "192.0.2.1:179".parse().unwrap());
    let written = mk_terms(&with(peer.clone(), "password", "secret"), &common);
    let referred = with(peer.clone(), "passwordSecret", json!({ "name": "pw" }));
    let mut objects = ConfigObjects::default();
    objects.peers.insert("r1".to_owned(), serde_json::from_value(referred).unwrap());
    let config = Config::build(&objects, None);
    let terms = |text: &str| {
        let row = model::SecretRow::new("kubernetes.io/basic-auth", Some(text.as_bytes()));
        let peer = &config.peers["r1"];
        let password = model::join_password(peer, |_| Some(&row)).unwrap();
        Terms::new(peer, password.as_ref(), None, &common).unwrap()
    };
    assert_eq!(written.reset_reason(&terms("secret")), None);
    assert_eq!(written.reset_reason(&terms("other")), Some(model::ResetReason::Password));
    assert!(!format!("{written:?}").contains("secret"));
}

/// A speaker with one route and a session.
async fn mk_session() -> (Speaker, Router, Caller) {
    let (mut speaker, router) = (Speaker::new(), Router::new().await);
    speaker.routes("web", &[("198.51.100.1/32", 1)]);
    speaker.peers(&[mk_peer("r1", router.address())]);
    let mut caller = router.establish().await;
    caller.until(|it| it.end_of_rib).await;
    speaker.told("web", &["r1"]).await;
    (speaker, router, caller)
}

#[tokio::test]
async fn routes_then_end_of_rib_then_differences() {
    let (mut speaker, _router, mut caller) = mk_session().await;
    assert_eq!(caller.routes, [("198.51.100.1/32".to_owned(), vec![1])].into());
    speaker.routes("db", &[("198.51.100.2/32", 1)]);
    caller.until(|it| it.routes.len() == 2).await;
    speaker.told("db", &["r1"]).await;
    speaker.routes("web", &[]);
    caller.until(|it| it.routes.len() == 1).await;
    speaker.told("web", &[]).await;
    let view = speaker.bgp.session(&"r1".into()).unwrap().1.unwrap().clone();
    assert_eq!((view.state, view.wanted, view.sent), (State::Established, 1, 1));
}

#[tokio::test]
async fn a_service_that_routes_the_same_sends_nothing() {
    let (mut speaker, _router, mut caller) = mk_session().await;
    let before = caller.updates;
    for _ in 0..100 {
        speaker.routes("web", &[("198.51.100.1/32", 1)]);
    }
    speaker.routes("db", &[("198.51.100.2/32", 1)]);
    caller.until(|it| it.routes.len() == 2).await;
    assert_eq!(caller.updates, before + 1);
}

#[tokio::test]
async fn another_community_is_one_update_of_the_same_session() {
    let (mut speaker, _router, mut caller) = mk_session().await;
    let before = caller.updates;
    speaker.routes("web", &[("198.51.100.1/32", 2)]);
    caller.until(|it| it.routes["198.51.100.1/32"] == [2]).await;
    assert_eq!(caller.updates, before + 1);
}

#[rstest]
#[case::hold_time("holdTime", json!("30s"))]
#[case::connect_time("connectTime", json!("5s"))]
#[case::graceful_restart("enableGracefulRestart", json!(true))]
#[tokio::test]
async fn a_change_that_can_wait_leaves_the_session_alone(
    #[case] field: &str,
    #[case] value: Value,
) {
    let (mut speaker, router, mut caller) = mk_session().await;
    speaker.peers(&[with(mk_peer("r1", router.address()), field, value)]);
    speaker.routes("db", &[("198.51.100.2/32", 1)]);
    caller.until(|it| it.routes.len() == 2).await;
}

#[rstest]
#[case::password("password", json!("secret"))]
#[case::asn("myASN", json!(64514))]
#[case::router_id("routerID", json!("192.0.2.9"))]
#[case::dual_stack("dualStackAddressFamily", json!(true))]
#[case::source("sourceAddress", json!("127.0.0.2"))]
#[tokio::test]
async fn a_change_that_cannot_wait_ends_the_session_and_says_why(
    #[case] field: &str,
    #[case] value: Value,
) {
    let (mut speaker, router, mut caller) = mk_session().await;
    speaker.peers(&[with(mk_peer("r1", router.address()), field, value)]);
    assert!(matches!(caller.end().await, Said::Notification(6, 6, _)));
    let reset = Happening::Reset(field.into());
    speaker.until(|_, all| all.happened.iter().any(|(_, it)| *it == reset)).await;
    speaker.told("web", &[]).await;
}

#[tokio::test]
async fn a_peer_that_is_gone_is_told_so_and_its_series_go() {
    let (mut speaker, _router, mut caller) = mk_session().await;
    let series = format!("peer=\"{}\"", speaker.bgp.peers[&PeerName::from("r1")].terms.target());
    assert!(encode(&speaker.registry).unwrap().contains(&series));
    speaker.peers(&[]);
    assert_eq!(caller.end().await, Said::Notification(6, 3, String::new()));
    assert_eq!(caller.hear().await, Said::Nothing);
    drop(caller);
    let gone = async {
        while encode(&speaker.registry).unwrap().contains(&series) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("series are still there");
}

#[tokio::test]
async fn a_peer_under_another_name_keeps_its_series() {
    let (mut speaker, router, mut caller) = mk_session().await;
    speaker.peers(&[mk_peer("r2", router.address())]);
    assert_eq!(caller.end().await, Said::Notification(6, 3, String::new()));
    let mut caller = router.establish().await;
    caller.until(|it| it.end_of_rib).await;
    speaker.told("web", &["r2"]).await;
    let series = format!("session_up{{peer=\"{}\",vrf=\"default\"}} 1", router.address());
    let text = encode(&speaker.registry).unwrap();
    assert!(text.contains(&series), "{text}");
}

#[tokio::test]
async fn a_router_that_does_not_read_delays_nobody_else() {
    let (mut speaker, stuck, router) = (Speaker::new(), Router::narrow(), Router::new().await);
    // Each in a message of its own, of a kilobyte: more than the kernel takes off our hands.
    let routes = (0..6_000u32).map(|n| {
        let mut route = mk_route(&format!("{}/32", std::net::Ipv4Addr::from(0x0A00_0000 + n)), n);
        let more = (1..240).map(|more| model::Community::Standard(n << 8 | more));
        route.attributes.communities.extend(more);
        route
    });
    speaker.bgp.set_routes(&mk_key("many"), routes.collect());
    speaker.peers(&[mk_peer("stuck", stuck.address()), mk_peer("r1", router.address())]);
    let silent = stuck.establish().await;
    let mut caller = router.establish().await;
    caller.until(|it| it.end_of_rib).await;
    let r1 = PeerName::from("r1");
    speaker.until(|bgp, _| bgp.audience(&mk_key("many")).told.contains(&r1)).await;
    assert_eq!(speaker.bgp.audience(&mk_key("many")).untold, [PeerName::from("stuck")].into());
    speaker.routes("one", &[("198.51.100.1/32", 1)]);
    caller.until(|it| it.routes.contains_key("198.51.100.1/32")).await;
    speaker.until(|bgp, _| bgp.audience(&mk_key("one")).told.contains(&r1)).await;
    drop(silent);
}

#[rstest]
#[case::marker(&[0; 19], 1, 1)]
#[case::length(&[255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 18, 4], 1, 2)]
#[case::kind(&[255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 19, 9], 1, 3)]
#[tokio::test]
async fn what_is_no_bgp_ends_the_session_and_the_next_one_is_dialled(
    #[case] octets: &[u8],
    #[case] code: u8,
    #[case] subcode: u8,
) {
    let (mut speaker, _router, mut caller) = mk_session().await;
    caller.raw(octets).await;
    assert!(matches!(caller.end().await, Said::Notification(c, s, _) if (c, s) == (code, subcode)));
    let down = |it: &Happening| matches!(it, Happening::Down { was_up: true, .. });
    speaker.until(|_, all| all.happened.iter().any(|(_, it)| down(it))).await;
    speaker.told("web", &[]).await;
    assert_eq!(speaker.bgp.audience(&mk_key("web")).untold, [PeerName::from("r1")].into());
}

#[tokio::test]
async fn the_words_of_a_router_are_told() {
    let (mut speaker, _router, mut caller) = mk_session().await;
    caller.say(3, b"\x06\x02\x0Bmaintenance").await;
    let all = speaker
        .until(|_, all| all.happened.iter().any(|(_, it)| matches!(it, Happening::Down { .. })))
        .await;
    let Some((_, Happening::Down { why, .. })) = all.happened.last() else { panic!("{all:?}") };
    assert!(why.contains("maintenance"), "{why}");
    let text = encode(&speaker.registry).unwrap();
    assert!(text.contains("notifications_received{") && text.contains("code=\"6/2\""), "{text}");
}

#[tokio::test]
async fn a_router_that_refuses_is_told_about_once() {
    let mut speaker = Speaker::new();
    let address = Router::new().await.address();
    speaker.peers(&[with(mk_peer("r1", address), "connectTime", "1s")]);
    let all = speaker.until(|_, all| !all.happened.is_empty()).await;
    let [(_, Happening::Down { was_up: false, why })] = all.happened.as_slice() else {
        panic!("{all:?}")
    };
    assert!(why.contains("refused"), "{why}");
    let attempts = |registry: &Registry| {
        let text = encode(registry).unwrap();
        text.contains("last_down{") && text.contains("reason=\"connectFailed\"")
    };
    assert!(attempts(&speaker.registry));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(speaker.bgp.take(speaker.bgp.news.take()).happened, []);
}

#[tokio::test]
async fn who_leaves_asks_to_be_avoided_then_withdraws_then_says_goodbye() {
    let (speaker, _router, mut caller) = mk_session().await;
    let leaving = tokio::spawn(speaker.bgp.leave(GRACE, false, "node goes down"));
    // RFC 8326 3: GRACEFUL_SHUTDOWN, beside what was there.
    caller.until(|it| it.routes.values().any(|it| it.contains(&0xFFFF_0000))).await;
    caller.until(|it| it.routes.is_empty()).await;
    assert_eq!(caller.end().await, Said::Notification(6, 2, "node goes down".to_owned()));
    drop(caller);
    timeout(PATIENCE, leaving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_restart_leaves_routes_with_a_router_that_keeps_them() {
    let (mut speaker, router) = (Speaker::new(), Router::new().await);
    speaker.routes("web", &[("198.51.100.1/32", 1)]);
    let peer = with(mk_peer("r1", router.address()), "enableGracefulRestart", true);
    speaker.peers(&[peer]);
    let mut caller = router.establish_with(&[64, 6, 0, 120, 0, 1, 1, 0]).await;
    caller.until(|it| it.end_of_rib).await;
    speaker.told("web", &["r1"]).await;
    assert!(speaker.bgp.may_restart());
    let leaving = tokio::spawn(speaker.bgp.leave(GRACE, true, "speaker restarts"));
    // Neither a withdrawal nor a word.
    assert_eq!(caller.end().await, Said::Nothing);
    assert_eq!(caller.routes.len(), 1);
    drop(caller);
    timeout(PATIENCE, leaving).await.unwrap().unwrap();
}

#[tokio::test]
async fn nobody_waits_for_a_router_that_does_not_answer() {
    let (mut speaker, router) = (Speaker::new(), Router::new().await);
    speaker.peers(&[mk_peer("r1", router.address())]);
    let caller = router.accept().await;
    timeout(PATIENCE, speaker.bgp.leave(GRACE, false, "")).await.unwrap();
    drop(caller);
}

#[tokio::test]
async fn a_task_that_dies_begins_anew_with_everything() {
    let (mut speaker, router, caller) = mk_session().await;
    let running = &speaker.bgp.peers[&PeerName::from("r1")];
    let life = running.life;
    running.task.abort();
    speaker.bgp.news.reporter(life).died();
    speaker.until(|bgp, _| bgp.peers[&PeerName::from("r1")].life != life).await;
    drop(caller);
    let mut caller = router.establish().await;
    caller.until(|it| it.end_of_rib).await;
    assert_eq!(caller.routes.len(), 1);
    speaker.told("web", &["r1"]).await;
}
