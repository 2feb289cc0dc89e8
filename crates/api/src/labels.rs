//! Labels that we write on our objects or read from those of others.

/// On status objects: the node that reports.
pub const NODE: &str = "metallb.io/node";

/// On status objects: name of the Service reported on.
pub const SERVICE_NAME: &str = "metallb.io/service-name";

/// On status objects: namespace of the Service reported on.
pub const SERVICE_NAMESPACE: &str = "metallb.io/service-namespace";

/// On a session: the peer it is held with.
pub const PEER: &str = "ferrolb.io/peer";

/// On a Node, with any value: no load balancer traffic shall enter there.
pub const EXCLUDE_FROM_LOAD_BALANCERS: &str =
    "node.kubernetes.io/exclude-from-external-load-balancers";

/// On an `EndpointSlice`: name of its Service.
pub const SLICE_SERVICE_NAME: &str = "kubernetes.io/service-name";
