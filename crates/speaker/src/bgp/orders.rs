//! What the owner wants of a peer's task: the newest wish for each prefix, and nothing older.
//!
//! A router that does not read costs at most one entry a prefix here, and nobody else anything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_bgp_proto::PathAttributes;
use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::terms::Terms;

/// What is wanted of one prefix: announced like this, or not announced.
pub(crate) type Wish = Option<Arc<PathAttributes>>;

/// The way to a task. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orders {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    arrived: Notify,
}

/// What the task has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) wishes: BTreeMap<IpNet, Wish>,
    pub(super) terms: Option<Box<Terms>>,
    pub(super) leave: Option<Leave>,
}

/// How a session ends for good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Leave {
    /// The peer is not for this node any more.
    Deconfigured,
    /// The process ends. Routers are asked to avoid this node for `grace`, then routes are taken
    /// back, then the session ends with `text`.
    Shutdown { grace: Duration, text: Box<str> },
    /// The process ends and another one takes over: routers that agreed to keep the routes over a
    /// restart are left without a word, the others as by [`Self::Shutdown`].
    Restart { grace: Duration, text: Box<str> },
}

impl Orders {
    /// Newer wishes for some prefixes.
    pub(crate) fn wish(&self, wishes: impl IntoIterator<Item = (IpNet, Wish)>) {
        self.give(|pending| pending.wishes.extend(wishes));
    }

    /// Another configuration.
    pub(crate) fn set_terms(&self, terms: Terms) {
        self.give(|pending| pending.terms = Some(Box::new(terms)));
    }

    /// The end.
    pub(crate) fn leave(&self, leave: Leave) {
        self.give(|pending| pending.leave = Some(leave));
    }

    fn give(&self, change: impl FnOnce(&mut Pending)) {
        change(&mut self.shared.pending.lock());
        self.shared.arrived.notify_one();
    }

    /// Waits for news. Cancel safe.
    pub(super) async fn arrived(&self) {
        self.shared.arrived.notified().await;
    }

    /// Everything there is.
    pub(super) fn take(&self) -> Pending {
        std::mem::take(&mut *self.shared.pending.lock())
    }
}
