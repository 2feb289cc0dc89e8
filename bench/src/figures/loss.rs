//! The owner is lost in one way or another: how long until a new client gets an answer from somebody
//! else? It asks every 10 ms.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_addr::Mac;
use ferrolb_lab::api::{Ref, wait_until};
use ferrolb_lab::fault::Cable;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::probe::neighbour::Watch;
use ferrolb_lab::report::{complain, line};
use ferrolb_lab::{Control, Host, NAMESPACE, Result};
use serde_json::json;

use crate::cluster::{Cluster, PATIENCE, broken};
use crate::report::{Limit, Measure};
use crate::sample::Samples;
use crate::subject::Subject;

const QUESTION_PERIOD: Duration = Duration::from_millis(10);

/// After so long nobody is waited for any more; the sample says this time.
const NEVER: Duration = Duration::from_secs(20);
/// Samples of that kind that are enough.
const OFTEN: usize = 2;

/// Time for a node that came back to have its address again.
const RETURN: Duration = Duration::from_secs(40);
/// Who answers alone for so long owns it from now on: longer than a node that came back waits.
const KEPT: Duration = Duration::from_secs(20);

/// How the owner is lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Loss {
    /// Its speaker crashes; the node lives.
    Crash,
    /// Its only link goes down.
    Carrier,
    /// Its link to the clients goes down; speakers hear each other over another one.
    ClientCarrier,
    /// It dies silently, and another of four nodes with it.
    Pair,
}

impl Loss {
    fn command(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Carrier => "carrier",
            Self::ClientCarrier => "client-carrier",
            Self::Pair => "pair",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Crash => "speaker killed (SIGKILL)",
            Self::Carrier => "only carrier lost",
            Self::ClientCarrier => "carrier lost, membership on another NIC",
            Self::Pair => "two of four nodes die",
        }
    }

    /// The longest it may take, in milliseconds: the middle one, and any.
    fn limits(self) -> (f64, f64) {
        match self {
            Self::Crash => (600.0, 600.0),
            Self::Carrier => (600.0, 1000.0),
            Self::ClientCarrier => (100.0, 100.0),
            Self::Pair => (2000.0, 2000.0),
        }
    }

    fn happen(self, cluster: &Cluster, lost: &[&Host]) -> Result<()> {
        lost.iter().try_for_each(|node| match self {
            Self::Crash => cluster.lab.speaker(node.name())?.kill(),
            Self::Carrier | Self::ClientCarrier => Cable::of(node, cluster.lan).cut(),
            Self::Pair => Cable::of(node, Lan::One).silence(),
        })
    }

    fn undo(self, cluster: &Cluster, lost: &[&Host]) -> Result<()> {
        lost.iter().try_for_each(|node| match self {
            Self::Crash => cluster.lab.speaker(node.name())?.restart(),
            Self::Carrier | Self::ClientCarrier => Cable::of(node, cluster.lan).plug(),
            Self::Pair => {
                // As after a reboot.
                Cable::of(node, Lan::One).restore()?;
                cluster.lab.speaker(node.name())?.restart()
            }
        })
    }
}

pub(super) fn measure(
    subject: &Subject,
    control: &Control,
    loss: Loss,
    runs: usize,
) -> Result<Vec<Measure>> {
    let cluster = Cluster::up_with(subject, control, |options| match loss {
        Loss::ClientCarrier => options.second_lan = true,
        Loss::Pair => options.nodes = 4,
        Loss::Crash | Loss::Carrier => {}
    })?
    .with_backends()?;
    if loss == Loss::ClientCarrier {
        let advertisement = Ref::new("L2Advertisement", NAMESPACE, "bench");
        let interfaces = json!({ "spec": { "interfaces": [cluster.lan.interface()] } });
        cluster.lab.api().patch(advertisement, &interfaces)?;
    }
    let address = cluster.serve("loss")?;
    let (mut samples, mut never, mut rejected) = (Samples::default(), 0, 0);
    for run in 1.. {
        if samples.raw().len() == runs {
            break;
        }
        // Another phase of every period in the system each time.
        thread::sleep(Duration::from_millis(1000 + 37 * run as u64));
        let Some(time) = one(&cluster, address, loss, run)? else {
            line("   another node answered before anything happened: not counted");
            rejected += 1;
            if rejected > runs {
                return Err(broken("the address has no owner that it keeps"));
            }
            continue;
        };
        let run = samples.raw().len() + 1;
        line(format_args!("   {run}/{runs}: {} ms", time.as_millis()));
        samples.push_millis(time);
        never += usize::from(time >= NEVER);
        if never == OFTEN {
            line(format_args!("   {never} times nobody for {} s: enough", NEVER.as_secs()));
            break;
        }
    }
    let figure = format!("{} → new client's first ARP answer", loss.title());
    let (median, longest) = loss.limits();
    let of = |percent, limit| {
        Measure::of(loss.command(), &figure, "ms", &samples, percent).at_most(Limit::Value(limit))
    };
    Ok(vec![of(50, median), of(100, longest)])
}

/// The time without an owner; none if another one answered too before anything happened, so that nobody
/// can tell who took over.
fn one(cluster: &Cluster, address: IpAddr, loss: Loss, run: usize) -> Result<Option<Duration>> {
    let (owner, mac) = cluster.wait_for_owner(address)?;
    let mut lost = vec![&owner];
    if loss == Loss::Pair {
        // Whoever would be next is among them every third time.
        let nodes = cluster.lab.network().nodes();
        let others: Vec<_> = nodes.into_iter().filter(|node| node.role != owner.role).collect();
        lost.push(others[run % others.len()]);
    }
    let macs: BTreeSet<Mac> = lost.iter().map(|node| node.mac(cluster.lan)).collect();
    let questions = Watch::start(cluster.client()?, cluster.lan, address, QUESTION_PERIOD)?;
    thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    loss.happen(cluster, &lost)?;
    let taken = wait_until("another node answers", NEVER, || {
        let answers = cluster.ask(address)?;
        Ok(if answers.iter().any(|mac| !macs.contains(mac)) { Ok(()) } else { Err("none") })
    });
    let heard = questions.stop()?;
    loss.undo(cluster, &lost)?;
    let undisturbed = heard.answers().all(|answer| answer.at > begun || answer.mac == mac);
    let first = heard.answers().find(|answer| answer.at > begun && !macs.contains(&answer.mac));
    let time = match (first, taken) {
        (Some(first), _) => first.at.duration_since(begun),
        (None, _) => NEVER,
    };
    if let Err(error) = settle(cluster, address, mac) {
        complain(format_args!("   {error}: all speakers start again"));
        cluster.speakers()?.iter().try_for_each(|speaker| speaker.restart())?;
        cluster.lab.wait_ready(PATIENCE)?;
        cluster.wait_for_owner(address)?;
    }
    // Whoever announces anew repeats himself for a while; let it pass.
    thread::sleep(Duration::from_secs(2));
    Ok(undisturbed.then_some(time))
}

/// Waits until the former owner has the address again, or another one keeps it.
fn settle(cluster: &Cluster, address: IpAddr, former: Mac) -> Result<()> {
    let (mut before, mut since) = (BTreeSet::new(), Instant::now());
    wait_until("the address has an owner again", RETURN, || {
        let answers = cluster.ask(address)?;
        if answers != before {
            (before, since) = (answers.clone(), Instant::now());
        }
        let settled = answers.len() == 1 && (answers.contains(&former) || since.elapsed() >= KEPT);
        Ok(if settled { Ok(()) } else { Err(format!("{answers:?}")) })
    })
}
