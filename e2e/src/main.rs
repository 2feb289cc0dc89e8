//! The end-to-end suite: FerroLB as shipped, in a lab of network namespaces, seen from a client.
//!
//! ```text
//!  main ── enters the lab's sandbox, once
//!    suite ── for each shape (clusters of one, three nodes, two LANs, …) whose cases are wanted:
//!      stage ── a lab of that shape, with backends; tidied up after each case
//!        cases ── apply what a user applies, then ask the wire and the API server
//! ```
//!
//! It is its own test harness: labs are dear, so the cases of a shape share one.

mod cases;
mod manifest;
mod shape;
mod stage;
mod suite;
mod walkthrough;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ferrolb_lab::sandbox::{self, Side};

use self::suite::{Suite, Wanted};

/// Run the end-to-end suite.
#[derive(Clone, Debug, Parser)]
#[command(name = "e2e")]
struct Args {
    /// The program that is tried
    #[arg(long)]
    ferrolb: PathBuf,
    /// List the cases and what they pin instead of running them
    #[arg(long)]
    list: bool,
    /// Go on after a failure
    #[arg(long)]
    keep_going: bool,
    /// Run only cases whose `shape::name` contains one of these
    filter: Vec<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let suite = Suite::new(&Wanted(args.filter));
    if args.list {
        suite.list();
        return ExitCode::SUCCESS;
    }
    match sandbox::enter("e2e") {
        Ok(Side::Inside) => {}
        Ok(Side::Ended(code)) => return code,
        Err(error) => {
            eprintln!("e2e: {error}");
            return ExitCode::FAILURE;
        }
    }
    if suite.run(&args.ferrolb, args.keep_going).is_green() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
