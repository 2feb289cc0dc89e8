//! BGP with thousands of Services: one node, and BIRD as the router that is told of them.
//!
//! ```text
//!  start of the speaker ──────────────▶ last prefix at the router      (time, processor time)
//!  one more Service requested ─▶ address in its status ─▶ route at the router
//!  labels that no advertisement asks for ─▶ nothing on the wire        (bytes, processor time)
//! ```

pub(super) mod bfd;
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
use crate::cluster::{address, broken};
use crate::report::{Limit, Measure};
use crate::sample::Samples;
use crate::subject::Subject;
use crate::usage::cpu_seconds;

/// Numbers of Services, and within how many seconds of the speaker's start their routes are there.
const SCALES: [(usize, f64, f64); 2] = [(2000, 1.0, 20.0), (5000, 2.0, 30.0)];

/// The same when only the way is tried.
const QUICK: [(usize, f64, f64); 1] = [(50, 1.0, 20.0)];

/// Changes of labels in one go.
const FEW_LABELS: usize = 100;
const MANY_LABELS: usize = 1000;

/// The longest a single Service may take.
const PATIENCE: Duration = Duration::from_mins(4);

pub(super) fn measure(subject: &Subject, control: &Control, args: &Args) -> Result<Vec<Measure>> {
    let rig = Rig::up(subject, control)?;
    let mut measures = Vec::new();
    let mut from = 0;
    for scale in if args.quick { &QUICK[..] } else { &SCALES } {
        line(format_args!("   making Services up to {}", scale.0));
        match at_scale(&rig, from, *scale, args) {
            Ok(more) => measures.extend(more),
            // What was measured before stands.
            Err(error) if !measures.is_empty() => {
                complain(format_args!("bench: {} Services: {error}", scale.0));
                break;
            }
            Err(error) => return Err(error),
        }
        from = scale.0;
    }
    Ok(measures)
}

fn at_scale(
    rig: &Rig,
    from: usize,
    (services, seconds, megabytes): (usize, f64, f64),
    args: &Args,
) -> Result<Vec<Measure>> {
    rig.serve_many(from, services)?;
    rig.wait_for_routes(rig.singles() + services, PATIENCE)?;
    rig.settle()?;
    let resident = rig.speaker()?.resident()?;
    let mut measures = vec![
        of(services, "resident memory of the speaker", "MB", megabytes_of(resident))
            .at_most(Limit::Value(megabytes)),
    ];
    measures.extend(labels(rig, services, FEW_LABELS.min(services))?);
    if services >= MANY_LABELS {
        measures.extend(labels(rig, services, MANY_LABELS)?);
    }
    measures.extend(start(rig, services, seconds, args.samples(3, 1))?);
    measures.extend(one_more(rig, services, args.samples(30, 5))?);
    for measure in &measures {
        line(format_args!("   {}: {:.3} {}", measure.figure, measure.value, measure.unit));
    }
    Ok(measures)
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
        rig.settle()?;
    }
    let figure = |what: &str| format!("{services} routes: {what}");
    let whole = figure("speaker started → last prefix at the router");
    Ok(vec![
        Measure::of("bgp", &whole, "s", &time, 50).at_most(Limit::Value(limit)),
        Measure::of("bgp", &whole, "s", &time, 100),
        Measure::of("bgp", &figure("CPU of the speaker until then"), "s", &cpu, 50),
    ])
}

/// Services one after the other, each until the router's kernel has the route.
fn one_more(rig: &Rig, services: usize, rounds: usize) -> Result<Vec<Measure>> {
    let api = rig.cluster.lab.api();
    let changes = api.watch("Service", "default")?;
    let mut watch = rig.watch_routes()?;
    let (mut whole, mut told) = (Samples::default(), Samples::default());
    for round in 0..rounds {
        let (name, wanted) = (format!("more-{services}-{round}"), Rig::single(services, round));
        rig.prepare(&name)?;
        let requested = Instant::now();
        rig.request(&name, wanted)?;
        let routed = watch.added(wanted, PATIENCE)?;
        let shown = loop {
            let left = PATIENCE.saturating_sub(requested.elapsed());
            let (at, object) = changes
                .recv_timeout(left)
                .map_err(|_| broken(format!("{name} has no address after {PATIENCE:?}")))?;
            if object["metadata"]["name"] == name.as_str() && address(&object).is_some() {
                break at;
            }
        };
        whole.push_millis(routed.duration_since(requested));
        told.push_millis(routed.saturating_duration_since(shown));
    }
    let figure = |what: &str| format!("{services} routes: {what}");
    let (whole_name, told_name) = (
        figure("one more Service requested → route in the router's kernel"),
        figure("address in its status → route in the router's kernel"),
    );
    Ok(vec![
        Measure::of("bgp", &whole_name, "ms", &whole, 50),
        Measure::of("bgp", &whole_name, "ms", &whole, 100).at_most(Limit::Value(200.0)),
        Measure::of("bgp", &told_name, "ms", &told, 50),
        Measure::of("bgp", &told_name, "ms", &told, 100),
    ])
}

/// Labels of Services change that no advertisement asks for.
fn labels(rig: &Rig, services: usize, changes: usize) -> Result<Vec<Measure>> {
    let (speaker, api) = (rig.speaker()?, rig.cluster.lab.api());
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
