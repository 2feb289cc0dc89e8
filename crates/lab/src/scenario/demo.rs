//! `ferrolb lab demo`: the main job end to end, told as it happens.
//!
//! An address is allocated and announced, a client reaches a backend through it, the owner vanishes
//! and another node takes over, a pool runs dry, and all of it again over IPv6. What it says was seen
//! by the client's own packets or read from the API.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_addr::Mac;
use ferrolb_ipam::NodeName;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Story;
use crate::api::{Ref, wait_until};
use crate::error::{Error, Result};
use crate::fault::Cable;
use crate::host::Host;
use crate::lab::{Lab, NAMESPACE};
use crate::plan::Lan;
use crate::probe::neighbour::{self, Watch};
use crate::probe::traffic::Traffic;
use crate::process::Process;

const APP: &str = "web";
const PATIENCE: Duration = Duration::from_secs(20);
const QUESTION_PERIOD: Duration = Duration::from_millis(10);
const PROBES_PER_SECOND: u32 = 200;

/// The objects of the first chapter, as a user would apply them.
const CONFIGURATION: &str = "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: { name: demo, namespace: metallb-system }
spec: { addresses: [172.30.1.240-172.30.1.241, 'fd00:172:30:1::240/124'] }
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: { name: demo, namespace: metallb-system }
spec: { ipAddressPools: [demo] }
";

const SECOND_LAN: &str = "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: { name: second, namespace: metallb-system }
spec: { addresses: [172.30.2.240/32, 'fd00:172:30:2::240/128'], autoAssign: false }
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: { name: second, namespace: metallb-system }
spec: { ipAddressPools: [second], interfaces: [eth1] }
";

/// Tells the whole story in a lab in which our processes run.
pub fn tell(lab: &mut Lab, story: &mut Story) -> Result<()> {
    let nodes: Vec<_> = lab.network().nodes().iter().map(|node| node.name().to_owned()).collect();
    lab.api().apply_yaml(CONFIGURATION)?;
    story.say("applied IPAddressPool demo (172.30.1.240-172.30.1.241, fd00:172:30:1::240/124) and L2Advertisement demo");
    for node in &nodes {
        lab.start_backend("default", APP, node)?;
    }
    story.say(format_args!("started {} backends, one on each node", nodes.len()));

    let address = allocate(lab, story, "web", "IPv4", "Cluster")?;
    announce(lab, story, "web", address)?;
    policies(lab, story, address, nodes.len())?;
    if nodes.len() > 1 {
        fail_over(lab, story, address)?;
    } else {
        story.say("skipped: with one node nobody can take over");
    }
    exhaust(lab, story)?;
    let address = allocate(lab, story, "web-v6", "IPv6", "Cluster")?;
    announce(lab, story, "web-v6", address)?;
    if lab.network().lans().contains(&Lan::Two) {
        second_lan(lab, story)?;
    }
    Ok(())
}

/// A Service is created; how long until its status holds an address?
fn allocate(
    lab: &Lab,
    story: &mut Story,
    name: &str,
    family: &str,
    policy: &str,
) -> Result<IpAddr> {
    let created = Instant::now();
    lab.apply_service(&service(name, &[family], policy))?;
    let address = wait_for_address(lab, name)?;
    let time = created.elapsed();
    story.say(format_args!("Service {name}: {address} allocated in {} ms", millis(time)));
    story.took(&format!("{name}: created → address in status"), time);
    Ok(address)
}

/// Who answers for the address, why, and does the way through work?
fn announce(lab: &Lab, story: &mut Story, name: &str, address: IpAddr) -> Result<()> {
    let (owner, mac) = wait_for_owner(lab, Lan::One, address)?;
    story.say(format_args!(
        "the client asked the LAN five times who has {address}: {mac}, which is {}",
        owner.name()
    ));
    story.say(format_args!("why {}: {}", owner.name(), why(lab, address, &owner)));
    let status = wait_until("ServiceL2Status", PATIENCE, || {
        let statuses = lab.api().list("ServiceL2Status", NAMESPACE, "")?;
        let mut own = statuses.iter().filter(|status| status["status"]["serviceName"] == name);
        let node = own.next().and_then(|status| status["status"]["node"].as_str());
        let node = node.filter(|node| *node == owner.name()).map(str::to_owned);
        Ok(node.ok_or_else(|| format!("{} objects", statuses.len())))
    })?;
    story.say(format_args!("ServiceL2Status says so too: node {status}"));
    // A connection begun before kube-proxy knew the address would never get through.
    let body = wait_until("curl gets an answer", PATIENCE, || {
        Ok(curl(lab, address).map_err(|error| error.to_string()))
    })?;
    story.say(format_args!("curl {} from the client → {}", url(address), body.trim()));
    story.saw(&format!("{name}: announced by"), format_args!("{} ({mac})", owner.name()));
    Ok(())
}

/// Which source address does the backend see?
fn policies(lab: &Lab, story: &mut Story, address: IpAddr, nodes: usize) -> Result<()> {
    for policy in ["Cluster", "Local"] {
        lab.apply_service(&service("web", &["IPv4"], policy))?;
        let (owner, _) = wait_for_owner(lab, Lan::One, address)?;
        // A backend on the owner itself never sees a node's address; look at one further away.
        let elsewhere = policy == "Cluster" && nodes > 1;
        let source = wait_until("an answer from the right backend", PATIENCE, || {
            let body = curl(lab, address).unwrap_or_default();
            let answer: Value = serde_json::from_str(&body).unwrap_or_default();
            let right = answer["node"].is_string() && (answer["node"] != owner.name()) == elsewhere;
            let source = answer["client"].as_str().filter(|_| right);
            Ok(source.map(str::to_owned).ok_or(body))
        })?;
        let own = client(lab)?.address(Lan::One, ferrolb_addr::Family::V4).to_string();
        let whose = if source == own { "the client's own" } else { "a node's" };
        story.say(format_args!(
            "externalTrafficPolicy {policy}: the backend sees {source}, {whose} address"
        ));
        story.saw(&format!("source address, {policy}"), format_args!("{source} ({whose})"));
    }
    Ok(())
}

/// The owner's switch port is taken out: nothing tells anybody, the carrier stays.
fn fail_over(lab: &Lab, story: &mut Story, address: IpAddr) -> Result<()> {
    let (owner, mac) = wait_for_owner(lab, Lan::One, address)?;
    let client = client(lab)?;
    let questions = Watch::start(client, Lan::One, address, QUESTION_PERIOD)?;
    let traffic = Traffic::start(client, SocketAddr::new(address, 80), PROBES_PER_SECOND)?;
    thread::sleep(Duration::from_secs(1));
    let cable = Cable::of(&owner, Lan::One);
    let (cut, cut_at) = (Instant::now(), Timestamp::now());
    cable.silence()?;
    story.say(format_args!("took {}'s switch port out; its carrier stays", owner.name()));
    thread::sleep(Duration::from_secs(3));
    let heard = questions.stop()?;
    let outcome = traffic.stop()?;

    let since = |at: Instant| at.saturating_duration_since(cut);
    let Some(answered) = heard.next_owner(cut, mac) else {
        return Err(Error::Story(format!("nobody took {address} over within 3 s")));
    };
    let Some(successor) = lab.host_with_mac(answered.mac) else {
        return Err(Error::Story(format!("{address} is answered by a stranger, {}", answered.mac)));
    };
    let speaker = lab.speaker(successor.name())?;
    let detected = detection(&speaker, owner.name(), cut_at)?;
    let silence = outcome.longest_silence();
    story.say(format_args!(
        "detection: {} knows after {} ms that {} is dead",
        successor.name(),
        millis(detected),
        owner.name()
    ));
    story.say(format_args!(
        "take-over: a new client gets its first ARP answer {} ms later; of 200 UDP probes/s {} were lost, {} ms of silence",
        millis(since(answered.at).saturating_sub(detected)),
        outcome.lost(),
        millis(silence.length())
    ));
    story.took("fail-over: cut → death detected", detected);
    story.took(
        "fail-over: detected → first ARP answer",
        since(answered.at).saturating_sub(detected),
    );
    story.took("fail-over: cut → first ARP answer to a new client", since(answered.at));
    story.took("fail-over: cut → first UDP probe answered again", since(silence.to));
    story.took("fail-over: longest silence of UDP probes", silence.length());
    story.counted("fail-over: UDP probes lost", outcome.lost(), "probes");
    give_back(lab, story, address, &cable, &owner)
}

/// How long after the cut a speaker knew that another one is dead, by its own log: the one fact here
/// that no packet shows.
pub fn detection(speaker: &Process, dead: &str, cut: Timestamp) -> Result<Duration> {
    let log = speaker.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["event"] == "membersChanged")
        .filter(|line| {
            line["members"].as_str().is_some_and(|all| !all.split(',').any(|one| one == dead))
        })
        .filter_map(|line| line["ts"].as_str()?.parse::<Timestamp>().ok())
        .find_map(|at| Duration::try_from(at.duration_since(cut)).ok())
        .ok_or_else(|| Error::Story(format!("{} never said that {dead} is dead", speaker.name())))
}

/// The cable comes back; so does the address, once its old owner has proved stable.
fn give_back(
    lab: &Lab,
    story: &mut Story,
    address: IpAddr,
    cable: &Cable,
    owner: &Host,
) -> Result<()> {
    let traffic = Traffic::start(client(lab)?, SocketAddr::new(address, 80), PROBES_PER_SECOND)?;
    let restored = Instant::now();
    cable.restore()?;
    let settled = wait_until("the former owner has the address again, alone", PATIENCE, || {
        let answers = ask(lab, Lan::One, address)?;
        let alone = answers == BTreeSet::from([owner.mac(Lan::One)]);
        Ok(if alone { Ok(restored.elapsed()) } else { Err(format!("{answers:?}")) })
    })?;
    thread::sleep(Duration::from_millis(500));
    let outcome = traffic.stop()?;
    story.say(format_args!(
        "plugged {} in again: it answers alone after {:.1} s; {} of {} probes lost meanwhile",
        owner.name(),
        settled.as_secs_f32(),
        outcome.lost(),
        outcome.probes.len()
    ));
    story.took("return: longest silence of UDP probes", outcome.longest_silence().length());
    Ok(())
}

/// The pool has two IPv4 addresses; what does a third Service hear?
fn exhaust(lab: &Lab, story: &mut Story) -> Result<()> {
    lab.apply_service(&service("second", &["IPv4"], "Cluster"))?;
    let last = wait_for_address(lab, "second")?;
    story.say(format_args!("Service second: {last}, the last address of the pool"));
    lab.apply_service(&service("third", &["IPv4"], "Cluster"))?;
    let message = wait_until("an AllocationFailed event", PATIENCE, || {
        let events = lab.api().list("Event", "default", "")?;
        let failed = events.iter().find(|event| {
            event["reason"] == "AllocationFailed" && event["involvedObject"]["name"] == "third"
        });
        let message = failed.and_then(|event| event["message"].as_str()).map(str::to_owned);
        Ok(message.ok_or_else(|| format!("{} events", events.len())))
    })?;
    story.say(format_args!("Service third stays pending: {message}"));
    story.saw("exhausted pool", "AllocationFailed");
    lab.api().delete(Ref::new("Service", "default", "second"))?;
    let freed = Instant::now();
    let address = wait_for_address(lab, "third")?;
    story.say(format_args!(
        "deleted Service second: third got {address} {} ms later",
        millis(freed.elapsed())
    ));
    Ok(())
}

/// A pool announced on `eth1` only is answered on LAN 2 and not on LAN 1.
fn second_lan(lab: &Lab, story: &mut Story) -> Result<()> {
    lab.api().apply_yaml(SECOND_LAN)?;
    let mut object = service("web-lan2", &["IPv4", "IPv6"], "Cluster");
    object["metadata"]["annotations"] = json!({ "metallb.io/address-pool": "second" });
    lab.apply_service(&object)?;
    wait_for_address(lab, "web-lan2")?;
    for address in lab.service_addresses("default", "web-lan2")? {
        let (owner, mac) = wait_for_owner(lab, Lan::Two, address)?;
        let wrong = ask(lab, Lan::One, address)?;
        if !wrong.is_empty() {
            return Err(Error::Story(format!("{address} is answered on LAN 1 by {wrong:?}")));
        }
        story.say(format_args!(
            "{address} (interfaces: [eth1]): LAN 2 hears {mac} ({}), LAN 1 hears nobody",
            owner.name()
        ));
        story.saw(&format!("{address} answered on"), "LAN 2 only");
    }
    Ok(())
}

/// The election of the announcing node, in words.
fn why(lab: &Lab, address: IpAddr, owner: &Host) -> String {
    let names: Vec<_> =
        lab.network().nodes().iter().map(|node| NodeName::from(node.name())).collect();
    let equal = ferrolb_model::election::Rank::sound(0);
    let order = ferrolb_model::election::order(names.iter().map(|name| (name, equal)), address);
    let order: Vec<_> = order.iter().map(|name| name.as_str()).collect();
    let place = order.iter().position(|name| *name == owner.name()).unwrap_or_default() + 1;
    format!(
        "by SHA-256(node#{address}) the order is {}; number {place} is the first that is alive and has a ready endpoint",
        order.join(", ")
    )
}

fn service(name: &str, families: &[&str], policy: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "type": "LoadBalancer",
            "externalTrafficPolicy": policy,
            "ipFamilyPolicy": if families.len() > 1 { "RequireDualStack" } else { "SingleStack" },
            "ipFamilies": families,
            "selector": { "app": APP },
            "ports": [
                { "name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080 },
                { "name": "echo", "protocol": "UDP", "port": 80, "targetPort": 8080 },
            ],
        },
    })
}

fn wait_for_address(lab: &Lab, name: &str) -> Result<IpAddr> {
    wait_until(&format!("Service {name} has an address"), PATIENCE, || {
        let addresses = lab.service_addresses("default", name)?;
        Ok(addresses.first().copied().ok_or("none"))
    })
}

/// The one host that answers for the address.
fn wait_for_owner(lab: &Lab, lan: Lan, address: IpAddr) -> Result<(Host, Mac)> {
    wait_until(&format!("one node answers for {address}"), PATIENCE, || {
        let answers = ask(lab, lan, address)?;
        let mut owners = answers.iter().filter_map(|mac| Some((lab.host_with_mac(*mac)?, *mac)));
        Ok(match (owners.next(), owners.next()) {
            (Some((host, mac)), None) => Ok((host.clone(), mac)),
            _ => Err(format!("answers from {answers:?}")),
        })
    })
}

/// Five questions.
fn ask(lab: &Lab, lan: Lan, address: IpAddr) -> Result<BTreeSet<Mac>> {
    let host = match lan {
        Lan::One => client(lab)?,
        Lan::Two => lab.host("client2")?,
    };
    neighbour::ask(host, lan, address, 5, QUESTION_PERIOD)
}

fn client(lab: &Lab) -> Result<&Host> {
    lab.host("client")
}

fn curl(lab: &Lab, address: IpAddr) -> Result<String> {
    let limits = ["--connect-timeout", "0.3", "--max-time", "2"];
    let words = ["curl", "--silent", "--show-error", &url(address)];
    client(lab)?.success(words.into_iter().chain(limits))
}

fn url(address: IpAddr) -> String {
    format!("http://{}/", SocketAddr::new(address, 80))
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}
