//! Who gets which address, and for how long.

use std::time::Duration;

use ferrolb_lab::Result;
use ferrolb_lab::api::Ref;
use ferrolb_lab::plan::Lan;
use serde_json::{Value, json};

use super::case;
use crate::manifest::{Manifest, advertisement, pool, service};
use crate::stage::{PATIENCE, QUIET, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case(
        "e_01_type_changes",
        "E-01 L2-01 a Service that becomes ClusterIP frees its address",
        e_01,
    ),
    case("e_02_holder_deleted", "E-02 L2-02 a freed address is taken at once", e_02),
    case("e_03_controller_restarts", "E-03 L2-03 holders keep theirs over restarts", e_03),
    case("e_09_all_pools_deleted", "E-09 L2-05 no pool, no address", e_09),
    case("e_10_own_pool_deleted", "E-10 L2-06 moves to another pool in one write", e_10),
    case("e_11_namespace_pools", "E-11 L2-07 priority 10, 20, none", e_11),
    case("e_12_priorities", "E-12 L2-08 the lower number first", e_12),
    case("e_13_namespace_labels", "E-13 L2-09 selectors of namespaces", e_13),
    case("e_14_service_labels", "E-14 L2-10 selectors of Services", e_14),
    case("e_15_namespace_and_labels", "E-15 L2-11 namespace pool, label pool, none", e_15),
    case(
        "relabelled_namespace",
        "L2-12 a label put on a namespace counts for new Services",
        relabelled,
    ),
    case(
        "e_22_pool_by_annotation",
        "E-22 L2-39 L2-40 L2-41 L2-42 by name, autoAssign or not",
        e_22,
    ),
    case("wish_changes", "G-42 another address is asked for: it moves, the old one is free", wish),
    case("both_prefixes", "G-44 the new prefix of an annotation hides the old one", prefixes),
    case("e_24_foreign_class", "E-24 L2-43 a Service of another class never gets an address", e_24),
    case(
        "own_class",
        "E-24 L2-43 with --lb-class only Services of that class are served",
        own_class,
    ),
    case("pool_as_range_or_prefixes", "L2-33 L2-34 both ways to write a pool", notations),
];

fn one_address(stage: &Stage) -> Result<()> {
    stage.apply(&pool("one", &["172.30.1.200/32"]))?;
    stage.apply(&advertisement("all"))?;
    stage.apply(&service("first"))?;
    stage.expect_addresses("first", &["172.30.1.200"])?;
    stage.apply(&service("second"))?;
    stage.expect_event("second", "AllocationFailed", &["pool \"one\""])?;
    check(stage.addresses_now("second")?.is_empty(), || "given twice".to_owned())
}

fn e_01(stage: &mut Stage) -> Result<()> {
    one_address(stage)?;
    stage.apply(&service("first").spec(&json!({ "type": "ClusterIP" })))?;
    stage.expect_addresses("second", &["172.30.1.200"])?;
    stage.expect_addresses("first", &[])?;
    let address = stage.address("second")?;
    stage.announced("second", Lan::One, address)?;
    stage.expect_no_status("first")
}

fn e_02(stage: &mut Stage) -> Result<()> {
    one_address(stage)?;
    stage.delete_service("first")?;
    stage.expect_addresses("second", &["172.30.1.200"])?;
    let address = stage.address("second")?;
    stage.announced("second", Lan::One, address).map(drop)
}

fn e_03(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("two", &["172.30.1.200/32", "172.30.1.220/32"]))?;
    for name in ["a", "b"] {
        stage.apply(&service(name))?;
        stage.address(name)?;
    }
    for name in ["c", "d"] {
        stage.apply(&service(name))?;
        stage.expect_event(name, "AllocationFailed", &["pool \"two\""])?;
    }
    for _ in 0..5 {
        stage.restart("controller")?;
        for (name, wanted) in
            [("a", &["172.30.1.200"][..]), ("b", &["172.30.1.220"]), ("c", &[]), ("d", &[])]
        {
            stage.keeps(name, wanted, Duration::from_millis(100))?;
        }
    }
    Ok(())
}

fn e_09(stage: &mut Stage) -> Result<()> {
    stage.apply(&limited("one", "172.30.1.200", &here(20)))?;
    stage.apply(&pool("two", &["172.30.1.210/32"]))?;
    stage.apply(&service("web"))?;
    stage.expect_addresses("web", &["172.30.1.200"])?;
    stage.delete_pool("one")?;
    stage.delete_pool("two")?;
    stage.expect_addresses("web", &[])?;
    stage.expect_event("web", "ClearAssignment", &["172.30.1."]).map(drop)
}

fn e_10(stage: &mut Stage) -> Result<()> {
    stage.apply(&limited("one", "172.30.1.200", &here(20)))?;
    stage.apply(&pool("two", &["172.30.1.210/32"]))?;
    stage.apply(&service("web"))?;
    stage.expect_addresses("web", &["172.30.1.200"])?;
    stage.delete_pool("one")?;
    // Never without an address in between.
    ferrolb_lab::api::wait_until("web moves to pool two", PATIENCE, || {
        let addresses = stage.addresses_now("web")?;
        check(!addresses.is_empty(), || "without an address in between".to_owned())?;
        let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        Ok(if texts == ["172.30.1.210"] { Ok(()) } else { Err(format!("{texts:?}")) })
    })?;
    stage.expect_pool("web", "two")
}

fn e_11(stage: &mut Stage) -> Result<()> {
    stage.apply(&limited("p20", "172.30.1.200", &here(20)))?;
    stage.apply(&limited("p10", "172.30.1.210", &here(10)))?;
    stage.apply(&limited("none", "172.30.1.220", &here(0)))?;
    in_order(stage, &service, &["p10", "p20", "none"])
}

fn e_12(stage: &mut Stage) -> Result<()> {
    stage.apply(&limited("p20", "172.30.1.200", &json!({ "priority": 20 })))?;
    stage.apply(&limited("p10", "172.30.1.210", &json!({ "priority": 10 })))?;
    in_order(stage, &service, &["p10", "p20"])
}

fn e_13(stage: &mut Stage) -> Result<()> {
    stage.namespace("default", &json!({ "foo1": "bar1", "foo2": "bar2" }))?;
    let labels = json!([{ "matchLabels": { "foo1": "bar1", "foo2": "bar2" } }]);
    stage.apply(&limited("p20", "172.30.1.200", &here(20)))?;
    stage.apply(&limited(
        "p10",
        "172.30.1.210",
        &json!({ "priority": 10, "namespaceSelectors": labels }),
    ))?;
    stage.apply(&limited("none", "172.30.1.220", &here(0)))?;
    in_order(stage, &service, &["p10", "p20", "none"])?;
    stage.namespace("default", &json!({ "foo1": null, "foo2": null }))
}

fn e_14(stage: &mut Stage) -> Result<()> {
    stage.apply(&limited("p20", "172.30.1.200", &with_label(20)))?;
    stage.apply(&limited("p10", "172.30.1.210", &with_label(10)))?;
    stage.apply(&limited("none", "172.30.1.220", &here(0)))?;
    in_order(stage, &labelled, &["p10", "p20", "none"])
}

fn e_15(stage: &mut Stage) -> Result<()> {
    stage.apply(&limited("p20", "172.30.1.200", &here(20)))?;
    stage.apply(&limited("p10", "172.30.1.210", &with_label(10)))?;
    stage.apply(&limited("none", "172.30.1.220", &here(0)))?;
    in_order(stage, &labelled, &["p10", "p20", "none"])
}

fn relabelled(stage: &mut Stage) -> Result<()> {
    stage.namespace("e2e-first", &json!({ "first-ns": "true" }))?;
    stage.namespace("e2e-second", &json!({ "second-ns": "true", "new-label": null }))?;
    let select = |priority: u8, labels| json!({ "priority": priority, "namespaceSelectors": [{ "matchLabels": labels }] });
    let both = json!({ "second-ns": "true", "new-label": "true" });
    stage.apply(&limited("p20", "172.30.1.220", &select(10, json!({ "first-ns": "true" }))))?;
    stage.apply(&limited("p30", "172.30.1.230", &select(10, json!({ "second-ns": "true" }))))?;
    stage.apply(&pool("p40", &["172.30.1.240/32"]))?;
    stage.apply(&limited("p50", "172.30.1.250", &select(5, both)))?;
    for (namespace, name, address) in [
        ("e2e-second", "svc1", "172.30.1.230"),
        ("e2e-first", "svc2", "172.30.1.220"),
        ("e2e-first", "svc3", "172.30.1.240"),
    ] {
        stage.apply(&service(name).namespace(namespace))?;
        stage.expect_addresses_in(namespace, name, &[address])?;
    }
    stage.namespace("e2e-second", &json!({ "new-label": "true" }))?;
    // All other pools are full, so it waits if the controller hears of the label after it.
    stage.apply(&service("svc4").namespace("e2e-second"))?;
    stage.expect_addresses_in("e2e-second", "svc4", &["172.30.1.250"])
}

fn e_22(stage: &mut Stage) -> Result<()> {
    stage.apply(&advertisement("all"))?;
    for (index, automatic) in [(1u8, true), (2, true), (3, false), (4, false)] {
        let (v4, v6) = (format!("172.30.1.20{index}"), format!("fd00:172:30:1::20{index}"));
        for (family, address, suffix) in [("IPv4", &v4, "four"), ("IPv6", &v6, "six")] {
            let name = format!("{suffix}-{index}");
            let range = format!("{address}-{address}");
            stage.apply(&pool(&name, &[&range]).spec(&json!({ "autoAssign": automatic })))?;
            let wanted = service(&name).families("SingleStack", &[family]);
            stage.apply(&wanted.annotate("metallb.io/address-pool", &name))?;
            stage.expect_addresses(&name, &[address])?;
            stage.expect_pool(&name, &name)?;
        }
    }
    for index in 1..=4 {
        for suffix in ["four", "six"] {
            let address = stage.address(&format!("{suffix}-{index}"))?;
            stage.curl(address)?;
        }
    }
    Ok(())
}

fn wish(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start")?;
    stage.expect_addresses("echo", &["172.30.1.200"])?;
    stage.apply(&service("echo").annotate("metallb.io/loadBalancerIPs", "172.30.1.219"))?;
    stage.expect_addresses("echo", &["172.30.1.219"])?;
    let (old, new) = ([172, 30, 1, 200].into(), stage.address("echo")?);
    stage.announced("echo", Lan::One, new)?;
    stage.expect_answerers(Lan::One, old, &[])?;
    stage.curl(new)?;
    stage.apply(&service("next"))?;
    stage.expect_addresses("next", &["172.30.1.200"])
}

fn prefixes(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start/pool.yaml")?;
    let wanted = service("both")
        .annotate("metallb.io/loadBalancerIPs", "172.30.1.211")
        .annotate("metallb.universe.tf/loadBalancerIPs", "172.30.1.212");
    stage.apply(&wanted)?;
    stage.expect_addresses("both", &["172.30.1.211"])
}

fn e_24(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start/pool.yaml")?;
    stage.apply(&service("foreign").spec(&json!({ "loadBalancerClass": "example.org/foo" })))?;
    stage.apply(&service("ours"))?;
    stage.address("ours")?;
    stage.keeps("foreign", &[], QUIET)?;
    let events = stage.events("foreign")?;
    check(events.is_empty(), || format!("events about somebody else's Service: {events:?}"))
}

fn own_class(stage: &mut Stage) -> Result<()> {
    let class = "example.org/foo";
    let flag = format!("--lb-class={class}");
    stage.with_flag("DaemonSet", "speaker", &flag, |stage| {
        stage.with_flag("Deployment", "controller", &flag, |stage| {
            stage.example("quick-start/pool.yaml")?;
            stage.apply(&service("without"))?;
            stage.apply(&service("ours").spec(&json!({ "loadBalancerClass": class })))?;
            let address = stage.address("ours")?;
            stage.announced("ours", Lan::One, address)?;
            stage.curl(address)?;
            stage.keeps("without", &[], QUIET)?;
            stage.delete_service("ours")
        })
    })?;
    // Without the flag the other one's turn has come.
    let address = stage.address("without")?;
    stage.announced("without", Lan::One, address).map(drop)
}

fn notations(stage: &mut Stage) -> Result<()> {
    stage.apply(&advertisement("all"))?;
    stage.apply(&pool(
        "range",
        &["172.30.1.201-172.30.1.206", "fd00:172:30:1::201-fd00:172:30:1::206"],
    ))?;
    stage.apply(&service("web").families("RequireDualStack", &["IPv4", "IPv6"]))?;
    stage.expect_addresses("web", &["172.30.1.201", "fd00:172:30:1::201"])?;
    let prefixes = [
        "172.30.1.201/32",
        "172.30.1.202/31",
        "172.30.1.204/31",
        "172.30.1.206/32",
        "fd00:172:30:1::201/128",
        "fd00:172:30:1::202/127",
        "fd00:172:30:1::204/127",
        "fd00:172:30:1::206/128",
    ];
    stage.apply(&pool("range", &prefixes))?;
    stage.keeps("web", &["172.30.1.201", "fd00:172:30:1::201"], QUIET)?;
    for address in stage.addresses("web")? {
        stage.announced("web", Lan::One, address)?;
        stage.curl(address)?;
    }
    Ok(())
}

/// A pool of one address, for the Services that this admits.
fn limited(name: &str, address: &str, allocation: &Value) -> Manifest {
    let range = format!("{address}/32");
    pool(name, &[&range]).spec(&json!({ "serviceAllocation": allocation }))
}

/// Admits Services of namespace default; priority 0 is none.
fn here(priority: u8) -> Value {
    json!({ "priority": priority, "namespaces": ["default"] })
}

/// Admits Services with the label of [`labelled`].
fn with_label(priority: u8) -> Value {
    json!({ "priority": priority, "serviceSelectors": [{ "matchLabels": { "test": "e2e" } }] })
}

fn labelled(name: &str) -> Manifest {
    service(name).label("test", "e2e")
}

/// Services made one after another get their addresses from these pools.
fn in_order(stage: &Stage, make: &dyn Fn(&str) -> Manifest, pools: &[&str]) -> Result<()> {
    for (index, pool) in pools.iter().enumerate() {
        let name = format!("svc{index}");
        stage.apply(&make(&name))?;
        stage.expect_pool(&name, pool)?;
        let object = stage.api().get(Ref::new("Service", "default", &name))?.unwrap_or_default();
        check(object["status"]["loadBalancer"]["ingress"][0]["ip"].is_string(), || {
            format!("{name} names pool {pool} but has no address")
        })?;
    }
    Ok(())
}
