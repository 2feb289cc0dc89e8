//! What Layer 2 found out about other claimants, on its way from the threads to the owner task.

use std::sync::Arc;

use ferrolb_l2_proto::conflict::Event;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A queue that the owner task empties. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Findings {
    shared: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    events: Mutex<Vec<Event>>,
    news: Notify,
}

impl Findings {
    pub(super) fn push(&self, events: Vec<Event>) {
        if !events.is_empty() {
            self.shared.events.lock().extend(events);
            self.shared.news.notify_one();
        }
    }

    /// Everything found out since the last call; waits until there is something. Cancel safe.
    pub(crate) async fn next(&self) -> Vec<Event> {
        loop {
            let events = std::mem::take(&mut *self.shared.events.lock());
            if !events.is_empty() {
                return events;
            }
            self.shared.news.notified().await;
        }
    }
}
