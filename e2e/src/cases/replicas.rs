//! Several controllers at a time: one leads, and no address is given twice.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_lab::api::{Ref, wait_until};
use ferrolb_lab::{NAMESPACE, Result};
use serde_json::json;

use super::case;
use crate::manifest::{advertisement, pool, service};
use crate::stage::{PATIENCE, Stage, check, fail};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("two_controllers", "one leads; killed, the other does within 8 s", two),
    case("rolling_update", "two live at a time: each address once, all are served", rolled),
];

/// From a crash to the first address by the next leader: lease, time-out and what a loaded machine
/// adds.
const TAKEN_OVER: Duration = Duration::from_secs(10);

fn prepare(stage: &Stage) -> Result<()> {
    stage.apply(&pool("web", &["172.30.1.200-172.30.1.239"]))?;
    stage.apply(&advertisement("all"))
}

fn two(stage: &mut Stage) -> Result<()> {
    prepare(stage)?;
    let name = stage.own_object("Deployment", "controller")?;
    scale(stage, &name, 2)?;
    let result = second_takes_over(stage);
    if let Ok(process) = stage.lab().process("controller")
        && process.expect_running().is_err()
    {
        process.restart()?;
    }
    scale(stage, &name, 1)?;
    // Whichever is left leads.
    stage.apply(&service("last"))?;
    stage.address("last")?;
    result
}

fn scale(stage: &Stage, name: &str, replicas: u8) -> Result<()> {
    let target = Ref::new("Deployment", NAMESPACE, name);
    stage.api().patch(target, &json!({ "spec": { "replicas": replicas } }))?;
    wait_until(&format!("{replicas} controllers"), PATIENCE, || {
        let status = stage.api().get(target)?.unwrap_or_default()["status"].clone();
        let are = |key: &str| status[key].as_u64() == Some(replicas.into());
        let done = are("replicas") && are("readyReplicas");
        Ok(if done { Ok(()) } else { Err(status.to_string()) })
    })?;
    stage.lab().wait_ready(PATIENCE)
}

fn second_takes_over(stage: &Stage) -> Result<()> {
    let first = leader(stage)?;
    let lab = stage.lab();
    stage.wait_for_line("controller-2", 0, &["another process leads", &first])?;
    serve(stage, "before", 5)?;
    check(leader(stage)? == first, || "the Lease moved without need".to_owned())?;
    lab.process("controller")?.kill()?;
    let killed = Instant::now();
    stage.apply(&service("after"))?;
    stage.address("after")?;
    let time = killed.elapsed();
    check(time < TAKEN_OVER, || format!("taken over after {time:?}"))?;
    check(leader(stage)? != first, || "the Lease was not taken over".to_owned())?;
    serve(stage, "later", 5)?;
    expect_no_duplicate(stage, 11)
}

/// Who holds the Lease.
fn leader(stage: &Stage) -> Result<String> {
    let lease = stage.api().get(Ref::new("Lease", NAMESPACE, "metallb-controller"))?;
    let holder = lease.unwrap_or_default()["spec"]["holderIdentity"].clone();
    let holder = holder.as_str().filter(|holder| !holder.is_empty());
    holder.map(str::to_owned).ok_or_else(|| fail("nobody leads"))
}

fn serve(stage: &Stage, name: &str, count: usize) -> Result<()> {
    let names: Vec<_> = (0..count).map(|index| format!("{name}-{index}")).collect();
    names.iter().try_for_each(|name| stage.apply(&service(name)))?;
    names.iter().try_for_each(|name| stage.address(name).map(drop))
}

fn expect_no_duplicate(stage: &Stage, count: usize) -> Result<()> {
    let services = stage.api().list("Service", "default", "")?;
    let addresses = services.iter().filter_map(|one| {
        one["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().map(str::to_owned)
    });
    let distinct: BTreeSet<_> = addresses.collect();
    check(distinct.len() == count, || format!("{count} Services have {distinct:?}"))
}

fn rolled(stage: &mut Stage) -> Result<()> {
    const SERVICES: usize = 30;
    prepare(stage)?;
    let name = stage.own_object("Deployment", "controller")?;
    let target = Ref::new("Deployment", NAMESPACE, &name);
    let before = vec![stage.lab().process("controller")?.pid()];
    let annotations = json!({ "e2e/rolled": "once" });
    let template = json!({ "metadata": { "annotations": annotations } });
    stage.api().patch(target, &json!({ "spec": { "template": template } }))?;
    let names: Vec<_> = (0..SERVICES).map(|index| format!("web-{index}")).collect();
    let mut slowest = Duration::ZERO;
    for name in &names {
        stage.apply(&service(name))?;
        let applied = Instant::now();
        stage.address(name)?;
        slowest = slowest.max(applied.elapsed());
        thread::sleep(Duration::from_millis(50));
    }
    stage.rolled_out(&before)?;
    // The old one lets the new one in when it ends: nobody waits for a lease to lapse.
    check(slowest < TAKEN_OVER / 2, || format!("a Service waited {slowest:?}"))?;
    expect_no_duplicate(stage, SERVICES)
}
