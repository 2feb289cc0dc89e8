//! The owner dies silently: its switch port is gone, its carrier stays, nobody is told.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_lab::Result;
use ferrolb_lab::fault::Cable;
use ferrolb_lab::plan::Lan;

use super::case;
use crate::manifest::{advertisement, pool, service};
use crate::stage::{PATIENCE, Stage, UNASKED, check, fail};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("owner_dies_v4", "another node answers, the status object moves, and back", v4),
    case("owner_dies_v6", "the same over IPv6", v6),
    case("owner_loses_carrier", "the same when the link goes down", carrier),
    case("owner_dies_fast", "the same with the fast profile", fast),
];

/// The figure is a second; a loaded machine may take longer, a broken detector takes for ever.
const GENEROUS: Duration = Duration::from_secs(3);

fn v4(stage: &mut Stage) -> Result<()> {
    dies(stage, "IPv4", Cable::silence)
}

fn v6(stage: &mut Stage) -> Result<()> {
    dies(stage, "IPv6", Cable::silence)
}

fn carrier(stage: &mut Stage) -> Result<()> {
    dies(stage, "IPv4", Cable::cut)
}

fn fast(stage: &mut Stage) -> Result<()> {
    stage.with_flag("DaemonSet", "speaker", "--heartbeat-profile=fast", |stage| {
        dies(stage, "IPv4", Cable::silence)
    })
}

fn dies(stage: &Stage, family: &str, kill: fn(&Cable) -> Result<()>) -> Result<()> {
    stage.apply(&pool("web", &["172.30.1.200-172.30.1.209", "fd00:172:30:1::200/124"]))?;
    stage.apply(&advertisement("all"))?;
    stage.apply(&service("web").families("SingleStack", &[family]))?;
    let address = stage.address("web")?;
    let processes = stage.own_processes();
    let (first, cable) = fails_over(stage, "web", address, kill)?;
    cable.restore()?;
    cable.plug()?;
    stage.expect_owner(address, &first)?;
    stage.announced("web", Lan::One, address)?;
    stage.curl(address)?;
    // Once it is back, it is back for good, and alone.
    let watch = stage.watch(Lan::One, address)?;
    thread::sleep(Duration::from_secs(1));
    let heard = watch.stop()?;
    let mac = stage.lab().host(&first)?.mac(Lan::One);
    check(heard.answers().all(|answer| answer.mac == mac), || format!("two answer: {heard:?}"))?;
    check(stage.own_processes() == processes, || "a process was restarted".to_owned())
}

/// Kills the owner's cable and waits until another node has the address in every respect.
pub(super) fn fails_over(
    stage: &Stage,
    service: &str,
    address: IpAddr,
    kill: fn(&Cable) -> Result<()>,
) -> Result<(String, Cable)> {
    let first = stage.announced(service, Lan::One, address)?;
    let (cable, second) = taken_over(stage, address, &first, kill)?;
    stage.expect_owner(address, &second)?;
    let announced = stage.announced(service, Lan::One, address)?;
    check(announced == second, || format!("{second} answered first, now {announced}"))?;
    stage.curl(address)?;
    Ok((first, cable))
}

/// Kills the owner's cable and returns who answers next.
pub(super) fn taken_over(
    stage: &Stage,
    address: IpAddr,
    first: &str,
    kill: fn(&Cable) -> Result<()>,
) -> Result<(Cable, String)> {
    let host = stage.lab().host(first)?;
    let (mac, cable) = (host.mac(Lan::One), Cable::of(host, Lan::One));
    let watch = stage.watch(Lan::One, address)?;
    let killed = Instant::now();
    kill(&cable)?;
    ferrolb_lab::api::wait_until(&format!("another node than {first} answers"), PATIENCE, || {
        let answerers = stage.answerers(Lan::One, address)?;
        let another = answerers.iter().any(|name| name != first);
        Ok(if another { Ok(()) } else { Err(format!("{answerers:?}")) })
    })?;
    thread::sleep(UNASKED);
    let heard = watch.stop()?;
    let next = heard.next_owner(killed, mac).ok_or_else(|| fail("nobody answered the watch"))?;
    let time = next.at.saturating_duration_since(killed);
    check(time < GENEROUS, || format!("the first answer came after {time:?}"))?;
    let told = heard
        .sightings
        .iter()
        .any(|sighting| !sighting.answer && sighting.mac == next.mac && sighting.at >= killed);
    check(told, || "the new owner said nothing unasked (G-04)".to_owned())?;
    let name = stage.lab().host_with_mac(next.mac).map(|host| host.name().to_owned());
    let name = name.ok_or_else(|| fail(format!("a stranger answers: {}", next.mac)))?;
    Ok((cable, name))
}
