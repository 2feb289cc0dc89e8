//! What the controller reports of pools and Services, in the objects.

use ferrolb_lab::api::{Ref, wait_until};
use ferrolb_lab::plan::Lan;
use ferrolb_lab::{NAMESPACE, Result};
use serde_json::{Value, json};

use super::case;
use crate::manifest::{advertisement, pool, service};
use crate::stage::{PATIENCE, Stage, fail};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("e_23_pool_status", "E-23 L2-20 assigned and available; an edit is put back", pool_status),
    case("service_conditions", "Allocated and Announced tell what is true, and why", conditions),
    case("legacy_configuration", "without pools, an event names the way to convert it", legacy),
];

fn pool_status(stage: &mut Stage) -> Result<()> {
    let expect = |available: i64, assigned: i64| {
        let wanted = json!({
            "availableIPv4": available, "availableIPv6": available,
            "assignedIPv4": assigned, "assignedIPv6": assigned,
        });
        wait_until(&format!("the pool's status is {wanted}"), PATIENCE, || {
            let object = stage.api().get(Ref::new("IPAddressPool", NAMESPACE, "lan"))?;
            let status = object.unwrap_or_default()["status"].clone();
            Ok(if status == wanted { Ok(()) } else { Err(status) })
        })
    };
    stage.apply(&pool("lan", &["192.168.10.0/30", "fc00:f853:ccd:e799::/126"]))?;
    expect(4, 0)?;
    stage.apply(&service("web").families("RequireDualStack", &["IPv4", "IPv6"]))?;
    expect(3, 1)?;
    stage.apply(&pool("lan", &["192.168.10.0/29", "fc00:f853:ccd:e799::/125"]))?;
    expect(7, 1)?;
    stage.delete_service("web")?;
    expect(8, 0)?;
    let wrong = json!({
        "availableIPv4": 5, "availableIPv6": 5, "assignedIPv4": 5, "assignedIPv6": 5,
    });
    stage.api().patch_status(Ref::new("IPAddressPool", NAMESPACE, "lan"), &wrong)?;
    expect(8, 0)
}

fn conditions(stage: &mut Stage) -> Result<()> {
    let expect = |kind: &str, status: &str, words: &[&str]| {
        wait_until(&format!("{kind} is {status} with {words:?}"), PATIENCE, || {
            let object = stage.api().get(Ref::new("Service", "default", "web"))?;
            let object = object.unwrap_or_default();
            let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let kind = format!("metallb.io/{kind}");
            let Some(condition) = all.iter().find(|one| one["type"] == kind.as_str()) else {
                return Ok(Err(format!("{all:?}")));
            };
            let text = format!("{}: {}", condition["reason"], condition["message"]);
            let holds =
                condition["status"] == status && words.iter().all(|word| text.contains(word));
            Ok(if holds { Ok(()) } else { Err(condition.to_string()) })
        })
    };
    stage.apply(&service("web"))?;
    expect("Allocated", "False", &["NoPools"])?;
    stage.apply(&pool("lan", &["172.30.1.200/32"]))?;
    expect("Allocated", "True", &["Allocated", "lan"])?;
    expect("Announced", "False", &["NotAnnounced"])?;
    stage.apply(&advertisement("all"))?;
    let address = stage.address("web")?;
    let owner = stage.announced("web", Lan::One, address)?;
    expect("Announced", "True", &[&owner, "layer2"])?;
    stage.delete_pool("lan")?;
    expect("Allocated", "False", &["NoPools"])
}

fn legacy(stage: &mut Stage) -> Result<()> {
    let target = Ref::new("ConfigMap", NAMESPACE, "config");
    stage.api().apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": target.name, "namespace": target.namespace },
        "data": { "config": "address-pools:\n- name: old\n  protocol: layer2\n" },
    }))?;
    stage.restart("controller")?;
    let told = wait_until("an event on the ConfigMap", PATIENCE, || {
        let events = stage.api().list("Event", NAMESPACE, "")?;
        let about = |event: &&Value| event["involvedObject"]["name"] == target.name;
        let message = events.iter().find(about).and_then(|event| event["message"].as_str());
        Ok(message.map(str::to_owned).ok_or("none"))
    });
    stage.api().delete(target)?;
    let told = told?;
    if told.contains("IPAddressPool") { Ok(()) } else { Err(fail(told)) }
}
