//! What a detector tells its driver, and what the driver tells back about the wire.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Something that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The candidate set is another one. Given once per poll, whatever happened in between.
    MembersChanged {
        /// Alive and eligible nodes, this one included if it is eligible.
        candidates: BTreeSet<Arc<str>>,
    },
    /// Peers lack other things than before. Comes with [`Event::MembersChanged`] if both are due.
    LacksChanged {
        /// What each lacks that lacks something, by its own word, whether it is alive or not.
        lacks: BTreeMap<Arc<str>, BTreeSet<u64>>,
    },
    /// Ask on the wire (two ARP or NS questions within 60 ms) for an address that `peer`
    /// announces, and report by [`crate::Detector::handle_wire_answer`].
    AskWire {
        /// Whose speaker should answer.
        peer: Arc<str>,
    },
    /// Nothing was heard of `peer` for longer than its deadline; it still counts as alive.
    PeerSilent {
        /// Who.
        peer: Arc<str>,
        /// Time since it was last heard.
        silence: Duration,
        /// Its deadline, with its own lateness in it.
        limit: Duration,
    },
    /// `peer` is dead and no candidate any more.
    PeerDead {
        /// Who.
        peer: Arc<str>,
        /// How that was found out.
        death: Death,
    },
    /// `peer` is heard, for the first time or again.
    PeerBack {
        /// Who.
        peer: Arc<str>,
        /// What it was before. After [`Previous::Dead`] the owner of an address announces again.
        previous: Previous,
    },
    /// `peer` was listed for a while and never heard: its port is blocked, its secret is another
    /// one, or it does not run. It is no candidate.
    PeerUnheard {
        /// Who.
        peer: Arc<str>,
    },
    /// `peer` lives but is not heard here: the path is broken, or its port blocked.
    BrokenPath {
        /// Who does not hear (this node).
        deaf: Arc<str>,
        /// Who is not heard.
        peer: Arc<str>,
        /// What shows that it lives.
        seen_by: SeenBy,
    },
    /// Others had declared this node dead; it answered with a new epoch.
    Refuted {
        /// Whose word it was.
        accuser: Arc<str>,
        /// Whether this node steps back for the hold-down because others serve in its place.
        held: bool,
    },
    /// This thread was called `by` too late; deadlines moved by as much.
    Late {
        /// How late.
        by: Duration,
    },
    /// With a silent peer to judge, this node hears less than half of those it counts as alive
    /// (`true`), or enough again (`false`).
    SelfSuspect(bool),
    /// A departure is complete: stop answering now.
    Released {
        /// Whether every candidate confirmed; otherwise time was up.
        confirmed: bool,
    },
}

/// How a death was found out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Death {
    /// From the last word of the peer to the verdict; zero if it was not ours to watch.
    pub silence: Duration,
    /// From the own deadline to the verdict.
    pub confirmation: Duration,
    /// Other monitors that did not hear it either; empty if the wire decided.
    pub witnesses: Vec<Arc<str>>,
    /// Who passed the verdict on to this node; none if it is our own.
    pub by: Option<Arc<str>>,
}

/// What a peer that is heard (again) was before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Previous {
    /// Never heard since it joined, or gone after it had taken leave.
    Unheard,
    /// Silent, still counted.
    Silent,
    /// Declared dead.
    Dead,
}

/// What shows that a silent peer lives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SeenBy {
    /// This other monitor hears it.
    Monitor(Arc<str>),
    /// It answered on the wire.
    Wire,
}

/// What the wire said about a silent peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WireAnswer {
    /// The peer's MAC answered for one of its addresses.
    Answered,
    /// Nobody answered. Also right when the peer announces nothing: its death moves nothing.
    Unanswered,
    /// Nobody answered, and no frame at all came in since the peer fell silent: the fault may be
    /// ours. Judged again after another silence.
    Mute,
}

impl From<bool> for WireAnswer {
    fn from(answered: bool) -> Self {
        if answered { Self::Answered } else { Self::Unanswered }
    }
}
