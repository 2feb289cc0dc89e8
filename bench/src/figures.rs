//! The figures, in the order they are measured: for us, then for a peer in a fresh lab of the same
//! kind, so that the two never compete for the machine.

mod arp;
pub(crate) mod bgp;
mod create;
mod death;
mod memory;
mod rest;
mod scale;

pub(crate) use self::memory::resident;

use ferrolb_lab::report::{complain, line};
use ferrolb_lab::{Control, Result};

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
    if args.wants(Figure::Death) {
        let runs = args.samples(20, 3);
        both("silent death of a node", true, &|subject| death::measure(subject, control, runs));
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
    if [Figure::Memory, Figure::Arp, Figure::Rest].iter().any(|figure| args.wants(*figure)) {
        both("few and 1,000 Services", true, &|subject| scale::measure(subject, control, args));
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
