//! What a controller is started with.

use std::path::PathBuf;
use std::sync::Arc;

/// Settings of a controller process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of pools and of our own objects.
    pub namespace: String,
    /// Kubeconfig file, if one was named.
    pub kubeconfig: Option<PathBuf>,
    /// Serve only Services of this class; none: Services without a class.
    pub class: Option<Arc<str>>,
    /// Port of the metrics server, 0 for none.
    pub metrics_port: u16,
    /// Port of the probes.
    pub health_port: u16,
}
