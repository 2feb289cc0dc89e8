//! Who announces which Service, as speakers report it, in the words of the condition `Announced`.
//!
//! Reports come one by one, and a fail-over takes two of them back and makes two; so what is said
//! follows only after nothing has changed for a moment.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ferrolb_ipam::ServiceKey;

use crate::standing::{NOT_ANNOUNCED, Standing};

/// Time without a further report before a change is told.
const CALM: Duration = Duration::from_secs(2);
/// Time from an address to the complaint that nobody announces it.
const PATIENCE: Duration = Duration::from_secs(15);
/// Reports named in a message at most.
const NAMED: usize = 8;

/// All reports.
#[derive(Debug, Default)]
pub(super) struct Voices {
    of: HashMap<ServiceKey, Voice>,
    /// Every report there was at the start has been heard.
    complete: bool,
}

#[derive(Debug, Default)]
struct Voice {
    /// Sorted.
    reports: Box<[Arc<str>]>,
    /// When to tell.
    due: Duration,
}

impl Voices {
    /// Every report there was at the start is here.
    pub(super) fn complete(&mut self) {
        self.complete = true;
    }

    /// Whether [`Self::complete`] was said.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// These are all the reports about `service` now. Returns when to decide about it, if that is a
    /// change.
    pub(super) fn hear(
        &mut self,
        service: &ServiceKey,
        reports: BTreeSet<Arc<str>>,
        now: Duration,
    ) -> Option<Duration> {
        let voice = self.of.entry(service.clone()).or_default();
        if voice.reports.iter().eq(&reports) {
            return None;
        }
        let due = if self.complete { now + CALM } else { now };
        *voice = Voice { reports: reports.into_iter().collect(), due };
        Some(due)
    }

    /// `service` has addresses. Returns when to decide about it again, if that is news; silence does
    /// not count before.
    pub(super) fn expect(&mut self, service: &ServiceKey, now: Duration) -> Option<Duration> {
        if self.of.contains_key(service) {
            return None;
        }
        let due = now + PATIENCE;
        self.of.insert(service.clone(), Voice { reports: Box::default(), due });
        Some(due)
    }

    /// `service` is gone, or has no addresses.
    pub(super) fn forget(&mut self, service: &ServiceKey) {
        if self.of.get(service).is_some_and(|voice| voice.reports.is_empty()) {
            self.of.remove(service);
        }
    }

    /// Whether somebody announces `service`.
    pub(super) fn are_heard(&self, service: &ServiceKey) -> bool {
        self.of.get(service).is_some_and(|voice| !voice.reports.is_empty())
    }

    /// What to say about `service`, which has addresses, at `now`; `said` is what is said already.
    pub(super) fn standing(
        &self,
        service: &ServiceKey,
        said: Option<&Standing>,
        now: Duration,
    ) -> Option<Standing> {
        let heard = self.of.get(service).filter(|voice| self.complete && now >= voice.due);
        let Some(Voice { reports, .. }) = heard else { return said.cloned() };
        if reports.is_empty() {
            let nobody = "no speaker reports that it announces the addresses";
            return Some(Standing::no(NOT_ANNOUNCED, nobody));
        }
        let named: Vec<_> = reports.iter().take(NAMED).map(|report| &**report).collect();
        let more = match reports.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(Standing::yes("Announced", format!("by {}{more}", named.join(", "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn mk_reports(nodes: &[&str]) -> BTreeSet<Arc<str>> {
        nodes.iter().map(|node| format!("{node} (layer2)").into()).collect()
    }

    #[test]
    fn a_fail_over_is_told_once_and_silence_after_a_while() {
        let web = ServiceKey::new("default", "web");
        let mut voices = Voices::default();
        assert_eq!(voices.standing(&web, None, s(9)), None, "not all is heard yet");
        voices.complete();
        assert_eq!(voices.expect(&web, s(10)), Some(s(25)));
        assert_eq!(voices.standing(&web, None, s(20)), None);
        assert_eq!(voices.standing(&web, None, s(25)).unwrap().reason, NOT_ANNOUNCED);
        assert_eq!(voices.hear(&web, mk_reports(&["n1"]), s(30)), Some(s(32)));
        let said = voices.standing(&web, None, s(32)).unwrap();
        assert_eq!((said.holds, said.message.as_str()), (true, "by n1 (layer2)"));
        assert_eq!(voices.hear(&web, mk_reports(&["n1"]), s(33)), None);
        assert_eq!(voices.hear(&web, mk_reports(&[]), s(40)), Some(s(42)));
        assert_eq!(voices.hear(&web, mk_reports(&["n2"]), s(41)), Some(s(43)));
        assert_eq!(voices.standing(&web, Some(&said), s(42)), Some(said), "not in between");
        assert_eq!(voices.standing(&web, None, s(43)).unwrap().message, "by n2 (layer2)");
    }

    #[test]
    fn many_are_counted() {
        let web = ServiceKey::new("default", "web");
        let mut voices = Voices::default();
        let nodes: Vec<_> = (0..30).map(|n| format!("n{n:02}")).collect();
        let nodes: Vec<_> = nodes.iter().map(String::as_str).collect();
        voices.hear(&web, mk_reports(&nodes), s(0));
        voices.complete();
        let message = voices.standing(&web, None, s(0)).unwrap().message;
        assert!(message.ends_with("n07 (layer2) and 22 more"), "{message}");
    }
}
