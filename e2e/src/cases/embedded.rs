//! The same product against the API server in memory: what the demo and quick tests stand on.

use ferrolb_lab::Result;
use ferrolb_lab::fault::Cable;
use ferrolb_lab::plan::Lan;

use super::{case, fail_over, outage};
use crate::manifest::{advertisement, pool, service};
use crate::stage::{Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("way_of_a_packet", "L2-27 L2-28 allocated, announced, reached, v4 and v6", way),
    case("freed_address", "E-02 taken by the Service that waited", freed),
    case("owner_dies", "another node takes over, and back", dies),
    case("api_server_hangs", "stopped for 10 s: answers go on, even fail-over", outage::hangs),
];

fn configure(stage: &Stage) -> Result<()> {
    stage.apply(&pool("web", &["172.30.1.200/32", "fd00:172:30:1::200/128"]))?;
    stage.apply(&advertisement("all"))
}

fn way(stage: &mut Stage) -> Result<()> {
    configure(stage)?;
    for (name, family) in [("four", "IPv4"), ("six", "IPv6")] {
        stage.apply(&service(name).families("SingleStack", &[family]))?;
        let address = stage.address(name)?;
        stage.announced(name, Lan::One, address)?;
        stage.curl(address)?;
    }
    Ok(())
}

fn freed(stage: &mut Stage) -> Result<()> {
    configure(stage)?;
    for name in ["first", "second"] {
        stage.apply(&service(name).families("SingleStack", &["IPv4"]))?;
        if name == "first" {
            stage.address(name)?;
        }
    }
    stage.expect_event("second", "AllocationFailed", &["pool \"web\""])?;
    check(stage.addresses_now("second")?.is_empty(), || "given twice".to_owned())?;
    stage.delete_service("first")?;
    stage.expect_addresses("second", &["172.30.1.200"])?;
    let address = stage.address("second")?;
    stage.announced("second", Lan::One, address)?;
    stage.curl(address).map(drop)
}

fn dies(stage: &mut Stage) -> Result<()> {
    configure(stage)?;
    stage.apply(&service("web").families("SingleStack", &["IPv4"]))?;
    let address = stage.address("web")?;
    let (first, cable) = fail_over::fails_over(stage, "web", address, Cable::silence)?;
    cable.restore()?;
    stage.expect_owner(address, &first)?;
    stage.announced("web", Lan::One, address).map(drop)
}
