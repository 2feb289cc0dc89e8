//! Admission, as a user meets it: kubectl, the real API server, and the controller it asks.

use std::fs;
use std::thread;
use std::time::Duration;

use ferrolb_lab::api::{Ref, wait_until};
use ferrolb_lab::{Error, FOLDER, NAMESPACE, Result};
use serde_json::{Value, json};

use super::case;
use crate::manifest::{advertisement, pool, service};
use crate::stage::{HEARD, PATIENCE, Stage, WEBHOOKS, check, fail};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("wh_01_overlapping_pools", "WH-01 H-15 H-16 H-17", overlapping_pools),
    case("wh_02_wh_03_aggregation", "WH-02 WH-03 H-03 H-04", aggregation),
    case("wh_04_wh_05_wh_06_peers", "WH-04 WH-05 WH-06 H-19 to H-21", peers),
    case("wh_07_to_12_communities", "WH-07 to WH-12 H-07 H-08", communities),
    case("wh_13_profile_in_use", "WH-13 H-01 a profile goes after its peers", profile_in_use),
    case("wh_14_to_19_other_namespace", "WH-14 to WH-19, H rows of the namespace", other_namespace),
    case("warnings", "what users regret is let in, and kubectl says so", warnings),
    case("versions_of_a_peer", "v1beta1 and v1beta2 without conversion: nothing is lost", versions),
    case("upstreams_conversion", "a definition that upstream left: /convert answers", conversion),
    case(
        "certificates_come_back",
        "Secret deleted, bundle stripped: there again at once, and questions are answered",
        certificates,
    ),
    case("failure_policy", "without a controller: Fail refuses, Ignore lets in", failure_policy),
    case(
        "schema_alone",
        "webhooks off: what the schema knows is refused, the rest told",
        schema_alone,
    ),
];

/// How soon certificates are there again: sooner than by looking now and then.
const AGAIN: Duration = Duration::from_secs(8);

/// What `kubectl` made of an object.
#[derive(Debug)]
struct Verdict {
    taken: bool,
    /// Errors and warnings.
    said: String,
}

fn kubectl(stage: &Stage, words: &[&str], object: &Value) -> Result<Verdict> {
    let file = format!("{FOLDER}/object.json");
    fs::write(&file, object.to_string()).map_err(Error::io(&file))?;
    let words: Vec<_> = words.iter().copied().chain(["--filename", &file]).collect();
    let output = stage.kubectl_output(&words)?;
    Ok(Verdict { taken: output.code == Some(0), said: output.stderr })
}

/// Creates or replaces; returns what was said.
fn take(stage: &Stage, object: &Value) -> Result<String> {
    let verdict = kubectl(stage, &["apply", "--server-side", "--force-conflicts"], object)?;
    check(verdict.taken, || format!("refused: {}", verdict.said))?;
    Ok(verdict.said)
}

/// The same must be refused with these words.
fn refuse(stage: &Stage, object: &Value, words: &[&str]) -> Result<()> {
    let verdict = kubectl(stage, &["apply", "--server-side", "--force-conflicts"], object)?;
    check(!verdict.taken, || format!("let in: {object}"))?;
    let all = words.iter().all(|word| verdict.said.contains(word));
    check(all, || format!("{words:?} are not in {:?}", verdict.said))
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    let version = if kind == "BGPPeer" { "v1beta2" } else { "v1beta1" };
    json!({
        "apiVersion": format!("metallb.io/{version}"), "kind": kind,
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": spec,
    })
}

fn addresses(name: &str, range: &str) -> Value {
    object("IPAddressPool", name, &json!({ "addresses": [range] }))
}

fn peer(name: &str, address: &str, more: &Value) -> Value {
    let mut spec = json!({ "myASN": 64500, "peerASN": 64500, "peerAddress": address });
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    object("BGPPeer", name, &spec)
}

fn on(node: &str) -> Value {
    json!({ "nodeSelectors": [{ "matchLabels": { "kubernetes.io/hostname": node } }] })
}

fn overlapping_pools(stage: &mut Stage) -> Result<()> {
    const OVERLAP: &[&str] = &["overlaps with already defined CIDR"];
    take(stage, &addresses("first", "1.1.1.1-1.1.1.100"))?;
    refuse(stage, &addresses("second", "1.1.1.15-1.1.1.20"), OVERLAP)?;
    take(stage, &addresses("second", "1.1.1.101-1.1.1.200"))?;
    refuse(stage, &addresses("second", "1.1.1.0/24"), OVERLAP)?;
    take(stage, &addresses("first", "1.1.1.1-1.1.1.90")).map(drop)
}

fn aggregation(stage: &mut Stage) -> Result<()> {
    let advertisement =
        |pool: &str, length: u8| json!({ "ipAddressPools": [pool], "aggregationLength": length });
    take(stage, &addresses("narrow", "1.1.1.0/28"))?;
    take(stage, &addresses("wide", "1.1.2.0/24"))?;
    let wrong = object("BGPAdvertisement", "a", &advertisement("narrow", 26));
    refuse(stage, &wrong, &["aggregation length 26", "28", "1.1.1.0/28"])?;
    let mut wrong = object("BGPAdvertisement", "a", &advertisement("wide", 24));
    wrong["spec"]["serviceSelectors"] = json!([{ "matchLabels": { "app": "a" } }]);
    refuse(stage, &wrong, &["mutually exclusive", "serviceSelectors"])?;
    take(stage, &object("BGPAdvertisement", "a", &advertisement("wide", 24)))?;
    take(stage, &object("BGPAdvertisement", "b", &advertisement("wide", 26)))?;
    take(stage, &object("BGPAdvertisement", "b", &advertisement("wide", 28))).map(drop)
}

fn peers(stage: &mut Stage) -> Result<()> {
    let nodes = stage.nodes();
    refuse(stage, &peer("a", "1.1.1", &json!({})), &["invalid BGPPeer address"])?;
    take(stage, &peer("a", "10.200.200.1", &on(&nodes[0])))?;
    refuse(stage, &peer("b", "10.200.200.1", &on(&nodes[0])), &["already exists"])?;
    take(stage, &peer("b", "10.200.200.1", &on(&nodes[1])))?;
    refuse(stage, &peer("b", "10.200.200.1", &on(&nodes[0])), &["already exists"])
}

/// Values that no community has, and what is said about them.
const WRONG: [(&str, &str); 2] = [
    ("99999999:1", "invalid community value: invalid section"),
    ("lar:123:9999:123", "expected community to be of format large"),
];

fn communities(stage: &mut Stage) -> Result<()> {
    let community = |name: &str, aliases: &[(&str, &str)]| {
        let aliases = aliases.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        object("Community", name, &json!({ "communities": aliases.collect::<Vec<_>>() }))
    };
    for (value, words) in WRONG {
        refuse(stage, &community("new", &[("a", value)]), &[words])?;
    }
    take(stage, &community("old", &[]))?;
    for (value, words) in WRONG {
        refuse(stage, &community("old", &[("a", value)]), &[words])?;
    }
    let twice = &["duplicate definition of community"];
    for value in ["1111:2222", "large:123:9999:123"] {
        refuse(stage, &community("twice", &[("a", value), ("a", value)]), twice)?;
        take(stage, &community("old", &[("a", value)]))?;
        refuse(stage, &community("other", &[("a", value)]), twice)?;
    }
    Ok(())
}

fn profile_in_use(stage: &mut Stage) -> Result<()> {
    let profile = object("BFDProfile", "fast", &json!({}));
    let user = peer("user", "10.200.200.1", &json!({ "bfdProfile": "fast" }));
    take(stage, &profile)?;
    take(stage, &user)?;
    let verdict = kubectl(stage, &["delete"], &profile)?;
    let why = "failed to delete BFDProfile";
    check(!verdict.taken && verdict.said.contains(why), || verdict.said)?;
    for object in [user, profile] {
        let verdict = kubectl(stage, &["delete"], &object)?;
        check(verdict.taken, || verdict.said)?;
    }
    Ok(())
}

fn other_namespace(stage: &mut Stage) -> Result<()> {
    let elsewhere = format!("{NAMESPACE}-other");
    stage.namespace(&elsewhere, &json!({}))?;
    let why = format!("resource must be created in {NAMESPACE} namespace");
    for mut object in [
        object("BFDProfile", "a", &json!({})),
        addresses("a", "1.1.1.1-1.1.1.100"),
        // The address is wrong, too; the place is told first.
        peer("a", "1.1.1", &json!({})),
        object("BGPAdvertisement", "a", &json!({ "aggregationLength": 26 })),
        object("L2Advertisement", "a", &json!({})),
        object("Community", "a", &json!({ "communities": [{ "name": "a", "value": "1234:1" }] })),
    ] {
        object["metadata"]["namespace"] = elsewhere.as_str().into();
        refuse(stage, &object, &[&why])?;
    }
    Ok(())
}

fn warnings(stage: &mut Stage) -> Result<()> {
    let expect = |object: &Value, words: &[&str]| {
        let said = take(stage, object)?;
        let all = words.iter().all(|word| said.contains(word));
        check(all, || format!("{words:?} are not in {said:?}"))
    };
    let lan = pool("lan", &["172.30.1.200-172.30.1.209"]);
    expect(lan.object(), &["Warning", "will not be announced"])?;
    let nowhere =
        advertisement("all").spec(&json!({ "ipAddressPools": ["none"], "nodeSelectors": [
            { "matchLabels": { "no": "node" } },
        ] }));
    expect(nowhere.object(), &["no IPAddressPool matches it", "no node matches"])?;
    stage.apply(&advertisement("every"))?;
    let second = pool("second", &["172.30.1.210-172.30.1.219"]);
    expect(second.object(), &["Services that ask for no pool", "lan"])?;
    stage.apply(&service("web").annotate("metallb.io/address-pool", "lan"))?;
    stage.address("web")?;
    // The webhook hears of the address as everybody else does.
    wait_until("shrinking a pool in use names its Service", PATIENCE, || {
        let smaller = pool("lan", &["172.30.1.205-172.30.1.209"]);
        let words = ["apply", "--server-side", "--force-conflicts", "--dry-run=server"];
        let said = kubectl(stage, &words, smaller.object())?.said;
        Ok(if said.contains("default/web will lose") { Ok(()) } else { Err(said) })
    })
}

fn versions(stage: &mut Stage) -> Result<()> {
    let get = |version: &str, name: &str| -> Result<Value> {
        let kind = format!("bgppeers.{version}.metallb.io");
        let namespace = format!("--namespace={NAMESPACE}");
        let text = stage.kubectl(&["get", &kind, name, &namespace, "--output=json"])?;
        serde_json::from_str(&text).map_err(|error| fail(error.to_string()))
    };
    let mut old = peer("old", "10.200.200.1", &json!({ "holdTime": "90s" }));
    old["apiVersion"] = "metallb.io/v1beta1".into();
    let said = take(stage, &old)?;
    check(said.contains("deprecated"), || format!("no word on the old version: {said:?}"))?;
    let read = get("v1beta2", "old")?;
    check(read["spec"]["holdTime"] == "90s" && read["spec"]["keepaliveTime"].is_null(), || {
        format!("timers: {}", read["spec"])
    })?;

    // What only the new version knows outlives an edit through the old one.
    let new = json!({ "vrf": "red", "connectTime": "10s", "dualStackAddressFamily": true });
    take(stage, &peer("new", "10.200.200.2", &new))?;
    let mut read = get("v1beta1", "new")?;
    read["spec"]["peerPort"] = 1179.into();
    let verdict = kubectl(stage, &["replace"], &read)?;
    check(verdict.taken, || verdict.said)?;
    let read = get("v1beta2", "new")?;
    let kept =
        new.as_object().into_iter().flatten().all(|(key, value)| read["spec"][key] == *value);
    check(kept && read["spec"]["peerPort"] == 1179, || read["spec"].to_string())?;
    check(read["spec"]["holdTime"].is_null(), || format!("timers: {}", read["spec"]))
}

fn conversion(stage: &mut Stage) -> Result<()> {
    let definition = Ref::new("CustomResourceDefinition", "", "bgppeers.metallb.io");
    let service = stage.own_object("Service", "webhook-service")?;
    let patch = json!({ "spec": { "conversion": {
        "strategy": "Webhook",
        "webhook": {
            "conversionReviewVersions": ["v1beta1", "v1beta2", "v1"],
            "clientConfig": {
                "service": { "name": service, "namespace": NAMESPACE, "path": "/convert" },
            },
        },
    } } });
    stage.api().patch(definition, &patch)?;
    let bundle = "/spec/conversion/webhook/clientConfig/caBundle";
    let told = wait_until("the definition has a certificate authority", PATIENCE, || {
        let object = stage.api().get(definition)?.unwrap_or_default();
        Ok(object.pointer(bundle).map(drop).ok_or("none"))
    });
    let result = told.and_then(|()| {
        // The API server takes a moment to use it.
        wait_until("a peer is converted", PATIENCE, || {
            Ok(versions(stage).map_err(|error| error.to_string()))
        })
    });
    let back = json!({ "spec": { "conversion": { "strategy": "None", "webhook": null } } });
    stage.api().patch(definition, &back)?;
    result
}

fn certificates(stage: &mut Stage) -> Result<()> {
    let secret = Ref::new("Secret", NAMESPACE, "metallb-webhook-cert");
    let bundle = |webhooks: &Value| {
        let hooks = webhooks["webhooks"].as_array().into_iter().flatten();
        let all: Vec<_> = hooks.map(|hook| hook["clientConfig"]["caBundle"].clone()).collect();
        all.first()
            .filter(|first| first.is_string() && all.iter().all(|one| one == *first))
            .cloned()
    };
    let before = stage.webhooks()?;
    let old = bundle(&before).ok_or_else(|| fail("no authority at the webhooks"))?;

    let mut stripped = before["webhooks"].clone();
    for hook in stripped.as_array_mut().into_iter().flatten() {
        hook["clientConfig"]["caBundle"] = Value::Null;
    }
    stage.api().patch(WEBHOOKS, &json!({ "webhooks": stripped }))?;
    wait_until("the authority is put back", AGAIN, || {
        let found = bundle(&stage.webhooks()?);
        Ok(if found.as_ref() == Some(&old) { Ok(()) } else { Err(format!("{found:?}")) })
    })?;

    stage.api().delete(secret)?;
    wait_until("there are other certificates, and their authority is known", AGAIN, || {
        let entry =
            |key: &str| Ok(stage.api().get(secret)?.unwrap_or_default()["data"][key].clone());
        let (authority, found) = (entry("ca.crt")?, bundle(&stage.webhooks()?));
        let done = authority.is_string() && authority != old && found.as_ref() == Some(&authority);
        Ok(if done { Ok(()) } else { Err(format!("{found:?}")) })
    })?;
    thread::sleep(HEARD);
    refuse(stage, &addresses("wrong", "1.1.1.0/33"), &["wrong"])
}

fn failure_policy(stage: &mut Stage) -> Result<()> {
    let wrong = addresses("wrong", "1.1.1.0/33");
    stage.lab().process("controller")?.kill()?;
    refuse(stage, &addresses("first", "1.1.1.0/24"), &["failed calling webhook"])?;
    with_policy(stage, "Ignore", |stage| {
        take(stage, &addresses("first", "1.1.1.0/24"))?;
        refuse(stage, &wrong, &["must be a prefix"])
    })?;
    stage.restart("controller")?;
    wait_until("pools are checked again", PATIENCE, || {
        let second = addresses("second", "1.1.1.0/28");
        let said = kubectl(stage, &["create", "--dry-run=server"], &second)?.said;
        Ok(if said.contains("overlaps with") { Ok(()) } else { Err(said) })
    })
}

/// Does something while another policy holds for all webhooks.
fn with_policy(stage: &Stage, policy: &str, work: impl FnOnce(&Stage) -> Result<()>) -> Result<()> {
    let object = stage.webhooks()?;
    let mut changed = object["webhooks"].clone();
    for webhook in changed.as_array_mut().into_iter().flatten() {
        webhook["failurePolicy"] = policy.into();
    }
    stage.api().patch(WEBHOOKS, &json!({ "webhooks": changed }))?;
    thread::sleep(HEARD);
    let result = work(stage);
    stage.api().patch(WEBHOOKS, &json!({ "webhooks": object["webhooks"] }))?;
    result
}

fn schema_alone(stage: &mut Stage) -> Result<()> {
    stage.with_flag("Deployment", "controller", "--webhook-mode=disabled", |stage| {
        stage.without_webhooks(|stage| by_schema(stage))
    })?;
    // The other controller answers again, with the same authority.
    wait_until("pools are checked again", PATIENCE, || {
        let mut wrong = object("BFDProfile", "a", &json!({}));
        wrong["metadata"]["namespace"] = "default".into();
        let said = kubectl(stage, &["create", "--dry-run=server"], &wrong)?.said;
        Ok(if said.contains("resource must be created in") { Ok(()) } else { Err(said) })
    })
}

fn by_schema(stage: &Stage) -> Result<()> {
    for (wrong, word) in [
        (addresses("wrong", "1.1.1.0/33"), "must be a prefix"),
        (addresses("wrong", "1.1.1.9-nine"), "must be a prefix"),
        (peer("a", "10.200.200.1", &json!({ "ebgpMultiHop": true })), "another AS"),
        (peer("a", "10.200.200.1", &json!({ "holdTime": "2s" })), "at least 3 seconds"),
        (object("BGPPeer", "a", &json!({ "myASN": 64500, "peerASN": 1 })), "peerAddress"),
    ] {
        refuse(stage, &wrong, &[word])?;
    }
    stage.apply(&pool("lan", &["172.30.1.200-172.30.1.209"]))?;
    stage.apply(&advertisement("all"))?;
    stage.apply(&service("web"))?;
    let address = stage.address("web")?;
    // What needs a second object to be wrong is let in, told, and harms nobody else.
    stage.apply(&pool("thief", &["172.30.1.205-172.30.1.220"]))?;
    expect_state(stage, "Invalid", &["thief", "overlaps with already defined CIDR"])?;
    stage.curl(address)?;
    stage.delete_pool("thief")?;
    expect_state(stage, "Valid", &[])
}

/// Waits until the controller's report has this result, and all of these words.
fn expect_state(stage: &Stage, result: &str, words: &[&str]) -> Result<()> {
    wait_until(
        &format!("ConfigurationState controller is {result} with {words:?}"),
        PATIENCE,
        || {
            let target = Ref::new("ConfigurationState", NAMESPACE, "controller");
            let state = stage.api().get(target)?.unwrap_or_default();
            let summary = state["status"]["errorSummary"].as_str().unwrap_or_default();
            let holds = state["status"]["result"] == result
                && words.iter().all(|word| summary.contains(word))
                && summary.is_empty() == words.is_empty();
            Ok(if holds { Ok(()) } else { Err(state["status"].to_string()) })
        },
    )
}
