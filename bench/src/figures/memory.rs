//! Resident memory, and the part of it that no file stands behind.

use std::sync::Arc;

use ferrolb_lab::Result;
use ferrolb_lab::process::Process;

use crate::cluster::Cluster;
use crate::report::{Limit, Measure};
use crate::sample::Samples;
use crate::usage::Memory;

/// The most a process may have resident with up to so many Services, in megabytes.
const LIMITS: [(usize, f64); 3] = [(10, 15.0), (1_000, 18.0), (5_000, 30.0)];

pub(super) fn measure(cluster: &Cluster, services: usize) -> Result<Vec<Measure>> {
    let mut measures = of(&[cluster.controller()?], "controller", services)?;
    measures.extend(of(&cluster.speakers()?, "speaker (largest)", services)?);
    Ok(measures)
}

fn of(processes: &[Arc<Process>], name: &str, services: usize) -> Result<Vec<Measure>> {
    let (mut resident, mut anonymous) = (Samples::default(), Samples::default());
    for process in processes {
        let memory = Memory::of(process)?;
        resident.push(memory.resident());
        anonymous.push(memory.anonymous());
    }
    let figure = |kind| format!("{kind} memory, {name}, {services} Services");
    let largest = |kind, samples| Measure::of("memory", &figure(kind), "MB", samples, 100);
    let resident = largest("resident", &resident);
    let limit = LIMITS.iter().find(|(most, _)| services <= *most);
    let resident =
        limit.map_or(resident.clone(), |(_, megabytes)| resident.at_most(Limit::Value(*megabytes)));
    Ok(vec![resident, largest("anonymous", &anonymous)])
}
