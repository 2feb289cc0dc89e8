//! Which stations are those of the cluster's nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ferrolb_addr::Mac;

/// Stations that one node is known by: its interfaces, and those it had before.
const MOST: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Stations {
    hosts: BTreeMap<IpAddr, Vec<Mac>>,
    by_mac: BTreeMap<Mac, IpAddr>,
}

impl Stations {
    /// Takes over the addresses of nodes; returns those that are new.
    pub(super) fn set_hosts(&mut self, hosts: BTreeSet<IpAddr>) -> Vec<IpAddr> {
        self.hosts.retain(|ip, _| hosts.contains(ip));
        self.by_mac.retain(|_, ip| hosts.contains(ip));
        let new: Vec<IpAddr> =
            hosts.into_iter().filter(|ip| !self.hosts.contains_key(ip)).collect();
        self.hosts.extend(new.iter().map(|ip| (*ip, Vec::new())));
        new
    }

    pub(super) fn hosts(&self) -> impl Iterator<Item = IpAddr> {
        self.hosts.keys().copied()
    }

    pub(super) fn is_host(&self, ip: IpAddr) -> bool {
        self.hosts.contains_key(&ip)
    }

    /// `mac` speaks for `ip`. The newest stations of a node are kept.
    pub(super) fn learn(&mut self, ip: IpAddr, mac: Mac) {
        let Some(known) = self.hosts.get_mut(&ip) else { return };
        if known.contains(&mac) {
            return;
        }
        if known.len() == MOST {
            self.by_mac.remove(&known.remove(0));
        }
        known.push(mac);
        self.by_mac.insert(mac, ip);
    }

    /// An address of the node that `mac` belongs to.
    pub(super) fn host(&self, mac: Mac) -> Option<IpAddr> {
        self.by_mac.get(&mac).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn mk_mac(last: u8) -> Mac {
        Mac([2, 0, 0, 0, 0, last])
    }

    #[test]
    fn stations_are_learned_and_forgotten_with_their_node() {
        let mut stations = Stations::default();
        assert_eq!(stations.set_hosts([mk_ip(1), mk_ip(2)].into()), [mk_ip(1), mk_ip(2)]);
        stations.learn(mk_ip(1), mk_mac(1));
        stations.learn(mk_ip(2), mk_mac(2));
        stations.learn(mk_ip(9), mk_mac(9));
        assert_eq!(stations.host(mk_mac(1)), Some(mk_ip(1)));
        assert_eq!(stations.host(mk_mac(9)), None);
        assert_eq!(stations.set_hosts([mk_ip(2), mk_ip(3)].into()), [mk_ip(3)]);
        assert_eq!(stations.host(mk_mac(1)), None);
        assert_eq!(stations.host(mk_mac(2)), Some(mk_ip(2)));
    }

    #[test]
    fn a_node_has_few_stations() {
        let mut stations = Stations::default();
        stations.set_hosts([mk_ip(1)].into());
        for last in 0..100 {
            stations.learn(mk_ip(1), mk_mac(last));
        }
        assert_eq!(stations.host(mk_mac(99)), Some(mk_ip(1)));
        assert_eq!((0..100).filter(|last| stations.host(mk_mac(*last)).is_some()).count(), MOST);
    }
}
