//! BFD at 3 x 50 ms beside busy processors: a session that goes down did so for want of a core.
//!
//! Beside the speaker's sessions with two routers is the routers' session with each other, in the
//! same rig and the same minutes: what a daemon of theirs does not stand says something about the
//! machine.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_lab::Result;
use ferrolb_lab::report::line;

use super::busy;
use crate::figures::bgp::pair::Pair;
use crate::subject::Subject;
use crate::tail::Tail;

/// Milliseconds between two packets; three may be missing.
const INTERVAL: u32 = 50;

/// Programs that never rest, on the node. Each is a session and with it a scheduling group of its own (autogroup),
/// as each Pod has a control group of its own.
const BUSY: usize = 8;

/// How often flaps are counted.
const PERIOD: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
struct Flaps {
    /// A router fell silent, says the speaker.
    noticed: usize,
    /// The speaker fell silent, says a router.
    told: usize,
    /// Routers fell silent, says BIRD of FRR.
    routers: usize,
}

/// Lets it run for so long; the exit status says whether the speaker's sessions stayed up.
pub(crate) fn run(subject: &Subject, duration: Duration) -> Result<ExitCode> {
    let pair = Pair::up(subject)?;
    pair.configure(INTERVAL)?;
    let mut log = Tail::of(pair.speaker()?.name())?;
    let busy = (0..BUSY)
        .map(|number| busy(pair.cluster.lab.host("node1")?, number, &["setsid"]))
        .collect::<Result<Vec<_>>>()?;
    line(format_args!("soak: BFD 3 x {INTERVAL} ms beside {BUSY} busy loops, {duration:?}"));
    let (mut flaps, mut routers_up) = (Flaps::default(), true);
    let (begun, mut minute) = (Instant::now(), 1);
    while begun.elapsed() < duration {
        thread::sleep(PERIOD);
        for text in log.lines()?.filter(|text| text.contains("\"bfdDown\"")) {
            if text.contains("\"Remote\"") {
                flaps.told += 1;
            } else {
                flaps.noticed += 1;
            }
        }
        // One that is down waits a second and longer until it comes up again.
        let frr = Pair::address(&pair.frr);
        let is_up = pair.bird.bfd()?.iter().any(|session| session.peer == frr && session.is_up);
        flaps.routers += usize::from(routers_up && !is_up);
        routers_up = is_up;
        if begun.elapsed() > Duration::from_mins(minute) {
            line(format_args!("{minute:>6} min {flaps:?}"));
            minute += 1;
        }
    }
    drop(busy);
    let sound = flaps.noticed + flaps.told == 0;
    line(format_args!(
        "soak: {} failures noticed by the speaker, {} by routers of it, {} between routers: {}",
        flaps.noticed,
        flaps.told,
        flaps.routers,
        if sound { "sound" } else { "BROKEN" }
    ));
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
