//! What a process uses of the machine, by `/proc`.

use std::fs;

use ferrolb_lab::process::Process;
use ferrolb_lab::{Error, Result};

use crate::cluster::Cluster;

/// Processor time of all threads so far, exact to the nanosecond (`/proc/PID/stat` counts in 10 ms).
pub(crate) fn cpu_seconds(process: &Process) -> Result<f64> {
    schedstat(process, 0)
}

/// For how long threads of it could have run so far and were not given a core.
pub(crate) fn waited_seconds(process: &Process) -> Result<f64> {
    schedstat(process, 1)
}

/// The sum of a field over all threads.
fn schedstat(process: &Process, field: usize) -> Result<f64> {
    let folder = format!("/proc/{}/task", process.pid());
    let threads = fs::read_dir(&folder).map_err(Error::io(folder))?;
    let nanoseconds = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').nth(field)?.parse::<f64>().ok()
    });
    Ok(nanoseconds.sum::<f64>() / 1e9)
}

/// Resident megabytes of the controller and of the largest speaker.
pub(crate) fn resident(cluster: &Cluster) -> Result<(f64, f64)> {
    let resident = |process: &Process| Ok(Memory::of(process)?.resident());
    let speakers =
        cluster.speakers()?.iter().map(|speaker| resident(speaker)).collect::<Result<Vec<_>>>()?;
    let controller = cluster.controller()?;
    Ok((resident(&controller)?, speakers.into_iter().fold(0.0, f64::max)))
}

/// `/proc/PID/status`; sizes in 1,000,000 bytes.
pub(crate) struct Memory(String);

impl Memory {
    pub(crate) fn of(process: &Process) -> Result<Self> {
        let path = format!("/proc/{}/status", process.pid());
        fs::read_to_string(&path).map(Self).map_err(Error::io(path))
    }

    /// What is in memory.
    pub(crate) fn resident(&self) -> f64 {
        self.megabytes("VmRSS:")
    }

    /// The most that ever was.
    pub(crate) fn peak(&self) -> f64 {
        self.megabytes("VmHWM:")
    }

    /// The part that no file stands behind.
    pub(crate) fn anonymous(&self) -> f64 {
        self.megabytes("RssAnon:")
    }

    /// The value of a line; lines are in 1,024 bytes.
    fn megabytes(&self, label: &str) -> f64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(label));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        number.map_or(f64::NAN, |kilobytes| kilobytes * 1024.0 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn megabytes_are_of_a_million_bytes() {
        let memory = Memory("VmHWM:\t  31250 kB\nVmRSS:\t  15625 kB\n".to_owned());
        assert!((memory.resident() - 16.0).abs() < 1e-9);
        assert!((memory.peak() - 32.0).abs() < 1e-9);
        assert!(memory.anonymous().is_nan());
    }
}
