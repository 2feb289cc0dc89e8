//! The processes of a lab by name: the lab enters its own and the backends, kubelet the Pods of ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::kubelet::Probe;
use crate::process::Process;

/// Known to everybody who holds a clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Processes(Arc<Mutex<BTreeMap<String, Entry>>>);

#[derive(Clone, Debug)]
struct Entry {
    process: Arc<Process>,
    is_own: bool,
    readiness: Option<Probe>,
}

impl Processes {
    /// Enters one of the lab's own.
    pub(crate) fn keep(&self, process: Process) {
        let name = process.name().to_owned();
        self.0
            .lock()
            .insert(name, Entry { process: Arc::new(process), is_own: false, readiness: None });
    }

    /// Enters a controller or a speaker.
    pub(crate) fn insert(&self, process: Arc<Process>, readiness: Option<Probe>) {
        let name = process.name().to_owned();
        self.0.lock().insert(name, Entry { process, is_own: true, readiness });
    }

    /// Strikes it out, unless another has its name by now.
    pub(crate) fn remove(&self, process: &Arc<Process>) {
        let mut all = self.0.lock();
        if all.get(process.name()).is_some_and(|entry| Arc::ptr_eq(&entry.process, process)) {
            all.remove(process.name());
        }
    }

    /// The one of that name, or else the only one of that name with a number: a Pod's successor
    /// starts while the name is taken.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Process>> {
        let all = self.0.lock();
        let found = best(all.keys().map(String::as_str), name).and_then(|name| all.get(name));
        let unknown = || Error::unknown("process", name, all.keys().map(String::as_str));
        found.map(|entry| Arc::clone(&entry.process)).ok_or_else(unknown)
    }

    /// All.
    pub(crate) fn all(&self) -> Vec<Arc<Process>> {
        self.0.lock().values().map(|entry| Arc::clone(&entry.process)).collect()
    }

    /// Controllers and speakers, with their readiness probes.
    pub(crate) fn own(&self) -> Vec<(Arc<Process>, Option<Probe>)> {
        let all = self.0.lock();
        let own = all.values().filter(|entry| entry.is_own);
        own.map(|entry| (Arc::clone(&entry.process), entry.readiness.clone())).collect()
    }

    /// Ends all that nobody else holds.
    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }
}

fn best<'a>(mut names: impl Iterator<Item = &'a str> + Clone, wanted: &str) -> Option<&'a str> {
    let is_numbered = |name: &&str| {
        let number = name.strip_prefix(wanted).and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|number| number.parse::<u8>().is_ok())
    };
    let mut numbered = names.clone().filter(is_numbered);
    names.find(|name| *name == wanted).or_else(|| match (numbered.next(), numbered.next()) {
        (Some(name), None) => Some(name),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::itself(&["controller", "controller-2"], Some("controller"))]
    #[case::its_successor(&["controller-2", "etcd"], Some("controller-2"))]
    #[case::one_of_two(&["controller-2", "controller-3"], None)]
    #[case::another(&["controller-manager", "my-controller"], None)]
    fn a_successor_goes_by_the_name(#[case] names: &[&str], #[case] found: Option<&str>) {
        assert_eq!(best(names.iter().copied(), "controller"), found);
    }
}
