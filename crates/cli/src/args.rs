//! The command line: upstream's flags and environment under the same names, with the same defaults.
//!
//! Upstream's programs use Go's flag syntax, so `-port 9120`, `-port=9120` and `--port=9120` mean
//! the same, and a boolean takes its value after `=` only. An unknown flag or a bad value ends the
//! program with status 2 and one line that names it.

mod controller;
mod gostyle;
mod shared;
mod speaker;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use self::controller::ControllerArgs;
pub(crate) use self::shared::{LaterFlag, SharedArgs};
pub(crate) use self::speaker::SpeakerArgs;

/// What to run.
#[derive(Debug, Parser)]
#[command(name = "ferrolb", version, about = "The load balancer for bare-metal Kubernetes")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The commands of the binary.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Give load-balancer Services their addresses (one per cluster)
    // Of a flag that is there twice the last one counts, as in Go.
    #[command(args_override_self = true)]
    Controller(Box<ControllerArgs>),
    /// Announce the addresses on the network (one per node)
    #[command(args_override_self = true)]
    Speaker(Box<SpeakerArgs>),
    /// A cluster and its network in namespaces of this machine
    #[cfg(feature = "lab")]
    Lab(Box<ferrolb_lab::Args>),
    /// Print the custom resource definitions as YAML
    Crds,
    /// Print the version
    Version,
}

/// Parses the command line; prints help or one line about what is wrong, and says how to exit.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, ExitCode> {
    let arguments = gostyle::normalise(arguments);
    let parsed = Cli::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map(|cli| cli.command).map_err(|error| explain(&error))
}

fn explain(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe is no reason to fail.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            let _ = error.print();
            ExitCode::from(2)
        }
        _ => {
            eprintln!("ferrolb: {}", first_paragraph(&error.to_string()));
            ExitCode::from(2)
        }
    }
}

/// What is wrong, on one line: the rest of the parser's text is advice.
fn first_paragraph(text: &str) -> String {
    let lines = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
    let line = lines.collect::<Vec<_>>().join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

#[cfg(test)]
mod tests;
