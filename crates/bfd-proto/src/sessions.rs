//! All sessions of a host: which one a datagram is for, and one timer for the driver.
//!
//! There are as many sessions as routers, a handful; so timers are found by looking at each.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::config::Config;
use crate::event::{Change, Event};
use crate::packet::{Discriminator, Malformed, Packet, State};
use crate::path::{Arrival, Mode, Path};
use crate::session::Session;
use crate::view::View;

/// The sessions of one host, or of one routing domain of it.
#[derive(Debug)]
pub struct Sessions {
    rng: fastrand::Rng,
    table: BTreeMap<Discriminator, Session>,
    /// Who has something to send; may name a session twice.
    ready: VecDeque<Discriminator>,
    events: VecDeque<Event>,
}

/// One packet to send, to [`Mode::port`] of the path's peer, with a TTL of 255.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Transmit {
    /// Whose.
    pub session: Discriminator,
    /// From where to where.
    pub path: Path,
    /// What.
    pub bytes: [u8; Packet::LEN],
}

/// Another session would claim the same packets.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("there is a session with {} already", .0.peer)]
pub struct Taken(pub Path);

/// Why a datagram had no effect; the order of the variants is that of the checks (RFC 5880 6.8.6).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Discard {
    /// It is no control packet.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It names a session that does not exist.
    #[error("no session has number {0}")]
    UnknownDiscriminator(Discriminator),
    /// It names none, though its sender has heard us.
    #[error("your discriminator 0 in state {0}")]
    NoDiscriminator(State),
    /// It names none, and nobody is set up to talk to its sender.
    #[error("no session with its sender")]
    UnknownPeer,
    /// Its session belongs to the other port.
    #[error("a session of the other hop mode")]
    WrongMode,
    /// It passed more routers than allowed.
    #[error("a TTL of {ttl}, below {least}")]
    Ttl {
        /// What it had left.
        ttl: u8,
        /// What it should have.
        least: u8,
    },
    /// It is authenticated, which is not agreed on.
    #[error("authentication that was not agreed on")]
    Authenticated,
}

impl Sessions {
    /// No sessions. The seed gives discriminators and jitter.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            table: BTreeMap::new(),
            ready: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Begins a session; the first packet is due at once, unless the role is passive. A removed session of
    /// the same path ends now if it has not yet.
    pub fn add(&mut self, path: Path, config: Config) -> Result<Discriminator, Taken> {
        let rivals = self.table.values().filter(|session| session.path().overlaps(&path));
        if let Some(rival) = rivals.clone().find(|session| !session.is_leaving()) {
            return Err(Taken(*rival.path()));
        }
        let leaving: Vec<_> = rivals.map(|session| session.view().session).collect();
        for id in leaving {
            self.end(id);
        }

        // RFC 5880 6.8.1: unique, non-zero, and better not guessed.
        let id = loop {
            match Discriminator::new(self.rng.u32(..)) {
                Some(id) if !self.table.contains_key(&id) => break id,
                _ => {}
            }
        };
        self.table.insert(id, Session::new(id, path, config, self.rng.u64(..)));
        Ok(id)
    }

    /// Changes the wishes of a session; whatever needs the peer's consent is negotiated, and the session
    /// stays as it is.
    pub fn update(&mut self, now: Duration, id: Discriminator, config: Config) {
        if let Some(session) = self.table.get_mut(&id).filter(|session| !session.is_leaving()) {
            session.update(now, config);
            self.settle(id, None);
        }
    }

    /// Ends a session. Its peer is told for a detection time that this was an order (`AdminDown`) and no
    /// failure; then comes [`Change::Ended`].
    pub fn remove(&mut self, now: Duration, id: Discriminator) {
        if let Some(session) = self.table.get_mut(&id).filter(|session| !session.is_leaving()) {
            session.leave(now);
            self.settle(id, None);
        }
    }

    /// A datagram that reached this host at `at`. Names the session it was for.
    pub fn handle_datagram(
        &mut self,
        at: Duration,
        arrival: &Arrival,
        bytes: &[u8],
    ) -> Result<Discriminator, Discard> {
        let packet = Packet::decode(bytes)?;
        let id = self.select(arrival, &packet)?;
        let session = self.table.get_mut(&id).ok_or(Discard::UnknownDiscriminator(id))?;
        if session.path().mode != arrival.mode {
            return Err(Discard::WrongMode);
        }
        let least = match arrival.mode {
            // RFC 5881 5: what was sent on the link still has all of it.
            Mode::SingleHop => 255,
            Mode::MultiHop => session.min_ttl(),
        };
        if arrival.ttl < least {
            return Err(Discard::Ttl { ttl: arrival.ttl, least });
        }
        // RFC 5880 6.8.6: A must be clear where no authentication is in use.
        if packet.authenticated {
            return Err(Discard::Authenticated);
        }
        let change = session.handle_packet(at, &packet);
        self.settle(id, change);
        Ok(id)
    }

    /// The driver woke `by` later than it had asked for, and has read every socket since.
    pub fn handle_lateness(&mut self, now: Duration, by: Duration) {
        for session in self.table.values_mut() {
            session.handle_lateness(now, by);
        }
    }

    /// Time has passed. Harmless when nothing is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        let Self { table, ready, events, .. } = self;
        table.retain(|&id, session| {
            let change = session.handle_timeout(now);
            events.extend(change.map(|change| Event { session: id, change }));
            if session.has_transmit() {
                ready.push_back(id);
            }
            change != Some(Change::Ended)
        });
    }

    /// The next packet to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        loop {
            let id = self.ready.pop_front()?;
            if let Some(session) = self.table.get_mut(&id)
                && let Some(packet) = session.poll_transmit()
            {
                let (path, bytes) = (*session.path(), packet.encode());
                return Some(Transmit { session: id, path, bytes });
            }
        }
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Sessions::handle_timeout`]: zero, a moment long past, for at once; `None` while
    /// nothing can happen by itself.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.table.values().filter_map(Session::poll_timeout).min()
    }

    /// All sessions, in a fixed order; those that take their leave included.
    pub fn views(&self) -> impl Iterator<Item = View> {
        self.table.values().map(Session::view)
    }

    /// One session, until it has ended.
    pub fn view(&self, id: Discriminator) -> Option<View> {
        self.table.get(&id).map(Session::view)
    }

    /// RFC 5880 6.8.6: by your discriminator and nothing else when it is there. RFC 5880 6.3: then the
    /// source address may even have changed.
    fn select(&self, arrival: &Arrival, packet: &Packet) -> Result<Discriminator, Discard> {
        if let Some(id) = packet.your_discriminator {
            let known = self.table.contains_key(&id);
            return if known { Ok(id) } else { Err(Discard::UnknownDiscriminator(id)) };
        }
        if !matches!(packet.state, State::Down | State::AdminDown) {
            return Err(Discard::NoDiscriminator(packet.state));
        }
        let mut sessions = self.table.iter();
        let found = sessions.find(|(_, session)| session.path().is_way_of(arrival));
        found.map(|(id, _)| *id).ok_or(Discard::UnknownPeer)
    }

    fn settle(&mut self, id: Discriminator, change: Option<Change>) {
        self.events.extend(change.map(|change| Event { session: id, change }));
        if self.table.get(&id).is_some_and(Session::has_transmit) {
            self.ready.push_back(id);
        }
    }

    fn end(&mut self, id: Discriminator) {
        self.table.remove(&id);
        self.events.push_back(Event { session: id, change: Change::Ended });
    }
}
