//! The connection to the API server.
//!
//! The HTTP stack is put together here and not by kube, for two reasons: the sockets need
//! keep-alive, so that a server that vanished without a word is noticed in seconds and not when a
//! watch times out minutes later; and kube's request tracing would log every failed request, while
//! [`watch`](crate::watch) and [`status`](crate::status) say each trouble once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::header::{HeaderValue, InvalidHeaderValue, USER_AGENT};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::Client;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::{Config, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use tower::{BoxError, ServiceExt as _};

/// How long a TCP connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle time of a socket before the first keep-alive probe.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// Time between keep-alive probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Probes without an answer that end a connection.
const KEEPALIVE_RETRIES: u32 = 3;
/// How long sent data may stay unacknowledged.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// What every request carries as `User-Agent`.
const AGENT: &str = concat!("ferrolb/", env!("CARGO_PKG_VERSION"));

/// No client could be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A kubeconfig that was asked for does not work.
    #[error("kubeconfig {path}: {error}")]
    Kubeconfig {
        /// The file, or the list of files in `KUBECONFIG`.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: KubeconfigError,
    },
    /// Nothing says where the API server is.
    #[error(
        "no cluster: neither --kubeconfig nor KUBECONFIG is set, not in a Pod ({in_cluster}), and no kubeconfig at home ({home})"
    )]
    NowhereToConnect {
        /// Why the Pod's own account cannot be used.
        in_cluster: InClusterError,
        /// Why the file at home cannot be used.
        home: KubeconfigError,
    },
    /// The kubeconfig asks for a proxy.
    #[error("proxy {0}: proxies towards the API server are not supported")]
    Proxy(http::Uri),
    /// Certificates or credentials are not usable.
    #[error("credentials: {0}")]
    Credentials(#[from] Box<kube::Error>),
    /// The version of this build is not a legal header value.
    #[error("user agent: {0}")]
    Agent(#[from] InvalidHeaderValue),
}

/// Selects the one crypto provider of this process. Call it first in `main`; calling it again does
/// nothing.
pub fn install_crypto() {
    // The only error is that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client for the cluster that is named by, in this order: `kubeconfig` (flag `--kubeconfig`),
/// the environment's `KUBECONFIG`, the Pod's own service account, `~/.kube/config`.
///
/// Nothing is sent yet: an API server that is away is no error here.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Client, ConnectError> {
    build(config(kubeconfig, std::env::var_os("KUBECONFIG").map(PathBuf::from)).await?)
}

async fn config(flag: Option<&Path>, environment: Option<PathBuf>) -> Result<Config, ConnectError> {
    let options = KubeConfigOptions::default();
    if let Some(path) = flag.filter(|path| !path.as_os_str().is_empty()) {
        let of_path = |error| ConnectError::Kubeconfig { path: path.to_owned(), error };
        let file = Kubeconfig::read_from(path).map_err(of_path)?;
        return Config::from_custom_kubeconfig(file, &options).await.map_err(of_path);
    }
    if let Some(path) = environment.filter(|path| !path.as_os_str().is_empty()) {
        return Config::from_kubeconfig(&options)
            .await
            .map_err(|error| ConnectError::Kubeconfig { path, error });
    }
    match Config::incluster() {
        Ok(config) => Ok(config),
        Err(in_cluster) => Config::from_kubeconfig(&options)
            .await
            .map_err(|home| ConnectError::NowhereToConnect { in_cluster, home }),
    }
}

/// A client for `config`, which callers with a cluster of their own (tests, the lab) bring along.
pub fn build(mut config: Config) -> Result<Client, ConnectError> {
    if let Some(proxy) = config.proxy_url.take() {
        return Err(ConnectError::Proxy(proxy));
    }
    config.headers.push((USER_AGENT, HeaderValue::from_str(AGENT)?));

    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_keepalive(Some(KEEPALIVE_IDLE));
    connector.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    connector.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    connector.set_tcp_user_timeout(Some(USER_TIMEOUT));
    let connector = config.rustls_https_connector_with_connector(connector).map_err(Box::new)?;

    let transport = HyperClient::builder(TokioExecutor::new()).build::<_, Body>(connector);
    let transport = transport.map_err(BoxError::from);
    let extra_headers = config.extra_headers_layer().map_err(Box::new)?;
    let builder =
        ClientBuilder::new(transport, config.default_namespace.clone()).with_layer(&extra_headers);
    let base_uri = config.base_uri_layer();
    Ok(match config.auth_layer().map_err(Box::new)? {
        Some(auth) => builder.with_layer(&auth).with_layer(&base_uri).build(),
        None => builder.with_layer(&base_uri).build(),
    })
}

#[cfg(test)]
mod tests;
