//! When an address is announced unasked, so that neighbours forget its last owner.
//!
//! An address starts a sequence of frames on an interface when it comes to this node or to that
//! interface, and when the interface's link or station address comes anew; being told again what is
//! known starts nothing. The sequence is upstream's: five rounds 1.1 s apart (above the second for
//! which Linux locks a fresh neighbour entry), for IPv4 a request and a reply each.
//!
//! ```text
//!  own, set_port, link_up ──> Fresh ──frame──> Repeat ──frame──> … ──last frame──> silent
//!                               └── release, remove_port, narrower own: gone at once ──┘
//! ```
//!
//! First frames come before every repeat and the newest of them first, so an address that moves now
//! does not wait behind the backlog of those that moved before.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ferrolb_addr::Mac;

use crate::frame::FrameBuf;
use crate::ndp::Advertisement;
use crate::port::{IfIndex, Interfaces, Port};
use crate::{arp, ipv6};

/// The schedule of one node. `own` and `release` follow ownership, the rest follows the links.
#[derive(Debug, Default)]
pub struct Gratuitous {
    ports: BTreeMap<IfIndex, Port>,
    owned: BTreeMap<IpAddr, Owned>,
    queue: Queue,
}

/// One frame to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where.
    pub interface: IfIndex,
    /// The address it announces.
    pub ip: IpAddr,
    /// What.
    pub frame: FrameBuf,
}

impl Gratuitous {
    /// No interfaces, no addresses.
    pub fn new() -> Self {
        Self::default()
    }

    /// `ip` is this node's, to be announced on `interfaces`. Interfaces it was not announced on so
    /// far get the sequence; on those no longer among them it ends.
    pub fn own(&mut self, ip: IpAddr, interfaces: Interfaces) {
        let owned = self.owned.entry(ip).or_default();
        let before = std::mem::replace(&mut owned.interfaces, interfaces);
        for &index in self.ports.keys() {
            match (before.contains(index), owned.interfaces.contains(index)) {
                (false, true) => owned.start(&mut self.queue, ip, index),
                (true, false) => owned.stop(&mut self.queue, index),
                _ => {}
            }
        }
    }

    /// `ip` is no longer this node's: no frame about it leaves from now on.
    pub fn release(&mut self, ip: IpAddr) {
        if let Some(owned) = self.owned.remove(&ip) {
            for slot in owned.slots.into_values() {
                self.queue.remove(slot);
            }
        }
    }

    /// An interface is there to speak on, or its addresses changed. A new one, or a new station
    /// address, starts the sequence for every address announced on it.
    pub fn set_port(&mut self, port: Port) {
        let before = self.ports.insert(port.index, port);
        if before.is_none_or(|before| before.mac != port.mac) {
            self.link_up(port.index);
        }
    }

    /// An interface is gone or unusable: nothing leaves on it from now on.
    pub fn remove_port(&mut self, index: IfIndex) {
        if self.ports.remove(&index).is_some() {
            for owned in self.owned.values_mut() {
                owned.stop(&mut self.queue, index);
            }
        }
    }

    /// The link of a known interface came back: whoever is behind it may have missed everything.
    pub fn link_up(&mut self, index: IfIndex) {
        if self.ports.contains_key(&index) {
            for (&ip, owned) in &mut self.owned {
                if owned.interfaces.contains(index) {
                    owned.start(&mut self.queue, ip, index);
                }
            }
        }
    }

    /// The next frame that is due. Each call does the work of one frame.
    pub fn poll_transmit(&mut self, now: Duration) -> Option<Transmit> {
        let (slot, Entry { ip, index, step }) = self.queue.pop_due(now)?;
        let port = *self.ports.get(&index)?;
        let owned = self.owned.get_mut(&ip)?;

        match gap(ip, step + 1) {
            Some(gap) => {
                let slot = Slot::Repeat { due: now + gap, newest: slot.newest() };
                owned.slots.insert(index, slot);
                self.queue.entries.insert(slot, Entry { ip, index, step: step + 1 });
            }
            None => {
                owned.slots.remove(&index);
            }
        }
        Some(Transmit { interface: index, ip, frame: frame(ip, step, port)? })
    }

    /// When the next frame is due: zero, a moment long past, when one is due at once; `None` while
    /// there is nothing to say.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.queue.entries.first_key_value().map(|(slot, _)| slot.due())
    }
}

/// An address of this node. A new one is announced nowhere yet.
#[derive(Debug)]
struct Owned {
    interfaces: Interfaces,
    /// Where its sequence still runs, and at which place in the queue.
    slots: BTreeMap<IfIndex, Slot>,
}

impl Default for Owned {
    fn default() -> Self {
        Self { interfaces: Interfaces::Only(BTreeSet::new()), slots: BTreeMap::new() }
    }
}

impl Owned {
    fn start(&mut self, queue: &mut Queue, ip: IpAddr, index: IfIndex) {
        self.stop(queue, index);
        self.slots.insert(index, queue.push_fresh(ip, index));
    }

    fn stop(&mut self, queue: &mut Queue, index: IfIndex) {
        if let Some(slot) = self.slots.remove(&index) {
            queue.remove(slot);
        }
    }
}

/// All running sequences, each at the place of its next frame.
#[derive(Debug, Default)]
struct Queue {
    entries: BTreeMap<Slot, Entry>,
    started: u64,
}

/// A place in the queue; the order of the variants and fields is the order of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    /// The first frame, due since the sequence started.
    Fresh { newest: Reverse<u64> },
    /// A later one.
    Repeat { due: Duration, newest: Reverse<u64> },
}

/// One running sequence: which frame is next, of what.
#[derive(Debug)]
struct Entry {
    ip: IpAddr,
    index: IfIndex,
    step: usize,
}

impl Queue {
    fn push_fresh(&mut self, ip: IpAddr, index: IfIndex) -> Slot {
        self.started += 1;
        let slot = Slot::Fresh { newest: Reverse(self.started) };
        self.entries.insert(slot, Entry { ip, index, step: 0 });
        slot
    }

    fn remove(&mut self, slot: Slot) {
        self.entries.remove(&slot);
    }

    fn pop_due(&mut self, now: Duration) -> Option<(Slot, Entry)> {
        let first = self.entries.first_entry()?;
        (first.key().due() <= now).then(|| first.remove_entry())
    }
}

impl Slot {
    fn due(self) -> Duration {
        match self {
            Self::Fresh { .. } => Duration::ZERO,
            Self::Repeat { due, .. } => due,
        }
    }

    fn newest(self) -> Reverse<u64> {
        match self {
            Self::Fresh { newest } | Self::Repeat { newest, .. } => newest,
        }
    }
}

/// One frame of a sequence for IPv4. The gap counts from when the frame before it was really handed
/// out, so a late driver never sends two rounds at once.
struct ArpStep {
    after: Duration,
    operation: u16,
}

const ROUND: Duration = Duration::from_millis(1100);
const REQUEST: ArpStep = ArpStep { after: ROUND, operation: arp::REQUEST };
const REPLY: ArpStep = ArpStep { after: Duration::ZERO, operation: arp::REPLY };

static IPV4: [ArpStep; 10] =
    [REQUEST, REPLY, REQUEST, REPLY, REQUEST, REPLY, REQUEST, REPLY, REQUEST, REPLY];
/// The same rounds for IPv6, where one form does.
static IPV6: [Duration; 5] = [ROUND; 5];

/// How long after the frame before it a step is due; `None` past the end.
fn gap(ip: IpAddr, step: usize) -> Option<Duration> {
    match ip {
        IpAddr::V4(_) => IPV4.get(step).map(|step| step.after),
        IpAddr::V6(_) => IPV6.get(step).copied(),
    }
}

fn frame(ip: IpAddr, step: usize, port: Port) -> Option<FrameBuf> {
    let mut frame = FrameBuf::new();
    match ip {
        IpAddr::V4(ip) => {
            let operation = IPV4.get(step)?.operation;
            arp::Packet::gratuitous(operation, port.mac, ip).write(Mac::BROADCAST, &mut frame);
        }
        IpAddr::V6(ip) => {
            let station = ipv6::group_mac(ipv6::ALL_NODES);
            Advertisement::unsolicited(ip, port.source_for(ip), port.mac)
                .write(port.mac, station, &mut frame);
        }
    }
    Some(frame)
}

#[cfg(test)]
mod tests;
