//! Readiness and liveness of one Pod, asked as kubelet asks.
//!
//! ```text
//!  not ready ──readiness answers──▶ ready        liveness fails often enough ──▶ ended, started again
//!      ▲                              │
//!      └── fails often enough, or the process is gone or another one
//! ```
//!
//! A Pod that is not ready is asked more often than its period says, as kubelet may; one that is
//! ready is asked at its period. A process that has ended stays ended: scenarios look at what happens
//! meanwhile, and start it again themselves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::lab::note;
use crate::process::Process;

/// An `httpGet` probe.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(super) server: SocketAddr,
    pub(super) path: String,
    pub(super) delay: Duration,
    pub(super) period: Duration,
    pub(super) limit: Duration,
    pub(super) failures: u64,
}

impl Probe {
    /// Asks once, from where the process is.
    pub(crate) fn ask(&self, process: &Process) -> Result<(), String> {
        match process.host().http(self.server, &self.path, self.limit) {
            Ok((status, _)) if (200..400).contains(&status) => Ok(()),
            Ok((status, body)) => Err(format!("status {status}: {}", body.trim())),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The probes of a Pod.
#[derive(Clone, Debug)]
pub(super) struct Probes {
    pub(super) readiness: Option<Probe>,
    pub(super) liveness: Option<Probe>,
}

/// Time between two looks at a process, and between two questions to one that is not ready.
const TICK: Duration = Duration::from_millis(200);

/// Asks until it is dropped.
#[derive(Debug)]
pub(super) struct Prober {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Prober {
    /// Begins; `tell` is called with every change of readiness until it succeeds.
    pub(super) fn start(
        process: Arc<Process>,
        probes: Probes,
        tell: impl Fn(bool) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut state = State::of(&process);
        let thread = thread::Builder::new()
            .name("probes".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    state.look(&process, &probes);
                    if state.told != Some(state.ready) && tell(state.ready).is_ok() {
                        state.told = Some(state.ready);
                    }
                    thread::sleep(TICK);
                }
            })
            .map_err(Error::io("probes"))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct State {
    pid: u32,
    started: Instant,
    ready: bool,
    told: Option<bool>,
    readiness: Asked,
    liveness: Asked,
}

/// When a probe was asked last, and how often in a row it failed.
#[derive(Default)]
struct Asked {
    at: Option<Instant>,
    failures: u64,
}

impl Asked {
    fn is_due(&self, period: Duration) -> bool {
        self.at.is_none_or(|at| at.elapsed() >= period)
    }

    fn ask(&mut self, probe: &Probe, process: &Process) -> bool {
        let answer = probe.ask(process);
        self.at = Some(Instant::now());
        self.failures = if answer.is_ok() { 0 } else { self.failures + 1 };
        answer.is_ok()
    }
}

impl State {
    fn of(process: &Process) -> Self {
        Self {
            pid: process.pid(),
            started: Instant::now(),
            ready: false,
            told: None,
            readiness: Asked::default(),
            liveness: Asked::default(),
        }
    }

    fn look(&mut self, process: &Process, probes: &Probes) {
        if process.pid() != self.pid {
            *self = Self { told: self.told, ..Self::of(process) };
        }
        if !matches!(process.ended(), Ok(None)) {
            self.ready = false;
            return;
        }
        match &probes.readiness {
            None => self.ready = true,
            Some(probe) if !self.ready => self.ready = self.readiness.ask(probe, process),
            Some(probe) if self.readiness.is_due(probe.period) => {
                self.readiness.ask(probe, process);
                self.ready = self.readiness.failures < probe.failures;
            }
            Some(_) => {}
        }
        let Some(probe) = &probes.liveness else { return };
        if self.started.elapsed() < probe.delay || !self.liveness.is_due(probe.period) {
            return;
        }
        self.liveness.ask(probe, process);
        if self.liveness.failures >= probe.failures {
            note("kubelet", format_args!("{} is not alive: started again", process.name()));
            if let Err(error) = process.restart() {
                note("kubelet", error);
            }
        }
    }
}
