//! Rows: Kubernetes objects reduced to the facts that decisions read.
//!
//! A row is what the index keeps, so its size is what a large cluster costs. Rows are made from
//! API objects at the edge (`kube-rt`) and are never written back.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_addr::Family;
pub use ferrolb_ipam::Labels;
use ferrolb_ipam::{NodeName, Port, ServiceKey};

/// A Service (core/v1), as far as allocation and announcement read it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    /// Namespace and name.
    pub key: ServiceKey,
    /// `metadata.uid`: tells a recreated Service from an edited one, and events need it.
    pub uid: Arc<str>,
    /// `metadata.resourceVersion` this row was made from; opaque.
    pub resource_version: Arc<str>,
    /// `metadata.labels`.
    pub labels: Labels,
    /// The annotations that are ours, stable prefix before the old one.
    pub annotations: ServiceAnnotations,
    /// `spec.type` is `LoadBalancer`.
    pub is_load_balancer: bool,
    /// `spec.loadBalancerClass`.
    pub class: Option<Arc<str>>,
    /// `spec.clusterIPs`, else `[spec.clusterIP]`, empty texts left out; unparsed, since `None` is legal.
    pub cluster_ips: Vec<String>,
    /// `spec.ipFamilies[0]` is IPv6.
    pub primary_family: Family,
    /// `spec.ipFamilyPolicy`; absent means `SingleStack`.
    pub ip_family_policy: IpFamilyPolicy,
    /// `spec.loadBalancerIP`, empty text counts as absent.
    pub load_balancer_ip: Option<String>,
    /// `spec.ports[]`, protocol and port.
    pub ports: Vec<Port>,
    /// `spec.externalTrafficPolicy` is `Local`.
    pub local_traffic_only: bool,
    /// `spec.selector`.
    pub selector: Labels,
    /// `status.loadBalancer.ingress[]`, in order.
    pub ingress: Vec<Ingress>,
}

impl Service {
    /// Whether a decision about announcing it, or what is reported about that, cannot tell this row from
    /// `other`.
    pub fn is_announced_like(&self, other: &Self) -> bool {
        let shares = |service: &Self| service.annotations.allow_shared_ip.is_some();
        self.uid == other.uid
            && self.is_load_balancer == other.is_load_balancer
            && self.class == other.class
            && self.ingress == other.ingress
            && self.labels == other.labels
            && self.local_traffic_only == other.local_traffic_only
            && shares(self) == shares(other)
    }

    /// The row without what only allocation reads. A speaker keeps thousands of rows.
    #[must_use]
    pub fn without_wishes(self) -> Self {
        let allow_shared_ip = self.annotations.allow_shared_ip.map(|_| String::new());
        Self {
            annotations: ServiceAnnotations { allow_shared_ip, ..ServiceAnnotations::default() },
            cluster_ips: Vec::new(),
            load_balancer_ip: None,
            ports: Vec::new(),
            selector: Labels::new(),
            ..self
        }
    }
}

/// The annotations we read or writes on a Service. A value is present when its key is, even
/// if it is empty: an empty stable key hides the deprecated one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServiceAnnotations {
    /// `address-pool`: take the address from this pool.
    pub address_pool: Option<String>,
    /// `loadBalancerIPs`: comma separated list of wanted addresses.
    pub load_balancer_ips: Option<String>,
    /// `allow-shared-ip`: sharing key.
    pub allow_shared_ip: Option<String>,
    /// `metallb.io/ip-allocated-from-pool`: written by the controller, never an input.
    pub allocated_from_pool: Option<String>,
    /// Keys present with the old prefix `metallb.universe.tf/`, sorted.
    pub deprecated_keys: Vec<String>,
}

/// `spec.ipFamilyPolicy`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum IpFamilyPolicy {
    /// One family.
    #[default]
    SingleStack,
    /// Two when the cluster and a pool can, else one.
    PreferDualStack,
    /// Two or nothing.
    RequireDualStack,
}

/// One entry of `status.loadBalancer.ingress`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ingress {
    /// `ip`, unparsed; hostname-only entries have none.
    pub ip: Option<String>,
    /// `hostname`, written by other controllers only.
    pub hostname: Option<String>,
}

/// A Node (core/v1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    /// `metadata.name`.
    pub name: NodeName,
    /// `metadata.labels`.
    pub labels: Labels,
    /// Condition `NetworkUnavailable` is `True`.
    pub network_unavailable: bool,
    /// `status.addresses[]` of type `InternalIP` and `ExternalIP`: never given out unasked.
    pub addresses: BTreeSet<IpAddr>,
}

/// A Namespace (core/v1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Namespace {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// `metadata.labels`.
    pub labels: Labels,
}

/// Namespace and name of an `EndpointSlice`.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SliceKey {
    /// `metadata.namespace`.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
}

/// An `EndpointSlice` (discovery.k8s.io/v1) with label `kubernetes.io/service-name`, reduced to
/// where servable endpoints are (`ready` absent or true, else `serving` true).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndpointSlice {
    /// Namespace and name of the slice.
    pub key: SliceKey,
    /// The Service it belongs to.
    pub service: ServiceKey,
    /// Some endpoint can serve, wherever it is.
    pub can_serve: bool,
    /// Nodes that hold at least one endpoint that can serve; sorted, each once.
    pub nodes: Box<[NodeName]>,
}

/// A speaker Pod, as far as membership reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpeakerPod {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// `metadata.uid`.
    pub uid: Arc<str>,
    /// `spec.nodeName`.
    pub node: Option<NodeName>,
    /// `status.podIP`.
    pub address: Option<IpAddr>,
}

/// One endpoint of a slice, as far as it is read. Not kept: slices are reduced to [`EndpointSlice`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Endpoint {
    /// `conditions.ready`.
    pub ready: Option<bool>,
    /// `conditions.serving`.
    pub serving: Option<bool>,
    /// `nodeName`.
    pub node: Option<NodeName>,
}

impl Endpoint {
    /// Traffic may go there: it is ready, or it ends but still passes its probe. An absent `ready`
    /// means ready (`layer2.md` 1.4).
    pub fn can_serve(&self) -> bool {
        self.ready.unwrap_or(true) || self.serving.unwrap_or(false)
    }
}

impl EndpointSlice {
    /// The slice `key` of `service`, reduced.
    pub fn reduce(
        key: SliceKey,
        service: ServiceKey,
        endpoints: impl IntoIterator<Item = Endpoint>,
    ) -> Self {
        let mut can_serve = false;
        let mut nodes = BTreeSet::new();
        for endpoint in endpoints.into_iter().filter(Endpoint::can_serve) {
            can_serve = true;
            nodes.extend(endpoint.node);
        }
        Self { key, service, can_serve, nodes: nodes.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::k_082_l2_row_79_ready(Some(true), None, true)]
    #[case::k_083_l2_row_80_serving_only(None, Some(true), true)]
    #[case::k_084_l2_row_81_ready_not_serving(Some(true), Some(false), true)]
    #[case::k_085_l2_row_82_nothing_said(None, None, true)]
    #[case::k_086_l2_row_83_not_serving_only(None, Some(false), true)]
    #[case::k_087_l2_row_84_not_ready(Some(false), None, false)]
    #[case::not_ready_but_serving(Some(false), Some(true), true)]
    #[case::neither(Some(false), Some(false), false)]
    fn t_207_can_serve(
        #[case] ready: Option<bool>,
        #[case] serving: Option<bool>,
        #[case] expected: bool,
    ) {
        assert_eq!(Endpoint { ready, serving, node: None }.can_serve(), expected);
    }

    #[test]
    fn l2_row_07_ready_counts_whatever_serving_says() {
        let endpoint = |node: &str| Endpoint {
            ready: Some(true),
            serving: Some(false),
            node: Some(node.into()),
        };
        let key = SliceKey { namespace: "default".into(), name: "web-1".into() };
        let service = ServiceKey::new("default", "web");
        let slice = EndpointSlice::reduce(key, service, ["iris1", "iris2"].map(endpoint));
        assert!(slice.can_serve);
        assert_eq!(slice.nodes, ["iris1", "iris2"].map(NodeName::from).into());
    }
}
