//! What the owner makes of the health of nodes: its own, which it tells, and that of others, which it hears.
//!
//! Whoever lacks something loses its addresses at once where it cannot answer for them anyway. Where it gives them
//! away of its own accord it goes on answering for a moment, until the next one does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ferrolb_model::{Change, Lack, Lacks};
use ferrolb_sys::monotonic_now;
use tokio::time::Instant;
use tracing::info;

use super::Owner;
use crate::fitness::{Fitness, Unfit};

/// How long a node that gives its addresses away goes on answering for them: many times what the way to the
/// next owner takes.
const GRACE: Duration = Duration::from_millis(200);

/// Of this node and of others.
pub(super) struct Health {
    fitness: Fitness,
    /// What this node lacks, and how to say it.
    own: BTreeMap<Lack, String>,
    /// It is known who stands for election.
    pub(super) heard: bool,
    /// What the others lack; none if nobody goes by it.
    others: Option<Lacks>,
    /// Something changed that may make this node lack other things.
    due: bool,
    /// When to look again without being told.
    wake: Option<Duration>,
    /// Whoever loses an address before that is answered for it until then.
    grace: Duration,
    lingering: BTreeMap<IpAddr, Duration>,
}

impl Health {
    pub(super) fn new(hold_down: Duration, heard: bool) -> Self {
        Self {
            fitness: Fitness::new(hold_down),
            own: BTreeMap::new(),
            heard,
            others: None,
            due: true,
            wake: None,
            grace: Duration::ZERO,
            lingering: BTreeMap::new(),
        }
    }

    /// Something that what this node lacks depends on is another.
    pub(super) fn stir(&mut self) {
        self.due = true;
    }

    /// This node is cordoned, and that counts.
    pub(super) fn is_cordoned(&self) -> bool {
        self.fitness.is_unfit(Unfit::Cordoned)
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        let left = self.wake?.saturating_sub(monotonic_now());
        Some(Instant::now() + left)
    }

    fn all(&self, own: &ferrolb_ipam::NodeName) -> Lacks {
        let Some(others) = &self.others else { return Lacks::new() };
        let mut all = others.clone();
        all.remove(own);
        if !self.own.is_empty() {
            all.insert(own.clone(), self.own.keys().copied().collect());
        }
        all
    }
}

impl Owner {
    pub(super) fn take_fitness(&mut self, links: &[ferrolb_sys::Link]) {
        let admitted = self.parts.layer2.admitted(links);
        self.health.fitness.take_links(monotonic_now(), admitted);
        self.health.stir();
    }

    pub(super) fn take_unfit(&mut self, why: Unfit, is: bool) {
        self.health.due |= self.health.fitness.set_unfit(why, is);
    }

    pub(super) fn take_lacks(&mut self, others: Option<Lacks>) {
        if self.health.others != others {
            self.health.others = others;
            self.apply_lacks();
        }
    }

    /// Finds out what this node lacks, tells the others if it is news, and goes by it.
    pub(super) fn review_health(&mut self) {
        let now = monotonic_now();
        if !self.health.due && self.health.wake.is_none_or(|at| now < at) {
            return;
        }
        self.health.due = false;
        let node = self.snapshot.node(&self.parts.node);
        let labels = node.map(|node| node.labels.clone()).unwrap_or_default();
        let lacks = self.health.fitness.lacks(now, &self.config, &labels);
        if lacks != self.health.own {
            self.tell_lacks(now, lacks);
        }
        let ended = |until: &Duration| *until <= now;
        let lingering = std::mem::take(&mut self.health.lingering);
        let (over, lingering): (BTreeMap<_, _>, _) =
            lingering.into_iter().partition(|(_, until)| ended(until));
        for ip in over.into_keys() {
            self.parts.layer2.answer_off(ip);
        }
        let until = lingering.values().copied().chain(self.health.fitness.next(now)).min();
        (self.health.lingering, self.health.wake) = (lingering, until);
    }

    fn tell_lacks(&mut self, now: Duration, lacks: BTreeMap<Lack, String>) {
        if let Some(members) = &self.parts.members {
            members.set_lacks(lacks.keys().copied());
        }
        let gives_all = |lacks: &BTreeMap<Lack, String>| lacks.contains_key(&Lack::NODE);
        if gives_all(&lacks) && !gives_all(&self.health.own) {
            self.health.grace = now + GRACE;
        }
        let words: BTreeSet<&str> = lacks.values().map(String::as_str).collect();
        let lacking = words.into_iter().collect::<Vec<_>>().join(", ");
        let shared = self.health.others.is_some();
        info!(
            event = "nodeLacks",
            lacking, shared, "what this node lacks; where others do not, they come first"
        );
        self.health.own = lacks;
        self.apply_lacks();
    }

    fn apply_lacks(&mut self) {
        let all = self.health.all(&self.parts.node);
        self.apply(Change::Lacks(all));
    }

    /// Answers no more, or only until the next owner does.
    pub(super) fn answer_off(&mut self, ip: IpAddr) {
        let until = self.health.grace;
        if monotonic_now() < until {
            self.health.lingering.insert(ip, until);
            self.health.wake = Some(self.health.wake.map_or(until, |wake| wake.min(until)));
        } else {
            self.parts.layer2.answer_off(ip);
        }
    }

    /// An address that was given away is ours again.
    pub(super) fn keep_answering(&mut self, ip: IpAddr) {
        self.health.lingering.remove(&ip);
    }
}
