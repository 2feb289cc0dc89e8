//! The HTTP endpoints for operators: `/healthz`, `/livez` and `/readyz` on the health port, and
//! `/metrics` on the metrics port.
//!
//! Answers follow Kubernetes: status 200 with `ok`, or 500 with one line per condition; the query
//! `verbose` prints the lines in any case. Probes are plain HTTP; metrics are HTTPS and ask for a
//! token ([`secure_metrics`]).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use kube::Client;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::access::{self, Access};
use crate::metrics::{self, Registry};
use crate::probes::{Line, Probes};
use crate::tls;

/// An endpoint could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {purpose}: {error}")]
pub struct AdminError {
    /// `health probes` or `metrics`.
    pub purpose: &'static str,
    /// The address asked for.
    pub address: SocketAddr,
    /// What the kernel said.
    #[source]
    pub error: io::Error,
}

/// Metrics cannot be served over HTTPS.
#[derive(Debug, thiserror::Error)]
pub enum SecureError {
    /// The port is not to be had.
    #[error(transparent)]
    Listen(#[from] AdminError),
    /// The listener is of no use.
    #[error("cannot serve metrics: {0}")]
    Io(#[from] io::Error),
    /// The TLS options contradict each other.
    #[error("cannot serve metrics: {0}")]
    Tls(#[from] rustls::Error),
    /// There is no certificate to show.
    #[error("cannot serve metrics: {0}")]
    Certificate(#[from] tls::IdentityError),
}

/// The running endpoints; they end with the token given to [`serve`], or when this is dropped.
#[derive(Debug)]
pub struct Admin {
    health: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
    tasks: JoinSet<()>,
}

/// Every address of this host, IPv4 and IPv6. Port 0 means that the endpoint is off.
pub fn everywhere(port: u16) -> Option<SocketAddr> {
    (port != 0).then_some(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port))
}

/// Only 127.0.0.1. Port 0 means that the endpoint is off.
pub fn loopback(port: u16) -> Option<SocketAddr> {
    (port != 0).then_some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
}

/// Opens the endpoints that have an address and serves them until `stop`. Both ports are open when
/// this returns. A host without IPv6 serves `[::]` as `0.0.0.0`.
pub async fn serve(
    health: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
    probes: Probes,
    registry: Arc<Registry>,
    stop: CancellationToken,
) -> Result<Admin, AdminError> {
    let mut admin = Admin { health: None, metrics: None, tasks: JoinSet::new() };
    if let Some(address) = health {
        let listener = bind("health probes", address).await?;
        admin.health = listener.local_addr().ok();
        admin.spawn(listener, health_routes(probes), stop.clone());
    }
    if let Some(address) = metrics {
        let listener = bind("metrics", address).await?;
        admin.metrics = listener.local_addr().ok();
        admin.spawn(listener, metrics_routes(registry), stop);
    }
    Ok(admin)
}

/// What the flags say about metrics.
#[derive(Clone, Debug)]
pub struct MetricsSettings {
    /// Port on every address, 0 for none.
    pub port: u16,
    /// The TLS flags.
    pub tls: tls::Options,
    /// Folder of the certificate; none: one that is signed by nobody.
    pub certificate: Option<PathBuf>,
}

/// Serves `/metrics` as the flags say, until `stop`.
pub async fn serve_metrics(
    settings: MetricsSettings,
    client: Client,
    registry: Arc<Registry>,
    stop: CancellationToken,
) -> Result<(), SecureError> {
    let MetricsSettings { port, tls: options, certificate } = settings;
    let Some(address) = everywhere(port) else { return Ok(()) };
    let identity = match &certificate {
        Some(folder) => tls::ServerIdentity::from_directory_or_self_signed(folder, stop.clone())?,
        None => tls::ServerIdentity::self_signed()?,
    };
    let access = Arc::new(Access::new(client));
    let metrics = SecureMetrics { address, options, identity, access };
    secure_metrics(metrics, registry, stop).await.map(drop)
}

/// How metrics are served over HTTPS.
#[derive(Debug)]
pub struct SecureMetrics {
    /// Where.
    pub address: SocketAddr,
    /// The TLS flags.
    pub options: tls::Options,
    /// The certificate.
    pub identity: tls::ServerIdentity,
    /// Who may scrape.
    pub access: Arc<Access>,
}

/// Serves `/metrics` over HTTPS until `stop`, to those who may. The port is open when this returns.
pub async fn secure_metrics(
    metrics: SecureMetrics,
    registry: Arc<Registry>,
    stop: CancellationToken,
) -> Result<SocketAddr, SecureError> {
    let SecureMetrics { address, options, identity, access } = metrics;
    let listener = bind("metrics", address).await?;
    let listener = tls::TlsListener::new(listener, options.server(identity)?)?;
    let address = axum::serve::Listener::local_addr(&listener)?;
    let routes = metrics_routes(registry).layer(from_fn_with_state(access, access::guard));
    tokio::spawn(async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(op = "serveMetrics", %error, "endpoint ended");
        }
    });
    Ok(address)
}

impl Admin {
    /// Where the probes are answered.
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.health
    }

    /// Where `/metrics` is answered.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics
    }

    fn spawn(&mut self, listener: TcpListener, routes: Router, stop: CancellationToken) {
        self.tasks.spawn(async move {
            let served =
                axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await;
            if let Err(error) = served {
                tracing::error!(op = "serveAdmin", %error, "endpoint ended");
            }
        });
    }
}

pub(crate) async fn bind(
    purpose: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, AdminError> {
    let bound = TcpListener::bind(address).await;
    let bound = match bound {
        // A kernel without IPv6 refuses the family or the address.
        Err(_) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && !has_ipv6().await => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    };
    bound.map_err(|error| AdminError { purpose, address, error })
}

async fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).await.is_ok()
}

fn health_routes(probes: Probes) -> Router {
    let live = get(|State(probes): State<Probes>, RawQuery(query): RawQuery| async move {
        answer(&probes.liveness(), query.as_deref())
    });
    let ready = get(|State(probes): State<Probes>, RawQuery(query): RawQuery| async move {
        answer(&probes.readiness(), query.as_deref())
    });
    Router::new()
        .route("/healthz", live.clone())
        .route("/livez", live)
        .route("/readyz", ready)
        .with_state(probes)
}

fn metrics_routes(registry: Arc<Registry>) -> Router {
    let scrape = get(|State(registry): State<Arc<Registry>>| async move {
        match metrics::encode(&registry) {
            Ok(page) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    });
    Router::new().route("/metrics", scrape).with_state(registry)
}

fn answer(lines: &[Line], query: Option<&str>) -> Response {
    let well = lines.iter().all(|line| line.missing.is_none());
    let verbose = query.is_some_and(|query| {
        query.split('&').any(|pair| pair.split('=').next() == Some("verbose"))
    });
    if well && !verbose {
        return "ok".into_response();
    }
    let mut page: String = lines
        .iter()
        .map(|line| match &line.missing {
            None => format!("[+]{} ok\n", line.name),
            Some(missing) => format!("[-]{} failed: {missing}\n", line.name),
        })
        .collect();
    page.push_str(if well { "check passed\n" } else { "check failed\n" });
    let status = if well { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    (status, page).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;
    use crate::metrics::ClientMetrics;

    const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    /// Status line, headers and body of one request.
    async fn mk_answer(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn probes_answer_by_what_is_missing() {
        let probes = Probes::new();
        let config = probes.check("config", "waiting for ipaddresspools.metallb.io");
        let members = probes.check("members", "none known");
        let pulse = probes.watchdog("owner");
        let registry = Arc::new(Registry::default());
        let admin =
            serve(Some(ANY), None, probes, registry, CancellationToken::new()).await.unwrap();
        let address = admin.health_address().unwrap();
        assert_eq!(admin.metrics_address(), None);

        let answer = mk_answer(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
        assert!(answer.contains("[-]config failed: waiting for ipaddresspools.metallb.io\n"));
        members.ready();
        let answer = mk_answer(address, "/readyz").await;
        assert!(answer.contains("[-]config") && answer.contains("[+]members ok"), "{answer}");
        // Liveness does not depend on readiness.
        for path in ["/healthz", "/livez"] {
            let answer = mk_answer(address, path).await;
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nok"));
        }
        config.ready();
        assert!(mk_answer(address, "/readyz").await.ends_with("\r\n\r\nok"));
        let answer = mk_answer(address, "/readyz?verbose").await;
        assert!(answer.contains("[+]config ok\n[+]members ok\ncheck passed"), "{answer}");
        drop(pulse);
    }

    #[tokio::test]
    async fn metrics_are_text_0_0_4_without_an_end_mark() {
        let mut registry = Registry::default();
        ClientMetrics::register(&mut registry).updates.inc();
        let admin =
            serve(None, Some(ANY), Probes::new(), Arc::new(registry), CancellationToken::new())
                .await
                .unwrap();
        let answer = mk_answer(admin.metrics_address().unwrap(), "/metrics").await;
        assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8"));
        assert!(answer.contains("\nmetallb_k8s_client_updates_total 1\n"), "{answer}");
        assert!(!answer.contains("# EOF"), "{answer}");
    }

    #[tokio::test]
    async fn metrics_over_https_ask_for_a_token_that_may() {
        let (certificate, key) = tls::tests::mk_pair();
        let identity = tls::ServerIdentity::empty();
        identity.show(certificate.as_bytes(), key.as_bytes()).unwrap();
        let (client, mut script) = crate::script::mk_script();
        let metrics = SecureMetrics {
            address: ANY,
            options: tls::Options::default(),
            identity,
            access: Arc::new(Access::new(client)),
        };
        let mut registry = Registry::default();
        ClientMetrics::register(&mut registry).updates.inc();
        let stop = CancellationToken::new();
        let address = secure_metrics(metrics, Arc::new(registry), stop.clone()).await.unwrap();
        let _stop = stop.drop_guard();
        let ask = |authorization: &'static str| {
            let client = tls::tests::mk_client(&certificate, &[&rustls::version::TLS13]);
            let request = format!(
                "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}\r\n"
            );
            async move { tls::tests::mk_answer(client, address, &request).await.unwrap() }
        };
        assert!(ask("").await.starts_with("HTTP/1.1 401"));
        let answered = tokio::spawn(ask("Authorization: Bearer t\r\n"));
        script.next().await.ok(&serde_json::json!({
            "metadata": {}, "spec": {}, "status": { "authenticated": true, "user": {} },
        }));
        script.next().await.ok(&serde_json::json!({
            "metadata": {}, "spec": {}, "status": { "allowed": true },
        }));
        let answer = answered.await.unwrap();
        assert!(answer.contains("\nmetallb_k8s_client_updates_total 1\n"), "{answer}");
        // Nobody without TLS.
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer).await;
        assert!(read.is_err() || !answer.starts_with(b"HTTP"));
    }

    #[tokio::test]
    async fn everywhere_answers_on_ipv4() {
        let any = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
        let registry = Arc::new(Registry::default());
        let admin = serve(Some(any), None, Probes::new(), registry, CancellationToken::new())
            .await
            .unwrap();
        let port = admin.health_address().unwrap().port();
        assert!(mk_answer((Ipv4Addr::LOCALHOST, port).into(), "/livez").await.ends_with("ok"));
    }

    #[tokio::test]
    async fn port_in_use_names_purpose_and_address() {
        let taken = TcpListener::bind(ANY).await.unwrap();
        let address = taken.local_addr().unwrap();
        let registry = Arc::new(Registry::default());
        let error = serve(None, Some(address), Probes::new(), registry, CancellationToken::new())
            .await
            .unwrap_err();
        assert!(error.to_string().contains(&format!("{address} for metrics")), "{error}");
    }

    #[test]
    fn port_0_means_off() {
        assert_eq!(everywhere(0), None);
        assert_eq!(loopback(0), None);
        assert_eq!(loopback(17472).unwrap().to_string(), "127.0.0.1:17472");
        assert_eq!(everywhere(9120).unwrap().to_string(), "[::]:9120");
    }
}
