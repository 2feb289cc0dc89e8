//! A running server, as the one who started it holds it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::{Config, StartError};
use crate::connection::Severable;
use crate::faults::Request;
use crate::server::{Shared, router};

/// A running server. Dropping it ends the server and all connections.
#[derive(Debug)]
pub struct EmbeddedApi {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Mutex<Option<Listening>>,
}

#[derive(Debug)]
struct Listening {
    /// Connections end with it, and then the task.
    alive: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl EmbeddedApi {
    /// Starts a server. The socket is opened by the calling thread, so in its network namespace;
    /// the work is done by the tokio runtime it is called in.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        let shared =
            Shared::new(config).map_err(|refusal| StartError::Definition(refusal.message))?;
        let api =
            Self { address: config.bind, shared: Arc::new(shared), listening: Mutex::new(None) };
        let address = api.listen()?;
        Ok(Self { address, ..api })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig for it.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_at(self.address.ip())
    }

    /// A kubeconfig for clients that reach it under another address.
    pub fn kubeconfig_at(&self, address: IpAddr) -> String {
        let server = SocketAddr::new(address, self.address.port());
        format!(
            "apiVersion: v1\n\
             kind: Config\n\
             clusters:\n\
             - name: embedded\n  cluster:\n    server: http://{server}\n\
             users:\n\
             - name: anyone\n  user: {{}}\n\
             contexts:\n\
             - name: embedded\n  context:\n    cluster: embedded\n    user: anyone\n\
             current-context: embedded\n"
        )
    }

    /// Delays every answer.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.faults.set_latency(latency);
    }

    /// Answers the next `count` writes with `code` and does not do them.
    pub fn fail_writes(&self, count: u32, code: StatusCode) {
        self.shared.faults.fail_writes(count, code);
    }

    /// Refuses a verb on a resource, such as `patch` on `services/status`, as a missing permission.
    pub fn deny(&self, verb: &str, resource: &str) {
        self.shared.faults.deny(verb, resource);
    }

    /// Takes back every [`deny`](Self::deny).
    pub fn allow_all(&self) {
        self.shared.faults.allow_all();
    }

    /// Ends all watches, as a server does now and then.
    pub fn drop_watches(&self) {
        self.shared.faults.drop_watches();
    }

    /// Forgets all changes up to now: a watch from an older revision is told to list again.
    pub fn expire_history(&self) {
        self.shared.store.lock().forget();
    }

    /// Stops listening and ends all connections. The state is kept.
    pub async fn stop(&self) {
        let listening = self.listening.lock().take();
        if let Some(Listening { alive, task }) = listening {
            drop(alive);
            if let Err(error) = task.await {
                tracing::warn!(%error, "the embedded API server ended badly");
            }
        }
    }

    /// Listens again, at the same address, after a [`stop`](Self::stop).
    pub fn resume(&self) -> Result<(), StartError> {
        self.listen().map(drop)
    }

    /// How often what was asked, failed requests included.
    pub fn requests(&self) -> BTreeMap<Request, u64> {
        self.shared.faults.counts()
    }

    /// How often `verb` was asked of `resource`.
    pub fn count(&self, verb: &str, resource: &str) -> u64 {
        let counts = self.requests();
        let wanted = |request: &Request| request.verb == verb && request.resource == resource;
        counts.iter().filter(|(request, _)| wanted(request)).map(|(_, count)| count).sum()
    }

    /// How many writes were asked for, failed ones included.
    pub fn writes(&self) -> u64 {
        let counts = self.requests();
        counts.iter().filter(|(request, _)| request.is_write()).map(|(_, count)| count).sum()
    }

    /// Begins to count anew.
    pub fn reset_counts(&self) {
        self.shared.faults.reset_counts();
    }

    fn listen(&self) -> Result<SocketAddr, StartError> {
        let mut listening = self.listening.lock();
        if listening.is_some() {
            return Ok(self.address);
        }
        let open = || {
            // The standard library opens sockets for listening with SO_REUSEADDR.
            let listener = std::net::TcpListener::bind(self.address)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((tokio::net::TcpListener::from_std(listener)?, address))
        };
        let (listener, address) =
            open().map_err(|error| StartError::Listen { address: self.address, error })?;

        let (alive, mut ended) = watch::channel(());
        let server =
            axum::serve(Severable::new(listener, ended.clone()), router(Arc::clone(&self.shared)));
        let task = tokio::spawn(async move {
            tokio::select! {
                _ = server => {}
                _ = ended.changed() => {}
            }
        });
        *listening = Some(Listening { alive, task });
        Ok(address)
    }
}
