//! What is wished for a session; all of it can be changed while the session lives.

use std::num::NonZeroU8;

use crate::interval::Interval;

/// The wishes of one side. The default is what an empty profile means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Config {
    /// Shortest distance between our packets (`bfd.DesiredMinTxInterval`).
    pub transmit: Interval,
    /// Shortest distance between the peer's packets that we can stand (`bfd.RequiredMinRxInterval`).
    pub receive: Interval,
    /// After how many missing packets of ours the peer gives up (`bfd.DetectMult`).
    pub detect_multiplier: NonZeroU8,
    /// Passive role: silent until the peer was heard. Two passive sides never meet.
    pub passive: bool,
    /// Multihop only: the least TTL a packet may have left. 254 allows for one router.
    pub min_ttl: u8,
    /// The wish for echo packets and their distance. Not acted on: we neither send them nor ask for them.
    pub echo: Option<Interval>,
}

impl Config {
    /// No wish goes below this, whatever it says: zero means "never" on the wire, and next to zero
    /// would be nothing but load.
    pub(crate) const FASTEST: Interval = Interval::from_millis(1);

    /// The wished intervals, within bounds.
    pub(crate) fn rates(&self) -> Rates {
        Rates {
            transmit: self.transmit.max(Self::FASTEST),
            receive: self.receive.max(Self::FASTEST),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            transmit: Interval::from_millis(300),
            receive: Interval::from_millis(300),
            detect_multiplier: NonZeroU8::MIN.saturating_add(2),
            passive: false,
            min_ttl: 254,
            echo: None,
        }
    }
}

/// The two intervals one side says in its packets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rates {
    pub(crate) transmit: Interval,
    pub(crate) receive: Interval,
}

impl Rates {
    /// RFC 5880 6.8.3: a session that is not Up wants to send no more than once a second.
    pub(crate) const SLOW: Interval = Interval::from_millis(1000);

    pub(crate) fn slow(self) -> Self {
        Self { transmit: self.transmit.max(Self::SLOW), ..self }
    }
}
