//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Measures FerroLB in the lab.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench", version)]
pub(crate) struct Args {
    /// The binary to measure
    #[arg(long, default_value = "target/release/ferrolb")]
    pub(crate) ferrolb: PathBuf,
    /// Where raw samples go
    #[arg(long, default_value = "target/bench/figures.json")]
    pub(crate) json: PathBuf,
    /// Few samples and short waits: shows that everything works, measures badly
    #[arg(long)]
    pub(crate) quick: bool,
    /// So many times at most is something lost, started or moved
    #[arg(long)]
    pub(crate) runs: Option<usize>,
    /// Another implementation's controller, measured in the same way (needs the real Kubernetes)
    #[arg(long, requires_all = ["speaker", "manifests"])]
    pub(crate) controller: Option<PathBuf>,
    /// Its speaker
    #[arg(long, requires = "controller")]
    pub(crate) speaker: Option<PathBuf>,
    /// A flag its controller needs beside the manifest's; may be given again
    #[arg(long = "controller-args", requires = "controller", allow_hyphen_values = true)]
    pub(crate) controller_flags: Vec<String>,
    /// A flag its speaker needs beside the manifest's; may be given again
    #[arg(long = "speaker-args", requires = "controller", allow_hyphen_values = true)]
    pub(crate) speaker_flags: Vec<String>,
    /// All that is installed for it; may be given again
    #[arg(long, requires = "controller")]
    pub(crate) manifests: Vec<PathBuf>,
    /// How long a soak lasts
    #[arg(long, env = "SOAK_MINUTES", default_value_t = 10)]
    pub(crate) minutes: u64,
    /// Seconds for which the API server hangs in a soak, when it is its turn
    #[arg(long, env = "SOAK_OUTAGE", default_value_t = 60)]
    pub(crate) outage: u64,
    /// How many times a soak stops controllers
    #[arg(long, env = "SOAK_STOPS", default_value_t = 1000)]
    pub(crate) stops: usize,
    /// Of how many pairs of controllers, which are stopped at the same time
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u8).range(1..=200))]
    pub(crate) pairs: u8,
    /// What the order of a soak's faults follows from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// What to measure; all but soaks when none is named
    #[arg(value_enum)]
    pub(crate) figures: Vec<Figure>,
}

/// A figure.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Figure {
    /// Silent death of a node: time to a client's first answer
    Death,
    /// The same with 10 nodes
    DeathOfTen,
    /// The same with speakers of the fast heartbeat profile; ours only
    DeathFast,
    /// The owner's speaker is killed: time to a new client's first answer
    Crash,
    /// The owner loses its only link
    Carrier,
    /// The owner loses its link to the clients, and not the one to other speakers
    ClientCarrier,
    /// Two of four nodes die at once
    Pair,
    /// The owner's speaker is asked to end: time with no answerer, and with two
    Terminate,
    /// A node with 1,000 addresses dies: time until the LAN has heard of the new owner
    Moves,
    /// Speakers stop hearing the owner, clients do not: time with two answerers
    Split,
    /// The other implementation's speaker on one node, ours on two: do they agree, whoever dies?
    Mixed,
    /// Service created: time until its status holds an address
    Create,
    /// 3,000 Services exist and the controller starts, beside a bare client; restarts
    Start,
    /// API writes for 200 new Services, and after a label on a pool changed
    Writes,
    /// Resident memory with few Services, with 1,000 and with 5,000
    Memory,
    /// Time to an ARP answer for one of 1, of 1,000 and of 5,000 addresses
    Arp,
    /// ARP answers a second for one of 1, of 1,000 and of 5,000 addresses
    Saturation,
    /// Processor time and API writes while nothing happens, 1,000 Services
    Rest,
    /// Routes of 2,000 and 5,000 Services at a router: time, processor time, memory
    Bgp,
    /// Time until a router and the speaker notice each other's silence
    Bfd,
    /// Not a figure: faults for minutes, with what must hold all the time
    Soak,
    /// Not a figure: BFD beside eight busy loops; no session may flap
    SoakBfd,
    /// Not a figure: ten nodes beside eight busy loops, 5 % loss; nobody may be taken for dead who lives
    SoakStarved,
    /// Not a figure: controllers stopped and continued; no address may be given twice
    SoakReplicas,
}

impl Args {
    pub(crate) fn wants(&self, figure: Figure) -> bool {
        self.figures.is_empty() || self.figures.contains(&figure)
    }

    /// The number of samples, by thoroughness.
    pub(crate) fn samples(&self, thorough: usize, quick: usize) -> usize {
        if self.quick { quick } else { thorough }
    }

    /// As [`Self::samples`], of what takes long each time.
    pub(crate) fn runs(&self, thorough: usize, quick: usize) -> usize {
        let runs = self.samples(thorough, quick);
        self.runs.map_or(runs, |most| runs.min(most).max(1))
    }

    /// How long a soak lasts.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.minutes * 60)
    }
}
