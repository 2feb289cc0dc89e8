//! Names under which we are known to the API server.

/// API group of the kinds shared with upstream.
pub const GROUP: &str = "metallb.io";

/// API group of the kinds that upstream does not have.
pub const OWN_GROUP: &str = "ferrolb.io";

/// The served and stored version of the kinds shared with upstream, but for `BGPPeer`.
pub const VERSION: &str = "v1beta1";

/// `apiVersion` of those kinds, but for `BGPPeer`.
pub const API_VERSION: &str = "metallb.io/v1beta1";

/// Field manager and event source of the controller, as upstream's.
pub const CONTROLLER: &str = "metallb-controller";

/// Field manager and event source of the speaker, as upstream's.
pub const SPEAKER: &str = "metallb-speaker";
