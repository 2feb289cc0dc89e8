//! Announces the addresses of Services on the wire of one node.
//!
//! ```text
//!  watches ──► inbox ──► owner ──► Snapshot::decide ──► wanted ──► l2 ──► ARP, NDP
//!  members ──► view  ──►   │                            │
//!  netlink ──► links ──►   │                            └──► Events, ServiceL2Status, metrics
//!                          └ one task, all state
//! ```
//!
//! The way from a dead peer to the first frame holds no API call: the failure detector has a thread
//! of its own, the owner decides in memory, the answering threads share one table.
//!
//! Not here: allocation (the controller's) and BGP (later).

mod announced;
#[expect(dead_code, reason = "the BGP peers, which come next, are its users")]
mod bfd;
mod l2;
mod l2status;
mod members;
mod owner;
mod run;
mod settings;
mod topics;
mod vetting;

pub use l2::Layer2Error;
pub use l2::exclusion::{Exclusion, ExclusionError};
pub use members::{MembersError, SecretError, TuningError};
pub use run::{Error, run};
pub use settings::{
    ConflictPolicy, EXCLUDED_INTERFACES_FILE, MEMBERSHIP_FILE, MembersSettings, Settings,
};
