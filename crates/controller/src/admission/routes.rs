//! Upstream's paths, and what is answered there.

use std::sync::Arc;
use std::time::Duration;

use ferrolb_api::conversion;
use ferrolb_kube_rt::webhook::{Answer, Request, Routes};
use ferrolb_model::admission::{self, Object, Operation, validate, webhook_path};
use ferrolb_model::config::Kind;
use kube::core::admission as review;
use serde_json::Value;

use super::Store;

/// How far the watches may be behind.
const SECOND_LOOK: Duration = Duration::from_millis(200);

/// All routes; `store` is what exists.
pub fn routes(store: &Arc<Store>) -> Routes {
    let convert = |object: Value, version: &str| {
        conversion::convert(object, version).map_err(|error| error.to_string())
    };
    Kind::ALL.into_iter().fold(Routes::new().convert("/convert", convert), |routes, kind| {
        let store = Arc::clone(store);
        routes.admit(webhook_path(kind), move |request| {
            let store = Arc::clone(&store);
            async move { admit_by_and_by(&store, kind, &request).await }
        })
    })
}

/// Judges a change, and looks again before it is refused: what is in its way may have gone a moment
/// ago (a peer, then the profile it used), and the watch tells it a moment later.
async fn admit_by_and_by(store: &Store, kind: Kind, request: &Request) -> Answer {
    let answer = admit(store, kind, request);
    if answer.allowed {
        return answer;
    }
    tokio::time::sleep(SECOND_LOOK).await;
    admit(store, kind, request)
}

/// Judges one change of an object of `kind`.
pub fn admit(store: &Store, kind: Kind, request: &Request) -> Answer {
    let operation = match request.operation {
        review::Operation::Create => Operation::Create,
        review::Operation::Update => Operation::Update,
        review::Operation::Delete => Operation::Delete,
        // Upstream lets through what it was not registered for.
        review::Operation::Connect => return Answer::from(request),
    };
    let read = |object: &Option<_>| {
        object
            .as_ref()
            .map(|object| serde_json::to_value(object).and_then(|value| Object::read(kind, value)))
            .transpose()
    };
    let (old, new) = match (read(&request.old_object), read(&request.object)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(error), _) | (_, Err(error)) => {
            return refuse(request, 400, "BadRequest", &format!("cannot read the {kind}: {error}"));
        }
    };
    let change = admission::Request {
        kind,
        operation,
        namespace: request.namespace.clone().unwrap_or_default(),
        name: request.name.clone(),
        old,
        new,
    };
    let verdict = store.with_objects(|objects| validate(objects, &change));
    let mut answer = match verdict.denied {
        Some(why) => refuse(request, 403, "Forbidden", &why),
        None => Answer::from(request),
    };
    answer.warnings = (!verdict.warnings.is_empty()).then_some(verdict.warnings);
    answer
}

fn refuse(request: &Request, code: u16, reason: &str, why: &str) -> Answer {
    let mut answer = Answer::from(request).deny(why);
    answer.result.code = code;
    reason.clone_into(&mut answer.result.reason);
    answer
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn mk_request(operation: &str, namespace: &str, addresses: &Value) -> Request {
        serde_json::from_value(json!({
            "uid": "42",
            "kind": { "group": "metallb.io", "version": "v1beta1", "kind": "IPAddressPool" },
            "resource": {
                "group": "metallb.io", "version": "v1beta1", "resource": "ipaddresspools",
            },
            "operation": operation, "namespace": namespace, "name": "lan", "userInfo": {},
            "object": {
                "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
                "metadata": { "name": "lan", "namespace": namespace },
                "spec": { "addresses": addresses },
            },
            "dryRun": false,
        }))
        .unwrap()
    }

    #[rstest]
    #[case::good("CREATE", "metallb-system", json!(["192.0.2.0/24"]), None)]
    #[case::bad_range("CREATE", "metallb-system", json!(["nonsense"]), Some((403, "nonsense")))]
    #[case::elsewhere("CREATE", "default", json!(["192.0.2.0/24"]), Some((403, "metallb-system")))]
    #[case::unreadable("CREATE", "metallb-system", json!(17), Some((400, "IPAddressPool")))]
    #[case::not_asked_for("CONNECT", "default", json!(["nonsense"]), None)]
    fn an_answer_says_why(
        #[case] operation: &str,
        #[case] namespace: &str,
        #[case] addresses: Value,
        #[case] denied: Option<(u16, &str)>,
    ) {
        let store = Store::new("metallb-system");
        let request = mk_request(operation, namespace, &addresses);
        let answer = admit(&store, Kind::IpAddressPool, &request);
        assert_eq!((answer.uid.as_str(), answer.allowed), ("42", denied.is_none()));
        if let Some((code, word)) = denied {
            assert_eq!(answer.result.code, code);
            assert!(answer.result.message.contains(word), "{}", answer.result.message);
        }
    }

    #[test]
    fn a_pool_that_nobody_announces_is_let_in_with_a_warning() {
        let store = Store::new("metallb-system");
        let request = mk_request("CREATE", "metallb-system", &json!(["192.0.2.0/24"]));
        let answer = admit(&store, Kind::IpAddressPool, &request);
        assert!(answer.allowed && answer.warnings.is_some_and(|warnings| !warnings.is_empty()));
    }

    #[tokio::test]
    async fn what_has_just_gone_is_in_nobodys_way() {
        let store = Arc::new(Store::new("metallb-system"));
        let request = mk_request("CREATE", "metallb-system", &json!(["192.0.2.0/24"]));
        let rival = serde_json::from_value(json!({
            "metadata": { "name": "rival" }, "spec": { "addresses": ["192.0.2.0/28"] },
        }));
        let rival = rival.unwrap();
        store.change(|all| drop(all.pools.insert("rival".to_owned(), rival)));
        assert!(!admit(&store, Kind::IpAddressPool, &request).allowed);
        let asked = {
            let store = Arc::clone(&store);
            tokio::spawn(
                async move { admit_by_and_by(&store, Kind::IpAddressPool, &request).await },
            )
        };
        tokio::task::yield_now().await;
        store.change(|all| drop(all.pools.remove("rival")));
        assert!(asked.await.unwrap().allowed);
    }

    #[test]
    fn every_kind_has_its_path() {
        let routes = format!("{:?}", routes(&Arc::new(Store::new("metallb-system"))));
        for path in Kind::ALL.map(webhook_path).into_iter().chain(["/convert"]) {
            assert!(routes.contains(path), "{routes}");
        }
    }
}
