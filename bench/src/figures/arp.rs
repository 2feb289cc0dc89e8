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
use crate::report::{AtMost, Measure};
use crate::sample::Samples;

/// The time after which a question counts as not answered.
const LOST: Duration = Duration::from_millis(100);

/// Pauses between two questions: so long that everybody is idle again, as between two real questions,
/// and none, which shows the way itself, with warm caches and the processor awake.
const PAUSES: [(&str, Duration); 2] =
    [("", Duration::from_millis(1)), (", without pause", Duration::ZERO)];

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
        let mut measures = vec![of(50).at_most(AtMost::TimesBeside(2.5)), of(99)];
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
struct Prober {
    socket: PacketSocket,
    waker: Waker,
    address: Ipv4Addr,
    mac: Mac,
}

impl Prober {
    fn open(client: &Host) -> Result<Self> {
        let name = Lan::One.interface();
        let IpAddr::V4(address) = client.address(Lan::One, Family::V4) else {
            return Err(broken("the client has no IPv4 address"));
        };
        let link = links().map_err(sys)?.into_iter().find(|link| link.name == name);
        let index = link.ok_or_else(|| Error::unknown("interface", name, []))?.index;
        Ok(Self {
            socket: PacketSocket::open(index, name, Filter::Arp).map_err(sys)?,
            waker: Waker::new().map_err(sys)?,
            address,
            mac: client.mac(Lan::One),
        })
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
        let mut frame = FrameBuf::new();
        let question = arp::Packet {
            operation: arp::REQUEST,
            sender_mac: self.mac,
            sender_ip: self.address,
            target_mac: Mac::ZERO,
            target_ip: target,
        };
        question.write(Mac::BROADCAST, &mut frame);
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
