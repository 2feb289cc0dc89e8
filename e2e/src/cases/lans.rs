//! Two networks, and switches that forward multicast only to those who asked for it.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use ferrolb_lab::api::wait_until;
use ferrolb_lab::command::Run;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::{Netns, Result};
use serde_json::{Value, json};

use super::case;
use crate::manifest::{advertisement, pool, service};
use crate::stage::{PATIENCE, PERIOD, QUIET, Stage, check, fail};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case(
        "interfaces_of_a_pool",
        "a pool on eth1: LAN 2 hears it, LAN 1 nothing, v4 and v6",
        example,
    ),
    case("status_names_interface", "L2-21 L2-22 status, event, wire and MAC agree", status),
    case("interface_changed", "L2-23 answers follow the advertisement", changed),
    case("interface_missing", "L2-24 no answer, announceFailed says which", missing),
    case("two_interfaces", "L2-25 two advertisements of a pool, one per LAN", two),
    case("interface_and_node", "L2-26 each node in turn on one interface", node),
    case(
        "snooping_switch",
        "the owner joins the group at the kernel, so the switch forwards",
        snooping,
    ),
    case("owner_dies_behind_snooping_switch", "fail-over over IPv6, group and all", dies),
];

fn other(lan: Lan) -> Lan {
    match lan {
        Lan::One => Lan::Two,
        Lan::Two => Lan::One,
    }
}

fn example(stage: &mut Stage) -> Result<()> {
    // All that is said about these addresses on the wrong LAN, from before they are given.
    let wrong = [
        ("172.30.1.230", Lan::Two),
        ("fd00:172:30:1::e0", Lan::Two),
        ("172.30.2.230", Lan::One),
        ("fd00:172:30:2::e0", Lan::One),
    ];
    let mut watches = Vec::new();
    for (address, lan) in wrong {
        let address: IpAddr = address.parse().map_err(|_| fail(address))?;
        watches.push(stage.watch(lan, address)?);
    }
    stage.example("two-lans")?;
    stage.expect_addresses("web", &["172.30.1.230", "fd00:172:30:1::e0"])?;
    stage.expect_addresses("office-dns", &["172.30.2.230", "fd00:172:30:2::e0"])?;
    for (name, lan) in [("web", Lan::One), ("office-dns", Lan::Two)] {
        for address in stage.addresses(name)? {
            let owner = stage.announced(name, lan, address)?;
            check(name == "web" || owner != "node3", || format!("{owner} is not selected"))?;
            stage.curl_until(lan, SocketAddr::new(address, 80), "any", |_| true)?;
            let answerers = stage.answerers(other(lan), address)?;
            check(answerers.is_empty(), || format!("{answerers:?} answer for {address}"))?;
        }
    }
    for watch in watches {
        let heard = watch.stop()?;
        stage.expect_silence(&heard)?;
    }
    Ok(())
}

fn on_interface(interface: &str) -> Value {
    json!({ "interfaces": [interface] })
}

/// A Service with one address of each family of LAN 1's range, announced as the spec says.
fn web(stage: &Stage, spec: &Value) -> Result<Vec<IpAddr>> {
    stage.apply(&pool("web", &["172.30.1.200/32", "fd00:172:30:1::200/128"]))?;
    stage.apply(&advertisement("web").spec(spec))?;
    stage.apply(&service("web").families("RequireDualStack", &["IPv4", "IPv6"]))?;
    stage.addresses("web")
}

fn interfaces_in_status(stage: &Stage) -> Result<Vec<String>> {
    let statuses = stage.statuses("default", "web")?;
    let all = statuses
        .iter()
        .flat_map(|status| status["status"]["interfaces"].as_array().cloned().unwrap_or_default());
    Ok(all.filter_map(|interface| interface["name"].as_str().map(str::to_owned)).collect())
}

fn expect_interfaces(stage: &Stage, wanted: &[&str]) -> Result<()> {
    wait_until(&format!("the status object names {wanted:?}"), PATIENCE, || {
        let names = interfaces_in_status(stage)?;
        Ok(if names == wanted { Ok(()) } else { Err(format!("{names:?}")) })
    })
}

fn status(stage: &mut Stage) -> Result<()> {
    for address in web(stage, &on_interface("eth0"))? {
        let owner = stage.announced("web", Lan::One, address)?;
        expect_interfaces(stage, &["eth0"])?;
        let watch = stage.watch(Lan::One, address)?;
        thread::sleep(PERIOD * 20);
        let heard = watch.stop()?;
        let macs: BTreeSet<_> = heard.answers().map(|answer| answer.mac).collect();
        let wanted = BTreeSet::from([stage.lab().host(&owner)?.mac(Lan::One)]);
        check(macs == wanted, || format!("{macs:?} answer, {wanted:?} was due"))?;
        stage.curl(address)?;
    }
    Ok(())
}

fn changed(stage: &mut Stage) -> Result<()> {
    let addresses = web(stage, &on_interface("eth0"))?;
    for (interface, lan) in [("eth0", Lan::One), ("eth1", Lan::Two), ("eth0", Lan::One)] {
        stage.apply(&advertisement("web").spec(&on_interface(interface)))?;
        for address in &addresses {
            stage.owner_on(lan, *address)?;
            stage.expect_answerers(other(lan), *address, &[])?;
        }
        expect_interfaces(stage, &[interface])?;
    }
    Ok(())
}

fn missing(stage: &mut Stage) -> Result<()> {
    let address: IpAddr = std::net::Ipv4Addr::new(172, 30, 1, 200).into();
    let watches = [stage.watch(Lan::One, address)?, stage.watch(Lan::Two, address)?];
    web(stage, &on_interface("eth9"))?;
    stage.expect_event("web", "announceFailed", &["172.30.1.200", "eth9"])?;
    thread::sleep(QUIET);
    for watch in watches {
        let heard = watch.stop()?;
        stage.expect_silence(&heard)?;
    }
    stage.expect_no_status("web")?;
    stage.apply(&advertisement("web").spec(&on_interface("eth0")))?;
    stage.announced("web", Lan::One, address).map(drop)
}

fn two(stage: &mut Stage) -> Result<()> {
    let addresses = web(stage, &on_interface("eth0"))?;
    stage.apply(&advertisement("second").spec(&on_interface("eth1")))?;
    for address in addresses {
        let first = stage.owner_on(Lan::One, address)?;
        let second = stage.owner_on(Lan::Two, address)?;
        check(first == second, || format!("{first} on LAN 1, {second} on LAN 2"))?;
    }
    expect_interfaces(stage, &["eth0", "eth1"])
}

fn node(stage: &mut Stage) -> Result<()> {
    let addresses = web(stage, &on_interface("eth0"))?;
    for node in stage.nodes() {
        let selector = json!([{ "matchLabels": { "kubernetes.io/hostname": node } }]);
        let spec = json!({ "interfaces": ["eth0"], "nodeSelectors": selector });
        stage.apply(&advertisement("web").spec(&spec))?;
        for address in &addresses {
            stage.expect_owner(*address, &node)?;
            stage.announced("web", Lan::One, *address)?;
            stage.curl(*address)?;
            stage.expect_answerers(Lan::Two, *address, &[])?;
        }
    }
    Ok(())
}

/// Switch ports of LAN 1 behind which somebody has joined the group of an address.
fn ports_that_joined(address: IpAddr) -> Result<BTreeSet<String>> {
    let IpAddr::V6(address) = address else { return Err(fail("IPv4 has no such groups")) };
    let [.., high, low] = address.segments();
    let group = format!("ff02::1:ff{:02x}:{low:x}", high & 0xff);
    let switch = Netns::new(Lan::One.switch());
    let database = switch.success(&Run::new(["bridge", "-j", "mdb", "show", "dev", "br0"]))?;
    let database: Value = serde_json::from_str(&database).unwrap_or_default();
    let entries = database[0]["mdb"].as_array().cloned().unwrap_or_default();
    let joined = entries.iter().filter(|entry| {
        let known = entry["grp"].as_str().and_then(|text| text.parse::<IpAddr>().ok());
        known.is_some() && known == group.parse().ok()
    });
    Ok(joined.filter_map(|entry| entry["port"].as_str().map(str::to_owned)).collect())
}

fn expect_joined(stage: &Stage, address: IpAddr, owner: &str) -> Result<()> {
    wait_until(&format!("{owner} has joined the group of {address}"), PATIENCE, || {
        let ports = ports_that_joined(address)?;
        Ok(if ports.contains(owner) { Ok(()) } else { Err(format!("{ports:?}")) })
    })?;
    // The switch forwards the question, so a client without an idea gets an answer.
    stage.expect_owner(address, owner)
}

fn snooping(stage: &mut Stage) -> Result<()> {
    let addresses = web(stage, &on_interface("eth0"))?;
    let address = *addresses.last().ok_or_else(|| fail("no address"))?;
    let owner = stage.announced("web", Lan::One, address)?;
    expect_joined(stage, address, &owner)?;
    stage.delete_service("web")?;
    wait_until("nobody is in the group any more", PATIENCE, || {
        let ports = ports_that_joined(address)?;
        Ok(if ports.contains(&owner) { Err(format!("{ports:?}")) } else { Ok(()) })
    })
}

fn dies(stage: &mut Stage) -> Result<()> {
    let addresses = web(stage, &on_interface("eth0"))?;
    let address = *addresses.last().ok_or_else(|| fail("no address"))?;
    let silence = ferrolb_lab::fault::Cable::silence;
    let (first, cable) = super::fail_over::fails_over(stage, "web", address, silence)?;
    let second = stage.owner(address)?;
    expect_joined(stage, address, &second)?;
    cable.restore()?;
    stage.expect_owner(address, &first)?;
    expect_joined(stage, address, &first)?;
    let watch = stage.watch(Lan::One, address)?;
    thread::sleep(Duration::from_millis(500));
    let heard = watch.stop()?;
    let mac = stage.lab().host(&first)?.mac(Lan::One);
    check(heard.answers().all(|answer| answer.mac == mac), || format!("two answer: {heard:?}"))
}
