//! How many Services wait in vain, and why.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ferrolb_ipam::ServiceKey;

/// The counts, by reason.
#[derive(Debug, Default)]
pub(super) struct Pending {
    of: HashMap<ServiceKey, String>,
    count: BTreeMap<String, usize>,
    touched: BTreeSet<String>,
}

impl Pending {
    /// `service` waits for `reason`, or does not.
    pub(super) fn set(&mut self, service: &ServiceKey, reason: Option<&str>) {
        if self.of.get(service).map(String::as_str) == reason {
            return;
        }
        if let Some(before) = self.of.remove(service) {
            if let Some(count) = self.count.get_mut(&before) {
                *count -= 1;
            }
            self.touched.insert(before);
        }
        if let Some(reason) = reason {
            self.of.insert(service.clone(), reason.to_owned());
            *self.count.entry(reason.to_owned()).or_default() += 1;
            self.touched.insert(reason.to_owned());
        }
    }

    /// Every reason that was ever given.
    pub(super) fn reasons(&self) -> impl Iterator<Item = &str> {
        self.count.keys().map(String::as_str)
    }

    /// The counts that changed since the last call.
    pub(super) fn take_touched(&mut self) -> Vec<(String, usize)> {
        let touched = std::mem::take(&mut self.touched);
        touched
            .into_iter()
            .map(|reason| {
                let count = self.count.get(&reason).copied().unwrap_or_default();
                (reason, count)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_follow_every_change() {
        let (a, b) = (ServiceKey::new("n", "a"), ServiceKey::new("n", "b"));
        let mut pending = Pending::default();
        pending.set(&a, Some("NoPools"));
        pending.set(&b, Some("NoPools"));
        assert_eq!(pending.take_touched(), [("NoPools".to_owned(), 2)]);
        pending.set(&a, Some("NoPools"));
        assert_eq!(pending.take_touched(), []);
        pending.set(&a, Some("PoolExhausted"));
        pending.set(&b, None);
        let counts = [("NoPools".to_owned(), 0), ("PoolExhausted".to_owned(), 1)];
        assert_eq!(pending.take_touched(), counts);
    }
}
