//! What a member tells its driver.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use thiserror::Error;

use crate::node::Member;

/// Something that happened. [`crate::Membership::members`] is the truth; events say why it changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A node is a member, for the first time or again.
    Joined(Member),
    /// A node took leave.
    Left {
        /// Who.
        node: Arc<str>,
    },
    /// A node was declared dead.
    Dead {
        /// Who.
        node: Arc<str>,
        /// Whose timer ran out first, as told.
        from: Arc<str>,
    },
    /// A node did not answer; it stays a member until its time to refute has run out.
    Suspect {
        /// Who.
        node: Arc<str>,
        /// Who found it silent first, as told.
        from: Arc<str>,
    },
    /// A suspect answered.
    Recovered {
        /// Who.
        node: Arc<str>,
    },
    /// A member changed its metadata or its address.
    Updated(Member),
    /// A seed answered and both states are merged.
    SeedReached {
        /// The address given to [`crate::Membership::join`].
        address: SocketAddr,
    },
    /// A seed could not be joined. It is not tried again by itself.
    SeedFailed {
        /// The address given to [`crate::Membership::join`].
        address: SocketAddr,
        /// Why.
        why: SeedFailure,
    },
    /// Something was refused. Told once a minute at most for each host and reason.
    Refused {
        /// The host that sent it.
        from: IpAddr,
        /// Why.
        why: Refusal,
        /// How many times since it was last told, this one included.
        count: u64,
    },
    /// Somebody claims to be a node at another address; the known address stays.
    Conflict {
        /// The name both use; it may be this node's own.
        node: Arc<str>,
        /// The address that is believed.
        known: SocketAddr,
        /// The address that is not.
        claimed: SocketAddr,
    },
    /// A member answers by stream and not by datagram: something blocks UDP. Told once until it
    /// answers by datagram again.
    DatagramsBlocked {
        /// Who.
        node: Arc<str>,
    },
    /// Others doubted or denied that this node lives; it told them.
    Refuted {
        /// The number all must now know it by.
        incarnation: u32,
    },
    /// The departure begun by [`crate::Membership::leave`] is over.
    Departed {
        /// Whether the message went out as often as it should; otherwise time was up.
        complete: bool,
    },
}

/// Why something from another host was not taken.
#[derive(Clone, Copy, Debug, Eq, Error, Ord, PartialEq, PartialOrd)]
pub enum Refusal {
    /// Sealed with another key, or damaged.
    #[error("it is sealed with another secret")]
    Secret,
    /// Sealed, and this node has no key.
    #[error("it is sealed, and there is no secret here")]
    Encrypted,
    /// Not sealed, and this node has a key.
    #[error("it is not sealed, and there is a secret here")]
    Unencrypted,
    /// The label of another cluster.
    #[error("it carries the label of another cluster")]
    Label,
    /// Not a message, or one beyond a limit.
    #[error("it is malformed")]
    Malformed,
    /// A node that speaks no version this node speaks.
    #[error("it tells of a node whose versions do not fit")]
    Version,
    /// One member more than the limit.
    #[error("it tells of more members than the limit allows")]
    Full,
    /// A node that is known at another address. Told as [`Event::Conflict`].
    #[error("it tells of a node that is known at another address")]
    Conflict,
    /// More messages than one host may send.
    #[error("its host sends too much")]
    Flood,
}

impl Refusal {
    /// All reasons, in the order of [`crate::Stats::refused`].
    pub const ALL: [Self; 9] = [
        Self::Secret,
        Self::Encrypted,
        Self::Unencrypted,
        Self::Label,
        Self::Malformed,
        Self::Version,
        Self::Full,
        Self::Conflict,
        Self::Flood,
    ];

    /// A word for labels of metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Encrypted => "encrypted",
            Self::Unencrypted => "unencrypted",
            Self::Label => "label",
            Self::Malformed => "malformed",
            Self::Version => "version",
            Self::Full => "full",
            Self::Conflict => "conflict",
            Self::Flood => "flood",
        }
    }
}

/// Why a seed could not be joined.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum SeedFailure {
    /// No connection, or no answer in time.
    #[error("it does not answer")]
    Unreachable,
    /// Its answer was not taken.
    #[error("its answer was refused: {0}")]
    Refused(Refusal),
    /// It did not take the question.
    #[error("it refused: {0}")]
    Remote(String),
}
