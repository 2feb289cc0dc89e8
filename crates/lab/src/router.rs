//! Routers beside the nodes: real BGP software in a namespace of its own, and a client behind it.
//!
//! ```text
//!              lan1                              172.31.i.0/24, fd00:172:31:i::/64
//!  node1 … nodeN ──┴── eth0 [router i] far ──────────── eth0 [far i]
//!                     FRR, BIRD or GoBGP                 a client; or a router two hops away
//! ```
//!
//! A [`Config`] says what a router is to do in words that all of them share; [`frr`], [`bird`] and
//! [`gobgp`] turn it into files and command lines, and what those programs print into [`Session`],
//! [`Path`] and [`BfdSession`]. `GoBGP` has no data plane here: it learns routes and installs none.
//!
//! Every file and socket is in a folder of the lab; nothing is a service of the machine.

mod bird;
mod config;
mod frr;
mod gobgp;
mod view;

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::fs;
use std::net::IpAddr;
use std::path::{Path as File, PathBuf};
use std::time::Duration;

use ferrolb_addr::Family;
use ipnet::IpNet;
use parking_lot::Mutex;
use serde_json::Value;

use crate::api::wait_until;
use crate::command::Run;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::lab::{FOLDER, Lab, log};
use crate::plan::{self, Lan, Role};
use crate::process::{Process, Signal, Spec};
use crate::tools;

pub use self::config::{Bfd, Config, Neighbour, Remote};
pub use self::view::{BfdSession, Path, Session};

/// How long a router may take from its start to its first answer.
const START_LIMIT: Duration = Duration::from_secs(10);

/// The program a router runs.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Software {
    /// Zebra, bgpd and bfdd.
    Frr,
    /// BIRD 2.
    Bird,
    /// gobgpd.
    GoBgp,
}

impl Software {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Frr, Self::Bird, Self::GoBgp];

    /// Those that install routes in the kernel and speak BFD.
    pub const FORWARDING: [Self; 2] = [Self::Frr, Self::Bird];

    /// Its name as its makers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frr => "FRR",
            Self::Bird => "BIRD",
            Self::GoBgp => "GoBGP",
        }
    }

    /// Whether it installs routes in the kernel and speaks BFD.
    pub fn forwards(self) -> bool {
        Self::FORWARDING.contains(&self)
    }

    /// A program of it that this machine lacks.
    pub fn missing(self) -> Option<&'static str> {
        let programs: &[_] = match self {
            Self::Frr => &[frr::BGPD, "vtysh"],
            Self::Bird => &["bird", "birdc"],
            Self::GoBgp => &["gobgpd", "gobgp"],
        };
        programs.iter().copied().find(|program| !is_there(program))
    }

    /// Its version, in its own words.
    pub fn version(self) -> Result<String> {
        let argv: &[_] = match self {
            Self::Frr => &[frr::BGPD, "--version"],
            Self::Bird => &["bird", "--version"],
            Self::GoBgp => &["gobgpd", "--version"],
        };
        let output = Run::new(argv).output()?;
        let words = output.stdout + &output.stderr;
        let mut words = words.split_whitespace();
        let version = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
        Ok(version.unwrap_or("unknown").to_owned())
    }
}

impl fmt::Display for Software {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn is_there(program: &str) -> bool {
    if program.starts_with('/') {
        File::new(program).exists()
    } else {
        tools::find(program).is_some()
    }
}

/// Where a router's files are, and the host it runs on.
#[derive(Clone, Debug)]
struct Site {
    folder: PathBuf,
    host: Host,
}

impl Site {
    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn ask<S: AsRef<str>>(&self, argv: impl IntoIterator<Item = S>) -> Result<String> {
        self.host.success(argv)
    }
}

/// A program of a router.
#[derive(Clone, Debug)]
struct Daemon {
    name: &'static str,
    argv: Vec<String>,
    /// A socket it makes, which the next one wants to find.
    makes: Option<&'static str>,
}

/// A router. Dropping it ends its programs; its host stays.
#[derive(Debug)]
pub struct Router {
    software: Software,
    site: Site,
    far: Option<Host>,
    daemons: Mutex<Vec<Daemon>>,
    processes: Mutex<Vec<Process>>,
}

impl Lab {
    /// Makes the host of a router and, behind it, that of a client. It does nothing yet:
    /// [`Router::configure`] starts its programs.
    pub fn add_router(&mut self, software: Software) -> Result<Router> {
        let routers =
            self.network().hosts().filter(|host| matches!(host.role, Role::Router(_))).count();
        let number = u8::try_from(routers + 1).unwrap_or(u8::MAX);
        let host = self.add_host(Role::Router(number), &[Lan::One])?;
        let far = self.add_host(Role::Far(number), &[])?;
        let [[near_v4, far_v4], [near_v6, far_v6]] = plan::far_addresses(number);
        host.batch(&format!(
            "link add far type veth peer name eth0 netns {}\n\
             link set far up\n\
             address add {near_v4}/24 brd + dev far\n\
             address add {near_v6}/64 dev far nodad\n",
            far.name()
        ))?;
        far.batch(&format!(
            "link set eth0 up\n\
             address add {far_v4}/24 brd + dev eth0\n\
             address add {far_v6}/64 dev eth0 nodad\n\
             route add default via {near_v4}\n\
             route add default via {near_v6}\n"
        ))?;
        for node in self.network().nodes() {
            let mut lines = String::new();
            for (range, family) in plan::far_ranges(number).iter().zip([Family::V4, Family::V6]) {
                let _ = writeln!(lines, "route add {range} via {}", host.address(Lan::One, family));
            }
            node.batch(&lines)?;
        }
        Router::on(software, host, Some(far))
    }

    /// Makes the host behind a router a router as well: two hops away from the nodes, and in place of
    /// the client.
    pub fn add_far_router(&self, software: Software, near: &Router) -> Result<Router> {
        let Some(far) = &near.far else {
            return Err(Error::Story(format!("nothing is behind {}", near.name())));
        };
        Router::on(software, far.clone(), None)
    }
}

impl Router {
    fn on(software: Software, host: Host, far: Option<Host>) -> Result<Self> {
        let folder = File::new(FOLDER).join("routers").join(host.name());
        fs::create_dir_all(&folder).map_err(Error::io(folder.display().to_string()))?;
        let site = Site { folder, host };
        Ok(Self { software, site, far, daemons: Mutex::default(), processes: Mutex::default() })
    }

    /// What it runs.
    pub fn software(&self) -> Software {
        self.software
    }

    /// The name of its host.
    pub fn name(&self) -> &str {
        self.site.host.name()
    }

    /// Its host.
    pub fn host(&self) -> &Host {
        &self.site.host
    }

    /// The client behind it.
    pub fn far(&self) -> Result<&Host> {
        self.far.as_ref().ok_or_else(|| Error::Story(format!("nothing is behind {}", self.name())))
    }

    /// The address under which nodes know it.
    pub fn address(&self, family: Family) -> IpAddr {
        match self.site.host.role {
            Role::Far(number) => plan::far_addresses(number)[usize::from(family == Family::V6)][1],
            _ => self.site.host.address(Lan::One, family),
        }
    }

    /// Starts it with that configuration, in place of what it did before, and waits until it answers.
    pub fn configure(&self, config: &Config) -> Result<()> {
        self.kill();
        let id = self.address(Family::V4);
        let (files, daemons) = match self.software {
            Software::Frr => frr::program(&self.site, config, id),
            Software::Bird => bird::program(&self.site, config, id),
            Software::GoBgp => gobgp::program(&self.site, config, id),
        };
        for (name, text) in files {
            let path = self.site.path(name);
            fs::write(&path, text).map_err(Error::io(&path))?;
        }
        *self.daemons.lock() = daemons;
        self.start()
    }

    /// Kills its programs; what they told the kernel stays there until they start again.
    pub fn kill(&self) {
        self.processes.lock().clear();
    }

    /// Kills its programs and starts them again with the same configuration.
    pub fn restart(&self) -> Result<()> {
        self.kill();
        self.start()
    }

    /// Ends its programs in order, so that they say goodbye.
    pub fn terminate(&self) -> Result<()> {
        let mut processes = self.processes.lock();
        for process in processes.drain(..).rev() {
            process.terminate(Duration::from_secs(5))?;
        }
        Ok(())
    }

    /// Stops its programs where they are: they hold their connections and say nothing.
    pub fn freeze(&self) -> Result<()> {
        self.processes.lock().iter().try_for_each(|process| process.signal(Signal::STOP))
    }

    /// Undoes [`Self::freeze`].
    pub fn thaw(&self) -> Result<()> {
        self.processes.lock().iter().try_for_each(|process| process.signal(Signal::CONT))
    }

    /// Its BGP sessions, the ones that are not up as well.
    pub fn sessions(&self) -> Result<Vec<Session>> {
        match self.software {
            Software::Frr => frr::sessions(&self.site),
            Software::Bird => bird::sessions(&self.site),
            Software::GoBgp => gobgp::sessions(&self.site),
        }
    }

    /// The prefixes it has learned.
    pub fn prefixes(&self, family: Family) -> Result<BTreeSet<IpNet>> {
        match self.software {
            Software::Frr => frr::prefixes(&self.site, family),
            Software::Bird => bird::prefixes(&self.site, family),
            Software::GoBgp => gobgp::prefixes(&self.site, family),
        }
    }

    /// The ways it knows to exactly that prefix.
    pub fn paths(&self, prefix: IpNet) -> Result<Vec<Path>> {
        match self.software {
            Software::Frr => frr::paths(&self.site, prefix),
            Software::Bird => bird::paths(&self.site, prefix),
            Software::GoBgp => gobgp::paths(&self.site, prefix),
        }
    }

    /// Its BFD sessions.
    pub fn bfd(&self) -> Result<Vec<BfdSession>> {
        match self.software {
            Software::Frr => frr::bfd(&self.site),
            Software::Bird => bird::bfd(&self.site),
            Software::GoBgp => Ok(Vec::new()),
        }
    }

    /// Asks every neighbour for its routes again.
    pub fn refresh(&self) -> Result<()> {
        match self.software {
            Software::Frr => frr::refresh(&self.site),
            Software::Bird => bird::refresh(&self.site),
            Software::GoBgp => gobgp::refresh(&self.site),
        }
    }

    /// The next hops its kernel sends packets for a prefix to.
    pub fn kernel_next_hops(&self, prefix: IpNet) -> Result<BTreeSet<IpAddr>> {
        let family = if prefix.addr().is_ipv4() { "-4" } else { "-6" };
        let prefix = prefix.to_string();
        let words = ["ip", "-json", family, "route", "show", "exact", &prefix];
        let routes: Value = view::json(&self.site.ask(words)?)?;
        let mut hops = BTreeSet::new();
        for route in routes.as_array().into_iter().flatten() {
            let several = route["nexthops"].as_array().into_iter().flatten();
            for hop in several.chain([route]) {
                let address = hop["gateway"].as_str().or_else(|| hop["via"]["host"].as_str());
                hops.extend(address.and_then(|address| address.parse::<IpAddr>().ok()));
            }
        }
        Ok(hops)
    }

    /// What its programs have written.
    pub fn log(&self) -> String {
        self.processes.lock().iter().map(Process::log).collect()
    }

    fn start(&self) -> Result<()> {
        for daemon in self.daemons.lock().iter() {
            let name = format!("{}-{}", self.name(), daemon.name);
            if let Some(socket) = daemon.makes {
                // What a killed one has left is no sign of life.
                let _ = fs::remove_file(self.site.path(socket));
            }
            let process = Process::start(Spec {
                log: log(&name),
                name,
                host: self.site.host.clone(),
                argv: daemon.argv.clone(),
                environment: Vec::new(),
                confinement: None,
            })?;
            if let Some(socket) = daemon.makes {
                let path = self.site.path(socket);
                wait_until(&format!("{path} is there"), START_LIMIT, || {
                    process.expect_running()?;
                    Ok(if File::new(&path).exists() { Ok(()) } else { Err("not yet") })
                })?;
            }
            self.processes.lock().push(process);
        }
        self.wait_until_it_answers()
    }

    fn wait_until_it_answers(&self) -> Result<()> {
        wait_until(&format!("{} answers", self.name()), START_LIMIT, || {
            for process in &*self.processes.lock() {
                process.expect_running()?;
            }
            let ready = match self.software {
                Software::Frr => frr::ready(&self.site),
                _ => self.sessions().map(drop),
            };
            Ok(ready.map_err(|error| error.to_string()))
        })
    }
}
