//! Nobody announces an address that somebody else answers for (RFC 5227, RFC 4862 5.4).
//!
//! Before an address is announced for the first time in the cluster it is probed; while it is, every
//! frame that claims it is weighed, and it is asked for now and then, because a host that only
//! answers is heard by nobody but the asker. This room finds out; what follows from it (announce,
//! refuse, yield) is the speaker's to decide.
//!
//! ```text
//!  probe ──► Trial ── 3 questions in 0.6 s ──► Free | Taken
//!  watch ──► Watched ── audit ──┐
//!  handle_claim ────────────────┴─► ours? ── a node's station, 0.3 s on still ──► Rival
//!                                   ├─ a station that answers for decoys too (proxy ARP, EVPN) ──► nothing
//!                                   └─ anybody else ──► Taken | Conflict, defended every 10 s at most
//!  stand_back ──► Yielded ── asked for twice a second ── no answer for 1.5 s ──► Vacant
//! ```
//!
//! Stations of nodes are learned: whoever speaks for the address of a node is one, and every node is
//! asked for when it becomes known.

mod rivalry;
mod stations;
mod suspect;
mod yielded;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::ops::Bound;
use std::time::Duration;

use ferrolb_addr::Mac;

use self::rivalry::{Rivalry, Step};
use self::stations::Stations;
use self::suspect::{Suspects, Verdict};
use self::yielded::Yielded;
use crate::claim::{Claim, Form, probe};
use crate::gratuitous::Transmit;
use crate::port::{IfIndex, Interfaces, Port};

/// Questions before an address is announced for the first time.
const PROBES: u32 = 3;
/// Time between them, and from the last one to the verdict.
const PROBE_GAP: Duration = Duration::from_millis(200);
/// RFC 5227 1.1, `DEFEND_INTERVAL`; a conflict is told as often.
const DEFEND: Duration = Duration::from_secs(10);
/// A conflict is over when nobody claimed the address for so long.
const OVER: Duration = Duration::from_mins(3);
/// Every address is asked for about once in this time, if that is not too many a second.
const AUDIT: Duration = Duration::from_mins(1);
/// Addresses asked for in a second.
const AUDIT_BATCH: usize = 20;

/// Who else speaks for the addresses of this node.
#[derive(Debug)]
pub struct Conflicts {
    ports: BTreeMap<IfIndex, Port>,
    stations: Stations,
    trials: BTreeMap<IpAddr, Trial>,
    watched: BTreeMap<IpAddr, Watched>,
    rivalries: BTreeMap<IpAddr, Rivalry>,
    yielded: BTreeMap<IpAddr, Yielded>,
    suspects: Suspects,
    audit: Audit,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nobody else answers for the probed address.
    Free(IpAddr),
    /// The probed address is somebody else's.
    Taken(Contender),
    /// Somebody else speaks for an address that is announced here. Told at once and then at most
    /// every ten seconds; each time the address should be defended by one frame.
    Conflict(Contender),
    /// Nobody else has spoken for the address for three minutes.
    Over(IpAddr),
    /// Another node of the cluster answers for an address that is announced here, for longer than
    /// an ordinary move takes. Told once a second at most.
    Rival {
        /// What was seen.
        contender: Contender,
        /// The address of that node.
        host: IpAddr,
    },
    /// The node that an address was yielded to does not answer for it any more.
    Vacant(IpAddr),
}

/// Who else has an address, and where that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contender {
    /// The address.
    pub ip: IpAddr,
    /// The station.
    pub mac: Mac,
    /// The interface.
    pub interface: IfIndex,
}

#[derive(Debug)]
struct Trial {
    interfaces: Interfaces,
    sent: u32,
    next: Duration,
    taken: Option<Contender>,
}

#[derive(Debug)]
struct Watched {
    interfaces: Interfaces,
    conflict: Option<Standing>,
}

/// A conflict that was told.
#[derive(Debug, Clone, Copy)]
struct Standing {
    told: Duration,
    seen: Duration,
}

impl Conflicts {
    /// No interfaces, no addresses. `seed` chooses addresses to ask for that nobody should have.
    pub fn new(seed: u64) -> Self {
        Self {
            ports: BTreeMap::new(),
            stations: Stations::default(),
            trials: BTreeMap::new(),
            watched: BTreeMap::new(),
            rivalries: BTreeMap::new(),
            yielded: BTreeMap::new(),
            suspects: Suspects::new(seed),
            audit: Audit::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// An interface is there, or its addresses changed.
    pub fn set_port(&mut self, port: Port) {
        if self.ports.insert(port.index, port).is_none() {
            self.transmits.extend(self.stations.hosts().map(|ip| question(ip, &port)));
        }
    }

    /// An interface is gone.
    pub fn remove_port(&mut self, index: IfIndex) {
        self.ports.remove(&index);
        self.suspects.forget(index);
    }

    /// The addresses of all nodes of the cluster. Nodes that are new are asked for.
    pub fn set_hosts(&mut self, hosts: BTreeSet<IpAddr>) {
        for ip in self.stations.set_hosts(hosts) {
            ask(&self.ports, ip, &Interfaces::All, &mut self.transmits);
        }
    }

    /// `ip` is about to be announced for the first time: [`Event::Free`] or [`Event::Taken`] follows.
    pub fn probe(&mut self, now: Duration, ip: IpAddr, interfaces: Interfaces) {
        let trial = Trial { interfaces, sent: 0, next: now, taken: None };
        self.trials.insert(ip, trial);
        self.handle_timeout(now);
    }

    /// `ip` is announced from now on.
    pub fn watch(&mut self, now: Duration, ip: IpAddr, interfaces: Interfaces) {
        self.trials.remove(&ip);
        self.yielded.remove(&ip);
        let watched = Watched { interfaces: interfaces.clone(), conflict: None };
        self.watched.entry(ip).or_insert(watched).interfaces = interfaces;
        self.audit.arm(now, self.watched.len());
    }

    /// `ip` is left to another node that answers for it: [`Event::Vacant`] follows when it stops.
    pub fn stand_back(&mut self, now: Duration, ip: IpAddr, interfaces: Interfaces) {
        self.forget(ip);
        self.yielded.insert(ip, Yielded::new(now, interfaces));
        self.handle_timeout(now);
    }

    /// `ip` is none of our business any more. A running probe ends without a word.
    pub fn forget(&mut self, ip: IpAddr) {
        self.trials.remove(&ip);
        self.watched.remove(&ip);
        self.rivalries.remove(&ip);
        self.yielded.remove(&ip);
    }

    /// Whether a claim of `ip` can matter; spares the caller of [`Conflicts::handle_claim`] a lock.
    pub fn concerns(&self, ip: IpAddr) -> bool {
        self.watched.contains_key(&ip)
            || self.trials.contains_key(&ip)
            || self.yielded.contains_key(&ip)
            || self.suspects.asks_for(ip)
            || self.stations.is_host(ip)
    }

    /// A frame that came in on `index` claims an address.
    pub fn handle_claim(&mut self, now: Duration, index: IfIndex, claim: Claim) {
        let Claim { ip, mac, form } = claim;
        if self.ports.values().any(|port| port.mac == mac) {
            return;
        }
        if form == Form::Answer {
            self.suspects.hear(index, mac, ip);
        }
        if form != Form::Probe {
            self.stations.learn(ip, mac);
        }
        let host = self.stations.host(mac);
        if let (Some(yielded), Some(_)) = (self.yielded.get_mut(&ip), host) {
            yielded.hear(now);
        }
        if !self.is_ours(ip, index) || self.suspects.is_proxy(now, index, mac) {
            return;
        }
        let contender = Contender { ip, mac, interface: index };
        if let Some(host) = host {
            self.rival(now, contender, host);
        } else if form == Form::Answer {
            if let Some(port) = self.ports.get(&index) {
                let decoys = self.suspects.accuse(now, *port, contender);
                self.transmits.extend(decoys);
            }
        } else {
            self.convict(now, contender);
        }
    }

    /// Sends what is due and judges what is ripe.
    pub fn handle_timeout(&mut self, now: Duration) {
        for verdict in self.suspects.judge(now) {
            match verdict {
                Verdict::Foreign(contender) => self.convict(now, contender),
                Verdict::Proxy => {}
            }
        }
        self.advance_trials(now);
        self.advance_rivalries(now);
        self.advance_yielded(now);
        if self.audit.due.is_some_and(|due| due <= now) {
            self.audit(now);
        }
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next finding.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Conflicts::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let trials = self.trials.values().map(|trial| trial.next);
        let rivalries = self.rivalries.values().map(|rivalry| rivalry.next);
        let yielded = self.yielded.values().map(|yielded| yielded.next);
        trials
            .chain(rivalries)
            .chain(yielded)
            .chain(self.suspects.due())
            .chain(self.audit.due)
            .min()
    }

    fn is_ours(&self, ip: IpAddr, index: IfIndex) -> bool {
        let trial = self.trials.get(&ip).map(|trial| &trial.interfaces);
        let watched = self.watched.get(&ip).map(|watched| &watched.interfaces);
        trial.or(watched).is_some_and(|interfaces| interfaces.contains(index))
    }

    /// Somebody who is not of the cluster has the address.
    fn convict(&mut self, now: Duration, contender: Contender) {
        if let Some(trial) = self.trials.get_mut(&contender.ip) {
            trial.taken.get_or_insert(contender);
        }
        let Some(watched) = self.watched.get_mut(&contender.ip) else { return };
        let told = watched.conflict.map(|standing| standing.told);
        let again = told.is_none_or(|told| now >= told + DEFEND);
        let told = told.filter(|_| !again).unwrap_or(now);
        watched.conflict = Some(Standing { told, seen: now });
        if again {
            self.events.push_back(Event::Conflict(contender));
        }
    }

    fn rival(&mut self, now: Duration, contender: Contender, host: IpAddr) {
        if self.watched.contains_key(&contender.ip) {
            let rivalry = self.rivalries.entry(contender.ip).or_insert_with(|| Rivalry::new(now));
            if rivalry.hear(now) {
                self.events.push_back(Event::Rival { contender, host });
            }
        }
    }

    fn advance_rivalries(&mut self, now: Duration) {
        self.rivalries.retain(|&ip, rivalry| match rivalry.advance(now) {
            Step::Wait => true,
            Step::Ask => {
                if let Some(watched) = self.watched.get(&ip) {
                    ask(&self.ports, ip, &watched.interfaces, &mut self.transmits);
                }
                true
            }
            Step::Over => false,
        });
    }

    fn advance_trials(&mut self, now: Duration) {
        let mut ended = Vec::new();
        for (&ip, trial) in &mut self.trials {
            if trial.next > now {
                continue;
            }
            if trial.sent < PROBES {
                trial.sent += 1;
                trial.next = now + PROBE_GAP;
                ask(&self.ports, ip, &trial.interfaces, &mut self.transmits);
            } else if let Some(verdict) = self.suspects.pending(ip) {
                trial.next = verdict;
            } else {
                ended.push((ip, trial.taken));
            }
        }
        for (ip, taken) in ended {
            self.trials.remove(&ip);
            self.events.push_back(taken.map_or(Event::Free(ip), Event::Taken));
        }
    }

    fn advance_yielded(&mut self, now: Duration) {
        let vacant = self.yielded.extract_if(.., |_, yielded| yielded.is_vacant(now));
        self.events.extend(vacant.map(|(ip, _)| Event::Vacant(ip)));
        for (&ip, yielded) in self.yielded.iter_mut().filter(|(_, yielded)| yielded.next <= now) {
            yielded.ask(now);
            ask(&self.ports, ip, &yielded.interfaces, &mut self.transmits);
        }
    }

    /// Asks for the next few addresses, and ends conflicts that nobody carries on.
    fn audit(&mut self, now: Duration) {
        for ip in self.audit.batch(&self.watched) {
            if let Some(watched) = self.watched.get_mut(&ip) {
                ask(&self.ports, ip, &watched.interfaces, &mut self.transmits);
                if watched.conflict.is_some_and(|standing| now >= standing.seen + OVER) {
                    watched.conflict = None;
                    self.events.push_back(Event::Over(ip));
                }
            }
        }
        self.audit.due = None;
        self.audit.arm(now, self.watched.len());
    }
}

fn ask(
    ports: &BTreeMap<IfIndex, Port>,
    ip: IpAddr,
    interfaces: &Interfaces,
    transmits: &mut VecDeque<Transmit>,
) {
    let asked = ports.values().filter(|port| interfaces.contains(port.index));
    transmits.extend(asked.map(|port| question(ip, port)));
}

fn question(ip: IpAddr, port: &Port) -> Transmit {
    Transmit { interface: port.index, ip, frame: probe(ip, port.mac) }
}

/// Which addresses are asked for next, and when.
#[derive(Debug, Default)]
struct Audit {
    due: Option<Duration>,
    last: Option<IpAddr>,
}

impl Audit {
    /// Few addresses are asked for rarely, many in one waking a second.
    fn arm(&mut self, now: Duration, addresses: usize) {
        let addresses = u32::try_from(addresses).unwrap_or(u32::MAX);
        if let Some(each) = AUDIT.checked_div(addresses) {
            let next = now + each.max(Duration::from_secs(1));
            self.due = Some(self.due.map_or(next, |due| due.min(next)));
        }
    }

    fn batch(&mut self, watched: &BTreeMap<IpAddr, Watched>) -> Vec<IpAddr> {
        let seconds = usize::try_from(AUDIT.as_secs()).unwrap_or(usize::MAX);
        let size = watched.len().div_ceil(seconds).clamp(1, AUDIT_BATCH);
        let after = (self.last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let around = watched.range(after).chain(watched).map(|(ip, _)| *ip);
        let batch: Vec<IpAddr> = around.take(size.min(watched.len())).collect();
        self.last = batch.last().copied();
        batch
    }
}

#[cfg(test)]
mod tests;
