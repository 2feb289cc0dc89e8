//! The owner's speaker is asked to end, as in every upgrade: how long does nobody answer, and how
//! long do two?
//!
//! A client asks every 2 ms. On a busy machine questions and answers are late whatever happens, so
//! beside the longest silence stands the one of a time just before, in which nothing happened.

use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_lab::api::wait_until;
use ferrolb_lab::probe::neighbour::Watch;
use ferrolb_lab::probe::traffic::Traffic;
use ferrolb_lab::report::line;
use ferrolb_lab::{Control, Result};

use crate::cluster::{Cluster, PATIENCE, broken};
use crate::report::{Limit, Measure};
use crate::sample::Samples;
use crate::subject::Subject;

const QUESTION_PERIOD: Duration = Duration::from_millis(2);
const PROBES_PER_SECOND: u32 = 200;

/// The grace of the speaker's manifest.
const GRACE: Duration = Duration::from_secs(2);

/// How long is looked, before and after.
const LOOK: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
struct Ends {
    silence: Samples,
    calm: Samples,
    both: Samples,
    lost: Samples,
}

pub(super) fn measure(subject: &Subject, control: &Control, runs: usize) -> Result<Vec<Measure>> {
    let cluster = Cluster::up(subject, control)?.with_backends()?;
    let address = cluster.serve("terminate")?;
    let mut ends = Ends::default();
    for run in 1..=runs {
        thread::sleep(Duration::from_millis(37 * run as u64));
        ends.one(&cluster, address)?;
        line(format_args!(
            "   {run}/{runs}: {:.1} ms nobody, {:.1} ms two",
            ends.silence.last(),
            ends.both.last()
        ));
    }
    let of = |figure: &str, unit, samples, percent| {
        Measure::of("terminate", &format!("SIGTERM of the owner: {figure}"), unit, samples, percent)
    };
    let silence = |percent| {
        of("longest time without answer", "ms", &ends.silence, percent)
            .beside("in calm", &ends.calm, percent)
    };
    let both = |percent| {
        of("time with two answerers", "ms", &ends.both, percent).at_most(Limit::Value(20.0))
    };
    Ok(vec![
        silence(50),
        silence(100),
        of("UDP probes without answer", "", &ends.lost, 100).at_most(Limit::Value(0.0)),
        both(50),
        both(100),
    ])
}

impl Ends {
    fn one(&mut self, cluster: &Cluster, address: IpAddr) -> Result<()> {
        let (owner, mac) = cluster.wait_for_owner(address)?;
        let client = cluster.client()?;
        let watch = || Watch::start(client, cluster.lan, address, QUESTION_PERIOD);
        let calm = watch()?;
        thread::sleep(LOOK);
        self.calm.push_millis(calm.stop()?.longest_silence().length());

        let traffic = Traffic::start(client, SocketAddr::new(address, 80), PROBES_PER_SECOND)?;
        let questions = watch()?;
        thread::sleep(Duration::from_millis(300));
        let begun = Instant::now();
        cluster.lab.speaker(owner.name())?.terminate(GRACE)?;
        thread::sleep(LOOK.saturating_sub(begun.elapsed()));
        let heard = questions.stop()?;
        let outcome = traffic.stop()?;

        let first = heard.next_owner(begun, mac).ok_or_else(|| broken("nobody took over"))?;
        let last = heard.answers().filter(|answer| answer.mac == mac).last();
        let both = last.map_or(Duration::ZERO, |last| last.at.saturating_duration_since(first.at));
        self.both.push_millis(both);
        self.silence.push_millis(heard.longest_silence().length());
        #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
        self.lost.push(outcome.lost() as f64);

        cluster.lab.speaker(owner.name())?.restart()?;
        wait_until("the former owner has the address again", PATIENCE, || {
            let answers = cluster.ask(address)?;
            let alone = answers.len() == 1 && answers.contains(&mac);
            Ok(if alone { Ok(()) } else { Err(format!("{answers:?}")) })
        })?;
        thread::sleep(Duration::from_secs(2));
        Ok(())
    }
}
