//! Questions to a scripted API server, on paused time.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::script::{Script, mk_script};

fn mk_access() -> (std::sync::Arc<Access>, Script) {
    let (client, script) = mk_script();
    (std::sync::Arc::new(Access::new(client)), script)
}

/// Asks in the background for `GET /metrics` with `authorization`.
fn ask(
    access: &std::sync::Arc<Access>,
    authorization: &'static str,
) -> tokio::task::JoinHandle<Result<(), StatusCode>> {
    let access = std::sync::Arc::clone(access);
    tokio::spawn(async move { access.check(Some(authorization), &Method::GET, "/metrics").await })
}

/// Says who the token belongs to.
async fn identify(script: &mut Script, authenticated: bool) {
    let call = script.next().await;
    assert_eq!(call.line(), "POST /apis/authentication.k8s.io/v1/tokenreviews");
    let token = call.body["spec"]["token"].clone();
    call.ok(&json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {},
        "spec": { "token": token },
        "status": {
            "authenticated": authenticated,
            "user": { "username": "prometheus", "uid": "7", "groups": ["scrapers"] },
        },
    }));
}

/// Says whether that user may.
async fn authorize(script: &mut Script, allowed: bool) {
    let call = script.next().await;
    assert_eq!(call.line(), "POST /apis/authorization.k8s.io/v1/subjectaccessreviews");
    assert_eq!(
        call.body["spec"],
        json!({
            "user": "prometheus", "uid": "7", "groups": ["scrapers"],
            "nonResourceAttributes": { "path": "/metrics", "verb": "get" },
        })
    );
    call.ok(&json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
        "spec": {}, "status": { "allowed": allowed },
    }));
}

#[tokio::test(start_paused = true)]
async fn permission_is_remembered_longer_than_the_user() {
    let (access, mut script) = mk_access();
    let asked = ask(&access, "Bearer t");
    identify(&mut script, true).await;
    authorize(&mut script, true).await;
    assert_eq!(asked.await.unwrap(), Ok(()));
    assert_eq!(ask(&access, "bearer t").await.unwrap(), Ok(()), "no question");
    tokio::time::advance(AUTHENTICATED).await;
    let asked = ask(&access, "Bearer t");
    identify(&mut script, true).await;
    assert_eq!(asked.await.unwrap(), Ok(()));
    assert!(script.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn refusal_is_remembered_for_half_a_minute() {
    let (access, mut script) = mk_access();
    let asked = ask(&access, "Bearer t");
    identify(&mut script, true).await;
    authorize(&mut script, false).await;
    assert_eq!(asked.await.unwrap(), Err(StatusCode::FORBIDDEN));
    assert_eq!(ask(&access, "Bearer t").await.unwrap(), Err(StatusCode::FORBIDDEN));
    tokio::time::advance(DENIED).await;
    let asked = ask(&access, "Bearer t");
    authorize(&mut script, true).await;
    assert_eq!(asked.await.unwrap(), Ok(()));
}

#[rstest]
#[case::no_scheme("t")]
#[case::other_scheme("Basic dDp0")]
#[case::empty("Bearer ")]
#[tokio::test(start_paused = true)]
async fn no_token_is_refused_without_a_question(#[case] authorization: &str) {
    let (access, mut script) = mk_access();
    let path = "/metrics";
    let refused = access.check(Some(authorization), &Method::GET, path).await;
    assert_eq!(refused, Err(StatusCode::UNAUTHORIZED));
    assert_eq!(access.check(None, &Method::GET, path).await, Err(StatusCode::UNAUTHORIZED));
    assert!(script.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn token_of_nobody_is_refused_and_a_broken_review_is_our_fault() {
    let (access, mut script) = mk_access();
    let asked = ask(&access, "Bearer unknown");
    identify(&mut script, false).await;
    assert_eq!(asked.await.unwrap(), Err(StatusCode::UNAUTHORIZED));
    let asked = ask(&access, "Bearer t");
    script.next().await.fail(403, "no rule");
    assert_eq!(asked.await.unwrap(), Err(StatusCode::INTERNAL_SERVER_ERROR));
    // Not remembered.
    let asked = ask(&access, "Bearer t");
    identify(&mut script, true).await;
    script.next().await.fail(500, "broken");
    assert_eq!(asked.await.unwrap(), Err(StatusCode::INTERNAL_SERVER_ERROR));
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded() {
    let mut memory = Memory::new();
    for key in 0..10 * REMEMBERED {
        memory.remember(key, (), ALLOWED);
        assert!(memory.entries.len() <= REMEMBERED);
    }
    assert_eq!(memory.recall(&(10 * REMEMBERED - 1)), Some(()));
}
