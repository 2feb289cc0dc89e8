//! BGP with thousands of Services: one node, and BIRD as the router that is told of them.
//!
//! ```text
//!  start of the speaker ──────────────▶ last prefix at the router      (time, processor time)
//!  one more Service requested ─▶ address in its status ─▶ route at the router   (time; one_more)
//!  labels that no advertisement asks for ─▶ nothing on the wire        (bytes, processor time)
//! ```

pub(super) mod bfd;
mod one_more;
pub(crate) mod pair;
mod rig;
mod routes;

use std::time::{Duration, Instant};

use ferrolb_lab::api::{Ref, wait_until};
use ferrolb_lab::report::{complain, line};
use ferrolb_lab::{Control, Result};
use serde_json::json;

use self::rig::Rig;
use crate::args::Args;
use crate::report::{Limit, Measure};
use crate::sample::Samples;
use crate::subject::Subject;
use crate::usage::cpu_seconds;

/// So many Services, and what is aimed at with them.
#[derive(Clone, Copy, Debug)]
struct Scale {
    services: usize,
    /// Within how many seconds of the speaker's start their routes are there.
    seconds: f64,
    megabytes: f64,
    /// How often another implementation's speaker starts, whose time may grow with the square.
    peer_starts: usize,
}

const SCALES: [Scale; 2] = [
    Scale { services: 2000, seconds: 1.0, megabytes: 20.0, peer_starts: 3 },
    Scale { services: 5000, seconds: 2.0, megabytes: 30.0, peer_starts: 1 },
];

/// When only the way is tried.
const QUICK: [Scale; 1] = [Scale { services: 50, ..SCALES[0] }];

/// How many more Services there are, one after the other: ours and another implementation's.
const TRIES: usize = 30;
const PEER_TRIES: usize = 10;

/// Changes of labels in one go.
const FEW_LABELS: usize = 100;
const MANY_LABELS: usize = 1000;

/// The longest until thousands of routes are there.
const PATIENCE: Duration = Duration::from_mins(10);

pub(super) fn measure(subject: &Subject, control: &Control, args: &Args) -> Result<Vec<Measure>> {
    let rig = Rig::up(subject, control)?;
    let mut measures = Vec::new();
    let mut from = 0;
    for scale in if args.quick { &QUICK[..] } else { &SCALES } {
        line(format_args!("   making Services up to {}", scale.services));
        let rounds = Rounds::of(subject, *scale, args);
        if let Err(error) = grow(&rig, from, scale.services) {
            if measures.is_empty() {
                return Err(error);
            }
            // What was measured before stands.
            complain(format_args!("bench: {} Services: {error}", scale.services));
            break;
        }
        measures.extend(at_scale(&rig, *scale, rounds));
        from = scale.services;
    }
    Ok(measures)
}

/// How often what takes long is done.
#[derive(Clone, Copy, Debug)]
struct Rounds {
    /// Changes of labels at most.
    labels: usize,
    starts: usize,
    tries: usize,
}

impl Rounds {
    fn of(subject: &Subject, scale: Scale, args: &Args) -> Self {
        let (labels, starts, tries) = if subject.is_peer() {
            (FEW_LABELS, scale.peer_starts, PEER_TRIES)
        } else {
            (MANY_LABELS, 3, TRIES)
        };
        Self {
            labels: labels.min(scale.services),
            starts: args.runs(starts, 1),
            tries: args.samples(tries, 5),
        }
    }
}

/// Makes Services, and waits until the router knows all of them.
fn grow(rig: &Rig, from: usize, to: usize) -> Result<()> {
    rig.serve_many(from, to)?;
    rig.wait_for_routes(rig.singles() + to, PATIENCE)
}

/// All figures with so many Services; one that fails takes no other along.
fn at_scale(rig: &Rig, scale: Scale, rounds: Rounds) -> Vec<Measure> {
    let services = scale.services;
    let mut measures = Vec::new();
    let mut add = |figures: Result<Vec<Measure>>| match figures {
        Ok(figures) => {
            for measure in &figures {
                line(format_args!("   {}: {:.3} {}", measure.figure, measure.value, measure.unit));
            }
            measures.extend(figures);
        }
        Err(error) => complain(format_args!("bench: {services} Services: {error}")),
    };
    add(memory(rig, scale));
    add(labels(rig, services, FEW_LABELS.min(rounds.labels)));
    if rounds.labels > FEW_LABELS {
        add(labels(rig, services, rounds.labels));
    }
    add(one_more::measure(rig, services, rounds.tries));
    add(start(rig, services, scale.seconds, rounds.starts));
    measures
}

fn memory(rig: &Rig, scale: Scale) -> Result<Vec<Measure>> {
    if let Err(error) = rig.settle() {
        complain(format_args!("   {error}"));
    }
    let resident = megabytes_of(rig.speaker()?.resident()?);
    let measure = of(scale.services, "resident memory of the speaker", "MB", resident);
    Ok(vec![measure.at_most(Limit::Value(scale.megabytes))])
}

fn of(services: usize, what: &str, unit: &'static str, value: f64) -> Measure {
    Measure::new("bgp", format!("{services} routes: {what}"), unit, value)
}

fn megabytes_of(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1000).unwrap_or(u32::MAX)) / 1e3
}

/// The speaker is killed and starts again: until the router knows every prefix once more.
fn start(rig: &Rig, services: usize, limit: f64, rounds: usize) -> Result<Vec<Measure>> {
    let (mut time, mut cpu) = (Samples::default(), Samples::default());
    let speaker = rig.speaker()?;
    let all = rig.routes()?;
    for _ in 0..rounds {
        speaker.kill()?;
        rig.wait_for_routes(0, PATIENCE)?;
        let started = Instant::now();
        speaker.restart()?;
        rig.wait_for_routes(all, PATIENCE)?;
        time.push(started.elapsed().as_secs_f64());
        cpu.push(cpu_seconds(&speaker)?);
        if let Err(error) = rig.settle() {
            complain(format_args!("   {error}"));
        }
    }
    let figure = |what: &str| format!("{services} routes: {what}");
    let whole = figure("speaker started → last prefix at the router");
    Ok(vec![
        Measure::of("bgp", &whole, "s", &time, 50).at_most(Limit::Value(limit)),
        Measure::of("bgp", &whole, "s", &time, 100),
        Measure::of("bgp", &figure("CPU of the speaker until then"), "s", &cpu, 50),
    ])
}

/// Labels of Services change that no advertisement asks for.
fn labels(rig: &Rig, services: usize, changes: usize) -> Result<Vec<Measure>> {
    let (speaker, api) = (rig.speaker()?, rig.cluster.lab.api());
    rig.settle()?;
    let (bytes, updates, cpu) = (rig.bytes_sent()?, rig.updates()?, cpu_seconds(&speaker)?);
    let value = format!("{services}-{changes}");
    for number in 0..changes {
        let name = format!("many-{number}");
        let service = Ref::new("Service", "default", &name);
        api.patch(service, &json!({ "metadata": { "labels": { "colour": value } } }))?;
    }
    rig.settle()?;
    let cpu = cpu_seconds(&speaker)? - cpu;
    let (bytes, updates) = (rig.bytes_sent()? - bytes, rig.updates()? - updates);
    let figure = |what: &str| format!("{changes} labels change: {what}");
    let cpu = of(services, &figure("CPU of the speaker"), "s", cpu);
    // What the change of one costs at most, and a hundred for nothing.
    let limit = if changes == FEW_LABELS { 0.05 } else { 1e-3 * count(changes) };
    Ok(vec![
        cpu.at_most(Limit::Value(limit)),
        of(services, &figure("bytes on the wire"), "B", bytes).at_most(Limit::Value(0.0)),
        of(services, &figure("updates at the router"), "", updates).at_most(Limit::Value(0.0)),
    ])
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Waits until something is so, asking without rest.
fn until(what: &str, limit: Duration, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    wait_until(what, limit, || Ok(if look()? { Ok(()) } else { Err("not yet") }))
}
