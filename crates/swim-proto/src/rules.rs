//! When what is said about a node is believed, and what follows.
//!
//! ```text
//!             suspect                timer ran out, dead
//!   Alive ──────────────▶ Suspect ──────────────────────▶ Dead ──30 s──▶ (grave)
//!     ▲  ▲                  │  │ from = node              ▲ │              │
//!     │  └── higher alive ──┘  └────────▶ Left ◀───────────┘ │              │
//!     └───────────────────── higher alive ───────────────────┴──────────────┘
//! ```
//! Higher means a greater incarnation, which only the node itself raises: that is how it refutes.
//! An alive that is not higher than a node that is gone is old news or a recording. It is answered
//! by telling the node, at the address claimed, that it is held for dead; if it lives it refutes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Event, Refusal};
use crate::membership::Membership;
use crate::node::{Node, State};
use crate::suspicion::Suspicion;
use crate::wire::{Alive, Claim, Message, Record, RecordState};

impl Membership {
    /// A node is said to be alive; `origin` is who said so.
    pub(crate) fn alive(&mut self, now: Duration, origin: IpAddr, alive: Alive) {
        if alive.node == self.config.name {
            self.alive_own(now, &alive);
            return;
        }
        if !alive.versions.fit() {
            self.refuse(now, origin, Refusal::Version);
            return;
        }
        let old = match self.nodes.get(&alive.node) {
            None => {
                if let Some(buried) = self.graves.incarnation(now, &alive.node)
                    && alive.incarnation <= buried
                {
                    self.challenge(now, &alive, buried);
                    return;
                }
                if self.nodes.len() >= self.config.limits.members {
                    self.refuse(now, origin, Refusal::Full);
                    return;
                }
                self.enter_ring(alive.node.clone());
                None
            }
            Some(node) => {
                if alive.address != node.address && !self.may_move(now, node) {
                    let (known, claimed) = (node.address, alive.address);
                    self.conflict(now, origin, alive.node, known, claimed);
                    return;
                }
                if alive.incarnation <= node.incarnation {
                    if node.is_gone() {
                        let incarnation = node.incarnation;
                        self.challenge(now, &alive, incarnation);
                    }
                    return;
                }
                Some((node.state, node.meta.clone(), node.address, node.since))
            }
        };
        self.suspicions.remove(&alive.node);
        self.graves.exhume(&alive.node);
        self.broadcasts.push(alive.node.clone(), Message::Alive(alive.clone()).encode());
        let since = match &old {
            Some((State::Alive, .., since)) => *since,
            _ => now,
        };
        let node = Node {
            address: alive.address,
            meta: alive.meta,
            versions: alive.versions,
            incarnation: alive.incarnation,
            state: State::Alive,
            since,
            datagrams_blocked: false,
        };
        let view = node.view(&alive.node);
        self.nodes.insert(alive.node.clone(), node);
        match old {
            None | Some((State::Dead | State::Left, ..)) => self.emit(Event::Joined(view)),
            Some((state, meta, address, _)) => {
                if state == State::Suspect {
                    self.emit(Event::Recovered { node: alive.node });
                }
                if meta != view.meta || address != view.address {
                    self.emit(Event::Updated(view));
                }
            }
        }
    }

    /// A node is said not to answer.
    pub(crate) fn suspect(&mut self, now: Duration, claim: &Claim) {
        let known = self.nodes.contains_key(&claim.from);
        let count = self.nodes.len();
        let Some(node) = self.nodes.get_mut(&claim.node) else { return };
        if claim.incarnation < node.incarnation {
            return;
        }
        if let Some(suspicion) = self.suspicions.get_mut(&claim.node) {
            // Only members confirm: invented names would shorten the time to refute.
            if known && claim.from != claim.node && suspicion.confirm(&claim.from) {
                self.broadcasts.push(claim.node.clone(), Message::Suspect(claim.clone()).encode());
            }
            return;
        }
        if node.state != State::Alive {
            return;
        }
        (node.state, node.since, node.incarnation) = (State::Suspect, now, claim.incarnation);
        let suspicion = Suspicion::new(&self.config.timing, count, now, claim.from.clone());
        self.suspicions.insert(claim.node.clone(), suspicion);
        self.broadcasts.push(claim.node.clone(), Message::Suspect(claim.clone()).encode());
        self.emit(Event::Suspect { node: claim.node.clone(), from: claim.from.clone() });
    }

    /// A node is said to be dead, or says itself that it leaves.
    pub(crate) fn bury(&mut self, now: Duration, claim: &Claim) {
        let Some(node) = self.nodes.get_mut(&claim.node) else { return };
        if claim.incarnation < node.incarnation || node.is_gone() {
            return;
        }
        let left = claim.node == claim.from;
        node.incarnation = claim.incarnation;
        node.state = if left { State::Left } else { State::Dead };
        node.since = now;
        self.suspicions.remove(&claim.node);
        self.broadcasts.push(claim.node.clone(), Message::Dead(claim.clone()).encode());
        let node = claim.node.clone();
        self.emit(if left {
            Event::Left { node }
        } else {
            Event::Dead { node, from: claim.from.clone() }
        });
    }

    /// Takes over what another node's whole state says.
    pub(crate) fn merge(&mut self, now: Duration, origin: IpAddr, records: Vec<Record>) {
        for Record { node: alive, state } in records {
            let from = match state {
                RecordState::Alive => {
                    self.alive(now, origin, alive);
                    continue;
                }
                RecordState::Left => alive.node.clone(),
                // Dead to another is a suspect here: it gets its time to refute.
                RecordState::Suspect | RecordState::Dead => self.config.name.clone(),
            };
            let claim = Claim { incarnation: alive.incarnation, node: alive.node, from };
            if claim.node == self.config.name {
                self.accused(None, &claim);
            } else if state == RecordState::Left {
                self.bury(now, &claim);
            } else {
                self.suspect(now, &claim);
            }
        }
    }

    /// Suspects whose time is up.
    pub(crate) fn expire_suspicions(&mut self, now: Duration) {
        let due: Vec<Arc<str>> = self
            .suspicions
            .iter()
            .filter(|(_, suspicion)| suspicion.deadline() <= now)
            .map(|(name, _)| name.clone())
            .collect();
        for node in due {
            self.suspicions.remove(&node);
            let Some(incarnation) = self.nodes.get(&node).map(|node| node.incarnation) else {
                continue;
            };
            let from = self.config.name.clone();
            self.bury(now, &Claim { incarnation, node, from });
        }
    }

    /// Forgets those that are gone for long.
    pub(crate) fn forget(&mut self, now: Duration) {
        let after = self.config.timing.gossip_to_the_dead;
        let own = self.config.name.clone();
        let graves = &mut self.graves;
        self.nodes.retain(|name, node| {
            let forget = *name != own && node.is_forgettable(now, after);
            if forget {
                graves.bury(now, name.clone(), node.incarnation);
            }
            !forget
        });
        self.ring.retain(|name| self.nodes.contains_key(name));
    }

    /// Gossips what this node says of itself.
    pub(crate) fn broadcast_own(&mut self) {
        let name = self.config.name.clone();
        if let Some(own) = self.own() {
            let message = Message::Alive(alive_of(&name, own)).encode();
            self.broadcasts.push(name, message);
        }
    }

    /// This node is said not to answer, or to be gone. `from` is told directly that it lives, since
    /// whoever buried it may be no member here any more.
    pub(crate) fn accused(&mut self, from: Option<SocketAddr>, claim: &Claim) {
        let Some(own) = self.own() else { return };
        if claim.incarnation < own.incarnation || self.leaving.is_some() {
            return;
        }
        self.refute(claim.incarnation);
        if let (Some(to), Some(own)) = (from.filter(|from| !self.is_member(*from)), self.own()) {
            let message = Message::Alive(alive_of(&self.config.name, own)).encode();
            self.send_sealed(to, &message, false);
        }
    }

    // Somebody else speaks of this node.
    fn alive_own(&mut self, now: Duration, alive: &Alive) {
        let Some(own) = self.own() else { return };
        if self.leaving.is_some() || alive.incarnation < own.incarnation {
            return;
        }
        if alive.address != own.address {
            let known = own.address;
            self.conflict(now, alive.address.ip(), alive.node.clone(), known, alive.address);
            return;
        }
        let same = alive.meta == own.meta && alive.versions == own.versions;
        if alive.incarnation > own.incarnation || !same {
            self.refute(alive.incarnation);
        }
    }

    fn refute(&mut self, accused: u32) {
        let name = self.config.name.clone();
        let Some(own) = self.nodes.get_mut(&name) else { return };
        own.incarnation = own.incarnation.max(accused).saturating_add(1);
        let incarnation = own.incarnation;
        self.probing.worsen(1);
        self.stats.refutations += 1;
        self.broadcast_own();
        self.emit(Event::Refuted { incarnation });
    }

    /// Whether a node that is gone may come back with another address.
    fn may_move(&self, now: Duration, node: &Node) -> bool {
        let reclaim = self.config.timing.dead_node_reclaim;
        match node.state {
            State::Left => true,
            State::Dead => reclaim.is_some_and(|after| now.saturating_sub(node.since) > after),
            State::Alive | State::Suspect => false,
        }
    }

    /// Tells a node that seems to be back with an old incarnation that it is held for dead.
    fn challenge(&mut self, now: Duration, alive: &Alive, incarnation: u32) {
        if self.leaving.is_none() && self.graves.challenge(now, &alive.node) {
            self.stats.challenges += 1;
            let (node, from) = (alive.node.clone(), self.config.name.clone());
            let message = Message::Dead(Claim { incarnation, node, from }).encode();
            self.send_sealed(alive.address, &message, alive.versions.checksums());
        }
    }

    fn conflict(
        &mut self,
        now: Duration,
        origin: IpAddr,
        node: Arc<str>,
        known: SocketAddr,
        claimed: SocketAddr,
    ) {
        if self.complaints.note(now, origin, Refusal::Conflict).is_some() {
            self.emit(Event::Conflict { node, known, claimed });
        }
        self.stats.refused[Refusal::Conflict as usize] += 1;
    }

    /// A new node goes to a random place of the ring, so that it is not always probed last.
    fn enter_ring(&mut self, name: Arc<str>) {
        let place = self.rng.usize(..=self.ring.len());
        self.ring.push(name);
        let last = self.ring.len() - 1;
        self.ring.swap(place, last);
    }
}

pub(crate) fn alive_of(name: &Arc<str>, node: &Node) -> Alive {
    Alive {
        incarnation: node.incarnation,
        node: name.clone(),
        address: node.address,
        meta: node.meta.clone(),
        versions: node.versions,
    }
}
