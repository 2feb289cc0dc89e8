//! What is wrong with an object of the configuration.

use std::fmt;
use std::sync::Arc;

/// The kinds that can be wrong. Prints as Kubernetes spells the kind.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// `IPAddressPool`.
    IpAddressPool,
    /// `L2Advertisement`.
    L2Advertisement,
}

impl Kind {
    pub(super) fn problem(self, name: &impl ToString, fault: Fault, acting: bool) -> Problem {
        let name = name.to_string();
        let message = match self {
            // Upstream's tests compare this beginning literally (row K-010).
            Self::IpAddressPool => format!("parsing address pool {name}: {}", fault.cause),
            Self::L2Advertisement => format!("parsing L2Advertisement {name}: {}", fault.cause),
        };
        let Fault { field, value, .. } = fault;
        Problem { kind: self, name: name.into(), field, value, message, acting }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IpAddressPool => "IPAddressPool",
            Self::L2Advertisement => "L2Advertisement",
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
    /// The object's last valid version keeps acting; otherwise the object is left out.
    pub acting: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A fault before it is known whose it is and what follows from it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fault {
    field: String,
    value: String,
    cause: String,
}

impl Fault {
    /// `cause` is a sentence that stands alone.
    pub(super) fn new(field: &str, value: &str, cause: String) -> Self {
        Self { field: field.to_owned(), value: value.to_owned(), cause }
    }

    /// `cause` is a sentence that needs the field before it.
    pub(super) fn at(field: &str, value: &str, cause: &impl fmt::Display) -> Self {
        Self::new(field, value, format!("{field}: {cause}"))
    }

    /// `value` stands twice where it may stand once.
    pub(super) fn twice(field: &str, value: &str) -> Self {
        Self::at(field, value, &format_args!("{value:?} is listed twice"))
    }
}
