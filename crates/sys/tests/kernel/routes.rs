//! The kernel's choice of interface, own address and router.

use std::net::IpAddr;

use ferrolb_sys::{Route, links, route_to};

use crate::namespace;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_way_to_a_peer() {
    namespace::run("routes::the_way_to_a_peer", || {
        namespace::ip("link set lo up");
        namespace::ip("link add near type veth peer name far");
        namespace::ip("link set near up");
        namespace::ip("link set far up");
        assert_eq!(route_to(ip("192.0.2.1"), None).unwrap(), None);
        assert_eq!(route_to(ip("2001:db8::1"), None).unwrap(), None);

        namespace::ip("address add 192.0.2.7/24 dev near");
        namespace::ip("address add 2001:db8::7/64 dev near nodad");
        let interface = links().unwrap().iter().find(|link| link.name == "near").unwrap().index;
        let on_link = |source: &str| Route {
            interface,
            source: Some(ip(source)),
            gateway: None,
            local: false,
        };
        let route = |peer: &str| route_to(ip(peer), None).unwrap();
        assert_eq!(route("192.0.2.1"), Some(on_link("192.0.2.7")));
        assert_eq!(route("2001:db8::1"), Some(on_link("2001:db8::7")));

        namespace::ip("route add default via 192.0.2.1");
        namespace::ip("route add 2001:db8:1::/48 via 2001:db8::1");
        let via =
            |source: &str, gateway: &str| Route { gateway: Some(ip(gateway)), ..on_link(source) };
        assert_eq!(route("198.51.100.1"), Some(via("192.0.2.7", "192.0.2.1")));
        assert_eq!(route("2001:db8:1::1"), Some(via("2001:db8::7", "2001:db8::1")));
        assert!(!route("198.51.100.1").unwrap().is_on_link());

        namespace::ip("route add 203.0.113.0/24 via inet6 2001:db8::1 dev near");
        assert_eq!(route("203.0.113.1"), Some(via("192.0.2.7", "2001:db8::1")));

        for kind in ["blackhole", "unreachable", "prohibit"] {
            namespace::ip(&format!("route replace {kind} 198.51.100.0/24"));
            assert_eq!(route("198.51.100.1"), None, "{kind}");
        }
        assert!(route("192.0.2.7").unwrap().local);
    });
}

#[test]
fn through_a_given_interface() {
    namespace::run("routes::through_a_given_interface", || {
        namespace::ip("link add one type veth peer name two");
        for name in ["one", "two"] {
            namespace::ip(&format!("link set {name} up"));
        }
        for link in links().unwrap().iter().filter(|link| !link.loopback) {
            let route = route_to(ip("fe80::1"), Some(link.index)).unwrap();
            assert_eq!(route.map(|route| route.interface), Some(link.index), "{}", link.name);
        }
    });
}
