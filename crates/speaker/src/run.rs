//! The speaker process: builds the parts and lets the owner turn.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_api::names;
use ferrolb_heartbeat::Timing;
use ferrolb_kube_rt::events::Recorder;
use ferrolb_kube_rt::metrics::{
    BfdMetrics, BgpMetrics, ClientMetrics, FailoverMetrics, ProcessFacts, RecallMetrics, Registry,
    SpeakerMetrics, register_process,
};
use ferrolb_kube_rt::probes::Probes;
use ferrolb_kube_rt::status::Writer;
use ferrolb_kube_rt::{admin, client, inbox, shutdown};
use ferrolb_model as model;
use tracing::{error, info, warn};

use crate::bgp::{Bgp, Common};
use crate::kube_proxy;
use crate::l2::exclusion::{Exclusion, ExclusionError};
use crate::l2::{Layer2, Layer2Error};
use crate::members::{self, Members, MembersError, SecretError, Setup, Tuning, TuningError};
use crate::memory::{Keeper, Place};
use crate::owner::{BgpParts, Owner, Parts, Recall};
use crate::settings::{BgpEngine, BgpSettings, MembersSettings, Settings};
use crate::standing::Standing;
use crate::topics::{StatusKey, watch_all, watch_bgp};
use crate::vetting::ConflictPolicy;

/// Facts that wait to be taken in; beyond that the watches wait.
const INBOX: usize = 4096;
/// Time for events under way when the process is asked to stop.
const GRACE: Duration = Duration::from_secs(1);

/// Why the speaker could not start.
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
    /// The list of interfaces that never answer cannot be used.
    #[error(transparent)]
    Exclusion(#[from] ExclusionError),
    /// This host does not let us answer.
    #[error(transparent)]
    Layer2(#[from] Layer2Error),
    /// The shared secret cannot be used.
    #[error("memberlist secret: {0}")]
    Secret(#[from] SecretError),
    /// The intervals of membership cannot be used.
    #[error("memberlist configuration: {0}")]
    Tuning(#[from] TuningError),
    /// Membership cannot start.
    #[error(transparent)]
    Members(#[from] MembersError),
    /// A thread could not be started.
    #[error("cannot start the thread that remembers: {0}")]
    Memory(std::io::Error),
    /// Signals cannot be caught.
    #[error("cannot listen for signals: {0}")]
    Signals(#[from] std::io::Error),
}

/// Runs a speaker until it is asked to stop.
pub async fn run(settings: Settings) -> Result<(), Error> {
    let Settings {
        namespace,
        kubeconfig,
        node,
        pod,
        class,
        ignore_exclude_lb,
        metrics: metrics_settings,
        health_port,
        members: members_settings,
        excluded_interfaces,
        hold_down,
        yield_when_cordoned,
        kube_proxy: kube_proxy_settings,
        state_folder,
        conflicts,
        bgp: bgp_settings,
    } = settings;
    client::install_crypto();
    let stop = shutdown::Signal::listen()?.token();
    let exclusion = Exclusion::load(&excluded_interfaces)?;
    let client = client::connect(kubeconfig.as_deref()).await?;
    let mut registry = Registry::default();
    register_process(&mut registry, ProcessFacts::read);
    let client_metrics = ClientMetrics::register(&mut registry);
    let metrics = SpeakerMetrics::register(&mut registry);
    let bgp = start_bgp(bgp_settings, &node, &mut registry);

    let shared = members::Shared::default();
    let failovers = FailoverMetrics::register(&mut registry);
    let witness = shared.witness.clone();
    let layer2 = Layer2::start(exclusion, metrics.clone(), failovers.clone(), witness, random())?;
    let links = Layer2::watch()?;
    let members = start_members(&members_settings, hold_down, &node, failovers, shared.clone())?;
    // Who lives is known by membership only, while the API server is away.
    let state_folder = state_folder.filter(|_| members.is_some());
    let recall =
        start_memory(state_folder.as_deref(), &node, RecallMetrics::register(&mut registry))?;

    let probes = Probes::new();
    let members_known = probes.check("members", "waiting for the other speakers");
    if members.is_none() {
        members_known.ready();
    }
    let (post, inbox) = inbox(INBOX);
    let labels = Some(members_settings.labels.as_str()).filter(|labels| !labels.is_empty());
    let refuses = conflicts == ConflictPolicy::Refuse;
    let watches = watch_all(&client, &namespace, labels, &pod, refuses, &client_metrics, &post);
    let _bgp_watches =
        bgp.is_some().then(|| watch_bgp(&client, &namespace, &node, &client_metrics, &post));
    for (name, watch) in &watches.required {
        let state = watch.state();
        probes.require(*name, move || state.missing());
    }
    let pulse = probes.watchdog("announcement");
    let registry = Arc::new(registry);
    let health = admin::loopback(health_port);
    let _admin = admin::serve(health, None, probes, Arc::clone(&registry), stop.clone()).await?;
    admin::serve_metrics(metrics_settings, client.clone(), registry, stop.clone()).await?;
    info!(node = node.as_str(), namespace, membership = members.is_some(), "speaker started");

    if let Some(settings) = kube_proxy_settings {
        tokio::spawn(kube_proxy::follow(settings, post.clone()));
    }
    let standing = Standing::new(client.clone(), &namespace, &node, stop.clone());
    let owner = Owner::new(Parts {
        snapshot: model::Settings { own: node.clone(), class, ignore_exclude_lb },
        node,
        pod,
        namespace,
        layer2,
        conflicts,
        hold_down,
        yield_when_cordoned,
        links,
        bgp: bgp.map(|bgp| BgpParts { bgp, client: client.clone(), drain: bgp_settings.drain }),
        members,
        members_port: members_settings.port,
        members_known,
        shared,
        writer: Writer::new(client.clone(), post.clone(), StatusKey::report),
        post,
        recorder: Recorder::new(client, names::SPEAKER),
        metrics,
        client_metrics,
        standing,
        recall,
        missing: watches.required.iter().map(|(name, _)| *name).collect(),
        pulse,
    });
    let recorder = Box::pin(owner.turn(inbox, stop.cancelled())).await;
    info!("stopping");
    recorder.finish(GRACE).await;
    Ok(())
}

/// Makes BGP ready to begin, unless something else is to speak it.
fn start_bgp(
    settings: BgpSettings,
    node: &ferrolb_ipam::NodeName,
    registry: &mut Registry,
) -> Option<Bgp> {
    if settings.engine == BgpEngine::FrrK8s {
        error!(
            op = "startBGP",
            "METALLB_BGP_TYPE is frr-k8s, for which this version writes no FRRConfiguration: \
             nothing is announced by BGP. Layer 2 goes on. Set it to native for the engine in here"
        );
        return None;
    }
    let common = Common { node: node.as_str().into(), lenient_ttl: settings.lenient_ttl };
    let (bgp, bfd) = (BgpMetrics::register(registry), BfdMetrics::register(registry));
    Some(Bgp::new(common, bgp, bfd, random()))
}

/// Recalls what was known last, and keeps what is known from now on, if there is a folder for it.
fn start_memory(
    folder: Option<&Path>,
    node: &ferrolb_ipam::NodeName,
    metrics: RecallMetrics,
) -> Result<Recall, Error> {
    let place = folder.and_then(|folder| Place::find(folder, node));
    let memory = place.as_ref().and_then(Place::recall);
    let keeper = place.map(Keeper::start).transpose().map_err(Error::Memory)?;
    Ok(Recall::new(memory, keeper, metrics))
}

/// Starts membership, unless it is switched off.
fn start_members(
    settings: &MembersSettings,
    hold_down: Duration,
    node: &ferrolb_ipam::NodeName,
    metrics: FailoverMetrics,
    shared: members::Shared,
) -> Result<Option<Members>, Error> {
    let Some(address) = settings.address.filter(|_| !settings.labels.is_empty()) else {
        info!(
            "membership is off (--ml-bindaddr or --ml-labels is empty): every node counts that the \
             control plane has not lost"
        );
        return Ok(None);
    };
    let secret = match members::load(settings.secret_folder.as_deref()) {
        Ok(secret) => Some(secret),
        Err(error) if error.is_absence() => {
            warn!(
                %error,
                "there is no memberlist secret: membership is not encrypted, anybody can join, and \
                 heartbeats are off, so that a death is noticed after seconds"
            );
            None
        }
        Err(error) => return Err(error.into()),
    };
    let setup = Setup {
        node: node.clone(),
        address: SocketAddr::new(address, settings.port),
        secret,
        tuning: Tuning::load(settings.wan, &settings.tuning)?,
        timing: Timing { hold_down, ..settings.heartbeat.timing() },
        seeds: [random(), random()],
        metrics,
    };
    Ok(Some(Members::start(setup, shared)?))
}

/// A number that no two lives of this process share.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
