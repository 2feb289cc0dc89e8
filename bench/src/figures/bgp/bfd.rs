//! How long until silence is noticed: the speaker's, and each router's.
//!
//! ```text
//!        node1 ─── BFD, BGP ─── FRR        A process is stopped where it is (SIGSTOP): from that very
//!            └──── BFD, BGP ─── BIRD       moment it is silent, and the two others hear the same.
//!                  FRR ── BFD, BGP ── BIRD
//! ```
//!
//! The speaker says so in its log; a router takes the route out of its kernel, which is what
//! traffic goes by, and some work later than the verdict.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrolb_lab::Result;
use ferrolb_lab::process::{Process, Signal};
use ferrolb_lab::report::{complain, line};

use super::pair::Pair;
use super::routes::RouteWatch;
use crate::report::{Limit, Measure};
use crate::sample::Samples;
use crate::subject::Subject;
use crate::tail::Tail;

/// Milliseconds between two packets; three may be missing. A machine may be too busy for the last ones.
const INTERVALS: [u32; 4] = [300, 100, 50, 10];

/// The longest a detection may take here.
const PATIENCE: Duration = Duration::from_secs(5);

pub(in crate::figures) fn measure(subject: &Subject, runs: usize) -> Result<Vec<Measure>> {
    let pair = Pair::up(subject)?;
    let mut measures = Vec::new();
    for interval in INTERVALS {
        line(format_args!("   3 x {interval} ms"));
        let mut times = Times::default();
        let done =
            pair.configure(interval).and_then(|()| (0..runs).try_for_each(|_| times.one(&pair)));
        if let Err(error) = done {
            complain(format_args!("bench: 3 x {interval} ms: {error}"));
        }
        measures.extend(times.measures(interval));
    }
    Ok(measures)
}

#[derive(Debug, Default)]
struct Times {
    /// Ours, of either router.
    ours: Samples,
    /// A router's, of the other one.
    theirs: Samples,
    /// A router's, of the speaker.
    of_us: Samples,
}

impl Times {
    /// Each of the three falls silent once.
    fn one(&mut self, pair: &Pair) -> Result<()> {
        for (silent, witness) in [(&pair.bird, &pair.frr), (&pair.frr, &pair.bird)] {
            pair.renew()?;
            let mut routes = RouteWatch::start(witness.host())?;
            let mut log = Tail::of(pair.speaker()?.name())?;
            let address = Pair::address(silent).to_string();
            let stopped = Instant::now();
            silent.freeze()?;
            let ours = log.wait(&["\"bfdDown\"", &address], PATIENCE);
            let theirs = routes.deleted(Pair::announced(silent.software()), PATIENCE);
            silent.thaw()?;
            self.ours.push_millis(ours?.duration_since(stopped));
            self.theirs.push_millis(theirs?.duration_since(stopped));
        }
        pair.renew()?;
        let watches = [&pair.bird, &pair.frr].map(|router| RouteWatch::start(router.host()));
        let stopped = Stopped::new(pair.speaker()?)?;
        for watch in watches {
            let time = watch?.deleted(pair.service, PATIENCE)?.duration_since(stopped.at);
            self.of_us.push_millis(time);
        }
        drop(stopped);
        Ok(())
    }

    fn measures(&self, interval: u32) -> Vec<Measure> {
        let figure = |what: &str| format!("3 x {interval} ms: {what}");
        // What the multiplier says, and what a busy machine takes to give us a core.
        let longest = f64::from(3 * interval + 25);
        [50, 100]
            .into_iter()
            .flat_map(|percent| {
                let ours = figure("router silent → noticed by the speaker");
                let of_us = figure("speaker silent → route gone at the router");
                let ours = Measure::of("bfd", &ours, "ms", &self.ours, percent);
                [
                    ours.beside("the other router", &self.theirs, percent)
                        .at_most(Limit::Value(longest)),
                    Measure::of("bfd", &of_us, "ms", &self.of_us, percent),
                ]
            })
            .collect()
    }
}

/// A speaker that hangs as long as this lives.
struct Stopped {
    process: Arc<Process>,
    at: Instant,
}

impl Stopped {
    fn new(process: Arc<Process>) -> Result<Self> {
        let at = Instant::now();
        process.signal(Signal::STOP)?;
        Ok(Self { process, at })
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.process.signal(Signal::CONT);
    }
}
