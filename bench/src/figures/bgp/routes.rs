//! The IPv4 routes of a host's kernel as they come and go, from `ip monitor`.

use std::net::IpAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_lab::process::{Process, Spec};
use ferrolb_lab::{FOLDER, Host, Result};

use crate::tail::Tail;

/// Looks at them as long as it lives.
#[derive(Debug)]
pub(crate) struct RouteWatch {
    _process: Process,
    tail: Tail,
}

impl RouteWatch {
    pub(crate) fn start(host: &Host) -> Result<Self> {
        let name = format!("routes-{}", host.name());
        let words = ["ip", "-4", "-oneline", "monitor", "route"];
        let process = Process::start(Spec {
            log: Path::new(FOLDER).join("logs").join(&name),
            name,
            host: host.clone(),
            argv: words.map(str::to_owned).into(),
            environment: Vec::new(),
            confinement: None,
        })?;
        // It says nothing when it begins to listen.
        thread::sleep(Duration::from_millis(300));
        Ok(Self { tail: Tail::of(process.name())?, _process: process })
    }

    /// The moment the kernel has a route to an address; one that changes is there anew.
    pub(crate) fn added(&mut self, to: IpAddr, limit: Duration) -> Result<Instant> {
        self.tail.wait(&[&format!("{to} via")], limit)
    }

    /// The moment it has lost it.
    pub(crate) fn deleted(&mut self, to: IpAddr, limit: Duration) -> Result<Instant> {
        // FRR puts the number of the next hop before it.
        self.tail.wait(&["Deleted", &format!("{to} ")], limit)
    }
}
