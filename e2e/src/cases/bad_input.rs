//! Input that makes no sense, and clusters that lack something: said clearly, and nothing else breaks.

use std::path::Path;

use ferrolb_lab::api::{Ref, wait_until};
use ferrolb_lab::plan::Lan;
use ferrolb_lab::{Error, FOLDER, NAMESPACE, Result};
use serde_json::{Value, json};

use super::case;
use crate::manifest::{advertisement, pool, service};
use crate::stage::{PATIENCE, QUIET, Stage, check, fail};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("address_outside_pools", "the event names the address", outside),
    case("unknown_pool", "the event names the pool", unknown_pool),
    case("mismatched_family", "an IPv6 address for an IPv4 Service", mismatched),
    case("unparsable_request", "an annotation that is no address", unparsable_request),
    case("overlapping_pools", "event on the pool; both keep what they have", overlapping),
    case("unparsable_range", "refused by the API server", unparsable_range),
    case("range_only_we_refuse", "event on the pool; other pools go on serving", backwards),
    case(
        "missing_permission",
        "the log names verb and resource; goes on when it is given",
        permission,
    ),
    case("missing_permission_to_watch", "the same for a watch, at the start", watch_permission),
    case("missing_kinds", "waits, says so, goes on when they appear, without a restart", kinds),
    case("missing_secret", "failure detection off with one warning; every node counts", secret),
];

const WANTED: &str = "metallb.io/loadBalancerIPs";

/// The Service gets nothing and hears why; one without a wish still gets an address.
fn refused(stage: &Stage, key: &str, value: &str, reason: &str, words: &[&str]) -> Result<()> {
    stage.example("quick-start")?;
    stage.expect_addresses("echo", &["172.30.1.200"])?;
    stage.apply(&service("wrong").annotate(key, value).families("SingleStack", &["IPv4"]))?;
    stage.expect_event("wrong", reason, words)?;
    stage.keeps("wrong", &[], QUIET / 4)?;
    stage.apply(&service("right"))?;
    stage.expect_addresses("right", &["172.30.1.201"])?;
    stage.api().patch(
        Ref::new("Service", "default", "wrong"),
        &json!({ "metadata": { "annotations": { key: null } } }),
    )?;
    stage.expect_addresses("wrong", &["172.30.1.202"])
}

fn outside(stage: &mut Stage) -> Result<()> {
    refused(stage, WANTED, "192.0.2.7", "AllocationFailed", &["192.0.2.7 is in no pool"])
}

fn unknown_pool(stage: &mut Stage) -> Result<()> {
    let key = "metallb.io/address-pool";
    refused(stage, key, "nowhere", "AllocationFailed", &["unknown pool \"nowhere\""])
}

fn mismatched(stage: &mut Stage) -> Result<()> {
    refused(stage, WANTED, "fd00:172:30:1::200", "AllocationFailed", &["fd00:172:30:1::200"])
}

fn unparsable_request(stage: &mut Stage) -> Result<()> {
    refused(stage, WANTED, "172.30.1.999", "AllocationFailed", &["172.30.1.999"])?;
    // Who has an address keeps it.
    stage.apply(&service("echo").annotate(WANTED, "172.30.1.200;201"))?;
    stage.expect_event("echo", "LoadBalancerFailed", &["172.30.1.200;201"])?;
    stage.keeps("echo", &["172.30.1.200"], QUIET / 4)
}

/// Waits for an event about a pool.
fn expect_pool_event(stage: &Stage, name: &str, words: &[&str]) -> Result<()> {
    wait_until(&format!("an event on pool {name} with {words:?}"), PATIENCE, || {
        let events = stage.api().list("Event", NAMESPACE, "")?;
        let mut about = events.iter().filter(|event| {
            event["involvedObject"]["name"] == name && event["reason"] == "ConfigurationError"
        });
        let found = about.any(|event| {
            let message = event["message"].as_str().unwrap_or_default();
            words.iter().all(|word| message.contains(word))
        });
        Ok(if found { Ok(()) } else { Err(format!("{} events", events.len())) })
    })
}

fn overlapping(stage: &mut Stage) -> Result<()> {
    stage.without_webhooks(|stage| let_in_overlapping(stage))
}

fn let_in_overlapping(stage: &Stage) -> Result<()> {
    stage.example("quick-start")?;
    stage.expect_addresses("echo", &["172.30.1.200"])?;
    let address = stage.address("echo")?;
    stage.announced("echo", Lan::One, address)?;
    let from = stage.written("controller")?;
    stage.apply(&pool("overlapping", &["172.30.1.210-172.30.1.230"]))?;
    expect_pool_event(stage, "overlapping", &["default-pool", "172.30.1.210"])?;
    stage.wait_for_line("controller", from, &["overlapping", "default-pool"])?;
    stage.keeps("echo", &["172.30.1.200"], QUIET / 2)?;
    stage.apply(&service("more"))?;
    stage.expect_addresses("more", &["172.30.1.201"])?;
    stage.curl(address)?;
    stage.apply(&pool("overlapping", &["172.30.1.230-172.30.1.239"]))?;
    stage.apply(&service("late").annotate("metallb.io/address-pool", "overlapping"))?;
    stage.expect_addresses("late", &["172.30.1.230"])
}

fn unparsable_range(stage: &mut Stage) -> Result<()> {
    for entry in ["172.30.1.0/33", "172.30.1.200-", "web", "172.30.1.200", "10.0.0.1-10.0.0.x"] {
        match stage.apply(&pool("unparsable", &[entry])) {
            Err(Error::Api { message, .. }) if message.contains("spec.addresses") => {}
            Err(error) => return Err(error),
            Ok(()) => return Err(fail(format!("{entry:?} was taken"))),
        }
    }
    let empty: [&str; 0] = [];
    match stage.apply(&pool("unparsable", &empty)) {
        Err(Error::Api { .. }) => Ok(()),
        other => Err(fail(format!("a pool without addresses: {other:?}"))),
    }
}

fn backwards(stage: &mut Stage) -> Result<()> {
    stage.without_webhooks(|stage| let_in_backwards(stage))
}

fn let_in_backwards(stage: &Stage) -> Result<()> {
    stage.example("quick-start")?;
    stage.apply(&pool("backwards", &["172.30.1.239-172.30.1.230"]))?;
    expect_pool_event(stage, "backwards", &["172.30.1.239-172.30.1.230"])?;
    let address = stage.address("echo")?;
    stage.announced("echo", Lan::One, address)?;
    // A pool that was good goes on as it was.
    stage.apply(&pool("default-pool", &["172.30.1.220-172.30.1.200"]))?;
    expect_pool_event(stage, "default-pool", &["172.30.1.220-172.30.1.200"])?;
    stage.keeps("echo", &["172.30.1.200"], QUIET / 2)?;
    stage.apply(&service("more"))?;
    stage.expect_addresses("more", &["172.30.1.201"])?;
    stage.curl(address).map(drop)
}

/// Runs while a rule about this resource is missing from a role, then puts it back.
fn without_rule(
    stage: &Stage,
    role: Ref<'_>,
    resource: &str,
    work: impl FnOnce(&Stage) -> Result<()>,
) -> Result<()> {
    let object = stage.api().get(role)?.unwrap_or_default();
    let all = object["rules"].as_array().cloned().unwrap_or_default();
    let less: Vec<Value> = all
        .iter()
        .map(|rule| {
            let mut rule = rule.clone();
            if let Some(resources) = rule["resources"].as_array_mut() {
                resources.retain(|name| name != resource);
            }
            rule
        })
        .filter(|rule| rule["resources"] != json!([]))
        .collect();
    check(less != all, || format!("no rule about {resource}"))?;
    stage.api().patch(role, &json!({ "rules": less }))?;
    let result = work(stage);
    stage.api().patch(role, &json!({ "rules": all }))?;
    result
}

fn permission(stage: &mut Stage) -> Result<()> {
    let role = stage.own_object("ClusterRole", "controller")?;
    let role = Ref::new("ClusterRole", "", &role);
    let processes = stage.own_processes();
    without_rule(stage, role, "services/status", |stage| {
        let from = stage.written("controller")?;
        stage.example("quick-start")?;
        stage.wait_for_line("controller", from, &["cannot patch services/status", "default"])?;
        check(stage.addresses_now("echo")?.is_empty(), || "written all the same".to_owned())
    })?;
    stage.expect_addresses("echo", &["172.30.1.200"])?;
    check(stage.own_processes() == processes, || "a process was restarted".to_owned())
}

fn watch_permission(stage: &mut Stage) -> Result<()> {
    let role = stage.own_object("ClusterRole", "speaker")?;
    let role = Ref::new("ClusterRole", "", &role);
    stage.example("quick-start")?;
    let address = stage.address("echo")?;
    let owner = stage.announced("echo", Lan::One, address)?;
    let name = format!("speaker-{owner}");
    without_rule(stage, role, "endpointslices", |stage| {
        let from = stage.written(&name)?;
        stage.lab().process(&name)?.restart()?;
        stage.wait_for_line(&name, from, &["cannot list endpointslices.discovery.k8s.io"]).map(drop)
    })?;
    stage.expect_owner(address, &owner)?;
    stage.announced("echo", Lan::One, address)?;
    stage.lab().wait_ready(PATIENCE)
}

fn kinds(stage: &mut Stage) -> Result<()> {
    let definition = |kind| format!("{kind}.metallb.io");
    for kind in crate::stage::NAMES {
        let name = definition(kind);
        stage.api().delete(Ref::new("CustomResourceDefinition", "", &name))?;
    }
    let names = ["controller", "speaker-node1", "speaker-node2", "speaker-node3"];
    let from = names.map(|name| stage.written(name));
    for name in names {
        stage.lab().process(name)?.restart()?;
    }
    for (name, from) in names.into_iter().zip(from) {
        stage.wait_for_line(name, from?, &["ipaddresspools.metallb.io"])?;
    }
    let processes = stage.own_processes();
    stage.api().apply_yaml(&ferrolb_api::crds_yaml())?;
    let applied = || {
        stage.kubectl(&[
            "apply",
            "-f",
            &crate::stage::examples().join("quick-start").display().to_string(),
        ])
    };
    wait_until(
        "the kinds are served again",
        PATIENCE,
        || Ok(applied().map_err(|e| e.to_string())),
    )?;
    stage.lab().wait_ready(PATIENCE)?;
    let address = stage.address("echo")?;
    stage.announced("echo", Lan::One, address)?;
    stage.curl(address)?;
    check(stage.own_processes() == processes, || "a process was restarted".to_owned())
}

fn secret(stage: &mut Stage) -> Result<()> {
    let object = stage.members_secret()?;
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let secret = Ref::new("Secret", NAMESPACE, name);
    let key = object["data"]["secretkey"].clone();
    // Only a key goes: without the Secret, speakers would not be started at all.
    let patch = |key: &Value| json!({ "data": { "secretkey": key, "other": "b3RoZXI=" } });
    stage.api().patch(secret, &patch(&Value::Null))?;
    let nodes = stage.nodes();
    let mut from = Vec::new();
    for node in &nodes {
        expect_secret(node, false)?;
        from.push(stage.written(&format!("speaker-{node}"))?);
        stage.restart(&format!("speaker-{node}"))?;
    }
    let result = without_secret(stage, &nodes, &from);
    stage.api().patch(secret, &patch(&key))?;
    for node in &nodes {
        expect_secret(node, true)?;
        stage.restart(&format!("speaker-{node}"))?;
    }
    result
}

/// Waits until kubelet has brought a speaker's volume up to date.
fn expect_secret(node: &str, there: bool) -> Result<()> {
    let path = format!("{FOLDER}/roots/speaker-{node}/etc/ml_secret_key/secretkey");
    wait_until(&format!("{path}: {there}"), PATIENCE, || {
        Ok(if Path::new(&path).exists() == there { Ok(()) } else { Err("not yet") })
    })
}

fn without_secret(stage: &Stage, nodes: &[String], from: &[usize]) -> Result<()> {
    stage.apply(&pool("web", &["172.30.1.200/32"]))?;
    stage.apply(&service("web"))?;
    let address = stage.address("web")?;
    let mut seen = Vec::new();
    for node in nodes {
        let selector = json!([{ "matchLabels": { "kubernetes.io/hostname": node } }]);
        stage.apply(&advertisement("one").spec(&json!({ "nodeSelectors": selector })))?;
        stage.expect_owner(address, node)?;
        seen.push(node);
    }
    check(seen.len() == 3, || format!("only {seen:?} count"))?;
    for (node, from) in nodes.iter().zip(from) {
        let log = stage.lab().process(&format!("speaker-{node}"))?.log();
        let new = log.get(*from..).unwrap_or_default();
        let warnings = new.lines().filter(|line| line.contains("memberlist secret")).count();
        check(warnings == 1, || format!("{warnings} warnings of {node}: {new}"))?;
    }
    Ok(())
}
