//! The API as users see it: custom resources, annotations, labels and reason codes.
//!
//! The kinds of group `metallb.io` are supersets of upstream's: an object written for upstream is
//! accepted, parsed and means the same. What is *valid* beyond the schema (overlaps between pools,
//! selectors, …) is the business of `ferrolb-model`; this crate holds shapes and names only. What
//! upstream has no kind for lives in group `ferrolb.io`.
//!
//! Types here are lenient on purpose. A field that is missing, and even a `spec` that is missing,
//! parses to its default, so that one odd object never hides the others of its kind from a watch.

pub mod annotations;
mod bfd_profile;
mod bgp_advertisement;
pub mod bgp_peer;
mod bgp_session;
mod community;
pub mod conditions;
mod configuration_state;
pub mod conversion;
mod crd;
mod ip_address_pool;
mod l2_advertisement;
pub mod labels;
mod lenient;
pub mod names;
mod password;
pub mod permissions;
pub mod reasons;
mod selector;
mod service_bgp_status;
mod service_l2_status;

pub use bfd_profile::{BFDProfile, BFDProfileSpec, BFDProfileStatus};
pub use bgp_advertisement::{BGPAdvertisement, BGPAdvertisementSpec, BGPAdvertisementStatus};
pub use bgp_peer::{BGPPeer, BGPPeerSpec, BGPPeerStatus, SecretReference};
pub use bgp_session::{
    BGPSession, BGPSessionError, BGPSessionPrefixes, BGPSessionSpec, BGPSessionStatus,
    BGPSessionTimers,
};
pub use community::{Community, CommunityAlias, CommunitySpec, CommunityStatus};
pub use configuration_state::{
    ConfigurationState, ConfigurationStateSpec, ConfigurationStateStatus,
};
pub use crd::{crd_yaml, crds, crds_yaml};
pub use ip_address_pool::{
    IPAddressPool, IPAddressPoolSpec, IPAddressPoolStatus, ServiceAllocation,
};
pub use l2_advertisement::{
    L2Advertisement, L2AdvertisementSpec, L2AdvertisementStatus, PreferredNodeSelector,
};
pub use password::Password;
pub use service_bgp_status::{ServiceBGPStatus, ServiceBGPStatusSpec, ServiceBGPStatusStatus};
pub use service_l2_status::{
    InterfaceStatus, ServiceL2Status, ServiceL2StatusSpec, ServiceL2StatusStatus,
};
