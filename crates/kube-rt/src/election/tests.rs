//! The task against a scripted server, on paused time.

use serde_json::{Value, json};

use super::*;
use crate::clock::SetClock;
use crate::script::{Call, Script, mk_script};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/metallb-system/leases";

fn mk_election() -> (Leadership, Script, CancellationToken) {
    let (client, script) = mk_script();
    let shutdown = CancellationToken::new();
    let election = Election::new(client, Settings::new("metallb-system", "me"));
    (election.spawn(shutdown.clone()), script, shutdown)
}

fn mk_lease(holder: &str, version: &str, stamp: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": "metallb-controller", "resourceVersion": version },
        "spec": { "holderIdentity": holder, "leaseDurationSeconds": 6, "renewTime": stamp },
    })
}

/// Answers a claim as the server does: what was sent, at the next version.
fn accept(call: Call, version: &str) -> Value {
    let mut lease = call.body.clone();
    lease["metadata"]["resourceVersion"] = version.into();
    call.ok(&lease);
    lease
}

/// An election that was won at once.
async fn mk_leader() -> (Leadership, Script, CancellationToken) {
    let (mut leadership, mut script, shutdown) = mk_election();
    script.next().await.fail(404, "no such lease");
    accept(script.next().await, "1");
    assert_eq!(leadership.changed().await, Role::Leading);
    (leadership, script, shutdown)
}

#[tokio::test(start_paused = true)]
async fn first_candidate_creates_the_lease_and_leads() {
    let (mut leadership, mut script, _shutdown) = mk_election();
    assert_eq!(leadership.role(), Role::Following { leader: None });
    let call = script.next().await;
    assert_eq!(call.line(), format!("GET {PATH}/metallb-controller"));
    call.fail(404, "no such lease");
    let call = script.next().await;
    assert_eq!(call.line(), format!("POST {PATH}"));
    assert!(!leadership.may_write());
    let spec = &call.body["spec"];
    assert_eq!(spec["holderIdentity"], "me");
    assert_eq!(spec["leaseDurationSeconds"], 6);
    assert_eq!(spec["acquireTime"], spec["renewTime"]);
    accept(call, "1");
    assert_eq!(leadership.changed().await, Role::Leading);
    assert!(leadership.may_write());
    assert_eq!(leadership.time_to_write(), Some(Duration::from_secs(7)));
}

#[tokio::test(start_paused = true)]
async fn renewal_replaces_on_the_version_read_and_keeps_what_others_wrote() {
    let (_leadership, mut script, _shutdown) = mk_election();
    let mut lease = mk_lease("", "41", "2026-01-01T00:00:00.000000Z");
    lease["metadata"]["annotations"] = json!({ "team": "net" });
    lease["spec"]["leaseTransitions"] = 3.into();
    script.next().await.ok(&lease);
    let call = script.next().await;
    assert_eq!(call.line(), format!("PUT {PATH}/metallb-controller"));
    assert_eq!(call.body["metadata"]["resourceVersion"], "41");
    assert_eq!(call.body["metadata"]["annotations"]["team"], "net");
    assert_eq!(call.body["spec"]["leaseTransitions"], 4);
    let won = accept(call, "42");
    let begun = Instant::now();
    let call = script.next().await;
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    assert_eq!(call.body["metadata"]["resourceVersion"], "42");
    assert_eq!(call.body["spec"]["acquireTime"], won["spec"]["acquireTime"]);
    assert_eq!(call.body["spec"]["leaseTransitions"], 4);
    assert_ne!(call.body["spec"]["renewTime"], won["spec"]["renewTime"]);
}

#[tokio::test(start_paused = true)]
async fn clock_that_stands_still_shows_all_the_same_that_a_lease_was_renewed() {
    let (client, mut script) = mk_script();
    let frozen = WallClock::from_fn(|| Timestamp::from_second(1_800_000_000).unwrap());
    let _leadership = Election::new(client, Settings::new("metallb-system", "me"))
        .with_clock(frozen)
        .spawn(CancellationToken::new());
    script.next().await.fail(404, "no such lease");
    let first = accept(script.next().await, "1");
    let second = accept(script.next().await, "2");
    assert_ne!(first["spec"]["renewTime"], second["spec"]["renewTime"]);
}

#[tokio::test(start_paused = true)]
async fn leader_stays_one_and_renews_on_time_while_its_clock_steps_by_a_day() {
    let (client, mut script) = mk_script();
    let (set, start) = (SetClock::default(), Timestamp::from_second(1_800_000_000).unwrap());
    let mut leadership = Election::new(client, Settings::new("metallb-system", "me"))
        .with_clock(set.clock(start))
        .spawn(CancellationToken::new());
    script.next().await.fail(404, "no such lease");
    let mut last = accept(script.next().await, "1");
    assert_eq!(leadership.changed().await, Role::Leading);
    for days in [1, -1, 0, 1] {
        set.set_days(days);
        let begun = Instant::now();
        let call = script.next().await;
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
        assert_ne!(call.body["spec"]["renewTime"], last["spec"]["renewTime"]);
        assert_eq!(call.body["spec"]["acquireTime"], last["spec"]["acquireTime"]);
        last = accept(call, "1");
        assert!(leadership.may_write());
    }
}

#[tokio::test(start_paused = true)]
async fn follower_whose_clock_steps_by_a_day_takes_no_lease_that_is_renewed() {
    let (client, mut script) = mk_script();
    let (set, start) = (SetClock::default(), Timestamp::from_second(1_800_000_000).unwrap());
    let _leadership = Election::new(client, Settings::new("metallb-system", "me"))
        .with_clock(set.clock(start))
        .spawn(CancellationToken::new());
    for (version, days) in [("1", 0), ("2", 1), ("3", -1), ("4", 1)] {
        set.set_days(days);
        let renewed = Instant::now();
        let mut looks = 0;
        while renewed.elapsed() < Duration::from_secs(2) {
            let call = script.next().await;
            assert_eq!(call.method, http::Method::GET, "a claim after {looks} looks");
            call.ok(&mk_lease("other", version, &format!("2027-01-15T08:00:0{version}.000000Z")));
            looks += 1;
        }
    }
}

/// The server is back, nobody took the lease, and its former holder has it again.
async fn take_back(script: &mut Script) {
    loop {
        let call = script.next().await;
        if call.method == http::Method::PUT {
            accept(call, "2");
            break;
        }
        call.ok(&mk_lease("me", "1", "2026-01-01T00:00:00.000000Z"));
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_of_ten_minutes_there_is_a_leader_again() {
    let (mut leadership, mut script, _shutdown) = mk_leader().await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_mins(10) {
        drop(script.next().await);
    }
    assert!(!leadership.may_write());
    assert_eq!(leadership.changed().await, Role::Following { leader: None });
    let back = Instant::now();
    take_back(&mut script).await;
    assert_eq!(leadership.changed().await, Role::Leading);
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
}

#[tokio::test(start_paused = true)]
async fn outage_ends_the_reign_at_the_deadline_even_while_a_request_hangs() {
    let (mut leadership, mut script, _shutdown) = mk_leader().await;
    let begun = Instant::now();
    let mut held = Vec::new();
    let ended = loop {
        tokio::select! {
            biased;
            role = leadership.changed() => break role,
            call = script.next() => held.push(call),
        }
    };
    assert_eq!(ended, Role::Following { leader: None });
    assert!(!leadership.may_write());
    assert!(begun.elapsed() <= Duration::from_secs(6), "{:?}", begun.elapsed());
    drop(held);
    take_back(&mut script).await;
    assert_eq!(leadership.changed().await, Role::Leading);
}

#[tokio::test(start_paused = true)]
async fn deadline_passes_on_time_while_nothing_else_happens() {
    let (leadership, mut script, _shutdown) = mk_leader().await;
    let renewal = script.next().await;
    tokio::time::advance(Duration::from_millis(3_990)).await;
    assert!(leadership.may_write());
    tokio::time::advance(Duration::from_millis(10)).await;
    assert!(!leadership.may_write());
    assert_eq!(leadership.role(), Role::Following { leader: None });
    drop(renewal);
}

#[tokio::test(start_paused = true)]
async fn other_leader_is_named_and_followed() {
    let (mut leadership, mut script, _shutdown) = mk_election();
    script.next().await.ok(&mk_lease("other", "1", "2026-01-01T00:00:00.000000Z"));
    assert_eq!(leadership.changed().await, Role::Following { leader: Some("other".into()) });
    assert!(!leadership.may_write());
    // It is gone; its lease and its last request are waited out.
    let begun = Instant::now();
    loop {
        let call = script.next().await;
        if call.method == http::Method::PUT {
            accept(call, "2");
            break;
        }
        call.ok(&mk_lease("other", "1", "2026-01-01T00:00:00.000000Z"));
    }
    assert_eq!(begun.elapsed(), Duration::from_secs(7));
    assert_eq!(leadership.changed().await, Role::Leading);
}

#[tokio::test(start_paused = true)]
async fn release_closes_the_gate_and_empties_the_record() {
    let (leadership, mut script, _shutdown) = mk_leader().await;
    let other = leadership.clone();
    let released = tokio::spawn(async move { other.release().await });
    let call = script.next().await;
    assert!(!leadership.may_write(), "closed before anything is sent");
    assert_eq!(call.method, http::Method::GET);
    call.ok(&mk_lease("me", "5", "2026-01-01T00:00:00.000000Z"));
    let call = script.next().await;
    assert_eq!(call.body["metadata"]["resourceVersion"], "5");
    assert_eq!(call.body["spec"].get("holderIdentity"), None);
    accept(call, "6");
    released.await.unwrap();
    assert_eq!(leadership.role(), Role::Following { leader: None });
    assert!(script.is_over().await);
    // Once more does no harm.
    leadership.release().await;
}

#[tokio::test(start_paused = true)]
async fn follower_releases_nothing() {
    let (leadership, mut script, _shutdown) = mk_election();
    script.next().await.ok(&mk_lease("other", "1", "2026-01-01T00:00:00.000000Z"));
    let waiter = leadership.clone();
    let released = tokio::spawn(async move { waiter.release().await });
    let call = script.next().await;
    assert_eq!(call.method, http::Method::GET);
    call.ok(&mk_lease("other", "1", "2026-01-01T00:00:00.000000Z"));
    released.await.unwrap();
    assert!(script.is_over().await);
}

#[tokio::test(start_paused = true)]
async fn after_shutdown_a_lease_is_kept_but_not_renewed() {
    let (leadership, mut script, shutdown) = mk_leader().await;
    shutdown.cancel();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(leadership.may_write(), "what is left can be written");
    assert!(script.is_quiet().await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!leadership.may_write());
}

#[tokio::test(start_paused = true)]
async fn missing_permission_is_said_once_and_means_that_this_process_writes() {
    let lines = crate::logs::tests::mk_capture();
    let (mut leadership, mut script, _shutdown) = mk_election();
    let mut asked = 0;
    let role = loop {
        tokio::select! {
            biased;
            role = leadership.changed() => break role,
            call = script.next() => {
                asked += 1;
                call.fail(403, "no rule");
            }
        }
    };
    let Role::Unelected { why } = role else { panic!("{role:?}") };
    assert!(why.contains("leases.coordination.k8s.io in namespace metallb-system"), "{why}");
    assert!(asked <= 3, "{asked}");
    assert_eq!(leadership.time_to_write(), Some(Duration::MAX));
    let begun = Instant::now();
    for _ in 0..3 {
        script.next().await.fail(403, "no rule");
    }
    assert!(begun.elapsed() >= Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(lines.messages().len(), 1, "{:?}", lines.messages());
}

#[tokio::test(start_paused = true)]
async fn trouble_is_said_once() {
    let lines = crate::logs::tests::mk_capture();
    let (mut leadership, mut script, _shutdown) = mk_election();
    for _ in 0..4 {
        script.next().await.fail(503, "starting");
    }
    script.next().await.fail(404, "no such lease");
    accept(script.next().await, "1");
    leadership.changed().await;
    let said = lines.messages();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].contains("answers 503: starting; trying again"), "{said:?}");
}
