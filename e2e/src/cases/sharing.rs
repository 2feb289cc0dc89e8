//! Several Services on one address.

use std::net::SocketAddr;

use ferrolb_lab::Result;
use ferrolb_lab::plan::Lan;
use serde_json::json;

use super::case;
use crate::manifest::{Manifest, advertisement, pool, service};
use crate::stage::{QUIET, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("e_04_to_08_conditions_change", "E-04 E-05 E-06 E-07 E-08 L2-04", conditions),
    case("dns_example", "one address, TCP and UDP as two Services, both reachable", dns),
    case("sharers_on_one_node_v4", "L2-35 backends apart, announced from one node", one_node_v4),
    case("sharers_on_one_node_v6", "L2-36 the same over IPv6", one_node_v6),
    case("no_key_no_share", "an address in use is refused and the event names its holder", refused),
];

const KEY: &str = "metallb.io/allow-shared-ip";

fn sharer(name: &str, port: u16) -> Manifest {
    service(name).annotate(KEY, "share").port("TCP", port)
}

fn conditions(stage: &mut Stage) -> Result<()> {
    let one = &["172.30.1.200"][..];
    stage.apply(&pool("one", &["172.30.1.200/32"]))?;
    // E-04
    stage.apply(&sharer("svc1", 80))?;
    stage.apply(&sharer("svc2", 81))?;
    stage.expect_addresses("svc1", one)?;
    stage.expect_addresses("svc2", one)?;
    // E-05
    stage.apply(&sharer("svc2", 81).local())?;
    stage.expect_addresses("svc2", &[])?;
    stage.keeps("svc1", one, QUIET)?;
    // E-06
    stage.apply(&sharer("svc1", 80).local())?;
    stage.expect_addresses("svc1", one)?;
    stage.expect_addresses("svc2", one)?;
    // E-07
    let other = json!({ "selector": { "app": null, "foo": "bar" } });
    stage.apply(&sharer("svc1", 80).local().spec(&other))?;
    stage.expect_addresses("svc1", &[])?;
    stage.keeps("svc2", one, QUIET)?;
    // E-08
    stage.apply(&sharer("svc2", 81).local().spec(&other))?;
    stage.expect_addresses("svc1", one)?;
    stage.expect_addresses("svc2", one)
}

fn dns(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start/pool.yaml")?;
    stage.example("shared-address")?;
    stage.expect_addresses("dns-tcp", &["172.30.1.210"])?;
    stage.expect_addresses("dns-udp", &["172.30.1.210"])?;
    let address = stage.address("dns-udp")?;
    let server = SocketAddr::new(address, 53);
    stage.udp(server)?;
    stage.curl_until(Lan::One, server, "any", |_| true)?;
    let owner = stage.announced("dns-udp", Lan::One, address)?;
    check(stage.announced("dns-tcp", Lan::One, address)? == owner, || "two owners".to_owned())?;
    stage.delete_service("dns-udp")?;
    stage.expect_no_status("dns-udp")?;
    stage.expect_owner(address, &owner)?;
    stage.curl_until(Lan::One, server, "any", |_| true).map(drop)
}

fn one_node_v4(stage: &mut Stage) -> Result<()> {
    one_node(stage, "IPv4", "172.30.1.200")
}

fn one_node_v6(stage: &mut Stage) -> Result<()> {
    one_node(stage, "IPv6", "fd00:172:30:1::200")
}

fn one_node(stage: &mut Stage, family: &str, address: &str) -> Result<()> {
    stage.apply(&pool("shared", &["172.30.1.200-172.30.1.209", "fd00:172:30:1::200/124"]))?;
    stage.apply(&advertisement("all"))?;
    for (name, port) in [("one", 80), ("two", 81)] {
        let shared = sharer(name, port).families("SingleStack", &[family]);
        stage.apply(&shared.spec(&json!({ "loadBalancerIP": address })))?;
        stage.expect_addresses(name, &[address])?;
    }
    let ip = stage.address("one")?;
    let owner = stage.announced("one", Lan::One, ip)?;
    check(stage.announced("two", Lan::One, ip)? == owner, || "two owners".to_owned())?;
    for port in [80, 81] {
        stage.curl_until(Lan::One, SocketAddr::new(ip, port), "any", |_| true)?;
    }
    Ok(())
}

fn refused(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start/pool.yaml")?;
    let wanted = "metallb.io/loadBalancerIPs";
    stage.apply(&service("holder").annotate(wanted, "172.30.1.210"))?;
    stage.expect_addresses("holder", &["172.30.1.210"])?;
    stage.apply(&service("late").annotate(wanted, "172.30.1.210").port("TCP", 81))?;
    stage.expect_event("late", "AllocationFailed", &["172.30.1.210", "default/holder"])?;
    stage.keeps("late", &[], QUIET)?;
    stage.delete_service("holder")?;
    stage.expect_addresses("late", &["172.30.1.210"])
}
