//! Failure detection on a starved machine: ten nodes, busy loops on every core, a share of all
//! heartbeats lost. Now and then a node dies in truth, silently, and comes back later.
//!
//! ```text
//!  node:  lives ─── dies ──(detected by everybody)── back, its speaker anew ──(heard by everybody)── lives
//!            └ nobody may leave it out              └ what is said about it here is not judged
//! ```
//!
//! Everything is read from what speakers log about their members: who is left out loses his addresses.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_lab::api::wait_until;
use ferrolb_lab::fault::{self, Cable};
use ferrolb_lab::plan::Lan;
use ferrolb_lab::process::Process;
use ferrolb_lab::report::{complain, line};
use ferrolb_lab::scenario::demo;
use ferrolb_lab::{Control, Host, Result};
use jiff::Timestamp;
use serde_json::Value;

use super::{busy, roll};
use crate::args::Args;
use crate::cluster::{Cluster, PATIENCE};
use crate::sample::Samples;
use crate::subject::Subject;

const NODES: u8 = 10;
const SERVICES: usize = 50;
/// Programs that never rest.
const BUSY: usize = 8;
/// Of a hundred heartbeats so many are lost at each node.
const LOST: u8 = 5;
const PORT: u16 = 7946;

/// Deaths in half an hour.
const DEATHS: u64 = 20;
/// The time in which everybody must have noticed a death.
const LIMIT: Duration = Duration::from_millis(1500);
/// How long a dead node stays dead.
const DEAD: Duration = Duration::from_secs(5);

/// A node, and the time in which nothing is said about it that is judged.
struct Outage {
    node: String,
    from: Timestamp,
    to: Timestamp,
}

/// Runs for so long; the exit status says whether nobody was left out without need, and nobody late.
pub(crate) fn run(subject: &Subject, control: &Control, args: &Args) -> Result<ExitCode> {
    let cluster = Cluster::up_with(subject, control, |options| options.nodes = NODES)?;
    cluster.serve_many(0, SERVICES)?;
    let nodes = cluster.lab.network().nodes();
    wait_until("everybody has heard of everybody", PATIENCE, || everybody(&cluster))?;
    nodes.iter().try_for_each(|node| fault::lose(node, PORT, LOST))?;
    let ctl = cluster.lab.host("ctl")?;
    let busy = (0..BUSY).map(|number| busy(ctl, number, &[])).collect::<Result<Vec<_>>>()?;
    let deaths = (DEATHS * args.minutes).div_ceil(30);
    line(format_args!(
        "soak: {NODES} nodes, {BUSY} busy loops, {LOST} % loss, {} min, {deaths} deaths, seed {}",
        args.minutes, args.seed
    ));

    let (begun, begun_at) = (Instant::now(), Timestamp::now());
    let (mut seed, mut outages, mut noticed) = (args.seed, Vec::new(), Samples::default());
    for death in 1..=deaths {
        let due = args.duration() * u32::try_from(death).unwrap_or(u32::MAX)
            / u32::try_from(deaths + 1).unwrap_or(u32::MAX);
        thread::sleep(due.saturating_sub(begun.elapsed()));
        let node = nodes[roll(&mut seed, nodes.len())];
        let from = Timestamp::now();
        let time = die(&cluster, node, from)?;
        noticed.push_millis(time);
        outages.push(Outage { node: node.name().to_owned(), from, to: Timestamp::now() });
        line(format_args!(
            "{death:>4}  {} died: all knew after {} ms",
            node.name(),
            time.as_millis()
        ));
    }
    thread::sleep(args.duration().saturating_sub(begun.elapsed()));
    drop(busy);

    let mut without_need = 0;
    for speaker in cluster.speakers()? {
        for (at, left_out) in left_out(&speaker, &nodes, begun_at) {
            let own = speaker.host().name();
            let judged = |node: &str| {
                !outages.iter().any(|out| out.node == node && (out.from..out.to).contains(&at))
            };
            for node in left_out.iter().filter(|node| judged(node) && judged(own)) {
                complain(format_args!("{at}  {own} left out {node}, which lived"));
                without_need += 1;
            }
        }
    }
    let late = noticed.raw().iter().filter(|time| **time > LIMIT.as_secs_f64() * 1e3).count();
    let sound = without_need == 0 && late == 0;
    line(format_args!(
        "soak: {without_need} left out without need; {deaths} deaths, all knew after {:.0} ms (p50), \
         {:.0} ms (max), {late} too late: {}",
        noticed.quantile(50),
        noticed.quantile(100),
        if sound { "sound" } else { "BROKEN" }
    ));
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A node dies and comes back; how long until every other one had left it out.
fn die(cluster: &Cluster, node: &Host, at: Timestamp) -> Result<Duration> {
    let cable = Cable::of(node, Lan::One);
    cable.silence()?;
    let mut latest = Duration::ZERO;
    for speaker in cluster.speakers()?.iter().filter(|other| other.host().name() != node.name()) {
        let found = wait_until(&format!("{} leaves it out", speaker.name()), PATIENCE, || {
            Ok(demo::detection(speaker, node.name(), at))
        })?;
        latest = latest.max(found);
    }
    thread::sleep(DEAD);
    cable.restore()?;
    cluster.lab.speaker(node.name())?.restart()?;
    wait_until("everybody hears it again", PATIENCE, || everybody(cluster))?;
    Ok(latest)
}

/// Whether each speaker's last word is that all nodes live.
fn everybody(cluster: &Cluster) -> Result<Result<(), String>> {
    let nodes = cluster.lab.network().nodes();
    for speaker in cluster.speakers()? {
        let last = words(&speaker).last().map(|(_, members)| missing(&nodes, &members));
        match last {
            Some(missing) if missing.is_empty() => {}
            Some(missing) => return Ok(Err(format!("{} lacks {missing:?}", speaker.name()))),
            None => return Ok(Err(format!("{} said nothing", speaker.name()))),
        }
    }
    Ok(Ok(()))
}

/// Whom a speaker left out since a moment, and when.
fn left_out(speaker: &Process, nodes: &[&Host], since: Timestamp) -> Vec<(Timestamp, Vec<String>)> {
    words(speaker)
        .filter(|(at, _)| *at > since)
        .map(|(at, members)| (at, missing(nodes, &members)))
        .collect()
}

fn missing(nodes: &[&Host], members: &str) -> Vec<String> {
    let names = nodes.iter().map(|node| node.name());
    names.filter(|name| !members.split(',').any(|one| one == *name)).map(str::to_owned).collect()
}

/// What a speaker said about its members, and when.
fn words(speaker: &Process) -> impl DoubleEndedIterator<Item = (Timestamp, String)> {
    let log = speaker.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let words: Vec<_> = lines
        .filter(|line| line["event"] == "membersChanged")
        .filter_map(|line| {
            let at = line["ts"].as_str()?.parse().ok()?;
            Some((at, line["members"].as_str()?.to_owned()))
        })
        .collect();
    words.into_iter()
}
