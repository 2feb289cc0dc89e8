//! `ferrolb controller`.

use ferrolb_controller::{Options, Settings};
use ferrolb_kube_rt::namespace;

use super::shared::{LaterFlag, SharedArgs, go_bool, later};

/// Flags of the controller (upstream's `controller/main.go`).
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ControllerArgs {
    #[command(flatten)]
    pub(crate) shared: SharedArgs,

    /// Memberlist Secret to create (accepted, without effect yet)
    #[arg(long, value_name = "NAME", env = "METALLB_ML_SECRET_NAME", default_value = "")]
    pub(crate) ml_secret_name: String,

    /// Own Deployment, owner of that Secret (accepted, without effect yet)
    #[arg(long, value_name = "NAME", env = "METALLB_DEPLOYMENT", default_value = "")]
    pub(crate) deployment: String,

    /// Leave webhook certificates alone (accepted, without effect yet)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub(crate) disable_cert_rotation: bool,

    /// Folder of the webhook certificate (accepted, without effect yet)
    #[arg(long, value_name = "FOLDER", default_value = "")]
    pub(crate) cert_dir: String,

    /// Service of the webhook, the host name in its certificate (accepted, without effect yet)
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) cert_service_name: String,

    /// Secret of the webhook certificate (accepted, without effect yet)
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) webhook_secret: String,

    /// enabled, disabled or onlywebhook (accepted, without effect yet)
    #[arg(long, value_name = "MODE", default_value = "enabled",
          value_parser = clap::builder::PossibleValuesParser::new(["enabled", "disabled", "onlywebhook"]))]
    pub(crate) webhook_mode: String,

    /// Serve webhooks over HTTP/2 too (accepted, without effect yet)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub(crate) webhook_http2: bool,

    /// Write the conditions metallb.io/Allocated and metallb.io/Announced on Services
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "true", default_missing_value = "true", value_parser = go_bool)]
    pub(crate) service_conditions: bool,

    /// Let every Service ask for a pool whose namespaceSelectors match nothing, as MetalLB does
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub(crate) open_unmatched_pools: bool,
}

impl ControllerArgs {
    /// What the controller is started with.
    pub(crate) fn settings(self) -> anyhow::Result<Settings> {
        let shared = self.shared;
        Ok(Settings {
            namespace: namespace::find(shared.namespace.as_deref())?,
            kubeconfig: shared.kubeconfig,
            identity: identity(&shared.pod_name),
            options: Options {
                class: (!shared.lb_class.is_empty()).then(|| shared.lb_class.as_str().into()),
                conditions: self.service_conditions,
                open_unmatched_pools: self.open_unmatched_pools,
            },
            metrics_port: shared.port,
            health_port: shared.health_probe_port,
        })
    }

    /// Flags that are set and have no effect yet.
    pub(crate) fn later(&self) -> Vec<LaterFlag> {
        let on = |flag: bool| if flag { "true" } else { "" };
        let mode = if self.webhook_mode == "enabled" { "" } else { self.webhook_mode.as_str() };
        let mut flags = self.shared.later();
        flags.extend(later(&[
            ("ml-secret-name", &self.ml_secret_name),
            ("deployment", &self.deployment),
            ("disable-cert-rotation", on(self.disable_cert_rotation)),
            ("cert-dir", &self.cert_dir),
            ("cert-service-name", &self.cert_service_name),
            ("webhook-secret", &self.webhook_secret),
            ("webhook-mode", mode),
            ("webhook-http2", on(self.webhook_http2)),
        ]));
        flags
    }
}

/// Who this process is among several controllers: its Pod, or else host and process.
fn identity(pod: &str) -> String {
    if !pod.is_empty() {
        return pod.to_owned();
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{}", host.trim(), std::process::id())
}
