//! Which speakers live and which of them stand for election: joins `heartbeat` and `swim-proto` on
//! one port.
//!
//! ```text
//!               ┌─ thread heartbeat ───────────────────┐
//!  UDP 7946 ───►│ first byte 0xF7 ─► Detector ─────────┼─► Board ─► View (watch channel) ─► owner task
//!               │ else ─► bounded queue  ▲    AskWire ⇄ Witness (Layer 2)
//!               └───────────┬────────────┼─────────────┘     ▲
//!                           │            │ peers             │ who lives
//!               ┌─ thread membership ────┴───────────────────┴──┐
//!  TCP 7946 ───►│ streams ─► Membership ─► Roster               │◄── Pods of speakers (seeds) ── owner task
//!               └───────────────────────────────────────────────┘
//! ```
//!
//! Heartbeat owns the socket, because it needs the kernel's time of each arrival, and never waits for
//! membership: the queue between them drops what finds it full. Without a secret there are no
//! heartbeats, and membership owns the socket alone.

mod board;
mod heartbeat;
mod lost;
mod membership;
mod port;
mod roster;
mod secret;
mod streams;
#[cfg(test)]
mod tests;
mod tuning;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use ferrolb_heartbeat::Timing;
use ferrolb_ipam::NodeName;
use ferrolb_kube_rt::metrics::FailoverMetrics;
use ferrolb_model::Lack;
use ferrolb_sys::{TimestampedUdp, monotonic_now};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

pub(crate) use self::board::View;
pub(crate) use self::lost::Lost;
pub(crate) use self::secret::{Secret, load};
pub(crate) use self::tuning::Tuning;

pub use self::secret::SecretError;
pub use self::tuning::TuningError;

use self::board::Board;
use self::heartbeat::Heartbeat;
use self::membership::Joined;
use self::port::Source;
use self::roster::Kind;
use crate::l2::Witness;

/// How long the port of a speaker that takes leave is waited for, and how often it is looked at.
const LEAVE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Membership's datagrams that wait for its thread.
const QUEUE: usize = 128;

/// An address that each peer announces, for questions on the wire; kept by the owner task.
pub(crate) type Announcers = Arc<Mutex<BTreeMap<Arc<str>, IpAddr>>>;

/// When each peer that heartbeats have found dead was heard last; for what its death cost.
pub(crate) type LastSigns = Arc<Mutex<BTreeMap<Arc<str>, Duration>>>;

/// What membership shares with the rest of the process.
#[derive(Clone, Default)]
pub(crate) struct Shared {
    pub(crate) witness: Witness,
    pub(crate) announcers: Announcers,
    pub(crate) last_signs: LastSigns,
}

/// Who a speaker is among the others.
pub(crate) struct Setup {
    pub(crate) node: NodeName,
    /// Where the others reach it.
    pub(crate) address: SocketAddr,
    /// Without one, membership is in the clear and there are no heartbeats.
    pub(crate) secret: Option<Secret>,
    pub(crate) tuning: Tuning,
    /// Intervals and limits of heartbeats.
    pub(crate) timing: Timing,
    /// No two lives of a node have the same.
    pub(crate) seeds: [u64; 2],
    pub(crate) metrics: FailoverMetrics,
}

/// Membership and, with a secret, heartbeat; their threads end with it.
pub(crate) struct Members {
    board: Board,
    heartbeat: Option<Heartbeat>,
    joined: Joined,
}

/// Why membership cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MembersError {
    /// The socket cannot be opened, or the kernel refuses something every host has.
    #[error("membership: {0}")]
    Sys(#[from] ferrolb_sys::Error),
    /// The port is in use, or the address is not ours.
    #[error("membership: cannot listen on {address}: {source}")]
    Listen {
        /// The address and port.
        address: SocketAddr,
        /// What went wrong.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("membership: cannot start a thread: {0}")]
    Thread(io::Error),
    /// The kernel refuses what a runtime needs.
    #[error("membership: cannot start a runtime: {0}")]
    Runtime(io::Error),
    /// Name, address or intervals cannot work.
    #[error("membership: {0}")]
    Config(#[from] ferrolb_swim_proto::ConfigError),
}

/// Opens a half of the port. The speaker before this one may be taking leave there still, until
/// `given_up`.
fn open<T, E>(
    given_up: Duration,
    open: impl Fn() -> Result<T, E>,
    cause: impl Fn(&E) -> &io::Error,
) -> Result<T, E> {
    loop {
        match open() {
            Err(error)
                if cause(&error).kind() == ErrorKind::AddrInUse && monotonic_now() < given_up =>
            {
                std::thread::sleep(LOOK_AGAIN);
            }
            outcome => return outcome,
        }
    }
}

impl Members {
    /// Listens, and knows nobody yet.
    pub(crate) fn start(setup: Setup, shared: Shared) -> Result<Self, MembersError> {
        let Setup { node, address, secret, tuning, timing, seeds, metrics } = setup;
        let [beat_seed, join_seed] = seeds;
        let failed = |source| MembersError::Listen { address, source };
        let given_up = monotonic_now() + LEAVE;
        let listener =
            open(given_up, || TcpListener::bind(address), |error| error).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let board = Board::new(secret.is_some());
        let name: Arc<str> = node.as_str().into();
        let (source, heartbeat, keys, follow) = if let Some(secret) = secret {
            let Secret { key, ring, follow } = secret;
            let bind = || TimestampedUdp::bind(address);
            let socket = open(given_up, bind, ferrolb_sys::Error::cause)?;
            let (others, queue) = mpsc::channel(QUEUE);
            let source = Source::Queue(queue, socket.sender());
            let config = ferrolb_heartbeat::Config { name: name.clone(), key, timing };
            let parts = heartbeat::Parts {
                config,
                socket,
                seed: beat_seed,
                board: board.clone(),
                others,
                shared,
                metrics,
            };
            (source, Some(Heartbeat::start(parts)?), Some(ring), follow)
        } else {
            let bind = || UdpSocket::bind(address);
            let socket = open(given_up, bind, |error| error).map_err(failed)?;
            socket.set_nonblocking(true).map_err(failed)?;
            (Source::Socket(socket), None, None, None)
        };
        let joined = Joined::start(membership::Parts {
            config: ferrolb_swim_proto::Config {
                meta: Kind::meta(heartbeat.is_some()),
                keys,
                verify_incoming: tuning.verify_incoming,
                verify_outgoing: tuning.verify_outgoing,
                compress: tuning.compress,
                timing: tuning.timing,
                ..ferrolb_swim_proto::Config::new(name, address)
            },
            seed: join_seed,
            source,
            listener,
            follow,
            board: board.clone(),
            heartbeat: heartbeat.as_ref().map(|heartbeat| heartbeat.line().clone()),
        })?;
        Ok(Self { board, heartbeat, joined })
    }

    /// Follows what is known of the others.
    pub(crate) fn view(&self) -> watch::Receiver<View> {
        self.board.view()
    }

    /// The speakers there are, as the API lists them.
    pub(crate) fn set_pods(&self, pods: BTreeMap<Arc<str>, SocketAddr>) {
        self.joined.set_pods(pods);
    }

    /// Tells the others what this node lacks.
    pub(crate) fn set_lacks(&self, lacks: impl Iterator<Item = Lack>) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.line().set_lacks(lacks.map(Lack::word).collect());
        }
    }

    /// The view of this revision is acted on.
    pub(crate) fn settled(&self, revision: u64) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.line().settled(revision);
        }
    }

    /// Hands over to those who send heartbeats; [`View::released`] says when they have taken over.
    pub(crate) fn drain(&self) {
        match &self.heartbeat {
            Some(heartbeat) => heartbeat.line().drain(),
            None => self.board.set_released(),
        }
    }

    /// Tells all members; [`View::departed`] says when they know.
    pub(crate) fn leave(&self) {
        self.joined.leave();
    }

    /// Whether all members take over by heartbeat, so that nobody waits for [`Members::leave`].
    pub(crate) fn hands_over(&self) -> bool {
        self.board.hears_all()
    }
}
