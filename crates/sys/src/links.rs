//! The interfaces of this network namespace and their addresses, as the kernel lists them at one moment.
//! Which of them are used for what is not decided here.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
};

use ferrolb_addr::Mac;

use crate::{Error, netlink};

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked for by name")]
pub struct Link {
    /// What the interface is known by; a rename leaves it alone.
    pub index: u32,
    /// Name, as in `eth0`.
    pub name: String,
    /// Hardware address, when it has the six bytes of Ethernet.
    pub mac: Option<Mac>,
    /// Largest packet, in bytes.
    pub mtu: u32,
    /// Frames have an Ethernet header.
    pub ethernet: bool,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// The cable, or what stands for it, is in (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// Passes packets (`IFF_RUNNING`): up, carrier, and not held back by, say, 802.1X. What is sent
    /// earlier, even an instant after the carrier came, the kernel drops without a word.
    pub running: bool,
    /// Can broadcast (`IFF_BROADCAST`).
    pub broadcast: bool,
    /// Does not speak ARP (`IFF_NOARP`).
    pub noarp: bool,
    /// The loopback interface (`IFF_LOOPBACK`).
    pub loopback: bool,
    /// Belongs to a bond, bridge, team, Open vSwitch or VRF.
    pub has_master: bool,
    /// Addresses, in order.
    pub addresses: Vec<LinkAddress>,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkAddress {
    /// The interface's own address (on a point-to-point link, not the peer's).
    pub ip: IpAddr,
    /// Length of the prefix that is on the link.
    pub prefix_len: u8,
    /// How far the address reaches.
    pub scope: Scope,
    /// Not usable: duplicate detection still runs, or found a duplicate.
    pub tentative: bool,
}

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Everywhere, or whatever is not one of the others.
    Global,
    /// This link.
    Link,
    /// This host.
    Host,
}

impl Link {
    /// The first link-local IPv6 address that can be used.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.addresses.iter().find_map(|address| match address.ip {
            IpAddr::V6(ip) if ip.is_unicast_link_local() && !address.tentative => Some(ip),
            _ => None,
        })
    }
}

/// All interfaces, ordered by index. Blocks for as long as the kernel needs to write the list: well below
/// a millisecond on a host with a few dozen interfaces.
pub fn links() -> Result<Vec<Link>, Error> {
    let socket = netlink::open(0).map_err(Error::of("open", "netlink socket"))?;
    let mut found = BTreeMap::new();

    netlink::dump(
        &socket,
        (libc::RTM_GETLINK, libc::RTM_NEWLINK),
        &interface_request(),
        &mut found,
        BTreeMap::clear,
        |found, payload| {
            if let Some(link) = parse_link(payload) {
                found.insert(link.index, link);
            }
        },
    )
    .map_err(Error::of("list", "interfaces"))?;

    netlink::dump(
        &socket,
        (libc::RTM_GETADDR, libc::RTM_NEWADDR),
        &[0; ADDRESS_HEADER],
        &mut found,
        |found| found.values_mut().for_each(|link: &mut Link| link.addresses.clear()),
        |found, payload| {
            if let Some((index, address)) = parse_address(payload)
                && let Some(link) = found.get_mut(&index)
            {
                link.addresses.push(address);
            }
        },
    )
    .map_err(Error::of("list", "addresses"))?;

    let mut links: Vec<_> = found.into_values().collect();
    for link in &mut links {
        link.addresses.sort_unstable();
    }
    Ok(links)
}

/// `struct ifinfomsg`: family u8, padding u8, type u16, index i32, flags u32, change mask u32.
const LINK_HEADER: usize = 16;

/// `struct ifaddrmsg`: family u8, prefix length u8, flags u8, scope u8, index u32.
const ADDRESS_HEADER: usize = 8;

/// All families, and no traffic counters, which are most of an answer's bytes.
fn interface_request() -> Vec<u8> {
    let mut request = vec![0; LINK_HEADER];
    request.extend(8_u16.to_ne_bytes());
    request.extend(libc::IFLA_EXT_MASK.to_ne_bytes());
    request.extend(libc::RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
    request
}

fn parse_link(payload: &[u8]) -> Option<Link> {
    let hardware = netlink::read_u16(payload, 2)?;
    let flags = netlink::read_u32(payload, 8)?;
    let has = |flag: libc::c_int| flags & flag.cast_unsigned() != 0;
    let mut link = Link {
        index: netlink::read_u32(payload, 4)?,
        ethernet: hardware == libc::ARPHRD_ETHER,
        up: has(libc::IFF_UP),
        carrier: has(libc::IFF_LOWER_UP),
        running: has(libc::IFF_RUNNING),
        broadcast: has(libc::IFF_BROADCAST),
        noarp: has(libc::IFF_NOARP),
        loopback: has(libc::IFF_LOOPBACK),
        ..Link::default()
    };
    for (kind, value) in netlink::Attributes::behind(payload, LINK_HEADER) {
        match kind {
            libc::IFLA_IFNAME => link.name = text(value),
            libc::IFLA_ADDRESS => link.mac = <[u8; 6]>::try_from(value).ok().map(Mac),
            libc::IFLA_MTU => link.mtu = netlink::read_u32(value, 0)?,
            libc::IFLA_MASTER => link.has_master = true,
            _ => {}
        }
    }
    Some(link)
}

fn parse_address(payload: &[u8]) -> Option<(u32, LinkAddress)> {
    let &[_, prefix_len, flags, scope] = payload.first_chunk()?;
    let index = netlink::read_u32(payload, 4)?;
    let (mut flags, mut local, mut address) = (u32::from(flags), None, None);
    for (kind, value) in netlink::Attributes::behind(payload, ADDRESS_HEADER) {
        match kind {
            libc::IFA_LOCAL => local = ip(value),
            libc::IFA_ADDRESS => address = ip(value),
            // The same flags again, with those that did not fit into eight bits.
            libc::IFA_FLAGS => flags = netlink::read_u32(value, 0)?,
            _ => {}
        }
    }
    let usable_meanwhile = flags & libc::IFA_F_OPTIMISTIC != 0;
    let tentative = flags & libc::IFA_F_TENTATIVE != 0 && !usable_meanwhile;
    let address = LinkAddress {
        // On a point-to-point link IFA_ADDRESS is the peer; elsewhere both are the same, or IPv6
        // sends only IFA_ADDRESS.
        ip: local.or(address)?,
        prefix_len,
        scope: match scope {
            libc::RT_SCOPE_LINK => Scope::Link,
            libc::RT_SCOPE_HOST => Scope::Host,
            _ => Scope::Global,
        },
        tentative: tentative || flags & libc::IFA_F_DADFAILED != 0,
    };
    Some((index, address))
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// An address of either family, by its length.
pub(crate) fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => <[u8; 4]>::try_from(value).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_listed() {
        let links = links().unwrap();
        assert!(links.is_sorted_by_key(|link| link.index));
        let lo = links.iter().find(|link| link.name == "lo").unwrap();
        assert_eq!(lo.index, 1);
        assert!(lo.loopback && !lo.ethernet && !lo.broadcast && !lo.has_master);
        assert!(lo.mtu > 1280);
        assert_eq!(lo.link_local(), None);
    }

    #[test]
    fn what_the_kernel_did_not_finish_is_left_out() {
        for len in 0..LINK_HEADER - 4 {
            assert_eq!(parse_link(&vec![0; len]), None);
        }
        assert_eq!(parse_address(&[0; ADDRESS_HEADER]), None, "no address in it");
    }
}
