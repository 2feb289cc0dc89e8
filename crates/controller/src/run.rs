//! The controller process: its signals, its ports, and [`Controller`] between them.

use std::sync::Arc;

use ferrolb_kube_rt::clock::WallClock;
use ferrolb_kube_rt::election::{self, Election};
use ferrolb_kube_rt::metrics::{ProcessFacts, Registry, register_process};
use ferrolb_kube_rt::probes::Probes;
use ferrolb_kube_rt::{admin, client, shutdown};
use tracing::info;

use crate::owner::{Controller, Duties};
use crate::settings::Settings;

/// Why the controller could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No way to the API server.
    #[error(transparent)]
    Connect(#[from] client::ConnectError),
    /// A port cannot be opened.
    #[error(transparent)]
    Admin(#[from] admin::AdminError),
    /// Signals cannot be caught.
    #[error("cannot listen for signals: {0}")]
    Signals(#[from] std::io::Error),
}

/// Runs a controller until it is asked to stop.
pub async fn run(settings: Settings) -> Result<(), Error> {
    let Settings { namespace, kubeconfig, identity, options, metrics_port, health_port } = settings;
    client::install_crypto();
    let stop = shutdown::Signal::listen()?.token();
    let client = client::connect(kubeconfig.as_deref()).await?;
    let mut registry = Registry::default();
    register_process(&mut registry, ProcessFacts::read);
    let probes = Probes::new();
    info!(namespace, class = options.class.as_deref().unwrap_or_default(), "controller started");
    let election = election::Settings::new(namespace.clone(), identity);
    let leadership = Election::new(client.clone(), election).spawn(stop.clone());
    let duties = Duties {
        namespace: namespace.into(),
        options,
        leadership: Some(leadership),
        clock: WallClock::system(),
    };
    let controller = Controller::start(client, duties, &mut registry, &probes);
    let _admin = admin::serve(
        admin::everywhere(health_port),
        admin::everywhere(metrics_port),
        probes,
        Arc::new(registry),
        stop.clone(),
    )
    .await?;
    controller.run(stop.cancelled()).await;
    Ok(())
}
