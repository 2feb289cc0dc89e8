//! The API server does not answer, or is gone and comes back: nothing on the wire changes.

use std::thread;
use std::time::Duration;

use ferrolb_lab::Result;
use ferrolb_lab::api::{Ref, wait_until};
use ferrolb_lab::fault::Cable;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::process::Signal;
use serde_json::Value;

use super::case;
use super::fail_over::taken_over;
use crate::manifest::{advertisement, pool, service};
use crate::stage::{PATIENCE, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case(
        "api_server_hangs",
        "stopped for 10 s: answers go on, even fail-over; then all goes on",
        hangs,
    ),
    case(
        "speaker_starts_meanwhile",
        "G-14 without a state folder it waits for the API server and announces after",
        starts,
    ),
    case(
        "speakers_start_from_memory",
        "all restart meanwhile: the owner answers a new client by what it knew last",
        remembers,
    ),
    case("api_server_restarts", "killed and started again: no answer changes", restarts),
    case(
        "api_server_away_for_a_minute",
        "no answer and no address changes, nothing is lost",
        is_away,
    ),
];

const SERVER: &str = "kube-apiserver";

pub(super) fn hangs(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("web", &["172.30.1.200-172.30.1.209"]))?;
    stage.apply(&advertisement("all"))?;
    stage.apply(&service("web"))?;
    let address = stage.address("web")?;
    let first = stage.announced("web", Lan::One, address)?;
    stage.curl(address)?;
    let processes = stage.own_processes();
    let server = stage.lab().process(SERVER)?;
    server.signal(Signal::STOP)?;
    let steadiness = stage.steadiness(address)?;
    thread::sleep(Duration::from_secs(6));
    steadiness.expect_from(stage.lab().host(&first)?)?;
    stage.curl(address)?;
    let (cable, second) = taken_over(stage, address, &first, Cable::silence)?;
    stage.expect_owner(address, &second)?;
    stage.curl(address)?;
    thread::sleep(Duration::from_secs(2));
    cable.restore()?;
    server.signal(Signal::CONT)?;
    stage.expect_owner(address, &first)?;
    stage.announced("web", Lan::One, address)?;
    serves_on(stage, &processes)
}

fn starts(stage: &mut Stage) -> Result<()> {
    stage.with_flag("DaemonSet", "speaker", "--state-folder=", starts_empty)
}

fn starts_empty(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("web", &["172.30.1.200-172.30.1.209"]))?;
    stage.apply(&advertisement("all"))?;
    stage.apply(&service("web"))?;
    let address = stage.address("web")?;
    let first = stage.announced("web", Lan::One, address)?;
    let server = stage.lab().process(SERVER)?;
    server.signal(Signal::STOP)?;
    let speaker = stage.lab().speaker(&first)?;
    speaker.restart()?;
    let processes = stage.own_processes();
    // Others took over from the process that was killed; the new one knows nothing and keeps still.
    wait_until("another node answers", PATIENCE, || {
        let answerers = stage.answerers(Lan::One, address)?;
        let another = !answerers.is_empty() && !answerers.contains(&first);
        Ok(if another { Ok(()) } else { Err(format!("{answerers:?}")) })
    })?;
    stage.curl(address)?;
    server.signal(Signal::CONT)?;
    stage.expect_owner(address, &first)?;
    stage.announced("web", Lan::One, address)?;
    stage.lab().wait_ready(PATIENCE)?;
    serves_on(stage, &processes)
}

/// Nobody is left who has heard of the Service from the API server.
fn remembers(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("web", &["172.30.1.200-172.30.1.209"]))?;
    stage.apply(&advertisement("all"))?;
    stage.apply(&service("web"))?;
    let address = stage.address("web")?;
    let first = stage.announced("web", Lan::One, address)?;
    // Until it is written down.
    thread::sleep(Duration::from_secs(3));
    let server = stage.lab().process(SERVER)?;
    server.kill()?;
    let name = format!("speaker-{first}");
    let from = stage.written(&name)?;
    for node in stage.nodes() {
        stage.lab().speaker(&node)?.restart()?;
    }
    let processes = stage.own_processes();
    stage.wait_for_line(&name, from, &["lastKnownUsed"])?;
    stage.expect_owner(address, &first)?;
    let client = stage.client(Lan::One)?;
    client.success(["ip", "neighbour", "flush", "all"])?;
    stage.curl(address)?;
    // They are members of one cluster again: another death is survived too.
    let (cable, second) = taken_over(stage, address, &first, Cable::silence)?;
    stage.expect_owner(address, &second)?;
    cable.restore()?;
    stage.expect_owner(address, &first)?;
    server.restart()?;
    is_back(stage)?;
    stage.lab().wait_ready(PATIENCE * 3)?;
    stage.wait_for_line(&name, from, &["lastKnownReplaced"])?;
    serves_on(stage, &processes)?;
    stage.announced("web", Lan::One, address).map(drop)
}

fn restarts(stage: &mut Stage) -> Result<()> {
    comes_back_after(stage, Duration::from_secs(3))
}

/// Longer than a lease, a request and every pause between two attempts.
fn is_away(stage: &mut Stage) -> Result<()> {
    comes_back_after(stage, Duration::from_secs(65))
}

fn comes_back_after(stage: &mut Stage, time: Duration) -> Result<()> {
    stage.apply(&pool("web", &["172.30.1.200-172.30.1.209"]))?;
    stage.apply(&advertisement("all"))?;
    stage.apply(&service("web"))?;
    let address = stage.address("web")?;
    let first = stage.announced("web", Lan::One, address)?;
    let others = ["a", "b", "c", "d"];
    others.iter().try_for_each(|name| stage.apply(&service(name)))?;
    let held = others.iter().map(|name| stage.address(name)).collect::<Result<Vec<_>>>()?;
    let processes = stage.own_processes();
    let steadiness = stage.steadiness(address)?;
    let server = stage.lab().process(SERVER)?;
    server.kill()?;
    thread::sleep(time);
    server.restart()?;
    is_back(stage)?;
    serves_on(stage, &processes)?;
    steadiness.expect_from(stage.lab().host(&first)?)?;
    for (name, address) in others.iter().zip(held) {
        stage.keeps(name, &[&address.to_string()], Duration::from_millis(100))?;
    }
    stage.keeps("web", &[&address.to_string()], Duration::from_millis(100))
}

fn is_back(stage: &Stage) -> Result<()> {
    wait_until("the API server is ready", PATIENCE * 3, || {
        Ok(if stage.api().is_ready() { Ok(()) } else { Err("not ready") })
    })
}

/// A new Service is served as if nothing had been, by the same processes.
fn serves_on(stage: &Stage, processes: &[u32]) -> Result<()> {
    stage.apply(&service("late"))?;
    let address = stage.address("late")?;
    let object = stage.api().get(Ref::new("Service", "default", "late"))?.unwrap_or_default();
    // Kubernetes' own controllers wait longer after each outage before they look again, and what they
    // made for a Service of this name before may still be there.
    let query = "labelSelector=kubernetes.io/service-name=late";
    wait_until("late has endpoints", PATIENCE * 3, || {
        let slices = stage.api().list("EndpointSlice", "default", query)?;
        let is_own = |slice: &Value| {
            let owner = &slice["metadata"]["ownerReferences"][0]["uid"];
            // The embedded server's slices have no owner, and go with their Service.
            owner.is_null() || *owner == object["metadata"]["uid"]
        };
        let filled = slices.iter().any(|slice| is_own(slice) && slice["endpoints"][0].is_object());
        Ok(if filled { Ok(()) } else { Err(slices.len()) })
    })?;
    stage.announced("late", Lan::One, address)?;
    wait_until("kube-proxy serves late", PATIENCE * 3, || {
        let answer = stage.curl_once(Lan::One, (address, 80).into());
        Ok(answer.map(drop).map_err(|error| error.to_string()))
    })?;
    check(stage.own_processes() == processes, || "a process was restarted".to_owned())
}
