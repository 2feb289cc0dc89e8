//! Things that go wrong, made on purpose and undone again.
//!
//! Faults of the network are made at the switch, where the host cannot see them, or at the host's
//! own rules; faults of processes are signals (see [`crate::process::Process`]).

use crate::command::Run;
use crate::error::Result;
use crate::host::Host;
use crate::netns::Netns;
use crate::plan::Lan;

/// A host's cable to one LAN.
#[derive(Clone, Debug)]
pub struct Cable {
    switch: Netns,
    port: String,
}

impl Cable {
    /// The cable of that host to that LAN.
    pub fn of(host: &Host, lan: Lan) -> Self {
        Self { switch: Netns::new(lan.switch()), port: host.name().to_owned() }
    }

    /// Silent death: the switch forwards nothing any more, the carrier stays.
    pub fn silence(&self) -> Result<()> {
        self.ip(&["nomaster"])
    }

    /// Undoes [`Self::silence`] and [`partition`].
    pub fn restore(&self) -> Result<()> {
        self.ip(&["master", "br0"])
    }

    /// Carrier loss: the port goes down, the host sees its link go.
    pub fn cut(&self) -> Result<()> {
        self.ip(&["down"])
    }

    /// Undoes [`Self::cut`].
    pub fn plug(&self) -> Result<()> {
        self.ip(&["up"])
    }

    fn ip(&self, words: &[&str]) -> Result<()> {
        let argv = ["ip", "link", "set", &self.port].into_iter().chain(words.iter().copied());
        self.switch.success(&Run::new(argv)).map(drop)
    }
}

/// Splits a LAN: these hosts still reach each other, and nobody else. [`Cable::restore`] each of
/// them to heal it.
pub fn partition(lan: Lan, hosts: &[&Host]) -> Result<()> {
    let switch = Netns::new(lan.switch());
    let run = Run::new(["ip", "link", "show", "island"]);
    if switch.output(&run)?.code != Some(0) {
        let lines =
            "link add island type bridge mcast_snooping 0 forward_delay 0\nlink set island up\n";
        switch.success(&Run::new(["ip", "-batch", "-"]).input(lines))?;
    }
    hosts.iter().try_for_each(|host| Cable::of(host, lan).ip(&["master", "island"]))
}

/// Drops a share of the UDP datagrams that arrive for a port at a host, at random.
pub fn lose(host: &Host, port: u16, percent: u8) -> Result<()> {
    filter(host, &[("input", format!("udp dport {port} numgen random mod 100 < {percent} drop"))])
}

/// Drops every UDP datagram for a port, whether it comes to the host or leaves it.
pub fn block(host: &Host, port: u16) -> Result<()> {
    let rule = format!("udp dport {port} drop");
    filter(host, &[("input", rule.clone()), ("output", rule)])
}

fn filter(host: &Host, chains: &[(&str, String)]) -> Result<()> {
    let mut rules =
        "table inet lab_loss\ndelete table inet lab_loss\ntable inet lab_loss {\n".to_owned();
    for (hook, rule) in chains {
        let chain = format!("chain {hook} {{\ntype filter hook {hook} priority -300\n{rule}\n}}\n");
        rules.push_str(&chain);
    }
    rules.push_str("}\n");
    host.netns.success(&Run::new(["nft", "-f", "-"]).input(rules)).map(drop)
}

/// Undoes [`lose`] and [`block`].
pub fn lose_nothing(host: &Host) -> Result<()> {
    let rules = "table inet lab_loss\ndelete table inet lab_loss\n";
    host.netns.success(&Run::new(["nft", "-f", "-"]).input(rules)).map(drop)
}
