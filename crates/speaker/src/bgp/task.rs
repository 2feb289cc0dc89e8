//! The task of one peer: a loop around the session of `bgp-proto`, as its documentation has it.
//!
//! ```text
//!   orders ──► wishes, terms, leave ─┐
//!   line ────► connected, octets ────┼──► Session ──► line: dial, write, hang up
//!   BFD ─────► up, down ─────────────┤        └─────► reporter: view, told, happenings
//!   clock ───► poll_timeout ─────────┘
//! ```
//!
//! Nothing here waits for the peer: what it does not read waits in the session, as differences.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_addr::Family;
use ferrolb_bgp_proto::{Down, Event, Negotiated, Prefixes, Reason, Reset, Session, Stop};
use ferrolb_sys::monotonic_now;
use ipnet::IpNet;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tracing::debug;

use super::counting::{Counting, prefixes, received};
use super::line::{Line, Progress};
use super::news::{Happening, Reporter, View};
use super::orders::{Leave, Orders, Pending, Wish};
use super::path::{Engine, Watched};
use super::terms::Terms;

/// The longest a leaving session waits for its withdrawals to be written.
const WITHDRAW: Duration = Duration::from_secs(1);
/// How old a count of received prefixes may be in what is shown.
const STALE: Duration = Duration::from_secs(30);

/// The task of one peer.
pub(super) struct Task {
    pub(super) terms: Terms,
    pub(super) session: Session,
    pub(super) orders: Orders,
    pub(super) reporter: Reporter,
    pub(super) engine: Engine,
    pub(super) counting: Counting,
    pub(super) line: Line,
    pub(super) watched: Watched,
    pub(super) books: Books,
    pub(super) leaving: Leaving,
    /// Connections that are being closed.
    pub(super) farewells: JoinSet<()>,
}

/// What was told, and to be told, to people and to the owner.
pub(super) struct Books {
    /// All prefixes that are wanted.
    wanted: BTreeSet<IpNet>,
    /// Those of which the peer may not know the newest.
    unsettled: BTreeSet<IpNet>,
    /// What the peer had announced when the session came up.
    received_before: u64,
    since: Timestamp,
    last_error: Option<(Arc<str>, Timestamp)>,
    shown: Option<View>,
    shown_at: Duration,
}

/// How far the end has come.
#[derive(Debug)]
pub(super) enum Leaving {
    /// Not begun.
    No,
    /// Routers are asked to take other ways, until then.
    Asking(Duration, Box<str>),
    /// Routes are taken back, until then at the latest.
    Withdrawing(Duration, Box<str>),
    /// The session has stopped.
    Gone,
}

impl Books {
    pub(super) fn new() -> Self {
        Self {
            wanted: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            received_before: 0,
            since: Timestamp::now(),
            last_error: None,
            shown: None,
            shown_at: Duration::ZERO,
        }
    }
}

impl Task {
    /// Takes what was wanted before the task began.
    pub(super) fn begin(&mut self) {
        let pending = self.orders.take();
        self.obey(pending);
    }

    /// Runs until the owner has asked for the end and it is reached.
    pub(super) async fn run(mut self) {
        self.watched.follow(&self.engine, &self.terms);
        loop {
            self.turn();
            if matches!(self.leaving, Leaving::Gone) && matches!(self.line, Line::Idle) {
                break;
            }
            let wake = self.wake();
            tokio::select! {
                () = self.orders.arrived() => {
                    let pending = self.orders.take();
                    self.obey(pending);
                }
                progress = self.line.next() => self.take(progress),
                bfd = self.watched.changed() => {
                    debug!(peer = %self.terms.peer().name, ?bfd, "BFD says");
                    self.session.handle_bfd(monotonic_now(), bfd);
                }
                () = sleep_until(wake) => {}
                Some(_) = self.farewells.join_next() => {}
            }
        }
        // At once, since another peer may take over the address.
        drop(self.watched);
        drop(self.counting);
        while self.farewells.join_next().await.is_some() {}
    }

    fn wake(&self) -> Option<Duration> {
        let leaving = match self.leaving {
            Leaving::Asking(until, _) | Leaving::Withdrawing(until, _) => Some(until),
            Leaving::No | Leaving::Gone => None,
        };
        self.session.poll_timeout().into_iter().chain(leaving).min()
    }

    fn take(&mut self, progress: Progress) {
        let now = monotonic_now();
        match progress {
            Progress::Connected(stream, link) => {
                self.line = Line::up(stream);
                self.session.handle_connected(now, link);
            }
            Progress::Refused(why) => {
                self.line = Line::Idle;
                self.session.handle_connect_failed(now, why);
            }
            Progress::Received(count) => {
                self.session.handle_bytes(now, self.line.received(count));
            }
            Progress::Written => {}
            Progress::Closed => {
                self.line = Line::Idle;
                self.session.handle_closed(now);
            }
        }
    }

    fn obey(&mut self, pending: Pending) {
        let Pending { wishes, terms, leave } = pending;
        if let Some(terms) = terms {
            self.change(*terms);
        }
        if matches!(self.leaving, Leaving::No) {
            for (prefix, wish) in wishes {
                self.wish(prefix, wish);
            }
        }
        if let Some(leave) = leave {
            self.leave(leave);
        }
    }

    fn wish(&mut self, prefix: IpNet, wish: Wish) {
        let changed = match &wish {
            Some(_) => self.wanted().insert(prefix),
            None => self.wanted().remove(&prefix),
        };
        if wish.is_some() || changed {
            self.books.unsettled.insert(prefix);
        }
        self.session.set_wanted(prefix, wish);
    }

    fn wanted(&mut self) -> &mut BTreeSet<IpNet> {
        &mut self.books.wanted
    }

    /// Another configuration: what can change while the session is up does.
    fn change(&mut self, terms: Terms) {
        let now = monotonic_now();
        let reason = self.terms.reset_reason(&terms);
        let restarted = self.session.config().graceful_restart.is_some_and(|it| it.restarted);
        let families = self.terms.families() != terms.families();
        let redial = self.terms.target() != terms.target() || self.terms.tcp() != terms.tcp();
        self.terms = terms;
        if let Some(reason) = reason {
            self.reporter.happened(Happening::Reset(reason.to_string().into()));
        }
        self.session.reconfigure(now, self.terms.session(restarted));
        if redial {
            self.session.reset(now, &Reset::Configuration);
        }
        if families {
            self.books.unsettled.clone_from(&self.books.wanted);
        }
        self.watched.follow(&self.engine, &self.terms);
        self.counting.rename(self.terms.target().to_string());
    }

    fn leave(&mut self, leave: Leave) {
        let now = monotonic_now();
        let terms = self.session.negotiated();
        let keeps_routes = terms.is_some_and(|terms| terms.graceful_restart);
        match leave {
            Leave::Deconfigured => self.stop(now, &Stop::Deconfigured),
            Leave::Restart { text, .. } if keeps_routes => self.stop(now, &Stop::Restart(text)),
            Leave::Shutdown { grace, text } | Leave::Restart { grace, text } => {
                if matches!(self.leaving, Leaving::No) {
                    self.session.set_graceful_shutdown(true);
                    self.leaving = Leaving::Asking(now.saturating_add(grace), text);
                }
            }
        }
    }

    fn stop(&mut self, now: Duration, why: &Stop) {
        self.session.stop(now, why);
        self.leaving = Leaving::Gone;
    }

    /// Takes the next step of leaving; whether there was one to take.
    fn go_on_leaving(&mut self, now: Duration) -> bool {
        let is_up = self.session.negotiated().is_some();
        let announced = |family| self.session.prefixes(family).announced > 0;
        let announces = is_up && Family::BOTH.into_iter().any(announced);
        match &self.leaving {
            Leaving::Asking(until, text) if now >= *until || !announces => {
                let text = text.clone();
                self.session.replace_wanted([]);
                self.leaving = Leaving::Withdrawing(now.saturating_add(WITHDRAW), text);
            }
            Leaving::Withdrawing(until, text) if now >= *until || !is_up => {
                let text = text.clone();
                self.stop(now, &Stop::Shutdown(text));
            }
            _ => return false,
        }
        true
    }

    /// Does what is due, until there is nothing more to do at once.
    fn turn(&mut self) {
        let now = monotonic_now();
        self.session.handle_timeout(now);
        self.pump(now);
        while self.go_on_leaving(now) {
            self.pump(now);
        }
        let received = self.received();
        self.counting.update(&self.session, received, self.line.unwritten());
        self.show(now);
    }

    /// Acts on what the session says and hands out what it has to send.
    fn pump(&mut self, now: Duration) {
        loop {
            while let Some(event) = self.session.poll_event() {
                self.heed(now, event);
            }
            let handed_out = match self.line.vacant() {
                Some(out) => self.session.poll_transmit(now, out),
                None => false,
            };
            if handed_out {
                break;
            }
            match self.session.poll_event() {
                Some(event) => self.heed(now, event),
                None => break,
            }
        }
    }

    fn heed(&mut self, now: Duration, event: Event) {
        match event {
            Event::Connect => {
                // The route may be another one than at the last attempt.
                self.watched.follow(&self.engine, &self.terms);
                self.line = Line::dial(&self.terms);
            }
            Event::Close => {
                let mut last = Vec::new();
                while self.session.poll_transmit(now, &mut last) {}
                if let Some(farewell) = self.line.hang_up(last) {
                    self.farewells.spawn(farewell);
                }
                self.line = Line::Idle;
            }
            Event::Established(terms) => {
                self.books.since = Timestamp::now();
                self.books.unsettled.clone_from(&self.books.wanted);
                self.books.received_before = received(&self.session);
                self.reporter.happened(Happening::Up(with(&terms).into()));
            }
            Event::Settled => {
                if let Leaving::Withdrawing(until, _) = &mut self.leaving {
                    *until = now;
                }
                self.settle();
            }
            Event::Down(down) => self.went_down(&down),
        }
    }

    /// Everything that was to be sent is written.
    fn settle(&mut self) {
        let unsettled = std::mem::take(&mut self.books.unsettled);
        let told: Vec<_> = unsettled
            .into_iter()
            .map(|prefix| (prefix, self.session.is_announced(prefix)))
            .collect();
        if !told.is_empty() {
            self.reporter.told(told);
        }
    }

    fn went_down(&mut self, down: &Down) {
        self.counting.went_down(down);
        let why: Arc<str> = down.reason.to_string().into();
        let now = Timestamp::now();
        if down.was_established {
            self.books.since = now;
            self.reporter.forgotten();
        }
        if down.reason == Reason::GivenUp {
            // Of our own accord, which was told when it was decided.
            return;
        }
        let news = self.books.last_error.as_ref().is_none_or(|(known, _)| *known != why);
        if down.was_established || news {
            self.books.last_error = Some((Arc::clone(&why), now));
            self.reporter.happened(Happening::Down { was_up: down.was_established, why });
        }
    }

    /// Prefixes that the peer announces, as far as that can be said without keeping them.
    fn received(&self) -> u64 {
        let is_up = self.session.negotiated().is_some();
        let received = received(&self.session).saturating_sub(self.books.received_before);
        if is_up { received } else { 0 }
    }

    /// Tells the owner how the session is doing, when that changed.
    fn show(&mut self, now: Duration) {
        let (state, _) = self.session.state();
        let Prefixes { wanted, announced } = prefixes(&self.session);
        let received = self.received();
        let terms = self.session.negotiated();
        let mut view = View {
            state,
            since: self.books.since,
            last_error: self.books.last_error.clone(),
            terms: terms.cloned().map(Box::new),
            wanted,
            sent: if terms.is_some() { announced } else { 0 },
            received,
            bfd_up: self.watched.is_up(),
        };
        if let Some(shown) = &self.books.shown {
            // Routes of the peer come and go; that alone is told now and then.
            let fresh = now.saturating_sub(self.books.shown_at) < STALE;
            if fresh && shown.terms.is_some() == view.terms.is_some() && shown.state == view.state {
                view.received = shown.received;
            }
            if *shown == view {
                return;
            }
        }
        self.books.shown = Some(view.clone());
        self.books.shown_at = now;
        self.reporter.show(view);
    }
}

/// Whom a session is with, for people.
fn with(terms: &Negotiated) -> String {
    let families: Vec<&str> = terms.families.iter().map(name_of).collect();
    let host = terms.peer_host_name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
    format!(
        "with AS {} router {}{host}: {}, hold time {}",
        terms.peer_asn,
        terms.peer_id,
        families.join(" and "),
        terms.hold_time
    )
}

/// The name of a family, as in the status of a session.
pub(crate) const fn name_of(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4-unicast",
        Family::V6 => "ipv6-unicast",
    }
}

/// Sleeps until `at` on the clock of sessions; for ever if there is no such time.
async fn sleep_until(at: Option<Duration>) {
    match at {
        Some(at) => tokio::time::sleep(at.saturating_sub(monotonic_now())).await,
        None => std::future::pending().await,
    }
}
