//! Counters and a view of each peer, for metrics and people.

use std::sync::Arc;
use std::time::Duration;

use crate::wire::Reject;

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Datagrams handed to the driver.
    pub sent: u64,
    /// Datagrams handed in, dropped ones included.
    pub received: u64,
    pub(crate) rejected: [u64; Reject::ALL.len()],
    /// Peers that passed their deadline.
    pub silences: u64,
    /// Peers declared dead here.
    pub deaths: u64,
    /// Times this node refuted its own death.
    pub refutations: u64,
    /// Peers that lived but were not heard here.
    pub broken_paths: u64,
    /// Times this thread was late enough to move deadlines.
    pub late_wakes: u64,
    /// Events dropped because the driver did not fetch them.
    pub events_lost: u64,
}

impl Stats {
    /// Datagrams dropped for `reason`.
    pub fn rejected(&self, reason: Reject) -> u64 {
        self.rejected[reason.index()]
    }
}

/// What this node thinks of a peer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerView {
    /// Who.
    pub name: Arc<str>,
    /// Its standing.
    pub view: View,
    /// Time since it was last heard; none if never.
    pub age: Option<Duration>,
    /// Time without a word after which it is silent.
    pub limit: Duration,
    /// Whether it says it stands for election.
    pub eligible: bool,
    /// Whether it says it is leaving.
    pub draining: bool,
}

/// Standing of a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum View {
    /// Never heard, or gone after taking leave.
    Unheard,
    /// Heard within its deadline.
    Alive,
    /// Past its deadline and still counted.
    Silent,
    /// Declared dead.
    Dead,
}
