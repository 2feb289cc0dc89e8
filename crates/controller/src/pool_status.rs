//! The status of pools: how much of each is in use, written on difference and not too often.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ferrolb_api::{IPAddressPool, IPAddressPoolStatus};
use ferrolb_ipam::{Counters, PoolName};
use ferrolb_model::report::pool_status;

/// Time between two writes for one pool.
const PAUSE: Duration = Duration::from_secs(1);
/// Time between two attempts of a write that the server refuses.
const REFUSED_PAUSE: Duration = Duration::from_secs(15);

/// All pools, as they are and as the API server has them.
#[derive(Debug, Default)]
pub(crate) struct PoolReports {
    pools: BTreeMap<PoolName, Report>,
    /// Pools whose status may differ.
    dirty: BTreeSet<PoolName>,
}

#[derive(Debug, Default)]
struct Report {
    wanted: Option<IPAddressPoolStatus>,
    stored: Option<IPAddressPoolStatus>,
    exists: bool,
    /// What is being written, unless the watch has shown something since.
    sent: Option<IPAddressPoolStatus>,
    flying: bool,
    not_before: Duration,
}

impl PoolReports {
    /// The API server shows this pool, or has it no more.
    pub(crate) fn shown(&mut self, name: &str, pool: Option<&IPAddressPool>) {
        let name = PoolName::from(name);
        let report = self.pools.entry(name.clone()).or_default();
        report.exists = pool.is_some();
        report.stored = pool.and_then(|pool| pool.status);
        report.sent = None;
        self.touch(name);
    }

    /// This is how full a pool is; none: the pool does not act.
    pub(crate) fn figures(&mut self, name: &PoolName, counters: Option<Counters>) {
        let report = self.pools.entry(name.clone()).or_default();
        report.wanted = counters.map(pool_status);
        self.touch(name.clone());
    }

    /// The write for a pool came back.
    pub(crate) fn written(&mut self, name: &PoolName, done: bool, now: Duration) {
        let Some(report) = self.pools.get_mut(name) else { return };
        report.flying = false;
        let sent = report.sent.take();
        if !done {
            report.not_before = now + REFUSED_PAUSE;
        } else if sent.is_some() {
            report.stored = sent;
        }
        self.touch(name.clone());
    }

    /// Nobody knows how full pools are any more.
    pub(crate) fn stand_by(&mut self) {
        for report in self.pools.values_mut() {
            (report.wanted, report.sent, report.flying) = (None, None, false);
        }
        self.dirty.clear();
    }

    /// The next status to write.
    pub(crate) fn poll_transmit(
        &mut self,
        now: Duration,
    ) -> Option<(PoolName, IPAddressPoolStatus)> {
        let due =
            |name: &&PoolName| self.pools.get(*name).is_some_and(|report| report.not_before <= now);
        let name = self.dirty.iter().find(due)?.clone();
        self.dirty.remove(&name);
        let report = self.pools.get_mut(&name)?;
        report.flying = true;
        report.sent = report.wanted;
        report.not_before = now + PAUSE;
        Some((name, report.wanted?))
    }

    /// When [`Self::poll_transmit`] has something.
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        self.dirty.iter().filter_map(|name| self.pools.get(name)).map(|r| r.not_before).min()
    }

    fn touch(&mut self, name: PoolName) {
        let Some(report) = self.pools.get(&name) else { return };
        let differs = report.wanted.is_some() && report.wanted != report.stored;
        if differs && report.exists && !report.flying {
            self.dirty.insert(name);
        } else {
            self.dirty.remove(&name);
            if !report.exists && report.wanted.is_none() {
                self.pools.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn mk_counters(assigned_v4: i64) -> Counters {
        Counters { assigned_v4, available_v4: 4 - assigned_v4, ..Counters::default() }
    }

    fn mk_pool(status: Option<IPAddressPoolStatus>) -> IPAddressPool {
        IPAddressPool { status, ..IPAddressPool::default() }
    }

    #[test]
    fn k_076_to_078_differences_are_written_once_a_second_and_edits_reverted() {
        let lan = PoolName::from("lan");
        let mut reports = PoolReports::default();
        reports.shown("lan", Some(&mk_pool(None)));
        assert_eq!(reports.poll_transmit(s(0)), None, "nothing is known yet");
        reports.figures(&lan, Some(mk_counters(0)));
        let (_, first) = reports.poll_transmit(s(0)).unwrap();
        assert_eq!((first.assigned_ipv4, first.available_ipv4), (0, 4));
        // Many changes while it is under way and in the second after it.
        reports.figures(&lan, Some(mk_counters(1)));
        assert_eq!((reports.poll_transmit(s(0)), reports.poll_timeout()), (None, None));
        reports.stand_in_for_echo(&lan, first);
        reports.figures(&lan, Some(mk_counters(2)));
        assert_eq!((reports.poll_transmit(s(0)), reports.poll_timeout()), (None, Some(s(1))));
        let (_, second) = reports.poll_transmit(s(1)).unwrap();
        assert_eq!(second.assigned_ipv4, 2);
        reports.stand_in_for_echo(&lan, second);
        assert_eq!((reports.poll_transmit(s(9)), reports.poll_timeout()), (None, None));
        // An outsider's edit.
        reports.shown("lan", Some(&mk_pool(Some(first))));
        assert_eq!(reports.poll_transmit(s(9)), Some((lan.clone(), second)));
        reports.written(&lan, false, s(9));
        assert_eq!(reports.poll_timeout(), Some(s(24)));
        reports.shown("lan", None);
        assert_eq!(reports.poll_timeout(), None);
    }

    impl PoolReports {
        fn stand_in_for_echo(&mut self, name: &PoolName, status: IPAddressPoolStatus) {
            self.written(name, true, s(0));
            self.shown(name.as_str(), Some(&mk_pool(Some(status))));
        }
    }
}
