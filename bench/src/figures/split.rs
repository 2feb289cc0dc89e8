//! Speakers stop hearing one of them, whose address everybody else still hears: for how long do two
//! answer, and is it told? Nothing but the speakers' own port is blocked, then opened again.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use ferrolb_addr::Mac;
use ferrolb_lab::probe::neighbour::{Heard, Watch};
use ferrolb_lab::report::line;
use ferrolb_lab::{Control, Result, fault};

use crate::cluster::Cluster;
use crate::report::{Limit, Measure};
use crate::sample::Samples;
use crate::subject::Subject;

/// UDP port of speakers.
const PORT: u16 = 7946;

const QUESTION_PERIOD: Duration = Duration::from_millis(10);

/// How long they are deaf to each other: a membership of upstream's kind needs seconds to notice.
const PARTITION: Duration = Duration::from_secs(20);
/// How long is looked afterwards.
const HEALED: Duration = Duration::from_secs(10);

pub(super) fn measure(subject: &Subject, control: &Control, runs: usize) -> Result<Vec<Measure>> {
    let cluster = Cluster::up(subject, control)?.with_backends()?;
    let address = cluster.serve("split")?;
    let (mut split, mut healed) = (Samples::default(), Samples::default());
    let (mut silence, mut told) = (Samples::default(), Samples::default());
    for run in 1..=runs {
        thread::sleep(Duration::from_millis(37 * run as u64));
        let round = one(&cluster, address)?;
        line(format_args!(
            "   {run}/{runs}: two answer for {} ms, healed for {} ms",
            round.split.as_millis(),
            round.healed.as_millis()
        ));
        split.push_millis(round.split);
        healed.push_millis(round.healed);
        silence.push_millis(round.silence);
        told.push(if round.told { 1.0 } else { 0.0 });
    }
    let of = |what: &str, unit, samples, percent| {
        Measure::of("split", &format!("speakers deaf to the owner: {what}"), unit, samples, percent)
    };
    let limit = Limit::Value(1000.0);
    Ok(vec![
        of("two answer, 20 s of partition", "ms", &split, 50).at_most(limit),
        of("two answer, 20 s of partition", "ms", &split, 100).at_most(limit),
        of("two answer, healed", "ms", &healed, 100).at_most(limit),
        of("longest time without answer", "ms", &silence, 100),
        of("told by a speaker, of 1", "", &told, 0).at_least(Limit::Value(1.0)),
    ])
}

struct Round {
    split: Duration,
    healed: Duration,
    silence: Duration,
    told: bool,
}

fn one(cluster: &Cluster, address: IpAddr) -> Result<Round> {
    let (owner, mac) = cluster.wait_for_owner(address)?;
    let logs = || -> Result<usize> {
        let mut told = 0;
        for speaker in cluster.speakers()? {
            told += speaker.log().matches("twoOwners").count();
        }
        Ok(told)
    };
    let before = logs()?;
    let watch = Watch::start(cluster.client()?, cluster.lan, address, QUESTION_PERIOD)?;
    fault::block(&owner, PORT)?;
    thread::sleep(PARTITION);
    let split = watch.stop()?;
    let watch = Watch::start(cluster.client()?, cluster.lan, address, QUESTION_PERIOD)?;
    fault::lose_nothing(&owner)?;
    thread::sleep(HEALED);
    let healed = watch.stop()?;
    let round = Round {
        split: both(&split, mac),
        healed: both(&healed, mac),
        silence: split.longest_silence().length(),
        told: logs()? > before,
    };
    cluster.wait_for_owner(address)?;
    Ok(round)
}

/// The time in which questions got answers of the owner and of somebody else.
fn both(heard: &Heard, owner: Mac) -> Duration {
    let slots = |is_owner: bool| -> BTreeSet<u128> {
        let answers = heard.answers().filter(|one| (one.mac == owner) == is_owner);
        let times = answers.map(|one| one.at.duration_since(heard.started));
        times.map(|time| time.as_millis() / QUESTION_PERIOD.as_millis()).collect()
    };
    let count = slots(true).intersection(&slots(false)).count();
    QUESTION_PERIOD * u32::try_from(count).unwrap_or(u32::MAX)
}
