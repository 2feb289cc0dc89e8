//! A node with a thousand addresses dies: when does the LAN hear of their new owner, and when does a
//! client that knows 300 of them know better?
//!
//! Two nodes may announce, a third one lives beside them; so all of the dead one's addresses go to
//! one interface. A packet socket on the client notes every frame the new owner sends about them.
//!
//! ```text
//!  cut ──── detected ──── first frame of 99 % ──── neighbour table right
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_addr::Mac;
use ferrolb_l2_proto::{BURST, FRAME, arp, eth};
use ferrolb_lab::api::{Ref, wait_until};
use ferrolb_lab::command::Run;
use ferrolb_lab::fault::Cable;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::report::line;
use ferrolb_lab::scenario::demo;
use ferrolb_lab::{Control, Error, Host, NAMESPACE, Netns, Result};
use ferrolb_sys::{Filter, PacketSocket, Waker, links, wait};
use jiff::Timestamp;
use serde_json::json;

use super::rest::wait_until_quiet;
use crate::cluster::{Cluster, PATIENCE, broken};
use crate::report::{Limit, Measure};
use crate::sample::Samples;
use crate::subject::Subject;

/// Addresses the client knows.
const KNOWN: usize = 300;

/// Between two looks at the client's neighbour table.
const LOOK_PERIOD: Duration = Duration::from_millis(5);

/// How long is listened after the cut.
const LISTEN: Duration = Duration::from_secs(15);

/// `services` are both nodes' together: about half of them are the dead one's.
pub(super) fn measure(
    subject: &Subject,
    control: &Control,
    services: usize,
    runs: usize,
) -> Result<Vec<Measure>> {
    let cluster = Cluster::up(subject, control)?;
    let advertisement = Ref::new("L2Advertisement", NAMESPACE, "bench");
    let two = json!({ "matchExpressions": [
        { "key": "kubernetes.io/hostname", "operator": "In", "values": ["node1", "node2"] },
    ] });
    cluster.lab.api().patch(advertisement, &json!({ "spec": { "nodeSelectors": [two] } }))?;
    let addresses = cluster.serve_many(0, services)?;
    wait_until_quiet(&cluster)?;

    let mut moves = Moves::default();
    for run in 1..=runs {
        moves.one(&cluster, &addresses)?;
        line(format_args!(
            "   {run}/{runs}: {:.0} addresses, 99 % told {:.0} ms after the cut",
            moves.count.last(),
            moves.told_from_cut.last()
        ));
        wait_until_quiet(&cluster)?;
    }
    Ok(moves.measures())
}

#[derive(Debug, Default)]
struct Moves {
    count: Samples,
    told_from_cut: Samples,
    told: Samples,
    right_from_cut: Samples,
    right: Samples,
    bucket: Samples,
}

impl Moves {
    fn one(&mut self, cluster: &Cluster, addresses: &[Ipv4Addr]) -> Result<()> {
        let lab = &cluster.lab;
        let client = cluster.client()?;
        let (dead, heir) = (lab.host("node1")?, lab.host("node2")?);
        let listener = Listener::start(client)?;
        let owned = listener.owned(client, addresses, dead.mac(Lan::One))?;
        let known: Vec<_> = owned.iter().take(KNOWN).copied().collect();
        let one = *known.first().ok_or_else(|| broken("node1 has no address"))?;
        learn(client, &known, dead.mac(Lan::One))?;
        // The kernel believes nothing new about an entry for a second.
        thread::sleep(Duration::from_millis(1500));
        let table = Table::start(client, known, heir.mac(Lan::One))?;

        let (cut, cut_at) = (Instant::now(), Timestamp::now());
        let cable = Cable::of(dead, Lan::One);
        cable.silence()?;
        thread::sleep(LISTEN);
        let frames = listener.stop()?;
        let right = table.stop()?;
        let detected = demo::detection(&*lab.speaker(heir.name())?, dead.name(), cut_at).ok();

        let frames: Vec<_> = frames
            .into_iter()
            .filter(|frame| frame.at > cut && frame.mac == heir.mac(Lan::One))
            .collect();
        self.bucket.push(fullest_bucket(&frames));
        let mut first: BTreeMap<Ipv4Addr, Instant> = BTreeMap::new();
        for frame in &frames {
            first.entry(frame.address).or_insert(frame.at);
        }
        let mut told = Samples::default();
        for address in &owned {
            let at = first.get(address).map_or(LISTEN, |at| at.duration_since(cut));
            told.push_millis(at);
        }
        #[expect(clippy::cast_precision_loss, reason = "a thousand or two")]
        self.count.push(owned.len() as f64);
        let told = told.quantile(99);
        let right = right.map_or(LISTEN, |at| at.duration_since(cut)).as_secs_f64() * 1e3;
        self.told_from_cut.push(told);
        self.right_from_cut.push(right);
        if let Some(detected) = detected {
            let detected = detected.as_secs_f64() * 1e3;
            self.told.push(told - detected);
            self.right.push(right - detected);
        }

        cable.restore()?;
        lab.speaker(dead.name())?.restart()?;
        lab.wait_ready(PATIENCE)?;
        wait_until("the former owner has its addresses again", PATIENCE, || {
            let macs = cluster.ask(one.into())?;
            let alone = macs.len() == 1 && macs.contains(&dead.mac(Lan::One));
            Ok(if alone { Ok(()) } else { Err(format!("{macs:?}")) })
        })
    }

    fn measures(&self) -> Vec<Measure> {
        let figure = |what: &str| format!("a node with 1,000 addresses dies: {what}");
        let of = |what: &str, unit, samples, percent| {
            Measure::of("moves", &figure(what), unit, samples, percent)
        };
        let mut measures = vec![
            of("addresses it had", "", &self.count, 50),
            of("cut → first frame of 99 %", "ms", &self.told_from_cut, 100),
            of("cut → 300 neighbour entries right", "ms", &self.right_from_cut, 100),
        ];
        if !self.told.raw().is_empty() {
            measures.push(
                of("detected → first frame of 99 %", "ms", &self.told, 100)
                    .at_most(Limit::Value(100.0)),
            );
            measures.push(
                of("detected → 300 neighbour entries right", "ms", &self.right, 100)
                    .at_most(Limit::Value(300.0)),
            );
        }
        measures.push(
            of("most frames in the bucket", "", &self.bucket, 100)
                .at_most(Limit::Value(f64::from(BURST))),
        );
        measures
    }
}

/// A claim that was told to everybody.
#[derive(Clone, Copy, Debug)]
struct Claim {
    at: Instant,
    address: Ipv4Addr,
    mac: Mac,
    /// Whether it answers a question of ours.
    answer: bool,
}

/// How full a bucket gets that every frame falls into and that is emptied at the pace frames may have.
fn fullest_bucket(frames: &[Claim]) -> f64 {
    let (mut level, mut fullest) = (0.0_f64, 0.0_f64);
    let mut before = None;
    for frame in frames.iter().filter(|frame| !frame.answer) {
        let passed = before.map_or(0.0, |at| frame.at.duration_since(at).as_secs_f64());
        level = (level - passed / FRAME.as_secs_f64()).max(0.0) + 1.0;
        fullest = fullest.max(level);
        before = Some(frame.at);
    }
    fullest
}

/// Hears every ARP frame that reaches a host.
struct Listener {
    socket: Arc<PacketSocket>,
    waker: Waker,
    thread: thread::JoinHandle<Result<Result<Vec<Claim>>>>,
}

impl Listener {
    fn start(client: &Host) -> Result<Self> {
        let name = Lan::One.interface();
        let own = client.mac(Lan::One);
        let socket = Arc::new(client.netns.inside(|| {
            let link = links().map_err(sys)?.into_iter().find(|link| link.name == name);
            let index = link.ok_or_else(|| Error::unknown("interface", name, []))?.index;
            PacketSocket::open(index, name, Filter::Arp).map_err(sys)
        })??);
        let waker = Waker::new().map_err(sys)?;
        let (stop, heard) = (waker.clone(), Arc::clone(&socket));
        let thread = client.netns.spawn("listener", move || listen(&heard, own, &stop))?;
        Ok(Self { socket, waker, thread })
    }

    /// Which of these a station answers for; asks for each of them.
    fn owned(&self, client: &Host, addresses: &[Ipv4Addr], mac: Mac) -> Result<BTreeSet<Ipv4Addr>> {
        let other = Self::start(client)?;
        for address in addresses {
            self.socket.send(super::arp::question(client, *address)?.as_bytes()).map_err(sys)?;
            thread::sleep(Duration::from_micros(500));
        }
        thread::sleep(Duration::from_millis(500));
        let claims = other.stop()?;
        let answered: BTreeSet<_> = claims.iter().map(|claim| claim.address).collect();
        if answered.len() < addresses.len() {
            return Err(broken(format!("{} of {} answered", answered.len(), addresses.len())));
        }
        Ok(claims
            .iter()
            .filter(|claim| claim.answer && claim.mac == mac)
            .map(|claim| claim.address)
            .collect())
    }

    fn stop(self) -> Result<Vec<Claim>> {
        self.waker.wake();
        self.thread.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))?
    }
}

fn listen(socket: &PacketSocket, own: Mac, stop: &Waker) -> Result<Vec<Claim>> {
    let mut claims = Vec::with_capacity(20_000);
    let mut buffer = [0u8; 128];
    loop {
        while let Some(received) = socket.recv(&mut buffer).map_err(sys)? {
            let at = Instant::now();
            let Ok((header, body)) = eth::Header::decode(&buffer[..received.len]) else { continue };
            let Ok(packet) = arp::Packet::decode(body) else { continue };
            let answer = header.destination == own && packet.operation == arp::REPLY;
            if answer || packet.sender_ip == packet.target_ip {
                let (address, mac) = (packet.sender_ip, packet.sender_mac);
                claims.push(Claim { at, address, mac, answer });
            }
        }
        if wait(&[socket.as_fd()], stop, None).map_err(sys)?.woken() {
            return Ok(claims);
        }
    }
}

/// Lets a host's kernel believe that a station has these addresses.
fn learn(host: &Host, addresses: &[Ipv4Addr], mac: Mac) -> Result<()> {
    let mut lines = String::new();
    for address in addresses {
        let nic = Lan::One.interface();
        let _ = writeln!(lines, "neighbour replace {address} lladdr {mac} dev {nic} nud stale");
    }
    host.netns.success(&Run::new(["ip", "-batch", "-"]).input(lines)).map(drop)
}

/// Looks at a host's neighbour table until all of some addresses are a station's.
struct Table {
    stopped: Arc<AtomicBool>,
    thread: thread::JoinHandle<Result<Result<Option<Instant>>>>,
}

impl Table {
    fn start(host: &Host, addresses: Vec<Ipv4Addr>, mac: Mac) -> Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        let netns: &Netns = &host.netns;
        let thread = netns.spawn("neighbours", move || {
            while !stop.load(Ordering::Relaxed) {
                if knows(&addresses, mac)? {
                    return Ok(Some(Instant::now()));
                }
                thread::sleep(LOOK_PERIOD);
            }
            Ok(None)
        })?;
        Ok(Self { stopped, thread })
    }

    /// When it was so.
    fn stop(self) -> Result<Option<Instant>> {
        self.stopped.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))?
    }
}

fn knows(addresses: &[Ipv4Addr], mac: Mac) -> Result<bool> {
    // The calling thread's network namespace, not the process'.
    let path = "/proc/thread-self/net/arp";
    let table = fs::read_to_string(path).map_err(Error::io(path))?;
    let mac = mac.to_string();
    let right: BTreeSet<Ipv4Addr> = table
        .lines()
        .filter(|line| line.split_whitespace().nth(3) == Some(&mac))
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect();
    Ok(addresses.iter().all(|address| right.contains(address)))
}

fn sys(error: ferrolb_sys::Error) -> Error {
    Error::io("listener")(std::io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_frames(times: &[(u64, usize)]) -> Vec<Claim> {
        let start = Instant::now();
        let frame = |millis| Claim {
            at: start + Duration::from_millis(millis),
            address: Ipv4Addr::LOCALHOST,
            mac: Mac::ZERO,
            answer: false,
        };
        times.iter().flat_map(|(millis, count)| vec![frame(*millis); *count]).collect()
    }

    #[test]
    fn the_bucket_empties_at_a_frame_a_millisecond() {
        let full = |times| fullest_bucket(&mk_frames(times)).round();
        assert!((full(&[(0, 10), (4, 1)]) - 10.0).abs() < 0.1);
        assert!((full(&[(0, 10), (4, 6)]) - 12.0).abs() < 0.1);
        assert!((full(&[(0, 10), (50, 6)]) - 10.0).abs() < 0.1);
    }
}
