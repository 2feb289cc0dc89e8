//! Upstream's speakers among ours: a process on their library stands in for one of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use ferrolb_addr::Family;
use ferrolb_lab::api::wait_until;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::process::{Process, Spec};
use ferrolb_lab::{Host, NAMESPACE, Result, fault};
use serde_json::{Value, json};

use super::case;
use crate::manifest::{advertisement, pool, service};
use crate::stage::{PATIENCE, QUIET, Stage, check, fail};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case(
        "upstream_speaker",
        "a node with upstream's membership keeps its share of addresses until it dies",
        upstream,
    ),
    case(
        "another_secret",
        "a speaker with another secret is refused, and the log names both",
        another_secret,
    ),
    case(
        "rotated_secret",
        "the speakers' secret is changed while they run, and nothing moves",
        rotated_secret,
    ),
    case(
        "udp_blocked",
        "no heartbeat ever arrives: membership goes by TCP and decides, more slowly",
        blocked,
    ),
    case("membership_off", "every node counts that the control plane has not lost", off),
];

/// UDP and TCP port of speakers.
const PORT: u16 = 7946;

/// Longer than a speaker that came back waits before it takes anything over.
const HOLD_DOWN: Duration = Duration::from_secs(6);

/// Enough for each of three nodes to own some.
const SERVICES: usize = 9;

fn upstream(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("web", &["172.30.1.200-172.30.1.219"]))?;
    stage.apply(&advertisement("all"))?;
    let names: Vec<String> = (0..SERVICES).map(|index| format!("web-{index}")).collect();
    for name in &names {
        stage.apply(&service(name))?;
    }
    // A speaker that a case before this one started again stands for election a little later.
    thread::sleep(HOLD_DOWN);
    let mut owners = BTreeMap::new();
    for name in &names {
        let address = stage.address(name)?;
        owners.insert(address, stage.announced(name, Lan::One, address)?);
    }
    let Some(theirs) = owners.values().next().cloned() else { return Err(fail("no Services")) };
    let others: Vec<String> = stage.nodes().into_iter().filter(|node| *node != theirs).collect();

    // As when a node is rolled back to upstream's speaker: ours ends, theirs starts.
    stage.lab().speaker(&theirs)?.kill()?;
    wait_for_owners(stage, &owners, |owner, now| *owner != theirs || others.contains(now))?;
    let (_, secret) = shared_secret(stage)?;
    let peer = Peer::start(stage.lab().host(&theirs)?, &secret)?;
    for node in &others {
        peer.tell(&format!("join {}", stage.lab().host(node)?.address(Lan::One, Family::V4)))?;
    }
    peer.expect_members(&stage.nodes())?;

    // It does not answer, and what it owns by everybody's reckoning nobody else answers for.
    for (address, owner) in &owners {
        let wanted = if *owner == theirs { &[][..] } else { &[owner.as_str()] };
        stage.expect_answerers(Lan::One, *address, wanted)?;
    }
    // Until it joined it could have been ours; since then it gets what it can read.
    let before = peer.process.log().len();
    thread::sleep(QUIET);
    let log = peer.process.log();
    let since = log.get(before..).unwrap_or_default();
    check(!since.contains("ecrypt"), || format!("it was sent what it cannot read: {since}"))?;

    drop(peer);
    wait_for_owners(stage, &owners, |owner, now| {
        if *owner == theirs { others.contains(now) } else { now == owner }
    })?;
    stage.restart(&format!("speaker-{theirs}"))?;
    wait_for_owners(stage, &owners, |owner, now| now == owner)
}

fn another_secret(stage: &mut Stage) -> Result<()> {
    let nodes = stage.nodes();
    let [ours, theirs, ..] = &nodes[..] else { return Err(fail("one node is not enough")) };
    let speaker = format!("speaker-{ours}");
    let written = stage.written(&speaker)?;
    stage.lab().speaker(theirs)?.kill()?;
    let peer = Peer::start(stage.lab().host(theirs)?, "0123456789abcdefghijkl")?;
    let address = stage.lab().host(ours)?.address(Lan::One, Family::V4);
    peer.tell(&format!("join {address}"))?;
    let sides = [format!("\"node\":\"{ours}\""), format!("\"peer\":\"{theirs}\"")];
    let words = ["memberRefused", "\"reason\":\"secret\"", &sides[0], &sides[1]];
    stage.wait_for_line(&speaker, written, &words)?;
    peer.expect_members(std::slice::from_ref(theirs))?;
    drop(peer);
    stage.restart(&format!("speaker-{theirs}"))
}

/// The steps of docs/install.md.
fn rotated_secret(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("web", &["172.30.1.200-172.30.1.209"]))?;
    stage.apply(&advertisement("all"))?;
    stage.apply(&service("web"))?;
    let address = stage.address("web")?;
    let owner = stage.announced("web", Lan::One, address)?;
    let (name, old) = shared_secret(stage)?;
    let new: String = old.chars().rev().collect();

    let steadiness = stage.steadiness(address)?;
    for (current, next, accepted) in [(&old, Some(&new), 2), (&new, Some(&old), 2), (&new, None, 1)]
    {
        let speakers: Vec<String> =
            stage.nodes().iter().map(|node| format!("speaker-{node}")).collect();
        let written =
            speakers.iter().map(|name| stage.written(name)).collect::<Result<Vec<_>>>()?;
        let mut patch = json!({ "stringData": { "secretkey": current } });
        match next {
            Some(next) => patch["stringData"]["secretkey-next"] = json!(next),
            None => patch["data"]["secretkey-next"] = Value::Null,
        }
        let patch = patch.to_string();
        stage.kubectl(&["patch", "secret", &name, "-n", NAMESPACE, "-p", &patch])?;
        let accepted = format!("\"accepted\":{accepted}");
        for (speaker, written) in speakers.iter().zip(written) {
            stage.wait_for_line(speaker, written, &["secretChanged", &accepted])?;
        }
        thread::sleep(QUIET);
    }
    steadiness.expect_from(stage.lab().host(&owner)?)?;

    // A process that knows nothing but the new one is taken in.
    let another = stage.nodes().into_iter().find(|node| *node != owner);
    let another = another.ok_or_else(|| fail("one node is not enough"))?;
    let speaker = format!("speaker-{another}");
    let written = stage.written(&speaker)?;
    stage.restart(&speaker)?;
    let all = format!("\"{}\"", stage.nodes().join(","));
    stage.wait_for_line(&speaker, written, &["membersChanged", &all])?;
    stage.expect_owner(address, &owner)
}

fn blocked(stage: &mut Stage) -> Result<()> {
    let speakers: Vec<String> =
        stage.nodes().iter().map(|node| format!("speaker-{node}")).collect();
    stage.apply(&pool("web", &["172.30.1.200-172.30.1.209"]))?;
    stage.apply(&advertisement("all"))?;
    stage.apply(&service("web"))?;
    let address = stage.address("web")?;
    for node in stage.nodes() {
        fault::block(stage.lab().host(&node)?, PORT)?;
    }
    let result = decides(stage, &speakers, address);
    for node in stage.nodes() {
        fault::lose_nothing(stage.lab().host(&node)?)?;
    }
    result
}

fn decides(stage: &Stage, speakers: &[String], address: IpAddr) -> Result<()> {
    let written = stage.written(&speakers[0])?;
    for speaker in speakers {
        stage.lab().process(speaker)?.restart()?;
    }
    stage.wait_for_line(&speakers[0], written, &["peerUnheard"])?;
    // Until all have joined all, nobody knows of all.
    thread::sleep(QUIET * 2);
    let first = stage.owner(address)?;
    stage.steadiness(address).and_then(|steadiness| {
        thread::sleep(QUIET);
        steadiness.expect_from(stage.lab().host(&first)?)
    })?;
    stage.lab().speaker(&first)?.kill()?;
    let second = wait_until(&format!("another than {first} answers"), PATIENCE, || {
        let now = stage.answerers(Lan::One, address)?;
        let others = now.len() == 1 && !now.contains(&first);
        Ok(if others { Ok(now) } else { Err(format!("{now:?}")) })
    })?;
    stage.restart(&format!("speaker-{first}"))?;
    stage
        .expect_owner(address, &first)
        .map_err(|error| fail(format!("{second:?} answered meanwhile: {error}")))
}

fn off(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("web", &["172.30.1.200-172.30.1.209"]))?;
    stage.apply(&advertisement("all"))?;
    stage.apply(&service("web"))?;
    let address = stage.address("web")?;
    stage.with_flag("DaemonSet", "speaker", "--ml-labels=", |stage| {
        let first = stage.owner(address)?;
        stage.set_condition(&first, "Ready", "Unknown")?;
        let moved = wait_until(&format!("another than {first} answers"), PATIENCE, || {
            let now = stage.answerers(Lan::One, address)?;
            let others = now.len() == 1 && !now.contains(&first);
            Ok(if others { Ok(()) } else { Err(format!("{now:?}")) })
        });
        stage.set_condition(&first, "Ready", "True")?;
        moved?;
        stage.expect_owner(address, &first)
    })
}

/// Name and content of the Secret that speakers share.
fn shared_secret(stage: &Stage) -> Result<(String, String)> {
    let object = stage.members_secret()?;
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let template = "go-template={{.data.secretkey | base64decode}}";
    let content = stage.kubectl(&["get", "secret", &name, "-n", NAMESPACE, "-o", template])?;
    Ok((name, content))
}

/// Waits until each address is answered for by one node, and the right one.
fn wait_for_owners(
    stage: &Stage,
    owners: &BTreeMap<IpAddr, String>,
    is_right: impl Fn(&String, &String) -> bool,
) -> Result<()> {
    for (address, owner) in owners {
        wait_until(&format!("the right node answers for {address}"), PATIENCE, || {
            let now = stage.answerers(Lan::One, *address)?;
            let right = now.len() == 1 && now.iter().all(|now| is_right(owner, now));
            Ok(if right { Ok(()) } else { Err(format!("{now:?}, first {owner}")) })
        })?;
    }
    Ok(())
}

/// One node on the real library, steered through a pipe.
struct Peer {
    process: Process,
    host: Host,
    pipe: String,
}

impl Peer {
    /// Starts it under the name of its node.
    fn start(host: &Host, secret: &str) -> Result<Self> {
        let name = format!("upstream-{}", host.name());
        let pipe = format!("/run/{name}.pipe");
        host.success(["sh", "-c", "rm -f \"$1\"; mkfifo \"$1\"", "sh", &pipe])?;
        // Opened both ways, so that it neither waits for a writer nor ends with one.
        let line = r#"pipe=$1; shift; exec "$@" 0<>"$pipe""#;
        let program = program()?.display().to_string();
        let bind = host.address(Lan::One, Family::V4).to_string();
        let words = ["sh", "-c", line, "sh", &pipe, &program, "serve", "-name", host.name()];
        let port = PORT.to_string();
        let flags = ["-bind", &bind, "-port", &port, "-secret", secret];
        let process = Process::start(Spec {
            name: name.clone(),
            host: host.clone(),
            argv: words.into_iter().chain(flags).map(str::to_owned).collect(),
            environment: Vec::new(),
            confinement: None,
            log: format!("/run/{name}.log").into(),
        })?;
        let peer = Self { process, host: host.clone(), pipe };
        peer.wait("it is ready", |log| log.contains("ready "))?;
        Ok(peer)
    }

    fn tell(&self, line: &str) -> Result<()> {
        let script = r#"echo "$1" >"$2""#;
        self.host.success(["sh", "-c", script, "sh", line, &self.pipe]).map(drop)
    }

    /// Waits until it knows these members and no others.
    fn expect_members(&self, names: &[String]) -> Result<()> {
        self.wait(&format!("its members are {names:?}"), |log| {
            let last = log.lines().rev().find_map(|line| line.strip_prefix("members "));
            let nodes = last.into_iter().flat_map(|line| line.split(' '));
            let known = nodes.filter_map(|node| Some(node.split_once('=')?.0));
            let right = known.eq(names.iter().map(String::as_str));
            right || self.tell("members").is_err()
        })
    }

    fn wait(&self, what: &str, done: impl Fn(&str) -> bool) -> Result<()> {
        wait_until(what, PATIENCE, || {
            self.process.expect_running()?;
            let log = self.process.log();
            Ok(if done(&log) { Ok(()) } else { Err(log) })
        })
    }
}

/// The program, built on the way if Go is there.
fn program() -> Result<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/memberlist");
    let output = Command::new(script).output().map_err(|error| fail(error.to_string()))?;
    if !output.status.success() {
        return Err(fail(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(PathBuf::from(folder).join("memberlist-peer"))
}
