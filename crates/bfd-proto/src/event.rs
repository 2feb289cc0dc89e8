//! What a session tells its owner.

use crate::packet::{Diagnostic, Discriminator};

/// Something happened to a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Event {
    /// Which one.
    pub session: Discriminator,
    /// What.
    pub change: Change,
}

/// How a session changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// Both directions carry packets.
    Up,
    /// It was Up and the path failed.
    Down {
        /// Why, in the words of the side that noticed.
        diagnostic: Diagnostic,
        /// Who noticed first.
        noticed_by: Side,
    },
    /// It was Up and the peer's operator switched BFD off. RFC 5882 4.2: that says nothing about the path,
    /// and whoever relies on it carries on as if there were no session.
    AdminDown,
    /// A session that was removed has taken its leave; nothing more is sent for it.
    Ended,
}

/// One of the two ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// Ours.
    Local,
    /// The peer's.
    Remote,
}
