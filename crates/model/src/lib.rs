//! Objects to validated configuration; snapshot to verdict.
//!
//! ```text
//!  API objects ──► Config::build ──► Config ───┐               ┌► decide ────► Verdict
//!  rows (Service, Node, EndpointSlice) ────────┼──► Snapshot ──┼► decide_bgp ► bgp::Verdict
//!  living members ─────────────────────────────┘        └─► apply ─► keys whose inputs changed
//! ```
//!
//! Pure: nothing here watches, announces, writes or tells the time. Whatever the controller and
//! the speaker do can be explained by calling the same functions on the same rows again.

pub mod admission;
pub mod bgp;
pub mod class;
pub mod config;
pub mod decide;
pub mod election;
pub mod family;
#[cfg(test)]
mod fixture;
mod gates;
mod lack;
mod ranges;
pub mod report;
pub mod rows;
pub mod snapshot;
pub mod verdict;
pub mod wanted;

pub use bgp::decide_bgp;
pub use config::{
    BgpAdvertisement, Config, ConfigObjects, L2Advertisement, Preference, Problem, ProblemReason,
};
pub use decide::decide;
pub use lack::{Lack, Lacks};
pub use rows::{
    Endpoint, EndpointSlice, Ingress, IpFamilyPolicy, Labels, Namespace, Node, Service,
    ServiceAnnotations, SliceKey, SpeakerPod,
};
pub use snapshot::{Change, Members, Revision, Settings, Snapshot};
pub use verdict::{Announcement, Exclusion, Interfaces, Outcome, Reason, Verdict};
