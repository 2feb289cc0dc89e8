//! What a session tells its driver.

use std::fmt;
use std::time::Duration;

use crate::negotiation::Negotiated;
use crate::wire::Notification;

/// Something to do or to tell.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// Dial the peer, then call `handle_connected` or `handle_connect_failed`.
    Connect,
    /// Give up the dial or the connection. What `poll_transmit` still gives is written first, within
    /// a bound, and nothing of this connection is handed in any longer.
    Close,
    /// The session is up, and prefixes go out.
    Established(Box<Negotiated>),
    /// Everything that can be announced is written to the connection.
    Settled,
    /// An attempt or a session ended.
    Down(Down),
}

/// How an attempt or a session ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Down {
    /// Whether the session was up.
    pub was_established: bool,
    /// Why it ended.
    pub reason: Reason,
    /// When the next attempt begins; `None` if there is none.
    pub retry_at: Option<Duration>,
}

/// Why an attempt or a session ended. Prints in words, safe to show.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The connection could not be made, as the driver says.
    ConnectFailed(Box<str>),
    /// It was not made in time.
    ConnectTimedOut,
    /// The peer closed it without a word, or it broke.
    Closed,
    /// The peer said why.
    Received(Notification),
    /// We said why.
    Sent(Notification),
    /// Closed without a word, so that the peer keeps the routes over our restart.
    PlannedRestart,
    /// Given up before there was a connection.
    GivenUp,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectFailed(why) => write!(f, "cannot connect: {why}"),
            Self::ConnectTimedOut => f.write_str("cannot connect: no answer in time"),
            Self::Closed => f.write_str("connection closed by the peer"),
            Self::Received(notification) => write!(f, "peer ended the session: {notification}"),
            Self::Sent(notification) => write!(f, "session ended: {notification}"),
            Self::PlannedRestart => f.write_str("closed for a graceful restart"),
            Self::GivenUp => f.write_str("given up before there was a connection"),
        }
    }
}

/// What BFD says about the path to the peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bfd {
    /// It works.
    Up,
    /// It worked and does not any longer.
    Down,
    /// The peer's BFD was switched off by its operator, which is no fault of the path.
    AdminDown,
}

/// Why a session stops for good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stop {
    /// The peer is no longer configured on this node.
    Deconfigured,
    /// The process ends and the routes are to go with it; with a text for the peer's operators.
    Shutdown(Box<str>),
    /// The process ends and a successor will take over: without a word if the peer agreed to keep
    /// the routes, else as a shutdown with this text.
    Restart(Box<str>),
}

/// Why a session begins anew.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reset {
    /// An operator wants it; with a text for those of the peer.
    Administrative(Box<str>),
    /// The driver's part of the configuration changed (address, port, password, TTL).
    Configuration,
    /// The local address or the interface is gone: tried again at the pace of an unreachable peer.
    AddressLost,
}
