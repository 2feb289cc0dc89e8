//! The timers of a session.

use std::time::Duration;

/// What a timer is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Timer {
    /// Idle and Active: begin the next attempt. Connect: the attempt takes too long.
    Retry,
    /// The peer is silent for too long.
    Hold,
    /// It is time for a sign of life.
    Keepalive,
    /// The peer does not read (RFC 9687).
    SendHold,
}

impl Timer {
    pub(super) const ALL: [Self; 4] = [Self::Retry, Self::Hold, Self::Keepalive, Self::SendHold];
}

#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    retry: Option<Duration>,
    hold: Option<Duration>,
    keepalive: Option<Duration>,
    send_hold: Option<Duration>,
}

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Option<Duration>) {
        *self.slot(timer) = at;
    }

    pub(super) fn get(&self, timer: Timer) -> Option<Duration> {
        match timer {
            Timer::Retry => self.retry,
            Timer::Hold => self.hold,
            Timer::Keepalive => self.keepalive,
            Timer::SendHold => self.send_hold,
        }
    }

    pub(super) fn stop_all(&mut self) {
        *self = Self::default();
    }

    pub(super) fn next(&self) -> Option<Duration> {
        Timer::ALL.into_iter().filter_map(|timer| self.get(timer)).min()
    }

    /// Takes `timer` if it is due.
    pub(super) fn fire(&mut self, timer: Timer, now: Duration) -> bool {
        let due = self.get(timer).is_some_and(|at| at <= now);
        if due {
            self.set(timer, None);
        }
        due
    }

    fn slot(&mut self, timer: Timer) -> &mut Option<Duration> {
        match timer {
            Timer::Retry => &mut self.retry,
            Timer::Hold => &mut self.hold,
            Timer::Keepalive => &mut self.keepalive,
            Timer::SendHold => &mut self.send_hold,
        }
    }
}
