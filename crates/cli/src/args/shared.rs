//! Flags that controller and speaker share.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use ferrolb_kube_rt::tls;

use super::gostyle::boolean;

/// Flags and environment of both components (upstream's names and defaults).
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SharedArgs {
    /// Port of the metrics server; 0 turns it off
    #[arg(long, value_name = "PORT", default_value_t = 9120)]
    pub(crate) port: u16,

    /// Namespace of FerroLB's own objects; default: the one of the service account
    #[arg(long, value_name = "NAME", env = "METALLB_NAMESPACE")]
    pub(crate) namespace: Option<String>,

    /// Kubeconfig file; default: $KUBECONFIG, the Pod's service account, then ~/.kube/config
    #[arg(long, value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Name of the own Pod
    #[arg(long, value_name = "NAME", env = "METALLB_POD_NAME", default_value = "")]
    pub(crate) pod_name: String,

    /// Least severe log lines to print
    #[arg(long, value_name = "LEVEL", default_value = "info",
          value_parser = PossibleValuesParser::new(["all", "debug", "info", "warn", "error", "none"]))]
    pub(crate) log_level: String,

    /// Port of the health probes
    #[arg(long, value_name = "PORT", default_value_t = 17472)]
    pub(crate) health_probe_port: u16,

    /// Serve only Services of this load balancer class; default: Services without a class
    #[arg(long, value_name = "CLASS", default_value = "")]
    pub(crate) lb_class: String,

    /// BGP engine: native, frr or frr-k8s
    #[arg(long = "bgp-type", value_name = "METALLB_BGP_TYPE", hide = true, env = "METALLB_BGP_TYPE", default_value = "native",
          value_parser = bgp_type)]
    pub(crate) bgp_type: String,

    /// Address of a profiling server (accepted, without effect)
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    pub(crate) pprof_bind_address: String,

    /// Lowest TLS version of metrics and webhooks
    #[arg(long, value_name = "VERSION", default_value = "")]
    pub(crate) tls_min_version: String,

    /// Cipher suites of metrics and webhooks
    #[arg(long, value_name = "LIST", default_value = "")]
    pub(crate) tls_cipher_suites: String,

    /// Curves of metrics and webhooks
    #[arg(long, value_name = "LIST", default_value = "")]
    pub(crate) tls_curve_preferences: String,

    /// Folder of the metrics certificate; default: one signed by nobody
    #[arg(long, value_name = "FOLDER", default_value = "")]
    pub(crate) metrics_cert_dir: String,
}

/// A flag that was set but whose effect arrives with a later version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct LaterFlag {
    /// The flag without dashes.
    pub(crate) flag: &'static str,
    /// What it was set to.
    pub(crate) value: String,
}

/// Collects the flags of `pairs` whose value is not the default (the empty text).
pub(crate) fn later(pairs: &[(&'static str, &str)]) -> Vec<LaterFlag> {
    pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|&(flag, value)| LaterFlag { flag, value: value.to_owned() })
        .collect()
}

impl SharedArgs {
    /// What the TLS flags ask for; what the library lacks is refused by name.
    pub(crate) fn tls(&self) -> Result<tls::Options, tls::OptionsError> {
        let Self { tls_min_version, tls_cipher_suites, tls_curve_preferences, .. } = self;
        tls::Options::parse(tls_min_version, tls_cipher_suites, tls_curve_preferences)
    }

    /// The folder of the metrics certificate, if one was named.
    pub(crate) fn metrics_certificate(&self) -> Option<PathBuf> {
        (!self.metrics_cert_dir.is_empty()).then(|| self.metrics_cert_dir.as_str().into())
    }

    /// Flags of this group that are set and have no effect.
    pub(crate) fn later(&self) -> Vec<LaterFlag> {
        later(&[("pprof-bind-address", &self.pprof_bind_address)])
    }
}

/// An empty text means the default, as an environment variable that is set to nothing does.
fn bgp_type(text: &str) -> Result<String, String> {
    match text {
        "" => Ok("native".to_owned()),
        "native" | "frr" | "frr-k8s" => Ok(text.to_owned()),
        _ => Err("want native, frr or frr-k8s".to_owned()),
    }
}

/// Parses a number of at least `least`; an empty text means `default`, as an environment variable
/// that is set to nothing does.
pub(super) fn number_or<T>(text: &str, least: T, default: T) -> Result<T, String>
where
    T: Copy + std::fmt::Display + std::str::FromStr + PartialOrd,
{
    if text.is_empty() {
        return Ok(default);
    }
    match text.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("want a whole number from {least} on")),
    }
}

/// `value_parser` of a Go boolean.
pub(super) fn go_bool(text: &str) -> Result<bool, String> {
    boolean(text)
}
