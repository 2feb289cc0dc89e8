//! What the remaining folders of `examples/` promise.

use ferrolb_lab::Result;
use ferrolb_lab::plan::Lan;

use super::case;
use crate::manifest::service;
use crate::stage::{PATIENCE, QUIET, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case(
        "several_pools",
        "pool and address by annotation (both prefixes), spec.loadBalancerIP, pool of a namespace",
        several_pools,
    ),
    case("exhausted_pool", "E-02 stays pending, says why, takes the freed address", exhausted),
    case("gateway", "a Gateway controller's Service with inherited annotations", gateway),
    case("every_file_is_tried", "no example that no case or walkthrough applies", every_file),
];

fn several_pools(stage: &mut Stage) -> Result<()> {
    stage.example("several-pools")?;
    stage.expect_pool("from-any-pool", "apps")?;
    stage.expect_pool("from-named-pool", "public")?;
    stage.expect_addresses("from-any-pool", &["172.30.1.200"])?;
    stage.expect_addresses("from-named-pool", &["172.30.1.224"])?;
    stage.expect_addresses("named-address", &["172.30.1.228"])?;
    stage.expect_addresses("old-annotation", &["172.30.1.229"])?;
    stage.expect_addresses("named-in-spec", &["172.30.1.230"])?;
    stage.expect_addresses_in("team-a", "from-team-pool", &["172.30.1.240"])?;
    let old = "metallb.universe.tf/loadBalancerIPs";
    stage.expect_event("old-annotation", "deprecatedAnnotation", &[old])?;
    for name in ["from-any-pool", "named-address", "old-annotation", "named-in-spec"] {
        let address = stage.address(name)?;
        stage.announced(name, Lan::One, address)?;
        stage.curl(address)?;
    }
    // The pool of team-a has room, but not for others; those without autoAssign give nothing unasked.
    for index in 1..=9 {
        let name = format!("more-{index}");
        stage.apply(&service(&name))?;
        stage.expect_addresses(&name, &[&format!("172.30.1.20{index}")])?;
    }
    stage.apply(&service("one-too-many"))?;
    let words = ["pool \"apps\"", "pool \"public\"", "pool \"team-a\"", "team-a"];
    stage.expect_event("one-too-many", "AllocationFailed", &words)?;
    stage.keeps("one-too-many", &[], QUIET)
}

fn exhausted(stage: &mut Stage) -> Result<()> {
    stage.example("exhausted-pool")?;
    let (holder, waiting) = ferrolb_lab::api::wait_until("one of two has it", PATIENCE, || {
        let first = stage.addresses_now("first")?;
        let second = stage.addresses_now("second")?;
        Ok(match (first.len(), second.len()) {
            (1, 0) => Ok(("first", "second")),
            (0, 1) => Ok(("second", "first")),
            counts => Err(format!("{counts:?}")),
        })
    })?;
    let words = ["no available IPs", "pool \"one-address\""];
    let message = stage.expect_event(waiting, "AllocationFailed", &words)?;
    let described = stage.kubectl(&["describe", "service", waiting])?;
    check(described.contains(&message), || format!("kubectl describe: {described}"))?;
    let listed = stage.kubectl(&["get", "service", waiting])?;
    check(listed.contains("<pending>"), || listed)?;
    stage.delete_service(holder)?;
    stage.expect_addresses(waiting, &["172.30.1.250"])?;
    let address = stage.address(waiting)?;
    stage.announced(waiting, Lan::One, address)?;
    stage.curl(address).map(drop)
}

fn gateway(stage: &mut Stage) -> Result<()> {
    stage.example("gateway")?;
    stage.expect_addresses("my-gateway-istio", &["172.30.1.204", "fd00:172:30:1::204"])?;
    for address in stage.addresses("my-gateway-istio")? {
        stage.announced("my-gateway-istio", Lan::One, address)?;
        stage.curl(address)?;
    }
    Ok(())
}

/// What cases apply, as folders; walkthroughs use files of these, too.
const TRIED: [&str; 10] = [
    "bgp",
    "dual-stack",
    "exhausted-pool",
    "gateway",
    "gitops",
    "local-traffic",
    "quick-start",
    "several-pools",
    "shared-address",
    "two-lans",
];

fn every_file(_: &mut Stage) -> Result<()> {
    let folder = crate::stage::examples();
    let entries =
        std::fs::read_dir(&folder).map_err(ferrolb_lab::Error::io(folder.display().to_string()))?;
    let mut names: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name != "walkthroughs")
        .collect();
    names.sort();
    check(names == TRIED, || format!("examples has {names:?}, the suite tries {TRIED:?}"))
}
