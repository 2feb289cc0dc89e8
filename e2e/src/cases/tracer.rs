//! The way of the first packet: applied, allocated, announced, reached.

use ferrolb_lab::Result;
use ferrolb_lab::plan::Lan;

use super::case;
use crate::stage::{Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case(
        "quick_start",
        "L2-27 L2-28 applied with kubectl, one node answers ARP and is the one in event and status",
        quick_start,
    ),
    case("deleted_service_is_silent", "L2-28 L2-02 E-02 status object and answers go", deleted),
];

fn quick_start(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start")?;
    let address = stage.address("echo")?;
    check(address.to_string() == "172.30.1.200", || format!("the lowest was due, not {address}"))?;
    stage.expect_event("echo", "IPAllocated", &["Assigned IP [\"172.30.1.200\"]"])?;
    stage.expect_pool("echo", "default-pool")?;
    let owner = stage.announced("echo", Lan::One, address)?;
    stage.curl(address)?;
    let heard = {
        let watch = stage.watch(Lan::One, address)?;
        std::thread::sleep(crate::stage::PERIOD * 50);
        watch.stop()?
    };
    let owner_mac = stage.lab().host(&owner)?.mac(Lan::One);
    check(heard.answers().all(|answer| answer.mac == owner_mac), || {
        format!("another station than {owner} answered: {heard:?}")
    })?;
    check(heard.answers().count() * 10 > heard.asked * 8, || {
        format!("of {} questions {} were answered", heard.asked, heard.answers().count())
    })
}

fn deleted(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start")?;
    let address = stage.address("echo")?;
    stage.announced("echo", Lan::One, address)?;
    stage.delete_service("echo")?;
    stage.expect_answerers(Lan::One, address, &[])?;
    stage.expect_no_status("echo")
}
