//! Who may scrape: the API server is asked who a token belongs to (`TokenReview`) and whether that
//! user may do this (`SubjectAccessReview` on the path). Answers are remembered for a while, so a
//! scrape costs nothing.
//!
//! Not here: who may read and write objects, which the API server decides itself.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use ring::digest::{SHA256, digest};
use tokio::time::{Instant, timeout};

use crate::trouble::Trouble;

/// How long it is remembered who a token belongs to, and that it belongs to nobody.
const AUTHENTICATED: Duration = Duration::from_mins(1);
/// How long a permission is remembered.
const ALLOWED: Duration = Duration::from_mins(5);
/// How long a refusal is remembered.
const DENIED: Duration = Duration::from_secs(30);
/// Time for one question.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Answers remembered of each kind.
const REMEMBERED: usize = 1024;
/// No token is longer.
const LONGEST_TOKEN: usize = 16 * 1024;

/// A token, as far as it is remembered.
type Token = [u8; 32];

/// Asks the API server, and remembers.
pub struct Access {
    client: Client,
    users: Mutex<Memory<Token, Option<UserInfo>>>,
    permissions: Mutex<Memory<(Token, Method, String), bool>>,
}

/// A bounded memory whose entries end.
struct Memory<K, V> {
    entries: HashMap<K, (V, Instant)>,
}

impl Access {
    /// Nothing remembered yet.
    pub fn new(client: Client) -> Self {
        let (users, permissions) = (Memory::new(), Memory::new());
        Self { client, users: Mutex::new(users), permissions: Mutex::new(permissions) }
    }

    /// Whether a request with these properties may pass; the status to answer with if not.
    pub async fn check(
        &self,
        authorization: Option<&str>,
        method: &Method,
        path: &str,
    ) -> Result<(), StatusCode> {
        let text = authorization.and_then(bearer).ok_or(StatusCode::UNAUTHORIZED)?;
        let mut token = Token::default();
        token.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        let user = self.user(text, token).await.map_err(|trouble| unanswered(&trouble))?;
        let user = user.ok_or(StatusCode::UNAUTHORIZED)?;
        let key = (token, method.clone(), path.to_owned());
        let known = self.permissions.lock().recall(&key);
        let may = if let Some(may) = known {
            may
        } else {
            let may = self.ask_permission(user, method, path).await;
            let may = may.map_err(|trouble| unanswered(&trouble))?;
            let span = if may { ALLOWED } else { DENIED };
            self.permissions.lock().remember(key, may, span);
            may
        };
        if may { Ok(()) } else { Err(StatusCode::FORBIDDEN) }
    }

    async fn user(&self, text: &str, token: Token) -> Result<Option<UserInfo>, Trouble> {
        if let Some(user) = self.users.lock().recall(&token) {
            return Ok(user);
        }
        let review = TokenReview {
            spec: TokenReviewSpec { token: text.to_owned(), audiences: None },
            ..TokenReview::default()
        };
        let review = self.ask(&review).await?;
        let status = review.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true));
        self.users.lock().remember(token, user.clone(), AUTHENTICATED);
        Ok(user)
    }

    async fn ask_permission(
        &self,
        user: UserInfo,
        method: &Method,
        path: &str,
    ) -> Result<bool, Trouble> {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                extra: user.extra,
                groups: user.groups,
                uid: user.uid,
                user: user.username,
                non_resource_attributes: Some(NonResourceAttributes {
                    path: Some(path.to_owned()),
                    verb: Some(method.as_str().to_lowercase()),
                }),
                resource_attributes: None,
            },
            ..SubjectAccessReview::default()
        };
        let review = self.ask(&review).await?;
        Ok(review.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }

    async fn ask<K>(&self, review: &K) -> Result<K, Trouble>
    where
        K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug,
        K: serde::Serialize + serde::de::DeserializeOwned,
    {
        let api = Api::<K>::all(self.client.clone());
        match timeout(TIMEOUT, api.create(&PostParams::default(), review)).await {
            Ok(Ok(review)) => Ok(review),
            Ok(Err(error)) => Err(error.into()),
            Err(elapsed) => Err(elapsed.into()),
        }
    }
}

/// Lets a request through, or answers in its place.
pub(crate) async fn guard(
    State(access): State<std::sync::Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.and_then(|value| value.to_str().ok());
    match access.check(authorization, request.method(), request.uri().path()).await {
        Ok(()) => next.run(request).await,
        Err(code) => (code, code.canonical_reason().unwrap_or_default()).into_response(),
    }
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    let token = token.trim();
    let is_one = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty();
    (is_one && token.len() <= LONGEST_TOKEN).then_some(token)
}

fn unanswered(trouble: &Trouble) -> StatusCode {
    tracing::warn!(op = "authenticate", ?trouble, "cannot ask the API server who may scrape");
    StatusCode::INTERNAL_SERVER_ERROR
}

impl<K: Eq + Hash, V: Clone> Memory<K, V> {
    fn new() -> Self {
        Self { entries: HashMap::new() }
    }

    fn recall(&self, key: &K) -> Option<V> {
        let (value, until) = self.entries.get(key)?;
        (Instant::now() < *until).then(|| value.clone())
    }

    /// What has ended makes room first; when all of it still holds, all is forgotten: asking again
    /// is cheaper than keeping an order.
    fn remember(&mut self, key: K, value: V, span: Duration) {
        let now = Instant::now();
        if self.entries.len() >= REMEMBERED {
            self.entries.retain(|_, (_, until)| now < *until);
        }
        if self.entries.len() >= REMEMBERED {
            self.entries.clear();
        }
        self.entries.insert(key, (value, now + span));
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Access")
    }
}

#[cfg(test)]
mod tests;
