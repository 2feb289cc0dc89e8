//! Two nodes of ours that answer for one address: a move under way, or a disagreement?

use std::time::Duration;

/// How long a move may take: the loser hears of it, and stops.
const SETTLE: Duration = Duration::from_millis(300);
/// A disagreement is told again so long after it was told.
const AGAIN: Duration = Duration::from_secs(1);
/// How long an answer is waited for.
const WAIT: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Rivalry {
    /// From then on the other node should not speak any more.
    ripe: Duration,
    pub(super) next: Duration,
    asked: bool,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Wait,
    Ask,
    Over,
}

impl Rivalry {
    /// The other node spoke for the first time.
    pub(super) fn new(now: Duration) -> Self {
        Self { ripe: now + SETTLE, next: now + SETTLE, asked: false }
    }

    /// The other node spoke. Returns whether that is to be told.
    pub(super) fn hear(&mut self, now: Duration) -> bool {
        let is_ripe = now >= self.ripe;
        if is_ripe {
            *self = Self { ripe: now + AGAIN, next: now + AGAIN, asked: false };
        }
        is_ripe
    }

    /// Time passed.
    pub(super) fn advance(&mut self, now: Duration) -> Step {
        if now < self.next {
            return Step::Wait;
        }
        if std::mem::replace(&mut self.asked, true) {
            return Step::Over;
        }
        self.next = now + WAIT;
        Step::Ask
    }
}
