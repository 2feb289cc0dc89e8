//! The intervals of a session that is Up: what we tell the peer, and what is in force meanwhile
//! (RFC 5880 6.8.3).
//!
//! ```text
//!             wish differs                  F heard
//!   Idle ───────────────────▶ Running ────────────────────▶ Rest
//!    ▲                     P in every packet                 │ answers to earlier
//!    └───────────────────────────────────────────────────────┘ packets have come in
//! ```
//!
//! Several packets with P may be on the way when the first answer comes, and the answers to the others are
//! not to be taken for those to the next sequence. So the next one waits as long again as this one took,
//! which is no less than a round trip.

use std::time::Duration;

use crate::config::Rates;
use crate::interval::Interval;

/// The poll sequences of one stay in Up.
#[derive(Clone, Debug)]
pub(crate) struct Negotiation {
    wanted: Rates,
    /// What our packets say.
    offered: Rates,
    /// What the peer is known to have taken note of; `offered` once a sequence is over.
    confirmed: Rates,
    poll: Poll,
}

#[derive(Clone, Copy, Debug)]
enum Poll {
    Idle,
    Running { since: Duration },
    Rest { until: Duration },
}

impl Negotiation {
    /// The session came up, having said `slow` so far.
    pub(crate) fn start(now: Duration, slow: Rates, wanted: Rates) -> Self {
        Self { wanted, offered: wanted, confirmed: slow, poll: Poll::Running { since: now } }
    }

    /// The wish changed.
    pub(crate) fn want(&mut self, now: Duration, wanted: Rates) {
        self.wanted = wanted;
        self.offer(now);
    }

    /// A packet with F came.
    pub(crate) fn handle_final(&mut self, now: Duration) {
        if let Poll::Running { since } = self.poll {
            self.confirmed = self.offered;
            self.poll = Poll::Rest { until: now + now.saturating_sub(since) };
        }
    }

    /// Returns whether a new sequence begins.
    pub(crate) fn handle_timeout(&mut self, now: Duration) -> bool {
        match self.poll {
            Poll::Rest { until } if until <= now => {
                self.poll = Poll::Idle;
                self.offer(now);
                self.is_polling()
            }
            _ => false,
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        match self.poll {
            Poll::Rest { until } => Some(until),
            Poll::Idle | Poll::Running { .. } => None,
        }
    }

    pub(crate) fn is_polling(&self) -> bool {
        matches!(self.poll, Poll::Running { .. })
    }

    pub(crate) fn offered(&self) -> Rates {
        self.offered
    }

    /// RFC 5880 6.8.3: a longer transmit interval waits until the peer is known to expect it.
    pub(crate) fn transmit(&self) -> Interval {
        self.offered.transmit.min(self.confirmed.transmit)
    }

    /// RFC 5880 6.8.3: so does a shorter detection time, until the peer is known to send faster.
    pub(crate) fn receive(&self) -> Interval {
        self.offered.receive.max(self.confirmed.receive)
    }

    fn offer(&mut self, now: Duration) {
        if matches!(self.poll, Poll::Idle) && self.offered != self.wanted {
            self.offered = self.wanted;
            self.poll = Poll::Running { since: now };
        }
    }
}
