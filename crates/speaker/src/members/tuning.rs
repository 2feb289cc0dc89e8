//! How often membership speaks and how long it waits: upstream's two sets, or a file that replaces
//! both, with the names of the library's settings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ferrolb_swim_proto::Timing;
use serde::Deserialize;
use tracing::{info, warn};

/// Settings of membership that are not an identity.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Tuning {
    pub(super) timing: Timing,
    pub(super) verify_incoming: bool,
    pub(super) verify_outgoing: bool,
    pub(super) compress: bool,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TuningError {
    /// It exists and cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// Not JSON, or a key or value nobody knows.
    #[error("{path}: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Which key, and where.
        source: serde_json::Error,
    },
    /// A duration below zero.
    #[error("{path}: {key} is negative")]
    Negative {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
    },
}

impl Tuning {
    const LAN: Self =
        Self { timing: Timing::LAN, verify_incoming: true, verify_outgoing: true, compress: true };
    const WAN: Self = Self { timing: Timing::WAN, ..Self::LAN };

    /// What `file` says, if it exists; otherwise the set for wide or local networks.
    pub(crate) fn load(wan: bool, file: &Path) -> Result<Self, TuningError> {
        let content = match std::fs::read(file) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(if wan { Self::WAN } else { Self::LAN });
            }
            Err(source) => return Err(TuningError::Read { path: file.into(), source }),
        };
        let written: Written = serde_json::from_slice(&content)
            .map_err(|source| TuningError::Parse { path: file.into(), source })?;
        let (tuning, missing) =
            written.apply().map_err(|key| TuningError::Negative { path: file.into(), key })?;
        info!(file = %file.display(), wan_ignored = wan, "membership is tuned by a file");
        if !missing.is_empty() {
            let missing = missing.join(",");
            warn!(file = %file.display(), missing, "keys are missing and keep their defaults");
        }
        Ok(tuning)
    }
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Written {
    #[serde(rename = "TCPTimeout")]
    tcp_timeout: Option<kube::core::Duration>,
    indirect_checks: Option<usize>,
    retransmit_mult: Option<u32>,
    suspicion_mult: Option<u32>,
    suspicion_max_timeout_mult: Option<u32>,
    push_pull_interval: Option<kube::core::Duration>,
    probe_interval: Option<kube::core::Duration>,
    probe_timeout: Option<kube::core::Duration>,
    disable_tcp_pings: Option<bool>,
    awareness_max_multiplier: Option<u32>,
    gossip_interval: Option<kube::core::Duration>,
    gossip_nodes: Option<usize>,
    gossip_to_the_dead_time: Option<kube::core::Duration>,
    gossip_verify_incoming: Option<bool>,
    gossip_verify_outgoing: Option<bool>,
    enable_compression: Option<bool>,
    /// Queues are bounded otherwise here.
    handoff_queue_depth: Option<u32>,
    #[serde(rename = "UDPBufferSize")]
    udp_buffer_size: Option<usize>,
    /// Only logs in the library.
    queue_check_interval: Option<kube::core::Duration>,
}

impl Written {
    /// The settings and the keys that are missing; or the key of a negative duration.
    fn apply(self) -> Result<(Tuning, Vec<&'static str>), &'static str> {
        let mut tuning = Tuning::LAN;
        let timing = &mut tuning.timing;
        let mut missing = Vec::new();
        let mut set = Setter { missing: &mut missing };
        set.span(&mut timing.tcp_timeout, self.tcp_timeout, "TCPTimeout")?;
        set.value(&mut timing.indirect_checks, self.indirect_checks, "IndirectChecks");
        set.value(&mut timing.retransmit_mult, self.retransmit_mult, "RetransmitMult");
        set.value(&mut timing.suspicion_mult, self.suspicion_mult, "SuspicionMult");
        set.value(
            &mut timing.suspicion_max_timeout_mult,
            self.suspicion_max_timeout_mult,
            "SuspicionMaxTimeoutMult",
        );
        set.span(&mut timing.push_pull_interval, self.push_pull_interval, "PushPullInterval")?;
        set.span(&mut timing.probe_interval, self.probe_interval, "ProbeInterval")?;
        set.span(&mut timing.probe_timeout, self.probe_timeout, "ProbeTimeout")?;
        set.value(&mut timing.disable_tcp_pings, self.disable_tcp_pings, "DisableTcpPings");
        set.value(
            &mut timing.awareness_max_multiplier,
            self.awareness_max_multiplier,
            "AwarenessMaxMultiplier",
        );
        set.span(&mut timing.gossip_interval, self.gossip_interval, "GossipInterval")?;
        set.value(&mut timing.gossip_nodes, self.gossip_nodes, "GossipNodes");
        let dead = self.gossip_to_the_dead_time;
        set.span(&mut timing.gossip_to_the_dead, dead, "GossipToTheDeadTime")?;
        set.value(&mut timing.udp_buffer_size, self.udp_buffer_size, "UDPBufferSize");
        let (incoming, outgoing) = (self.gossip_verify_incoming, self.gossip_verify_outgoing);
        set.value(&mut tuning.verify_incoming, incoming, "GossipVerifyIncoming");
        set.value(&mut tuning.verify_outgoing, outgoing, "GossipVerifyOutgoing");
        set.value(&mut tuning.compress, self.enable_compression, "EnableCompression");
        set.value(&mut 0, self.handoff_queue_depth, "HandoffQueueDepth");
        set.span(&mut Duration::default(), self.queue_check_interval, "QueueCheckInterval")?;
        Ok((tuning, missing))
    }
}

struct Setter<'a> {
    missing: &'a mut Vec<&'static str>,
}

impl Setter<'_> {
    fn value<T>(&mut self, field: &mut T, value: Option<T>, key: &'static str) {
        match value {
            Some(value) => *field = value,
            None => self.missing.push(key),
        }
    }

    fn span(
        &mut self,
        field: &mut Duration,
        value: Option<kube::core::Duration>,
        key: &'static str,
    ) -> Result<(), &'static str> {
        if value.is_some_and(|value| value.is_negative()) {
            return Err(key);
        }
        self.value(field, value.map(Duration::from), key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const WHOLE: &str = r#"{
        "TCPTimeout": "30s", "IndirectChecks": 2, "RetransmitMult": 5, "SuspicionMult": 7,
        "SuspicionMaxTimeoutMult": 8, "PushPullInterval": "1m30s", "ProbeInterval": "2s",
        "ProbeTimeout": "750ms", "DisableTcpPings": true, "AwarenessMaxMultiplier": 4,
        "GossipInterval": "0.5s", "GossipNodes": 6, "GossipToTheDeadTime": "45s",
        "GossipVerifyIncoming": false, "GossipVerifyOutgoing": false, "EnableCompression": false,
        "HandoffQueueDepth": 9, "UDPBufferSize": 1300, "QueueCheckInterval": "1h"
    }"#;

    fn mk_tuning(content: &str) -> Result<Tuning, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, content).unwrap();
        Tuning::load(true, &file).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_file_the_flag_decides() {
        let nowhere = Path::new("/nonexistent/config.json");
        assert_eq!(Tuning::load(false, nowhere).unwrap(), Tuning::LAN);
        assert_eq!(Tuning::load(true, nowhere).unwrap(), Tuning::WAN);
    }

    #[test]
    fn a_whole_file_sets_everything() {
        let written: Written = serde_json::from_str(WHOLE).unwrap();
        let (tuning, missing) = written.apply().unwrap();
        assert_eq!(missing, [""; 0]);
        assert_eq!(mk_tuning(WHOLE).unwrap(), tuning);
        let timing = Timing {
            tcp_timeout: Duration::from_secs(30),
            indirect_checks: 2,
            retransmit_mult: 5,
            suspicion_mult: 7,
            suspicion_max_timeout_mult: 8,
            push_pull_interval: Duration::from_secs(90),
            probe_interval: Duration::from_secs(2),
            probe_timeout: Duration::from_millis(750),
            disable_tcp_pings: true,
            awareness_max_multiplier: 4,
            gossip_interval: Duration::from_millis(500),
            gossip_nodes: 6,
            gossip_to_the_dead: Duration::from_secs(45),
            udp_buffer_size: 1300,
            ..Timing::LAN
        };
        let off =
            Tuning { timing, verify_incoming: false, verify_outgoing: false, compress: false };
        assert_eq!(tuning, off);
    }

    #[test]
    fn what_is_missing_keeps_the_local_default_and_is_named() {
        let written: Written = serde_json::from_str(r#"{"SuspicionMult": 9}"#).unwrap();
        let (tuning, missing) = written.apply().unwrap();
        let timing = Timing { suspicion_mult: 9, ..Timing::LAN };
        assert_eq!(tuning, Tuning { timing, ..Tuning::LAN });
        assert_eq!(missing.len(), 18);
        assert!(missing.contains(&"GossipVerifyIncoming"));
    }

    #[rstest]
    #[case::unknown(r#"{"ProbeIntervall": "1s"}"#, "unknown field `ProbeIntervall`")]
    #[case::duration(r#"{"ProbeInterval": "1 second"}"#, "config.json: ")]
    #[case::number(r#"{"GossipNodes": -3}"#, "invalid value: integer `-3`")]
    #[case::negative(r#"{"ProbeTimeout": "-1s"}"#, "ProbeTimeout is negative")]
    #[case::syntax("{", "EOF")]
    fn refused(#[case] content: &str, #[case] words: &str) {
        let error = mk_tuning(content).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}
