//! Silent death: the owner's switch port is taken out, its carrier stays. How long until a client
//! gets an answer again?
//!
//! A new client is an ARP question every 10 ms; a client that knows the address already is 200 UDP
//! probes a second, each from a fresh port. Detection is what a survivor's log says about when it
//! knew, which a peer need not have.

use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_lab::api::wait_until;
use ferrolb_lab::fault::Cable;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::probe::neighbour::Watch;
use ferrolb_lab::probe::traffic::Traffic;
use ferrolb_lab::report::{complain, line};
use ferrolb_lab::scenario::demo;
use ferrolb_lab::{Control, Options, Result};
use jiff::Timestamp;

use crate::cluster::{Cluster, PATIENCE, broken};
use crate::report::{Limit, Measure};
use crate::sample::Samples;
use crate::subject::Subject;

const QUESTION_PERIOD: Duration = Duration::from_millis(10);
const PROBES_PER_SECOND: u32 = 200;

/// The time in which a node that came back should have its address again; how long that takes is not
/// what is measured here.
const RETURN: Duration = Duration::from_secs(30);

/// In what cluster a node dies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Setting {
    /// Three nodes.
    Usual,
    /// Ten nodes.
    OfTen,
    /// Three nodes whose speakers go by the fast profile.
    Fast,
}

impl Setting {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Usual => "silent death, 3 nodes",
            Self::OfTen => "silent death, 10 nodes",
            Self::Fast => "silent death, 3 nodes, fast profile",
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::Usual => "death",
            Self::OfTen => "death-of-ten",
            Self::Fast => "death-fast",
        }
    }

    /// The longest it may take, in milliseconds: the middle one, and any.
    fn limits(self) -> (f64, f64) {
        match self {
            Self::Usual | Self::OfTen => (600.0, 1000.0),
            Self::Fast => (200.0, 1000.0),
        }
    }

    fn shape(self, options: &mut Options) {
        match self {
            Self::Usual => {}
            Self::OfTen => options.nodes = 10,
            Self::Fast => options.speaker_flags.push("--heartbeat-profile=fast".to_owned()),
        }
    }
}

/// Samples of one quantity each, in milliseconds.
#[derive(Clone, Debug, Default)]
struct Deaths {
    new_client: Samples,
    known_client: Samples,
    detection: Samples,
    take_over: Samples,
}

pub(super) fn measure(
    subject: &Subject,
    control: &Control,
    setting: Setting,
    runs: usize,
) -> Result<Vec<Measure>> {
    let cluster = Cluster::up_with(subject, control, |options| setting.shape(options))?;
    let cluster = cluster.with_backends()?;
    let address = cluster.serve("death")?;
    let mut deaths = Deaths::default();
    for run in 1..=runs {
        // Another phase of every period in the system each time.
        thread::sleep(Duration::from_millis(37 * run as u64));
        deaths.one(&cluster, address)?;
        if let Some(last) = deaths.new_client.raw().last() {
            line(format_args!("   {run}/{runs}: {last:.0} ms"));
        }
    }
    let of = |figure: &str, samples, percent| {
        let figure = format!("{}: {figure}", setting.title());
        Measure::of(setting.command(), &figure, "ms", samples, percent)
    };
    let (median, longest) = setting.limits();
    let mut measures = Vec::new();
    for (percent, limit) in [(50, median), (100, longest)] {
        let limit = Limit::Value(limit);
        let new_client = of("new client's first ARP answer", &deaths.new_client, percent);
        let known_client = of("first UDP probe answered", &deaths.known_client, percent);
        measures.extend([new_client.at_most(limit), known_client.at_most(limit)]);
        if !deaths.detection.raw().is_empty() {
            measures.push(of("detected", &deaths.detection, percent));
            measures.push(of("detected → first ARP answer", &deaths.take_over, percent));
        }
    }
    Ok(measures)
}

impl Deaths {
    fn one(&mut self, cluster: &Cluster, address: IpAddr) -> Result<()> {
        let lab = &cluster.lab;
        let (owner, mac) = cluster.wait_for_owner(address)?;
        let questions = Watch::start(cluster.client()?, Lan::One, address, QUESTION_PERIOD)?;
        let target = SocketAddr::new(address, 80);
        wait_until("a probe is answered", PATIENCE, || {
            let probe = Traffic::start(cluster.client()?, target, PROBES_PER_SECOND)?;
            thread::sleep(Duration::from_millis(50));
            let outcome = probe.stop()?;
            Ok(if outcome.lost() == 0 { Ok(()) } else { Err(outcome.lost()) })
        })?;
        let traffic = Traffic::start(cluster.client()?, target, PROBES_PER_SECOND)?;
        thread::sleep(Duration::from_millis(500));

        let cable = Cable::of(&owner, Lan::One);
        let (cut, cut_at) = (Instant::now(), Timestamp::now());
        cable.silence()?;
        let taken = wait_until("another node answers", PATIENCE, || {
            let answers = cluster.ask(address)?;
            Ok(if answers.iter().any(|other| *other != mac) { Ok(()) } else { Err("none") })
        });
        thread::sleep(Duration::from_millis(500));
        let outcome = traffic.stop()?;
        let heard = questions.stop()?;
        taken?;

        let first = heard.next_owner(cut, mac).ok_or_else(|| broken("nobody took over"))?;
        let answered = first.at.duration_since(cut);
        self.new_client.push_millis(answered);
        let silence = outcome.longest_silence();
        self.known_client.push_millis(silence.to.saturating_duration_since(cut));
        let successor = lab.host_with_mac(first.mac).ok_or_else(|| broken("a stranger answers"))?;
        let speaker = lab.speaker(successor.name())?;
        if let Ok(detected) = demo::detection(&speaker, owner.name(), cut_at) {
            self.detection.push_millis(detected);
            self.take_over.push_millis(answered.saturating_sub(detected));
        }

        // The node comes back as a dead one does: after a reboot.
        cable.restore()?;
        lab.speaker(owner.name())?.restart()?;
        let returned = wait_until("the former owner has the address again", RETURN, || {
            let answers = cluster.ask(address)?;
            let alone = answers.len() == 1 && answers.contains(&mac);
            Ok(if alone { Ok(()) } else { Err(format!("{answers:?}")) })
        });
        if let Err(error) = returned {
            complain(format_args!("   {error}: all speakers start again"));
            cluster.speakers()?.iter().try_for_each(|speaker| speaker.restart())?;
            lab.wait_ready(PATIENCE)?;
            cluster.wait_for_owner(address)?;
        }
        // Whoever announces anew repeats himself for a while; let it pass.
        thread::sleep(Duration::from_secs(1));
        Ok(())
    }
}
