//! One peer: the verbs. Facts and time come in, octets and events go out.
//!
//! ```text
//!            ┌──────── wait over ────────┐
//!            ▼                           │
//!  start ▶ Connect ──cannot connect──▶ Active     Idle ◀── every other end, damped
//!            │ ▲                         ▲          │
//!            │ └────────── wait over ────┼──────────┘
//!            ▼ connected: OPEN           │
//!         OpenSent ───closed by peer─────┘
//!            ▼ OPEN accepted: KEEPALIVE
//!         OpenConfirm
//!            ▼ KEEPALIVE
//!         Established: differences, End-of-RIB, refreshes
//! ```
//!
//! It always dials and never waits to be dialled. A second connection, dialled by the peer, has a
//! place beside the first one ([`Connection`] holds all that belongs to one of them), but no verb.

mod connection;
mod damping;
mod fsm;
mod receive;
mod timers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_addr::Family;
use ipnet::IpNet;

use self::connection::Connection;
use self::damping::{Damping, Fate};
use self::timers::{Timer, Timers};
use crate::attributes::PathAttributes;
use crate::config::Config;
use crate::event::{Bfd, Down, Event, Reason, Reset, Stop};
use crate::link::Link;
use crate::negotiation::{Negotiated, Offer};
use crate::rib::Rib;
use crate::stats::Stats;
use crate::wire::{MessageKind, Notification};

/// At least this many octets are handed out at once, if there are as many.
const BATCH: usize = 16 * 1024;

/// RFC 9687 4: at least this long, and twice the hold time.
const SEND_HOLD: Duration = Duration::from_mins(8);

/// States of a session (RFC 4271 8.2.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Waits before the next attempt, or is stopped.
    Idle,
    /// Dials.
    Connect,
    /// Waits before it dials again.
    Active,
    /// Has sent its OPEN.
    OpenSent,
    /// Has agreed to the peer's.
    OpenConfirm,
    /// Is up.
    Established,
}

/// The session with one peer.
#[derive(Clone, Debug)]
pub struct Session {
    config: Config,
    rng: fastrand::Rng,
    state: State,
    /// When `state` was entered.
    since: Duration,
    timers: Timers,
    damping: Damping,
    offer: Offer,
    bfd: Option<Bfd>,
    connection: Option<Connection>,
    /// The last message of a connection that is to be closed.
    farewell: Vec<u8>,
    rib: Rib,
    graceful_shutdown: bool,
    /// Until when a former process may have left routes at the peer (R bit).
    restarting_until: Option<Duration>,
    settling: Settling,
    stopped: bool,
    events: VecDeque<Event>,
    last_down: Option<Down>,
    stats: Stats,
}

impl Session {
    /// A session that dials at once. `seed` makes its jitter its own.
    pub fn new(config: Config, now: Duration, seed: u64) -> Self {
        let restarting_until = config
            .graceful_restart
            .filter(|restart| restart.restarted)
            .map(|restart| now.saturating_add(Duration::from_secs(restart.restart_time.into())));
        let mut timers = Timers::default();
        timers.set(Timer::Retry, Some(now));
        Self {
            config,
            rng: fastrand::Rng::with_seed(seed),
            state: State::Idle,
            since: now,
            timers,
            damping: Damping::default(),
            offer: Offer::default(),
            bfd: None,
            connection: None,
            farewell: Vec::new(),
            rib: Rib::default(),
            graceful_shutdown: false,
            restarting_until,
            settling: Settling::Told,
            stopped: false,
            events: VecDeque::new(),
            last_down: None,
            stats: Stats::default(),
        }
    }

    /// Announces `prefix` from now on with these attributes, or no longer. Bits behind the prefix
    /// length do not count.
    pub fn set_wanted(&mut self, prefix: IpNet, attributes: Option<Arc<PathAttributes>>) {
        self.settling = Settling::Open;
        self.rib.set_wanted(prefix, attributes);
    }

    /// Announces exactly these prefixes. Of two entries with one prefix the last counts.
    pub fn replace_wanted(
        &mut self,
        wanted: impl IntoIterator<Item = (IpNet, Arc<PathAttributes>)>,
    ) {
        self.settling = Settling::Open;
        self.rib.replace_wanted(wanted);
    }

    /// Everything that is wanted has been said once. Until then prefixes are announced, but the end
    /// of the table (End-of-RIB) is not: a peer that kept routes over a restart would drop those
    /// that are still missing.
    pub fn set_complete(&mut self) {
        self.settling = Settling::Open;
        self.rib.set_complete();
    }

    /// Whether every route asks to be avoided (RFC 8326): the community `GRACEFUL_SHUTDOWN`, and
    /// towards internal peers LOCAL_PREF 0.
    pub fn set_graceful_shutdown(&mut self, on: bool) {
        if std::mem::replace(&mut self.graceful_shutdown, on) != on {
            self.settling = Settling::Open;
            self.rib.resend();
        }
    }

    /// A new configuration. A session that cannot live under it ends (Cease, Other Configuration
    /// Change) and begins anew; timers and offers apply to the next one (RFC 4486 4).
    pub fn reconfigure(&mut self, now: Duration, config: Config) {
        let reset = self.config.needs_reset(&config);
        self.config = config;
        if reset {
            self.offer = Offer::default();
            self.reset(now, &Reset::Configuration);
        } else if let (State::Idle | State::Active, Some(connect_time), Some(at)) =
            (self.state, self.config.connect_time, self.timers.get(Timer::Retry))
        {
            self.timers.set(Timer::Retry, Some(at.min(now.saturating_add(connect_time))));
        }
    }

    /// Ends what there is and begins anew.
    pub fn reset(&mut self, now: Duration, why: &Reset) {
        if self.stopped {
            return;
        }
        // RFC 4486 4: Administrative Reset, Other Configuration Change.
        let (notification, fate) = match why {
            Reset::Administrative(text) => (Notification::cease_with_text(4, text), Fate::Quick),
            Reset::Configuration => (Notification::cease(6), Fate::Quick),
            Reset::AddressLost => (Notification::cease(6), Fate::Unreachable),
        };
        if fate == Fate::Quick {
            self.damping = Damping::default();
        }
        match self.state {
            State::Idle | State::Active => self.wait(now, fate),
            _ => self.end_with(now, notification, fate),
        }
    }

    /// Ends the session for good. What is left is to write what [`Session::poll_transmit`] gives.
    pub fn stop(&mut self, now: Duration, why: &Stop) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        // RFC 4486 4: Peer De-configured, Administrative Shutdown; RFC 8538 4: hard, since the
        // routes are to go.
        let last = match why {
            Stop::Deconfigured => Notification::cease(3),
            Stop::Restart(_) if self.keeps_routes() => {
                return self.end(now, Reason::PlannedRestart, Fate::Quick);
            }
            Stop::Shutdown(text) | Stop::Restart(text) => Notification::cease_with_text(2, text),
        };
        let last = self.hard(last);
        self.end_with(now, last, Fate::Quick);
    }

    /// The dial succeeded. A connection that is not asked for is closed.
    pub fn handle_connected(&mut self, now: Duration, link: Link) {
        match self.state {
            State::Connect | State::Active if !self.stopped => self.open(now, link),
            State::Idle | State::Connect | State::Active => self.events.push_back(Event::Close),
            // There is a connection already; the driver has only one.
            State::OpenSent | State::OpenConfirm | State::Established => {}
        }
    }

    /// The dial failed; `why` is for people.
    pub fn handle_connect_failed(&mut self, now: Duration, why: impl Into<Box<str>>) {
        if self.state == State::Connect {
            self.fail_to_connect(now, Reason::ConnectFailed(why.into()));
        }
    }

    /// Octets from the connection, in pieces of any size.
    pub fn handle_bytes(&mut self, now: Duration, bytes: &[u8]) {
        self.receive(now, bytes);
    }

    /// The connection was closed by the peer, or broke.
    pub fn handle_closed(&mut self, now: Duration) {
        match self.state {
            State::OpenSent | State::OpenConfirm | State::Established => {
                self.end(now, Reason::Closed, Fate::Rejected);
            }
            State::Idle | State::Connect | State::Active => {}
        }
    }

    /// BFD changed its mind about the path. Only a path that worked before can fail.
    pub fn handle_bfd(&mut self, now: Duration, bfd: Bfd) {
        let before = self.bfd.replace(bfd);
        match (before, bfd) {
            (Some(Bfd::Up), Bfd::Down) if self.connection.is_some() => {
                // RFC 9384 3: BFD Down, hard if a NOTIFICATION would leave the routes in place.
                let notification = self.hard(Notification::cease(10));
                self.end_with(now, notification, Fate::Rejected);
            }
            (_, Bfd::Up) if !self.damping.is_rejected() => {
                let soon = now.saturating_add(Duration::from_secs(1));
                if let (State::Idle | State::Active, Some(at)) =
                    (self.state, self.timers.get(Timer::Retry))
                {
                    self.timers.set(Timer::Retry, Some(at.min(soon)));
                }
            }
            _ => {}
        }
    }

    /// Does what is due. Harmless if called early.
    pub fn handle_timeout(&mut self, now: Duration) {
        for timer in Timer::ALL {
            if self.timers.fire(timer, now) {
                self.expire(now, timer);
            }
        }
    }

    /// Appends what is to be written next to `out`, if there is anything: whole messages, about 16
    /// KiB at once. Ask again only when all of it is written to the connection; that tells the
    /// session that the peer reads.
    pub fn poll_transmit(&mut self, now: Duration, out: &mut Vec<u8>) -> bool {
        self.timers.set(Timer::SendHold, None);
        if !self.farewell.is_empty() {
            out.append(&mut self.farewell);
            return true;
        }
        let Some(connection) = &mut self.connection else { return false };
        let start = out.len();
        if std::mem::take(&mut connection.open_due) {
            connection.own.encode(out);
            self.stats.sent.count(MessageKind::Open);
        }
        if std::mem::take(&mut connection.keepalive_due) {
            crate::wire::keepalive(out);
            self.stats.sent.count(MessageKind::Keepalive);
        }
        let mut done = false;
        if let (State::Established, Some(terms)) = (self.state, &connection.terms) {
            let encoding = terms.encoding(self.graceful_shutdown);
            let filled = self.rib.fill(
                out,
                start.saturating_add(BATCH),
                &encoding,
                terms.families,
                terms.enhanced_refresh,
            );
            self.stats.sent.update += filled.updates;
            self.stats.sent.route_refresh += filled.refreshes;
            done = filled.done;
            if self.restarting_until.is_some() && self.rib.is_told(terms.families) {
                self.restarting_until = None;
            }
        }
        if out.len() > start {
            self.arm_after_send(now);
            return true;
        }
        if done && self.settling == Settling::Open {
            self.settling = Settling::Reached;
        }
        false
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front().or_else(|| {
            // Never about a table that has changed since.
            let reached = self.settling == Settling::Reached;
            reached.then(|| {
                self.settling = Settling::Told;
                Event::Settled
            })
        })
    }

    /// When to call [`Session::handle_timeout`] next. May change with every other verb.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// The configuration in force.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The state, and since when.
    pub const fn state(&self) -> (State, Duration) {
        (self.state, self.since)
    }

    /// The terms of the session, while it is up.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        let up = self.state == State::Established;
        self.connection.as_ref().filter(|_| up)?.terms.as_ref()
    }

    /// How the last attempt or session ended.
    pub const fn last_down(&self) -> Option<&Down> {
        self.last_down.as_ref()
    }

    /// Counters.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Whether `prefix` was handed out to be sent, with the attributes that are wanted now. It is
    /// written once [`Event::Settled`] has been told.
    pub fn is_announced(&self, prefix: IpNet) -> bool {
        self.rib.is_announced(prefix)
    }

    /// Prefixes of `family` that were handed out in this session, and that are wanted.
    pub fn prefixes(&self, family: Family) -> Prefixes {
        Prefixes { announced: self.rib.announced(family), wanted: self.rib.wanted(family) }
    }
}

/// Whether the peer was told everything, and the driver that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Settling {
    /// Something may have to be sent.
    Open,
    /// All of it is written.
    Reached,
    /// The driver knows ([`Event::Settled`]).
    Told,
}

/// Number of prefixes of a family.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Prefixes {
    /// Those that the peer was told.
    pub announced: usize,
    /// Those that it should know.
    pub wanted: usize,
}

#[cfg(test)]
mod tests;
