//! One interface's part of the schedule: what is to be said there, and how fast.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ferrolb_addr::Mac;

use super::sequence::{self, Refresh};
use super::{BURST, FRAME, Transmit};
use crate::pace::Pace;
use crate::port::Port;

/// Refreshes at once, and the time between two after that.
const REFRESHES: Pace = Pace::new(100, Duration::from_millis(10));
/// What refreshes leave of the burst of all frames.
const RESERVE: u32 = BURST / 2;

#[derive(Debug)]
pub(super) struct Outlet {
    port: Port,
    queue: BTreeMap<Slot, IpAddr>,
    /// Where in the queue an address is.
    slots: BTreeMap<IpAddr, Slot>,
    frames: Pace,
    refreshes: Pace,
}

/// A place in the queue; the order of the variants and fields is the order of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    /// The first frame of a sequence, due since it started.
    Fresh { newest: Reverse<u64> },
    /// A later one.
    Repeat { due: Duration, newest: Reverse<u64>, step: usize },
    /// Told again after the sequence.
    Refresh { due: Duration, newest: Reverse<u64> },
}

impl Outlet {
    pub(super) fn new(port: Port) -> Self {
        Self {
            port,
            queue: BTreeMap::new(),
            slots: BTreeMap::new(),
            frames: Pace::new(BURST, FRAME),
            refreshes: REFRESHES,
        }
    }

    /// Takes over the addresses of the interface; returns the station address it had.
    pub(super) fn set_port(&mut self, port: Port) -> Mac {
        std::mem::replace(&mut self.port, port).mac
    }

    /// Begins the sequence of `ip`, or begins it again.
    pub(super) fn start(&mut self, ip: IpAddr, started: &mut u64) {
        *started += 1;
        self.put(ip, Slot::Fresh { newest: Reverse(*started) });
    }

    /// One frame, unless a sequence is under way anyway.
    pub(super) fn tell_once(&mut self, ip: IpAddr, started: &mut u64) {
        if let None | Some(Slot::Refresh { .. }) = self.slots.get(&ip) {
            *started += 1;
            self.put(ip, Slot::Refresh { due: Duration::ZERO, newest: Reverse(*started) });
        }
    }

    /// Nothing more is said of `ip`.
    pub(super) fn stop(&mut self, ip: IpAddr) {
        if let Some(slot) = self.slots.remove(&ip) {
            self.queue.remove(&slot);
        }
    }

    /// When the next frame may leave.
    pub(super) fn next(&self) -> Option<Duration> {
        self.heads().map(|(slot, _)| self.may_leave(slot)).min()
    }

    pub(super) fn transmit(&mut self, now: Duration, refresh: &mut Refresh) -> Option<Transmit> {
        let (slot, ip) = self.heads().find(|(slot, _)| self.may_leave(*slot) <= now)?;
        self.frames.take(now);
        if matches!(slot, Slot::Refresh { .. }) {
            self.refreshes.take(now);
        }
        match slot.following(ip, now, refresh) {
            Some(next) => self.put(ip, next),
            None => self.stop(ip),
        }
        let frame = sequence::frame(ip, slot.step(), self.port);
        Some(Transmit { interface: self.port.index, ip, frame })
    }

    /// The first of each class.
    fn heads(&self) -> impl Iterator<Item = (Slot, IpAddr)> {
        [Slot::FRESH, Slot::REPEAT, Slot::REFRESH].into_iter().filter_map(|(first, last)| {
            self.queue.range(first..=last).next().map(|(slot, ip)| (*slot, *ip))
        })
    }

    fn may_leave(&self, slot: Slot) -> Duration {
        match slot {
            Slot::Fresh { .. } => self.frames.ready(0),
            Slot::Repeat { due, .. } => due.max(self.frames.ready(0)),
            Slot::Refresh { due, .. } => {
                due.max(self.frames.ready(RESERVE)).max(self.refreshes.ready(0))
            }
        }
    }

    fn put(&mut self, ip: IpAddr, slot: Slot) {
        if let Some(before) = self.slots.insert(ip, slot) {
            self.queue.remove(&before);
        }
        self.queue.insert(slot, ip);
    }
}

impl Slot {
    const NEWEST: Reverse<u64> = Reverse(u64::MAX);
    const OLDEST: Reverse<u64> = Reverse(0);
    const FRESH: (Self, Self) =
        (Self::Fresh { newest: Self::NEWEST }, Self::Fresh { newest: Self::OLDEST });
    const REPEAT: (Self, Self) = (
        Self::Repeat { due: Duration::ZERO, newest: Self::NEWEST, step: 0 },
        Self::Repeat { due: Duration::MAX, newest: Self::OLDEST, step: usize::MAX },
    );
    const REFRESH: (Self, Self) = (
        Self::Refresh { due: Duration::ZERO, newest: Self::NEWEST },
        Self::Refresh { due: Duration::MAX, newest: Self::OLDEST },
    );

    /// The place of the frame after this one, which leaves at `now`.
    fn following(self, ip: IpAddr, now: Duration, refresh: &mut Refresh) -> Option<Self> {
        let (newest, step) = match self {
            Self::Fresh { newest } => (newest, 1),
            Self::Repeat { newest, step, .. } => (newest, step + 1),
            Self::Refresh { newest, .. } => (newest, usize::MAX),
        };
        match sequence::gap(ip, step) {
            Some(gap) => Some(Self::Repeat { due: now + gap, newest, step }),
            None => refresh.after(now).map(|due| Self::Refresh { due, newest }),
        }
    }

    fn step(self) -> usize {
        match self {
            Self::Fresh { .. } => 0,
            Self::Repeat { step, .. } => step,
            Self::Refresh { .. } => usize::MAX,
        }
    }
}
