//! How long an ARP answer takes, beside the kernel's own.
//!
//! One prober on the client asks in turn for a Service's address and for the address of the node that
//! announces it. The second answer comes from that node's kernel over the same wire, so the ratio is
//! what answering in a program costs.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_addr::{Family, Mac};
use ferrolb_l2_proto::{FrameBuf, arp, eth};
use ferrolb_lab::plan::Lan;
use ferrolb_lab::{Error, Host, Lab, Result};
use ferrolb_sys::{Filter, PacketSocket, Waker, links, wait};

use crate::cluster::{Cluster, PATIENCE, broken};
use crate::report::{Limit, Measure};
use crate::sample::Samples;

/// The time after which a question counts as not answered.
const LOST: Duration = Duration::from_millis(100);

/// Pauses between two questions: so long that everybody is idle again, as between two real questions,
/// and none, which shows the way itself, with warm caches and the processor awake.
const PAUSES: [(&str, Duration); 2] =
    [("", Duration::from_millis(1)), (", without pause", Duration::ZERO)];

/// Questions under way at a time, when as many as possible are asked.
const IN_FLIGHT: usize = 64;

/// How long as many as possible are asked.
const FLOOD: Duration = Duration::from_secs(5);

/// A frame takes so long at most before its place is given to another.
const STALLED: Duration = Duration::from_millis(20);

/// As many questions as are answered, 64 under way; beside it the same asked of a node's kernel.
pub(super) fn saturate(cluster: &Cluster, addresses: &[Ipv4Addr], runs: usize) -> Result<Measure> {
    let client = cluster.client()?;
    for address in addresses.iter().take(1).chain(addresses.last()) {
        cluster.wait_for_owner((*address).into())?;
    }
    let (mut service, mut kernel) = (Samples::default(), Samples::default());
    client.netns.inside(|| -> Result<()> {
        let prober = Prober::open(client)?;
        let own = prober.owner(&cluster.lab, addresses[0])?;
        for _ in 0..runs {
            service.push(prober.flood(addresses)?);
            kernel.push(prober.flood(&[own])?);
        }
        Ok(())
    })??;
    let figure = format!("ARP answers for one of {}, {IN_FLIGHT} in flight", addresses.len());
    Ok(Measure::of("saturation", &figure, "/s", &service, 50).beside("kernel", &kernel, 50))
}

/// A client's question for an address.
pub(super) fn question(client: &Host, target: Ipv4Addr) -> Result<FrameBuf> {
    let IpAddr::V4(address) = client.address(Lan::One, Family::V4) else {
        return Err(broken("the client has no IPv4 address"));
    };
    let mut frame = FrameBuf::new();
    let packet = arp::Packet {
        operation: arp::REQUEST,
        sender_mac: client.mac(Lan::One),
        sender_ip: address,
        target_mac: Mac::ZERO,
        target_ip: target,
    };
    packet.write(Mac::BROADCAST, &mut frame);
    Ok(frame)
}

pub(super) fn measure(
    cluster: &Cluster,
    addresses: &[Ipv4Addr],
    rounds: usize,
) -> Result<Vec<Measure>> {
    for address in addresses.iter().take(1).chain(addresses.last()) {
        cluster.wait_for_owner((*address).into())?;
    }
    let client = cluster.client()?;
    let mut measures = Vec::new();
    for (name, pause) in PAUSES {
        let probe = || probe(&cluster.lab, client, addresses, rounds, pause);
        let answers = client.netns.inside(probe)??;
        let figure = format!("ARP answer for one of {}{name}", addresses.len());
        measures.extend(answers.measures(&figure));
    }
    Ok(measures)
}

#[derive(Debug, Default)]
struct Answers {
    service: Samples,
    kernel: Samples,
    lost: usize,
}

impl Answers {
    fn measures(&self, figure: &str) -> Vec<Measure> {
        let of = |percent| {
            Measure::of("arp", figure, "µs", &self.service, percent).beside(
                "kernel",
                &self.kernel,
                percent,
            )
        };
        let mut measures = vec![of(50).at_most(Limit::TimesBeside(2.5)), of(99)];
        if self.lost > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a count of some thousands")]
            let lost = self.lost as f64;
            measures.push(Measure::new("arp", format!("{figure}: never came"), "times", lost));
        }
        measures
    }
}

fn probe(
    lab: &Lab,
    client: &Host,
    addresses: &[Ipv4Addr],
    rounds: usize,
    pause: Duration,
) -> Result<Answers> {
    let prober = Prober::open(client)?;
    let owners = addresses.iter().map(|address| prober.owner(lab, *address));
    let owners = owners.collect::<Result<Vec<_>>>()?;
    let mut answers = Answers::default();
    let pairs = addresses.iter().zip(owners).cycle();
    for (round, (address, kernel)) in (0..rounds).zip(pairs) {
        let (mut by_service, mut by_kernel) = (None, None);
        // Whoever is asked second finds warmer caches: take turns.
        for turn in [round % 2, (round + 1) % 2] {
            if !pause.is_zero() {
                thread::sleep(pause);
            }
            if turn == 0 {
                by_service = prober.exchange(*address)?;
            } else {
                by_kernel = prober.exchange(kernel)?;
            }
        }
        match (by_service, by_kernel) {
            (Some((service, _)), Some((kernel, _))) => {
                answers.service.push_micros(service);
                answers.kernel.push_micros(kernel);
            }
            _ => answers.lost += 1,
        }
    }
    Ok(answers)
}

/// A packet socket on the client, and who it is.
struct Prober<'a> {
    socket: PacketSocket,
    waker: Waker,
    client: &'a Host,
    mac: Mac,
}

impl<'a> Prober<'a> {
    fn open(client: &'a Host) -> Result<Self> {
        let name = Lan::One.interface();
        let link = links().map_err(sys)?.into_iter().find(|link| link.name == name);
        let index = link.ok_or_else(|| Error::unknown("interface", name, []))?.index;
        Ok(Self {
            socket: PacketSocket::open(index, name, Filter::Arp).map_err(sys)?,
            waker: Waker::new().map_err(sys)?,
            client,
            mac: client.mac(Lan::One),
        })
    }

    /// Answers a second, when a new question follows each answer.
    fn flood(&self, targets: &[Ipv4Addr]) -> Result<f64> {
        let frames = targets.iter().map(|target| question(self.client, *target));
        let frames = frames.collect::<Result<Vec<_>>>()?;
        let mut next = frames.iter().cycle();
        let mut buffer = [0u8; 128];
        while self.socket.recv(&mut buffer).map_err(sys)?.is_some() {}
        let (mut in_flight, mut answers) = (0, 0_u32);
        let start = Instant::now();
        while start.elapsed() < FLOOD {
            for frame in next.by_ref().take(IN_FLIGHT - in_flight) {
                self.socket.send(frame.as_bytes()).map_err(sys)?;
                in_flight += 1;
            }
            let ready = wait(&[self.socket.as_fd()], &self.waker, Some(STALLED)).map_err(sys)?;
            while in_flight > 0
                && let Some(received) = self.socket.recv(&mut buffer).map_err(sys)?
            {
                if self.is_answer(&buffer[..received.len]) {
                    in_flight -= 1;
                    answers += 1;
                }
            }
            if !ready.readable(0) {
                in_flight = 0;
            }
        }
        Ok(f64::from(answers) / start.elapsed().as_secs_f64())
    }

    fn is_answer(&self, frame: &[u8]) -> bool {
        let Ok((header, body)) = eth::Header::decode(frame) else { return false };
        let packet = arp::Packet::decode(body);
        header.destination == self.mac && packet.is_ok_and(|packet| packet.operation == arp::REPLY)
    }

    /// The own address of the node that answers for another one; waits until there is one.
    fn owner(&self, lab: &Lab, address: Ipv4Addr) -> Result<Ipv4Addr> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let Some((_, mac)) = self.exchange(address)? else { continue };
            if let Some(host) = lab.host_with_mac(mac)
                && let IpAddr::V4(own) = host.address(Lan::One, Family::V4)
            {
                return Ok(own);
            }
        }
        Err(broken(format!("nobody answers for {address}")))
    }

    /// Asks once; how long the answer took, and from whom it came.
    fn exchange(&self, target: Ipv4Addr) -> Result<Option<(Duration, Mac)>> {
        let mut buffer = [0u8; 128];
        // What came late or unasked.
        while self.socket.recv(&mut buffer).map_err(sys)?.is_some() {}
        let frame = question(self.client, target)?;
        let start = Instant::now();
        self.socket.send(frame.as_bytes()).map_err(sys)?;
        loop {
            while let Some(received) = self.socket.recv(&mut buffer).map_err(sys)? {
                if let Some(mac) = self.answer(target, &buffer[..received.len]) {
                    return Ok(Some((start.elapsed(), mac)));
                }
            }
            let Some(left) = LOST.checked_sub(start.elapsed()) else { return Ok(None) };
            wait(&[self.socket.as_fd()], &self.waker, Some(left)).map_err(sys)?;
        }
    }

    /// The station that answers our question for that address with this frame.
    fn answer(&self, target: Ipv4Addr, frame: &[u8]) -> Option<Mac> {
        let (header, body) = eth::Header::decode(frame).ok()?;
        let packet = arp::Packet::decode(body).ok()?;
        let ours = header.destination == self.mac && packet.operation == arp::REPLY;
        (ours && packet.sender_ip == target).then_some(packet.sender_mac)
    }
}

fn sys(error: ferrolb_sys::Error) -> Error {
    Error::io("ARP prober")(std::io::Error::other(error))
}
