//! The figures, in the order they are measured: for us, then for a peer in a fresh lab of the same
//! kind, so that the two never compete for the machine.

mod arp;
pub(crate) mod bgp;
mod create;
mod death;
mod loss;
mod memory;
mod mixed;
mod moves;
mod rest;
mod scale;
mod split;
mod start;
mod terminate;
mod writes;

use ferrolb_lab::report::{complain, line};
use ferrolb_lab::{Control, Result};

use self::loss::Loss;
use crate::args::{Args, Figure};
use crate::report::{Measure, Report};
use crate::subject::{Subject, Subjects};

/// Measures what was asked for; returns whether something could not be measured.
pub(crate) fn measure(args: &Args, subjects: &Subjects, report: &mut Report) -> bool {
    let control = &subjects.control;
    let mut failed = false;
    let mut both =
        |title: &str, with_peer: bool, work: &dyn Fn(&Subject) -> Result<Vec<Measure>>| {
            let mut attempt = |subject: &Subject| {
                line(format_args!("== {title}: {}", subject.name));
                work(subject).unwrap_or_else(|error| {
                    complain(format_args!("bench: {title}, {}: {error}", subject.name));
                    failed = true;
                    Vec::new()
                })
            };
            let ours = attempt(&subjects.ours);
            let peer = subjects.peer.as_ref().filter(|_| with_peer);
            let peer = peer.map(&mut attempt).unwrap_or_default();
            report.add(ours, peer);
        };
    let runs = args.runs(20, 3);
    for (figure, setting, with_peer) in [
        (Figure::Death, death::Setting::Usual, true),
        (Figure::DeathOfTen, death::Setting::OfTen, true),
        (Figure::DeathFast, death::Setting::Fast, false),
    ] {
        if args.wants(figure) {
            both(setting.title(), with_peer, &|subject| {
                death::measure(subject, control, setting, runs)
            });
        }
    }
    for (figure, loss) in [
        (Figure::Crash, Loss::Crash),
        (Figure::Carrier, Loss::Carrier),
        (Figure::ClientCarrier, Loss::ClientCarrier),
        (Figure::Pair, Loss::Pair),
    ] {
        if args.wants(figure) {
            both(loss.title(), true, &|subject| loss::measure(subject, control, loss, runs));
        }
    }
    if args.wants(Figure::Terminate) {
        both("SIGTERM of the owner", true, &|subject| terminate::measure(subject, control, runs));
    }
    if args.wants(Figure::Moves) {
        let (services, runs) = (args.samples(2000, 200), args.runs(5, 1));
        both("a node with 1,000 addresses dies", true, &|subject| {
            moves::measure(subject, control, services, runs)
        });
    }
    if args.wants(Figure::Split) {
        let runs = args.runs(5, 1);
        both("speakers deaf to the owner", true, &|subject| split::measure(subject, control, runs));
    }
    if args.wants(Figure::Mixed)
        && let Some(peer) = &subjects.peer
    {
        let (subject, runs) = (peer.among_ours(mixed::THEIRS), args.runs(5, 1));
        both("both kinds in one cluster", false, &|_| mixed::measure(&subject, control, runs));
    }
    if args.wants(Figure::Create) {
        let rounds = args.samples(100, 10);
        both("Service created", true, &|subject| create::measure(subject, control, rounds));
        if *control != Control::Embedded {
            both("Service created, embedded server", false, &|subject| {
                create::measure(subject, &Control::Embedded, rounds)
            });
        }
    }
    if args.wants(Figure::Start) {
        both("thousands of Services exist", true, &|subject| {
            start::measure(subject, control, args)
        });
    }
    if args.wants(Figure::Writes) && *control != Control::Embedded {
        let services = args.samples(200, 20);
        both("API writes", true, &|subject| writes::measure(subject, control, services));
    }
    if scale::FIGURES.iter().any(|figure| args.wants(*figure)) {
        both("few and many Services", true, &|subject| scale::measure(subject, control, args));
    }
    if args.wants(Figure::Bgp) {
        both("BGP, thousands of Services", true, &|subject| bgp::measure(subject, control, args));
    }
    if args.wants(Figure::Bfd) {
        let runs = args.samples(10, 2);
        both("BFD detection", false, &|subject| bgp::bfd::measure(subject, runs));
    }
    failed
}
