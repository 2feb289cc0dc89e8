//! Why a Service gets no address, or not the one it asked for.
//!
//! A refusal is an answer, not a fault: it has a reason code from a closed list and a sentence for
//! people. The sentence depends on the state of the allocator alone, so it stays the same, word for
//! word, until something changes.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use ferrolb_addr::Family;

use crate::name::{PoolName, ServiceKey};
use crate::port::Port;
use crate::reserved::Owner;

/// Why an assignment or an allocation was refused. The state is as before.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// There is no pool at all.
    #[error("no available IPs: no address pool is configured")]
    NoPools,
    /// Every pool refused.
    #[error("no available IPs: {}", Joined(tried, "; "))]
    NoAddress {
        /// All pools: those that were tried in the order in which they were, then the others.
        tried: Vec<PoolRefusal>,
    },
    /// The one pool in question refused.
    #[error("{_0}")]
    Pool(PoolRefusal),
    /// The pool asked for does not exist.
    #[error("unknown pool {:?}", pool.as_str())]
    UnknownPool {
        /// The name asked for.
        pool: PoolName,
    },
    /// The address is in no pool.
    #[error("{address} is in no pool")]
    OutsidePools {
        /// The address.
        address: IpAddr,
    },
    /// The address is in a range of a pool that leaves such addresses out.
    #[error("{address} is not given out: pool {:?} has avoidBuggyIPs set", pool.as_str())]
    Avoided {
        /// The address.
        address: IpAddr,
        /// The pool.
        pool: PoolName,
    },
    /// No one pool holds all of the addresses.
    #[error("the addresses are not in one pool: {}", Places(addresses))]
    DifferentPools {
        /// Each address, and a pool it is in.
        addresses: Vec<(IpAddr, PoolName)>,
    },
    /// Neither one address nor two.
    #[error("a Service holds one address, or one of each family, not {count}")]
    AddressCount {
        /// How many were asked for.
        count: usize,
    },
    /// Two addresses of one family.
    #[error("{} and {} are both {family}; two addresses must be of different families", addresses[0], addresses[1])]
    SameFamily {
        /// The addresses.
        addresses: [IpAddr; 2],
        /// Their family.
        family: Family,
    },
    /// Another Service holds the address, and they cannot share it.
    #[error("{address} is in use by {holder}: {conflict}")]
    InUse {
        /// The address.
        address: IpAddr,
        /// The holder, or the lowest of several.
        holder: ServiceKey,
        /// What stands against sharing.
        conflict: Conflict,
    },
    /// Cluster addresses of two families, but the policy allows one load balancer address.
    #[error("ipFamilyPolicy SingleStack does not go with cluster IPs of both families")]
    SingleStackPolicy,
    /// The Service holds addresses of other families than it asks for now.
    #[error("{service} still holds {}, which is not what it asks for now", Joined(held, ", "))]
    OtherFamilyHeld {
        /// The Service.
        service: ServiceKey,
        /// What it holds.
        held: Vec<IpAddr>,
    },
    /// The Service holds addresses that the pool asked for does not have.
    #[error("{service} still holds {}, which pool {:?} does not have", Joined(held, ", "), pool.as_str())]
    OtherPoolHeld {
        /// The Service.
        service: ServiceKey,
        /// What it holds.
        held: Vec<IpAddr>,
        /// The pool asked for.
        pool: PoolName,
    },
    /// A second family was asked for, but the Service does not hold exactly one address.
    #[error("{service} does not hold exactly one address to which another could be added")]
    NotExtendable {
        /// The Service.
        service: ServiceKey,
    },
}

impl Refusal {
    /// A word for logs, conditions and programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoPools => "NoPools",
            Self::NoAddress { .. } => "NoAddressAvailable",
            Self::Pool(refusal) => refusal.reason(),
            Self::UnknownPool { .. } => "UnknownPool",
            Self::OutsidePools { .. } => "OutsidePools",
            Self::Avoided { .. } => "AvoidedAddress",
            Self::DifferentPools { .. } => "DifferentPools",
            Self::AddressCount { .. } => "AddressCount",
            Self::SameFamily { .. } => "SameFamily",
            Self::InUse { .. } => "AddressInUse",
            Self::SingleStackPolicy => "SingleStackPolicy",
            Self::OtherFamilyHeld { .. } => "OtherFamilyHeld",
            Self::OtherPoolHeld { .. } => "OtherPoolHeld",
            Self::NotExtendable { .. } => "NotExtendable",
        }
    }
}

/// One pool's answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PoolRefusal {
    /// The pool.
    pub pool: PoolName,
    /// Its reasons, never empty; two when both families were wanted and neither is to be had.
    pub why: Vec<Why>,
}

impl PoolRefusal {
    /// The code of its first reason.
    pub fn reason(&self) -> &'static str {
        self.why.first().map_or("PoolRefused", Why::code)
    }
}

impl fmt::Display for PoolRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pool {:?}: {}", self.pool.as_str(), Joined(&self.why, ", "))
    }
}

/// Why a pool has nothing for a Service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Why {
    /// `autoAssign` is off, and neither the pool nor an address of it was asked for.
    NotAutomatic,
    /// It is kept for namespaces with certain labels, and no namespace has them.
    Closed,
    /// It is kept for other namespaces.
    OtherNamespaces {
        /// The namespaces it is kept for, sorted.
        allowed: Excerpt,
    },
    /// It is kept for Services with other labels.
    OtherLabels {
        /// The selectors of which one must match.
        allowed: Excerpt,
    },
    /// It has no address of the family.
    NoFamily {
        /// The family.
        family: Family,
    },
    /// It has addresses of the family, but none that the Service may have.
    Full {
        /// The family.
        family: Family,
        /// How many addresses of the family it has.
        size: i64,
        /// Whose some of them are: given on request only.
        others: BTreeSet<Owner>,
    },
}

impl Why {
    /// A word for logs, conditions and programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAutomatic => "NotAutomatic",
            Self::Closed => "PoolClosed",
            Self::OtherNamespaces { .. } => "NamespaceNotAllowed",
            Self::OtherLabels { .. } => "LabelsNotAllowed",
            Self::NoFamily { .. } => "FamilyMissing",
            Self::Full { .. } => "PoolExhausted",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAutomatic => f.write_str("only on request (autoAssign is off)"),
            Self::Closed => f.write_str("its namespaceSelectors match no namespace"),
            Self::OtherNamespaces { allowed } => {
                write!(f, "only for namespaces ")?;
                allowed.write(f, ", ", " and ")
            }
            Self::OtherLabels { allowed } => {
                write!(f, "only for Services with labels ")?;
                allowed.write(f, " or ", " or ")
            }
            Self::NoFamily { family } => write!(f, "has no {family} addresses"),
            Self::Full { family, size, others } => {
                match size {
                    1 => write!(f, "its only {family} address is in use")?,
                    _ => write!(f, "all {size} {family} addresses are in use")?,
                }
                if others.is_empty() {
                    return Ok(());
                }
                write!(f, " or kept back ({})", Joined(others, ", "))
            }
        }
    }
}

/// What stands against sharing an address with the Service that holds it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Conflict {
    /// The holder has no sharing key.
    HolderDoesNotShare,
    /// The one that asks has no sharing key.
    AskerDoesNotShare,
    /// Both have sharing keys, but not the same.
    SharingKey {
        /// Key of the holder.
        theirs: String,
        /// Key of the one that asks.
        ours: String,
    },
    /// Their traffic must be delivered to different places.
    BackendKey,
    /// Both have the port.
    Port(Port),
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HolderDoesNotShare => f.write_str("that Service has no sharing key"),
            Self::AskerDoesNotShare => f.write_str("this Service has no sharing key"),
            Self::SharingKey { theirs, ours } => {
                write!(f, "its sharing key is {theirs:?}, not {ours:?}")
            }
            Self::BackendKey => f.write_str(
                "to share, both need externalTrafficPolicy Cluster, or Local and the same selector",
            ),
            Self::Port(port) => write!(f, "it has port {port} too"),
        }
    }
}

/// The head of a list that may be long: a pool can be kept for thousands of namespaces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Excerpt {
    /// The first entries.
    pub named: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

impl Excerpt {
    const NAMED: usize = 8;

    pub(crate) fn of<T: ToString>(mut entries: impl ExactSizeIterator<Item = T>) -> Self {
        let named: Vec<_> = entries.by_ref().take(Self::NAMED).map(|e| e.to_string()).collect();
        Self { named, more: entries.len() }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, between: &str, last: &str) -> fmt::Result {
        write!(f, "{}", Joined(&self.named, between))?;
        match self.more {
            0 => Ok(()),
            more => write!(f, "{last}{more} more"),
        }
    }
}

/// Addresses and their pools in a sentence.
struct Places<'a>(&'a [(IpAddr, PoolName)]);

impl fmt::Display for Places<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (address, pool)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{address} is in {:?}", pool.as_str())?;
        }
        Ok(())
    }
}

/// A list in a sentence, with what stands between its entries.
struct Joined<'a, T>(T, &'a str);

impl<T: Copy + IntoIterator<Item: fmt::Display>> fmt::Display for Joined<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.into_iter().enumerate() {
            let separator = if index == 0 { "" } else { self.1 };
            write!(f, "{separator}{item}")?;
        }
        Ok(())
    }
}
