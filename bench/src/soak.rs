//! Faults for minutes, under load, and what must hold all the time.
//!
//! ```text
//!  round:  calm ──▶ fault ──▶ one answerer within LIMIT ──▶ undone ──▶ one answerer, the former one
//!           │ nobody moves                                              addresses as they were
//!           └ traffic from the client all the time, memory noted at the end of the round
//! ```
//!
//! The order of faults follows from a seed that is printed, so a bad round can be had again.

pub(crate) mod bfd;
mod census;
mod fault;
pub(crate) mod replicas;
pub(crate) mod starved;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_addr::Mac;
use ferrolb_lab::api::wait_until;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::probe::neighbour::Watch;
use ferrolb_lab::probe::traffic::Traffic;
use ferrolb_lab::process::{Process, Spec};
use ferrolb_lab::report::{complain, line};
use ferrolb_lab::{Control, FOLDER, Host, Result};

use self::fault::Fault;
use crate::args::Args;
use crate::cluster::{Cluster, address, broken};
use crate::subject::Subject;
use crate::usage::resident;

/// Services that are looked at; they carry traffic.
const SERVICES: usize = 6;
/// Services that are just there.
const CROWD: usize = 200;
const PROBES_PER_SECOND: u32 = 100;
const QUESTION_PERIOD: Duration = Duration::from_millis(50);

/// How long nobody may move between two faults.
const CALM: Duration = Duration::from_secs(3);
/// The time in which exactly one node must answer after a fault.
const LIMIT: Duration = Duration::from_secs(5);
/// The same after a fault is undone: a node that came back proves itself first.
const RETURN_LIMIT: Duration = Duration::from_secs(45);

/// Rounds until memory counts as settled.
const WARM_UP: usize = 3;

/// Builds a lab and torments it for so long; the exit status says whether everything held.
pub(crate) fn run(subject: &Subject, control: &Control, args: &Args) -> Result<ExitCode> {
    let cluster = Cluster::up(subject, control)?.with_backends()?;
    let addresses = (0..SERVICES).map(|number| cluster.serve(&format!("soak-{number}")));
    let addresses: Vec<IpAddr> = addresses.collect::<Result<_>>()?;
    cluster.serve_many(0, CROWD)?;
    let end = Instant::now() + args.duration();
    line(format_args!("soak: {} min, seed {}", args.minutes, args.seed));

    let outage = Duration::from_secs(args.outage);
    let (owners, given) = (Vec::new(), BTreeMap::new());
    let mut soak = Soak { cluster, outage, addresses, owners, given };
    soak.owners = soak.wait_for_owners(&BTreeSet::new(), RETURN_LIMIT)?;
    soak.given = soak.addresses_given()?;
    let (mut seed, mut broken_rounds, mut memory) = (args.seed, 0, Vec::new());
    let mut silences: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for round in 1.. {
        if Instant::now() >= end {
            break;
        }
        let nodes = soak.cluster.lab.network().nodes().len();
        let fault = Fault::choose(&mut seed, nodes);
        match soak.round(&fault) {
            Ok(silence) => {
                line(format_args!(
                    "{round:>4}  {fault:<32} clients without an answer for {} ms",
                    silence.as_millis()
                ));
                silences.entry(fault.kind().to_owned()).or_default().push(silence);
            }
            Err(error) => {
                broken_rounds += 1;
                complain(format_args!("{round:>4}  {fault:<32} BROKEN: {error}"));
                soak.cluster.lab.tails(6).iter().for_each(complain);
                fault.undo(&soak.cluster)?;
                soak.owners = soak.wait_for_owners(&BTreeSet::new(), RETURN_LIMIT)?;
            }
        }
        memory.push(resident(&soak.cluster)?);
    }
    for (kind, silences) in &silences {
        let longest = silences.iter().max().map_or(0, Duration::as_millis);
        line(format_args!("{kind:<24} {:>3} times, longest silence {longest} ms", silences.len()));
    }
    let leaks = leaks(&memory);
    let sound = broken_rounds == 0 && !leaks;
    line(format_args!(
        "soak: {} rounds, {broken_rounds} broken, memory {}: {}",
        memory.len(),
        if leaks { "GREW" } else { "steady" },
        if sound { "sound" } else { "BROKEN" }
    ));
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A program on a host that never rests, behind words that say how it is started.
pub(crate) fn busy(host: &Host, number: usize, before: &[&str]) -> Result<Process> {
    let name = format!("busy-{number}");
    Process::start(Spec {
        log: Path::new(FOLDER).join("logs").join(&name),
        name,
        host: host.clone(),
        argv: before
            .iter()
            .chain(&["sh", "-c", "while :; do :; done"])
            .map(|word| (*word).to_owned())
            .collect(),
        environment: Vec::new(),
        confinement: None,
    })
}

/// A number below `sides` (splitmix64).
fn roll(seed: &mut u64, sides: usize) -> usize {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((z ^ (z >> 31)) % sides.max(1) as u64).unwrap_or_default()
}

struct Soak {
    cluster: Cluster,
    /// How long the API server does not answer when it is its turn.
    outage: Duration,
    addresses: Vec<IpAddr>,
    /// Who answers for each of them while all nodes are well.
    owners: Vec<Mac>,
    /// The address each Service was given.
    given: BTreeMap<String, String>,
}

impl Soak {
    /// One fault from calm to calm; how long the unluckiest client had no answer.
    fn round(&self, fault: &Fault) -> Result<Duration> {
        self.expect_calm()?;
        let client = self.cluster.client()?;
        let traffic = self.addresses.iter().map(|address| {
            Traffic::start(client, SocketAddr::new(*address, 80), PROBES_PER_SECOND)
        });
        let traffic = traffic.collect::<Result<Vec<_>>>()?;
        thread::sleep(Duration::from_millis(500));

        fault.happen(&self.cluster)?;
        let silent: BTreeSet<Mac> = fault.silences(&self.cluster).into_iter().collect();
        self.wait_for_owners(&silent, LIMIT)?;
        thread::sleep(fault.length(self.outage));
        fault.undo(&self.cluster)?;
        wait_until("every address is where it was before the fault", RETURN_LIMIT, || {
            let now = self.wait_for_owners(&BTreeSet::new(), RETURN_LIMIT)?;
            Ok(if now == self.owners { Ok(()) } else { Err(format!("{now:?}")) })
        })?;
        self.cluster.lab.wait_ready(RETURN_LIMIT)?;

        let given = self.addresses_given()?;
        if given != self.given {
            return Err(broken("Services have other addresses than before"));
        }
        let outcomes = traffic.into_iter().map(Traffic::stop).collect::<Result<Vec<_>>>()?;
        let silences = outcomes.iter().map(|outcome| outcome.longest_silence().length());
        Ok(silences.max().unwrap_or_default())
    }

    /// Without a fault nobody but the owner answers, and he always does.
    fn expect_calm(&self) -> Result<()> {
        let client = self.cluster.client()?;
        let watches = self
            .addresses
            .iter()
            .map(|address| Watch::start(client, Lan::One, *address, QUESTION_PERIOD));
        let watches = watches.collect::<Result<Vec<_>>>()?;
        thread::sleep(CALM);
        for ((watch, owner), address) in watches.into_iter().zip(&self.owners).zip(&self.addresses)
        {
            let heard = watch.stop()?;
            if let Some(other) = heard.answers().find(|sighting| sighting.mac != *owner) {
                return Err(broken(format!(
                    "unexplained move: {} answered for {address} of {owner}",
                    other.mac
                )));
            }
            let silence = heard.longest_silence().length();
            if silence > CALM / 3 {
                return Err(broken(format!("nobody answered for {address} for {silence:?}")));
            }
        }
        Ok(())
    }

    /// Waits until each address has one answerer that is not among these.
    fn wait_for_owners(&self, silent: &BTreeSet<Mac>, limit: Duration) -> Result<Vec<Mac>> {
        self.addresses
            .iter()
            .map(|address| {
                wait_until(&format!("one node answers for {address}"), limit, || {
                    let answers = self.cluster.ask(*address)?;
                    let mut owners = answers.iter();
                    Ok(match (owners.next(), owners.next()) {
                        (Some(owner), None) if !silent.contains(owner) => Ok(*owner),
                        _ => Err(format!("answers from {answers:?}")),
                    })
                })
            })
            .collect()
    }

    /// The address of every Service; two with the same one are an error.
    fn addresses_given(&self) -> Result<BTreeMap<String, String>> {
        let services = self.cluster.lab.api().list("Service", "default", "")?;
        let given: BTreeMap<_, _> = services
            .iter()
            .filter_map(|service| {
                let name = service["metadata"]["name"].as_str()?;
                Some((name.to_owned(), address(service)?.to_owned()))
            })
            .collect();
        let distinct: BTreeSet<_> = given.values().collect();
        if distinct.len() < given.len() {
            return Err(broken("an address was given twice"));
        }
        Ok(given)
    }
}

/// Whether the controller's or the largest speaker's memory (MB) at the end is clearly more than it
/// was once warm.
fn leaks(memory: &[(f64, f64)]) -> bool {
    let (Some(warm), Some(last)) = (memory.get(WARM_UP), memory.last()) else { return false };
    line(format_args!(
        "memory, MB: controller {:.1} → {:.1}, largest speaker {:.1} → {:.1}",
        warm.0, last.0, warm.1, last.1
    ));
    let grew = |from: f64, to: f64| to > from * 1.25 + 2.0;
    grew(warm.0, last.0) || grew(warm.1, last.1)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::too_short_to_tell(&[(10.0, 10.0), (90.0, 90.0)], false)]
    #[case::warming_up(&[(5.0, 5.0), (8.0, 8.0), (9.0, 9.0), (10.0, 10.0), (11.0, 11.0)], false)]
    #[case::speaker(&[(5.0, 5.0), (8.0, 8.0), (9.0, 9.0), (10.0, 10.0), (10.0, 15.0)], true)]
    fn growth_after_warm_up_is_a_leak(#[case] memory: &[(f64, f64)], #[case] expected: bool) {
        assert_eq!(leaks(memory), expected);
    }
}
