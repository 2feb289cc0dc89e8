//! What is known of one peer, and what it is still to be sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::config::Timing;
use crate::event::WireAnswer;
use crate::node::NodeHash;
use crate::ring::Link;
use crate::roll::Word;
use crate::session::Session;
use crate::wire::{Bits, Entry, Header, Mark};

#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: Arc<str>,
    pub(crate) standing: Standing,
    /// Since when it is listed.
    pub(crate) listed: Duration,
    /// Whether it was reported as never heard.
    pub(crate) missed: bool,
    /// Newest datagram accepted; none until it has proven its present life.
    pub(crate) session: Option<Session>,
    /// Arrival of that datagram.
    pub(crate) heard: Duration,
    /// How far its deadline moved because this thread was late; ends with the next hearing.
    pub(crate) pardon: Duration,
    /// What it last said of itself, or what the monitor said that heard it last.
    pub(crate) lateness: Duration,
    pub(crate) epoch: u64,
    pub(crate) bits: Bits,
    pub(crate) lacks: BTreeSet<u64>,
    /// What it last said of others, us included.
    pub(crate) statements: BTreeMap<NodeHash, Statement>,
    /// The newest word about it, on the ring.
    pub(crate) word: Option<Word>,
    /// Whether others know its present life, so that it is watched before it has proven it here.
    pub(crate) vouched: bool,
    pub(crate) link: Link,
    /// What all its words came to when it said so last, until we answered to a difference.
    pub(crate) digest: Option<u64>,
    /// When it came back from the dead.
    pub(crate) back: Option<Duration>,
    /// Whether what it left is taken over here.
    pub(crate) taken: bool,
    pub(crate) outgoing: Outgoing,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Standing {
    /// Never heard since it joined, or gone after taking leave. Not counted, not judged.
    Unheard,
    /// Heard within its deadline.
    Alive,
    /// Past its deadline, still counted, being judged.
    Silent(Inquiry),
    /// Declared dead in an epoch; only another epoch, or a monitor that hears it since, undoes it.
    Dead { epoch: u64, at: Duration },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Inquiry {
    pub(crate) since: Duration,
    /// Statements count from here on.
    pub(crate) asked: Duration,
    pub(crate) step: Step,
    /// Whether the broken path was reported.
    pub(crate) reported: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// The other monitors are asked.
    Witnesses { repeated: bool },
    /// One of them hears it, which holds until then.
    Relayed { until: Duration },
    /// The wire is asked.
    Wire { asked: Duration, answer: Option<WireAnswer> },
    /// Another node declared it dead; it may answer until then.
    Accused { by: NodeHash, until: Duration },
    /// The wire acquitted it, or said nothing at all; asked again then.
    Resting { until: Duration },
}

/// What a peer said of a subject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement {
    pub(crate) received: Duration,
    /// When the peer heard the subject, on our clock. The way of the datagram makes it too late by
    /// as much, which errs on the side of life.
    pub(crate) heard: Duration,
    pub(crate) epoch: u64,
    pub(crate) mark: Mark,
    pub(crate) bits: Bits,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outgoing {
    /// What our probes ask it to repeat; changes when it did.
    pub(crate) nonce: u64,
    /// Nonce of its probe that waits for our answer.
    pub(crate) echo: Option<u64>,
    pub(crate) beat: bool,
    pub(crate) probe: bool,
    pub(crate) probed: Option<Duration>,
    /// All words are to be told it, from this subject on.
    pub(crate) words: Option<NodeHash>,
}

impl Peer {
    pub(crate) fn new(name: Arc<str>, listed: Duration, nonce: u64) -> Self {
        Self {
            name,
            standing: Standing::Unheard,
            listed,
            missed: false,
            session: None,
            heard: listed,
            pardon: Duration::ZERO,
            lateness: Duration::ZERO,
            epoch: 0,
            bits: Bits::default(),
            lacks: BTreeSet::new(),
            statements: BTreeMap::new(),
            word: None,
            vouched: false,
            link: Link::default(),
            digest: None,
            back: None,
            taken: false,
            outgoing: Outgoing { nonce, ..Outgoing::default() },
        }
    }

    /// Takes over an admitted datagram; `nonce` is the next one to ask with.
    pub(crate) fn hear(
        &mut self,
        received: Duration,
        session: Session,
        header: &Header,
        nonce: u64,
    ) {
        self.prove(session, header, nonce);
        self.heard = self.heard.max(received);
        self.pardon = Duration::ZERO;
        self.lateness = header.lateness;
        self.epoch = header.epoch;
        self.bits = header.bits;
        self.taken &= header.bits.draining;
    }

    /// Remembers an admitted datagram as the newest; `nonce` is the next one to ask with.
    pub(crate) fn prove(&mut self, session: Session, header: &Header, nonce: u64) {
        self.session = Some(session);
        if header.token == self.outgoing.nonce {
            self.outgoing.nonce = nonce;
        }
    }

    pub(crate) fn note(&mut self, received: Duration, entry: &Entry) {
        let statement = Statement {
            received,
            heard: received.saturating_sub(entry.age),
            epoch: entry.epoch,
            mark: entry.mark,
            bits: entry.bits,
        };
        self.statements.insert(entry.subject, statement);
    }

    pub(crate) fn limit(&self, timing: &Timing) -> Duration {
        timing.limit(self.lateness)
    }

    /// When it becomes silent; none if it was never heard.
    pub(crate) fn deadline(&self, timing: &Timing) -> Option<Duration> {
        let known = self.session.is_some() || self.vouched;
        known.then(|| self.heard + self.limit(timing) + self.pardon)
    }

    pub(crate) fn is_heard(&self, timing: &Timing, now: Duration) -> bool {
        self.deadline(timing).is_some_and(|deadline| now < deadline)
    }

    /// From when on it is probed for want of a word.
    pub(crate) fn overdue(&self, timing: &Timing) -> Duration {
        self.heard + timing.overdue(self.limit(timing)) + self.pardon
    }

    /// When to probe it next while it is alive.
    pub(crate) fn next_probe(&self, timing: &Timing) -> Duration {
        let probed = self.outgoing.probed.map_or(Duration::ZERO, |at| at + timing.retry());
        self.overdue(timing).max(probed)
    }

    /// This thread slept `late` too long: what it missed meanwhile is not held against the peer.
    pub(crate) fn forgive(&mut self, now: Duration, late: Duration) {
        self.pardon = (self.pardon + late).min(now.saturating_sub(self.heard));
        let known = self.session.is_some() || self.vouched;
        if known && matches!(self.standing, Standing::Silent(_)) && !self.is_accused() {
            self.standing = Standing::Alive;
        }
    }

    /// Whether it counts as alive: heard, or not yet judged.
    pub(crate) fn counts(&self) -> bool {
        matches!(self.standing, Standing::Alive | Standing::Silent(_))
    }

    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.standing, Standing::Alive)
    }

    /// Whether it stands for election.
    pub(crate) fn is_candidate(&self) -> bool {
        self.counts() && self.bits.stands()
    }

    /// When its standing has to be looked at again if nothing is heard.
    pub(crate) fn wake(&self, timing: &Timing) -> Option<Duration> {
        match self.standing {
            Standing::Unheard if !self.missed => Some(self.listed + timing.alone),
            Standing::Unheard | Standing::Dead { .. } => None,
            Standing::Alive if !self.link.ward => None,
            Standing::Alive => {
                self.deadline(timing).map(|deadline| deadline.min(self.next_probe(timing)))
            }
            Standing::Silent(inquiry) => Some(match inquiry.step {
                Step::Witnesses { repeated: false } => inquiry.asked + timing.confirm() / 2,
                Step::Witnesses { repeated: true } => inquiry.asked + timing.confirm(),
                Step::Wire { asked, .. } => asked + timing.silence_max,
                Step::Relayed { until } | Step::Accused { until, .. } | Step::Resting { until } => {
                    until
                }
            }),
        }
    }
}
