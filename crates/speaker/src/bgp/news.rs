//! What the tasks of peers tell the owner: the newest state of each, and what was really sent.
//!
//! Nothing piles up: an owner that comes late finds one view and one entry a prefix for each task.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ferrolb_bgp_proto::{Negotiated, State};
use ipnet::IpNet;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Happenings kept for an owner that does not come.
const HAPPENINGS: usize = 8;

/// Number of a task; none is used twice.
pub(crate) type Life = u64;

/// All news, at the owner's end.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    tidings: Mutex<BTreeMap<Life, Tidings>>,
    arrived: Notify,
}

/// The end of one task.
#[derive(Clone, Debug)]
pub(super) struct Reporter {
    news: News,
    life: Life,
}

/// What is new of one task.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tidings {
    /// What was told before holds no longer: the session went down.
    pub(crate) forgotten: bool,
    /// Prefixes that the peer was told now, or told to forget.
    pub(crate) told: BTreeMap<IpNet, bool>,
    /// How the session is doing.
    pub(crate) view: Option<Box<View>>,
    /// Ups and downs, oldest first.
    pub(crate) happened: VecDeque<Happening>,
    /// The task ended by a bug.
    pub(crate) died: bool,
}

/// A session at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    pub(crate) state: State,
    /// Since when it is up, or is not.
    pub(crate) since: Timestamp,
    /// How the last attempt or session ended, and when.
    pub(crate) last_error: Option<(Arc<str>, Timestamp)>,
    /// The terms of the session, while it is up.
    pub(crate) terms: Option<Box<Negotiated>>,
    /// Prefixes that the peer should know.
    pub(crate) wanted: usize,
    /// Prefixes that it was told.
    pub(crate) sent: usize,
    /// Prefixes that it told, less those it took back.
    pub(crate) received: u64,
    /// Whether BFD sees the path; none without BFD.
    pub(crate) bfd_up: Option<bool>,
}

/// Something that people are told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Happening {
    /// The session came up; with whom.
    Up(Box<str>),
    /// It went down, or could not be had for a new reason.
    Down {
        /// It had been up.
        was_up: bool,
        /// Why, with the peer's own words.
        why: Arc<str>,
    },
    /// It is ended because its configuration changed; which part.
    Reset(Box<str>),
}

impl News {
    /// Waits until there is something new. Cancel safe.
    pub(crate) async fn arrived(&self) {
        self.shared.arrived.notified().await;
    }

    /// What is new at this moment.
    pub(crate) fn take(&self) -> BTreeMap<Life, Tidings> {
        std::mem::take(&mut *self.shared.tidings.lock())
    }

    pub(super) fn reporter(&self, life: Life) -> Reporter {
        Reporter { news: self.clone(), life }
    }
}

impl Reporter {
    /// The state.
    pub(super) fn show(&self, view: View) {
        self.tell(|tidings| tidings.view = Some(Box::new(view)));
    }

    /// What the peer was told, and what it was told to forget.
    pub(super) fn told(&self, told: impl IntoIterator<Item = (IpNet, bool)>) {
        self.tell(|tidings| tidings.told.extend(told));
    }

    /// Nothing that was told holds.
    pub(super) fn forgotten(&self) {
        self.tell(|tidings| {
            tidings.told.clear();
            tidings.forgotten = true;
        });
    }

    pub(super) fn happened(&self, happening: Happening) {
        self.tell(|tidings| {
            if tidings.happened.len() == HAPPENINGS {
                tidings.happened.pop_front();
            }
            tidings.happened.push_back(happening);
        });
    }

    pub(super) fn died(&self) {
        self.tell(|tidings| tidings.died = true);
    }

    fn tell(&self, change: impl FnOnce(&mut Tidings)) {
        change(self.news.shared.tidings.lock().entry(self.life).or_default());
        self.news.shared.arrived.notify_one();
    }
}
