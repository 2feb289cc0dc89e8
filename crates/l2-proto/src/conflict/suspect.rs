//! Stations that answered for an address of ours: owners of it, or routers that answer for everything?
//!
//! Proxy ARP (RFC 1027) and the suppression of EVPN gateways answer for addresses they do not have.
//! Such a station also answers for addresses nobody has, so it is asked for three of those.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ferrolb_addr::Mac;

use super::Contender;
use crate::claim::probe;
use crate::gratuitous::Transmit;
use crate::port::{IfIndex, Port};

/// Addresses asked for, and how many answers show a proxy. One may be the station's own.
const DECOYS: usize = 3;
const ENOUGH: usize = 2;
/// How long answers are waited for.
const WAIT: Duration = Duration::from_millis(150);
/// How long a station is taken for a proxy without being asked again.
const TRUST: Duration = Duration::from_mins(10);
/// Stations under suspicion at once; a flood of made-up ones must cost no memory.
const MOST: usize = 32;

#[derive(Debug)]
pub(super) struct Suspects {
    open: BTreeMap<(IfIndex, Mac), Suspect>,
    proxies: BTreeMap<(IfIndex, Mac), Duration>,
    rng: fastrand::Rng,
}

#[derive(Debug)]
struct Suspect {
    /// Addresses of ours it answered for.
    claims: Vec<IpAddr>,
    /// Addresses asked for, and whether it answered.
    decoys: [(IpAddr, bool); DECOYS],
    judged: Duration,
}

/// What came of one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The station has the address.
    Foreign(Contender),
    /// It answers for anything.
    Proxy,
}

impl Suspects {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            open: BTreeMap::new(),
            proxies: BTreeMap::new(),
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// An interface is gone, and all that was seen on it.
    pub(super) fn forget(&mut self, index: IfIndex) {
        self.open.retain(|(on, _), _| *on != index);
        self.proxies.retain(|(on, _), _| *on != index);
    }

    pub(super) fn is_proxy(&self, now: Duration, index: IfIndex, mac: Mac) -> bool {
        self.proxies.get(&(index, mac)).is_some_and(|until| now < *until)
    }

    /// Whether an answer for `ip` is waited for.
    pub(super) fn asks_for(&self, ip: IpAddr) -> bool {
        self.open.values().any(|suspect| suspect.decoys.iter().any(|(decoy, _)| *decoy == ip))
    }

    /// When the last claim of `ip` will be judged.
    pub(super) fn pending(&self, ip: IpAddr) -> Option<Duration> {
        let claims = self.open.values().filter(|suspect| suspect.claims.contains(&ip));
        claims.map(|suspect| suspect.judged).max()
    }

    pub(super) fn due(&self) -> impl Iterator<Item = Duration> {
        self.open.values().map(|suspect| suspect.judged)
    }

    /// `contender` answered for an address of ours. Returns the questions that try it.
    pub(super) fn accuse(
        &mut self,
        now: Duration,
        port: Port,
        contender: Contender,
    ) -> Vec<Transmit> {
        let key = (contender.interface, contender.mac);
        if let Some(suspect) = self.open.get_mut(&key) {
            if !suspect.claims.contains(&contender.ip) && suspect.claims.len() < MOST {
                suspect.claims.push(contender.ip);
            }
            return Vec::new();
        }
        if self.open.len() >= MOST {
            return Vec::new();
        }
        let decoys = std::array::from_fn(|_| (self.decoy(contender.ip), false));
        let judged = now + WAIT;
        self.open.insert(key, Suspect { claims: vec![contender.ip], decoys, judged });
        decoys
            .map(|(ip, _)| Transmit { interface: port.index, ip, frame: probe(ip, port.mac) })
            .to_vec()
    }

    /// `mac` answered for `ip` on `index`.
    pub(super) fn hear(&mut self, index: IfIndex, mac: Mac, ip: IpAddr) {
        if let Some(suspect) = self.open.get_mut(&(index, mac)) {
            for (decoy, answered) in &mut suspect.decoys {
                *answered |= *decoy == ip;
            }
        }
    }

    /// The claims whose time is up.
    pub(super) fn judge(&mut self, now: Duration) -> Vec<Verdict> {
        self.proxies.retain(|_, until| now < *until);
        let ripe = self.open.extract_if(.., |_, suspect| suspect.judged <= now);
        let mut verdicts = Vec::new();
        for ((interface, mac), suspect) in ripe {
            let answered = suspect.decoys.iter().filter(|(_, answered)| *answered).count();
            if answered >= ENOUGH {
                self.proxies.insert((interface, mac), now + TRUST);
                verdicts.push(Verdict::Proxy);
            } else {
                let contenders =
                    suspect.claims.into_iter().map(|ip| Contender { ip, mac, interface });
                verdicts.extend(contenders.map(Verdict::Foreign));
            }
        }
        verdicts
    }

    /// An address near `ip` that probably nobody has: in its /24, or anywhere in its /64.
    fn decoy(&mut self, ip: IpAddr) -> IpAddr {
        loop {
            let decoy = match ip {
                IpAddr::V4(ip) => {
                    let [a, b, c, _] = ip.octets();
                    // Neither the network nor the broadcast address of a /24.
                    IpAddr::V4(Ipv4Addr::new(a, b, c, self.rng.u8(1..=254)))
                }
                IpAddr::V6(ip) => {
                    let mut octets = ip.octets();
                    octets[8..].copy_from_slice(&self.rng.u64(..).to_be_bytes());
                    IpAddr::V6(Ipv6Addr::from(octets))
                }
            };
            if decoy != ip {
                return decoy;
            }
        }
    }
}
