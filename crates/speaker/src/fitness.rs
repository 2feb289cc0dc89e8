//! What this node lacks to serve some addresses. It tells the others, and they are preferred for those.
//!
//! | Lacks | If |
//! |---|---|
//! | an interface | an advertisement names it, and there is none that passes frames |
//! | a network | a pool has addresses in it, and no interface of it that may announce them passes frames any more |
//! | itself | it is cordoned, or kube-proxy is not well: both only where a flag says so |
//!
//! An interface that was lost counts again after it was well for the hold-down: whoever has the addresses now
//! keeps them while a cable is loose. Pure: interfaces and the time come in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ferrolb_addr::AddrRange;
use ferrolb_model::{Config, Interfaces, L2Advertisement, Labels, Lack};
use ferrolb_sys::Link;
use ipnet::IpNet;

use crate::l2::Usable;

/// Lost interfaces that are remembered: some programs make new ones all the time.
const REMEMBERED: usize = 64;

/// How fit this node is.
#[derive(Debug)]
pub(crate) struct Fitness {
    hold_down: Duration,
    interfaces: BTreeMap<String, Interface>,
    unfit: BTreeSet<Unfit>,
}

/// Why a node gives all its addresses away.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Unfit {
    /// `spec.unschedulable`, where that counts.
    Cordoned,
    /// kube-proxy has not been well for a while, where that counts.
    KubeProxy,
}

#[derive(Debug)]
struct Interface {
    state: State,
    /// The networks it was on when it last passed frames.
    networks: BTreeSet<IpNet>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Passes frames and is counted on from then on.
    Well { from: Duration },
    /// Passes none, or does not exist any more.
    Lost,
}

impl Fitness {
    pub(crate) fn new(hold_down: Duration) -> Self {
        Self { hold_down, interfaces: BTreeMap::new(), unfit: BTreeSet::new() }
    }

    /// Takes over the interfaces that may announce, as they are now.
    pub(crate) fn take_links<'a>(
        &mut self,
        now: Duration,
        links: impl IntoIterator<Item = &'a Link>,
    ) {
        let passing: BTreeMap<&str, &Link> = links
            .into_iter()
            .filter(|link| Usable::of(link).is_some_and(|usable| usable.running))
            .map(|link| (&*link.name, link))
            .collect();
        for (name, interface) in &mut self.interfaces {
            if !passing.contains_key(&**name) {
                interface.state = State::Lost;
            }
        }
        for (name, link) in passing {
            let networks = networks(link);
            let hold_down = self.hold_down;
            let interface = self
                .interfaces
                .entry(name.to_owned())
                .and_modify(|known| known.rise(now + hold_down))
                .or_insert(Interface { state: State::Well { from: now }, networks: [].into() });
            if !networks.is_empty() {
                interface.networks = networks;
            }
        }
        let excess = self.interfaces.len().saturating_sub(REMEMBERED);
        let (idle, other): (Vec<_>, Vec<_>) = self
            .interfaces
            .iter()
            .filter(|(_, interface)| interface.state == State::Lost)
            .partition(|(_, interface)| interface.networks.is_empty());
        let forgotten = idle.into_iter().chain(other).map(|(name, _)| name.clone());
        for name in forgotten.take(excess).collect::<Vec<_>>() {
            self.interfaces.remove(&name);
        }
    }

    /// Takes over whether something keeps the node from being used at all; returns whether that is new.
    pub(crate) fn set_unfit(&mut self, why: Unfit, is: bool) -> bool {
        if is { self.unfit.insert(why) } else { self.unfit.remove(&why) }
    }

    /// Whether something keeps the node from being used.
    pub(crate) fn is_unfit(&self, why: Unfit) -> bool {
        self.unfit.contains(&why)
    }

    /// When a lost interface counts again, if nothing happens before.
    pub(crate) fn next(&self, now: Duration) -> Option<Duration> {
        let states = self.interfaces.values().map(|interface| interface.state);
        let risen = states.filter_map(|state| match state {
            State::Well { from } => Some(from),
            State::Lost => None,
        });
        risen.filter(|from| *from > now).min()
    }

    /// What the node, which has `labels`, lacks now, and how to say it.
    pub(crate) fn lacks(
        &self,
        now: Duration,
        config: &Config,
        labels: &Labels,
    ) -> BTreeMap<Lack, String> {
        let mut lacks = BTreeMap::new();
        for why in &self.unfit {
            let words = match why {
                Unfit::Cordoned => "it is cordoned",
                Unfit::KubeProxy => "kube-proxy is not well",
            };
            lacks.entry(Lack::NODE).or_insert_with(|| words.to_owned());
        }
        let rules: Vec<&L2Advertisement> =
            config.l2_advertisements.iter().filter(|rule| rule.weight(labels).is_some()).collect();
        for name in rules.iter().flat_map(|rule| named(&rule.interfaces)) {
            if !self.interfaces.get(name).is_some_and(|interface| interface.is_well(now)) {
                lacks.insert(Lack::interface(name), format!("interface {name}"));
            }
        }
        for network in self.lost_networks(now, config, &rules) {
            lacks.insert(Lack::network(network), format!("network {network}"));
        }
        lacks
    }

    fn lost_networks(
        &self,
        now: Duration,
        config: &Config,
        rules: &[&L2Advertisement],
    ) -> BTreeSet<IpNet> {
        let (well, lost): (Vec<_>, Vec<_>) =
            self.interfaces.iter().partition(|(_, interface)| interface.is_well(now));
        let reached: BTreeSet<&IpNet> =
            well.iter().flat_map(|(_, interface)| &interface.networks).collect();
        let lost = lost.iter().flat_map(|(name, interface)| {
            interface.networks.iter().map(move |network| (name, network))
        });
        lost.filter(|(_, network)| !reached.contains(network))
            .filter(|(name, network)| {
                rules.iter().any(|rule| may_announce(rule, name, network, config))
            })
            .map(|(_, network)| *network)
            .collect()
    }
}

impl Interface {
    fn rise(&mut self, from: Duration) {
        if self.state == State::Lost {
            self.state = State::Well { from };
        }
    }

    fn is_well(&self, now: Duration) -> bool {
        matches!(self.state, State::Well { from } if from <= now)
    }
}

/// The networks on an interface that more than one host can be in.
fn networks(link: &Link) -> BTreeSet<IpNet> {
    link.addresses
        .iter()
        .filter_map(|address| IpNet::new(address.ip, address.prefix_len).ok())
        .filter(|network| network.prefix_len() < network.max_prefix_len())
        .filter(|network| !matches!(network, IpNet::V6(v6) if v6.addr().is_unicast_link_local()))
        .map(|network| network.trunc())
        .collect()
}

fn named(interfaces: &Interfaces) -> impl Iterator<Item = &String> {
    match interfaces {
        Interfaces::All => None,
        Interfaces::Named(names) => Some(names),
    }
    .into_iter()
    .flatten()
}

/// Whether addresses of `network` may be announced on interface `name` by `rule`.
fn may_announce(rule: &L2Advertisement, name: &str, network: &IpNet, config: &Config) -> bool {
    let on_it = match &rule.interfaces {
        Interfaces::All => true,
        Interfaces::Named(names) => names.contains(name),
    };
    let range = AddrRange::new(network.network(), network.broadcast());
    let mut ranges =
        rule.pools.iter().filter_map(|pool| config.pools.get(pool)).flat_map(|pool| &pool.ranges);
    on_it && range.is_some_and(|range| ranges.any(|other| other.overlaps(&range)))
}

#[cfg(test)]
mod tests;
