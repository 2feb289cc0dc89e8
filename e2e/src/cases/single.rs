//! A cluster of one node.

use std::thread;

use ferrolb_addr::Family;
use ferrolb_lab::Result;
use ferrolb_lab::plan::Lan;

use super::case;
use crate::stage::{EXCLUDE, QUIET, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("one_node_serves", "L2-27 allocated, announced, reached; traffic policy Local", serves),
    case("excluded_node_is_silent", "L2-32 no answer; the event names label and flag", excluded),
];

fn serves(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start")?;
    stage.example("local-traffic")?;
    let own = stage.client(Lan::One)?.address(Lan::One, Family::V4);
    for name in ["echo", "echo-local"] {
        let address = stage.address(name)?;
        let owner = stage.announced(name, Lan::One, address)?;
        check(owner == "node1", || format!("{owner} announces"))?;
        let answer = stage.curl(address)?;
        check(name == "echo" || answer.client == own, || format!("{answer:?}"))?;
    }
    Ok(())
}

fn excluded(stage: &mut Stage) -> Result<()> {
    stage.label_node("node1", EXCLUDE, Some(""))?;
    let address = std::net::Ipv4Addr::new(172, 30, 1, 200).into();
    let watch = stage.watch(Lan::One, address)?;
    stage.example("quick-start")?;
    stage.expect_addresses("echo", &["172.30.1.200"])?;
    stage.expect_event("echo", "announceFailed", &["node1", EXCLUDE, "--ignore-exclude-lb"])?;
    thread::sleep(QUIET);
    let heard = watch.stop()?;
    stage.expect_silence(&heard)?;
    stage.expect_no_status("echo")?;
    stage.label_node("node1", EXCLUDE, None)?;
    stage.announced("echo", Lan::One, address)?;
    stage.curl(address)?;
    stage.label_node("node1", EXCLUDE, Some(""))?;
    stage.expect_answerers(Lan::One, address, &[])?;
    stage.expect_no_status("echo")
}
