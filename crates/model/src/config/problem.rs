//! What is wrong with an object of the configuration.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The kinds that can be wrong. Prints as Kubernetes spells the kind.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// `IPAddressPool`.
    IpAddressPool,
    /// `L2Advertisement`.
    L2Advertisement,
    /// `BGPAdvertisement`.
    BgpAdvertisement,
    /// `BGPPeer`.
    BgpPeer,
    /// `BFDProfile`.
    BfdProfile,
    /// `Community`.
    Community,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::IpAddressPool,
        Self::L2Advertisement,
        Self::BgpAdvertisement,
        Self::BgpPeer,
        Self::BfdProfile,
        Self::Community,
    ];

    pub(crate) fn problem(
        self,
        name: &(impl ToString + ?Sized),
        fault: Fault,
        acting: bool,
    ) -> Problem {
        let name = name.to_string();
        let message = match self {
            // Upstream's tests compare these beginnings literally (rows K-010 and K-005).
            Self::IpAddressPool => format!("parsing address pool {name}: {}", fault.cause),
            Self::BgpPeer => format!("parsing peer {name} {}", fault.cause),
            kind => format!("parsing {kind} {name}: {}", fault.cause),
        };
        let Fault { reason, field, value, .. } = fault;
        Problem { kind: self, name: name.into(), field, value, message, acting, reason }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IpAddressPool => "IPAddressPool",
            Self::L2Advertisement => "L2Advertisement",
            Self::BgpAdvertisement => "BGPAdvertisement",
            Self::BgpPeer => "BGPPeer",
            Self::BfdProfile => "BFDProfile",
            Self::Community => "Community",
        })
    }
}

/// One fault of one object.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Problem {
    /// Kind of the object.
    pub kind: Kind,
    /// Name of the object.
    pub name: Arc<str>,
    /// Path of the field, as `kubectl explain` would have it, with list places.
    pub field: String,
    /// The value that is wrong; empty if it is its absence.
    pub value: String,
    /// The sentence for logs and conditions: object, field, value, cause.
    pub message: String,
    /// The object acts nevertheless: in its last valid version, or without the part that is wrong.
    /// Otherwise it is left out.
    pub acting: bool,
    /// What sort of fault it is.
    pub reason: ProblemReason,
}

/// What sort of fault an object has. Closed, so that programs can tell them apart.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ProblemReason {
    /// A value that cannot be meant.
    InvalidValue,
    /// Something that must be there is not.
    Missing,
    /// The same thing twice, in one object or in two.
    Duplicate,
    /// Addresses that are in another pool too.
    Overlap,
    /// Two settings, in one object or in two, that exclude each other.
    Conflict,
    /// A name that belongs to no object.
    DanglingReference,
    /// Something that we cannot do yet.
    Unsupported,
}

impl ProblemReason {
    /// The code for conditions and logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidValue => "InvalidValue",
            Self::Missing => "Missing",
            Self::Duplicate => "Duplicate",
            Self::Overlap => "Overlap",
            Self::Conflict => "Conflict",
            Self::DanglingReference => "DanglingReference",
            Self::Unsupported => "Unsupported",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A fault before it is known whose it is and what follows from it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fault {
    reason: ProblemReason,
    field: String,
    value: String,
    cause: String,
}

impl Fault {
    /// `cause` is a sentence that stands alone.
    pub(super) fn new(field: &str, value: &str, cause: String) -> Self {
        let reason = ProblemReason::InvalidValue;
        Self { reason, field: field.to_owned(), value: value.to_owned(), cause }
    }

    /// `cause` is a sentence that needs the field before it.
    pub(crate) fn at(field: &str, value: &str, cause: &impl fmt::Display) -> Self {
        Self::new(field, value, format!("{field}: {cause}"))
    }

    /// `value` stands twice where it may stand once.
    pub(super) fn twice(field: &str, value: &str) -> Self {
        Self::at(field, value, &format_args!("{value:?} is listed twice"))
            .because(ProblemReason::Duplicate)
    }

    /// `value` is not in `range`.
    pub(super) fn out_of_range(field: &str, value: i64, range: &RangeInclusive<i64>) -> Self {
        let cause = format!("{value} is not from {} to {}", range.start(), range.end());
        Self::at(field, &value.to_string(), &cause)
    }

    /// The same fault, of another sort than [`ProblemReason::InvalidValue`].
    pub(crate) fn because(self, reason: ProblemReason) -> Self {
        Self { reason, ..self }
    }
}
