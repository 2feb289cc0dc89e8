//! What a controller is started with.

use std::path::PathBuf;

use ferrolb_kube_rt::tls;

use crate::ledger::Options;

/// Settings of a controller process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of pools and of our own objects.
    pub namespace: String,
    /// Kubeconfig file, if one was named.
    pub kubeconfig: Option<PathBuf>,
    /// Who this process is among several controllers; unique.
    pub identity: String,
    /// The own Pod, if its name is known.
    pub pod: Option<String>,
    /// What the process does.
    pub mode: Mode,
    /// Which Services are ours, and what is written about them.
    pub options: Options,
    /// How webhooks are served.
    pub webhooks: Webhooks,
    /// The Secret of speakers to make if it is not there, and the Deployment that owns it.
    pub memberlist: Option<Memberlist>,
    /// TLS of webhooks and metrics.
    pub tls: tls::Options,
    /// Folder of the certificate for metrics; none: one that is signed by nobody.
    pub metrics_certificate: Option<PathBuf>,
    /// Port of the metrics server, 0 for none.
    pub metrics_port: u16,
    /// Port of the probes.
    pub health_port: u16,
}

/// What a process does (`--webhook-mode`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// Gives addresses and serves webhooks.
    #[default]
    Everything,
    /// Gives addresses only.
    Addresses,
    /// Serves webhooks only.
    Webhooks,
}

/// How webhooks are served.
#[derive(Clone, Debug)]
pub struct Webhooks {
    /// Port of the server.
    pub port: u16,
    /// Make, keep and announce the certificate.
    pub rotate: bool,
    /// Folder of the certificate, if it is not ours to make.
    pub directory: PathBuf,
    /// Service whose name the certificate bears.
    pub service: String,
    /// Secret that keeps the certificate.
    pub secret: String,
}

/// The Secret that speakers share.
#[derive(Clone, Debug)]
pub struct Memberlist {
    /// Its name.
    pub secret: String,
    /// The Deployment it goes with.
    pub deployment: String,
}
