//! Nodes that live and cannot serve: others come first.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_lab::Result;
use ferrolb_lab::api::wait_until;
use ferrolb_lab::fault::Cable;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::process::Signal;
use serde_json::{Value, json};

use super::case;
use crate::manifest::{advertisement, pool, service};
use crate::stage::{PATIENCE, QUIET, Stage, UNASKED, check, fail};
use crate::suite::Case;

/// With membership on LAN 1 and addresses on LAN 2.
pub(super) const LANS: &[Case] = &[
    case(
        "lan_lost",
        "the LAN's carrier goes, membership stays: given away at once, back later",
        lost,
    ),
    case("named_lan_lost", "the same where the advertisement names the interface", named_lost),
    case("all_lans_lost", "where nobody is better nothing moves", all_lost),
    case(
        "interface_removed",
        "a node without the interface is no candidate, restarted or not",
        removed,
    ),
];

/// On one LAN.
pub(super) const CLUSTER: &[Case] = &[
    case(
        "cordoned_yields",
        "by a flag: the successor answers before the cordoned node stops",
        cordoned,
    ),
    case("kube_proxy_dead", "by a flag: the address leaves a node whose kube-proxy hangs", proxy),
];

/// The figure is a tenth of a second. A loaded machine may take longer; by membership, which goes by
/// another interface, the owner would stay for ever.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Until a cable that is in again is counted on.
const HOLD_DOWN: Duration = Duration::from_secs(5);

fn lost(stage: &mut Stage) -> Result<()> {
    loses(stage, &json!({}))
}

fn named_lost(stage: &mut Stage) -> Result<()> {
    loses(stage, &json!({ "interfaces": ["eth1"] }))
}

/// A Service with an address of each family on LAN 2.
fn on_lan_2(stage: &Stage, spec: &Value) -> Result<Vec<IpAddr>> {
    stage.apply(&pool("web", &["172.30.2.200/32", "fd00:172:30:2::200/128"]))?;
    stage.apply(&advertisement("web").spec(spec))?;
    stage.apply(&service("web").families("RequireDualStack", &["IPv4", "IPv6"]))?;
    stage.addresses("web")
}

fn loses(stage: &mut Stage, spec: &Value) -> Result<()> {
    for address in on_lan_2(stage, spec)? {
        let first = stage.announced("web", Lan::Two, address)?;
        // What is said unasked at first is said by then.
        thread::sleep(Duration::from_secs(4));
        let cable = Cable::of(stage.lab().host(&first)?, Lan::Two);
        let second = moves(stage, address, &first, || cable.cut())?;
        stage.curl_until(Lan::Two, (address, 80).into(), "any", |_| true)?;
        cable.plug()?;
        thread::sleep(HOLD_DOWN / 2);
        stage.expect_answerers(Lan::Two, address, &[&second])?;
        stage.expect_answerers(Lan::Two, address, &[&first])?;
        stage.announced("web", Lan::Two, address)?;
    }
    Ok(())
}

/// Breaks something of the owner, and measures until another node answers on LAN 2.
fn moves(
    stage: &Stage,
    address: IpAddr,
    first: &str,
    fault: impl Fn() -> Result<()>,
) -> Result<String> {
    let mac = stage.lab().host(first)?.mac(Lan::Two);
    let watch = stage.watch(Lan::Two, address)?;
    let begun = Instant::now();
    fault()?;
    let done = begun.elapsed();
    wait_until(&format!("another node than {first} answers"), PATIENCE, || {
        let answerers = stage.answerers(Lan::Two, address)?;
        let another = answerers.iter().any(|name| name != first);
        Ok(if another { Ok(()) } else { Err(format!("{answerers:?}")) })
    })?;
    thread::sleep(UNASKED);
    let heard = watch.stop()?;
    let next = heard.next_owner(begun, mac).ok_or_else(|| fail("nobody answered the watch"))?;
    let time = next.at.saturating_duration_since(begun);
    println!(
        "    {address}: first answer of the next owner after {time:.0?}, the fault took {done:.0?}"
    );
    check(time < AT_ONCE + done, || format!("the first answer came after {time:?}"))?;
    let told = heard
        .sightings
        .iter()
        .any(|sighting| !sighting.answer && sighting.mac == next.mac && sighting.at >= begun);
    check(told, || "the new owner said nothing unasked (G-04)".to_owned())?;
    let host = stage.lab().host_with_mac(next.mac).map(|host| host.name().to_owned());
    host.ok_or_else(|| fail(format!("a stranger answers: {}", next.mac)))
}

fn all_lost(stage: &mut Stage) -> Result<()> {
    let addresses = on_lan_2(stage, &json!({}))?;
    let address = *addresses.first().ok_or_else(|| fail("no address"))?;
    let first = stage.announced("web", Lan::Two, address)?;
    let nodes = stage.nodes();
    let cables: Vec<Cable> = nodes
        .iter()
        .map(|node| Ok(Cable::of(stage.lab().host(node)?, Lan::Two)))
        .collect::<Result<_>>()?;
    cables.iter().try_for_each(Cable::cut)?;
    thread::sleep(QUIET);
    cables.iter().try_for_each(Cable::plug)?;
    stage.expect_answerers(Lan::Two, address, &[&first])?;
    thread::sleep(HOLD_DOWN + QUIET);
    stage.expect_answerers(Lan::Two, address, &[&first])?;
    // Whose hold-down ends a millisecond before the others' may have had it for that long.
    stage.expect_status("web", &first)
}

fn removed(stage: &mut Stage) -> Result<()> {
    let addresses = on_lan_2(stage, &json!({ "interfaces": ["eth1"] }))?;
    let address = *addresses.first().ok_or_else(|| fail("no address"))?;
    let first = stage.announced("web", Lan::Two, address)?;
    thread::sleep(Duration::from_secs(4));
    let rename = |from: &str, to: &str| {
        let host = stage.lab().host(&first)?;
        host.success(["ip", "link", "set", from, "name", to]).map(drop)
    };
    let second = moves(stage, address, &first, || rename("eth1", "spare"))?;
    // A new process has never seen the interface.
    stage.lab().speaker(&first)?.restart()?;
    stage.lab().wait_ready(PATIENCE)?;
    thread::sleep(QUIET);
    stage.expect_answerers(Lan::Two, address, &[&second])?;
    let failed = stage.events("web")?.iter().any(|event| event["reason"] == "announceFailed");
    check(!failed, || "a node without the interface took the address".to_owned())?;
    rename("spare", "eth1")?;
    stage.expect_answerers(Lan::Two, address, &[&first])?;
    stage.announced("web", Lan::Two, address).map(drop)
}

fn cordoned(stage: &mut Stage) -> Result<()> {
    stage.with_flag("DaemonSet", "speaker", "--yield-when-cordoned", |stage| {
        stage.example("quick-start")?;
        let address = stage.address("echo")?;
        let first = stage.announced("echo", Lan::One, address)?;
        thread::sleep(Duration::from_secs(4));
        let steadiness = stage.steadiness(address)?;
        stage.kubectl(&["cordon", &first])?;
        let second = owner_besides(stage, address, &first)?;
        steadiness.expect_from_anybody()?;
        // Where all are cordoned nobody is worse than others.
        for node in stage.nodes() {
            stage.kubectl(&["cordon", &node])?;
        }
        stage.expect_owner(address, &first)?;
        stage.kubectl(&["uncordon", &second])?;
        stage.expect_owner(address, &second)?;
        for node in stage.nodes() {
            stage.kubectl(&["uncordon", &node])?;
        }
        stage.expect_owner(address, &first)?;
        stage.announced("echo", Lan::One, address)?;
        stage.curl(address).map(drop)
    })
}

fn proxy(stage: &mut Stage) -> Result<()> {
    stage.with_flag("DaemonSet", "speaker", "--kube-proxy-health-port=10256", |stage| {
        stage.example("quick-start")?;
        let address = stage.address("echo")?;
        let first = stage.announced("echo", Lan::One, address)?;
        let proxy = stage.lab().process(&format!("kube-proxy-{first}"))?;
        proxy.signal(Signal::STOP)?;
        let moved = owner_besides(stage, address, &first);
        proxy.signal(Signal::CONT)?;
        moved?;
        stage.expect_owner(address, &first)?;
        stage.announced("echo", Lan::One, address)?;
        stage.curl(address).map(drop)
    })
}

fn owner_besides(stage: &Stage, address: IpAddr, first: &str) -> Result<String> {
    wait_until("the address moves", PATIENCE, || {
        let owner = stage.owner(address)?;
        Ok(if owner == first { Err(owner) } else { Ok(owner) })
    })
}
