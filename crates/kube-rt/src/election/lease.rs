//! One candidate for a Lease: what to ask the API server next, and until when it may write.
//!
//! ```text
//!               read: free, lapsed or ours             written: sent + lease
//!   Following ────────────────────────────▶ (claim) ─────────────────────▶ Leading
//!       ▲                                      │                            │  ▲ renewed
//!       └───────── conflict: read again ◀──────┘                            └──┘
//!       └────────────── deadline passed, or the record names somebody else ◀─┘
//!
//!   403 and nothing else ──▶ Unelected ──▶ back with the first claim that succeeds, or the first
//!                                          renewal seen by somebody else
//! ```
//!
//! Why never two at once: a leader counts from before it *sent* its last renewal, a follower from
//! after it *received* an answer that shows it, and the follower waits one request timeout longer
//! than the lease, in which whatever the leader sent at its last moment arrives or dies. Each claim
//! carries the version it was decided on, so of two claims the server takes one.
//!
//! Pure: `now` is this process' monotonic clock. What the record says of times is compared for
//! being different and never read as a time, so no wall clock matters.

use std::time::Duration;

use super::Role;

/// Pause after a request that failed.
const RETRY: Duration = Duration::from_millis(500);
/// Pause after losing a race for the record.
const AGAIN: Duration = Duration::from_millis(100);
/// Pause between attempts without permission.
const SLOWLY: Duration = Duration::from_secs(15);
/// How long "forbidden" must last to be believed: an API server that starts says it for a moment.
const FORBIDDEN_AT_START: Duration = Duration::from_secs(1);
/// The same once the election has worked: then a permission is not missing but taken away.
const FORBIDDEN_LATER: Duration = Duration::from_mins(1);
/// The longest lease of somebody else that is respected.
const LONGEST_LEASE: Duration = Duration::from_mins(1);

/// The spans a candidate keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spans {
    /// How long a renewal is good for.
    pub(crate) lease: Duration,
    /// From one renewal to the next.
    pub(crate) renew: Duration,
    /// How long after the end of a lease a request of its holder may still arrive.
    pub(crate) request_timeout: Duration,
    /// From one look at somebody else's lease to the next.
    pub(crate) poll: Duration,
}

/// What the Lease object says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Record {
    /// Empty once it was released.
    pub(crate) holder: String,
    /// What the holder takes for the length of its lease.
    pub(crate) lease: Duration,
    /// Differs after each renewal; means nothing else.
    pub(crate) stamp: String,
}

/// What to do now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Nothing before this moment.
    Wait(Duration),
    /// Read the Lease.
    Read,
    /// Write the Lease with our name, on the version last read, or create it if there is none.
    Claim,
}

/// Why a request did not succeed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Failed {
    /// The record is not what was last read: 409, or 404 on an update.
    Stale,
    /// 403, with what the server says.
    Forbidden(String),
    /// Anything else, in particular no answer: the request may have been done or not.
    Unknown,
}

/// One candidate.
#[derive(Debug)]
pub(crate) struct Candidate {
    identity: String,
    spans: Spans,
    held: Option<Held>,
    last: Option<Last>,
    /// Whether `last` is what the server has, as far as we know.
    fresh: bool,
    /// Whether this process ever sent a claim: a record with our name may be from it.
    claimed: bool,
    /// Whether the election was seen to work: a claim succeeded or somebody renewed.
    worked: bool,
    read_at: Duration,
    pause_until: Duration,
    forbidden_since: Option<Duration>,
    unelected: Option<String>,
}

/// Our lease.
#[derive(Clone, Copy, Debug)]
struct Held {
    sent: Duration,
    deadline: Duration,
}

/// The record as last observed.
#[derive(Debug)]
struct Last {
    /// `None`: there is no Lease.
    record: Option<Record>,
    /// From when on we may claim it, if it stays as it is.
    claimable: Duration,
}

impl Candidate {
    pub(crate) fn new(identity: String, spans: Spans) -> Self {
        Self {
            identity,
            spans,
            held: None,
            last: None,
            fresh: false,
            claimed: false,
            worked: false,
            read_at: Duration::ZERO,
            pause_until: Duration::ZERO,
            forbidden_since: None,
            unelected: None,
        }
    }

    /// What to do now. Whoever gets a claim sends it; one request at a time.
    pub(crate) fn next(&mut self, now: Duration) -> Step {
        let (step, due) = self.due(now);
        if now < due {
            return Step::Wait(due);
        }
        self.claimed |= step == Step::Claim;
        step
    }

    /// What comes next, and when.
    fn due(&self, now: Duration) -> (Step, Duration) {
        let last = match &self.last {
            Some(last) if self.fresh => last,
            _ => return (Step::Read, self.pause_until),
        };
        let (step, due) = match self.held_at(now) {
            Some(held) => (Step::Claim, held.sent + self.spans.renew),
            None if last.claimable <= self.read_at => (Step::Claim, last.claimable),
            None => (Step::Read, self.read_at),
        };
        (step, due.max(self.pause_until))
    }

    /// The answer to a read: the record, or that there is none.
    pub(crate) fn read(&mut self, now: Duration, record: Option<Record>) {
        let elsewhere = record.as_ref().is_none_or(|record| record.holder != self.identity);
        self.fresh = true;
        self.pause_until = now;
        match &self.last {
            Some(last) if last.record == record => {}
            last => {
                let is_change = last.is_some();
                let claimable = self.claimable(now, record.as_ref());
                let is_alive = record.as_ref().is_some_and(|record| !record.holder.is_empty());
                if is_change && is_alive && elsewhere {
                    self.election_works();
                }
                self.last = Some(Last { record, claimable });
            }
        }
        if elsewhere {
            self.held = None;
        }
        let poll = if self.unelected.is_some() { SLOWLY } else { self.spans.poll };
        self.read_at = now + poll;
    }

    /// From when on a record that is seen for the first time now may be claimed.
    fn claimable(&self, now: Duration, record: Option<&Record>) -> Duration {
        let Spans { lease, request_timeout, .. } = self.spans;
        let was_ours =
            |last: &Last| last.record.as_ref().is_some_and(|record| record.holder == self.identity);
        match record {
            None => match &self.last {
                // Nobody ever held it. A leader whose Lease is deleted in the very moment a new
                // candidate starts is the one case in which this is wrong, until its next renewal.
                None => now,
                // Taken away from under us: creating it is as good as renewing it.
                Some(last) if was_ours(last) && self.claimed => now,
                Some(_) => now + lease + request_timeout,
            },
            Some(record) if record.holder.is_empty() => now,
            Some(record) if record.holder == self.identity && self.claimed => now,
            // Left behind by an earlier process of the same name, which is dead: what it sent last
            // may be under way.
            Some(record) if record.holder == self.identity => now + request_timeout,
            Some(record) => now + lease.max(record.lease.min(LONGEST_LEASE)) + request_timeout,
        }
    }

    /// A claim was sent at `sent` and succeeded: the server now has `record`.
    pub(crate) fn written(&mut self, sent: Duration, now: Duration, record: Record) {
        self.held = Some(Held { sent, deadline: sent + self.spans.lease });
        self.last = Some(Last { record: Some(record), claimable: now });
        self.fresh = true;
        self.read_at = now;
        self.pause_until = now;
        self.election_works();
    }

    /// A read or a claim did not succeed.
    pub(crate) fn failed(&mut self, now: Duration, why: Failed) {
        match why {
            Failed::Stale => {
                self.fresh = false;
                self.pause_until = now + AGAIN;
            }
            Failed::Unknown => self.pause_until = now + RETRY,
            Failed::Forbidden(why) => {
                let since = *self.forbidden_since.get_or_insert(now);
                let grace = if self.worked { FORBIDDEN_LATER } else { FORBIDDEN_AT_START };
                if self.unelected.is_some() || now.saturating_sub(since) >= grace {
                    self.unelected.get_or_insert(why);
                    self.held = None;
                    self.pause_until = now + SLOWLY;
                } else {
                    self.pause_until = now + RETRY;
                }
            }
        }
    }

    /// Gives up what is held. Whether the record is to be written without a holder.
    pub(crate) fn release(&mut self) -> bool {
        self.held = None;
        let ours =
            |last: &Last| last.record.as_ref().is_some_and(|record| record.holder == self.identity);
        self.claimed && self.last.as_ref().is_some_and(ours)
    }

    /// Where this candidate stands.
    pub(crate) fn role(&self, now: Duration) -> Role {
        if let Some(why) = &self.unelected {
            return Role::Unelected { why: why.clone() };
        }
        if self.held_at(now).is_some() {
            return Role::Leading;
        }
        let record = self.last.as_ref().and_then(|last| last.record.as_ref());
        let holder = record.map(|record| &record.holder);
        let leader = holder.filter(|holder| !holder.is_empty() && **holder != self.identity);
        Role::Following { leader: leader.cloned() }
    }

    /// The moment from which on nothing may be written any more; `None` also for
    /// [`Role::Unelected`], which knows no such moment.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.held.map(|held| held.deadline)
    }

    fn held_at(&self, now: Duration) -> Option<Held> {
        self.held.filter(|held| now < held.deadline)
    }

    fn election_works(&mut self) {
        self.worked = true;
        self.forbidden_since = None;
        self.unelected = None;
    }
}

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;
