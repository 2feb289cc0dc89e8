//! What people and programs see of us through the API server.

use ferrolb_lab::Result;
use ferrolb_lab::plan::Lan;
use serde_json::Value;

use super::case;
use crate::stage::{NAMES, Stage, check};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("printer_columns", "kubectl get of our kinds says what matters", columns),
    case("explain", "kubectl explain has words on every field", explain),
    case("events_by_time", "kubectl get events --sort-by=.lastTimestamp lists ours", events),
    case("egress_query", "the query Metaleg makes: status.node by two labels", egress),
    case("logs_so_far", "G-48 every line is JSON, and nothing was forbidden", logs),
    case("services_by_type", "kubectl get svc --field-selector spec.type=LoadBalancer", by_type),
];

fn columns(stage: &mut Stage) -> Result<()> {
    stage.example("two-lans")?;
    stage.example("quick-start")?;
    let address = stage.address("echo")?;
    let owner = stage.announced("echo", Lan::One, address)?;
    expect_row(
        stage,
        "ipaddresspools",
        &["NAME", "AUTO ASSIGN", "AVOID BUGGY IPS", "ADDRESSES"],
        &["default-pool", "true", "false", "[\"172.30.1.200-172.30.1.220\"]"],
    )?;
    expect_row(
        stage,
        "l2advertisements",
        &["NAME", "IPADDRESSPOOLS", "IPADDRESSPOOL SELECTORS", "INTERFACES"],
        &["office", "[\"office\"]", "[\"eth1\"]"],
    )?;
    expect_row(
        stage,
        "servicel2statuses",
        &["NAME", "ALLOCATED NODE", "SERVICE NAME", "SERVICE NAMESPACE"],
        &[owner.as_str(), "echo", "default"],
    )
}

/// `kubectl get` prints these headings, and a row with these words.
fn expect_row(stage: &Stage, kind: &str, headings: &[&str], words: &[&str]) -> Result<()> {
    let kind = format!("{kind}.metallb.io");
    let table = stage.kubectl(&["get", &kind, "--namespace=metallb-system"])?;
    let mut lines = table.lines();
    let head = lines.next().unwrap_or_default();
    check(headings.iter().all(|heading| head.contains(heading)), || table.clone())?;
    let has_row = lines.any(|line| words.iter().all(|word| line.contains(word)));
    check(has_row, || format!("no row with {words:?}: {table}"))
}

fn explain(stage: &mut Stage) -> Result<()> {
    for kind in NAMES {
        let text = stage.kubectl(&["explain", "--recursive", kind])?;
        check(text.contains("DESCRIPTION:") && !text.contains("<empty>"), || text.clone())?;
    }
    for field in [
        "ipaddresspools.spec.addresses",
        "ipaddresspools.spec.autoAssign",
        "ipaddresspools.spec.serviceAllocation.priority",
        "ipaddresspools.status.availableIPv6",
        "l2advertisements.spec.interfaces",
        "l2advertisements.spec.nodeSelectors",
        "servicel2statuses.status.node",
    ] {
        let text = stage.kubectl(&["explain", field])?;
        check(text.contains("DESCRIPTION:") && !text.contains("<empty>"), || text.clone())?;
    }
    Ok(())
}

fn events(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start")?;
    let address = stage.address("echo")?;
    stage.announced("echo", Lan::One, address)?;
    let table = stage.kubectl(&["get", "events", "--sort-by=.lastTimestamp"])?;
    for reason in ["IPAllocated", "nodeAssigned"] {
        let has_row =
            table.lines().any(|line| line.contains(reason) && line.contains("service/echo"));
        check(has_row, || format!("no {reason}: {table}"))?;
    }
    Ok(())
}

fn egress(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start")?;
    let address = stage.address("echo")?;
    let owner = stage.announced("echo", Lan::One, address)?;
    let node = stage.kubectl(&[
        "get",
        "servicel2statuses.metallb.io",
        "--all-namespaces",
        "--selector=metallb.io/service-name=echo,metallb.io/service-namespace=default",
        "--output=jsonpath={.items[*].status.node}",
    ])?;
    check(node == owner, || format!("{owner} answers, the query says {node:?}"))
}

fn by_type(stage: &mut Stage) -> Result<()> {
    stage.example("quick-start")?;
    stage.address("echo")?;
    let selector = "--field-selector=spec.type=LoadBalancer";
    let table = stage.kubectl(&["get", "svc", "--all-namespaces", selector])?;
    let has_row = table.lines().any(|line| line.contains("echo") && line.contains("172.30.1.200"));
    check(has_row && !table.contains("kubernetes "), || table)
}

/// No case before this one has taken a permission away.
fn logs(stage: &mut Stage) -> Result<()> {
    for process in stage.lab().own_processes() {
        for line in process.log().lines() {
            let what = |wrong: &str| format!("{} {wrong}: {line}", process.name());
            let fields: Value = serde_json::from_str(line).unwrap_or_default();
            let complete =
                ["ts", "level", "caller", "msg"].iter().all(|key| fields[key].is_string());
            check(complete, || what("logs something else than JSON"))?;
            check(!line.contains("forbidden"), || what("lacks a permission"))?;
        }
    }
    Ok(())
}
