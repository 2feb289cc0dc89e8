//! The two hosts, their processes and the wire.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU8;
use std::time::Duration;

use ferrolb_bfd_proto::{
    Arrival, Change, Config, Diagnostic, IfIndex, Interval, Mode, Path, Sessions, Side, State,
};

const ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2))];

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn mk_config(millis: u32, multiplier: u8) -> Config {
    Config {
        transmit: Interval::from_millis(millis),
        receive: Interval::from_millis(millis),
        detect_multiplier: NonZeroU8::new(multiplier).unwrap(),
        ..Config::default()
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire {
    pub(crate) delay: Duration,
    /// Added at random, so packets overtake each other.
    pub(crate) jitter: Duration,
    /// In thousandths.
    pub(crate) loss: u64,
}

pub(crate) const GOOD: Wire = Wire { delay: ms(1), jitter: Duration::ZERO, loss: 0 };

pub(crate) struct Host {
    pub(crate) sessions: Sessions,
    /// Arrived and not read: the queue of the socket, with the kernel's stamps.
    socket: Vec<(Duration, Vec<u8>)>,
    paused_until: Duration,
    pub(crate) changes: Vec<(Duration, Change)>,
    pub(crate) sent: Vec<Duration>,
}

pub(crate) struct Net {
    pub(crate) hosts: [Host; 2],
    pub(crate) wire: Wire,
    pub(crate) cut: [bool; 2],
    /// Arrival, receiver, bytes.
    flying: BinaryHeap<Reverse<(Duration, usize, Vec<u8>)>>,
    pub(crate) now: Duration,
    rng: u64,
}

impl Net {
    pub(crate) fn new(seed: u64, wire: Wire, configs: [Config; 2]) -> Self {
        let mk_host = |me: usize| {
            let mut sessions = Sessions::new(seed ^ (me as u64 + 1) << 32);
            let path = Path {
                peer: ADDRESSES[1 - me],
                local: None,
                interface: None,
                mode: Mode::SingleHop,
            };
            sessions.add(path, configs[me]).unwrap();
            Host {
                sessions,
                socket: Vec::new(),
                paused_until: Duration::ZERO,
                changes: Vec::new(),
                sent: Vec::new(),
            }
        };
        Self {
            hosts: [mk_host(0), mk_host(1)],
            wire,
            cut: [false; 2],
            flying: BinaryHeap::new(),
            now: ms(1000),
            rng: seed | 1,
        }
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            for me in 0..2 {
                self.run_host(me);
            }
            let arrival = self.flying.peek().map(|Reverse((at, ..))| *at);
            let wakes = self.hosts.iter().filter_map(|host| {
                host.sessions.poll_timeout().map(|at| at.max(host.paused_until))
            });
            let next = wakes.chain(arrival).min().unwrap_or(end).max(self.now);
            if next >= end {
                self.now = end;
                return;
            }
            self.now = next;
            while let Some(Reverse((at, ..))) = self.flying.peek()
                && *at <= self.now
            {
                let Some(Reverse((at, to, bytes))) = self.flying.pop() else { break };
                self.hosts[to].socket.push((at, bytes));
            }
        }
    }

    /// The loop of a driver, once.
    fn run_host(&mut self, me: usize) {
        let now = self.now;
        let host = &mut self.hosts[me];
        if now < host.paused_until {
            return;
        }
        let wanted = host.sessions.poll_timeout();
        for (at, bytes) in std::mem::take(&mut host.socket) {
            let arrival = Arrival {
                from: ADDRESSES[1 - me],
                to: ADDRESSES[me],
                interface: IfIndex(2),
                ttl: 255,
                mode: Mode::SingleHop,
            };
            host.sessions.handle_datagram(at, &arrival, &bytes).ok();
        }
        if let Some(wanted) = wanted
            && wanted > Duration::ZERO
            && wanted < now
        {
            host.sessions.handle_lateness(now, now.saturating_sub(wanted));
        }
        host.sessions.handle_timeout(now);
        while let Some(event) = host.sessions.poll_event() {
            host.changes.push((now, event.change));
        }
        while let Some(transmit) = self.hosts[me].sessions.poll_transmit() {
            self.hosts[me].sent.push(now);
            let lost = self.random(1000) < self.wire.loss;
            if !lost && !self.cut[me] {
                let jitter = u64::try_from(self.wire.jitter.as_nanos()).unwrap();
                let at = now + self.wire.delay + Duration::from_nanos(self.random(jitter + 1));
                self.flying.push(Reverse((at, 1 - me, transmit.bytes.to_vec())));
            }
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        self.rng % below
    }

    pub(crate) fn pause(&mut self, me: usize, span: Duration) {
        self.hosts[me].paused_until = self.now + span;
    }

    pub(crate) fn update(&mut self, me: usize, config: Config) {
        let id = self.hosts[me].sessions.views().next().unwrap().session;
        self.hosts[me].sessions.update(self.now, id, config);
    }

    pub(crate) fn state(&self, me: usize) -> State {
        self.hosts[me].sessions.views().next().unwrap().state
    }

    pub(crate) fn both_up(&self) -> bool {
        (0..2).all(|me| self.state(me) == State::Up)
    }

    pub(crate) fn losses(&self, me: usize) -> Vec<(Duration, Diagnostic, Side)> {
        let changes = self.hosts[me].changes.iter();
        changes
            .filter_map(|(at, change)| match change {
                Change::Down { diagnostic, noticed_by } => Some((*at, *diagnostic, *noticed_by)),
                _ => None,
            })
            .collect()
    }
}
