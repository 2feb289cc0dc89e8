//! Nodes that were forgotten as members, remembered so that a recording of their messages does not
//! bring them back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a recording is recognised.
const REMEMBERED: Duration = Duration::from_hours(24);
/// How many are remembered.
const MAX_GRAVES: usize = 4096;
/// Time between two challenges of one name.
const CHALLENGE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default)]
pub(crate) struct Graves {
    /// Incarnation and time of burial.
    by_name: BTreeMap<Arc<str>, (u32, Duration)>,
    /// When a name was challenged.
    challenged: BTreeMap<Arc<str>, Duration>,
}

impl Graves {
    /// Remembers a node that was known by `incarnation`.
    pub(crate) fn bury(&mut self, now: Duration, name: Arc<str>, incarnation: u32) {
        self.by_name.retain(|_, (_, buried)| now.saturating_sub(*buried) < REMEMBERED);
        if self.by_name.len() >= MAX_GRAVES {
            let oldest = self.by_name.iter().min_by_key(|(_, (_, buried))| *buried);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.by_name.remove(&oldest);
            }
        }
        self.by_name.insert(name, (incarnation, now));
    }

    /// The incarnation a name must exceed to live again.
    pub(crate) fn incarnation(&self, now: Duration, name: &str) -> Option<u32> {
        let (incarnation, buried) = self.by_name.get(name)?;
        (now.saturating_sub(*buried) < REMEMBERED).then_some(*incarnation)
    }

    /// It lives again.
    pub(crate) fn exhume(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// Whether a name may be challenged now.
    pub(crate) fn challenge(&mut self, now: Duration, name: &Arc<str>) -> bool {
        self.challenged.retain(|_, then| now.saturating_sub(*then) < CHALLENGE);
        if self.challenged.contains_key(name) || self.challenged.len() >= MAX_GRAVES {
            return false;
        }
        self.challenged.insert(name.clone(), now);
        true
    }
}
