//! One cluster of our speakers and the other implementation's: do they agree on who owns what, at
//! rest, when a speaker of either kind is killed, and when it is back? The other one runs on one node;
//! the controller is ours, what is installed is theirs.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_lab::api::wait_until;
use ferrolb_lab::report::line;
use ferrolb_lab::{Control, Result};

use crate::cluster::{Cluster, broken};
use crate::report::{Limit, Measure};
use crate::sample::Samples;
use crate::subject::Subject;

/// Where the other implementation's speaker runs, and one of ours that is killed.
pub(super) const THEIRS: &str = "node3";
const OURS: &str = "node1";

/// Enough for each of three nodes to own some.
const SERVICES: usize = 12;

/// Longer than any membership needs, and than a speaker that came back waits.
const SETTLING: Duration = Duration::from_mins(1);

/// How often everybody is asked when nothing happens.
const LOOKS: usize = 10;

/// Who answers for each address.
type Owners = BTreeMap<Ipv4Addr, String>;

pub(super) fn measure(subject: &Subject, control: &Control, runs: usize) -> Result<Vec<Measure>> {
    let cluster = Cluster::up(subject, control)?;
    let addresses = cluster.serve_many(0, SERVICES)?;
    let first = settle(&cluster, &addresses, |_, _| true)?;
    let share = |node: &str| first.values().filter(|owner| *owner == node).count();
    let (theirs, ours) = (share(THEIRS), share(OURS));
    line(format_args!("   of {SERVICES} addresses {theirs} are theirs, {ours} {OURS}'s"));
    if theirs == 0 || ours == 0 {
        return Err(broken("a node owns nothing, so that its end would show nothing"));
    }
    let mut disagreed = Samples::default();
    for _ in 0..LOOKS {
        thread::sleep(Duration::from_secs(1));
        let mut wrong = 0;
        for ip in &addresses {
            if let Err(answers) = sole_owner(&cluster, *ip)? {
                line(format_args!("   {ip}: {answers}"));
                wrong += 1;
            }
        }
        disagreed.push(f64::from(wrong));
    }
    let mut measures = vec![
        Measure::of("mixed", "both kinds: addresses without one sole owner", "", &disagreed, 100)
            .at_most(Limit::Value(0.0)),
    ];
    for (node, whose) in [(THEIRS, "their"), (OURS, "our")] {
        let (mut lost, mut back) = (Samples::default(), Samples::default());
        for run in 1..=runs {
            let speaker = cluster.lab.speaker(node)?;
            let begun = Instant::now();
            speaker.kill()?;
            settle(&cluster, &addresses, |ip, owner| {
                // Nothing but what it owned moves.
                if first[&ip] == node { owner != node } else { owner == first[&ip] }
            })?;
            lost.push_millis(begun.elapsed());
            let begun = Instant::now();
            speaker.restart()?;
            settle(&cluster, &addresses, |ip, owner| owner == first[&ip])?;
            back.push_millis(begun.elapsed());
            line(format_args!(
                "   {run}/{runs}: {whose} speaker killed, agreed after {:.0} ms; back, after {:.0} ms",
                lost.last(),
                back.last()
            ));
        }
        for (what, samples) in [("killed", &lost), ("back", &back)] {
            let what = format!("both kinds: {whose} speaker {what} → all agree again");
            measures.push(Measure::of("mixed", &what, "ms", samples, 100));
        }
    }
    Ok(measures)
}

/// Waits until every address has one sole owner, and the right one.
fn settle(
    cluster: &Cluster,
    addresses: &[Ipv4Addr],
    is_right: impl Fn(Ipv4Addr, &str) -> bool,
) -> Result<Owners> {
    wait_until("all agree who owns what", SETTLING, || {
        let mut owners = Owners::new();
        for ip in addresses {
            match sole_owner(cluster, *ip)? {
                Ok(owner) if is_right(*ip, &owner) => owners.insert(*ip, owner),
                Ok(owner) => return Ok(Err(format!("{ip} is {owner}'s"))),
                Err(answers) => return Ok(Err(format!("{ip}: {answers}"))),
            };
        }
        Ok(Ok(owners))
    })
}

/// The one node that answers for an address, or who did.
fn sole_owner(cluster: &Cluster, address: Ipv4Addr) -> Result<Result<String, String>> {
    let answers = cluster.ask(IpAddr::V4(address))?;
    let mut hosts = answers.iter().map(|mac| cluster.lab.host_with_mac(*mac));
    Ok(match (hosts.next(), hosts.next()) {
        (Some(Some(host)), None) => Ok(host.name().to_owned()),
        _ => Err(format!("{answers:?} answer")),
    })
}
