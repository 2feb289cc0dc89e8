//! Goes on from what was known last while the API server does not answer, and keeps that up to date.
//!
//! ```text
//!  start ── 1 s ── all listed? ── yes ──► what was remembered is dropped
//!                      └── no ──► it is taken in as if the watches had told it; each watch that
//!                                 completes removes what it did not confirm; all listed: over
//! ```
//!
//! Whether this node may announce what it remembers is decided like anything else: by the election
//! among those that membership hears. So without membership nothing is remembered.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ferrolb_kube_rt::metrics::RecallMetrics;
use ferrolb_model::SliceKey;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Owner, ServiceKey, set};
use crate::memory::{Keeper, Known, Memory};
use crate::topics::{Message, Topic};

/// Time for the API server to say what there is, before what is remembered is used.
const PATIENCE: Duration = Duration::from_secs(1);
/// Changes wait this long for more before they are remembered.
const DEBOUNCE: Duration = Duration::from_secs(1);
/// All is written anew each time. The rest after that is so many times as long as it took, which makes
/// it half a hundredth of a processor where something changes all the time ...
const REST: u32 = 200;
/// ... but not longer than that: a slow disk costs no processor.
const LONGEST_REST: Duration = Duration::from_mins(1);

/// What is remembered, and how far the API server is waited for or believed.
pub(crate) struct Recall {
    memory: Option<Memory>,
    keeper: Option<Keeper>,
    metrics: RecallMetrics,
    /// When what is remembered is used.
    use_at: Option<Instant>,
    /// What is acted on and was not confirmed yet, by watch. None: nothing of it is acted on.
    unconfirmed: Option<HashMap<&'static str, HashSet<Topic>>>,
    keep_at: Option<Instant>,
    /// Nothing is kept before.
    rested_at: Instant,
}

impl Recall {
    /// `memory` is used if the API server does not answer soon; `keeper` keeps what it says.
    pub(crate) fn new(
        memory: Option<Memory>,
        keeper: Option<Keeper>,
        metrics: RecallMetrics,
    ) -> Self {
        let use_at = memory.is_some().then(|| Instant::now() + PATIENCE);
        let rested_at = Instant::now();
        Self { memory, keeper, metrics, use_at, unconfirmed: None, keep_at: None, rested_at }
    }

    /// Whether decisions are made by what is remembered.
    pub(super) const fn is_acting(&self) -> bool {
        self.unconfirmed.is_some()
    }

    /// When [`Owner::tend_memory`] is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.use_at.into_iter().chain(self.keep_at).min()
    }

    /// The API server has spoken about this; it is worth remembering if it `is_news`.
    pub(super) fn hear(&mut self, topic: &Topic, is_news: bool) {
        let Some(watch) = topic.watch() else { return };
        if let Some(topics) = self.unconfirmed.as_mut().and_then(|all| all.get_mut(watch)) {
            topics.remove(topic);
        }
        if is_news {
            self.keep_soon();
        }
    }

    fn keep_soon(&mut self) {
        if self.keeper.is_some() && self.keep_at.is_none() {
            self.keep_at = Some(self.rested_at.max(Instant::now() + DEBOUNCE));
        }
    }

    /// It took so long to put everything together.
    fn rest(&mut self, took: Duration) {
        let written = self.keeper.as_ref().map(Keeper::took).unwrap_or_default();
        let rest = (took + written).saturating_mul(REST).min(LONGEST_REST);
        self.rested_at = Instant::now() + rest;
    }

    /// A watch has said everything: returns that what it did not confirm is gone.
    pub(super) fn complete(&mut self, watch: &'static str) -> Vec<Message> {
        let left = self.unconfirmed.as_mut().and_then(|all| all.remove(watch));
        left.into_iter().flatten().filter_map(gone).collect()
    }

    /// Everything is listed.
    pub(super) fn end(&mut self) {
        self.use_at = None;
        self.memory = None;
        self.keep_soon();
        if self.unconfirmed.take().is_some() {
            self.metrics.set(None);
            info!(event = "lastKnownReplaced", "the API server has answered and is believed again");
        }
    }
}

impl Owner {
    /// Uses what is remembered when the API server has had its chance, and remembers what it says.
    pub(super) fn tend_memory(&mut self) {
        let now = Instant::now();
        let recall = &mut self.parts.recall;
        let is_kept = recall.keep_at.take_if(|at| *at <= now).is_some();
        if recall.use_at.take_if(|at| *at <= now).is_some()
            && let Some(memory) = recall.memory.take()
        {
            self.recall(memory);
        }
        if is_kept
            && self.parts.missing.is_empty()
            && let Some(keeper) = &self.parts.recall.keeper
        {
            keeper.keep(&self.known());
            self.parts.recall.rest(now.elapsed());
        }
    }

    /// Whether what is remembered is another thing after `message`.
    pub(super) fn is_news(&self, message: &Message) -> bool {
        match message {
            Message::Service(key, row) => match (self.snapshot.service(key), row) {
                (Some(known), Some(row)) => !known.is_announced_like(row),
                (known, row) => known.is_some() || row.is_some(),
            },
            Message::Slice(key, row) => self.snapshot.slice(key) != row.as_ref(),
            Message::Node(name, row) => {
                let yields = self.parts.yield_when_cordoned;
                let cordoned = yields && row.as_ref().is_some_and(|row| row.cordoned);
                self.snapshot.node(name) != row.as_ref().map(|row| &row.node)
                    || *name == self.parts.node && cordoned != self.health.is_cordoned()
            }
            Message::Namespace(name, row) => self.objects.namespaces.get(name) != row.as_ref(),
            Message::Pod(name, pod) => self.pods.get(name) != pod.as_ref(),
            _ => true,
        }
    }

    /// Takes in what is remembered, but for what a watch has told everything about.
    fn recall(&mut self, Memory { written, facts }: Memory) {
        warn!(
            event = "lastKnownUsed",
            %written,
            services = facts.services(),
            missing = self.parts.missing.join(","),
            "the API server does not answer: announcing from what was known at {written}"
        );
        self.parts.recall.metrics.set(Some(written));
        let mut unconfirmed: HashMap<&'static str, HashSet<Topic>> = HashMap::new();
        for (topic, message) in facts.entries() {
            let Some(watch) = topic.watch().filter(|watch| self.parts.missing.contains(watch))
            else {
                continue;
            };
            if self.knows(&message) {
                continue;
            }
            unconfirmed.entry(watch).or_default().insert(topic);
            match message {
                // Whose reports are written is for the API server to say.
                Message::Pod(name, pod) => set(&mut self.pods, name, pod),
                message => self.take(message),
            }
        }
        self.parts.recall.unconfirmed = Some(unconfirmed);
        self.pods_due = true;
    }

    /// Whether a watch that has not told everything has told this already.
    fn knows(&self, message: &Message) -> bool {
        match message {
            Message::Service(key, _) => self.snapshot.service(key).is_some(),
            Message::Slice(key, _) => self.snapshot.slice(key).is_some(),
            Message::Node(name, _) => self.snapshot.node(name).is_some(),
            Message::Namespace(name, _) => self.objects.namespaces.contains_key(name),
            Message::Pool(name, _) => self.objects.pools.contains_key(name),
            Message::L2Advertisement(name, _) => self.objects.l2_advertisements.contains_key(name),
            Message::Pod(name, _) => self.pods.contains_key(name),
            _ => true,
        }
    }

    fn known(&self) -> Known<'_> {
        Known {
            snapshot: &self.snapshot,
            objects: &self.objects,
            pods: &self.pods,
            cordoned: self.health.is_cordoned().then_some(&self.parts.node),
        }
    }
}

/// The message that `topic` is gone.
fn gone(topic: Topic) -> Option<Message> {
    Some(match topic {
        Topic::Service(key) => Message::Service(ServiceKey::new(key.namespace, key.name), None),
        Topic::Slice(key) => {
            Message::Slice(SliceKey { namespace: key.namespace, name: key.name }, None)
        }
        Topic::Node(name) => Message::Node((&*name).into(), None),
        Topic::Namespace(name) => Message::Namespace(name, None),
        Topic::Pool(name) => Message::Pool(name.to_string(), None),
        Topic::L2Advertisement(name) => Message::L2Advertisement(name.to_string(), None),
        Topic::Pod(name) => Message::Pod(name, None),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use ferrolb_kube_rt::ObjectKey;
    use ferrolb_kube_rt::metrics::Registry;

    use super::*;
    use crate::memory::Place;

    fn mk_recall(topics: &[Topic]) -> Recall {
        let metrics = RecallMetrics::register(&mut Registry::default());
        let mut unconfirmed: HashMap<_, HashSet<_>> = HashMap::new();
        for topic in topics {
            unconfirmed.entry(topic.watch().unwrap()).or_default().insert(topic.clone());
        }
        Recall { unconfirmed: Some(unconfirmed), ..Recall::new(None, None, metrics) }
    }

    fn mk_service(name: &str) -> Topic {
        Topic::Service(ObjectKey { namespace: "default".into(), name: name.into() })
    }

    #[test]
    fn what_a_complete_watch_has_not_confirmed_is_gone() {
        let node = Topic::Node("node1".into());
        let mut recall = mk_recall(&[mk_service("kept"), mk_service("deleted"), node.clone()]);
        recall.hear(&mk_service("kept"), false);
        recall.hear(&mk_service("new"), true);
        let gone = recall.complete(mk_service("").watch().unwrap());
        let [Message::Service(key, None)] = &gone[..] else { panic!("{gone:?}") };
        assert_eq!(key, &ServiceKey::new("default", "deleted"));
        assert!(recall.is_acting(), "the nodes are not confirmed");
        // Listed once more after a disconnection.
        assert!(recall.complete(mk_service("").watch().unwrap()).is_empty());
        let gone = recall.complete(node.watch().unwrap());
        assert!(matches!(&gone[..], [Message::Node(_, None)]), "{gone:?}");
        recall.end();
        assert!(!recall.is_acting());
    }
    #[test]
    fn news_only_is_kept_and_what_takes_long_is_kept_seldom() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::find(folder.path(), &"node1".into()).unwrap();
        let keeper = Some(Keeper::start(place).unwrap());
        let mut recall = Recall { keeper, ..mk_recall(&[]) };
        recall.hear(&mk_service("web"), false);
        assert_eq!(recall.due(), None);
        for (took, pause) in [(25, 5), (1, 1), (60_000, 60)] {
            let pause = Duration::from_secs(pause);
            let earliest = Instant::now() + pause;
            recall.keep_at = None;
            recall.rest(Duration::from_millis(took));
            recall.hear(&mk_service("web"), true);
            let due = recall.due().unwrap();
            assert!((earliest..=Instant::now() + pause).contains(&due), "{took} ms");
        }
    }
}
