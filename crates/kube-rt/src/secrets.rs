//! The Secret with which speakers keep their talk to themselves.

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::trouble::Trouble;

/// Entry of the Secret.
const KEY: &str = "secretkey";
/// Random bytes behind it: 128 bits.
const LENGTH: usize = 16;

/// The Secret is not there and could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The API server does not let us.
    #[error("cannot {verb} {what}: {why}")]
    Api {
        /// `get` or `create`.
        verb: &'static str,
        /// Kind and name.
        what: String,
        /// What it says.
        why: String,
    },
    /// The kernel gives no random bytes.
    #[error("no random bytes for the memberlist Secret")]
    Random,
}

/// What was found or done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ensured {
    /// It exists; it is never touched.
    Exists,
    /// It was made.
    Created,
}

/// Makes the Secret `name` in `namespace` if it does not exist, owned by `deployment` so that it
/// goes with the installation. Upstream's speakers read the same entry.
pub async fn ensure_memberlist(
    client: Client,
    namespace: &str,
    name: &str,
    deployment: &str,
) -> Result<Ensured, SecretError> {
    let failed = |verb, what: String| {
        move |error: kube::Error| SecretError::Api { verb, what, why: error.to_string() }
    };
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let of_secret = || format!("Secret {namespace}/{name}");
    match secrets.get(name).await {
        Ok(_) => return Ok(Ensured::Exists),
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(failed("get", of_secret())(error)),
    }
    let deployments = Api::<Deployment>::namespaced(client, namespace);
    let owner = deployments
        .get(deployment)
        .await
        .map_err(failed("get", format!("Deployment {namespace}/{deployment}")))?;
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            owner_references: Some(vec![OwnerReference {
                api_version: "apps/v1".to_owned(),
                kind: "Deployment".to_owned(),
                name: deployment.to_owned(),
                uid: owner.metadata.uid.unwrap_or_default(),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        data: Some([(KEY.to_owned(), ByteString(random_text()?.into_bytes()))].into()),
        ..Secret::default()
    };
    match secrets.create(&PostParams::default(), &secret).await {
        Ok(_) => Ok(Ensured::Created),
        Err(error) => match Trouble::from(error) {
            // Another replica was faster: its key is as good.
            Trouble::Conflict => Ok(Ensured::Exists),
            trouble => Err(SecretError::Api {
                verb: "create",
                what: of_secret(),
                why: format!("{trouble:?}"),
            }),
        },
    }
}

/// Random bytes in base64 without padding, as upstream writes them.
fn random_text() -> Result<String, SecretError> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = [0; LENGTH];
    SystemRandom::new().fill(&mut bytes).map_err(|_| SecretError::Random)?;
    let bits = u128::from_be_bytes(bytes);
    // 128 bits are 21 digits of 6 bits, and one of the last 2 with 4 zeros behind.
    let digit = |n: u32| if n < 21 { bits >> (122 - 6 * n) & 63 } else { bits << 4 & 63 };
    Ok((0..22).map(|n| char::from(ALPHABET[usize::try_from(digit(n)).unwrap_or(0)])).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::script::mk_script;

    #[test]
    fn text_is_22_digits_and_never_the_same() {
        let texts: std::collections::BTreeSet<_> =
            (0..64).map(|_| random_text().unwrap()).collect();
        assert_eq!(texts.len(), 64);
        assert!(texts.iter().all(|text| text.len() == 22));
        // The last digit carries 2 bits: padding decoders accept nothing else.
        assert!(texts.iter().all(|text| text.ends_with(['A', 'Q', 'g', 'w'])));
    }

    #[tokio::test(start_paused = true)]
    async fn secret_that_exists_is_left_alone() {
        let (client, mut script) = mk_script();
        let ensured = tokio::spawn(async move {
            ensure_memberlist(client, "ns", "memberlist", "controller").await
        });
        let call = script.next().await;
        assert_eq!(call.line(), "GET /api/v1/namespaces/ns/secrets/memberlist");
        call.ok(&json!({ "metadata": { "name": "memberlist" }, "data": {} }));
        assert_eq!(ensured.await.unwrap().unwrap(), Ensured::Exists);
    }

    #[tokio::test(start_paused = true)]
    async fn missing_secret_is_made_and_owned_by_the_deployment() {
        for (answer, expected) in [(201, Ensured::Created), (409, Ensured::Exists)] {
            let (client, mut script) = mk_script();
            let ensured = tokio::spawn(async move {
                ensure_memberlist(client, "ns", "memberlist", "controller").await
            });
            script.next().await.fail(404, "no such Secret");
            let call = script.next().await;
            assert_eq!(call.line(), "GET /apis/apps/v1/namespaces/ns/deployments/controller");
            call.ok(&json!({ "metadata": { "name": "controller", "uid": "u-1" } }));
            let call = script.next().await;
            assert_eq!(call.line(), "POST /api/v1/namespaces/ns/secrets");
            assert_eq!(
                call.body["metadata"]["ownerReferences"],
                json!([{
                    "apiVersion": "apps/v1", "kind": "Deployment",
                    "name": "controller", "uid": "u-1",
                }])
            );
            // base64 of 22 bytes.
            assert_eq!(call.body["data"]["secretkey"].as_str().unwrap().len(), 32);
            if answer == 409 {
                call.fail(409, "exists");
            } else {
                let made = call.body.clone();
                call.ok(&made);
            }
            assert_eq!(ensured.await.unwrap().unwrap(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_missing_is_named() {
        let (client, mut script) = mk_script();
        let ensured = tokio::spawn(async move {
            ensure_memberlist(client, "ns", "memberlist", "controller").await
        });
        script.next().await.fail(404, "no such Secret");
        script.next().await.fail(403, "no rule");
        let error = ensured.await.unwrap().unwrap_err().to_string();
        assert!(error.starts_with("cannot get Deployment ns/controller"), "{error}");
    }
}
