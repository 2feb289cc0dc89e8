//! Transitions (RFC 4271 8.2.2).

use std::time::Duration;

use super::connection::Connection;
use super::damping::{Damping, Fate, STABLE, jitter};
use super::timers::Timer;
use super::{SEND_HOLD, Session, Settling, State};
use crate::event::{Down, Event, Reason};
use crate::link::Link;
use crate::negotiation::{Negotiated, Offer};
use crate::wire::{MessageKind, Notification};

/// RFC 4271 8.2.2: "a suggested value of 4 minutes" until both sides have spoken.
const LARGE_HOLD: Duration = Duration::from_mins(4);

/// Longest dial, unless configured.
const CONNECT: Duration = Duration::from_secs(30);

impl Session {
    /// Idle, Active → Connect, and Connect once more.
    fn dial(&mut self, now: Duration) {
        self.enter(now, State::Connect);
        self.stats.attempts += 1;
        let limit = self.config.connect_time.unwrap_or(CONNECT);
        self.timers.set(Timer::Retry, Some(now.saturating_add(limit)));
        self.events.push_back(Event::Connect);
    }

    /// Connect → OpenSent.
    pub(super) fn open(&mut self, now: Duration, link: Link) {
        self.damping.reached();
        let restarting = self.restarting_until.is_some_and(|until| now < until);
        let own = self.offer.open(&self.config, &link, restarting);
        self.farewell.clear();
        self.connection = Some(Connection::new(link, own));
        self.enter(now, State::OpenSent);
        self.timers.set(Timer::Retry, None);
        self.timers.set(Timer::Hold, Some(now.saturating_add(LARGE_HOLD)));
    }

    /// OpenSent → OpenConfirm.
    pub(super) fn confirm(&mut self, now: Duration, terms: Negotiated) {
        if let Some(connection) = &mut self.connection {
            connection.keepalive_due = true;
            connection.terms = Some(terms);
        }
        self.enter(now, State::OpenConfirm);
        self.restart_hold(now);
    }

    /// OpenConfirm → Established.
    pub(super) fn establish(&mut self, now: Duration) {
        self.enter(now, State::Established);
        self.stats.established += 1;
        self.rib.forget_sent();
        self.settling = Settling::Open;
        self.restart_hold(now);
        if let Some(terms) = self.connection.as_ref().and_then(|link| link.terms.clone()) {
            self.events.push_back(Event::Established(Box::new(terms)));
        }
    }

    /// A sign of life. With a hold time of 0 there is no timer (RFC 4271 4.2).
    pub(super) fn restart_hold(&mut self, now: Duration) {
        let hold = self
            .connection
            .as_ref()
            .and_then(|connection| connection.terms.as_ref())
            .map(|terms| terms.hold_time.duration());
        if let Some(hold) = hold {
            self.timers.set(Timer::Hold, hold.map(|hold| now.saturating_add(hold)));
        }
    }

    /// Messages were handed out: the next keepalive counts from here, and they have to be written.
    pub(super) fn arm_after_send(&mut self, now: Duration) {
        let terms = self.connection.as_ref().and_then(|connection| connection.terms.as_ref());
        let hold = terms.and_then(|terms| terms.hold_time.duration()).unwrap_or_default();
        let keepalive = terms.and_then(|terms| terms.keepalive_time);
        // RFC 4271 10: jitter.
        let keepalive = keepalive.map(|time| now.saturating_add(jitter(&mut self.rng, time)));
        self.timers.set(Timer::Keepalive, keepalive);
        // RFC 9687 4: SendHoldTime.
        self.timers.set(Timer::SendHold, Some(now.saturating_add(SEND_HOLD.max(hold * 2))));
    }

    pub(super) fn expire(&mut self, now: Duration, timer: Timer) {
        match timer {
            Timer::Retry => {
                if self.state == State::Connect {
                    self.last_down = Some(Down {
                        was_established: false,
                        reason: Reason::ConnectTimedOut,
                        retry_at: Some(now),
                    });
                    self.events.extend(self.last_down.clone().map(Event::Down));
                    self.events.push_back(Event::Close);
                }
                self.dial(now);
            }
            // RFC 4271 6.5: Hold Timer Expired.
            Timer::Hold => self.end_with(now, Notification::new(4, 0), Fate::Rejected),
            Timer::Keepalive => {
                if let Some(connection) = &mut self.connection {
                    connection.keepalive_due = true;
                }
            }
            // RFC 9687 4: Send Hold Timer Expired.
            Timer::SendHold => self.end_with(now, Notification::new(8, 0), Fate::Rejected),
        }
    }

    /// Connect → Active.
    pub(super) fn fail_to_connect(&mut self, now: Duration, reason: Reason) {
        self.enter(now, State::Active);
        self.wait(now, Fate::Unreachable);
        self.tell_down(false, reason);
    }

    /// Ends the connection with a word of ours, if there is one; `fate` is for a session that was
    /// not stable.
    pub(super) fn end_with(&mut self, now: Duration, last: Notification, fate: Fate) {
        // A dial is given up without a word.
        let connected = self.connection.is_some();
        self.end(now, if connected { Reason::Sent(last) } else { Reason::GivenUp }, fate);
    }

    /// Ends whatever there is; with a word if that is the reason.
    pub(super) fn end(&mut self, now: Duration, reason: Reason, fate: Fate) {
        let was_established = self.state == State::Established;
        let busy = matches!(
            self.state,
            State::Connect | State::OpenSent | State::OpenConfirm | State::Established
        );
        let stable = was_established && now.saturating_sub(self.since) >= STABLE;
        let closed_early = self.state == State::OpenSent && reason == Reason::Closed;
        self.timers.stop_all();
        if self.connection.take().is_some() {
            self.farewell.clear();
        }
        if let Reason::Sent(last) = &reason {
            last.encode(&mut self.farewell);
            self.stats.sent.count(MessageKind::Notification);
        }
        // RFC 4271 8.2.2: only a connection that is closed in OpenSent leads to Active.
        self.enter(now, if closed_early { State::Active } else { State::Idle });
        self.settling = Settling::Told;
        if was_established {
            self.stats.dropped += 1;
            self.rib.forget_sent();
            // What was refused once is offered again to the next session: the peer may be another
            // release by then, and a family would be missing for good.
            self.offer = Offer::Full;
        }
        let fate = if stable && fate == Fate::Rejected {
            self.damping = Damping::default();
            Fate::Quick
        } else {
            fate
        };
        if !self.stopped {
            self.wait(now, fate);
        }
        if busy {
            self.events.push_back(Event::Close);
        }
        self.tell_down(was_established, reason);
    }

    /// Sets the time of the next attempt.
    pub(super) fn wait(&mut self, now: Duration, fate: Fate) {
        let wait = self.damping.wait(fate, self.config.connect_time, &mut self.rng);
        self.timers.set(Timer::Retry, Some(now.saturating_add(wait)));
    }

    /// `last` as a hard reset, if the peer would keep the routes otherwise (RFC 8538 3).
    pub(super) fn hard(&self, last: Notification) -> Notification {
        let hard = self.negotiated().is_some_and(|terms| terms.graceful_notification);
        if hard { last.hard() } else { last }
    }

    /// Whether the peer keeps our routes when the connection ends without a word.
    pub(super) fn keeps_routes(&self) -> bool {
        self.negotiated().is_some_and(|terms| terms.graceful_restart)
    }

    fn tell_down(&mut self, was_established: bool, reason: Reason) {
        let retry_at = self.timers.get(Timer::Retry);
        let down = Down { was_established, reason, retry_at };
        self.last_down = Some(down.clone());
        self.events.push_back(Event::Down(down));
    }

    fn enter(&mut self, now: Duration, state: State) {
        self.state = state;
        self.since = now;
    }
}
