//! Announces the addresses of Services on the wire of one node.
//!
//! ```text
//!  watches ──► inbox ──► owner ──► Snapshot::decide ──► wanted ──┬─► l2 ───► ARP, NDP
//!  members ──► view  ──►   │                                     ├─► bgp ──► routers, BFD
//!  netlink ──► links ──►   │                                     └─► Events, reports, metrics
//!                          └ one task, all state
//! ```
//!
//! The way from a dead peer to the first frame holds no API call: the failure detector has a thread
//! of its own, the owner decides in memory, the answering threads share one table.
//!
//! The protocols are decided about one by one: what is wrong with one never stops the other.
//!
//! Not here: allocation (the controller's).

mod announced;
mod bfd;
mod bgp;
mod fitness;
mod kube_proxy;
mod l2;
mod members;
mod memory;
mod objects;
mod owner;
mod run;
mod settings;
mod standing;
mod topics;
mod vetting;

pub use l2::Layer2Error;
pub use l2::exclusion::{Exclusion, ExclusionError};
pub use members::{MembersError, SecretError, TuningError};
pub use run::{Error, run};
pub use settings::{
    BgpEngine, BgpSettings, ConflictPolicy, EXCLUDED_INTERFACES_FILE, HeartbeatProfile,
    KubeProxySettings, MEMBERSHIP_FILE, MembersSettings, Settings,
};
