//! The lab tried on itself: what it builds works, and nothing of it stays behind.
//!
//! A program of its own instead of the test harness, because it starts itself inside a sandbox, and
//! as the lab's API server and backends. Where the machine refuses namespaces it says so and passes.

use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use ferrolb_lab::api::{Ref, wait_until};
use ferrolb_lab::confinement::Confinement;
use ferrolb_lab::fault::{self, Cable};
use ferrolb_lab::plan::Lan;
use ferrolb_lab::probe::neighbour::{self, Watch};
use ferrolb_lab::probe::traffic::Traffic;
use ferrolb_lab::process::{Process, Spec};
use ferrolb_lab::sandbox::{self, Side};
use ferrolb_lab::{Control, Host, Lab, Options};
use serde_json::{Value, json};

type Outcome = Result<(), Box<dyn Error>>;

type Check = (&'static str, fn(&Lab) -> Outcome);

const CHECKS: [Check; 6] = [
    (
        "a_client_reaches_backends_under_both_policies",
        a_client_reaches_backends_under_both_policies,
    ),
    ("a_silent_death_is_seen_by_probes", a_silent_death_is_seen_by_probes),
    ("two_lans_are_two_lans", two_lans_are_two_lans),
    ("a_partition_splits_and_heals", a_partition_splits_and_heals),
    ("loss_loses_about_its_share", loss_loses_about_its_share),
    (
        "a_confined_process_has_what_its_manifest_grants",
        a_confined_process_has_what_its_manifest_grants,
    ),
];

#[derive(Parser)]
enum AsFerrolb {
    Lab(ferrolb_lab::Args),
}

fn main() -> ExitCode {
    let argument = std::env::args().nth(1).unwrap_or_default();
    match argument.as_str() {
        "lab" => {
            let AsFerrolb::Lab(args) = AsFerrolb::parse();
            ferrolb_lab::run(args)
        }
        "hold" | "panic" => victim(&argument),
        _ if std::env::var_os("FERROLB_LAB").is_none() => outside(),
        _ => inside(),
    }
}

/// Before the sandbox: what becomes of one whose owner ends.
fn outside() -> ExitCode {
    for end in ["KILL", "INT", "TERM", "panic"] {
        if let Err(error) = nothing_stays_behind(end) {
            eprintln!("nothing_stays_behind after {end}: {error}");
            return ExitCode::FAILURE;
        }
    }
    inside()
}

fn inside() -> ExitCode {
    match sandbox::enter("lab-test") {
        Ok(Side::Ended(code)) => return code,
        Ok(Side::Inside) => {}
        Err(refusal) => {
            println!("skipped: {refusal}");
            return ExitCode::SUCCESS;
        }
    }
    let lab = match mk_lab() {
        Ok(lab) => lab,
        Err(error) => {
            eprintln!("building the lab: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut code = ExitCode::SUCCESS;
    for (name, check) in CHECKS {
        match check(&lab) {
            Ok(()) => println!("{name} ... ok"),
            Err(error) => {
                println!("{name} ... FAILED: {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn mk_lab() -> Result<Lab, Box<dyn Error>> {
    let options = Options { second_lan: true, control: Control::Embedded, ..Options::new()? };
    let mut lab = Lab::up(options)?;
    for node in ["node1", "node2", "node3"] {
        lab.start_backend("default", "web", node)?;
    }
    Ok(lab)
}

/// Gives a Service addresses as the controller would, and lets `node1` answer for them as its owner.
fn mk_service(lab: &Lab, policy: &str) -> Result<[IpAddr; 2], Box<dyn Error>> {
    let addresses: [IpAddr; 2] = [Lan::One.v4(240).into(), Lan::One.v6(240).into()];
    lab.apply_service(&json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "type": "LoadBalancer",
            "externalTrafficPolicy": policy,
            "ipFamilyPolicy": "RequireDualStack",
            "selector": { "app": "web" },
            "ports": [
                { "name": "http", "protocol": "TCP", "port": 80 },
                { "name": "echo", "protocol": "UDP", "port": 80 },
            ],
        },
    }))?;
    let ingress = addresses.map(|address| json!({ "ip": address }));
    let service = Ref::new("Service", "default", "web");
    lab.api().patch_status(service, &json!({ "loadBalancer": { "ingress": ingress } }))?;
    for address in addresses {
        let node = lab.host("node1")?;
        node.success(["ip", "address", "replace", &address.to_string(), "dev", "eth0", "nodad"])?;
    }
    Ok(addresses)
}

fn a_client_reaches_backends_under_both_policies(lab: &Lab) -> Outcome {
    let client = lab.host("client")?;
    for (policy, elsewhere) in [("Cluster", true), ("Local", false)] {
        for address in mk_service(lab, policy)? {
            let server = SocketAddr::new(address, 80);
            let seen = wait_until("the right backend", Duration::from_secs(10), || {
                let answer = client.http(server, "/", Duration::from_secs(2));
                let body = answer.map(|(_, body)| body).unwrap_or_default();
                let answer: Value = serde_json::from_str(&body).unwrap_or_default();
                let right = answer["node"].is_string() && (answer["node"] != "node1") == elsewhere;
                Ok(if right { Ok(answer) } else { Err(body) })
            })?;
            let family =
                if address.is_ipv4() { ferrolb_addr::Family::V4 } else { ferrolb_addr::Family::V6 };
            let own = client.address(Lan::One, family).to_string();
            expect((seen["client"] == own.as_str()) != elsewhere, format!("{policy}: {seen}"))?;
        }
    }
    Ok(())
}

fn a_silent_death_is_seen_by_probes(lab: &Lab) -> Outcome {
    let [v4, v6] = mk_service(lab, "Local")?;
    let (client, node) = (lab.host("client")?, lab.host("node1")?);
    let period = Duration::from_millis(10);
    let watches = [v4, v6].map(|address| Watch::start(client, Lan::One, address, period));
    let traffic = Traffic::start(client, SocketAddr::new(v4, 80), 200)?;
    thread::sleep(Duration::from_millis(500));
    let cable = Cable::of(node, Lan::One);
    cable.silence()?;
    let carrier = node.success(["cat", "/sys/class/net/eth0/carrier"])?;
    let dead = Duration::from_millis(300);
    thread::sleep(dead);
    cable.restore()?;
    thread::sleep(Duration::from_millis(500));
    expect(carrier.trim() == "1", format!("carrier {carrier}"))?;
    for watch in watches {
        let heard = watch?.stop()?;
        expect(heard.answers().all(|seen| seen.mac == node.mac(Lan::One)), "a stranger answered")?;
        expect(heard.longest_silence().length() >= dead, "no silence of neighbours")?;
    }
    let outcome = traffic.stop()?;
    expect(outcome.lost() > 0, "no probe was lost")?;
    expect(outcome.lost() < outcome.probes.len(), "every probe was lost")?;
    expect(outcome.longest_silence().length() >= dead, "no silence of traffic")
}

fn two_lans_are_two_lans(lab: &Lab) -> Outcome {
    let (near, far, node) = (lab.host("client")?, lab.host("client2")?, lab.host("node2")?);
    for family in [ferrolb_addr::Family::V4, ferrolb_addr::Family::V6] {
        let ask = |host: &Host, lan, of: Lan| {
            neighbour::ask(host, lan, node.address(of, family), 5, Duration::from_millis(20))
        };
        let own = |lan| [node.mac(lan)].into_iter().collect();
        expect(ask(near, Lan::One, Lan::One)? == own(Lan::One), "LAN 1 does not know its own")?;
        expect(ask(far, Lan::Two, Lan::Two)? == own(Lan::Two), "LAN 2 does not know its own")?;
    }
    Ok(())
}

fn a_partition_splits_and_heals(lab: &Lab) -> Outcome {
    let [one, two, three] = [lab.host("node1")?, lab.host("node2")?, lab.host("node3")?];
    let reaches = |from: &Host, to: &Host| {
        let address = to.address(Lan::One, ferrolb_addr::Family::V4);
        let period = Duration::from_millis(20);
        neighbour::ask(from, Lan::One, address, 5, period).map(|answers| !answers.is_empty())
    };
    fault::partition(Lan::One, &[two, three])?;
    expect(!reaches(one, two)? && reaches(two, three)?, "the LAN is not split")?;
    for host in [two, three] {
        Cable::of(host, Lan::One).restore()?;
    }
    expect(reaches(one, two)? && reaches(two, three)?, "the LAN is not whole again")
}

fn loss_loses_about_its_share(lab: &Lab) -> Outcome {
    let [v4, _] = mk_service(lab, "Local")?;
    let node = lab.host("node1")?;
    fault::lose(node, 8080, 50)?;
    let traffic = Traffic::start(lab.host("client")?, SocketAddr::new(v4, 80), 200)?;
    thread::sleep(Duration::from_secs(1));
    let outcome = traffic.stop()?;
    fault::lose_nothing(node)?;
    let (lost, sent) = (outcome.lost(), outcome.probes.len());
    // Half of some 200: outside of these bounds once in 10^9 runs.
    expect(lost * 10 > sent * 2 && lost * 10 < sent * 8, format!("{lost} of {sent} lost"))
}

fn a_confined_process_has_what_its_manifest_grants(lab: &Lab) -> Outcome {
    // Bit 13 is CAP_NET_RAW.
    for (user, capabilities, mask) in [(0, vec!["net_raw"], 0x2000), (65534, vec![], 0)] {
        let name = format!("confined-{user}");
        let confinement = Confinement {
            user,
            group: user,
            volume_group: Some(4711),
            capabilities: capabilities.into_iter().map(str::to_owned).collect(),
            no_new_privileges: true,
            read_only: true,
            root: format!("/run/{name}").into(),
            programs: vec![(std::env::current_exe()?, "/speaker".to_owned())],
            writable: vec![(format!("/run/{name}-empty").into(), "/var/state".to_owned())],
        };
        confinement.prepare()?;
        std::fs::create_dir_all(confinement.path("/etc/secret"))?;
        std::fs::write(confinement.path("/etc/secret/key"), "a secret\n")?;
        let script = "cat /proc/self/status /etc/secret/key; touch /etc/x /x /usr/x /var/state/x; \
                      ls / /var/state; id -G; ls -l /speaker";
        let user = confinement.effective_user();
        let process = Process::start(Spec {
            name: name.clone(),
            host: lab.host("node1")?.clone(),
            argv: ["sh", "-c", script].map(str::to_owned).into(),
            environment: Vec::new(),
            confinement: Some(confinement),
            log: format!("/run/{name}.log").into(),
        })?;
        wait_until("its end", Duration::from_secs(10), || {
            Ok(process.ended()?.ok_or("still running"))
        })?;
        let log = process.log();
        let field = |name: &str| {
            let line = log.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        let bounding = u64::from_str_radix(&field("CapBnd:"), 16)?;
        let effective = u64::from_str_radix(&field("CapEff:"), 16)?;
        expect(bounding == mask && effective == mask, &log)?;
        expect(field("NoNewPrivs:") == "1", &log)?;
        expect(field("Uid:").starts_with(&format!("{user}\t")), &log)?;
        expect(log.matches("Read-only file system").count() == 3, &log)?;
        expect(log.contains("a secret"), &log)?;
        expect(log.contains("/var/state:\nx\n") && log.contains(" /speaker\n"), &log)?;
    }
    Ok(())
}

/// Starts a sandbox that holds a process, ends its owner, and waits until nobody is left who holds
/// the pipe that all of them inherited.
fn nothing_stays_behind(end: &str) -> Outcome {
    let mut owner = start_victim(if end == "panic" { "panic" } else { "hold" })?;
    let mut pipe = BufReader::new(owner.stdout.take().ok_or("no pipe")?);
    let mut line = String::new();
    pipe.read_line(&mut line)?;
    if line.starts_with("skipped") {
        println!("nothing_stays_behind after {end} ... {}", line.trim());
        return Ok(());
    }
    expect(line == "held\n", format!("it said {line:?}"))?;
    if end != "panic" {
        Command::new("kill").args(["-s", end, &owner.id().to_string()]).status()?;
    }
    let (done, left) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut rest = String::new();
        let _ = pipe.read_to_string(&mut rest);
        done.send(rest)
    });
    let start = Instant::now();
    left.recv_timeout(Duration::from_secs(10)).map_err(|_| "somebody is still alive")?;
    owner.wait()?;
    println!("nothing_stays_behind after {end} ... ok ({} ms)", start.elapsed().as_millis());
    Ok(())
}

fn start_victim(how: &str) -> std::io::Result<Child> {
    // Shells start what runs in the background with SIGINT ignored, and children inherit that.
    Command::new("env")
        .arg("--default-signal=INT")
        .arg(std::env::current_exe()?)
        .arg(how)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
}

/// A sandbox with a process in it that would live for ever.
fn victim(how: &str) -> ExitCode {
    match sandbox::enter("lab-test-victim") {
        Ok(Side::Ended(code)) => return code,
        Ok(Side::Inside) => {}
        Err(refusal) => {
            println!("skipped: {refusal}");
            return ExitCode::SUCCESS;
        }
    }
    let orphan = Command::new("sh").args(["-c", "trap '' INT TERM HUP; sleep 1000"]).spawn();
    println!("held");
    assert!(how != "panic" && orphan.is_ok(), "on purpose");
    loop {
        thread::park();
    }
}

fn expect(holds: bool, otherwise: impl AsRef<str>) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise.as_ref().into()) }
}
