//! Snapshots and changes of interfaces on a veth pair.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use ferrolb_addr::Mac;
use ferrolb_sys::{GroupMembership, Link, LinkWatch, Scope, links};
use tokio::time::timeout;

use crate::namespace;

const PATIENCE: Duration = Duration::from_secs(10);

fn mk_wire() {
    namespace::ip("link add near type veth peer name far");
    namespace::ip("link set near up");
    namespace::ip("link set far up");
}

fn find<'a>(links: &'a [Link], name: &str) -> Option<&'a Link> {
    links.iter().find(|link| link.name == name)
}

/// Runs an asynchronous body in a namespace.
fn run(test: &str, body: impl AsyncFnOnce()) {
    namespace::run(test, || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(body());
    });
}

/// Takes snapshots until one fits.
async fn until(watch: &mut LinkWatch, what: &str, fits: impl Fn(&[Link]) -> bool) -> Vec<Link> {
    let wait = async {
        loop {
            let links = watch.next().await.unwrap();
            if fits(&links) {
                return links;
            }
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never saw: {what}"))
}

#[test]
fn a_snapshot_has_all_facts() {
    namespace::run("links::a_snapshot_has_all_facts", || {
        mk_wire();
        namespace::ip("link add lan type bridge");
        namespace::ip("link set far master lan");
        namespace::ip("link set near mtu 1400 address 02:00:00:00:00:07 arp off");
        namespace::ip("address add 192.0.2.7/24 dev near");
        namespace::ip("address add 192.0.2.8 peer 192.0.2.9/32 dev near");
        namespace::ip("address add 2001:db8::7/64 dev near nodad");
        namespace::ip("address add 169.254.1.1/16 dev near scope link");

        let links = links().unwrap();
        let near = find(&links, "near").unwrap();
        assert_eq!(near.mac, Some(Mac([2, 0, 0, 0, 0, 7])));
        assert_eq!(near.mtu, 1400);
        assert!(near.ethernet && near.up && near.carrier && near.broadcast && near.noarp);
        assert!(!near.loopback && !near.has_master);
        let addresses: Vec<_> = near
            .addresses
            .iter()
            .filter(|address| !address.ip.to_string().starts_with("fe80"))
            .map(|address| {
                (address.ip.to_string(), address.prefix_len, address.scope, address.tentative)
            })
            .collect();
        assert_eq!(
            addresses,
            [
                ("169.254.1.1".into(), 16, Scope::Link, false),
                ("192.0.2.7".into(), 24, Scope::Global, false),
                ("192.0.2.8".into(), 32, Scope::Global, false),
                ("2001:db8::7".into(), 64, Scope::Global, false),
            ]
        );

        assert!(find(&links, "far").unwrap().has_master);
        let lan = find(&links, "lan").unwrap();
        assert!(!lan.up && !lan.noarp && !lan.has_master);
    });
}

#[test]
fn many_interfaces_fill_several_datagrams() {
    namespace::run("links::many_interfaces_fill_several_datagrams", || {
        for n in 0..150 {
            namespace::ip(&format!("link add a{n} type veth peer name b{n}"));
            namespace::ip(&format!("address add 10.0.{n}.1/24 dev a{n}"));
        }
        let links = links().unwrap();
        for n in 0..150 {
            let link = find(&links, &format!("a{n}")).unwrap();
            assert_eq!(link.addresses[0].ip, IpAddr::from([10, 0, n, 1]));
            assert!(find(&links, &format!("b{n}")).is_some());
        }
    });
}

#[test]
fn every_change_is_seen() {
    run("links::every_change_is_seen", async || {
        let mut watch = LinkWatch::new().unwrap();
        let first = watch.next().await.unwrap();
        assert!(find(&first, "lo").is_some_and(|lo| !lo.up));

        mk_wire();
        let links = until(&mut watch, "interface that is up", |links| {
            find(links, "near").is_some_and(|near| near.carrier && near.running)
        })
        .await;
        let index = find(&links, "near").unwrap().index;

        until(&mut watch, "duplicate detection done", |links| {
            find(links, "near").is_some_and(|near| near.link_local().is_some())
        })
        .await;

        namespace::ip("address add 192.0.2.7/24 dev near");
        until(&mut watch, "address added", |links| {
            let near = find(links, "near").unwrap();
            near.addresses.iter().any(|address| address.ip == IpAddr::from([192, 0, 2, 7]))
        })
        .await;
        namespace::ip("address delete 192.0.2.7/24 dev near");
        until(&mut watch, "address removed", |links| {
            find(links, "near").unwrap().addresses.iter().all(|address| address.ip.is_ipv6())
        })
        .await;

        namespace::ip("link set far down");
        until(&mut watch, "carrier lost", |links| {
            find(links, "near").is_some_and(|near| near.up && !near.carrier && !near.running)
        })
        .await;
        namespace::ip("link set far up");
        until(&mut watch, "carrier back", |links| find(links, "near").unwrap().carrier).await;

        namespace::ip("link set near address 02:00:00:00:00:09");
        until(&mut watch, "hardware address changed", |links| {
            find(links, "near").unwrap().mac == Some(Mac([2, 0, 0, 0, 0, 9]))
        })
        .await;

        namespace::ip("link set near name uplink");
        let links = until(&mut watch, "renamed", |links| find(links, "uplink").is_some()).await;
        assert_eq!(find(&links, "uplink").unwrap().index, index);
        assert!(find(&links, "near").is_none());

        namespace::ip("link delete uplink");
        until(&mut watch, "removed", |links| find(links, "uplink").is_none()).await;
    });
}

#[test]
fn nothing_is_returned_when_nothing_changed() {
    run("links::nothing_is_returned_when_nothing_changed", async || {
        namespace::ip("link add near type veth peer name far");
        let mut watch = LinkWatch::new().unwrap();
        let first = watch.next().await.unwrap();
        // There and back again before the watch gets to look: notices, but no difference.
        namespace::ip("link set near mtu 1400");
        namespace::ip("link set near mtu 1500");
        assert!(timeout(Duration::from_millis(300), watch.next()).await.is_err());
        assert_eq!(links().unwrap(), first);
    });
}

#[test]
fn notices_the_kernel_dropped_do_not_matter() {
    run("links::notices_the_kernel_dropped_do_not_matter", async || {
        mk_wire();
        let mut watch = LinkWatch::new().unwrap();
        watch.next().await.unwrap();
        // Far more notices than the socket holds, none of them read meanwhile.
        let path = std::env::temp_dir().join(format!("ferrolb-ip-batch-{}", std::process::id()));
        let batch: Vec<_> = (0..4000)
            .map(|n| format!("address add 10.9.{}.{}/32 dev near", n / 200, n % 200))
            .collect();
        std::fs::write(&path, batch.join("\n")).unwrap();
        namespace::ip(&format!("-batch {}", path.display()));
        std::fs::remove_file(&path).unwrap();

        let links = until(&mut watch, "last address", |links| {
            let last = IpAddr::from([10, 9, 19, 199]);
            find(links, "near").unwrap().addresses.iter().any(|address| address.ip == last)
        })
        .await;
        let near = find(&links, "near").unwrap();
        assert_eq!(near.addresses.iter().filter(|address| address.ip.is_ipv4()).count(), 4000);

        // And the watch goes on.
        namespace::ip("link set near mtu 1400");
        until(&mut watch, "later change", |links| find(links, "near").unwrap().mtu == 1400).await;
    });
}

#[test]
fn groups_are_joined_on_the_interface_meant() {
    namespace::run("links::groups_are_joined_on_the_interface_meant", || {
        mk_wire();
        let listed = links().unwrap();
        let near = find(&listed, "near").unwrap().index;
        let group = "ff02::1:ff12:3456".parse().unwrap();
        let is_member = |interface: &str| {
            let text = std::fs::read_to_string("/proc/net/igmp6").unwrap();
            text.lines().any(|line| {
                let fields: Vec<_> = line.split_whitespace().collect();
                fields[1] == interface && fields[2] == "ff0200000000000000000001ff123456"
            })
        };
        let mut membership = GroupMembership::new();
        assert!(membership.reconcile(&[(group, near)].into()).is_empty());
        assert!(is_member("near") && !is_member("far"));

        // An interface that is removed takes its memberships along; leaving them later is no error.
        namespace::ip("link delete near");
        assert!(membership.reconcile(&BTreeSet::new()).is_empty());
        assert_eq!(membership.joined().count(), 0);
    });
}
