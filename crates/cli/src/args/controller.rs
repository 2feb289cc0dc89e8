//! `ferrolb controller`.

use ferrolb_controller::{Memberlist, Mode, Options, Settings, Webhooks};
use ferrolb_kube_rt::namespace;

use super::shared::{LaterFlag, SharedArgs, go_bool, later};

/// Flags of the controller (upstream's `controller/main.go`).
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct ControllerArgs {
    #[command(flatten)]
    pub(crate) shared: SharedArgs,

    /// Memberlist Secret to create
    #[arg(long, value_name = "NAME", env = "METALLB_ML_SECRET_NAME", default_value = "")]
    pub(crate) ml_secret_name: String,

    /// Own Deployment, owner of that Secret
    #[arg(long, value_name = "NAME", env = "METALLB_DEPLOYMENT", default_value = "")]
    pub(crate) deployment: String,

    /// Leave webhook certificates alone
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub(crate) disable_cert_rotation: bool,

    /// Folder of the webhook certificate, where it is not rotated
    #[arg(long, value_name = "FOLDER", default_value = "/tmp/k8s-webhook-server/serving-certs")]
    pub(crate) cert_dir: String,

    /// Service of the webhook, the host name in its certificate
    #[arg(long, value_name = "NAME", default_value = "metallb-webhook-service")]
    pub(crate) cert_service_name: String,

    /// Secret of the webhook certificate
    #[arg(long, value_name = "NAME", default_value = "metallb-webhook-cert")]
    pub(crate) webhook_secret: String,

    /// enabled, disabled or onlywebhook
    #[arg(long, value_name = "MODE", default_value = "enabled",
          value_parser = clap::builder::PossibleValuesParser::new(["enabled", "disabled", "onlywebhook"]))]
    pub(crate) webhook_mode: String,

    /// Serve webhooks over HTTP/2 too (accepted, without effect: HTTP/1.1 it is)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub(crate) webhook_http2: bool,

    /// Port of the webhook server
    #[arg(long, value_name = "PORT", default_value_t = 9443)]
    pub(crate) webhook_port: u16,

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
        let tls = self.shared.tls()?;
        let metrics_certificate = self.shared.metrics_certificate();
        let shared = self.shared;
        let mode = match self.webhook_mode.as_str() {
            "disabled" => Mode::Addresses,
            "onlywebhook" => Mode::Webhooks,
            _ => Mode::Everything,
        };
        let Self { ml_secret_name, deployment, .. } = self;
        let memberlist = (!ml_secret_name.is_empty())
            .then_some(Memberlist { secret: ml_secret_name, deployment });
        Ok(Settings {
            namespace: namespace::find(shared.namespace.as_deref())?,
            kubeconfig: shared.kubeconfig,
            identity: identity(&shared.pod_name),
            pod: (!shared.pod_name.is_empty()).then(|| shared.pod_name.clone()),
            mode,
            options: Options {
                class: (!shared.lb_class.is_empty()).then(|| shared.lb_class.as_str().into()),
                conditions: self.service_conditions,
                open_unmatched_pools: self.open_unmatched_pools,
            },
            webhooks: Webhooks {
                port: self.webhook_port,
                rotate: !self.disable_cert_rotation,
                directory: self.cert_dir.into(),
                service: self.cert_service_name,
                secret: self.webhook_secret,
            },
            memberlist,
            tls,
            metrics_certificate,
            metrics_port: shared.port,
            health_port: shared.health_probe_port,
        })
    }

    /// Flags that are set and have no effect.
    pub(crate) fn later(&self) -> Vec<LaterFlag> {
        let on = |flag: bool| if flag { "true" } else { "" };
        later(&[
            ("pprof-bind-address", &self.shared.pprof_bind_address),
            ("webhook-http2", on(self.webhook_http2)),
        ])
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
