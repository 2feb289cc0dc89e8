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
        if let Some(entry) = all.get(name) {
            return Ok(Arc::clone(&entry.process));
        }
        let is_numbered = |other: &str| {
            let number = other.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
            number.is_some_and(|number| number.parse::<u8>().is_ok())
        };
        let mut numbered = all.iter().filter(|(other, _)| is_numbered(other));
        match (numbered.next(), numbered.next()) {
            (Some((_, entry)), None) => Ok(Arc::clone(&entry.process)),
            _ => Err(Error::unknown("process", name, all.keys().map(String::as_str))),
        }
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
