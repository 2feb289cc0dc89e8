//! The thread of one interface: reads questions, answers them.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use ferrolb_kube_rt::metrics::Bare;
use ferrolb_l2_proto::{Answer, Claim, DropReason, FrameBuf, Responder};
use ferrolb_sys::{Error, Filter, PacketSocket, PacketType, Waker, wait};
use tracing::{debug, error};

use super::interfaces::Usable;
use super::{Layer2Error, Shared};

/// Frames of the kinds the sockets take fit in here.
const BUFFER: usize = 256;
/// Pause after an error that is not over at once, such as an interface that is down.
const PAUSE: Duration = Duration::from_millis(50);

/// The packet sockets of one interface.
pub(crate) struct Sockets {
    arp: Option<PacketSocket>,
    ndp: Option<PacketSocket>,
}

impl Sockets {
    fn open(usable: &Usable) -> Result<Self, Error> {
        let open = |wanted: bool, filter| {
            wanted
                .then(|| PacketSocket::open(usable.port.index.0, &usable.name, filter))
                .transpose()
        };
        Ok(Self {
            arp: open(usable.arp, Filter::Arp)?,
            ndp: open(usable.ndp, Filter::NeighborDiscovery)?,
        })
    }

    /// Sends a frame of either kind; a packet socket does not mind which.
    pub(crate) fn send(&self, frame: &[u8]) -> Result<(), Error> {
        match self.arp.as_ref().or(self.ndp.as_ref()) {
            Some(socket) => socket.send(frame),
            None => Ok(()),
        }
    }

    /// Whether addresses of IPv4 can be announced.
    fn speaks_arp(&self) -> bool {
        self.arp.is_some()
    }

    /// Whether addresses of IPv6 can be announced.
    pub(crate) fn speaks_ndp(&self) -> bool {
        self.ndp.is_some()
    }
}

/// One interface that answers; the thread ends with it.
pub(crate) struct Answerer {
    name: String,
    running: bool,
    responder: Arc<ArcSwap<Responder>>,
    sockets: Arc<Sockets>,
    stop: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Answerer {
    pub(crate) fn start(
        usable: &Usable,
        shared: Arc<Shared>,
        answers: Bare,
    ) -> Result<Self, Layer2Error> {
        let sockets = Arc::new(Sockets::open(usable)?);
        let responder = Arc::new(ArcSwap::from_pointee(Responder::new(usable.port)));
        let stop = Waker::new()?;
        let reader = Reader {
            interface: usable.name.clone(),
            responder: Arc::clone(&responder),
            sockets: Arc::clone(&sockets),
            shared,
            answers,
            stop: stop.clone(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("l2-{}", usable.name))
            .stack_size(128 * 1024)
            .spawn(move || reader.run())
            .map_err(Layer2Error::Thread)?;
        Ok(Self {
            name: usable.name.clone(),
            running: usable.running,
            responder,
            sockets,
            stop,
            thread: Some(thread),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn speaks_arp(&self) -> bool {
        self.sockets.speaks_arp()
    }

    pub(crate) fn speaks_ndp(&self) -> bool {
        self.sockets.speaks_ndp()
    }

    /// Whether the thread is there.
    pub(crate) fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    pub(crate) fn sockets(&self) -> Arc<Sockets> {
        Arc::clone(&self.sockets)
    }

    /// Whether the open sockets are those the interface needs now.
    pub(crate) fn serves(&self, usable: &Usable) -> bool {
        self.sockets.arp.is_some() == usable.arp
            && self.sockets.ndp.is_some() == usable.ndp
            && self.is_running()
    }

    /// Follows a change of name or address. Returns whether frames pass that did not before.
    pub(crate) fn update(&mut self, usable: &Usable) -> bool {
        self.name.clone_from(&usable.name);
        if self.responder.load().port() != usable.port {
            self.responder.store(Arc::new(Responder::new(usable.port)));
        }
        let is_back = usable.running && !self.running;
        self.running = usable.running;
        is_back
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        self.stop.wake();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported already.
            let _ = thread.join();
        }
    }
}

struct Reader {
    interface: String,
    responder: Arc<ArcSwap<Responder>>,
    sockets: Arc<Sockets>,
    shared: Arc<Shared>,
    /// Counts what is answered here.
    answers: Bare,
    stop: Waker,
}

impl Reader {
    fn run(self) {
        let sources: Vec<&PacketSocket> =
            [&self.sockets.arp, &self.sockets.ndp].into_iter().flatten().collect();
        let descriptors: Vec<_> = sources.iter().map(|socket| socket.as_fd()).collect();
        let mut buffer = [0; BUFFER];
        let mut out = FrameBuf::new();
        loop {
            match wait(&descriptors, &self.stop, None) {
                Ok(ready) if ready.woken() => return,
                Ok(_) => {}
                Err(error) => {
                    error!(op = "wait", interface = self.interface, %error, "cannot wait for questions");
                    return;
                }
            }
            for socket in &sources {
                if let Err(error) = self.drain(socket, &mut buffer, &mut out) {
                    debug!(op = "receive", interface = self.interface, %error);
                    if error.is_interface_gone() {
                        return;
                    }
                    if wait(&[], &self.stop, Some(PAUSE)).is_ok_and(|ready| ready.woken()) {
                        return;
                    }
                }
            }
        }
    }

    /// Answers everything that is queued on one socket.
    fn drain(
        &self,
        socket: &PacketSocket,
        buffer: &mut [u8],
        out: &mut FrameBuf,
    ) -> Result<(), Error> {
        while let Some(frame) = socket.recv(buffer)? {
            if frame.packet_type == PacketType::OtherHost {
                continue;
            }
            self.shared.witness.count();
            if let Some(bytes) = buffer.get(..frame.len) {
                self.answer(socket, bytes, out);
            }
        }
        Ok(())
    }

    fn answer(&self, socket: &PacketSocket, frame: &[u8], out: &mut FrameBuf) {
        let answers = self.shared.answers.read();
        let answer = self.responder.load().answer(&answers.table, frame, out);
        match answer {
            Answer::Reply(reply) => {
                let sent = socket.send(out.as_bytes());
                if sent.is_ok() {
                    self.answers.inc();
                }
                if let Some(counters) = answers.counters.get(&reply.ip) {
                    counters.requests_received.inc();
                    if sent.is_ok() {
                        counters.responses_sent.inc();
                    }
                }
                drop(answers);
                let is_arp = reply.ip.is_ipv4();
                match sent {
                    Ok(()) => debug!(
                        event = "answered",
                        interface = self.interface,
                        ip = %reply.ip,
                        senderIP = %reply.asker_ip,
                        senderMAC = %reply.asker_mac,
                        responseMAC = %self.responder.load().port().mac,
                    ),
                    Err(error) => error!(
                        op = if is_arp { "arpReply" } else { "ndpReply" },
                        interface = self.interface,
                        ip = %reply.ip,
                        %error,
                        "cannot answer"
                    ),
                }
            }
            Answer::Ignore(reason) => {
                drop(answers);
                if !matches!(
                    reason,
                    DropReason::OwnFrame | DropReason::VlanTag | DropReason::Invalid(_)
                ) && let Some(claim) = Claim::decode(frame)
                {
                    self.shared.hear(self.responder.load().port().index, claim);
                }
                if matches!(reason, DropReason::NotMatchInterface) {
                    let is_arp =
                        self.sockets.arp.as_ref().is_some_and(|arp| std::ptr::eq(arp, socket));
                    debug!(
                        op = if is_arp { "arpRequestIgnore" } else { "ndpRequestIgnore" },
                        interface = self.interface,
                        reason = reason.name(),
                    );
                }
            }
        }
    }
}
