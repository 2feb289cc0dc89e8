//! What a controller is started with.

use std::path::PathBuf;

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
    /// Which Services are ours, and what is written about them.
    pub options: Options,
    /// Port of the metrics server, 0 for none.
    pub metrics_port: u16,
    /// Port of the probes.
    pub health_port: u16,
}
