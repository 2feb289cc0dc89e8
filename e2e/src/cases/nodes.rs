//! Nodes that load balancer traffic must not enter.

use ferrolb_lab::Result;
use ferrolb_lab::plan::Lan;

use super::case;
use crate::stage::{EXCLUDE, QUIET, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("excluded_by_label", "L2-32 the address leaves with the label and comes back", excluded),
    case("exclusion_ignored", "L2-32 with --ignore-exclude-lb the label changes nothing", ignored),
    case("cordoned", "G-40 a node that takes no new Pods goes on announcing", cordoned),
    case("network_unavailable", "L2-31 the same by condition NetworkUnavailable", unavailable),
];

fn excluded(stage: &mut Stage) -> Result<()> {
    there_and_back(stage, |stage, node, away| stage.label_node(node, EXCLUDE, away.then_some("")))
}

fn unavailable(stage: &mut Stage) -> Result<()> {
    there_and_back(stage, |stage, node, away| {
        stage.set_condition(node, "NetworkUnavailable", if away { "True" } else { "False" })
    })
}

fn ignored(stage: &mut Stage) -> Result<()> {
    stage.with_flag("DaemonSet", "speaker", "--ignore-exclude-lb", |stage| {
        stage.example("quick-start")?;
        let address = stage.address("echo")?;
        for node in stage.nodes() {
            stage.label_node(&node, EXCLUDE, Some(""))?;
        }
        let owner = stage.announced("echo", Lan::One, address)?;
        stage.curl(address)?;
        std::thread::sleep(QUIET);
        stage.expect_owner(address, &owner)
    })
}

fn cordoned(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start")?;
    let address = stage.address("echo")?;
    let owner = stage.announced("echo", Lan::One, address)?;
    let mac = stage.lab().host(&owner)?.mac(Lan::One);
    let watch = stage.watch(Lan::One, address)?;
    stage.kubectl(&["cordon", &owner])?;
    std::thread::sleep(QUIET);
    stage.kubectl(&["uncordon", &owner])?;
    let heard = watch.stop()?;
    check(heard.answers().count() > 0, || "no answer".to_owned())?;
    check(heard.sightings.iter().all(|sighting| sighting.mac == mac), || format!("{heard:?}"))
}

fn there_and_back(
    stage: &mut Stage,
    keep_away: impl Fn(&Stage, &str, bool) -> Result<()>,
) -> Result<()> {
    stage.example("quick-start")?;
    let address = stage.address("echo")?;
    let first = stage.announced("echo", Lan::One, address)?;
    keep_away(stage, &first, true)?;
    ferrolb_lab::api::wait_until("the address moves", crate::stage::PATIENCE, || {
        let owner = stage.owner(address)?;
        Ok(if owner == first { Err(owner) } else { Ok(()) })
    })?;
    let second = stage.announced("echo", Lan::One, address)?;
    check(second != first, || format!("still {first}"))?;
    stage.curl(address)?;
    keep_away(stage, &first, false)?;
    stage.expect_owner(address, &first)?;
    stage.announced("echo", Lan::One, address)?;
    stage.curl(address).map(drop)
}
