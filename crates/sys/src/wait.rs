//! Waiting for sockets on a thread of one's own, and being woken from such a wait.
//!
//! The threads that answer neighbours and send heartbeats do not share a runtime with the rest of the
//! process, so that nothing else can hold them up. They block here, and nowhere else.
//!
//! ```text
//!   any thread ── Waker::wake() ──┐
//!   sockets of the thread ────────┼── wait() ── Ready { woken, readable sources }
//!   timeout ──────────────────────┘
//! ```

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
    sync::Arc,
    time::Duration,
};

use crate::Error;

/// Ends a [`wait`] at once. Clones wake the same waits.
///
/// It stays raised until [`Waker::drain`]: a wake before the wait begins is not lost, and one that is
/// never drained stops every thread that waits with it, which is what a shutdown wants.
#[derive(Clone, Debug)]
pub struct Waker {
    event: Arc<File>,
}

impl Waker {
    /// A waker that is not raised.
    pub fn new() -> Result<Self, Error> {
        // SAFETY: takes no pointer; the result is checked before it is used.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(Error::new("create", "event descriptor", io::Error::last_os_error()));
        }
        // SAFETY: the descriptor was just created, is open and belongs to nobody else.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { event: Arc::new(event.into()) })
    }

    /// Raises the waker.
    pub fn wake(&self) {
        // The only possible failure is a counter at its limit, and that counter is raised already.
        let _ = (&*self.event).write(&1_u64.to_ne_bytes());
    }

    /// Lowers the waker; says whether it was raised.
    pub fn drain(&self) -> bool {
        (&*self.event).read(&mut [0; 8]).is_ok()
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// What ended a [`wait`]. Nothing woken and nothing readable: the time was up, or a signal came.
#[derive(Debug)]
pub struct Ready {
    /// The waker first, then the sources in their order.
    polled: Vec<libc::pollfd>,
}

impl Ready {
    /// Whether the waker was raised. It still is, until [`Waker::drain`].
    pub fn woken(&self) -> bool {
        self.polled[0].revents != 0
    }

    /// Whether the source at this place of the slice has something to read; an error counts, since
    /// reading is how it is learned.
    pub fn readable(&self, source: usize) -> bool {
        self.polled.get(source + 1).is_some_and(|entry| entry.revents != 0)
    }
}

/// Waits until a source is readable, the waker is raised or the timeout is over; without a timeout, for
/// ever. May return early with nothing ready.
pub fn wait(
    sources: &[BorrowedFd<'_>],
    waker: &Waker,
    timeout: Option<Duration>,
) -> Result<Ready, Error> {
    let mut polled: Vec<_> = [waker.as_fd()]
        .iter()
        .chain(sources)
        .map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    let timeout = timeout.map(|duration| libc::timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);

    // SAFETY: the pointer and length are those of `polled`, which nobody else uses meanwhile, and its
    // descriptors are borrowed for the whole call; `timeout` is null or points to a living timespec; a
    // null signal mask leaves the mask alone.
    let result = unsafe {
        libc::ppoll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout, ptr::null())
    };
    if result < 0 {
        let cause = io::Error::last_os_error();
        if cause.kind() != io::ErrorKind::Interrupted {
            return Err(Error::new("wait for", "sockets", cause));
        }
        for entry in &mut polled {
            entry.revents = 0;
        }
    }
    Ok(Ready { polled })
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixDatagram, thread};

    use super::*;

    const LONG: Option<Duration> = Some(Duration::from_mins(1));

    #[test]
    fn time_runs_out() {
        let waker = Waker::new().unwrap();
        let ready = wait(&[], &waker, Some(Duration::from_millis(1))).unwrap();
        assert!(!ready.woken());
    }

    #[test]
    fn a_wake_before_the_wait_is_kept_until_drained() {
        let waker = Waker::new().unwrap();
        waker.wake();
        waker.wake();
        assert!(wait(&[], &waker, LONG).unwrap().woken());
        assert!(wait(&[], &waker, LONG).unwrap().woken());
        assert!(waker.drain());
        assert!(!waker.drain());
        assert!(!wait(&[], &waker, Some(Duration::ZERO)).unwrap().woken());
    }

    #[test]
    fn a_blocked_thread_is_woken() {
        let waker = Waker::new().unwrap();
        let sleeper = thread::spawn({
            let waker = waker.clone();
            move || wait(&[], &waker, None).unwrap().woken()
        });
        waker.wake();
        assert!(sleeper.join().unwrap());
    }

    #[test]
    fn readable_sources_are_told_apart() {
        let waker = Waker::new().unwrap();
        let (quiet, _keep) = UnixDatagram::pair().unwrap();
        let (busy, sender) = UnixDatagram::pair().unwrap();
        sender.send(b"x").unwrap();
        let ready = wait(&[quiet.as_fd(), busy.as_fd()], &waker, LONG).unwrap();
        assert!(!ready.woken() && !ready.readable(0) && ready.readable(1));
        assert!(!ready.readable(2), "no such source");
    }
}
