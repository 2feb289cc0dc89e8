//! The TCP connection of a session: dialling, reading, writing, hanging up.

use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use ferrolb_bgp_proto::Link;
use ferrolb_sys::{LinkAddress, Scope, connect_tcp, links, route_to};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::terms::Terms;

/// Octets read at once.
const READ: usize = 16 * 1024;
/// Time for the last word, and for the peer to hang up behind it.
const FAREWELL: Duration = Duration::from_secs(1);

type Dial = Pin<Box<dyn Future<Output = Result<(TcpStream, Link), String>> + Send>>;

/// The connection, or what there is of it.
pub(super) enum Line {
    Idle,
    Dialling(Dial),
    Up(Box<Wire>),
}

/// A connection that stands.
pub(super) struct Wire {
    stream: TcpStream,
    /// What is being written, and how much of it is.
    out: Vec<u8>,
    written: usize,
    read: Box<[u8]>,
}

/// What came of waiting.
#[derive(Debug)]
pub(super) enum Progress {
    Connected(TcpStream, Link),
    Refused(String),
    /// So many octets are in [`Line::received`].
    Received(usize),
    /// All of it is written.
    Written,
    /// Closed by the peer, or broken.
    Closed,
}

impl Line {
    pub(super) fn dial(terms: &Terms) -> Self {
        Self::Dialling(Box::pin(dial(terms.clone())))
    }

    pub(super) fn up(stream: TcpStream) -> Self {
        let read = vec![0; READ].into_boxed_slice();
        Self::Up(Box::new(Wire { stream, out: Vec::new(), written: 0, read }))
    }

    /// Waits for something to happen; for ever if nothing can. Cancel safe.
    pub(super) async fn next(&mut self) -> Progress {
        match self {
            Self::Idle => pending().await,
            Self::Dialling(dial) => match dial.await {
                Ok((stream, link)) => Progress::Connected(stream, link),
                Err(why) => Progress::Refused(why),
            },
            Self::Up(wire) => wire.next().await,
        }
    }

    /// The last `count` octets that came.
    pub(super) fn received(&self, count: usize) -> &[u8] {
        match self {
            Self::Up(wire) => wire.read.get(..count).unwrap_or_default(),
            Self::Idle | Self::Dialling(_) => &[],
        }
    }

    /// The place for what is to be written next, if nothing is being written.
    pub(super) fn vacant(&mut self) -> Option<&mut Vec<u8>> {
        match self {
            Self::Up(wire) if wire.out.is_empty() => Some(&mut wire.out),
            _ => None,
        }
    }

    /// What is being written.
    pub(super) fn unwritten(&self) -> &[u8] {
        match self {
            Self::Up(wire) => wire.out.get(wire.written..).unwrap_or_default(),
            Self::Idle | Self::Dialling(_) => &[],
        }
    }

    /// Gives the connection up. What is being written and `last` are still written, within a second
    /// and by whoever awaits the answer.
    pub(super) fn hang_up(&mut self, last: Vec<u8>) -> Option<impl Future<Output = ()> + use<>> {
        let Self::Up(wire) = std::mem::replace(self, Self::Idle) else { return None };
        Some(async move {
            // A peer that does not take it in time does not get it.
            let _ = timeout(FAREWELL, wire.farewell(last)).await;
        })
    }
}

impl Wire {
    async fn next(&mut self) -> Progress {
        loop {
            let writing = !self.out.is_empty();
            tokio::select! {
                ready = self.stream.readable() => {
                    let read = ready.and_then(|()| self.stream.try_read(&mut self.read));
                    match read {
                        Ok(0) => return Progress::Closed,
                        Ok(count) => return Progress::Received(count),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) => return Progress::Closed,
                    }
                }
                ready = self.stream.writable(), if writing => {
                    let rest = self.out.get(self.written..).unwrap_or_default();
                    match ready.and_then(|()| self.stream.try_write(rest)) {
                        Ok(count) => self.written += count,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) => return Progress::Closed,
                    }
                    if self.written == self.out.len() {
                        self.out.clear();
                        self.written = 0;
                        return Progress::Written;
                    }
                }
            }
        }
    }

    /// Writes what is left and waits until the peer hangs up, so that the kernel does not take the
    /// last word back by a reset.
    async fn farewell(mut self, last: Vec<u8>) -> io::Result<()> {
        let rest = self.out.get(self.written..).unwrap_or_default();
        self.stream.write_all(rest).await?;
        self.stream.write_all(&last).await?;
        self.stream.shutdown().await?;
        while self.stream.read(&mut self.read).await? > 0 {}
        Ok(())
    }
}

async fn dial(terms: Terms) -> Result<(TcpStream, Link), String> {
    let target = terms.target();
    let hint = |error: &dyn std::fmt::Display| {
        let far = terms.is_on_link_only().then(|| distance(target.ip()));
        format!("{error}{}", far.unwrap_or_default())
    };
    let stream = connect_tcp(target, &terms.tcp()).await.map_err(|error| hint(&error))?;
    let local = stream.local_addr().map_err(|error| hint(&error))?;
    Ok((stream, link_of(local.ip().to_canonical())))
}

/// What to say about a router that is too far away to be reached within one hop.
pub(super) fn distance(router: IpAddr) -> String {
    let gateway = route_to(router, None).ok().flatten().and_then(|route| route.gateway);
    gateway.map_or_else(String::new, |gateway| {
        format!("; it is behind router {gateway}, and without ebgpMultiHop it must be on the link")
    })
}

/// The addresses of the interface that owns `local`: next hops of the other family.
fn link_of(local: IpAddr) -> Link {
    let mut link = Link::new(local);
    let Ok(links) = links() else { return link };
    let owns = |address: &LinkAddress| address.ip == local;
    let Some(own) = links.iter().find(|link| link.addresses.iter().any(owns)) else { return link };
    let global = |address: &&LinkAddress| {
        address.scope == Scope::Global && !address.tentative && !address.ip.is_loopback()
    };
    for address in own.addresses.iter().filter(global) {
        match address.ip {
            IpAddr::V4(ip) => link.ipv4 = link.ipv4.or(Some(ip)),
            IpAddr::V6(ip) => link.ipv6 = link.ipv6.or(Some(ip)),
        }
    }
    link
}
