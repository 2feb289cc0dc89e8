//! How the kernel would reach an address now: the same answer a packet sent this moment would get.
//!
//! It is not a table of routes and not a watch: whoever must know of changes asks again, for instance when
//! [`crate::LinkWatch`] tells of one.

use std::net::IpAddr;

use crate::{Error, links::ip, netlink};

/// The way to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Index of the interface packets leave through.
    pub interface: u32,
    /// Our address they would have.
    pub source: Option<IpAddr>,
    /// The next router; `None` when the address is on the link, or our own.
    pub gateway: Option<IpAddr>,
    /// The address is one of this host.
    pub local: bool,
}

impl Route {
    /// Whether no router is on the way.
    pub fn is_on_link(&self) -> bool {
        self.gateway.is_none()
    }
}

/// `struct rtmsg`: family u8, destination length u8, source length u8, TOS u8, table u8, protocol u8, scope u8,
/// type u8, flags u32.
const ROUTE_HEADER: usize = 12;

/// The way to `peer`, through `interface` if one is given; `None` when there is none. Blocks for as long as the
/// kernel needs to look it up, which is microseconds.
pub fn route_to(peer: IpAddr, interface: Option<u32>) -> Result<Option<Route>, Error> {
    let socket = netlink::open(0).map_err(Error::of("open", "netlink socket"))?;
    let kinds = (libc::RTM_GETROUTE, libc::RTM_NEWROUTE);
    match netlink::ask(&socket, kinds, &request(peer, interface)) {
        Ok(answer) => Ok(parse(&answer)),
        Err(error) => match error.raw_os_error() {
            // The last two are what routes of the types prohibit and blackhole answer.
            Some(
                libc::ENETUNREACH
                | libc::EHOSTUNREACH
                | libc::ENETDOWN
                | libc::EACCES
                | libc::EINVAL,
            ) => Ok(None),
            _ => Err(Error::new("find route to", peer, error)),
        },
    }
}

fn request(peer: IpAddr, interface: Option<u32>) -> Vec<u8> {
    let (family, bytes) = match peer {
        IpAddr::V4(ip) => (libc::AF_INET, ip.octets().to_vec()),
        IpAddr::V6(ip) => (libc::AF_INET6, ip.octets().to_vec()),
    };
    let mut request = vec![0; ROUTE_HEADER];
    // Families and lengths in bits are small numbers.
    request[0] = u8::try_from(family).unwrap_or(0);
    request[1] = u8::try_from(bytes.len() * 8).unwrap_or(0);
    let mut attribute = |kind: u16, value: &[u8]| {
        let length = u16::try_from(4 + value.len()).unwrap_or(0);
        request.extend(length.to_ne_bytes());
        request.extend(kind.to_ne_bytes());
        request.extend(value);
    };
    attribute(libc::RTA_DST, &bytes);
    if let Some(index) = interface {
        attribute(libc::RTA_OIF, &index.to_ne_bytes());
    }
    request
}

fn parse(payload: &[u8]) -> Option<Route> {
    let kind = *payload.get(7)?;
    if !matches!(kind, libc::RTN_UNICAST | libc::RTN_LOCAL) {
        return None;
    }
    let (mut interface, mut source, mut gateway) = (None, None, None);
    for (kind, value) in netlink::Attributes::behind(payload, ROUTE_HEADER) {
        match kind {
            libc::RTA_OIF => interface = netlink::read_u32(value, 0),
            libc::RTA_PREFSRC => source = ip(value),
            libc::RTA_GATEWAY => gateway = ip(value),
            // A router of the other family: its family, then its address.
            libc::RTA_VIA => gateway = ip(value.get(2..).unwrap_or_default()),
            _ => {}
        }
    }
    Some(Route { interface: interface?, source, gateway, local: kind == libc::RTN_LOCAL })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::v4("127.0.0.1")]
    #[case::v6("::1")]
    fn our_own_address(#[case] address: IpAddr) {
        let route = route_to(address, None).unwrap().unwrap();
        assert!(route.local && route.is_on_link(), "{route:?}");
        assert_eq!((route.interface, route.source), (1, Some(address)));
    }

    #[test]
    fn what_the_kernel_did_not_finish_is_none() {
        for len in 0..ROUTE_HEADER {
            assert_eq!(parse(&vec![libc::RTN_UNICAST; len]), None);
        }
        assert_eq!(parse(&[0; ROUTE_HEADER]), None);
    }
}
