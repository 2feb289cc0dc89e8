//! UDP datagrams through a Service, each from a source port of its own.
//!
//! A fresh port is a new connection to every balancer on the way, so an answer proves that the whole
//! way works now, not that an old flow survives.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::runtime::Builder;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Silence;
use crate::error::{Error, Result};
use crate::host::Host;

/// How long a probe waits for its answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// One probe.
#[derive(Clone, Debug)]
pub struct Probe {
    /// When it was sent.
    pub sent: Instant,
    /// When its answer came, and from which backend; none when it was lost.
    pub answer: Option<(Instant, String)>,
}

/// Probes on their way; ends when dropped.
#[derive(Debug)]
pub struct Traffic {
    stop: Arc<AtomicBool>,
    started: Instant,
    thread: Option<thread::JoinHandle<Result<Result<Vec<Probe>>>>>,
}

/// What became of the probes.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// When the first was sent.
    pub started: Instant,
    /// When the last was sent.
    pub ended: Instant,
    /// All of them, in the order they were sent.
    pub probes: Vec<Probe>,
}

impl Traffic {
    /// Sends so many probes a second from a host to a Service until told to stop.
    pub fn start(host: &Host, service: SocketAddr, per_second: u32) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let period = Duration::from_secs(1) / per_second.max(1);
        let thread = host.netns.spawn("traffic", move || probe(service, period, &stopped))?;
        Ok(Self { stop, started: Instant::now(), thread: Some(thread) })
    }

    /// Stops sending, waits for late answers and returns all probes.
    pub fn stop(mut self) -> Result<Outcome> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = Instant::now();
        let thread = self.thread.take();
        let probes = thread.map_or(Ok(Ok(Ok(Vec::new()))), thread::JoinHandle::join);
        let probes = probes.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))??;
        Ok(Outcome { started: self.started, ended, probes })
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Outcome {
    /// Probes that got no answer.
    pub fn lost(&self) -> usize {
        self.probes.iter().filter(|probe| probe.answer.is_none()).count()
    }

    /// The longest time without an answered probe, by the time probes were sent.
    pub fn longest_silence(&self) -> Silence {
        let answered = self.probes.iter().filter(|probe| probe.answer.is_some());
        Silence::longest(self.started, self.ended, answered.map(|probe| probe.sent))
    }
}

fn probe(service: SocketAddr, period: Duration, stop: &AtomicBool) -> Result<Vec<Probe>> {
    let runtime =
        Builder::new_current_thread().enable_all().build().map_err(Error::io("traffic"))?;
    let probes = Arc::new(Mutex::new(Vec::<Probe>::new()));
    runtime.block_on(async {
        let mut ticks = interval(period);
        // Late is late: what a busy machine held up is not sent in a burst.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            let sent = Instant::now();
            let index = {
                let mut probes = probes.lock();
                probes.push(Probe { sent, answer: None });
                probes.len() - 1
            };
            let probes = Arc::clone(&probes);
            tokio::spawn(async move {
                if let Ok(Ok(backend)) = timeout(PATIENCE, ask(service, index as u64)).await {
                    probes.lock()[index].answer = Some((Instant::now(), backend));
                }
            });
        }
        tokio::time::sleep(PATIENCE).await;
    });
    let probes = std::mem::take(&mut *probes.lock());
    Ok(probes)
}

/// Sends one datagram and returns the name of the backend that echoed it.
async fn ask(service: SocketAddr, number: u64) -> std::io::Result<String> {
    let any: IpAddr = match service {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(service).await?;
    let question = number.to_be_bytes();
    socket.send(&question).await?;
    let mut answer = [0u8; 256];
    loop {
        // A host without an address for the Service yet answers with an ICMP error: not an answer.
        let Ok(length) = socket.recv(&mut answer).await else { continue };
        if let Some(name) = answer[..length].strip_prefix(&question) {
            return Ok(String::from_utf8_lossy(name).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_answered_probes_only() {
        let started = Instant::now();
        let probes = (0..20u32)
            .map(|index| {
                let sent = started + index * Duration::from_millis(5);
                let answer = (!(4..10).contains(&index)).then(|| (sent, "web".to_owned()));
                Probe { sent, answer }
            })
            .collect();
        let ended = started + Duration::from_millis(100);
        let outcome = Outcome { started, ended, probes };
        assert_eq!(outcome.lost(), 6);
        assert_eq!(outcome.longest_silence().length(), Duration::from_millis(35));
    }
}
