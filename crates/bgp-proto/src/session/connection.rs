//! All that belongs to one TCP connection and dies with it.

use crate::link::Link;
use crate::negotiation::Negotiated;
use crate::wire::{Framer, MAX_MESSAGE, Open};

#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) link: Link,
    pub(super) framer: Framer,
    /// The OPEN that we send.
    pub(super) own: Open,
    pub(super) open_due: bool,
    pub(super) keepalive_due: bool,
    /// What both OPENs amount to, once the peer's is accepted.
    pub(super) terms: Option<Negotiated>,
}

impl Connection {
    pub(super) fn new(link: Link, own: Open) -> Self {
        Self {
            link,
            framer: Framer::default(),
            own,
            open_due: true,
            keepalive_due: false,
            terms: None,
        }
    }

    /// Octets of the longest message that the peer may send.
    pub(super) fn limit(&self) -> usize {
        self.terms.as_ref().map_or(MAX_MESSAGE, |terms| terms.max_message)
    }
}
