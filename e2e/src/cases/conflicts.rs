//! Somebody else speaks for an address: a stranger on the network, or one of our own nodes.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_addr::Family;
use ferrolb_api::labels;
use ferrolb_lab::api::wait_until;
use ferrolb_lab::fault::Cable;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::probe::neighbour;
use ferrolb_lab::{Host, Result, fault};

use super::case;
use crate::manifest::{advertisement, pool, service};
use crate::stage::{PATIENCE, Stage, check, fail};
use crate::suite::Case;

pub(super) const CASES: &[Case] = &[
    case("stranger_has_address_v4", "warn: announced all the same, and the Service says who", v4),
    case("stranger_has_address_v6", "the same over IPv6", v6),
    case(
        "stranger_takes_address",
        "a claim is told, and answered by one frame in ten seconds",
        takes,
    ),
    case("stranger_refused", "refuse: not announced while a stranger has it", refused),
    case(
        "stranger_refused_by_next_owner",
        "refuse: the next owner knows of it, and announces once the stranger is gone",
        refused_by_next,
    ),
    case("stranger_avoided", "refuse: a Service that did not ask gets another address", avoided),
    case(
        "nodes_deaf_to_each_other",
        "two answer for a moment, then the first of the election",
        deaf,
    ),
];

/// UDP port of speakers.
const PORT: u16 = 7946;
const REQUEST: &str = "metallb.io/loadBalancerIPs";

fn v4(stage: &mut Stage) -> Result<()> {
    had(stage, "172.30.1.205", "IPv4")
}

fn v6(stage: &mut Stage) -> Result<()> {
    had(stage, "fd00:172:30:1::205", "IPv6")
}

fn had(stage: &mut Stage, address: &str, family: &str) -> Result<()> {
    let ip: IpAddr = address.parse().map_err(|_| fail(address))?;
    let stranger = Stranger::with(stage, ip)?;
    asked_for(stage, address, family)?;
    stage.expect_addresses("web", &[address])?;
    stage.expect_event("web", "AddressConflict", &[&stranger.mac(), "announced all the same"])?;
    wait_until("a node and the stranger answer", PATIENCE, || {
        let answerers = stage.answerers(Lan::One, ip)?;
        Ok(if answerers.len() == 2 { Ok(()) } else { Err(format!("{answerers:?}")) })
    })?;
    stranger.gone()
}

fn takes(stage: &mut Stage) -> Result<()> {
    let (address, ip) = ("172.30.1.206", IpAddr::from([172, 30, 1, 206]));
    asked_for(stage, address, "IPv4")?;
    stage.announced("web", Lan::One, ip)?;
    // Until the node has said unasked what it says unasked anyway.
    thread::sleep(Duration::from_secs(4));
    let watch = stage.watch(Lan::One, ip)?;
    let stranger = Stranger::with(stage, ip)?;
    stranger.claim(stage)?;
    stage.expect_event("web", "AddressConflict", &[&stranger.mac(), "announced here too"])?;
    thread::sleep(Duration::from_millis(500));
    let claimed = Instant::now();
    stranger.claim(stage)?;
    stranger.claim(stage)?;
    thread::sleep(Duration::from_millis(500));
    let heard = watch.stop()?;
    let defences = heard.sightings.iter().filter(|sighting| {
        let foreign = stage.lab().host_with_mac(sighting.mac).map(Host::name);
        !sighting.answer && foreign.is_some_and(|name| name.starts_with("node"))
    });
    let late = defences.clone().filter(|sighting| sighting.at > claimed).count();
    check(defences.count() > 0, || format!("nobody defended: {heard:?}"))?;
    check(late == 0, || format!("defended {late} times within ten seconds"))?;
    stranger.gone()
}

fn refused(stage: &mut Stage) -> Result<()> {
    stage.with_flag("DaemonSet", "speaker", "--address-conflicts=refuse", |stage| {
        let ip = IpAddr::from([172, 30, 1, 207]);
        let stranger = Stranger::with(stage, ip)?;
        asked_for(stage, "172.30.1.207", "IPv4")?;
        stage.expect_event("web", "AddressConflict", &[&stranger.mac(), "not announced"])?;
        let answerers = stage.answerers(Lan::One, ip)?;
        let only = BTreeSet::from([stranger.host.name().to_owned()]);
        check(answerers == only, || format!("{answerers:?} answer"))?;
        stage.expect_refusal("web", "172.30.1.207", &stranger.mac())?;
        // It was asked for, so it stays.
        stage.expect_addresses("web", &["172.30.1.207"])?;
        stranger.gone()
    })
}

fn refused_by_next(stage: &mut Stage) -> Result<()> {
    stage.with_flag("DaemonSet", "speaker", "--address-conflicts=refuse", |stage| {
        let ip = IpAddr::from([172, 30, 1, 209]);
        let stranger = Stranger::with(stage, ip)?;
        asked_for(stage, "172.30.1.209", "IPv4")?;
        stage.expect_refusal("web", "172.30.1.209", &stranger.mac())?;
        let first = refuser(stage)?;
        let cable = Cable::of(stage.lab().host(&first)?, Lan::One);
        let watch = stage.watch(Lan::One, ip)?;
        cable.silence()?;
        wait_until(&format!("another node than {first} refuses"), PATIENCE, || {
            let name = refuser(stage)?;
            Ok(if name == first { Err(name) } else { Ok(()) })
        })?;
        cable.restore()?;
        cable.plug()?;
        wait_until(&format!("{first} refuses again"), PATIENCE, || {
            let name = refuser(stage)?;
            Ok(if name == first { Ok(()) } else { Err(name) })
        })?;
        let heard = watch.stop()?;
        let ours =
            heard.sightings.iter().filter(|sighting| sighting.mac != stranger.host.mac(Lan::One));
        check(ours.count() == 0, || format!("a node announced it: {heard:?}"))?;
        stranger.gone()
    })
}

/// The node that reports that it is kept from announcing; empty for none.
fn refuser(stage: &Stage) -> Result<String> {
    let statuses = stage.statuses("default", "web")?;
    let refusing = statuses.iter().find(|status| status["status"]["refused"][0].is_object());
    let node = refusing.and_then(|status| status["metadata"]["labels"][labels::NODE].as_str());
    Ok(node.unwrap_or_default().to_owned())
}

fn avoided(stage: &mut Stage) -> Result<()> {
    stage.with_flag("DaemonSet", "speaker", "--address-conflicts=refuse", |stage| {
        // Addresses of its own: this one is avoided for ten minutes.
        let stranger = Stranger::with(stage, IpAddr::from([172, 30, 1, 180]))?;
        stage.apply(&pool("web", &["172.30.1.180-172.30.1.189"]))?;
        stage.apply(&advertisement("all"))?;
        stage.apply(&service("web"))?;
        stage.expect_event("web", "AddressConflict", &[&stranger.mac(), "in its place"])?;
        stage.expect_addresses("web", &["172.30.1.181"])?;
        stage.announced("web", Lan::One, IpAddr::from([172, 30, 1, 181]))?;
        stage.curl(IpAddr::from([172, 30, 1, 181]))?;
        // Nobody else is given the first one either.
        stage.apply(&service("next"))?;
        stage.expect_addresses("next", &["172.30.1.182"])?;
        stranger.gone()
    })
}

fn deaf(stage: &mut Stage) -> Result<()> {
    asked_for(stage, "172.30.1.208", "IPv4")?;
    let ip = IpAddr::from([172, 30, 1, 208]);
    let owner = stage.announced("web", Lan::One, ip)?;
    let host = stage.lab().host(&owner)?;
    let watch = stage.watch(Lan::One, ip)?;
    fault::block(host, PORT)?;
    stage.wait_for_line(&format!("speaker-{owner}"), 0, &["twoOwners"])?;
    // Whoever had to yield has done so; ours is the first of the election and goes on.
    thread::sleep(Duration::from_secs(2));
    for _ in 0..4 {
        let answerers = stage.answerers(Lan::One, ip)?;
        check(answerers == BTreeSet::from([owner.clone()]), || format!("{answerers:?} answer"))?;
        thread::sleep(Duration::from_millis(500));
    }
    let heard = watch.stop()?;
    let mac = host.mac(Lan::One);
    let others: Vec<Instant> =
        heard.answers().filter(|answer| answer.mac != mac).map(|answer| answer.at).collect();
    let (Some(first), Some(last)) = (others.first(), others.last()) else {
        return Err(fail("nobody took over, nothing was tried"));
    };
    let both = last.duration_since(*first);
    check(both < Duration::from_secs(3), || format!("two answered for {both:?}"))?;
    fault::lose_nothing(host)?;
    stage.expect_owner(ip, &owner)
}

fn asked_for(stage: &Stage, address: &str, family: &str) -> Result<()> {
    stage.apply(&pool("web", &["172.30.1.200-172.30.1.209", "fd00:172:30:1::200/124"]))?;
    stage.apply(&advertisement("all"))?;
    let web = service("web").families("SingleStack", &[family]);
    stage.apply(&web.annotate(REQUEST, address))
}

/// A host outside the cluster that has an address.
struct Stranger {
    host: Host,
    ip: IpAddr,
}

impl Stranger {
    fn with(stage: &mut Stage, ip: IpAddr) -> Result<Self> {
        let stranger = Self { host: stage.guest()?, ip };
        stranger.ip_address(&["replace", &ip.to_string(), "dev", "eth0", "nodad"])?;
        Ok(stranger)
    }

    fn mac(&self) -> String {
        self.host.mac(Lan::One).to_string()
    }

    /// Asks for a neighbour in the name of the address, as any host does before it sends from it.
    fn claim(&self, stage: &Stage) -> Result<()> {
        let neighbour = stage.client(Lan::One)?.address(Lan::One, Family::V4);
        neighbour::ask_as(&self.host, Lan::One, self.ip, neighbour)
    }

    fn gone(self) -> Result<()> {
        self.ip_address(&["del", &self.ip.to_string(), "dev", "eth0"])
    }

    fn ip_address(&self, arguments: &[&str]) -> Result<()> {
        self.host.success(["ip", "address"].iter().chain(arguments)).map(drop)
    }
}
