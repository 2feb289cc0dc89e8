//! Which interfaces can answer (`layer2.md` 2.1).

use ferrolb_l2_proto::{IfIndex, Port};
use ferrolb_sys::Link;

/// An interface that can answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Usable {
    /// Its name now.
    pub(crate) name: String,
    /// How it speaks.
    pub(crate) port: Port,
    /// ARP is possible.
    pub(crate) arp: bool,
    /// Neighbor Discovery is possible.
    pub(crate) ndp: bool,
    /// Frames pass: up, with a cable, and past the kernel's own preparations.
    pub(crate) running: bool,
}

impl Usable {
    /// What `link` can do, or `None` if it cannot answer at all: it is down, has no Ethernet
    /// address, belongs to a bond, bridge or VRF, or does not resolve addresses.
    pub(crate) fn of(link: &Link) -> Option<Self> {
        let mac = link.mac?;
        if !link.up || !link.ethernet || link.has_master || link.noarp || link.loopback {
            return None;
        }
        let link_local = link.link_local();
        let (arp, ndp) = (link.broadcast, link_local.is_some());
        (arp || ndp).then(|| Self {
            name: link.name.clone(),
            port: Port { index: IfIndex(link.index), mac, link_local },
            arp,
            ndp,
            running: link.running,
        })
    }
}

#[cfg(test)]
mod tests {
    use ferrolb_addr::Mac;
    use ferrolb_sys::{LinkAddress, Scope};
    use rstest::rstest;

    use super::*;

    fn mk_link() -> Link {
        let link_local = LinkAddress {
            ip: "fe80::1".parse().unwrap(),
            prefix_len: 64,
            scope: Scope::Link,
            tentative: false,
        };
        Link {
            index: 2,
            name: "eth0".to_owned(),
            mac: Some(Mac([2, 0, 0, 0, 0, 1])),
            ethernet: true,
            up: true,
            carrier: true,
            running: true,
            broadcast: true,
            addresses: vec![link_local],
            ..Link::default()
        }
    }

    #[test]
    fn an_ordinary_interface_speaks_both() {
        let usable = Usable::of(&mk_link()).unwrap();
        assert!(usable.arp && usable.ndp && usable.running);
        assert_eq!(usable.port.link_local, Some("fe80::1".parse().unwrap()));
    }

    #[rstest]
    #[case::down(|link: &mut Link| link.up = false)]
    #[case::port_of_a_bridge(|link: &mut Link| link.has_master = true)]
    #[case::no_arp(|link: &mut Link| link.noarp = true)]
    #[case::loopback(|link: &mut Link| link.loopback = true)]
    #[case::no_hardware_address(|link: &mut Link| link.mac = None)]
    #[case::neither_broadcast_nor_link_local(|link: &mut Link| {
        link.broadcast = false;
        link.addresses.clear();
    })]
    fn unfit(#[case] change: fn(&mut Link)) {
        let mut link = mk_link();
        change(&mut link);
        assert_eq!(Usable::of(&link), None);
    }

    #[test]
    fn a_tentative_link_local_address_is_not_yet_one() {
        let mut link = mk_link();
        link.addresses[0].tentative = true;
        let usable = Usable::of(&link).unwrap();
        assert!(usable.arp && !usable.ndp);
    }

    #[test]
    fn without_a_cable_it_may_still_answer_later() {
        let mut link = mk_link();
        link.running = false;
        assert!(!Usable::of(&link).unwrap().running);
    }
}
