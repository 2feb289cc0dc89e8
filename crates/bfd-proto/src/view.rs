//! A session as status and metrics show it.

use std::num::NonZeroU8;
use std::time::Duration;

use crate::interval::Interval;
use crate::packet::{Diagnostic, Discriminator, State};
use crate::path::Path;

/// A session at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct View {
    /// Its number on this host, which the peer says in its packets.
    pub session: Discriminator,
    /// Between which addresses.
    pub path: Path,
    /// Our state.
    pub state: State,
    /// Why we left Up last; nothing while Up.
    pub diagnostic: Diagnostic,
    /// How often we send: both sides' wishes considered, before jitter.
    pub transmit: Interval,
    /// How often the peer may send, in force now.
    pub receive: Interval,
    /// Silence after which the path counts as lost; none before the peer was heard.
    pub detection_time: Option<Duration>,
    /// A change of ours waits for the peer's confirmation.
    pub polling: bool,
    /// The peer, as far as it was heard within the detection time.
    pub remote: Option<RemoteView>,
    /// Since the session was added.
    pub counters: Counters,
}

/// What the peer last said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RemoteView {
    /// Its number for the session.
    pub discriminator: Discriminator,
    /// Its state.
    pub state: State,
    /// Its last reason for leaving Up.
    pub diagnostic: Diagnostic,
    /// How often it wants to send.
    pub transmit: Interval,
    /// How often it can stand our packets.
    pub receive: Interval,
    /// How many of its packets may be missing.
    pub detect_multiplier: NonZeroU8,
}

/// Counted since the session was added.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Control packets accepted.
    pub received: u64,
    /// Control packets given out for sending.
    pub sent: u64,
    /// Times the session came up.
    pub ups: u64,
    /// Times it left Up for whatever reason but its removal.
    pub downs: u64,
    /// Times own lateness put off the verdict on a silent peer.
    pub graces: u64,
}
