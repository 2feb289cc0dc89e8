//! Whether the paths to routers carry packets: joins `bfd-proto` with the sockets of `sys`, on a thread of
//! its own.
//!
//! ```text
//!  BGP peer ── add ──► Session ── update, drop ──► orders ──┐
//!     ▲                   │ changed()                       ▼
//!     └───────────────────┴─────── health (watch) ◄── thread: Sessions ⇄ UDP 3784, 4784
//!                                                        │
//!  metrics, status ◄──────────── snapshot ◄──────────────┘ at each change and once a second
//! ```
//!
//! No lock, no API call and no tokio in the thread's loop; it runs with real-time priority where that is granted.
//! Ports are taken when the first session needs them, so that a BFD daemon may run beside a speaker that uses no
//! BFD. What cannot be opened (a port in use, an address that is not there yet) is tried again each second and
//! told in the snapshot meanwhile.

mod health;
mod worker;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use ferrolb_bfd_proto::{Change, Config, Path, View};
use ferrolb_sys::Waker;
use tokio::sync::watch;

pub(crate) use self::health::Health;
use self::health::Seen;
use self::worker::{Order, Worker};

/// The running BFD engine. The thread ends with it, after it has told every peer that this is no failure.
pub(crate) struct Bfd {
    orders: Orders,
    next: AtomicU64,
    snapshot: Arc<ArcSwap<Snapshot>>,
    thread: Option<JoinHandle<()>>,
}

/// A session with a peer, for as long as this lives. Dropping it tells the peer that BFD was switched off, which
/// leaves the peer's routes alone.
pub(crate) struct Session {
    id: u64,
    orders: Orders,
    health: watch::Receiver<Health>,
    seen: Seen,
}

/// All sessions at one moment, about a second old at most.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// In the order in which they were added.
    pub(crate) sessions: Vec<SessionView>,
    /// Datagrams that no session accepted.
    pub(crate) discarded: u64,
}

/// One session as metrics and status show it.
#[derive(Clone, Debug)]
pub(crate) struct SessionView {
    /// Between which addresses.
    pub(crate) path: Path,
    /// State, timers and counters; none while the session cannot begin.
    pub(crate) view: Option<View>,
    /// Why it cannot begin.
    pub(crate) problem: Option<String>,
}

/// Why BFD cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BfdError {
    /// The kernel refuses something every host has.
    #[error("BFD: {0}")]
    Sys(#[from] ferrolb_sys::Error),
    /// The thread could not be started.
    #[error("BFD: cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// A way to the thread.
#[derive(Clone)]
struct Orders {
    sender: mpsc::Sender<Order>,
    waker: Waker,
}

impl Bfd {
    /// Starts the thread; no port is taken yet. The seed gives discriminators, source ports and jitter.
    pub(crate) fn start(seed: u64) -> Result<Self, BfdError> {
        Self::start_on(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED, seed)
    }

    /// Like [`Bfd::start`], and receives on these addresses only.
    fn start_on(v4: Ipv4Addr, v6: Ipv6Addr, seed: u64) -> Result<Self, BfdError> {
        let waker = Waker::new()?;
        // Not bounded: there are a few orders in the life of a peer, and all that wait are taken at once.
        let (sender, receiver) = mpsc::channel();
        let snapshot = Arc::<ArcSwap<Snapshot>>::default();
        let worker = Worker::new(
            [IpAddr::V4(v4), IpAddr::V6(v6)],
            seed,
            receiver,
            waker.clone(),
            Arc::clone(&snapshot),
        );
        let thread = std::thread::Builder::new()
            .name("bfd".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || worker.run())
            .map_err(BfdError::Thread)?;
        let orders = Orders { sender, waker };
        Ok(Self { orders, next: AtomicU64::new(0), snapshot, thread: Some(thread) })
    }

    /// Begins a session. Two sessions of one path cannot be: the later one waits for the end of the earlier one.
    pub(crate) fn add(&self, path: Path, config: Config) -> Session {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (publish, health) = watch::channel(Health::default());
        self.orders.give(Order::Add { id, path, config, publish });
        Session { id, orders: self.orders.clone(), health, seen: Seen::default() }
    }

    /// What metrics and status show.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }
}

impl Drop for Bfd {
    fn drop(&mut self) {
        self.orders.give(Order::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported already.
            let _ = thread.join();
        }
    }
}

impl Session {
    /// Changes intervals, multiplier, role or least TTL; the session stays up.
    pub(crate) fn update(&self, config: Config) {
        self.orders.give(Order::Update { id: self.id, config });
    }

    /// The next change: [`Change::Up`], [`Change::Down`] or [`Change::AdminDown`]. A failure is never skipped, even
    /// if the session is up again when this is asked; several since the last call are told as one. Nothing is lost
    /// when the future is dropped.
    pub(crate) async fn changed(&mut self) -> Change {
        loop {
            if let Some(change) = self.seen.next(&self.health.borrow_and_update()) {
                return change;
            }
            if self.health.changed().await.is_err() {
                // The engine has ended; nothing will change any more.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The state of this moment.
    pub(crate) fn health(&self) -> Health {
        *self.health.borrow()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.orders.give(Order::Remove { id: self.id });
    }
}

impl Orders {
    fn give(&self, order: Order) {
        // An engine that has ended takes no orders and needs none.
        if self.sender.send(order).is_ok() {
            self.waker.wake();
        }
    }
}
