//! The thread that speaks unasked: gratuitous frames, questions for silent peers and for other
//! claimants of our addresses, and the kernel's memberships of the groups that questions about our IPv6 addresses are sent to.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ferrolb_l2_proto::{Transmit, probe, solicited_node};
use ferrolb_sys::{Group, GroupMembership, Waker, monotonic_now, wait};
use tracing::{debug, error, warn};

use super::{Layer2Error, Shared};

/// Pause when the kernel cannot make the thread wait.
const PAUSE: Duration = Duration::from_millis(100);

/// The running thread; it ends with this.
pub(crate) struct Announcer {
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Stop {
    asked: Arc<std::sync::atomic::AtomicBool>,
    changed: Waker,
}

impl Announcer {
    pub(crate) fn start(shared: Arc<Shared>) -> Result<Self, Layer2Error> {
        let stop = Stop { asked: Arc::default(), changed: shared.changed.clone() };
        let speaker = Speaker { shared, stop: stop.clone(), groups: GroupMembership::new() };
        let thread = std::thread::Builder::new()
            .name("l2-announcer".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || speaker.run())
            .map_err(Layer2Error::Thread)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.stop.asked.store(true, std::sync::atomic::Ordering::Release);
        self.stop.changed.wake();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported already.
            let _ = thread.join();
        }
    }
}

struct Speaker {
    shared: Arc<Shared>,
    stop: Stop,
    groups: GroupMembership,
}

impl Speaker {
    fn run(mut self) {
        loop {
            let schedule = self.shared.schedule.lock().poll_timeout();
            let conflicts = self.shared.conflicts.lock().poll_timeout();
            let due = schedule.into_iter().chain(conflicts).min();
            let timeout = due.map(|at| at.saturating_sub(monotonic_now()));
            if let Err(error) = wait(&[], &self.shared.changed, timeout) {
                error!(op = "wait", %error, "the announcer cannot wait");
                std::thread::sleep(PAUSE);
            }
            if self.stop.asked.load(std::sync::atomic::Ordering::Acquire) {
                return;
            }
            let changed = self.shared.changed.drain();
            self.transmit();
            self.tend_conflicts();
            if changed {
                self.ask_for_peers();
                self.follow_groups();
            }
        }
    }

    /// Sends what is due. The lock is not held while sending.
    fn transmit(&self) {
        loop {
            let transmit = self.shared.schedule.lock().poll_transmit(monotonic_now());
            let Some(transmit) = transmit else { return };
            if !self.send(&transmit, "gratuitousAnnounce") {
                continue;
            }
            self.shared.told(transmit.ip);
            if let Some(counters) = self.shared.answers.read().counters.get(&transmit.ip) {
                counters.gratuitous_sent.inc();
            }
        }
    }

    /// Asks who else has our addresses, and passes on what was found out.
    fn tend_conflicts(&self) {
        let (transmits, events) = {
            let mut conflicts = self.shared.conflicts.lock();
            let now = monotonic_now();
            if conflicts.poll_timeout().is_some_and(|due| due <= now) {
                conflicts.handle_timeout(now);
            }
            let transmits: Vec<_> = std::iter::from_fn(|| conflicts.poll_transmit()).collect();
            let events: Vec<_> = std::iter::from_fn(|| conflicts.poll_event()).collect();
            (transmits, events)
        };
        for transmit in &transmits {
            self.send(transmit, "conflictProbe");
        }
        self.shared.findings.push(events);
    }

    /// Whether the frame left.
    fn send(&self, transmit: &Transmit, op: &str) -> bool {
        let Transmit { interface, ip, frame } = transmit;
        let Some(outlet) = self.shared.outlets.read().get(interface).cloned() else {
            return false;
        };
        let sent = outlet.sockets.send(frame.as_bytes());
        if let Err(error) = &sent {
            debug!(op, %interface, %ip, %error);
        }
        sent.is_ok()
    }

    /// Puts the questions of the failure detector on the wire of every interface.
    fn ask_for_peers(&self) {
        for ip in self.shared.witness.due() {
            for outlet in self.shared.outlets.read().values() {
                // An interface that cannot send cannot hear the answer either.
                let _ = outlet.sockets.send(probe(ip, outlet.port.mac).as_bytes());
            }
        }
    }

    /// Joins the solicited-node group of each announced IPv6 address at the kernel, so that switches
    /// that snoop on MLD forward questions to this port (RFC 4861 7.2.1, RFC 4541).
    fn follow_groups(&mut self) {
        let wanted = self.wanted_groups();
        for ((group, interface), error) in self.groups.reconcile(&wanted) {
            warn!(op = "watchMulticastGroup", %group, interface, %error, "cannot join a group");
        }
    }

    fn wanted_groups(&self) -> BTreeSet<Group> {
        let answers = self.shared.answers.read();
        let outlets = self.shared.outlets.read();
        let speaking: Vec<_> = outlets
            .iter()
            .filter(|(_, outlet)| outlet.sockets.speaks_ndp())
            .map(|(index, _)| *index)
            .collect();
        let mut wanted = BTreeSet::new();
        for ip in answers.counters.keys() {
            let (IpAddr::V6(ip), Some(interfaces)) = (ip, answers.table.interfaces(*ip)) else {
                continue;
            };
            for index in &speaking {
                if interfaces.contains(*index) {
                    wanted.insert((solicited_node(*ip), index.0));
                }
            }
        }
        wanted
    }
}
