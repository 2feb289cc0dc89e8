//! Resident memory, and the part of it that no file stands behind.

use std::fs;
use std::sync::Arc;

use ferrolb_lab::process::Process;
use ferrolb_lab::{Error, Result};

use crate::cluster::Cluster;
use crate::report::{AtMost, Measure};
use crate::sample::Samples;

/// The number of Services up to which the limits hold.
const FEW: usize = 10;
const LIMIT_MB: f64 = 15.0;

pub(super) fn measure(cluster: &Cluster, services: usize) -> Result<Vec<Measure>> {
    let mut measures = of(&[cluster.controller()?], "controller", services)?;
    measures.extend(of(&cluster.speakers()?, "speaker (largest)", services)?);
    Ok(measures)
}

/// Resident megabytes of the controller and of the largest speaker.
pub(crate) fn resident(cluster: &Cluster) -> Result<(f64, f64)> {
    let resident = |process: &Process| Ok(Status::of(process)?.megabytes("VmRSS:"));
    let speakers =
        cluster.speakers()?.iter().map(|speaker| resident(speaker)).collect::<Result<Vec<_>>>()?;
    let controller = cluster.controller()?;
    Ok((resident(&controller)?, speakers.into_iter().fold(0.0, f64::max)))
}

fn of(processes: &[Arc<Process>], name: &str, services: usize) -> Result<Vec<Measure>> {
    let (mut resident, mut anonymous) = (Samples::default(), Samples::default());
    for process in processes {
        let status = Status::of(process)?;
        resident.push(status.megabytes("VmRSS:"));
        anonymous.push(status.megabytes("RssAnon:"));
    }
    let figure = |kind| format!("{kind} memory, {name}, {services} Services");
    let largest = |kind, samples| Measure::of("memory", &figure(kind), "MB", samples, 100);
    let resident = largest("resident", &resident);
    let resident =
        if services <= FEW { resident.at_most(AtMost::Value(LIMIT_MB)) } else { resident };
    Ok(vec![resident, largest("anonymous", &anonymous)])
}

/// `/proc/PID/status`.
struct Status(String);

impl Status {
    fn of(process: &Process) -> Result<Self> {
        let path = format!("/proc/{}/status", process.pid());
        fs::read_to_string(&path).map(Self).map_err(Error::io(path))
    }

    /// The value of a line in 1,000,000 bytes; lines are in 1,024 bytes.
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
        let status = Status("VmHWM:\t  999 kB\nVmRSS:\t  15625 kB\nRssAnon:\t 0 kB\n".to_owned());
        assert!((status.megabytes("VmRSS:") - 16.0).abs() < 1e-9);
        assert!(status.megabytes("VmSwap:").is_nan());
    }
}
