//! The controller process: its signals, its ports, and what turns between them.

use std::sync::Arc;
use std::time::Duration;

use ferrolb_kube_rt::admin::{MetricsSettings, everywhere};
use ferrolb_kube_rt::certs::{self, Keeper};
use ferrolb_kube_rt::clock::WallClock;
use ferrolb_kube_rt::configuration_state::{self, Reporter};
use ferrolb_kube_rt::election::{self, Election, Leadership};
use ferrolb_kube_rt::metrics::{ProcessFacts, Registry, WebhookMetrics, register_process};
use ferrolb_kube_rt::probes::Probes;
use ferrolb_kube_rt::tls::{IdentityError, ServerIdentity};
use ferrolb_kube_rt::{admin, client, secrets, shutdown, webhook};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admission::{Admission, routes};
use crate::owner::{Controller, Duties};
use crate::settings::{Memberlist, Mode, Settings};

/// Time between two attempts to make the Secret of speakers.
const SECRET_PAUSE: Duration = Duration::from_secs(10);

/// Label of a `ConfigurationState` that tells what kind of process wrote it, as upstream's.
const COMPONENT_TYPE: &str = "metallb.io/component-type";
/// Time to find the own Pod.
const POD_PATIENCE: Duration = Duration::from_secs(5);

/// Why the controller could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No way to the API server.
    #[error(transparent)]
    Connect(#[from] client::ConnectError),
    /// A port cannot be opened.
    #[error(transparent)]
    Admin(#[from] admin::AdminError),
    /// Metrics cannot be served.
    #[error(transparent)]
    Metrics(#[from] admin::SecureError),
    /// Webhooks cannot be served.
    #[error(transparent)]
    Webhooks(#[from] webhook::ServeError),
    /// A certificate cannot be used.
    #[error("certificate: {0}")]
    Certificate(#[from] IdentityError),
    /// Signals cannot be caught.
    #[error("cannot listen for signals: {0}")]
    Signals(#[from] std::io::Error),
}

/// Runs a controller until it is asked to stop.
pub async fn run(settings: Settings) -> Result<(), Error> {
    client::install_crypto();
    let stop = shutdown::Signal::listen()?.token();
    let client = client::connect(settings.kubeconfig.as_deref()).await?;
    let mut registry = Registry::default();
    register_process(&mut registry, ProcessFacts::read);
    let probes = Probes::new();
    let class = settings.options.class.as_deref().unwrap_or_default();
    info!(namespace = settings.namespace, class, mode = ?settings.mode, "controller started");

    let leads = settings.mode != Mode::Webhooks;
    let leadership = leads.then(|| {
        let election =
            election::Settings::new(settings.namespace.clone(), settings.identity.clone());
        Election::new(client.clone(), election).spawn(stop.clone())
    });
    let reporter = match &leadership {
        Some(leadership) => Some(report(&settings, &client, leadership.clone(), &stop).await),
        None => None,
    };
    let controller = leads.then(|| {
        let duties = Duties {
            namespace: settings.namespace.as_str().into(),
            options: settings.options.clone(),
            leadership: leadership.clone(),
            reporter,
            clock: WallClock::system(),
        };
        Controller::start(client.clone(), duties, &mut registry, &probes)
    });
    let admission = if settings.mode == Mode::Addresses {
        None
    } else {
        let metrics = WebhookMetrics::register(&mut registry);
        let admission = Admission::start(&client, &settings.namespace, &probes);
        let identity = identity(&settings, &client, leadership, &probes, &stop)?;
        let shown = identity.clone();
        probes.require("certificate", move || missing(&shown));
        serve_webhooks(&settings, &admission, identity, &metrics, &stop).await?;
        Some(admission)
    };
    let registry = Arc::new(registry);
    let health = everywhere(settings.health_port);
    let _admin = admin::serve(health, None, probes, Arc::clone(&registry), stop.clone()).await?;
    let metrics = MetricsSettings {
        port: settings.metrics_port,
        tls: settings.tls.clone(),
        certificate: settings.metrics_certificate.clone(),
    };
    admin::serve_metrics(metrics, client.clone(), registry, stop.clone()).await?;
    if let Some(memberlist) = settings.memberlist {
        tokio::spawn(make_secret(client, settings.namespace, memberlist));
    }
    match controller {
        Some(controller) => controller.run(stop.cancelled()).await,
        None => stop.cancelled().await,
    }
    drop(admission);
    Ok(())
}

/// The `ConfigurationState` of the controller, owned by its Pod so that it goes with it.
async fn report(
    settings: &Settings,
    client: &Client,
    leadership: Leadership,
    stop: &CancellationToken,
) -> Reporter {
    let pods = Api::<Pod>::namespaced(client.clone(), &settings.namespace);
    let pod = match &settings.pod {
        None => None,
        Some(name) => match timeout(POD_PATIENCE, pods.get(name)).await {
            Ok(Ok(pod)) => pod.metadata.uid.map(|uid| (name.clone(), uid)),
            Ok(Err(error)) => {
                warn!(op = "findOwnPod", name, %error, "the ConfigurationState has no owner");
                None
            }
            Err(_) => None,
        },
    };
    let state = configuration_state::Settings {
        namespace: settings.namespace.clone(),
        name: "controller".to_owned(),
        labels: vec![(COMPONENT_TYPE, "controller".to_owned())],
        pod,
        manager: "poolReconciler",
    };
    let may_write = move || leadership.may_write();
    Reporter::spawn(client.clone(), state, WallClock::system(), may_write, stop.clone())
}

/// The certificate of the webhooks, made and kept here or by whoever fills the folder.
fn identity(
    settings: &Settings,
    client: &Client,
    leadership: Option<Leadership>,
    probes: &Probes,
    stop: &CancellationToken,
) -> Result<ServerIdentity, IdentityError> {
    if !settings.webhooks.rotate {
        return ServerIdentity::from_directory(&settings.webhooks.directory, stop.clone());
    }
    let identity = ServerIdentity::empty();
    let names = certs::Settings {
        secret: settings.webhooks.secret.clone(),
        service: settings.webhooks.service.clone(),
        ..certs::Settings::new(settings.namespace.clone())
    };
    let may_write = move || leadership.as_ref().is_none_or(Leadership::may_write);
    let told = probes.check("webhooks", "the API server does not know whom to trust at them yet");
    Keeper::new(client.clone(), names, identity.clone(), told, may_write).spawn(stop.clone());
    Ok(identity)
}

/// A Pod that is not ready is not asked: no review fails for want of a certificate.
fn missing(identity: &ServerIdentity) -> Option<String> {
    (!identity.is_ready()).then(|| "there is no certificate for the webhooks yet".to_owned())
}

async fn serve_webhooks(
    settings: &Settings,
    admission: &Admission,
    identity: ServerIdentity,
    metrics: &WebhookMetrics,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let Some(address) = everywhere(settings.webhooks.port) else { return Ok(()) };
    let routes = routes(&admission.store());
    webhook::serve(address, &settings.tls, identity, routes, metrics, stop.clone()).await?;
    Ok(())
}

/// Tries until the Secret is there.
async fn make_secret(client: Client, namespace: String, memberlist: Memberlist) {
    let Memberlist { secret, deployment } = memberlist;
    let mut said = None;
    loop {
        let made = secrets::ensure_memberlist(client.clone(), &namespace, &secret, &deployment);
        match made.await {
            Ok(secrets::Ensured::Created) => {
                info!(secret, "made the Secret that speakers share");
                return;
            }
            Ok(secrets::Ensured::Exists) => return,
            Err(error) => {
                let text = error.to_string();
                if said.as_ref() != Some(&text) {
                    warn!(op = "memberlistSecret", "{text}; trying again");
                    said = Some(text);
                }
            }
        }
        tokio::time::sleep(SECRET_PAUSE).await;
    }
}
