//! Who has this address? Asked over ARP or Neighbor Discovery from a host's own packet socket.
//!
//! This is how a client that knows nothing yet finds an address, so the answers are the truth about
//! who announces it, and when that changes.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_addr::{Family, Mac};
use ferrolb_l2_proto::{FrameBuf, arp, eth, ipv6, ndp, solicited_node};
use ferrolb_sys::{Filter, PacketSocket, Waker, links, wait};

use super::Silence;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::Lan;

/// Something that was said about the address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sighting {
    /// When.
    pub at: Instant,
    /// Which station is said to have it.
    pub mac: Mac,
    /// Whether it answers our question; otherwise it was told to everybody unasked.
    pub answer: bool,
}

/// Questions about one address, asked from one host on one LAN.
#[derive(Clone, Debug)]
struct Question {
    address: IpAddr,
    interface: &'static str,
    own_address: IpAddr,
    own_mac: Mac,
}

/// Questions that go on until stopped.
#[derive(Debug)]
pub struct Watch {
    waker: Waker,
    started: Instant,
    thread: Option<thread::JoinHandle<Result<Result<Notes>>>>,
}

/// What the asking thread writes down.
#[derive(Debug, Default)]
struct Notes {
    asked: usize,
    sightings: Vec<Sighting>,
}

/// What was heard.
#[derive(Clone, Debug)]
pub struct Heard {
    /// How many questions there were; fewer than there was time for if the machine is busy.
    pub asked: usize,
    /// When the first question was asked.
    pub started: Instant,
    /// When the last question was asked.
    pub ended: Instant,
    /// All that was said, in its order.
    pub sightings: Vec<Sighting>,
}

/// Asks so often, that far apart, and returns every station that answered.
pub fn ask(
    host: &Host,
    lan: Lan,
    address: IpAddr,
    times: u32,
    period: Duration,
) -> Result<BTreeSet<Mac>> {
    let watch = Watch::start(host, lan, address, period)?;
    thread::sleep(period * times);
    let heard = watch.stop()?;
    Ok(heard.answers().map(|sighting| sighting.mac).collect())
}

/// Asks once, in the name of another address: whoever hears it takes the host for its owner, as
/// before the first packet that any host sends from an address.
pub fn ask_as(host: &Host, lan: Lan, own: IpAddr, address: IpAddr) -> Result<()> {
    let question = Question { own_address: own, ..Question::new(host, lan, address) };
    host.netns.inside(|| {
        let mut frame = FrameBuf::new();
        question.write(&mut frame);
        question.open()?.send(frame.as_bytes()).map_err(sys("packet socket"))
    })?
}

impl Watch {
    /// Asks from a host on a LAN for an address, again and again.
    pub fn start(host: &Host, lan: Lan, address: IpAddr, period: Duration) -> Result<Self> {
        let question = Question::new(host, lan, address);
        let waker = Waker::new().map_err(sys("neighbour probe"))?;
        let stop = waker.clone();
        let thread = host.netns.spawn("neighbour", move || question.repeat(period, &stop))?;
        Ok(Self { waker, started: Instant::now(), thread: Some(thread) })
    }

    /// Stops asking and returns what was heard.
    pub fn stop(mut self) -> Result<Heard> {
        self.waker.wake();
        let ended = Instant::now();
        let thread = self.thread.take();
        let notes = thread.map_or(Ok(Ok(Ok(Notes::default()))), thread::JoinHandle::join);
        let Notes { asked, sightings } =
            notes.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))??;
        Ok(Heard { asked, started: self.started, ended, sightings })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.waker.wake();
    }
}

impl Heard {
    /// The answers to our questions.
    pub fn answers(&self) -> impl Iterator<Item = &Sighting> {
        self.sightings.iter().filter(|sighting| sighting.answer)
    }

    /// The first answer after a moment from a station other than this one.
    pub fn next_owner(&self, after: Instant, former: Mac) -> Option<&Sighting> {
        self.answers().find(|sighting| sighting.at > after && sighting.mac != former)
    }

    /// The longest time without an answer.
    pub fn longest_silence(&self) -> Silence {
        Silence::longest(self.started, self.ended, self.answers().map(|sighting| sighting.at))
    }
}

impl Question {
    fn new(host: &Host, lan: Lan, address: IpAddr) -> Self {
        let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
        Self {
            address,
            interface: lan.interface(),
            own_address: host.address(lan, family),
            own_mac: host.mac(lan),
        }
    }

    fn open(&self) -> Result<PacketSocket> {
        let index = links()
            .map_err(sys("links"))?
            .into_iter()
            .find(|link| link.name == self.interface)
            .map(|link| link.index)
            .ok_or_else(|| Error::unknown("interface", self.interface, []))?;
        let filter = if self.address.is_ipv4() { Filter::Arp } else { Filter::NeighborDiscovery };
        PacketSocket::open(index, self.interface, filter).map_err(sys("packet socket"))
    }

    fn repeat(&self, period: Duration, stop: &Waker) -> Result<Notes> {
        let socket = self.open()?;
        let mut frame = FrameBuf::new();
        self.write(&mut frame);

        let mut notes = Notes::default();
        let mut buffer = [0u8; 1514];
        let mut due = Instant::now();
        loop {
            let now = Instant::now();
            if now >= due {
                // A link that is down has nobody to ask; the silence is the finding.
                let _ = socket.send(frame.as_bytes());
                notes.asked += 1;
                due += period;
                if due < now {
                    due = now + period;
                }
            }
            let timeout = due.saturating_duration_since(Instant::now());
            let ready = wait(&[socket.as_fd()], stop, Some(timeout)).map_err(sys("wait"))?;
            if ready.woken() {
                return Ok(notes);
            }
            while let Ok(Some(received)) = socket.recv(&mut buffer) {
                let at = Instant::now();
                if let Some((mac, answer)) = self.understand(&buffer[..received.len]) {
                    notes.sightings.push(Sighting { at, mac, answer });
                }
            }
        }
    }

    fn write(&self, frame: &mut FrameBuf) {
        match (self.address, self.own_address) {
            (IpAddr::V4(target), IpAddr::V4(own)) => self.write_arp(target, own, frame),
            (IpAddr::V6(target), IpAddr::V6(own)) => self.write_solicitation(target, own, frame),
            _ => {}
        }
    }

    fn write_arp(&self, target: Ipv4Addr, own: Ipv4Addr, frame: &mut FrameBuf) {
        let packet = arp::Packet {
            operation: arp::REQUEST,
            sender_mac: self.own_mac,
            sender_ip: own,
            target_mac: Mac::ZERO,
            target_ip: target,
        };
        packet.write(Mac::BROADCAST, frame);
    }

    fn write_solicitation(&self, target: Ipv6Addr, own: Ipv6Addr, frame: &mut FrameBuf) {
        let group = solicited_node(target);
        let solicitation = ndp::Solicitation {
            source: own,
            destination: group,
            target,
            source_mac: Some(self.own_mac),
        };
        solicitation.write(self.own_mac, ipv6::group_mac(group), frame);
    }

    /// Which station a frame says has the address, and whether it says so to us.
    fn understand(&self, frame: &[u8]) -> Option<(Mac, bool)> {
        let (header, body) = eth::Header::decode(frame).ok()?;
        match self.address {
            IpAddr::V4(target) => {
                let packet = arp::Packet::decode(body).ok()?;
                let told = packet.sender_ip == target && packet.sender_mac != self.own_mac;
                let answer = packet.operation == arp::REPLY && header.destination == self.own_mac;
                told.then_some((packet.sender_mac, answer))
            }
            IpAddr::V6(target) => {
                let ndp::Message::Advertisement(told) = ndp::decode(body).ok()? else {
                    return None;
                };
                let mac = told.target_mac.unwrap_or(header.source);
                (told.target == target).then_some((mac, told.solicited))
            }
        }
    }
}

fn sys(context: &'static str) -> impl FnOnce(ferrolb_sys::Error) -> Error {
    move |error| Error::Io { context: context.to_owned(), source: std::io::Error::other(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Mac = Mac([2, 0, 0, 0, 0, 7]);

    fn mk_question(address: &str, own: &str) -> Question {
        Question {
            address: address.parse().unwrap(),
            interface: "eth0",
            own_address: own.parse().unwrap(),
            own_mac: Mac([2, 0, 0, 0, 0, 1]),
        }
    }

    #[test]
    fn an_arp_answer_is_told_from_an_announcement() {
        let question = mk_question("172.30.1.240", "172.30.1.100");
        let mut frame = FrameBuf::new();
        question.write(&mut frame);
        let (_, body) = eth::Header::decode(frame.as_bytes()).unwrap();
        let reply = arp::Packet::decode(body).unwrap().reply_from(OWNER);
        reply.write(question.own_mac, &mut frame);
        assert_eq!(question.understand(frame.as_bytes()), Some((OWNER, true)));

        let ip = "172.30.1.240".parse().unwrap();
        for operation in [arp::REQUEST, arp::REPLY] {
            arp::Packet::gratuitous(operation, OWNER, ip).write(Mac::BROADCAST, &mut frame);
            assert_eq!(question.understand(frame.as_bytes()), Some((OWNER, false)));
        }
    }

    #[test]
    fn other_addresses_and_own_questions_are_not_sightings() {
        let question = mk_question("172.30.1.240", "172.30.1.100");
        let mut frame = FrameBuf::new();
        question.write(&mut frame);
        assert_eq!(question.understand(frame.as_bytes()), None);
        let other = "172.30.1.241".parse().unwrap();
        arp::Packet::gratuitous(arp::REPLY, OWNER, other).write(Mac::BROADCAST, &mut frame);
        assert_eq!(question.understand(frame.as_bytes()), None);
    }

    #[test]
    fn an_advertisement_is_understood() {
        let question = mk_question("fd00:172:30:1::240", "fd00:172:30:1::100");
        let mut frame = FrameBuf::new();
        question.write(&mut frame);
        let (_, body) = eth::Header::decode(frame.as_bytes()).unwrap();
        let ndp::Message::Solicitation(asked) = ndp::decode(body).unwrap() else { panic!() };
        let answer = ndp::Advertisement::answer(&asked, "fe80::7".parse().unwrap(), OWNER);
        answer.write(OWNER, question.own_mac, &mut frame);
        assert_eq!(question.understand(frame.as_bytes()), Some((OWNER, true)));
    }
}
