//! IPv6, and both families at once.

use ferrolb_lab::Result;
use ferrolb_lab::plan::Lan;
use serde_json::json;

use super::case;
use crate::manifest::{advertisement, pool, service};
use crate::stage::{QUIET, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("ipv6_single_stack", "L2-27 over IPv6: allocated, announced, reached", ipv6),
    case("dual_stack_example", "RequireDualStack, many CIDRs and a /64 in one pool", example),
    case("e_16_prefer_takes_dual_pool", "E-16 L2-13 PreferDualStack finds the dual pool", e_16),
    case("e_17_prefer_single_pools", "E-17 L2-14 L2-15 the primary family decides", e_17),
    case("e_18_pool_grows_v6", "E-18 L2-16 the first address stays, one of IPv6 is added", e_18),
    case("e_19_prefer_require_prefer", "E-19 L2-17 one address, none, one", e_19),
    case("e_20_dual_pool_added", "E-20 L2-18 an address is not given up for a better pool", e_20),
    case("e_21_dual_pool_shrinks", "E-21 L2-19 both addresses come from the other pool", e_21),
];

fn ipv6(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("v6", &["fd00:172:30:1::200-fd00:172:30:1::20f"]))?;
    stage.apply(&advertisement("all"))?;
    stage.apply(&service("web6").families("SingleStack", &["IPv6"]))?;
    stage.expect_addresses("web6", &["fd00:172:30:1::200"])?;
    let address = stage.address("web6")?;
    stage.announced("web6", Lan::One, address)?;
    stage.curl(address).map(drop)
}

fn example(stage: &mut Stage) -> Result<()> {
    stage.example("dual-stack")?;
    stage.expect_addresses("mail", &["172.30.1.184", "fd00:172:30:1:dd55:81e:44c2:7296"])?;
    let lists = stage.addresses("lists")?;
    check(lists.len() == 2 && lists[0].is_ipv4() && lists[1].is_ipv6(), || format!("{lists:?}"))?;
    for name in ["mail", "lists"] {
        let mut owners = Vec::new();
        for address in stage.addresses(name)? {
            owners.push(stage.announced(name, Lan::One, address)?);
            let server = std::net::SocketAddr::new(address, 443);
            stage.curl_until(Lan::One, server, "any", |_| true)?;
        }
        check(owners[0] == owners[1], || format!("{name} is announced from {owners:?}"))?;
    }
    Ok(())
}

fn e_16(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("a-v4", &["172.30.1.200/32"]))?;
    stage.apply(&pool("b-v6", &["fd00:172:30:1::200/124"]))?;
    stage.apply(&pool("c-dual", &["172.30.1.210/32", "fd00:172:30:1::210/124"]))?;
    stage.apply(&service("both").families("PreferDualStack", &["IPv4"]))?;
    stage.expect_addresses("both", &["172.30.1.210", "fd00:172:30:1::210"])
}

fn e_17(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("a-v6", &["fd00:172:30:1::200/124"]))?;
    stage.apply(&pool("b-v4", &["172.30.1.200/32"]))?;
    stage.apply(&service("four").spec(&json!({ "ipFamilyPolicy": "PreferDualStack" })))?;
    stage.expect_addresses("four", &["172.30.1.200"])?;
    stage.apply(&service("six").families("PreferDualStack", &["IPv6", "IPv4"]))?;
    stage.expect_addresses("six", &["fd00:172:30:1::200"])
}

fn e_18(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("grows", &["172.30.1.200/32"]))?;
    stage.apply(&service("both").families("PreferDualStack", &["IPv4"]))?;
    stage.expect_addresses("both", &["172.30.1.200"])?;
    stage.apply(&pool("grows", &["172.30.1.200/29", "fd00:172:30:1::200/124"]))?;
    stage.expect_addresses("both", &["172.30.1.200", "fd00:172:30:1::200"])?;
    stage.expect_event("both", "IPAllocated", &["Assigned additional IP", "fd00:172:30:1::200"])?;
    Ok(())
}

fn e_19(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("four", &["172.30.1.200/32"]))?;
    stage.apply(&service("both").families("PreferDualStack", &["IPv4", "IPv6"]))?;
    stage.expect_addresses("both", &["172.30.1.200"])?;
    stage.apply(&service("both").families("RequireDualStack", &["IPv4", "IPv6"]))?;
    stage.expect_addresses("both", &[])?;
    stage.expect_event("both", "AllocationFailed", &["pool \"four\"", "IPv6"])?;
    stage.apply(&service("both").families("PreferDualStack", &["IPv4", "IPv6"]))?;
    stage.expect_addresses("both", &["172.30.1.200"])
}

fn e_20(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("four", &["172.30.1.200/32"]))?;
    stage.apply(&service("both").families("PreferDualStack", &["IPv4", "IPv6"]))?;
    stage.expect_addresses("both", &["172.30.1.200"])?;
    stage.apply(&pool("dual", &["172.30.1.210/32", "fd00:172:30:1::210/124"]))?;
    stage.keeps("both", &["172.30.1.200"], QUIET)
}

fn e_21(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("first", &["172.30.1.200/32", "fd00:172:30:1::200/128"]))?;
    stage.apply(&service("both").families("PreferDualStack", &["IPv4", "IPv6"]))?;
    stage.expect_addresses("both", &["172.30.1.200", "fd00:172:30:1::200"])?;
    stage.apply(&pool("second", &["172.30.1.210/32", "fd00:172:30:1::210/128"]))?;
    stage.apply(&pool("first", &["fd00:172:30:1::200/128"]))?;
    stage.expect_addresses("both", &["172.30.1.210", "fd00:172:30:1::210"])
}
