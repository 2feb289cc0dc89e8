//! Our own processes end, on purpose and by accident.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use ferrolb_lab::Result;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::probe::traffic::Traffic;
use serde_json::json;

use super::case;
use super::fail_over::taken_over;
use crate::manifest::{TARGET_PORT, advertisement, pool, service};
use crate::stage::{PATIENCE, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("speaker_killed", "L2-59 SIGKILL: another node takes over; it comes back", killed),
    case("speaker_terminated", "L2-59 SIGTERM: handed over, hardly a datagram is lost", terminated),
    case("controller_killed", "Services are created meanwhile: each address once", controller),
];

fn killed(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start")?;
    let address = stage.address("echo")?;
    let first = stage.announced("echo", Lan::One, address)?;
    let lab = stage.lab();
    let (_, second) = {
        let speaker = lab.speaker(&first)?;
        speaker.kill()?;
        taken_over(stage, address, &first, |_| Ok(()))?
    };
    stage.expect_status("echo", &second)?;
    check(stage.announced("echo", Lan::One, address)? == second, || "moved twice".to_owned())?;
    stage.restart(&format!("speaker-{first}"))?;
    stage.expect_owner(address, &first)?;
    stage.announced("echo", Lan::One, address)?;
    stage.curl(address).map(drop)
}

fn terminated(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("web", &["172.30.1.200/32"]))?;
    stage.apply(&advertisement("all"))?;
    stage.apply(&service("web").spec(&json!({ "ports": [
        { "name": "tcp", "protocol": "TCP", "port": 80, "targetPort": TARGET_PORT },
        { "name": "udp", "protocol": "UDP", "port": 80, "targetPort": TARGET_PORT },
    ] })))?;
    let address = stage.address("web")?;
    let server = SocketAddr::new(address, 80);
    let first = stage.announced("web", Lan::One, address)?;
    stage.udp(server)?;
    let steadiness = stage.steadiness(address)?;
    let traffic = Traffic::start(stage.client(Lan::One)?, server, 100)?;
    thread::sleep(Duration::from_millis(500));
    let speaker = stage.lab().speaker(&first)?;
    let (status, _) = speaker.terminate(Duration::from_secs(10))?;
    thread::sleep(Duration::from_millis(500));
    let outcome = traffic.stop()?;
    let steady = steadiness.expect_from_anybody();
    let second = stage.announced("web", Lan::One, address)?;
    speaker.restart()?;
    stage.lab().wait_ready(PATIENCE)?;
    check(status.success(), || format!("ended with {status}"))?;
    check(second != first, || "nobody took over".to_owned())?;
    // Forwarding does not depend on the speaker, and the successor speaks before the leaver falls
    // silent: what is lost is lost to a loaded machine.
    let (lost, all) = (outcome.lost(), outcome.probes.len());
    check(lost * 50 <= all, || format!("{lost} of {all} datagrams were lost"))?;
    steady?;
    stage.expect_owner(address, &first)
}

fn controller(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("web", &["172.30.1.200-172.30.1.219"]))?;
    stage.apply(&advertisement("all"))?;
    let names: Vec<_> = (0..20).map(|index| format!("web-{index}")).collect();
    for (index, name) in names.iter().enumerate() {
        if index == 8 {
            stage.lab().process("controller")?.kill()?;
        }
        if index == 16 {
            stage.lab().process("controller")?.restart()?;
        }
        stage.apply(&service(name))?;
    }
    let mut addresses = Vec::new();
    for name in &names {
        addresses.push(stage.address(name)?);
    }
    addresses.sort_unstable();
    addresses.dedup();
    check(addresses.len() == names.len(), || format!("{} addresses", addresses.len()))
}
