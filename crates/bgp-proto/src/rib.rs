//! Adj-RIB-Out: what the peer should know, and what it was told. Only the difference is ever sent,
//! and messages come into being when there is room for them: a peer that does not read costs its own
//! difference, not a growing queue.
//!
//! ```text
//!  set_wanted ──▶ entry: wanted ≠ sent? ──▶ to withdraw, or to announce under its attributes
//!                                                   │ fill: withdrawals first, then one message
//!                  entry: sent := wanted ◀──────────┘ after another, packed by attributes
//! ```
//!
//! A change costs O(log n), whatever else is in the table.

mod table;

use std::collections::BTreeSet;
use std::sync::Arc;

use ferrolb_addr::Family;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use self::table::Table;
use crate::attributes::PathAttributes;
use crate::per_family::Families;
use crate::wire::Encoding;

/// The tables of both families.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rib {
    v4: Table<Ipv4Net>,
    v6: Table<Ipv6Net>,
    attributes: Interned,
    /// Everything wanted is known: the end of the table may be told.
    complete: bool,
}

impl Rib {
    /// Announces `prefix` with these attributes from now on, or no longer. Bits behind the prefix
    /// length do not count.
    pub(crate) fn set_wanted(&mut self, prefix: IpNet, attributes: Option<Arc<PathAttributes>>) {
        let attributes = attributes.map(|attributes| self.attributes.intern(attributes));
        match prefix {
            IpNet::V4(prefix) => self.v4.set_wanted(prefix.trunc(), attributes),
            IpNet::V6(prefix) => self.v6.set_wanted(prefix.trunc(), attributes),
        }
    }

    /// Announces exactly these prefixes. Of two entries with one prefix the last counts.
    pub(crate) fn replace_wanted(
        &mut self,
        wanted: impl IntoIterator<Item = (IpNet, Arc<PathAttributes>)>,
    ) {
        let mut stay_v4 = Vec::new();
        let mut stay_v6 = Vec::new();
        for (prefix, attributes) in wanted {
            match prefix {
                IpNet::V4(prefix) => stay_v4.push(prefix.trunc()),
                IpNet::V6(prefix) => stay_v6.push(prefix.trunc()),
            }
            self.set_wanted(prefix, Some(attributes));
        }
        self.v4.retain_wanted(stay_v4);
        self.v6.retain_wanted(stay_v6);
    }

    /// Everything wanted is known.
    pub(crate) fn set_complete(&mut self) {
        self.complete = true;
    }

    /// A connection ended or began: the peer knows nothing, and is owed the end of each table.
    pub(crate) fn forget_sent(&mut self) {
        self.v4.forget_sent();
        self.v6.forget_sent();
    }

    /// The peer asked for `family` again.
    pub(crate) fn request_refresh(&mut self, family: Family) {
        match family {
            Family::V4 => self.v4.request_refresh(),
            Family::V6 => self.v6.request_refresh(),
        }
    }

    /// What was sent is to be sent again, since attributes changed that are the same for all.
    pub(crate) fn resend(&mut self) {
        self.v4.mark_stale();
        self.v6.mark_stale();
    }

    /// Appends messages until nothing is left or `out` holds `budget` octets; a message that was
    /// begun below that is completed.
    pub(crate) fn fill(
        &mut self,
        out: &mut Vec<u8>,
        budget: usize,
        encoding: &Encoding,
        families: Families,
        enhanced_refresh: bool,
    ) -> Filled {
        let mut sink = Sink { out, budget, encoding, enhanced_refresh, filled: Filled::default() };
        let v4 = families.v4;
        let v6 = families.v6;
        // What no longer works is told first, in both families.
        sink.filled.done = (!v4 || self.v4.fill_withdrawals(&mut sink))
            && (!v6 || self.v6.fill_withdrawals(&mut sink))
            && (!v4 || self.v4.fill(&mut sink, self.complete))
            && (!v6 || self.v6.fill(&mut sink, self.complete));
        sink.filled
    }

    /// Whether the peer was told `prefix` with the attributes that are wanted.
    pub(crate) fn is_announced(&self, prefix: IpNet) -> bool {
        match prefix {
            IpNet::V4(prefix) => self.v4.is_announced(prefix.trunc()),
            IpNet::V6(prefix) => self.v6.is_announced(prefix.trunc()),
        }
    }

    /// Prefixes that the peer was told.
    pub(crate) fn announced(&self, family: Family) -> usize {
        match family {
            Family::V4 => self.v4.announced(),
            Family::V6 => self.v6.announced(),
        }
    }

    /// Prefixes that it should know.
    pub(crate) fn wanted(&self, family: Family) -> usize {
        match family {
            Family::V4 => self.v4.wanted(),
            Family::V6 => self.v6.wanted(),
        }
    }

    /// Whether every table of `families` was sent to its end.
    pub(crate) fn is_told(&self, families: Families) -> bool {
        (!families.v4 || self.v4.is_told()) && (!families.v6 || self.v6.is_told())
    }
}

/// What [`Rib::fill`] appended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Filled {
    /// Number of UPDATEs.
    pub(crate) updates: u64,
    /// Number of ROUTE-REFRESHs.
    pub(crate) refreshes: u64,
    /// Nothing is left.
    pub(crate) done: bool,
}

/// Where messages go.
struct Sink<'a> {
    out: &'a mut Vec<u8>,
    budget: usize,
    encoding: &'a Encoding,
    enhanced_refresh: bool,
    filled: Filled,
}

impl Sink<'_> {
    fn is_full(&self) -> bool {
        self.out.len() >= self.budget
    }
}

/// Equal attributes are kept once, however often they are given.
#[derive(Clone, Debug, Default)]
struct Interned {
    known: BTreeSet<Arc<PathAttributes>>,
    /// Size at which those that nobody uses are dropped.
    sweep_at: usize,
}

impl Interned {
    fn intern(&mut self, attributes: Arc<PathAttributes>) -> Arc<PathAttributes> {
        if let Some(known) = self.known.get(&attributes) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|attributes| Arc::strong_count(attributes) > 1);
            self.sweep_at = self.known.len() * 2 + 16;
        }
        self.known.insert(Arc::clone(&attributes));
        attributes
    }
}

#[cfg(test)]
mod tests;
