//! The binary `ferrolb`: one file that is controller, speaker, lab and chores.

mod args;
mod command;

use std::process::ExitCode;

fn main() -> ExitCode {
    match args::parse(std::env::args_os()) {
        Ok(command) => command::run(command),
        Err(exit) => exit,
    }
}
