//! Which nodes announce which Services: selectors of advertisements.

use ferrolb_lab::Result;
use ferrolb_lab::plan::Lan;
use serde_json::{Value, json};

use super::case;
use crate::manifest::{Manifest, advertisement, pool, service};
use crate::stage::{PATIENCE, QUIET, Stage, check, fail};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("one_node_selected", "L2-44 each node in turn", one_node),
    case("two_advertisements", "L2-45 selectors add up, endpoints decide", two_advertisements),
    case("no_node_then_one", "L2-46 a label put on a node counts at once", no_node_then_one),
    case("preferred_node", "L2-47 L2-49 a preference decides, and falls back", preferred),
    case("preference_of_nobody", "L2-48 the election is as without it", preference_of_nobody),
    case("selected_before_preferred", "L2-51 L2-52 a preference cannot add nodes", hard_filter),
    case("pool_and_service_selectors", "L2-55 both must match", pool_and_service),
    case("weights_add_up", "L2-50 L2-53 sums over advertisements, followed at runtime", weights),
    case("preference_for_some", "L2-54 a preference counts for selected Services only", scoped),
    case("service_or_node_lacks", "L2-57 no advertisement fits both Service and node", neither),
    case("any_service_selector", "L2-58 one of several selectors is enough", any_selector),
    case("one_of_two_selected", "L2-56 two advertisements, one announcement", one_of_two),
];

fn on_node(node: &str) -> Value {
    json!([{ "matchLabels": { "kubernetes.io/hostname": node } }])
}

fn web(stage: &Stage, name: &str, advertisement: &Manifest) -> Result<std::net::IpAddr> {
    stage.apply(&pool("web", &["172.30.1.200-172.30.1.209"]))?;
    stage.apply(advertisement)?;
    stage.apply(&service(name))?;
    stage.address(name)
}

fn one_node(stage: &mut Stage) -> Result<()> {
    let selecting =
        |node: &str| advertisement("one").spec(&json!({ "nodeSelectors": on_node(node) }));
    let address = web(stage, "web", &selecting("node1"))?;
    for node in stage.nodes() {
        stage.apply(&selecting(&node))?;
        stage.expect_owner(address, &node)?;
        stage.announced("web", Lan::One, address)?;
        stage.curl(address)?;
    }
    Ok(())
}

fn two_advertisements(stage: &mut Stage) -> Result<()> {
    for node in ["node2", "node3"] {
        stage.set_ready(node, false)?;
    }
    stage.apply(&advertisement("second").spec(&json!({ "nodeSelectors": on_node("node2") })))?;
    stage.apply(&pool("web", &["172.30.1.200/32"]))?;
    stage.apply(&service("web").local())?;
    let address = stage.address("web")?;
    stage.expect_answerers(Lan::One, address, &[])?;
    stage.apply(&advertisement("all"))?;
    stage.expect_owner(address, "node1")?;
    stage.announced("web", Lan::One, address).map(drop)
}

fn no_node_then_one(stage: &mut Stage) -> Result<()> {
    let selector = json!([{ "matchLabels": { "e2e/a": "yes" } }]);
    let labelled = advertisement("labelled").spec(&json!({ "nodeSelectors": selector }));
    let address = web(stage, "web", &labelled)?;
    stage.expect_answerers(Lan::One, address, &[])?;
    stage.expect_no_status("web")?;
    stage.label_node("node1", "e2e/a", Some("yes"))?;
    stage.expect_owner(address, "node1")?;
    stage.announced("web", Lan::One, address)?;
    stage.label_node("node1", "e2e/a", None)?;
    stage.expect_answerers(Lan::One, address, &[])?;
    stage.expect_no_status("web")
}

fn preference(weight: u8, labels: &Value) -> Value {
    json!({ "weight": weight, "preference": { "matchLabels": labels } })
}

/// The natural owner and another node.
fn owner_and_other(stage: &Stage, address: std::net::IpAddr) -> Result<(String, String)> {
    let owner = stage.announced("web", Lan::One, address)?;
    let other = stage.nodes().into_iter().find(|node| *node != owner);
    Ok((owner, other.ok_or_else(|| fail("one node only"))?))
}

fn preferred(stage: &mut Stage) -> Result<()> {
    let address = web(stage, "web", &advertisement("all"))?;
    let (natural, chosen) = owner_and_other(stage, address)?;
    stage.label_node(&chosen, "e2e/a", Some("yes"))?;
    let preferring =
        json!({ "preferredNodeSelectors": [preference(100, &json!({ "e2e/a": "yes" }))] });
    stage.apply(&advertisement("all").spec(&preferring))?;
    stage.expect_owner(address, &chosen)?;
    stage.announced("web", Lan::One, address)?;
    stage.label_node(&chosen, crate::stage::EXCLUDE, Some(""))?;
    stage.expect_owner(address, &natural)?;
    stage.label_node(&chosen, crate::stage::EXCLUDE, None)?;
    stage.expect_owner(address, &chosen)?;
    stage.label_node(&chosen, "e2e/a", None)?;
    stage.expect_owner(address, &natural)?;
    stage.announced("web", Lan::One, address).map(drop)
}

fn preference_of_nobody(stage: &mut Stage) -> Result<()> {
    let address = web(stage, "web", &advertisement("all"))?;
    let (natural, _) = owner_and_other(stage, address)?;
    let watch = stage.watch(Lan::One, address)?;
    let preferring = json!({ "preferredNodeSelectors": [
        preference(100, &json!({ "e2e/a": "nobody" })), preference(10, &json!({})),
    ] });
    stage.apply(&advertisement("all").spec(&preferring))?;
    std::thread::sleep(QUIET);
    let heard = watch.stop()?;
    let mac = stage.lab().host(&natural)?.mac(Lan::One);
    check(heard.answers().all(|answer| answer.mac == mac), || "the owner changed".to_owned())?;
    stage.expect_status("web", &natural)
}

fn hard_filter(stage: &mut Stage) -> Result<()> {
    let address = web(stage, "web", &advertisement("all"))?;
    let (natural, other) = owner_and_other(stage, address)?;
    let filtered = |eligible: &str, preferred: &str| {
        advertisement("all").spec(&json!({
            "nodeSelectors": [{ "matchLabels": { "e2e/a": eligible } }],
            "preferredNodeSelectors": [preference(100, &json!({ "e2e/b": preferred }))],
        }))
    };
    for node in [&natural, &other] {
        stage.label_node(node, "e2e/a", Some("both"))?;
    }
    stage.label_node(&other, "e2e/b", Some("one"))?;
    stage.apply(&filtered("both", "one"))?;
    stage.expect_owner(address, &other)?;
    stage.label_node(&natural, "e2e/a", Some("alone"))?;
    stage.apply(&filtered("alone", "one"))?;
    stage.expect_owner(address, &natural)?;
    stage.announced("web", Lan::One, address).map(drop)
}

fn pool_and_service(stage: &mut Stage) -> Result<()> {
    stage.apply(&pool("pool-a", &["172.30.1.200/32"]).label("pool", "a"))?;
    stage.apply(&pool("pool-b", &["172.30.1.210/32"]).label("pool", "b"))?;
    stage.apply(&advertisement("both").spec(&json!({
        "ipAddressPoolSelectors": [{ "matchLabels": { "pool": "a" } }],
        "serviceSelectors": [{ "matchLabels": { "expose": "true" } }],
    })))?;
    let exposed = |name: &str, pool: &str, expose: &str| {
        service(name).annotate("metallb.io/address-pool", pool).label("expose", expose)
    };
    stage.apply(&exposed("svc-a", "pool-a", "true"))?;
    stage.apply(&exposed("svc-b", "pool-b", "true"))?;
    let (a, b) = (stage.address("svc-a")?, stage.address("svc-b")?);
    stage.announced("svc-a", Lan::One, a)?;
    stage.expect_answerers(Lan::One, b, &[])?;
    stage.apply(&exposed("svc-a", "pool-a", "false"))?;
    stage.expect_answerers(Lan::One, a, &[])?;
    stage.expect_no_status("svc-a")?;
    stage.apply(&exposed("svc-b", "pool-b", "false"))?;
    stage.apply(&exposed("svc-a", "pool-a", "true"))?;
    stage.announced("svc-a", Lan::One, a)?;
    stage.expect_answerers(Lan::One, b, &[])?;
    stage.expect_no_status("svc-b")
}

fn one_of_two(stage: &mut Stage) -> Result<()> {
    for node in ["node1", "node2"] {
        stage.apply(&advertisement(node).spec(&json!({
            "nodeSelectors": on_node(node),
            "serviceSelectors": [{ "matchLabels": { "app": "test" } }],
        })))?;
    }
    stage.apply(&pool("web", &["172.30.1.200/32"]))?;
    stage.apply(&service("web").label("app", "test"))?;
    let address = stage.address("web")?;
    let owner = stage.announced("web", Lan::One, address)?;
    check(owner == "node1" || owner == "node2", || format!("{owner} announces"))?;
    ferrolb_lab::api::wait_until("one status object", PATIENCE, || {
        let count = stage.statuses("default", "web")?.len();
        Ok(if count == 1 { Ok(()) } else { Err(count) })
    })
}

fn weights(stage: &mut Stage) -> Result<()> {
    let address = web(stage, "web", &advertisement("all"))?;
    let (natural, _) = owner_and_other(stage, address)?;
    let others: Vec<_> = stage.nodes().into_iter().filter(|node| *node != natural).collect();
    let [a, b] = &others[..] else { return Err(fail("three nodes are needed")) };
    stage.label_node(a, "e2e/a", Some("primary"))?;
    stage.label_node(a, "e2e/b", Some("edge"))?;
    stage.label_node(b, "e2e/a", Some("primary"))?;
    let preferring = |weight, key: &str, value: &str| json!({ "preferredNodeSelectors": [preference(weight, &json!({ key: value }))] });
    stage.apply(&advertisement("all").spec(&preferring(60, "e2e/a", "primary")))?;
    stage.apply(&advertisement("more").spec(&preferring(50, "e2e/b", "edge")))?;
    stage.expect_owner(address, a)?;
    stage.label_node(a, "e2e/a", None)?;
    stage.expect_owner(address, b)?;
    stage.apply(&advertisement("all").spec(&json!({ "preferredNodeSelectors": null })))?;
    stage.expect_owner(address, a)?;
    stage.apply(&advertisement("more").spec(&json!({ "preferredNodeSelectors": null })))?;
    stage.expect_owner(address, &natural)?;
    stage.announced("web", Lan::One, address).map(drop)
}

fn scoped(stage: &mut Stage) -> Result<()> {
    let address = web(stage, "web", &advertisement("all"))?;
    stage.apply(&service("matched").label("app", "matched"))?;
    let matched = stage.address("matched")?;
    let first = stage.announced("web", Lan::One, address)?;
    let second = stage.announced("matched", Lan::One, matched)?;
    let node = stage.nodes().into_iter().find(|node| *node != first && *node != second);
    let node = node.ok_or_else(|| fail("three nodes are needed"))?;
    stage.label_node(&node, "e2e/a", Some("yes"))?;
    stage.apply(&advertisement("some").spec(&json!({
        "serviceSelectors": [{ "matchLabels": { "app": "matched" } }],
        "preferredNodeSelectors": [preference(100, &json!({ "e2e/a": "yes" }))],
    })))?;
    stage.expect_owner(matched, &node)?;
    stage.announced("matched", Lan::One, matched)?;
    check(stage.announced("web", Lan::One, address)? == first, || "web moved, too".to_owned())
}

fn neither(stage: &mut Stage) -> Result<()> {
    stage.apply(&advertisement("other").spec(&json!({
        "serviceSelectors": [{ "matchLabels": { "app": "other" } }],
    })))?;
    stage.apply(&advertisement("nowhere").spec(&json!({
        "serviceSelectors": [{ "matchLabels": { "app": "web" } }],
        "nodeSelectors": on_node("node-of-another-cluster"),
    })))?;
    stage.apply(&pool("web", &["172.30.1.200-172.30.1.209"]))?;
    let address: std::net::IpAddr = std::net::Ipv4Addr::new(172, 30, 1, 200).into();
    let watch = stage.watch(Lan::One, address)?;
    stage.apply(&service("web").label("app", "web"))?;
    stage.expect_addresses("web", &["172.30.1.200"])?;
    stage.apply(&service("other").label("app", "other"))?;
    let other = stage.address("other")?;
    stage.announced("other", Lan::One, other)?;
    std::thread::sleep(QUIET);
    stage.expect_silence(&watch.stop()?)?;
    stage.expect_no_status("web")
}

fn any_selector(stage: &mut Stage) -> Result<()> {
    stage.apply(&advertisement("two").spec(&json!({ "serviceSelectors": [
        { "matchLabels": { "app": "nginx" } }, { "matchLabels": { "app": "apache" } },
    ] })))?;
    stage.apply(&pool("web", &["172.30.1.200-172.30.1.209"]))?;
    for name in ["other", "nginx", "apache"] {
        stage.apply(&service(name).label("app", name))?;
        stage.address(name)?;
    }
    for name in ["nginx", "apache"] {
        let address = stage.address(name)?;
        stage.announced(name, Lan::One, address)?;
    }
    let address = stage.address("other")?;
    stage.expect_answerers(Lan::One, address, &[])?;
    stage.expect_no_status("other")
}
