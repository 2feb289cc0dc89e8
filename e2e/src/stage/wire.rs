//! What clients on the LANs see, by packets of their own.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ferrolb_addr::Family;
use ferrolb_lab::api::wait_until;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::probe::neighbour::{self, Heard, Watch};
use ferrolb_lab::probe::traffic::Traffic;
use ferrolb_lab::{Host, Result};
use serde_json::Value;

use super::{PATIENCE, Stage, check, fail};

/// Time between two questions.
pub(crate) const PERIOD: Duration = Duration::from_millis(10);

/// Questions that make up an answer to "who?".
const QUESTIONS: u32 = 5;

/// What a backend says about itself and about who asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    /// The node it is on.
    pub(crate) node: String,
    /// The address it saw the question come from.
    pub(crate) client: IpAddr,
}

/// Questions for an address, and beside them the same for one that a kernel answers for: on a loaded
/// machine both are late, and only what the kernel is better at is our doing.
#[derive(Debug)]
pub(crate) struct Steadiness {
    ours: Watch,
    kernel: Watch,
}

/// More silence than the kernel's that may be chance.
const HICCUP: Duration = Duration::from_millis(500);

impl Steadiness {
    /// Stops asking; an error if somebody else than this node was heard, or if it was silent.
    pub(crate) fn expect_from(self, owner: &Host) -> Result<()> {
        let (ours, kernel) = (self.ours.stop()?, self.kernel.stop()?);
        let mac = owner.mac(Lan::One);
        let stranger = ours.sightings.iter().find(|sighting| sighting.mac != mac);
        check(stranger.is_none(), || format!("besides {} was heard {stranger:?}", owner.name()))?;
        expect_steady(&ours, &kernel)
    }

    /// Stops asking; an error if nobody answered for a while.
    pub(crate) fn expect_from_anybody(self) -> Result<()> {
        expect_steady(&self.ours.stop()?, &self.kernel.stop()?)
    }
}

fn expect_steady(ours: &Heard, kernel: &Heard) -> Result<()> {
    let (ours, kernel) = (ours.longest_silence().length(), kernel.longest_silence().length());
    check(ours < kernel + HICCUP, || {
        format!("no answer for {ours:?}; by the kernel for {kernel:?}")
    })
}

impl Stage {
    /// Starts to look whether an address is answered for without a break, on LAN 1.
    pub(crate) fn steadiness(&self, address: IpAddr) -> Result<Steadiness> {
        let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
        let control = self.lab.host("ctl")?.address(Lan::One, family);
        let (ours, kernel) = (self.watch(Lan::One, address)?, self.watch(Lan::One, control)?);
        Ok(Steadiness { ours, kernel })
    }

    /// The client on a LAN.
    pub(crate) fn client(&self, lan: Lan) -> Result<&Host> {
        self.lab.host(match lan {
            Lan::One => "client",
            Lan::Two => "client2",
        })
    }

    /// Who answers five questions for an address.
    pub(crate) fn answerers(&self, lan: Lan, address: IpAddr) -> Result<BTreeSet<String>> {
        let macs = neighbour::ask(self.client(lan)?, lan, address, QUESTIONS, PERIOD)?;
        Ok(macs.into_iter().map(|mac| self.name_of(mac)).collect())
    }

    /// Waits until exactly one node answers for an address on LAN 1.
    pub(crate) fn owner(&self, address: IpAddr) -> Result<String> {
        self.owner_on(Lan::One, address)
    }

    /// Waits until exactly one node answers for an address.
    pub(crate) fn owner_on(&self, lan: Lan, address: IpAddr) -> Result<String> {
        wait_until(&format!("one node answers for {address} on {lan:?}"), PATIENCE, || {
            let answerers = self.answerers(lan, address)?;
            let mut names = answerers.iter();
            Ok(match (names.next(), names.next()) {
                (Some(name), None) => Ok(name.clone()),
                _ => Err(format!("{answerers:?}")),
            })
        })
    }

    /// Waits until this node, and no other, answers for an address on LAN 1.
    pub(crate) fn expect_owner(&self, address: IpAddr, node: &str) -> Result<()> {
        self.expect_answerers(Lan::One, address, &[node])
    }

    /// Waits until exactly these hosts answer for an address.
    pub(crate) fn expect_answerers(&self, lan: Lan, address: IpAddr, names: &[&str]) -> Result<()> {
        wait_until(&format!("{names:?} answer for {address} on {lan:?}"), PATIENCE, || {
            let answerers = self.answerers(lan, address)?;
            let right = answerers.iter().map(String::as_str).eq(names.iter().copied());
            Ok(if right { Ok(()) } else { Err(format!("{answerers:?}")) })
        })
    }

    /// Waits until one node answers for the address, the status object and the newest event name
    /// the same node.
    pub(crate) fn announced(&self, service: &str, lan: Lan, address: IpAddr) -> Result<String> {
        let owner = self.owner_on(lan, address)?;
        self.expect_status(service, &owner)?;
        wait_until(
            &format!("the newest nodeAssigned of {service} names {owner}"),
            PATIENCE,
            || {
                let mut events = self.events(service)?;
                events.retain(|event| event["reason"] == "nodeAssigned");
                // Times of events are whole seconds: of several in the last one any may be the newest.
                let last = events.last().map(|event| event["lastTimestamp"].clone());
                events.retain(|event| Some(&event["lastTimestamp"]) == last.as_ref());
                let wanted = format!("announcing from node \"{owner}\" with protocol \"layer2\"");
                let named = events.iter().any(|event| event["message"] == *wanted);
                let messages = events.iter().map(|event| event["message"].to_string());
                Ok(if named { Ok(()) } else { Err(messages.collect::<Vec<_>>().join(", ")) })
            },
        )?;
        Ok(owner)
    }

    /// Starts asking for an address on a LAN, and keeps all that is said about it.
    pub(crate) fn watch(&self, lan: Lan, address: IpAddr) -> Result<Watch> {
        Watch::start(self.client(lan)?, lan, address, PERIOD)
    }

    /// Nothing at all was said about the address, asked or unasked.
    pub(crate) fn expect_silence(&self, heard: &Heard) -> Result<()> {
        let names: BTreeSet<_> =
            heard.sightings.iter().map(|sighting| self.name_of(sighting.mac)).collect();
        check(names.is_empty(), || format!("heard about the address from {names:?}"))
    }

    /// Waits until `curl` gets an answer of a backend over TCP port 80.
    pub(crate) fn curl(&self, address: IpAddr) -> Result<Answer> {
        self.curl_until(Lan::One, SocketAddr::new(address, 80), "any", |_| true)
    }

    /// Runs `curl` until an answer is the wanted one.
    pub(crate) fn curl_until(
        &self,
        lan: Lan,
        server: SocketAddr,
        wanted: &str,
        is_wanted: impl Fn(&Answer) -> bool,
    ) -> Result<Answer> {
        wait_until(&format!("curl http://{server}: answer ({wanted})"), PATIENCE, || {
            Ok(match self.curl_once(lan, server) {
                Ok(answer) if is_wanted(&answer) => Ok(answer),
                Ok(answer) => Err(format!("{answer:?}")),
                Err(error) => Err(error.to_string()),
            })
        })
    }

    /// One `curl` from the client of a LAN.
    pub(crate) fn curl_once(&self, lan: Lan, server: SocketAddr) -> Result<Answer> {
        Self::curl_from(self.client(lan)?, server)
    }

    /// One `curl` from any host.
    pub(crate) fn curl_from(host: &Host, server: SocketAddr) -> Result<Answer> {
        let url = format!("http://{server}/");
        let words = ["curl", "--silent", "--show-error", "--connect-timeout", "0.3"];
        let words = words.into_iter().chain(["--max-time", "2", url.as_str()]);
        let body = host.success(words)?;
        let json: Value = serde_json::from_str(&body).unwrap_or_default();
        let client = json["client"].as_str().and_then(|client| client.parse().ok());
        match (json["node"].as_str(), client) {
            (Some(node), Some(client)) => Ok(Answer { node: node.to_owned(), client }),
            _ => Err(fail(format!("no answer of a backend: {body}"))),
        }
    }

    /// Waits until UDP datagrams come back through a Service.
    pub(crate) fn udp(&self, server: SocketAddr) -> Result<()> {
        wait_until(&format!("UDP echo from {server}"), PATIENCE, || {
            let traffic = Traffic::start(self.client(Lan::One)?, server, 50)?;
            std::thread::sleep(Duration::from_millis(100));
            let outcome = traffic.stop()?;
            let answered = outcome.probes.len() - outcome.lost();
            Ok(if answered > 0 { Ok(()) } else { Err("all lost") })
        })
    }

    fn name_of(&self, mac: ferrolb_addr::Mac) -> String {
        let host = self.lab.host_with_mac(mac);
        host.map_or_else(|| mac.to_string(), |host| host.name().to_owned())
    }
}
