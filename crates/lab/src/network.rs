//! The lab's network: a bridge per LAN in a namespace of its own, and a namespace per host.
//!
//! ```text
//!            lan1 (bridge)                         lan2 (bridge, with two LANs)
//!   ┌─────┬───┴───┬────────┬────────┐            ┌────┴───┬────────┐
//!  ctl  node1 … nodeN   client   pod1…       node1 … nodeN   client2
//! ```
//!
//! `ctl` is the namespace the lab's own process lives in; `pod1` and so on are those of Pods of ours
//! that do not use their node's network. A switch port is named after its host.

use std::collections::BTreeMap;
use std::fmt::Write;

use ferrolb_addr::Family;

use crate::command::Run;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::netns::Netns;
use crate::plan::{self, Lan, Role};

/// What the network is made of.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Number of nodes.
    pub nodes: u8,
    /// Whether there is a second LAN.
    pub second_lan: bool,
    /// Whether the switches look into MLD and forward multicast only where it was joined.
    pub snooping: bool,
}

/// The network, up and addressed.
#[derive(Debug)]
pub struct Network {
    hosts: BTreeMap<String, Host>,
    lans: Vec<Lan>,
}

impl Network {
    /// Makes every namespace, link, address and route.
    pub fn build(shape: Shape) -> Result<Self> {
        let lans = if shape.second_lan { vec![Lan::One, Lan::Two] } else { vec![Lan::One] };
        Run::new(["ip", "netns", "attach", "ctl", "1"]).success()?;
        for lan in &lans {
            build_switch(*lan, shape.snooping)?;
        }
        let mut network = Self { hosts: BTreeMap::new(), lans: lans.clone() };
        network.add(Role::Control, &[Lan::One])?;
        for index in 1..=shape.nodes {
            network.add(Role::Node(index), &lans)?;
        }
        for index in 1..=plan::PODS {
            network.add(Role::Pod(index), &[Lan::One])?;
        }
        network.add(Role::Client(1), &[Lan::One])?;
        if shape.second_lan {
            network.add(Role::Client(2), &[Lan::Two])?;
        }
        network.route_pods()?;
        Ok(network)
    }

    /// All hosts, by name.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    /// The LANs there are.
    pub fn lans(&self) -> &[Lan] {
        &self.lans
    }

    /// The nodes in the order of their numbers.
    pub fn nodes(&self) -> Vec<&Host> {
        let mut nodes: Vec<_> =
            self.hosts.values().filter(|host| matches!(host.role, Role::Node(_))).collect();
        nodes.sort_by_key(|host| host.role);
        nodes
    }

    /// The namespaces of Pods of ours that have a network of their own.
    pub(crate) fn pods(&self) -> Vec<Host> {
        self.hosts.values().filter(|host| matches!(host.role, Role::Pod(_))).cloned().collect()
    }

    /// The host of that name.
    pub fn host(&self, name: &str) -> Result<&Host> {
        self.hosts
            .get(name)
            .ok_or_else(|| Error::unknown("host", name, self.hosts.keys().map(String::as_str)))
    }

    /// Makes a host and plugs it into its LANs.
    pub fn add(&mut self, role: Role, lans: &[Lan]) -> Result<&Host> {
        let host = Host::new(role, lans);
        if role != Role::Control {
            Run::new(["ip", "netns", "add", host.name()]).success()?;
        }
        host.netns.sysctl(&sysctls(role))?;
        for lan in lans {
            plug(&host, *lan)?;
        }
        host.batch(&addressing(&host))?;
        Ok(self.hosts.entry(host.name().to_owned()).or_insert(host))
    }

    /// Takes the whole network away again.
    pub fn remove(&self) {
        let switches = self.lans.iter().map(|lan| lan.switch());
        let hosts = self.hosts.keys().map(String::as_str).filter(|name| *name != "ctl");
        for link in self.lans.iter().filter(|lan| **lan == Lan::One) {
            let _ = Run::new(["ip", "link", "delete", link.interface()]).success();
        }
        for name in hosts.chain(switches).chain(["ctl"]) {
            let _ = Run::new(["ip", "netns", "delete", name]).success();
        }
    }

    fn route_pods(&self) -> Result<()> {
        let nodes = self.nodes();
        for host in &nodes {
            let mut lines = String::new();
            for other in nodes.iter().filter(|other| other.role != host.role) {
                let Role::Node(index) = other.role else { continue };
                for (range, family) in plan::pod_ranges(index).iter().zip([Family::V4, Family::V6])
                {
                    let _ = writeln!(
                        lines,
                        "route add {range} via {}",
                        other.address(Lan::One, family)
                    );
                }
            }
            host.batch(&lines)?;
        }
        Ok(())
    }
}

fn build_switch(lan: Lan, snooping: bool) -> Result<()> {
    Run::new(["ip", "netns", "add", lan.switch()]).success()?;
    let flag = u8::from(snooping);
    let lines = format!(
        "link add br0 type bridge mcast_snooping {flag} mcast_querier {flag} forward_delay 0\n\
         link set br0 up\n"
    );
    let switch = Netns::new(lan.switch());
    switch.sysctl(&[("ipv6/conf/all/accept_dad", "0"), ("ipv6/conf/default/accept_dad", "0")])?;
    switch.success(&Run::new(["ip", "-batch", "-"]).input(lines)).map(drop)
}

/// A cable between a host and its port of the switch.
fn plug(host: &Host, lan: Lan) -> Result<()> {
    let (nic, mac, port, switch) = (lan.interface(), host.mac(lan), host.name(), lan.switch());
    host.batch(&format!(
        "link add {nic} address {mac} type veth peer name {port} netns {switch}\n"
    ))?;
    let lines = format!("link set {port} master br0\nlink set {port} up\n");
    Netns::new(switch).success(&Run::new(["ip", "-batch", "-"]).input(lines)).map(drop)
}

fn addressing(host: &Host) -> String {
    let mut lines = "link set lo up\n".to_owned();
    for lan in &host.lans {
        let nic = lan.interface();
        let (v4, v6) = (host.address(*lan, Family::V4), host.address(*lan, Family::V6));
        let _ = writeln!(lines, "link set {nic} up");
        let _ = writeln!(lines, "address add {v4}/24 brd + dev {nic}");
        let _ = writeln!(lines, "address add {v6}/64 dev {nic} nodad");
    }
    if let Role::Node(index) = host.role {
        for address in plan::pod_addresses(index, 0) {
            let _ = writeln!(lines, "address add {address} dev lo nodad");
        }
        // The way to everything else; a node without one could not reach a Service's own address.
        let control = Role::Control.host_number();
        let _ = writeln!(lines, "route add default via {}", Lan::One.v4(control));
        let _ = writeln!(lines, "route add default via {}", Lan::One.v6(control));
    }
    lines
}

fn sysctls(role: Role) -> Vec<(&'static str, &'static str)> {
    let mut settings = vec![
        ("ipv6/conf/all/accept_dad", "0"),
        ("ipv6/conf/default/accept_dad", "0"),
        ("ipv6/conf/default/router_solicitations", "0"),
    ];
    if matches!(role, Role::Node(_)) {
        settings.extend([("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")]);
    }
    if matches!(role, Role::Router(_)) {
        settings.extend([
            ("ipv4/ip_forward", "1"),
            ("ipv6/conf/all/forwarding", "1"),
            // Ports count as well, so that each connection of a client may take another way.
            ("ipv4/fib_multipath_hash_policy", "1"),
            ("ipv6/fib_multipath_hash_policy", "1"),
        ]);
    }
    settings
}
