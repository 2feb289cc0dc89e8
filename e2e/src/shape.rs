//! The labs that cases run in.

use std::path::Path;

use ferrolb_lab::manifests::Manifests;
use ferrolb_lab::router::Software;
use ferrolb_lab::{Control, Options, Result};

/// A kind of lab.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Shape {
    /// Three nodes on one LAN, real Kubernetes.
    Cluster,
    /// Three nodes on two LANs whose switches snoop on MLD, real Kubernetes.
    Lans,
    /// One node, real Kubernetes.
    Single,
    /// Three nodes and a router of each kind on one LAN, real Kubernetes.
    Routers,
    /// Three nodes on one LAN, the API server in memory.
    Embedded,
}

impl Shape {
    /// All of them, in the order they are built.
    pub(crate) const ALL: [Self; 5] =
        [Self::Cluster, Self::Lans, Self::Single, Self::Routers, Self::Embedded];

    /// First part of the names of its cases.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Lans => "lans",
            Self::Single => "single",
            Self::Routers => "routers",
            Self::Embedded => "embedded",
        }
    }

    /// Whether it needs the real Kubernetes programs.
    pub(crate) fn is_real(self) -> bool {
        self != Self::Embedded
    }

    /// Why it cannot be built on this machine.
    pub(crate) fn lacks(self) -> Option<String> {
        if self.is_real() && std::env::var_os("SKIP_REAL").is_some() {
            return Some("SKIP_REAL is set".to_owned());
        }
        let missing: Vec<_> = self.routers().iter().filter_map(|one| one.missing()).collect();
        (!missing.is_empty()).then(|| format!("no {} (scripts/setup)", missing.join(", ")))
    }

    /// The routers in it.
    pub(crate) fn routers(self) -> &'static [Software] {
        if self == Self::Routers { &Software::ALL } else { &[] }
    }

    /// The lab to build for it.
    pub(crate) fn options(self, program: &Path, manifests: &Manifests) -> Result<Options> {
        Ok(Options {
            nodes: if self == Self::Single { 1 } else { 3 },
            second_lan: self == Self::Lans,
            snooping: self == Self::Lans,
            control: if self.is_real() { Control::real()? } else { Control::Embedded },
            program: program.to_owned(),
            manifests: manifests.clone(),
            webhooks: self.is_real(),
            ..Options::new()?
        })
    }
}
