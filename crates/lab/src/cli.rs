//! `ferrolb lab …`: the command line of the lab.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use ferrolb_addr::Family;
use tokio::signal::unix::{SignalKind, signal};

use crate::backend::{self, BackendArgs};
use crate::control::{self, Control};
use crate::error::{Error, Result};
use crate::lab::{Lab, Options};
use crate::manifests::Manifests;
use crate::plan::{Lan, MAX_NODES};
use crate::report;
use crate::running::Running;
use crate::sandbox::{self, Side};
use crate::scenario::{Story, demo};

/// The command line of the lab.
#[derive(Clone, Debug, Parser)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Build a cluster and hold it open until Ctrl-C
    Up {
        /// Install nothing: a cluster to install into
        #[arg(long)]
        bare: bool,
        #[command(flatten)]
        shape: ShapeArgs,
    },
    /// Tell the whole story: allocation, announcement, traffic, fail-over, an exhausted pool, IPv6
    Demo {
        /// Print JSON at the end instead of lines on the way
        #[arg(long)]
        json: bool,
        /// Leave the lab open when the story is told
        #[arg(long)]
        keep: bool,
        #[command(flatten)]
        shape: ShapeArgs,
    },
    /// Run a program on a host of a running lab
    Exec {
        /// The lab
        #[arg(long, default_value = DEFAULT_NAME)]
        name: String,
        /// The host (`ferrolb lab hosts` lists them)
        host: String,
        /// Program and arguments
        #[arg(last = true, required = true)]
        argv: Vec<String>,
    },
    /// List the hosts of a running lab, or the running labs
    Hosts {
        /// The lab
        #[arg(long, default_value = DEFAULT_NAME)]
        name: String,
    },
    /// Print what a process of a running lab has written; without a name, list the processes
    Logs {
        /// The lab
        #[arg(long, default_value = DEFAULT_NAME)]
        name: String,
        /// The process
        process: Option<String>,
    },
    /// End a running lab
    Down {
        /// The lab
        #[arg(long, default_value = DEFAULT_NAME)]
        name: String,
    },
    /// Serve the embedded API
    #[command(hide = true)]
    ServeApi {
        /// Where to listen
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Serve as a backend
    #[command(hide = true)]
    Backend(BackendArgs),
}

const DEFAULT_NAME: &str = "lab";

/// Size and kind of a lab.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ShapeArgs {
    /// Name of the lab, if there are several
    #[arg(long, default_value = DEFAULT_NAME)]
    name: String,
    /// Number of nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_NODES)))]
    nodes: u8,
    /// Number of LANs; with two, nodes have an eth1 and a second client is there
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    lans: u8,
    /// kube-apiserver, etcd, kube-controller-manager and kube-proxy from `FERROLB_KUBERNETES`
    #[arg(long)]
    real_kubernetes: bool,
    /// Let the switches snoop on MLD
    #[arg(long)]
    snooping: bool,
    /// File or folder of what is installed in place of the manifests this program was built with
    #[arg(long, value_name = "PATH")]
    manifests: Option<PathBuf>,
}

impl ShapeArgs {
    pub(crate) fn options(&self) -> Result<Options> {
        let control = if self.real_kubernetes { Control::real()? } else { Control::Embedded };
        let manifests =
            self.manifests.as_deref().map_or_else(Manifests::shipped, Manifests::read)?;
        Ok(Options {
            nodes: self.nodes,
            second_lan: self.lans == 2,
            snooping: self.snooping,
            control,
            manifests,
            ..Options::new()?
        })
    }
}

/// Does what the command line says.
pub fn run(args: Args) -> ExitCode {
    let result = match args.command {
        Command::Up { bare, shape } => up(bare, &shape),
        Command::Demo { json, keep, shape } => demo(json, keep, &shape),
        Command::Exec { name, host, argv } => exec(&name, &host, &argv),
        Command::Hosts { name } => hosts(&name).map(|()| ExitCode::SUCCESS),
        Command::Logs { name, process } => logs(&name, process.as_deref()),
        Command::Down { name } => {
            Running::find(&name).and_then(|lab| lab.end()).map(|()| ExitCode::SUCCESS)
        }
        Command::ServeApi { listen } => control::serve(listen).map(|()| ExitCode::SUCCESS),
        Command::Backend(args) => backend::run(&args).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        report::complain(format_args!("ferrolb lab: {error}"));
        ExitCode::FAILURE
    })
}

fn up(bare: bool, shape: &ShapeArgs) -> Result<ExitCode> {
    let options = shape.options()?;
    if let Side::Ended(code) = enter(&shape.name)? {
        return Ok(code);
    }
    let start = Instant::now();
    let lab = Lab::up(options)?;
    if !bare {
        start_own(&lab)?;
    }
    for row in table(&lab) {
        report::line(row);
    }
    report::line(format_args!("up in {:.1} s; {HINT}", start.elapsed().as_secs_f32()));
    hold(&lab)
}

/// Enters a sandbox of that name, unless there is one.
fn enter(name: &str) -> Result<Side> {
    if !sandbox::is_inside() && Running::all()?.iter().any(|lab| lab.name == name) {
        return Err(Error::NameTaken(name.to_owned()));
    }
    sandbox::enter(name)
}

const HINT: &str = "`ferrolb lab exec client -- …` runs a program in it, Ctrl-C ends it";

fn demo(json: bool, keep: bool, shape: &ShapeArgs) -> Result<ExitCode> {
    let options = shape.options()?;
    if let Side::Ended(code) = enter(&shape.name)? {
        return Ok(code);
    }
    let mut story = Story::begin(json);
    let mut lab = Lab::up(options)?;
    story.say(format_args!(
        "nodes: {}, LANs: {}, API server: {}",
        shape.nodes,
        shape.lans,
        if shape.real_kubernetes { "kube-apiserver, with kube-proxy" } else { "embedded" }
    ));
    let told = start_own(&lab).and_then(|()| {
        story.say("controller and speakers are ready");
        demo::tell(&mut lab, &mut story)
    });
    if let Err(error) = told {
        lab.tails(8).iter().for_each(report::complain);
        return Err(error);
    }
    story.end();
    if keep {
        report::complain(format_args!("the lab stays open; {HINT}"));
        return hold(&lab);
    }
    Ok(ExitCode::SUCCESS)
}

fn start_own(lab: &Lab) -> Result<()> {
    lab.install()?;
    lab.wait_ready(Duration::from_secs(30))
}

/// Holds the lab open until it is told to end, for as long as everything in it runs.
pub(crate) fn hold(lab: &Lab) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("runtime"))?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::io("SIGTERM"))?;
        let mut period = tokio::time::interval(Duration::from_millis(500));
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
                _ = period.tick() => {}
            }
            lab.processes().iter().try_for_each(|process| process.expect_running())?;
        }
    })
}

fn table(lab: &Lab) -> Vec<String> {
    let rows = lab.network().hosts().map(|host| {
        let addresses: Vec<_> = host
            .lans
            .iter()
            .map(|lan: &Lan| {
                format!(
                    "{} {} {} {}",
                    lan.interface(),
                    host.address(*lan, Family::V4),
                    host.address(*lan, Family::V6),
                    host.mac(*lan)
                )
            })
            .collect();
        format!("{:<8} {}", host.name(), addresses.join("  "))
    });
    rows.collect()
}

fn exec(name: &str, host: &str, argv: &[String]) -> Result<ExitCode> {
    Err(Running::find(name)?.exec(host, argv))
}

fn hosts(name: &str) -> Result<()> {
    for host in Running::find(name)?.hosts()? {
        report::line(host);
    }
    Ok(())
}

fn logs(name: &str, process: Option<&str>) -> Result<ExitCode> {
    let lab = Running::find(name)?;
    match process {
        Some(process) => report::line(lab.log(process)?.trim_end()),
        None => lab.logs()?.iter().for_each(report::line),
    }
    Ok(ExitCode::SUCCESS)
}
