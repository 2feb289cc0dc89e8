//! From heard to silent, from silent to dead, and back.
//!
//! A silent peer is dead when another monitor is past its deadline too and none hears it. A node
//! that hears less than half of those it watches distrusts its ears: then, and when no monitor
//! answers, only the wire decides. Two nodes are the smallest case of that rule.

use std::sync::Arc;
use std::time::Duration;

use crate::detector::Detector;
use crate::event::{Death, Event, Previous, SeenBy, WireAnswer};
use crate::node::NodeHash;
use crate::peer::{Inquiry, Peer, Standing, Statement, Step};
use crate::roll::Word;
use crate::wire::Mark;

impl Detector {
    /// Judges every peer. The socket is drained and own lateness forgiven before.
    pub(crate) fn judge(&mut self, now: Duration) {
        let peers: Vec<NodeHash> = self.tended.iter().copied().collect();
        for peer in &peers {
            if self.ring {
                self.notice_on_ring(now, *peer);
            } else {
                self.notice(now, *peer);
            }
        }
        self.reconsider_self(now);
        for peer in &peers {
            self.inquire(now, *peer);
        }
        self.reconsider_self(now);
    }

    /// Whether, with somebody to judge, this node hears too few of those it counts as alive to trust
    /// its ears. Those fall silent up to an interval apart when our hearing fails, so whoever is
    /// overdue is not heard. Monitors of ours are asked since a ward was overdue.
    fn suspects_itself(&self, now: Duration) -> bool {
        let timing = &self.config.timing;
        let judged = |peer: &Peer| peer.link.ward && matches!(peer.standing, Standing::Silent(_));
        let judging = self.near().any(|(_, peer)| judged(peer) && !peer.is_accused());
        let counted = self.near().filter(|(_, peer)| peer.counts()).count();
        let answers = |peer: &Peer| peer.link.ward || now < peer.heard + timing.interval * 2;
        let heard = |peer: &Peer| peer.is_alive() && now < peer.overdue(timing) && answers(peer);
        judging && self.near().filter(|(_, peer)| heard(peer)).count() * 2 < counted
    }

    fn reconsider_self(&mut self, now: Duration) {
        let suspect = self.suspects_itself(now);
        if suspect != self.suspect {
            self.suspect = suspect;
            self.push(Event::SelfSuspect(suspect));
            self.beat_all();
        }
    }

    /// What own ears say: heard, overdue, silent, back.
    fn notice(&mut self, now: Duration, hash: NodeHash) {
        let timing = self.config.timing;
        let Some(peer) = self.peers.get(&hash) else { return };
        let heard = peer.is_heard(&timing, now);
        match peer.standing {
            Standing::Unheard if heard => {
                self.rise(hash, Standing::Alive, Previous::Unheard);
            }
            Standing::Unheard => self.notice_unheard(now, hash),
            Standing::Alive if heard => {
                if now >= peer.next_probe(&timing) {
                    self.probe(hash);
                }
            }
            Standing::Alive if peer.bits.draining => self.part(hash),
            Standing::Alive => self.fall_silent(now, hash),
            Standing::Silent(_) if heard => self.rise(hash, Standing::Alive, Previous::Silent),
            Standing::Silent(_) => {}
            Standing::Dead { epoch, .. } if heard && peer.epoch != epoch => {
                self.rise(hash, Standing::Alive, Previous::Dead);
            }
            Standing::Dead { at, .. } => {
                if let Some((until, _)) = self.relayed(now, hash, at) {
                    let standing = Standing::Silent(relayed(now, until));
                    self.rise(hash, standing, Previous::Dead);
                }
            }
        }
    }

    /// The same on the ring, where words decide on life and death, and ears only on silence.
    fn notice_on_ring(&mut self, now: Duration, hash: NodeHash) {
        let timing = self.config.timing;
        let Some(peer) = self.peers.get(&hash) else { return };
        match peer.standing {
            Standing::Unheard if peer.word.is_none() => self.notice_unheard(now, hash),
            Standing::Silent(_) if peer.is_accused() => {}
            Standing::Silent(_) if peer.is_heard(&timing, now) => {
                self.rise(hash, Standing::Alive, Previous::Silent);
            }
            Standing::Alive if !peer.link.ward => {}
            Standing::Alive if peer.is_heard(&timing, now) => {
                if now >= peer.next_probe(&timing) {
                    self.probe(hash);
                    self.ask_monitors(now);
                }
            }
            Standing::Alive if peer.bits.draining => self.part(hash),
            Standing::Alive => self.fall_silent(now, hash),
            Standing::Unheard | Standing::Silent(_) | Standing::Dead { .. } => {}
        }
    }

    /// They do not speak to us unasked; whether they answer tells whether we hear at all.
    fn ask_monitors(&mut self, now: Duration) {
        let recent = self.config.timing.interval;
        let quiet = |peer: &Peer| !peer.link.ward && now >= peer.heard + recent;
        let quiet: Vec<NodeHash> =
            self.near().filter(|(_, peer)| quiet(peer)).map(|(hash, _)| hash).collect();
        for hash in quiet {
            self.probe(hash);
        }
    }

    /// A peer never heard here may be heard by others: its way to us is blocked from the start.
    fn notice_unheard(&mut self, now: Duration, hash: NodeHash) {
        let timing = self.config.timing;
        let Some(peer) = self.peers.get(&hash) else { return };
        let (listed, name, missed) = (peer.listed, peer.name.clone(), peer.missed);
        if !self.ring
            && peer.session.is_none()
            && now >= listed + timing.silence
            && let Some((until, _)) = self.relayed(now, hash, listed)
        {
            return self.rise(hash, Standing::Silent(relayed(now, until)), Previous::Unheard);
        }
        if !missed && now >= listed + timing.alone {
            let silent = self.peers.get(&hash).is_some_and(|peer| peer.session.is_none());
            self.edit(hash, |peer| peer.missed = true);
            self.unlinked = true;
            if silent {
                self.push(Event::PeerUnheard { peer: name });
            }
        }
    }

    pub(crate) fn rise(&mut self, hash: NodeHash, standing: Standing, previous: Previous) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&hash) else { return };
        peer.standing = standing;
        peer.missed = true;
        if previous == Previous::Dead {
            peer.back = Some(now);
        }
        let name = peer.name.clone();
        self.push(Event::PeerBack { peer: name, previous });
        if !self.ring {
            self.beat_all();
        }
    }

    /// It had taken leave, nothing depends on it: no inquiry.
    fn part(&mut self, hash: NodeHash) {
        self.edit(hash, |peer| peer.standing = Standing::Unheard);
        self.tell_end(hash);
    }

    fn fall_silent(&mut self, now: Duration, hash: NodeHash) {
        let timing = self.config.timing;
        let Some(peer) = self.peers.get_mut(&hash) else { return };
        peer.standing = Standing::Silent(Inquiry {
            since: now,
            asked: now,
            step: Step::Witnesses { repeated: false },
            reported: false,
        });
        let event = Event::PeerSilent {
            peer: peer.name.clone(),
            silence: now.saturating_sub(peer.heard),
            limit: peer.limit(&timing),
        };
        self.stats.silences += 1;
        self.push(event);
        self.probe_all();
    }

    /// Moves the inquiry into a silent peer on.
    fn inquire(&mut self, now: Duration, hash: NodeHash) {
        let Some(peer) = self.peers.get(&hash) else { return };
        let Standing::Silent(inquiry) = peer.standing else { return };
        if let Step::Accused { by, until } = inquiry.step {
            if now >= until {
                self.bury_by_word(now, hash, by);
            }
            return;
        }
        if let Some((until, monitor)) = self.relayed(now, hash, Duration::ZERO) {
            return self.hold_for_monitor(hash, inquiry, until, monitor);
        }
        if peer.bits.draining {
            return self.part(hash);
        }
        let Testimony { witnesses, pending } = self.testimony(hash, &inquiry);
        let settled = !pending || now >= inquiry.asked + self.config.timing.confirm();
        let proven = settled && !witnesses.is_empty();
        match inquiry.step {
            Step::Resting { until } if now < until => {}
            Step::Relayed { .. } | Step::Resting { .. } => self.ask(now, hash),
            Step::Wire { answer: Some(answer), .. } => {
                self.hear_wire(now, hash, inquiry, answer, witnesses);
            }
            _ if proven => self.bury(now, hash, inquiry, witnesses),
            Step::Wire { asked, .. } if now < asked + self.config.timing.silence_max => {}
            Step::Wire { .. } => self.ask_wire(now, hash, inquiry),
            Step::Witnesses { .. } if settled || self.suspect => self.ask_wire(now, hash, inquiry),
            Step::Witnesses { repeated: false }
                if now >= inquiry.asked + self.config.timing.confirm() / 2 =>
            {
                self.set_step(hash, inquiry, Step::Witnesses { repeated: true });
                self.probe_all();
            }
            Step::Witnesses { .. } | Step::Accused { .. } => {}
        }
    }

    /// Another monitor hears it: alive, and with the bits that monitor heard last.
    fn hold_for_monitor(
        &mut self,
        hash: NodeHash,
        mut inquiry: Inquiry,
        until: Duration,
        (monitor, said): (Arc<str>, Statement),
    ) {
        let report = !inquiry.reported && said.heard > inquiry.since;
        inquiry.reported |= report;
        inquiry.step = Step::Relayed { until };
        let Some(peer) = self.peers.get_mut(&hash) else { return };
        if peer.session.is_none() || said.heard > peer.heard {
            peer.bits = said.bits;
            peer.epoch = said.epoch;
        }
        peer.standing = Standing::Silent(inquiry);
        if report {
            let peer = peer.name.clone();
            self.report_broken_path(peer, SeenBy::Monitor(monitor));
        }
    }

    fn hear_wire(
        &mut self,
        now: Duration,
        hash: NodeHash,
        mut inquiry: Inquiry,
        answer: WireAnswer,
        witnesses: Vec<Arc<str>>,
    ) {
        if answer == WireAnswer::Unanswered {
            return self.bury(now, hash, inquiry, witnesses);
        }
        let report = answer == WireAnswer::Answered && !inquiry.reported;
        inquiry.reported |= report;
        let until = now + self.config.timing.silence;
        self.set_step(hash, inquiry, Step::Resting { until });
        let name = self.peers.get(&hash).map(|peer| peer.name.clone());
        if let Some(name) = name.filter(|_| report) {
            self.report_broken_path(name, SeenBy::Wire);
        }
    }

    fn report_broken_path(&mut self, peer: Arc<str>, seen_by: SeenBy) {
        self.stats.broken_paths += 1;
        self.push(Event::BrokenPath { deaf: self.config.name.clone(), peer, seen_by });
    }

    /// Asks the other monitors anew.
    fn ask(&mut self, now: Duration, hash: NodeHash) {
        self.edit(hash, |peer| {
            if let Standing::Silent(inquiry) = &mut peer.standing {
                inquiry.asked = now;
                inquiry.step = Step::Witnesses { repeated: false };
            }
        });
        self.probe_all();
    }

    fn ask_wire(&mut self, now: Duration, hash: NodeHash, inquiry: Inquiry) {
        self.set_step(hash, inquiry, Step::Wire { asked: now, answer: None });
        if let Some(peer) = self.peers.get(&hash).map(|peer| peer.name.clone()) {
            self.push(Event::AskWire { peer });
        }
    }

    fn bury(&mut self, now: Duration, hash: NodeHash, inquiry: Inquiry, witnesses: Vec<Arc<str>>) {
        let Some(peer) = self.peers.get(&hash) else { return };
        let death = Death {
            silence: now.saturating_sub(peer.heard),
            confirmation: now.saturating_sub(inquiry.since),
            witnesses,
            by: None,
        };
        self.declare(now, hash, death);
        self.tell_end(hash);
        self.beat_all();
    }

    /// The end of a life found out here: for all, and for the peer itself if it lives.
    fn tell_end(&mut self, hash: NodeHash) {
        if !self.ring {
            return;
        }
        self.unlinked = true;
        if let Some(epoch) = self.peers.get(&hash).map(|peer| peer.epoch) {
            self.tell(hash, Word { epoch, dead: true });
            self.probe(hash);
        }
    }

    pub(crate) fn declare(&mut self, now: Duration, hash: NodeHash, death: Death) {
        let Some(peer) = self.peers.get_mut(&hash) else { return };
        peer.standing = Standing::Dead { epoch: peer.epoch, at: now };
        let event = Event::PeerDead { peer: peer.name.clone(), death };
        self.stats.deaths += 1;
        self.push(event);
    }

    /// The monitor that heard the peer last, if after `since` and recently enough to hold it alive,
    /// and until when it does.
    fn relayed(
        &self,
        now: Duration,
        hash: NodeHash,
        since: Duration,
    ) -> Option<(Duration, (Arc<str>, Statement))> {
        let limit = self.peers.get(&hash)?.limit(&self.config.timing);
        self.monitors(hash)
            .filter_map(|monitor| Some((monitor, *monitor.statements.get(&hash)?)))
            .filter(|(_, said)| said.mark.hears() && said.heard > since && said.heard + limit > now)
            .max_by_key(|(_, said)| said.heard)
            .map(|(monitor, said)| (said.heard + limit, (monitor.name.clone(), said)))
    }

    /// What the other monitors said since they were asked. One that hears the peer, if too long ago
    /// to hold it alive, is about to make up its mind.
    fn testimony(&self, hash: NodeHash, inquiry: &Inquiry) -> Testimony {
        let epoch = self.peers.get(&hash).map(|peer| peer.epoch);
        let mut testimony = Testimony { witnesses: Vec::new(), pending: false };
        for monitor in self.monitors(hash) {
            let said = monitor.statements.get(&hash).filter(|said| said.received >= inquiry.asked);
            match said.map(|said| said.mark) {
                Some(Mark::Dead) if said.map(|said| said.epoch) == epoch => {
                    testimony.witnesses.push(monitor.name.clone());
                }
                Some(Mark::Silent) if !self.suspect => {
                    testimony.witnesses.push(monitor.name.clone());
                }
                Some(
                    Mark::Unknown
                    | Mark::Silent
                    | Mark::Dead
                    | Mark::Digest
                    | Mark::Told
                    | Mark::Accused
                    | Mark::Lack,
                ) => {}
                Some(Mark::Heard | Mark::Back | Mark::Taken) | None => testimony.pending = true,
            }
        }
        testimony
    }

    fn set_step(&mut self, hash: NodeHash, inquiry: Inquiry, step: Step) {
        self.edit(hash, |peer| peer.standing = Standing::Silent(Inquiry { step, ..inquiry }));
    }

    pub(crate) fn edit(&mut self, hash: NodeHash, change: impl FnOnce(&mut Peer)) {
        if let Some(peer) = self.peers.get_mut(&hash) {
            change(peer);
        }
    }
}

struct Testimony {
    witnesses: Vec<Arc<str>>,
    pending: bool,
}

fn relayed(now: Duration, until: Duration) -> Inquiry {
    Inquiry { since: now, asked: now, step: Step::Relayed { until }, reported: false }
}
