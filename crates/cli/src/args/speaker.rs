//! `ferrolb speaker`.

use std::net::IpAddr;

use super::shared::{LaterFlag, SharedArgs, go_bool, later, number_or};

/// Upstream's default for a pause that nobody takes here, in milliseconds.
const DEBOUNCE: u32 = 3000;

/// Flags of the speaker (upstream's `speaker/main.go`).
#[expect(clippy::struct_excessive_bools, reason = "independent flags, as upstream has them")]
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SpeakerArgs {
    #[command(flatten)]
    pub(crate) shared: SharedArgs,

    /// Name of the node this speaker runs on
    #[arg(long, value_name = "NAME", env = "METALLB_NODE_NAME", required = true,
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) node_name: String,

    /// Address of the node (accepted, without effect)
    #[arg(long, value_name = "ADDRESS", env = "METALLB_HOST", default_value = "")]
    pub(crate) host: String,

    /// Address for traffic among speakers; empty turns membership off
    #[arg(long, value_name = "ADDRESS", env = "METALLB_ML_BIND_ADDR", default_value = "",
          value_parser = optional_address)]
    pub(crate) ml_bindaddr: OptionalAddress,

    /// Port for traffic among speakers
    #[arg(long, value_name = "PORT", env = "METALLB_ML_BIND_PORT", default_value = "7946",
          value_parser = |text: &str| number_or(text, 1, 7946u16))]
    pub(crate) ml_bindport: u16,

    /// Label selector that finds the speaker Pods
    #[arg(long, value_name = "SELECTOR", env = "METALLB_ML_LABELS", default_value = "")]
    pub(crate) ml_labels: String,

    /// Folder that holds the file `secretkey`
    #[arg(long, value_name = "FOLDER", env = "METALLB_ML_SECRET_KEY_PATH", default_value = "")]
    pub(crate) ml_secret_key_path: String,

    /// Intervals of membership for wide networks
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub(crate) ml_wan_config: bool,

    /// Announce from nodes labelled node.kubernetes.io/exclude-from-external-load-balancers too
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub(crate) ignore_exclude_lb: bool,

    /// Milliseconds between BGP reloads (accepted, without effect: nothing is reloaded)
    #[arg(long, value_name = "MS", env = "METALLB_BGP_DEBOUNCE_TIMEOUT", default_value = "3000",
          value_parser = |text: &str| number_or(text, 1, DEBOUNCE))]
    pub(crate) bgp_debounce_timeout: u32,

    /// Milliseconds for which routers are asked to take other ways before a speaker that stops takes
    /// its routes back
    #[arg(long, value_name = "MS", env = "FERROLB_BGP_DRAIN", default_value_t = 2000,
          value_parser = clap::value_parser!(u32).range(0..=20_000))]
    pub(crate) bgp_drain: u32,

    /// Reach external BGP peers behind routers also without ebgpMultiHop, as upstream's native mode does
    #[arg(long, value_name = "BOOL", env = "FERROLB_BGP_LENIENT_TTL", num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true",
          value_parser = go_bool)]
    pub(crate) bgp_lenient_ttl: bool,

    /// Milliseconds for which a node that was taken for dead, or that lost an interface, is not counted on
    /// after it is back; 0 while upstream's speakers are members
    #[arg(long, value_name = "MS", env = "FERROLB_HOLD_DOWN", default_value_t = 5000,
          value_parser = clap::value_parser!(u32).range(0..=600_000))]
    pub(crate) hold_down: u32,

    /// Give addresses away, successor first, while this node is cordoned; needs heartbeats
    #[arg(long, value_name = "BOOL", env = "FERROLB_YIELD_WHEN_CORDONED", num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true",
          value_parser = go_bool)]
    pub(crate) yield_when_cordoned: bool,

    /// Port of kube-proxy's /healthz (usually 10256): give addresses away while it is not well on this node;
    /// 0 never asks; needs heartbeats
    #[arg(long, value_name = "PORT", env = "FERROLB_KUBE_PROXY_HEALTH_PORT", default_value_t = 0)]
    pub(crate) kube_proxy_health_port: u16,

    /// Milliseconds for which kube-proxy may be unwell before addresses are given away
    #[arg(long, value_name = "MS", env = "FERROLB_KUBE_PROXY_PATIENCE", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(3_000..=600_000))]
    pub(crate) kube_proxy_patience: u32,

    /// How soon silence counts: after 0.5 s, or after 0.12 s, which wants nodes whose speakers are never
    /// short of processor time
    #[arg(long, value_name = "PROFILE", env = "FERROLB_HEARTBEAT_PROFILE", value_enum,
          default_value_t = HeartbeatProfile::Default)]
    pub(crate) heartbeat_profile: HeartbeatProfile,

    /// Folder in which the speaker keeps what it knows, to announce from when it restarts while the API
    /// server is away; empty turns that off
    #[arg(
        long,
        value_name = "FOLDER",
        env = "FERROLB_STATE_FOLDER",
        default_value = "/var/lib/ferrolb"
    )]
    pub(crate) state_folder: String,

    /// What to do about an address that a station outside the cluster answers for
    #[arg(long, value_name = "POLICY", env = "FERROLB_ADDRESS_CONFLICTS", value_enum,
          default_value_t = AddressConflicts::Warn)]
    pub(crate) address_conflicts: AddressConflicts,

    /// Namespace of `FRRConfigurations` (accepted, without effect yet)
    #[arg(long, value_name = "NAME", env = "FRRK8S_NAMESPACE", default_value = "")]
    pub(crate) frrk8s_namespace: String,

    /// Hand passwords on to frr-k8s as references (accepted, without effect yet)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub(crate) frrk8s_secret_passthrough: bool,
}

/// What to do about conflicts of addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum AddressConflicts {
    /// Do not look for them before an address is announced
    Off,
    /// Announce all the same, and say so
    Warn,
    /// Do not begin to announce while somebody else has the address
    Refuse,
}

impl From<AddressConflicts> for ferrolb_speaker::ConflictPolicy {
    fn from(policy: AddressConflicts) -> Self {
        match policy {
            AddressConflicts::Off => Self::Off,
            AddressConflicts::Warn => Self::Warn,
            AddressConflicts::Refuse => Self::Refuse,
        }
    }
}

/// How soon a speaker that is not heard counts as silent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum HeartbeatProfile {
    /// A heartbeat every 100 ms, silent after 500 ms
    Default,
    /// A heartbeat every 30 ms, silent after 120 ms
    Fast,
}

impl From<HeartbeatProfile> for ferrolb_speaker::HeartbeatProfile {
    fn from(profile: HeartbeatProfile) -> Self {
        match profile {
            HeartbeatProfile::Default => Self::Default,
            HeartbeatProfile::Fast => Self::Fast,
        }
    }
}

/// An address, or the empty text that means none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct OptionalAddress(pub(crate) Option<IpAddr>);

fn optional_address(text: &str) -> Result<OptionalAddress, String> {
    if text.is_empty() {
        return Ok(OptionalAddress(None));
    }
    text.parse().map(|ip| OptionalAddress(Some(ip))).map_err(|_| "want an IP address".to_owned())
}

impl SpeakerArgs {
    /// Flags that are set and have no effect yet.
    pub(crate) fn later(&self) -> Vec<LaterFlag> {
        let on = |flag: bool| if flag { "true" } else { "" };
        let debounce = Some(self.bgp_debounce_timeout).filter(|pause| *pause != DEBOUNCE);
        let debounce = debounce.map(|pause| pause.to_string()).unwrap_or_default();
        let mut flags = self.shared.later();
        flags.extend(later(&[
            ("bgp-debounce-timeout", &debounce),
            ("frrk8s-namespace", &self.frrk8s_namespace),
            ("frrk8s-secret-passthrough", on(self.frrk8s_secret_passthrough)),
        ]));
        flags
    }
}
