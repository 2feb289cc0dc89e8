//! What a node does about one Service, and why.
//!
//! A verdict is never an error: to stay silent is as good an answer as to announce. The reason is
//! taken from a closed list; its code is what logs and conditions carry, its sentence is what
//! people read.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_ipam::{NodeName, PoolName};

/// Label (presence counts, any value) that keeps a node out of every election.
pub const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// Flag of the speaker that makes it disregard [`EXCLUDE_LABEL`].
pub const IGNORE_EXCLUDE_FLAG: &str = "--ignore-exclude-lb";

/// Names listed in a sentence before the rest is only counted.
const NAMED_AT_MOST: usize = 5;

/// What this node does about a Service, and which node owns it as far as this node can see.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// The node that answers for the Service's addresses, seen from here. It is known even where
    /// this node's own reason to be silent is another one.
    pub owner: Option<NodeName>,
    /// What this node does.
    pub outcome: Outcome,
}

impl Verdict {
    /// The announcement this node makes, if it makes one.
    pub fn announcement(&self) -> Option<&Announcement> {
        match &self.outcome {
            Outcome::Announce(announcement) => Some(announcement),
            Outcome::Silent(_) => None,
        }
    }

    /// Why this node is silent, if it is.
    pub fn reason(&self) -> Option<&Reason> {
        match &self.outcome {
            Outcome::Announce(_) => None,
            Outcome::Silent(reason) => Some(reason),
        }
    }
}

/// Announce or stay silent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// This node answers for the addresses.
    Announce(Announcement),
    /// This node does not answer for any address of the Service.
    Silent(Reason),
}

/// What to announce, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Announcement {
    /// The pool that holds every address of the Service.
    pub pool: PoolName,
    /// Addresses in the order of the Service's status, each with the interfaces it is answered on.
    pub addresses: Vec<(IpAddr, Interfaces)>,
}

/// The interfaces of a node an address is answered on.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Interfaces {
    /// Every interface that is fit for it.
    All,
    /// Exactly these, by name.
    Named(BTreeSet<String>),
}

impl Interfaces {
    /// Every interface that is in either set.
    #[must_use]
    pub fn union(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Named(mut names), Self::Named(more)) => {
                names.extend(more.iter().cloned());
                Self::Named(names)
            }
            _ => Self::All,
        }
    }
}

impl fmt::Display for Interfaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all interfaces"),
            Self::Named(names) => write_list(f, names),
        }
    }
}

/// Why this node does not announce a Service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// There is no such Service (any more).
    ServiceDeleted,
    /// The Service is not of type `LoadBalancer`.
    NotLoadBalancer,
    /// The Service's `spec.loadBalancerClass` is not ours.
    OtherClass {
        /// The class of the Service.
        service: Option<Arc<str>>,
        /// The class this process was started with.
        ours: Option<Arc<str>>,
    },
    /// No configuration was seen yet.
    NoConfig,
    /// The status holds no address yet.
    NoIpAllocated,
    /// An entry of the status is not an address.
    InvalidIp {
        /// The text, or the host name, or nothing, of that entry.
        value: String,
    },
    /// No single pool holds all addresses of the Service.
    IpNotAllowed {
        /// Addresses of the status, in order.
        addresses: Vec<IpAddr>,
        /// A pool left out as invalid that lists one of them.
        invalid_pool: Option<PoolName>,
    },
    /// No endpoint can serve, anywhere.
    NoEndpoints,
    /// The Service shares its address, and an advertisement that matches it selects Services.
    SharedIpWithServiceSelector {
        /// Name of that advertisement.
        advertisement: Arc<str>,
    },
    /// No advertisement of the pool covers this Service on this node.
    NoMatchingAdvertisement {
        /// The pool of the addresses.
        pool: PoolName,
        /// What is missing.
        lack: AdvertisementLack,
    },
    /// No `BGPAdvertisement` of the pool covers this Service on this node.
    NoBgpAdvertisement {
        /// The pool of the addresses.
        pool: PoolName,
        /// What is missing.
        lack: AdvertisementLack,
    },
    /// Two advertisements give the same routes of this Service different local preferences.
    ConflictingAdvertisements {
        /// Name of one.
        one: Arc<str>,
        /// Name of the other.
        other: Arc<str>,
    },
    /// Nobody can announce: each node the advertisements list was dropped.
    NoEligibleNodes {
        /// The dropped nodes by name, and why each was.
        dropped: Arc<[(NodeName, Exclusion)]>,
    },
    /// This node is listed, but is not alive and eligible as the members see it.
    NodeNotMember {
        /// This node.
        node: NodeName,
    },
    /// This node's condition `NetworkUnavailable` is `True`.
    NodeNetworkUnavailable {
        /// This node.
        node: NodeName,
    },
    /// This node carries [`EXCLUDE_LABEL`].
    NodeLabeledExcludeBalancers {
        /// This node.
        node: NodeName,
    },
    /// Local traffic only, and no endpoint on this node can serve.
    NoLocalEndpoints {
        /// This node.
        node: NodeName,
    },
    /// Another node owns the addresses.
    NotOwner {
        /// The owner.
        owner: NodeName,
    },
}

impl Reason {
    /// The reason when `node` itself was dropped from the candidates.
    pub fn excluded(node: NodeName, exclusion: Exclusion) -> Self {
        match exclusion {
            Exclusion::NotMember => Self::NodeNotMember { node },
            Exclusion::NetworkUnavailable => Self::NodeNetworkUnavailable { node },
            Exclusion::ExcludeLabel => Self::NodeLabeledExcludeBalancers { node },
            Exclusion::NoLocalEndpoints => Self::NoLocalEndpoints { node },
        }
    }

    /// The code for logs and conditions: upstream's word where upstream has one.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ServiceDeleted => "serviceDeleted",
            Self::NotLoadBalancer => "notLoadBalancer",
            Self::OtherClass { .. } => "otherLoadBalancerClass",
            Self::NoConfig => "noConfig",
            Self::NoIpAllocated => "noIPAllocated",
            Self::InvalidIp { .. } => "invalidIP",
            Self::IpNotAllowed { .. } => "ipNotAllowed",
            Self::NoEndpoints => "noEndpoints",
            Self::SharedIpWithServiceSelector { .. } => "sharedIPWithServiceSelector",
            Self::NoMatchingAdvertisement { .. } | Self::NoBgpAdvertisement { .. } => {
                "noMatchingAdvertisement"
            }
            Self::ConflictingAdvertisements { .. } => "conflictingAdvertisements",
            Self::NoEligibleNodes { .. } => "noEligibleNodes",
            Self::NodeNotMember { .. } => "nodeNotMember",
            Self::NodeNetworkUnavailable { .. } => "nodeNetworkUnavailable",
            Self::NodeLabeledExcludeBalancers { .. } => "nodeLabeledExcludeBalancers",
            Self::NoLocalEndpoints { .. } => "noLocalEndpoints",
            Self::NotOwner { .. } => "notOwner",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceDeleted => f.write_str("the Service does not exist"),
            Self::NotLoadBalancer => f.write_str("the Service is not of type LoadBalancer"),
            Self::OtherClass { service, ours } => write!(
                f,
                "the Service has {}, this process serves {}",
                ClassText(service.as_deref()),
                ClassText(ours.as_deref()),
            ),
            Self::NoConfig => f.write_str("no configuration was read yet"),
            Self::NoIpAllocated => f.write_str("the Service has no address yet"),
            Self::InvalidIp { value } => {
                write!(f, "status.loadBalancer.ingress holds {value:?}, which is not an address")
            }
            Self::IpNotAllowed { addresses, invalid_pool } => {
                f.write_str("no single pool holds ")?;
                write_list(f, addresses)?;
                match invalid_pool {
                    Some(pool) => write!(f, " (pool {pool} does, but is invalid)"),
                    None => Ok(()),
                }
            }
            Self::NoEndpoints => f.write_str("the Service has no endpoint that can serve"),
            Self::SharedIpWithServiceSelector { advertisement } => write!(
                f,
                "the Service shares its address, and L2Advertisement {advertisement} has \
                 serviceSelectors: sharers could end up on different nodes",
            ),
            Self::NoMatchingAdvertisement { pool, lack } => {
                write_lack(f, "L2Advertisement", pool, lack)
            }
            Self::NoBgpAdvertisement { pool, lack } => {
                write_lack(f, "BGPAdvertisement", pool, lack)
            }
            Self::ConflictingAdvertisements { one, other } => write!(
                f,
                "BGPAdvertisements {one} and {other} give the same routes different localPref",
            ),
            Self::NoEligibleNodes { dropped } => write_dropped(f, dropped),
            Self::NodeNotMember { node } => write!(f, "{node} {}", Exclusion::NotMember),
            Self::NodeNetworkUnavailable { node } => {
                write!(f, "{node} {}", Exclusion::NetworkUnavailable)
            }
            Self::NodeLabeledExcludeBalancers { node } => {
                write!(f, "{node} {}; {IgnoreHint}", Exclusion::ExcludeLabel)
            }
            Self::NoLocalEndpoints { node } => write!(f, "{node} {}", Exclusion::NoLocalEndpoints),
            Self::NotOwner { owner } => write!(f, "node {owner} owns the address"),
        }
    }
}

/// What keeps the advertisements of a pool from covering a Service on this node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AdvertisementLack {
    /// The pool has no advertisement at all.
    Pool,
    /// The pool has some, but their `serviceSelectors` do not match the Service.
    Service,
    /// Some match the Service, but their `nodeSelectors` leave out this node.
    Node {
        /// This node.
        node: NodeName,
    },
}

/// Why a node that the advertisements list is not a candidate. The first that fits, in this order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Exclusion {
    /// Membership does not see it alive and eligible.
    NotMember,
    /// Its condition `NetworkUnavailable` is `True`.
    NetworkUnavailable,
    /// It carries [`EXCLUDE_LABEL`].
    ExcludeLabel,
    /// Local traffic only, and none of its endpoints can serve.
    NoLocalEndpoints,
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMember => f.write_str("is not a living member"),
            Self::NetworkUnavailable => f.write_str("has condition NetworkUnavailable"),
            Self::ExcludeLabel => write!(f, "has label {EXCLUDE_LABEL}"),
            Self::NoLocalEndpoints => {
                f.write_str("has no endpoint that can serve (externalTrafficPolicy: Local)")
            }
        }
    }
}

struct IgnoreHint;

impl fmt::Display for IgnoreHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "start the speaker with {IGNORE_EXCLUDE_FLAG} to announce anyway")
    }
}

struct ClassText<'a>(Option<&'a str>);

impl fmt::Display for ClassText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(class) => write!(f, "loadBalancerClass {class}"),
            None => f.write_str("no loadBalancerClass"),
        }
    }
}

fn write_lack(
    f: &mut fmt::Formatter<'_>,
    kind: &str,
    pool: &PoolName,
    lack: &AdvertisementLack,
) -> fmt::Result {
    match lack {
        AdvertisementLack::Pool => write!(f, "no {kind} covers pool {pool}"),
        AdvertisementLack::Service => {
            write!(f, "no {kind} of pool {pool} selects this Service")
        }
        AdvertisementLack::Node { node } => {
            write!(f, "no {kind} of pool {pool} that selects this Service lists node {node}")
        }
    }
}

fn write_dropped(f: &mut fmt::Formatter<'_>, dropped: &[(NodeName, Exclusion)]) -> fmt::Result {
    f.write_str("every node with the address's advertisement is excluded: ")?;
    for (place, (node, exclusion)) in dropped.iter().take(NAMED_AT_MOST).enumerate() {
        let comma = if place == 0 { "" } else { ", " };
        write!(f, "{comma}{node} {exclusion}")?;
    }
    if dropped.len() > NAMED_AT_MOST {
        write!(f, " and {} more", dropped.len() - NAMED_AT_MOST)?;
    }
    if dropped.iter().any(|(_, exclusion)| *exclusion == Exclusion::ExcludeLabel) {
        write!(f, " ({IgnoreHint})")?;
    }
    Ok(())
}

fn write_list(
    f: &mut fmt::Formatter<'_>,
    items: impl IntoIterator<Item = impl fmt::Display>,
) -> fmt::Result {
    for (place, item) in items.into_iter().enumerate() {
        let comma = if place == 0 { "" } else { ", " };
        write!(f, "{comma}{item}")?;
    }
    Ok(())
}
