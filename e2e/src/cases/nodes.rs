//! Nodes that load balancer traffic must not enter.

use ferrolb_lab::Result;
use ferrolb_lab::plan::Lan;

use super::case;
use crate::stage::{EXCLUDE, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("excluded_by_label", "L2-32 the address leaves with the label and comes back", excluded),
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
