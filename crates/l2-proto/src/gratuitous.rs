//! When an address is announced unasked, so that neighbours forget its last owner.
//!
//! An address starts a sequence of frames on an interface when it comes to this node or to that
//! interface, and when the interface's link or station address comes anew; being told again what is
//! known starts nothing. Afterwards it is told again now and then, for whoever missed it all.
//!
//! ```text
//!  own, set_port, link_up ─► Fresh ─frame─► Repeat ─frame─► … ─last frame─► Refresh ⟲ every minute
//!                              └── release, remove_port, narrower own: gone at once ──┘
//! ```
//!
//! Each class goes before the next. Among first frames the newest leads: an address that moves now
//! does not wait behind those that moved before. An interface sends [`BURST`] frames at once and one
//! every [`FRAME`] after that, whatever is due; refreshes leave half of the burst to the others and
//! are paced on their own, so a node with very many addresses refreshes each of them less often.

mod outlet;
mod sequence;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use self::outlet::Outlet;
use self::sequence::Refresh;
use crate::frame::FrameBuf;
use crate::port::{IfIndex, Interfaces, Port};

/// Frames that an interface sends at once.
pub const BURST: u32 = 1000;
/// Time between two frames once the burst is used up.
pub const FRAME: Duration = Duration::from_millis(1);

/// The schedule of one node. `own` and `release` follow ownership, the rest follows the links.
#[derive(Debug)]
pub struct Gratuitous {
    outlets: BTreeMap<IfIndex, Outlet>,
    owned: BTreeMap<IpAddr, Interfaces>,
    refresh: Refresh,
    /// Sequences started so far.
    started: u64,
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
    /// No interfaces, no addresses. Each address is told again about every `refresh` (up to a
    /// quarter sooner, drawn from `seed`, on a whole second), or never.
    pub fn new(refresh: Option<Duration>, seed: u64) -> Self {
        Self {
            outlets: BTreeMap::new(),
            owned: BTreeMap::new(),
            refresh: Refresh::new(refresh, seed),
            started: 0,
        }
    }

    /// `ip` is this node's, to be announced on `interfaces`. Interfaces it was not announced on so
    /// far get the sequence; on those no longer among them it ends.
    pub fn own(&mut self, ip: IpAddr, interfaces: Interfaces) {
        let before = self.owned.entry(ip).or_insert(Interfaces::Only(BTreeSet::new()));
        for (&index, outlet) in &mut self.outlets {
            match (before.contains(index), interfaces.contains(index)) {
                (false, true) => outlet.start(ip, &mut self.started),
                (true, false) => outlet.stop(ip),
                _ => {}
            }
        }
        *before = interfaces;
    }

    /// `ip` is no longer this node's: no frame about it leaves from now on.
    pub fn release(&mut self, ip: IpAddr) {
        if self.owned.remove(&ip).is_some() {
            for outlet in self.outlets.values_mut() {
                outlet.stop(ip);
            }
        }
    }

    /// An interface is there to speak on, or its addresses changed. A new one, or a new station
    /// address, starts the sequence for every address announced on it.
    pub fn set_port(&mut self, port: Port) {
        let before = self.outlets.get_mut(&port.index).map(|outlet| outlet.set_port(port));
        if before.is_none() {
            self.outlets.insert(port.index, Outlet::new(port));
        }
        if before != Some(port.mac) {
            self.link_up(port.index);
        }
    }

    /// An interface is gone or unusable: nothing leaves on it from now on.
    pub fn remove_port(&mut self, index: IfIndex) {
        self.outlets.remove(&index);
    }

    /// The link of a known interface came back: whoever is behind it may have missed everything.
    pub fn link_up(&mut self, index: IfIndex) {
        let Some(outlet) = self.outlets.get_mut(&index) else { return };
        for (&ip, interfaces) in &self.owned {
            if interfaces.contains(index) {
                outlet.start(ip, &mut self.started);
            }
        }
    }

    /// Somebody else spoke for `ip` on `index`: one frame tells otherwise. How often that is right
    /// is the caller's to know (RFC 5227 2.4).
    pub fn defend(&mut self, ip: IpAddr, index: IfIndex) {
        if let Some(outlet) = self.outlets.get_mut(&index)
            && self.owned.get(&ip).is_some_and(|interfaces| interfaces.contains(index))
        {
            outlet.tell_once(ip, &mut self.started);
        }
    }

    /// The next frame that is due and may leave. Each call does the work of one frame.
    pub fn poll_transmit(&mut self, now: Duration) -> Option<Transmit> {
        let refresh = &mut self.refresh;
        self.outlets.values_mut().find_map(|outlet| outlet.transmit(now, refresh))
    }

    /// When the next frame may leave: zero, a moment long past, when one may at once; `None` while
    /// there is nothing to say.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.outlets.values().filter_map(Outlet::next).min()
    }
}

#[cfg(test)]
mod tests;
