//! Changes of interfaces and addresses, as a stream of snapshots.
//!
//! A notice of the kernel is taken only as a sign that something changed; what the interfaces look like
//! now is then asked for. So there is one parser and one truth, a notice the kernel had to drop is as good
//! as one that arrived, and nothing has to be resynchronised.
//!
//! ```text
//!            notice                    list read, differs
//!  quiet ───────────────▶ pending ───────────────────────▶ returned by next(), quiet
//!    ▲                       │ list read, same
//!    └───────────────────────┘
//! ```

use std::{io, time::Duration};

use socket2::Socket;
use tokio::{
    io::unix::AsyncFd,
    time::{Instant, sleep_until},
};

use crate::{Error, Link, links, netlink};

/// The rest between two readings of the list, so that a burst of notices becomes few of them. A lone
/// change is read at once.
const REST: Duration = Duration::from_millis(20);

/// The rest is at least this many times what the last reading took: on a host with thousands of
/// interfaces that come and go, a tenth of the time at most goes into reading.
const REST_FACTOR: u32 = 9;

/// Tells of every change to interfaces and their addresses.
#[derive(Debug)]
pub struct LinkWatch {
    notices: AsyncFd<Socket>,
    /// Something may have changed since `last` was read.
    pending: bool,
    rest_until: Instant,
    last: Option<Vec<Link>>,
}

impl LinkWatch {
    /// Starts listening. Must be called inside a tokio runtime.
    pub fn new() -> Result<Self, Error> {
        let groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
        let notices =
            listen(groups.cast_unsigned()).map_err(Error::of("listen to", "interface changes"))?;
        Ok(Self { notices, pending: true, rest_until: Instant::now(), last: None })
    }

    /// All interfaces: at the first call at once, at each later call as soon as they differ from what the
    /// call before returned. Nothing is lost when the future is dropped before it is ready, nor by an error.
    pub async fn next(&mut self) -> Result<Vec<Link>, Error> {
        loop {
            while !self.pending {
                self.await_notice().await?;
            }
            sleep_until(self.rest_until).await;

            // Drained before the list is read: a later notice is about something the list may lack.
            netlink::drain(self.notices.get_ref())
                .map_err(Error::of("listen to", "interface changes"))?;
            let started = Instant::now();
            let read = links();
            self.rest_until = Instant::now() + REST.max(started.elapsed() * REST_FACTOR);
            let links = read?;

            self.pending = false;
            if self.last.as_ref() != Some(&links) {
                self.last = Some(links.clone());
                return Ok(links);
            }
        }
    }

    async fn await_notice(&mut self) -> Result<(), Error> {
        let outcome = match self.notices.readable().await {
            Ok(mut guard) => {
                let drained = netlink::drain(guard.get_inner());
                guard.clear_ready();
                drained
            }
            Err(error) => Err(error),
        };
        self.pending |= outcome.map_err(Error::of("listen to", "interface changes"))?;
        Ok(())
    }
}

fn listen(groups: u32) -> io::Result<AsyncFd<Socket>> {
    let socket = netlink::open(groups)?;
    socket.set_nonblocking(true)?;
    // SAFETY: a Socket owns its descriptor: the same one, and open, for as long as it lives.
    Ok(unsafe { AsyncFd::register(socket) }?)
}
