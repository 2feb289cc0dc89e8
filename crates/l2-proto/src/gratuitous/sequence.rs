//! Which frames a sequence has, and when an address is told again after it.

use std::net::IpAddr;
use std::time::Duration;

use ferrolb_addr::Mac;

use crate::frame::FrameBuf;
use crate::ndp::Advertisement;
use crate::port::Port;
use crate::{arp, ipv6};

/// One frame of a sequence for IPv4. The gap counts from when the frame before it was really handed
/// out, so a late driver never sends two rounds at once.
struct ArpStep {
    after: Duration,
    operation: u16,
}

const fn request(after: u64) -> ArpStep {
    ArpStep { after: Duration::from_millis(after), operation: arp::REQUEST }
}

const fn reply(after: u64) -> ArpStep {
    ArpStep { after: Duration::from_millis(after), operation: arp::REPLY }
}

/// At 0, 0.1, 0.3, 1 and 3 s. The first is the request that every stack takes in, one frame only, so
/// that many addresses are told soon; the last two rounds have both forms, for those that take in one.
static IPV4: [ArpStep; 7] =
    [request(0), reply(100), reply(200), request(700), reply(0), request(2000), reply(0)];
/// The same rounds for IPv6, where one form does.
static IPV6: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(700),
    Duration::from_secs(2),
];

/// How long after the frame before it a step is due; `None` past the end.
pub(super) fn gap(ip: IpAddr, step: usize) -> Option<Duration> {
    match ip {
        IpAddr::V4(_) => IPV4.get(step).map(|step| step.after),
        IpAddr::V6(_) => IPV6.get(step).copied(),
    }
}

/// The frame of a step; past the end that of a refresh, which is the first one again.
pub(super) fn frame(ip: IpAddr, step: usize, port: Port) -> FrameBuf {
    let mut frame = FrameBuf::new();
    match ip {
        IpAddr::V4(ip) => {
            let operation = IPV4.get(step).map_or(arp::REQUEST, |step| step.operation);
            arp::Packet::gratuitous(operation, port.mac, ip).write(Mac::BROADCAST, &mut frame);
        }
        IpAddr::V6(ip) => {
            let station = ipv6::group_mac(ipv6::ALL_NODES);
            Advertisement::unsolicited(ip, port.source_for(ip), port.mac)
                .write(port.mac, station, &mut frame);
        }
    }
    frame
}

/// When an address is told again.
#[derive(Debug)]
pub(super) struct Refresh {
    every: Option<Duration>,
    state: u64,
}

impl Refresh {
    /// Refreshes fall on whole seconds, many in one waking.
    const GRAIN: Duration = Duration::from_secs(1);

    pub(super) fn new(every: Option<Duration>, seed: u64) -> Self {
        Self { every, state: seed }
    }

    /// The next one of an address that was told at `now`: between three quarters of the period and
    /// the whole, up to the next second.
    pub(super) fn after(&mut self, now: Duration) -> Option<Duration> {
        let every = self.every?;
        // Weyl sequence: equidistributed, which is all that spreading needs.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let chance = u32::try_from(self.state >> 40).unwrap_or(0);
        let share = 0.75 + 0.25 * f64::from(chance) / f64::from(1_u32 << 24);
        let due = now + every.mul_f64(share);
        Some(Self::GRAIN * u32::try_from(due.as_millis().div_ceil(1000)).unwrap_or(u32::MAX))
    }
}
