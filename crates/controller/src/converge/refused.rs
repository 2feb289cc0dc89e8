//! Why a Service does not get what it asks for, and the word for it.

use std::net::IpAddr;

use ferrolb_ipam::{PoolName, Refusal, ServiceKey};

/// Why a Service does not get what it asks for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// The allocator says no.
    #[error(transparent)]
    Allocator(#[from] Refusal),
    /// The address asked for is in another pool than the pool asked for.
    #[error("requested address is in pool {:?}, not in the requested pool {pool:?}", holder.as_str())]
    OtherPool { pool: String, holder: PoolName },
    /// Somebody keeps it while the pool he has it from is invalid.
    #[error("requested address {address} is kept by {holder}, whose pool is invalid")]
    Kept { address: IpAddr, holder: ServiceKey },
}

impl Refused {
    /// One of [`REASONS`](crate::standing::REASONS).
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Allocator(refusal) => refusal.reason(),
            Self::OtherPool { .. } => "RequestedFromOtherPool",
            Self::Kept { .. } => "AddressKept",
        }
    }
}
