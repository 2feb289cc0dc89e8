//! What goes wrong in a round of the soak, and how it is put right again.

use std::fmt;
use std::time::Duration;

use ferrolb_addr::Mac;
use ferrolb_lab::Result;
use ferrolb_lab::fault::Cable;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::process::Signal;

use super::roll;
use crate::cluster::Cluster;

/// Whichever it is, the real one or the embedded one.
const API_SERVER: &str = "kube-apiserver";
/// The grace of the speaker's manifest.
const GRACE: Duration = Duration::from_secs(2);

/// A fault; nodes are counted from 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// The node's switch port is taken out, its carrier stays.
    Silence(usize),
    /// The node's link goes down.
    Cut(usize),
    /// The speaker crashes.
    Kill(usize),
    /// The speaker is asked to end.
    Terminate(usize),
    /// The speaker hangs.
    Stop(usize),
    /// The controller crashes.
    KillController,
    /// The API server hangs.
    Outage,
}

impl Fault {
    /// The next one in the order that follows from a seed.
    pub(super) fn choose(seed: &mut u64, nodes: usize) -> Self {
        let node = roll(seed, nodes);
        match roll(seed, 7) {
            0 => Self::Silence(node),
            1 => Self::Cut(node),
            2 => Self::Kill(node),
            3 => Self::Terminate(node),
            4 => Self::Stop(node),
            5 => Self::KillController,
            _ => Self::Outage,
        }
    }

    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Silence(_) => "silent death",
            Self::Cut(_) => "link down",
            Self::Kill(_) => "speaker killed",
            Self::Terminate(_) => "speaker ended",
            Self::Stop(_) => "speaker hangs",
            Self::KillController => "controller killed",
            Self::Outage => "API server hangs",
        }
    }

    pub(super) fn happen(self, cluster: &Cluster) -> Result<()> {
        let Some(node) = self.node() else {
            return match self {
                Self::Outage => cluster.lab.process(API_SERVER)?.signal(Signal::STOP),
                _ => cluster.controller()?.kill(),
            };
        };
        let node = cluster.lab.network().nodes()[node];
        let speaker = cluster.lab.speaker(node.name())?;
        let cable = Cable::of(node, Lan::One);
        match self {
            Self::Silence(_) => cable.silence(),
            Self::Cut(_) => cable.cut(),
            Self::Kill(_) => speaker.kill(),
            Self::Terminate(_) => speaker.terminate(GRACE).map(drop),
            Self::Stop(_) => speaker.signal(Signal::STOP),
            Self::KillController | Self::Outage => Ok(()),
        }
    }

    /// Puts it right as a cluster would: cables are plugged in, kubelet starts what has ended.
    pub(super) fn undo(self, cluster: &Cluster) -> Result<()> {
        let Some(node) = self.node() else {
            return match self {
                Self::Outage => cluster.lab.process(API_SERVER)?.signal(Signal::CONT),
                _ => cluster.controller()?.restart(),
            };
        };
        let node = cluster.lab.network().nodes()[node];
        let speaker = cluster.lab.speaker(node.name())?;
        let cable = Cable::of(node, Lan::One);
        match self {
            Self::Silence(_) => cable.restore(),
            Self::Cut(_) => cable.plug(),
            Self::Kill(_) | Self::Terminate(_) => speaker.restart(),
            Self::Stop(_) => speaker.signal(Signal::CONT),
            Self::KillController | Self::Outage => Ok(()),
        }
    }

    /// How long it stays once somebody else answers.
    pub(super) fn length(self, outage: Duration) -> Duration {
        if self == Self::Outage { outage } else { Duration::from_secs(1) }
    }

    /// The station that cannot answer as long as the fault lasts.
    pub(super) fn silences(self, cluster: &Cluster) -> Option<Mac> {
        self.node().map(|node| cluster.lab.network().nodes()[node].mac(Lan::One))
    }

    fn node(self) -> Option<usize> {
        match self {
            Self::Silence(node)
            | Self::Cut(node)
            | Self::Kill(node)
            | Self::Terminate(node)
            | Self::Stop(node) => Some(node),
            Self::KillController | Self::Outage => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.node() {
            Some(node) => format!("{}: node{}", self.kind(), node + 1),
            None => self.kind().to_owned(),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_comes_and_the_seed_decides_the_order() {
        let faults = |mut seed| (0..60).map(|_| Fault::choose(&mut seed, 3)).collect::<Vec<_>>();
        let kinds: BTreeSet<_> = faults(1).iter().map(|fault| fault.kind()).collect();
        assert_eq!(kinds.len(), 7);
        assert_eq!(faults(1), faults(1));
        assert_ne!(faults(1), faults(2));
    }
}
