//! Thousands of Services exist and the controller starts.
//!
//! ```text
//!  cold:     no Service has an address ── start ──▶ all have one ── quiet: processor time, memory
//!  bare:     the same statuses, taken away again, written by a client that does nothing else
//!  restart:  all have their address but a new one ── start ──▶ the new one has an address
//! ```
//!
//! A controller that is asked to end lets others lead at once; one that crashed still has its lease.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_lab::api::Ref;
use ferrolb_lab::process::Process;
use ferrolb_lab::report::line;
use ferrolb_lab::{Control, Result};
use serde_json::{Value, json};

use super::rest::wait_until_quiet;
use crate::args::Args;
use crate::cluster::{Cluster, address, broken, in_parallel, make, name, service};
use crate::report::{Limit, Measure};
use crate::sample::Samples;
use crate::subject::Subject;
use crate::usage::{Memory, cpu_seconds};

/// As many writes at a time as our controller has under way.
const WRITERS: usize = 16;

/// The grace of the controller's manifest.
const GRACE: Duration = Duration::from_secs(10);

/// Selects the Services that there are many of.
const MANY: &str = "labelSelector=bench%3Dmany";

const PATIENCE: Duration = Duration::from_mins(3);

/// Between the end of a controller and the next one's start, for what the first one left to do.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Starts {
    rate: Samples,
    cpu: Samples,
    memory: Samples,
    bare: Samples,
    restart: Samples,
    crash: Samples,
}

pub(super) fn measure(subject: &Subject, control: &Control, args: &Args) -> Result<Vec<Measure>> {
    let services = args.samples(3000, 300);
    let runs = args.runs(3, 1);
    let cluster = Cluster::up(subject, control)?;
    let controller = cluster.controller()?;
    controller.terminate(GRACE)?;
    in_parallel(0..services, WRITERS, |n| make(cluster.lab.api(), n))?;
    let lab = Start { cluster, controller, services };
    let mut starts = Starts::default();
    for run in 1..=runs {
        lab.cold(&mut starts)?;
        lab.controller.terminate(GRACE)?;
        let statuses = lab.take_away()?;
        wait_until_quiet(&lab.cluster)?;
        starts.bare.push(lab.bare(&statuses)?);
        line(format_args!(
            "   {run}/{runs}: {:.0}/s, bare client {:.0}/s",
            starts.rate.last(),
            starts.bare.last()
        ));
        lab.take_away()?;
    }
    lab.cold(&mut starts)?;
    for run in 0..args.runs(5, 1) {
        lab.controller.terminate(GRACE)?;
        starts.restart.push_millis(lab.first_new(&format!("restart-{run}"))?);
        wait_until_quiet(&lab.cluster)?;
        lab.controller.kill()?;
        starts.crash.push_millis(lab.first_new(&format!("crash-{run}"))?);
        wait_until_quiet(&lab.cluster)?;
    }
    Ok(starts.measures(services))
}

struct Start {
    cluster: Cluster,
    controller: Arc<Process>,
    services: usize,
}

impl Start {
    /// Starts the controller among Services without addresses, and waits until all is done.
    fn cold(&self, starts: &mut Starts) -> Result<()> {
        wait_until_quiet(&self.cluster)?;
        let begun = Instant::now();
        let (_, last) = self.addresses(self.services, "many-", || self.controller.restart())?;
        starts.rate.push(self.per_second(last.duration_since(begun)));
        wait_until_quiet(&self.cluster)?;
        starts.cpu.push(cpu_seconds(&self.controller)?);
        starts.memory.push(Memory::of(&self.controller)?.peak());
        Ok(())
    }

    /// Writes these statuses and nothing else; so many a second.
    fn bare(&self, statuses: &[Value]) -> Result<f64> {
        let begun = Instant::now();
        let (_, last) = self.addresses(self.services, "many-", || {
            in_parallel(0..statuses.len(), WRITERS, |n| self.write_status(n, &statuses[n]))
        })?;
        Ok(self.per_second(last.duration_since(begun)))
    }

    /// Takes the status of every Service away, and returns them in no order.
    fn take_away(&self) -> Result<Vec<Value>> {
        let services = self.cluster.lab.api().list("Service", "default", MANY)?;
        let statuses = services.into_iter().map(|mut service| service["status"].take()).collect();
        let nothing = json!({ "loadBalancer": { "ingress": null }, "conditions": null });
        in_parallel(0..self.services, WRITERS, |n| self.write_status(n, &nothing))?;
        Ok(statuses)
    }

    fn write_status(&self, number: usize, status: &Value) -> Result<()> {
        let name = name(number);
        self.cluster.lab.api().patch_status(Ref::new("Service", "default", &name), status).map(drop)
    }

    /// From the start of the controller to the address of a Service that was made before.
    fn first_new(&self, name: &str) -> Result<Duration> {
        self.cluster.lab.api().apply(&service(name))?;
        thread::sleep(PAUSE);
        let begun = Instant::now();
        let (first, _) = self.addresses(1, name, || self.controller.restart())?;
        Ok(first.duration_since(begun))
    }

    /// Does something, and says when the first and the last of so many Services whose names begin
    /// like this got an address.
    fn addresses(
        &self,
        count: usize,
        prefix: &str,
        work: impl FnOnce() -> Result<()>,
    ) -> Result<(Instant, Instant)> {
        let changes = self.cluster.lab.api().watch("Service", "default")?;
        work()?;
        let mut done = BTreeSet::new();
        let mut first = None;
        loop {
            let (at, object) = changes.recv_timeout(PATIENCE).map_err(|_| {
                broken(format!("{} of {count} Services have addresses", done.len()))
            })?;
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            if !name.starts_with(prefix) || address(&object).is_none() {
                continue;
            }
            done.insert(name.to_owned());
            let first = *first.get_or_insert(at);
            if done.len() == count {
                return Ok((first, at));
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    fn per_second(&self, time: Duration) -> f64 {
        self.services as f64 / time.as_secs_f64()
    }
}

impl Starts {
    fn measures(&self, services: usize) -> Vec<Measure> {
        let cold = |what: &str| format!("{services} Services exist, controller starts: {what}");
        let of = |figure: &str, unit, samples, percent| {
            Measure::of("start", figure, unit, samples, percent)
        };
        let restart = format!("restart with {services} Services: first new address");
        let crash = format!("crash and restart with {services} Services: first new address");
        vec![
            of(&cold("addresses"), "/s", &self.rate, 50)
                .beside("bare client", &self.bare, 50)
                .at_least(Limit::TimesBeside(0.7))
                .at_least(Limit::TimesPeer(4.0)),
            of(&cold("processor time"), "s", &self.cpu, 50).at_most(Limit::TimesPeer(0.25)),
            of(&cold("most memory"), "MB", &self.memory, 50).at_most(Limit::TimesPeer(0.25)),
            of(&restart, "ms", &self.restart, 50).at_most(Limit::Value(1000.0)),
            of(&restart, "ms", &self.restart, 100).at_most(Limit::Value(1000.0)),
            of(&crash, "ms", &self.crash, 50).at_most(Limit::Value(8000.0)),
            of(&crash, "ms", &self.crash, 100).at_most(Limit::Value(8000.0)),
        ]
    }
}
