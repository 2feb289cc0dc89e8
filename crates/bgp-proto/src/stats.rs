//! Counters of a session, over its whole life.

use crate::per_family::PerFamily;
use crate::wire::{Malformed, MessageKind};

/// Counters; they never go back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Messages received.
    pub received: Messages,
    /// Messages handed out to be sent.
    pub sent: Messages,
    /// Prefixes that the peer announced, all dropped.
    pub prefixes_announced: PerFamily<u64>,
    /// Prefixes that the peer withdrew.
    pub prefixes_withdrawn: PerFamily<u64>,
    /// Times the peer said that all its routes of a family were told.
    pub end_of_ribs: u64,
    /// UPDATEs with a fault that did not end the session.
    pub malformed_updates: u64,
    /// The last such fault.
    pub last_malformed: Option<Malformed>,
    /// Times the session came up.
    pub established: u64,
    /// Times it went down after that.
    pub dropped: u64,
    /// Attempts to connect.
    pub attempts: u64,
}

/// Messages by kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Messages {
    /// OPEN.
    pub open: u64,
    /// UPDATE.
    pub update: u64,
    /// NOTIFICATION.
    pub notification: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// ROUTE-REFRESH.
    pub route_refresh: u64,
}

impl Messages {
    /// Of all kinds.
    pub const fn total(&self) -> u64 {
        self.open + self.update + self.notification + self.keepalive + self.route_refresh
    }

    pub(crate) fn count(&mut self, kind: MessageKind) {
        *match kind {
            MessageKind::Open => &mut self.open,
            MessageKind::Update => &mut self.update,
            MessageKind::Notification => &mut self.notification,
            MessageKind::Keepalive => &mut self.keepalive,
            MessageKind::RouteRefresh => &mut self.route_refresh,
        } += 1;
    }
}
