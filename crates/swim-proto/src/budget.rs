//! What each host may send, and how often its refusals are told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::event::Refusal;

/// Hosts that are told apart; all others share one bucket.
const MAX_HOSTS: usize = 4096;
/// Refusals that are told apart.
const MAX_REFUSALS: usize = 256;
/// Time until the same refusal of the same host is told again.
const REPEAT: Duration = Duration::from_mins(1);

/// Token buckets by host. What a host is owed grows with time, up to two seconds' worth.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    per_second: u32,
    /// When a host's bucket would be full again.
    hosts: BTreeMap<IpAddr, Duration>,
    others: Duration,
}

impl Budget {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second: per_second.max(1), hosts: BTreeMap::new(), others: Duration::ZERO }
    }

    /// Whether `host` may have `cost` more messages handled.
    pub(crate) fn spend(&mut self, now: Duration, host: IpAddr, cost: u32) -> bool {
        if self.hosts.len() >= MAX_HOSTS && !self.hosts.contains_key(&host) {
            self.hosts.retain(|_, full| *full > now);
        }
        let full = if self.hosts.len() < MAX_HOSTS || self.hosts.contains_key(&host) {
            self.hosts.entry(host).or_default()
        } else {
            &mut self.others
        };
        let cost = Duration::from_secs(1) * cost.min(self.per_second) / self.per_second;
        let then = (*full).max(now) + cost;
        let affordable = then <= now + Duration::from_secs(2);
        if affordable {
            *full = then;
        }
        affordable
    }
}

/// Which refusals were told when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Complaints {
    told: BTreeMap<(IpAddr, Refusal), (Duration, u64)>,
}

impl Complaints {
    /// How many refusals a report now would stand for; none if it is too early for one.
    pub(crate) fn note(&mut self, now: Duration, from: IpAddr, why: Refusal) -> Option<u64> {
        if self.told.len() >= MAX_REFUSALS && !self.told.contains_key(&(from, why)) {
            self.told.retain(|_, (told, _)| now.saturating_sub(*told) < REPEAT);
            if self.told.len() >= MAX_REFUSALS {
                return None;
            }
        }
        let first = !self.told.contains_key(&(from, why));
        let (told, count) = self.told.entry((from, why)).or_insert((now, 0));
        *count += 1;
        if !first && now.saturating_sub(*told) < REPEAT {
            return None;
        }
        *told = now;
        Some(std::mem::take(count))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::{Budget, Complaints, MAX_HOSTS};
    use crate::event::Refusal;

    const SECOND: fn(u64) -> Duration = Duration::from_secs;

    fn host(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn a_host_gets_its_rate_and_one_burst() {
        let mut budget = Budget::new(10);
        let count =
            |budget: &mut Budget, now| (0..100).filter(|_| budget.spend(now, host(1), 1)).count();
        assert_eq!(count(&mut budget, SECOND(5)), 20);
        assert_eq!(count(&mut budget, SECOND(6)), 10);
        assert!(budget.spend(SECOND(6), host(2), 1));
    }

    #[test]
    fn many_hosts_share_what_is_left() {
        let mut budget = Budget::new(10);
        let hosts = u32::try_from(MAX_HOSTS).unwrap();
        assert!((0..hosts).all(|number| budget.spend(SECOND(1), host(number), 1)));
        assert_eq!(
            (hosts..hosts * 2).filter(|number| budget.spend(SECOND(1), host(*number), 1)).count(),
            20
        );
        assert!(budget.spend(SECOND(9), host(hosts * 3), 1));
    }

    #[test]
    fn a_refusal_is_told_once_a_minute_with_its_count() {
        let mut complaints = Complaints::default();
        let mut note = |now| complaints.note(SECOND(now), host(1), Refusal::Secret);
        assert_eq!(
            [note(0), note(1), note(59), note(60), note(61)],
            [Some(1), None, None, Some(3), None]
        );
    }
}
