//! Addresses first: as long as many writes are under way, nothing is written only to say who announces
//! a Service. After a start with thousands of Services that would be every second write.

use ferrolb_ipam::ServiceKey;

use super::status::Status;
use super::{Ledger, Turn};

/// From so many writes on, under way or about to be, that waits.
const BACKLOG: usize = 64;

impl Ledger {
    /// `status` without what can be said later of `key`, which is remembered then.
    pub(super) fn addresses_first(&mut self, key: &ServiceKey, mut status: Status) -> Status {
        let Some(entry) = self.services.get(key) else { return status };
        let said = &entry.stored().announced;
        if self.flying.len() >= BACKLOG && status.announced != *said {
            status.announced.clone_from(said);
            self.postponed.insert(key.clone());
        }
        status
    }

    /// A Service of which something was left out, if there is room for its write now.
    pub(super) fn next_postponed(&mut self) -> Option<(Turn, ServiceKey)> {
        let has_room = self.flying.len() < BACKLOG;
        let key = has_room.then(|| self.postponed.pop_first()).flatten()?;
        Some((Turn::Holder, key))
    }
}
