//! The table of one family.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Sink;
use crate::attributes::PathAttributes;
use crate::wire::{NextHop, Nlri, Refresh, UpdateWriter, attribute_block, end_of_rib};

#[derive(Clone, Debug)]
pub(super) struct Table<P> {
    entries: BTreeMap<P, Entry>,
    /// Prefixes that the peer was told and should not know.
    withdraw: BTreeSet<P>,
    /// Prefixes that it should know and was not told so, by their attributes; never an empty set.
    announce: BTreeMap<Arc<PathAttributes>, BTreeSet<P>>,
    /// Entries with something wanted.
    wanted: usize,
    /// Entries with something sent.
    sent: usize,
    /// The end of the initial table was not told yet.
    end_due: bool,
    refresh: Refreshing,
}

/// A prefix that is wanted, or was sent, or both.
#[derive(Clone, Debug)]
struct Entry {
    wanted: Option<Arc<PathAttributes>>,
    sent: Sent,
}

#[derive(Clone, Debug)]
enum Sent {
    Nothing,
    /// As it has to be again, whatever it was.
    Stale,
    Exactly(Arc<PathAttributes>),
}

/// An answer to ROUTE-REFRESH. It begins when everything else is sent, so that a peer that asks
/// without reading costs nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Refreshing {
    No,
    Asked,
    Answering,
}

impl<P> Default for Table<P> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            withdraw: BTreeSet::new(),
            announce: BTreeMap::new(),
            wanted: 0,
            sent: 0,
            end_due: true,
            refresh: Refreshing::No,
        }
    }
}

impl<P: Nlri> Table<P> {
    /// `attributes` are interned: the same content is the same pointer.
    pub(super) fn set_wanted(&mut self, prefix: P, attributes: Option<Arc<PathAttributes>>) {
        let entry = match self.entries.entry(prefix) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                if attributes.is_none() {
                    return;
                }
                entry.insert(Entry { wanted: None, sent: Sent::Nothing })
            }
        };
        if same(entry.wanted.as_ref(), attributes.as_ref()) {
            return;
        }
        self.wanted -= usize::from(entry.wanted.is_some());
        self.wanted += usize::from(attributes.is_some());
        let before = std::mem::replace(&mut entry.wanted, attributes);
        if let Some(before) = before
            && let Some(prefixes) = self.announce.get_mut(&before)
        {
            prefixes.remove(&prefix);
            if prefixes.is_empty() {
                self.announce.remove(&before);
            }
        }
        match (&entry.wanted, &entry.sent) {
            (None, Sent::Nothing) => {
                self.entries.remove(&prefix);
            }
            (None, _) => {
                self.withdraw.insert(prefix);
            }
            (Some(wanted), Sent::Exactly(sent)) if Arc::ptr_eq(wanted, sent) => {
                self.withdraw.remove(&prefix);
            }
            (Some(wanted), _) => {
                self.announce.entry(Arc::clone(wanted)).or_default().insert(prefix);
                self.withdraw.remove(&prefix);
            }
        }
    }

    /// Nothing but `stay` is wanted any longer.
    pub(super) fn retain_wanted(&mut self, mut stay: Vec<P>) {
        stay.sort_unstable();
        stay.dedup();
        if self.wanted == stay.len() {
            return;
        }
        let gone: Vec<P> = self
            .entries
            .iter()
            .filter(|(prefix, entry)| entry.wanted.is_some() && stay.binary_search(prefix).is_err())
            .map(|(prefix, _)| *prefix)
            .collect();
        for prefix in gone {
            self.set_wanted(prefix, None);
        }
    }

    pub(super) fn forget_sent(&mut self) {
        self.withdraw.clear();
        self.announce.clear();
        self.sent = 0;
        self.end_due = true;
        self.refresh = Refreshing::No;
        self.entries.retain(|prefix, entry| {
            entry.sent = Sent::Nothing;
            if let Some(wanted) = &entry.wanted {
                self.announce.entry(Arc::clone(wanted)).or_default().insert(*prefix);
            }
            entry.wanted.is_some()
        });
    }

    pub(super) fn request_refresh(&mut self) {
        self.refresh = Refreshing::Asked;
    }

    /// Whatever was sent has to be sent again.
    pub(super) fn mark_stale(&mut self) {
        for (prefix, entry) in &mut self.entries {
            if matches!(entry.sent, Sent::Exactly(_)) {
                entry.sent = Sent::Stale;
                if let Some(wanted) = &entry.wanted {
                    self.announce.entry(Arc::clone(wanted)).or_default().insert(*prefix);
                }
            }
        }
    }

    /// Returns whether all withdrawals are sent.
    pub(super) fn fill_withdrawals(&mut self, sink: &mut Sink<'_>) -> bool {
        // RFC 8950 4: what was announced in MP_REACH_NLRI is withdrawn in MP_UNREACH_NLRI.
        let classic = matches!(sink.encoding.next_hops.v4, None | Some(NextHop::V4(_)));
        while !self.withdraw.is_empty() {
            if sink.is_full() {
                return false;
            }
            let limit = sink.encoding.limit;
            let mut update = UpdateWriter::withdraw(sink.out, limit, P::FAMILY, classic);
            while let Some(prefix) = self.withdraw.first() {
                if !update.push(*prefix) {
                    break;
                }
                self.entries.remove(prefix);
                self.sent -= 1;
                self.withdraw.pop_first();
            }
            update.finish();
            sink.filled.updates += 1;
        }
        true
    }

    /// Returns whether everything is sent. The end of the table is told only if it is `complete`.
    pub(super) fn fill(&mut self, sink: &mut Sink<'_>, complete: bool) -> bool {
        loop {
            if !self.fill_announcements(sink) || sink.is_full() {
                return false;
            }
            if self.end_due {
                if !complete {
                    return true;
                }
                self.end_due = false;
                end_of_rib(sink.out, P::FAMILY);
                sink.filled.updates += 1;
            }
            match self.refresh {
                Refreshing::No => return true,
                Refreshing::Asked => {
                    self.refresh = Refreshing::Answering;
                    self.mark_stale();
                    if sink.enhanced_refresh {
                        Refresh::Begin(P::FAMILY).encode(sink.out);
                        sink.filled.refreshes += 1;
                    }
                }
                Refreshing::Answering => {
                    self.refresh = Refreshing::No;
                    if sink.enhanced_refresh {
                        Refresh::End(P::FAMILY).encode(sink.out);
                        sink.filled.refreshes += 1;
                    }
                }
            }
        }
    }

    fn fill_announcements(&mut self, sink: &mut Sink<'_>) -> bool {
        // A family without a next hop is not announced, which the session reports.
        let Some(next_hop) = sink.encoding.next_hops[P::FAMILY] else { return true };
        while let Some(mut group) = self.announce.first_entry() {
            let block = attribute_block(group.key(), sink.encoding, P::FAMILY);
            while !group.get().is_empty() {
                if sink.is_full() {
                    return false;
                }
                let limit = sink.encoding.limit;
                let mut update =
                    UpdateWriter::announce(sink.out, limit, P::FAMILY, next_hop, &block);
                let attributes = Arc::clone(group.key());
                while let Some(prefix) = group.get().first() {
                    if !update.push(*prefix) {
                        break;
                    }
                    if let Some(entry) = self.entries.get_mut(prefix) {
                        self.sent += usize::from(matches!(entry.sent, Sent::Nothing));
                        entry.sent = Sent::Exactly(Arc::clone(&attributes));
                    }
                    group.get_mut().pop_first();
                }
                update.finish();
                sink.filled.updates += 1;
            }
            group.remove();
        }
        true
    }

    pub(super) fn is_announced(&self, prefix: P) -> bool {
        self.entries.get(&prefix).is_some_and(|entry| match (&entry.wanted, &entry.sent) {
            (Some(wanted), Sent::Exactly(sent)) => Arc::ptr_eq(wanted, sent),
            _ => false,
        })
    }

    pub(super) const fn announced(&self) -> usize {
        self.sent
    }

    pub(super) const fn wanted(&self) -> usize {
        self.wanted
    }

    pub(super) const fn is_told(&self) -> bool {
        !self.end_due
    }
}

fn same(a: Option<&Arc<PathAttributes>>, b: Option<&Arc<PathAttributes>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}
