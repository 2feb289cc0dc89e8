//! What a speaker is started with.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_heartbeat::Timing;
use ferrolb_ipam::NodeName;
use ferrolb_kube_rt::admin::MetricsSettings;

pub use crate::kube_proxy::KubeProxySettings;
pub use crate::vetting::ConflictPolicy;

/// Where upstream's manifests mount the list of interfaces that never answer.
pub const EXCLUDED_INTERFACES_FILE: &str = "/etc/metallb/excludel2.yaml";

/// Where upstream's manifests mount the intervals of membership, if somebody changes them.
pub const MEMBERSHIP_FILE: &str = "/etc/metallb/memberlist/config.json";

/// Settings of a speaker process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of pools, advertisements and our own objects.
    pub namespace: String,
    /// Kubeconfig file, if one was named.
    pub kubeconfig: Option<PathBuf>,
    /// The node this speaker runs on.
    pub node: NodeName,
    /// The own Pod: owner of status objects; empty when unknown.
    pub pod: String,
    /// Serve only Services of this class; none: Services without a class.
    pub class: Option<Arc<str>>,
    /// Announce from nodes with the exclude label too.
    pub ignore_exclude_lb: bool,
    /// How metrics are served.
    pub metrics: MetricsSettings,
    /// Port of the probes, on 127.0.0.1.
    pub health_port: u16,
    /// How speakers find and hear each other.
    pub members: MembersSettings,
    /// File with the interfaces that never answer; it may be missing.
    pub excluded_interfaces: PathBuf,
    /// How long whoever was taken for dead, or lost an interface, is not counted on after it is back.
    pub hold_down: Duration,
    /// Give addresses away while this node is cordoned.
    pub yield_when_cordoned: bool,
    /// Give addresses away while kube-proxy on this node is not well; none: it is not asked.
    pub kube_proxy: Option<KubeProxySettings>,
    /// Folder for what is remembered over a restart of the container; none: nothing is.
    pub state_folder: Option<PathBuf>,
    /// What to do about addresses that somebody else answers for.
    pub conflicts: ConflictPolicy,
    /// How to speak BGP.
    pub bgp: BgpSettings,
}

/// How to speak BGP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BgpSettings {
    /// Who does.
    pub engine: BgpEngine,
    /// How long routers are asked to take other ways before this process takes its routes back.
    pub drain: Duration,
    /// Leave the TTL of external sessions alone, where one hop is configured: upstream's native mode
    /// reached routers behind others that way.
    pub lenient_ttl: bool,
}

/// Who speaks BGP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BgpEngine {
    /// This process.
    Own,
    /// frr-k8s, told by objects that this version does not write.
    FrrK8s,
}

/// How speakers find and hear each other.
#[derive(Clone, Debug)]
pub struct MembersSettings {
    /// Address to bind and to be reached at; none turns membership off.
    pub address: Option<IpAddr>,
    /// UDP and TCP port of all speakers.
    pub port: u16,
    /// Label selector of speaker Pods; empty turns membership off.
    pub labels: String,
    /// Folder with the file `secretkey`; without it membership is in the clear and slow.
    pub secret_folder: Option<PathBuf>,
    /// Upstream's intervals for wide networks instead of those for local ones.
    pub wan: bool,
    /// File that replaces both; it may be missing.
    pub tuning: PathBuf,
    /// How soon silence counts.
    pub heartbeat: HeartbeatProfile,
}

/// How soon a speaker that is not heard counts as silent. Speakers of one cluster may differ: each goes
/// by its own, and one that expects more beats than it gets asks for them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HeartbeatProfile {
    /// After half a second.
    Default,
    /// After an eighth of a second.
    Fast,
}

impl HeartbeatProfile {
    pub(crate) fn timing(self) -> Timing {
        match self {
            Self::Default => Timing::DEFAULT,
            Self::Fast => Timing::FAST,
        }
    }
}
