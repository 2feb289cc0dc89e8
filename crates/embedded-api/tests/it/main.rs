//! The server, asked by kube's client and by kubectl.

#![expect(clippy::unwrap_used, reason = "tests")]

mod faults;
mod kubectl;
mod objects;
mod services;
mod watches;

use ferrolb_embedded_api::{Config, EmbeddedApi};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Error};

fn mk_server() -> (EmbeddedApi, Client) {
    let server = EmbeddedApi::start(&Config::default()).unwrap();
    let client = mk_client(&server);
    (server, client)
}

fn mk_client(server: &EmbeddedApi) -> Client {
    Client::try_from(kube::Config::new(server.url().parse().unwrap())).unwrap()
}

fn mk_config_map(name: &str, labels: &[(&str, &str)]) -> ConfigMap {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(labels.collect()),
        ..ObjectMeta::default()
    };
    ConfigMap { metadata, ..ConfigMap::default() }
}

async fn create(api: &Api<ConfigMap>, name: &str, labels: &[(&str, &str)]) -> ConfigMap {
    api.create(&PostParams::default(), &mk_config_map(name, labels)).await.unwrap()
}

/// Code and reason of a refusal.
#[track_caller]
fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> (u16, String) {
    match result {
        Err(Error::Api(status)) => (status.code, status.reason.clone()),
        other => panic!("a refusal expected, not {other:?}"),
    }
}
