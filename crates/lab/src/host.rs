//! A host of the lab: a network namespace with its interfaces and addresses.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use ferrolb_addr::{Family, Mac};

use crate::command::{Output, Run};
use crate::error::{Error, Result};
use crate::netns::Netns;
use crate::plan::{Lan, Role};

/// A host.
#[derive(Clone, Debug)]
pub struct Host {
    /// What it is.
    pub role: Role,
    /// Its network namespace; the host has the same name.
    pub netns: Netns,
    /// The LANs it is on.
    pub lans: Vec<Lan>,
}

impl Host {
    pub(crate) fn new(role: Role, lans: &[Lan]) -> Self {
        let name = match role {
            Role::Control => "ctl".to_owned(),
            Role::Node(index) => format!("node{index}"),
            Role::Client(1) => "client".to_owned(),
            Role::Client(index) => format!("client{index}"),
            Role::Guest(index) => format!("guest{index}"),
            Role::Pod(index) => format!("pod{index}"),
            Role::Router(index) => format!("router{index}"),
            Role::Far(index) => format!("far{index}"),
        };
        Self { role, netns: Netns::new(name), lans: lans.to_vec() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.netns.name()
    }

    /// Its address on a LAN.
    pub fn address(&self, lan: Lan, family: Family) -> IpAddr {
        let number = self.role.host_number();
        match family {
            Family::V4 => lan.v4(number).into(),
            Family::V6 => lan.v6(number).into(),
        }
    }

    /// Its hardware address on a LAN.
    pub fn mac(&self, lan: Lan) -> Mac {
        lan.mac(self.role.host_number())
    }

    /// Runs a program on the host; any exit status is an answer.
    pub fn output<S: AsRef<str>>(&self, argv: impl IntoIterator<Item = S>) -> Result<Output> {
        self.netns.output(&Run::new(argv))
    }

    /// Runs a program on the host and wants status 0.
    pub fn success<S: AsRef<str>>(&self, argv: impl IntoIterator<Item = S>) -> Result<String> {
        self.netns.success(&Run::new(argv))
    }

    /// Runs lines of `ip` (or of `bridge`, `nft -f`) on the host in one go.
    pub(crate) fn batch(&self, lines: &str) -> Result<()> {
        self.netns.success(&Run::new(["ip", "-batch", "-"]).input(lines)).map(drop)
    }

    /// Asks an HTTP server from this host; returns status and body. Every call is a new connection.
    pub fn http(&self, server: SocketAddr, path: &str, limit: Duration) -> Result<(u16, String)> {
        self.netns.inside(|| http(server, path, limit))?
    }
}

/// One request of HTTP/1.0, so that the end of the answer is the end of the connection.
pub(crate) fn http(server: SocketAddr, path: &str, limit: Duration) -> Result<(u16, String)> {
    let context = || Error::io(format!("http://{server}{path}"));
    let mut stream = TcpStream::connect_timeout(&server, limit).map_err(context())?;
    stream.set_read_timeout(Some(limit)).map_err(context())?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n").map_err(context())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(context())?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Ok((status, body.to_owned()))
}
