//! The end-to-end suite: FerroLB as shipped, in a lab of network namespaces, seen from a client.
//!
//! ```text
//!  main ── enters the lab's sandbox, once
//!    suite ── for each shape (clusters of one, three nodes, two LANs, …) whose cases are wanted:
//!      stage ── a lab of that shape, with backends; tidied up after each case
//!        cases ── apply what a user applies, then ask the wire and the API server
//!        audit ── what our accounts asked the API server for, against what they are granted
//! ```
//!
//! It is its own test harness: labs are dear, so the cases of a shape share one.

mod audit;
mod cases;
mod interop;
mod manifest;
mod shape;
mod stage;
mod suite;
mod walkthrough;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ferrolb_lab::manifests::Manifests;
use ferrolb_lab::sandbox::{self, Side};

use self::suite::{Suite, Wanted};

/// Run the end-to-end suite.
#[derive(Clone, Debug, Parser)]
#[command(name = "e2e")]
struct Args {
    /// The program that is tried
    #[arg(long)]
    ferrolb: PathBuf,
    /// File or folder of what is installed, in place of the manifests that are shipped
    #[arg(long, value_name = "PATH")]
    manifests: Option<PathBuf>,
    /// List the cases and what they pin instead of running them
    #[arg(long)]
    list: bool,
    /// Fail if a permission was not used by any case
    #[arg(long)]
    strict: bool,
    /// Write here what works with which router, if the cases about routers run
    #[arg(long, value_name = "FILE")]
    interop: Option<PathBuf>,
    /// Go on after a failure
    #[arg(long)]
    keep_going: bool,
    /// Run only cases whose `shape::name` contains one of these
    filter: Vec<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let suite = Suite::new(&Wanted(args.filter), args.interop);
    if args.list {
        suite.list();
        return ExitCode::SUCCESS;
    }
    let manifests = args.manifests.as_deref().map_or_else(Manifests::shipped, Manifests::read);
    let manifests = match manifests {
        Ok(manifests) => manifests,
        Err(error) => {
            eprintln!("e2e: {error}");
            return ExitCode::FAILURE;
        }
    };
    match sandbox::enter("e2e") {
        Ok(Side::Inside) => {}
        Ok(Side::Ended(code)) => return code,
        Err(error) => {
            eprintln!("e2e: {error}");
            return ExitCode::FAILURE;
        }
    }
    if suite.run(&args.ferrolb, &manifests, args.keep_going, args.strict).is_green() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
