//! Chores of the repository: `cargo xtask <chore>`.

mod chart;
mod crds;
mod manifests;
mod rfc;
mod rows;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What to do.
#[derive(Parser)]
#[command(name = "xtask", about = "Chores of the repository")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Render the chart and check names, values and likeness to the plain manifests
    Chart(chart::Args),
    /// Write the custom resource definitions into deploy/crds
    Crds(crds::Args),
    /// Write what in deploy and docs follows from the code: RBAC, definitions, all-in-one manifest
    Manifests(manifests::Args),
    /// Write docs/rfc.md: which section of which standard is obeyed where
    Rfc(rfc::Args),
    /// List acceptance rows: which test pins which
    Rows(rows::Args),
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let done = match Cli::parse().chore {
        Chore::Chart(args) => chart::run(&args, &root),
        Chore::Crds(args) => crds::run(&args, &root),
        Chore::Manifests(args) => manifests::run(&args, &root),
        Chore::Rfc(args) => rfc::run(&args, &root),
        Chore::Rows(args) => rows::run(&args, &root),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
