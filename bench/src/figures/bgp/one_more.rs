//! One more Service among many: until its route is in the router's kernel, and where that time goes.
//!
//! ```text
//!  requested ─▶ on a watch ─▶ its status is asked for ─▶ address on a watch ─▶ route
//!       API server      controller             API server         speaker, router
//! ```
//!
//! The watch is the measuring program's own. Whoever acts on the same change has heard of it through
//! another one, at about the same time.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use ferrolb_lab::report::{complain, line};
use ferrolb_lab::{AuditLog, Result};
use jiff::Timestamp;
use serde_json::Value;

use super::rig::Rig;
use crate::cluster::{address, broken};
use crate::report::{Limit, Measure};
use crate::sample::Samples;
use crate::usage::{cpu_seconds, waited_seconds};

/// After so long a route is not waited for any more; the sample says this time.
const NEVER: Duration = Duration::from_secs(30);
/// Samples of that kind that are enough.
const OFTEN: usize = 2;

/// The longest until whoever was late has made up for it.
const CATCHING_UP: Duration = Duration::from_mins(4);

/// The parts of the way, in order, and what controller and speaker had of a core meanwhile.
const COLUMNS: [&str; 6] = [
    "requested → on a watch (API server)",
    "on a watch → its status is asked for (controller)",
    "its status asked for → address on a watch (API server)",
    "address on a watch → route (speaker, router)",
    "controller and speaker have a core",
    "controller and speaker wait for one",
];

/// What is known of one that arrived.
struct Passage {
    requested: Instant,
    /// On a watch, without an address and with one.
    seen: Instant,
    shown: Instant,
    routed: Instant,
    effort: Effort,
}

/// Processor time of controller and speaker, and for how long they wanted a core and had none.
#[derive(Clone, Copy, Debug, Default)]
struct Effort {
    worked: Duration,
    waited: Duration,
}

impl Effort {
    fn so_far(rig: &Rig) -> Result<Self> {
        let mut effort = Self::default();
        for process in [rig.cluster.controller()?, rig.speaker()?] {
            effort.worked += Duration::from_secs_f64(cpu_seconds(&process)?);
            effort.waited += Duration::from_secs_f64(waited_seconds(&process)?);
        }
        Ok(effort)
    }

    /// Since then; threads that ended meanwhile took theirs along.
    fn since(self, before: Self) -> Self {
        Self {
            worked: self.worked.saturating_sub(before.worked),
            waited: self.waited.saturating_sub(before.waited),
        }
    }
}

/// Services one after the other, each until the router's kernel has the route.
pub(super) fn measure(rig: &Rig, services: usize, rounds: usize) -> Result<Vec<Measure>> {
    let changes = rig.cluster.lab.api().watch("Service", "default")?;
    let mut routes = rig.watch_routes()?;
    let (mut whole, mut passages, mut late) = (Samples::default(), BTreeMap::new(), 0);
    // The audit log tells the time of day.
    let (instant, timestamp) = (Instant::now(), Timestamp::now());
    for round in 0..rounds {
        let (name, wanted) = (format!("more-{services}-{round}"), Rig::single(services, round));
        rig.prepare(&name)?;
        let before = Effort::so_far(rig)?;
        let requested = Instant::now();
        rig.request(&name, wanted)?;
        let routed = routes.added(wanted, NEVER);
        let effort = Effort::so_far(rig)?.since(before);
        let (seen, shown) = heard(&changes, &name)?;
        match routed {
            Ok(routed) => {
                whole.push_millis(routed.duration_since(requested));
                passages.insert(name, Passage { requested, seen, shown, routed, effort });
            }
            Err(error) => {
                complain(format_args!("   {name}: {error}"));
                whole.push_millis(NEVER);
                late += 1;
                let caught_up = rig.wait_for_routes(services + rig.singles(), CATCHING_UP);
                line(format_args!("   there after {:.0} s", requested.elapsed().as_secs_f64()));
                if late == OFTEN || caught_up.is_err() {
                    break;
                }
            }
        }
    }
    let at = |time: Timestamp| {
        let since = time.duration_since(timestamp);
        Duration::try_from(since).map_or(instant, |since| instant + since)
    };
    let asked = asked_for(&passages, at);
    Ok(measures(services, &whole, &columns(&passages, &asked), late))
}

/// When a Service was on a watch, and when its address was.
fn heard(changes: &Receiver<(Instant, Value)>, name: &str) -> Result<(Instant, Instant)> {
    let mut seen = None;
    loop {
        let (at, object) = changes
            .recv_timeout(NEVER)
            .map_err(|_| broken(format!("{name} has no address after {NEVER:?}")))?;
        if object["metadata"]["name"] != name {
            continue;
        }
        let seen = *seen.get_or_insert(at);
        if address(&object).is_some() {
            return Ok((seen, at));
        }
    }
}

/// When the API server was first asked to write each one's status; nothing without an audit log.
fn asked_for(
    passages: &BTreeMap<String, Passage>,
    at: impl Fn(Timestamp) -> Instant,
) -> BTreeMap<String, Instant> {
    let mut asked = BTreeMap::new();
    for event in AuditLog::default().read_on().unwrap_or_default() {
        let object = &event["objectRef"];
        if object["resource"] != "services" || object["subresource"] != "status" {
            continue;
        }
        let time = event["requestReceivedTimestamp"].as_str().and_then(|time| time.parse().ok());
        if let (Some(name), Some(time)) = (object["name"].as_str(), time)
            && passages.contains_key(name)
        {
            asked.entry(name.to_owned()).or_insert_with(|| at(time));
        }
    }
    asked
}

/// The samples of each column; says what the longest one consists of.
fn columns(
    passages: &BTreeMap<String, Passage>,
    asked: &BTreeMap<String, Instant>,
) -> [Samples; COLUMNS.len()] {
    let mut columns: [Samples; COLUMNS.len()] = Default::default();
    let mut longest = (Duration::ZERO, String::new());
    for (name, passage) in passages {
        let Some(asked) = asked.get(name) else { continue };
        let Passage { requested, seen, shown, routed, effort } = passage;
        let since = |to: &Instant, from: &Instant| to.saturating_duration_since(*from);
        let times = [
            since(seen, requested),
            since(asked, seen),
            since(shown, asked),
            since(routed, shown),
            effort.worked,
            effort.waited,
        ];
        for (samples, time) in columns.iter_mut().zip(times) {
            samples.push_millis(time);
        }
        let words = times.map(|time| format!("{:.1}", time.as_secs_f64() * 1e3));
        longest = longest.max((since(routed, requested), words.join(", ")));
    }
    let (time, words) = longest;
    line(format_args!("   the longest took {} ms; by columns: {words}", time.as_millis()));
    columns
}

fn measures(services: usize, whole: &Samples, columns: &[Samples], late: usize) -> Vec<Measure> {
    let figure = |what: &str| format!("{services} routes: one more Service: {what}");
    let way = figure("requested → route in the router's kernel");
    let never = figure(&format!("not there within {} s", NEVER.as_secs()));
    let mut measures = vec![
        Measure::of("bgp", &way, "ms", whole, 50).at_most(Limit::TimesPeer(0.5)),
        Measure::of("bgp", &way, "ms", whole, 100).at_most(Limit::Value(200.0)),
        Measure::new("bgp", never, "", super::count(late)).at_most(Limit::Value(0.0)),
    ];
    let columns = COLUMNS.iter().zip(columns).filter(|(_, samples)| !samples.raw().is_empty());
    for (column, samples) in columns {
        measures.push(Measure::of("bgp", &figure(column), "ms", samples, 50));
        measures.push(Measure::of("bgp", &figure(column), "ms", samples, 100));
    }
    measures
}
