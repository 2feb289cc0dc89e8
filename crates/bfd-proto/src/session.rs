//! One session: the state machine of RFC 5880 6.8 and its two timers.

#[cfg(test)]
mod tests;

use std::num::NonZeroU8;
use std::time::Duration;

use crate::config::{Config, Rates};
use crate::event::{Change, Side};
use crate::interval::Interval;
use crate::negotiation::Negotiation;
use crate::packet::{Diagnostic, Discriminator, Packet, State};
use crate::path::Path;
use crate::view::{Counters, RemoteView, View};

/// Lateness of a timer that says nothing about the load of the host.
const PUNCTUAL: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Session {
    discriminator: Discriminator,
    path: Path,
    config: Config,
    phase: Phase,
    /// `bfd.LocalDiag`
    diagnostic: Diagnostic,
    /// `None` while `bfd.RemoteDiscr` is zero.
    remote: Option<Remote>,
    schedule: Schedule,
    /// A packet with F is owed.
    answer: bool,
    /// A packet is due.
    due: bool,
    counters: Counters,
}

/// `bfd.SessionState`, with what is known only in that state.
#[derive(Debug)]
enum Phase {
    /// On the way out: the peer is told until then.
    AdminDown {
        until: Duration,
    },
    Down,
    Init,
    Up(Negotiation),
}

/// What the peer's last packet said.
#[derive(Clone, Copy, Debug)]
struct Remote {
    discriminator: Discriminator,
    state: State,
    diagnostic: Diagnostic,
    min_rx: Interval,
    desired_tx: Interval,
    multiplier: NonZeroU8,
    demand: bool,
    heard: Duration,
    /// We were late to listen: no verdict before.
    grace: Option<Duration>,
}

/// When the last packet left, and which part of the interval passes until the next one.
#[derive(Debug)]
struct Schedule {
    rng: fastrand::Rng,
    last: Option<Duration>,
    /// In thousandths.
    part: u32,
}

impl Session {
    pub(crate) fn new(discriminator: Discriminator, path: Path, config: Config, seed: u64) -> Self {
        Self {
            discriminator,
            path,
            config,
            phase: Phase::Down,
            diagnostic: Diagnostic::None,
            remote: None,
            schedule: Schedule { rng: fastrand::Rng::with_seed(seed), last: None, part: 1000 },
            answer: false,
            due: false,
            counters: Counters::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn min_ttl(&self) -> u8 {
        self.config.min_ttl
    }

    /// Whether it was removed and only takes its leave.
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::AdminDown { .. })
    }

    pub(crate) fn update(&mut self, now: Duration, config: Config) {
        let before = (self.offered(), self.config.detect_multiplier);
        self.config = config;
        if let Phase::Up(negotiation) = &mut self.phase {
            negotiation.want(now, config.rates());
        }
        if before != (self.offered(), config.detect_multiplier) {
            self.send_soon(now);
        }
    }

    /// RFC 5880 6.8.16: the peer learns that this is an order and no failure. Without a peer there is
    /// nobody to tell, and the session is over at once.
    pub(crate) fn leave(&mut self, now: Duration) {
        let patience =
            self.transmit_interval().duration() * self.config.detect_multiplier.get().into();
        let until = if self.remote.is_some() { now + patience } else { now };
        self.enter(now, Phase::AdminDown { until }, Diagnostic::AdministrativelyDown);
    }

    /// A packet that passed every check of RFC 5880 6.8.6 up to the state variables.
    pub(crate) fn handle_packet(&mut self, at: Duration, packet: &Packet) -> Option<Change> {
        let heard = self.remote.map_or(at, |remote| remote.heard.max(at));
        self.remote = Some(Remote {
            discriminator: packet.my_discriminator,
            state: packet.state,
            diagnostic: packet.diagnostic,
            min_rx: packet.required_min_rx,
            desired_tx: packet.desired_min_tx,
            multiplier: packet.detect_multiplier,
            demand: packet.demand,
            heard,
            grace: None,
        });
        self.counters.received += 1;

        // RFC 5880 6.8.6: F ends a poll sequence.
        if packet.is_final
            && let Phase::Up(negotiation) = &mut self.phase
        {
            negotiation.handle_final(at);
        }
        // RFC 5880 6.8.6: in AdminDown, the packet has no further effect.
        if self.is_leaving() {
            return None;
        }
        let change = self.follow(at, packet);
        // RFC 5880 6.8.6: P is answered with F at once.
        self.answer |= packet.poll;
        change
    }

    /// RFC 5880 6.8.6: our state follows the peer's.
    fn follow(&mut self, at: Duration, packet: &Packet) -> Option<Change> {
        match (&self.phase, packet.state) {
            (Phase::Down, State::Down) => self.enter(at, Phase::Init, self.diagnostic),
            (Phase::Down, State::Init) | (Phase::Init, State::Init | State::Up) => {
                let wanted = self.config.rates();
                let up = Phase::Up(Negotiation::start(at, wanted.slow(), wanted));
                self.enter(at, up, Diagnostic::None);
                self.counters.ups += 1;
                return Some(Change::Up);
            }
            (Phase::Init, State::AdminDown) => {
                self.enter(at, Phase::Down, Diagnostic::NeighborSignaledDown);
            }
            (Phase::Up(_), State::AdminDown) => {
                self.lose(at, Diagnostic::NeighborSignaledDown);
                return Some(Change::AdminDown);
            }
            (Phase::Up(_), State::Down) => {
                self.lose(at, Diagnostic::NeighborSignaledDown);
                let diagnostic = packet.diagnostic;
                return Some(Change::Down { diagnostic, noticed_by: Side::Remote });
            }
            (Phase::AdminDown { .. }, _)
            | (Phase::Down, State::AdminDown | State::Up)
            | (Phase::Init, State::Down)
            | (Phase::Up(_), State::Init | State::Up) => {}
        }
        None
    }

    /// This process woke `by` too late. A verdict that falls due now waits a little: as long as we were
    /// late, but no longer than a packet of the peer takes; and once in a silence, so that a host that is
    /// always late still notices.
    pub(crate) fn handle_lateness(&mut self, now: Duration, by: Duration) {
        let Some(detection) = self.detection() else { return };
        if let Some(remote) = &mut self.remote
            && remote.grace.is_none()
            && by > PUNCTUAL
            && remote.heard + detection.time <= now
        {
            remote.grace = Some(now + by.min(detection.interval));
            self.counters.graces += 1;
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Duration) -> Option<Change> {
        if let Phase::AdminDown { until } = self.phase
            && until <= now
            && !self.due
        {
            return Some(Change::Ended);
        }
        let change =
            self.detection_deadline().filter(|at| *at <= now).and_then(|_| self.forget(now));
        if let Phase::Up(negotiation) = &mut self.phase
            && negotiation.handle_timeout(now)
        {
            self.send_soon(now);
        }
        if self.next_transmission().is_some_and(|at| at <= now) {
            self.send_soon(now);
        }
        change
    }

    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        let phase = match &self.phase {
            Phase::AdminDown { until } => Some(*until),
            Phase::Up(negotiation) => negotiation.poll_timeout(),
            Phase::Down | Phase::Init => None,
        };
        [phase, self.detection_deadline(), self.next_transmission()].into_iter().flatten().min()
    }

    pub(crate) fn has_transmit(&self) -> bool {
        self.answer || self.due
    }

    /// One packet answers P and tells news at once; P and F never stand together.
    pub(crate) fn poll_transmit(&mut self) -> Option<Packet> {
        if !self.has_transmit() {
            return None;
        }
        let is_final = std::mem::take(&mut self.answer);
        self.due = false;
        self.counters.sent += 1;
        let offered = self.offered();
        Some(Packet {
            diagnostic: self.diagnostic,
            state: self.state(),
            poll: self.is_polling() && !is_final,
            is_final,
            // RFC 5880 4.1: C is for those whose BFD outlives their control plane; ours ends with it.
            control_plane_independent: false,
            authenticated: false,
            demand: false,
            detect_multiplier: self.config.detect_multiplier,
            my_discriminator: self.discriminator,
            your_discriminator: self.remote.map(|remote| remote.discriminator),
            desired_min_tx: offered.transmit,
            required_min_rx: offered.receive,
            required_min_echo_rx: Interval::ZERO,
        })
    }

    pub(crate) fn view(&self) -> View {
        View {
            session: self.discriminator,
            path: self.path,
            state: self.state(),
            diagnostic: self.diagnostic,
            transmit: self.transmit_interval(),
            receive: self.receive_interval(),
            detection_time: self.detection().map(|detection| detection.time),
            polling: self.is_polling(),
            remote: self.remote.map(|remote| RemoteView {
                discriminator: remote.discriminator,
                state: remote.state,
                diagnostic: remote.diagnostic,
                transmit: remote.desired_tx,
                receive: remote.min_rx,
                detect_multiplier: remote.multiplier,
            }),
            counters: self.counters,
        }
    }

    /// The peer fell silent. RFC 5880 6.8.1: its discriminator is forgotten with it, in any state.
    fn forget(&mut self, now: Duration) -> Option<Change> {
        self.remote = None;
        self.answer = false;
        match self.phase {
            Phase::AdminDown { .. } | Phase::Down => None,
            // RFC 5880 6.8.4
            Phase::Init => {
                self.enter(now, Phase::Down, Diagnostic::DetectionTimeExpired);
                None
            }
            Phase::Up(_) => {
                self.lose(now, Diagnostic::DetectionTimeExpired);
                let diagnostic = Diagnostic::DetectionTimeExpired;
                Some(Change::Down { diagnostic, noticed_by: Side::Local })
            }
        }
    }

    fn lose(&mut self, at: Duration, diagnostic: Diagnostic) {
        self.counters.downs += 1;
        self.enter(at, Phase::Down, diagnostic);
    }

    fn enter(&mut self, at: Duration, phase: Phase, diagnostic: Diagnostic) {
        self.phase = phase;
        self.diagnostic = diagnostic;
        self.send_soon(at);
    }

    /// RFC 5880 6.8.7: news do not wait for the next interval, which counts from here.
    fn send_soon(&mut self, now: Duration) {
        self.due = self.may_send();
        if self.due {
            self.schedule.sent(now, self.config.detect_multiplier);
        }
    }

    /// RFC 5880 6.8.7: the passive side waits until it was spoken to.
    fn may_send(&self) -> bool {
        self.remote.is_some() || !self.config.passive
    }

    /// RFC 5880 6.8.7: whoever asked to be spared is spared.
    fn sends_periodically(&self) -> bool {
        let spared = self.remote.is_some_and(|remote| {
            let both_up = self.state() == State::Up && remote.state == State::Up;
            remote.min_rx == Interval::ZERO || (remote.demand && both_up && !self.is_polling())
        });
        self.may_send() && !spared
    }

    fn next_transmission(&self) -> Option<Duration> {
        self.sends_periodically().then(|| self.schedule.next(self.transmit_interval()))
    }

    fn state(&self) -> State {
        match self.phase {
            Phase::AdminDown { .. } => State::AdminDown,
            Phase::Down => State::Down,
            Phase::Init => State::Init,
            Phase::Up(_) => State::Up,
        }
    }

    fn is_polling(&self) -> bool {
        matches!(&self.phase, Phase::Up(negotiation) if negotiation.is_polling())
    }

    /// What our packets say.
    fn offered(&self) -> Rates {
        match &self.phase {
            Phase::Up(negotiation) => negotiation.offered(),
            _ => self.config.rates().slow(),
        }
    }

    /// RFC 5880 6.8.7: the greater of our wish and what the peer can stand.
    fn transmit_interval(&self) -> Interval {
        let own = match &self.phase {
            Phase::Up(negotiation) => negotiation.transmit(),
            _ => self.offered().transmit,
        };
        self.remote.map_or(own, |remote| own.max(remote.min_rx))
    }

    fn receive_interval(&self) -> Interval {
        match &self.phase {
            Phase::Up(negotiation) => negotiation.receive(),
            _ => self.offered().receive,
        }
    }

    /// RFC 5880 6.8.4: the peer's multiplier times the interval both agree on.
    fn detection(&self) -> Option<Detection> {
        let remote = self.remote?;
        let interval = self.receive_interval().max(remote.desired_tx).duration();
        Some(Detection { interval, time: interval * remote.multiplier.get().into() })
    }

    fn detection_deadline(&self) -> Option<Duration> {
        let (remote, detection) = (self.remote?, self.detection()?);
        let deadline = remote.heard + detection.time;
        Some(remote.grace.map_or(deadline, |grace| grace.max(deadline)))
    }
}

struct Detection {
    interval: Duration,
    time: Duration,
}

impl Schedule {
    /// When the next packet is due; at once, a moment long past, for the first.
    fn next(&self, interval: Interval) -> Duration {
        self.last.map_or(Duration::ZERO, |last| last + interval.duration() * self.part / 1000)
    }

    /// RFC 5880 6.8.7: 75 to 100 % of the interval; at most 90 % when a single lost packet matters.
    fn sent(&mut self, now: Duration, multiplier: NonZeroU8) {
        let most = if multiplier == NonZeroU8::MIN { 900 } else { 1000 };
        self.last = Some(now);
        self.part = self.rng.u32(750..=most);
    }
}
