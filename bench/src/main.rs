//! Figures: what FerroLB costs and how fast it is.
//!
//! Every figure is measured in the lab, from outside: by a client's packets, by the API, by `/proc`.
//! Beside it stands what the same run measured for comparison: the kernel's own answer, a bare API
//! client, or another implementation's binaries in the same lab.
//!
//! ```text
//!  main ── figures/… ──▶ Measure ──▶ report: table, JSON
//!     │        │  Layer 2: death, loss, terminate, moves, split; scale of arp, memory, rest
//!     │        │  controller: create, start, writes
//!     │        │  BGP: bgp
//!     │        └── cluster: a lab with a subject's processes and many Services
//!     └── soak: faults for minutes, with what must hold all the time; soak/{bfd, starved}: busy processors;
//!         soak/replicas: controllers that stop and go on
//! ```

mod args;
mod audit;
mod cluster;
mod figures;
mod report;
mod sample;
mod soak;
mod subject;
mod tail;
mod usage;

use std::process::ExitCode;

use clap::Parser;
use ferrolb_lab::report::{complain, line};
use ferrolb_lab::sandbox::{self, Side};

use self::args::{Args, Figure};
use self::report::Report;

fn main() -> ExitCode {
    let args = Args::parse();
    match sandbox::enter("bench") {
        Ok(Side::Ended(code)) => code,
        Ok(Side::Inside) => run(&args),
        Err(error) => fail(&error),
    }
}

fn run(args: &Args) -> ExitCode {
    let subjects = match subject::all(args) {
        Ok(subjects) => subjects,
        Err(error) => return fail(&error),
    };
    let soaks = |figure: &&Figure| {
        matches!(
            figure,
            Figure::Soak | Figure::SoakBfd | Figure::SoakStarved | Figure::SoakReplicas
        )
    };
    if let Some(figure) = args.figures.iter().find(soaks) {
        if args.figures.len() > 1 {
            complain("bench: a soak runs alone");
            return ExitCode::from(2);
        }
        let soaked = match figure {
            Figure::SoakBfd => soak::bfd::run(&subjects.ours, args.duration()),
            Figure::SoakStarved => soak::starved::run(&subjects.ours, &subjects.control, args),
            Figure::SoakReplicas => soak::replicas::run(&subjects.ours, &subjects.control, args),
            _ => soak::run(&subjects.ours, &subjects.control, args),
        };
        return soaked.unwrap_or_else(|error| fail(&error));
    }
    let mut report = Report::begin();
    let failed = figures::measure(args, &subjects, &mut report);
    line(report.table());
    if let Err(error) = report.write(&args.json) {
        return fail(&error);
    }
    line(format_args!("raw samples: {}", args.json.display()));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn fail(error: &ferrolb_lab::Error) -> ExitCode {
    complain(format_args!("bench: {error}"));
    ExitCode::FAILURE
}
