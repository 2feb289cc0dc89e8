//! Counters since the start, for metrics.

use crate::event::Refusal;

/// What a member did and refused since it was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Datagrams that were membership's.
    pub datagrams_received: u64,
    /// Datagrams handed out.
    pub datagrams_sent: u64,
    /// Stream requests of others.
    pub streams_received: u64,
    /// Stream requests handed out.
    pub streams_sent: u64,
    /// Probes begun.
    pub probes: u64,
    /// Probes that nothing answered.
    pub probes_failed: u64,
    /// Times this node had to say that it lives.
    pub refutations: u64,
    /// Nodes asked to prove that they are back, since what was heard of them is old.
    pub challenges: u64,
    /// Datagrams and events that nobody fetched in time.
    pub overflowed: u64,
    /// Refusals by reason, in the order of [`Refusal::ALL`].
    pub refused: [u64; Refusal::ALL.len()],
}
