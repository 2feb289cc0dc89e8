//! Routers tried on each other: what they are told they do, and what they say is read.
//!
//! A program of its own, as `lab.rs` is and for the same reasons. Where the machine refuses
//! namespaces, or lacks a router, it says so and passes.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ferrolb_addr::Family;
use ferrolb_lab::api::wait_until;
use ferrolb_lab::router::{Bfd, Config, Neighbour, Router, Software};
use ferrolb_lab::sandbox::{self, Side};
use ferrolb_lab::{Lab, Options};

type Outcome = Result<(), Box<dyn Error>>;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Parser)]
enum AsFerrolb {
    Lab(ferrolb_lab::Args),
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("lab") {
        let AsFerrolb::Lab(args) = AsFerrolb::parse();
        return ferrolb_lab::run(args);
    }
    if let Some(program) = Software::ALL.iter().find_map(|software| software.missing()) {
        println!("skipped: no {program}");
        return ExitCode::SUCCESS;
    }
    match sandbox::enter("routers-test") {
        Ok(Side::Ended(code)) => return code,
        Ok(Side::Inside) => {}
        Err(refusal) => {
            println!("skipped: {refusal}");
            return ExitCode::SUCCESS;
        }
    }
    match routers_understand_each_other() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("routers_understand_each_other: {error}");
            ExitCode::FAILURE
        }
    }
}

/// FRR dials BIRD and `GoBGP`, BIRD dials `GoBGP`; the first two announce.
fn routers_understand_each_other() -> Outcome {
    let mut lab = Lab::up(Options { nodes: 1, ..Options::new()? })?;
    let [frr, bird, gobgp] = Software::ALL.map(|software| lab.add_router(software));
    let (frr, bird, gobgp) = (frr?, bird?, gobgp?);
    let bfd = Some(Bfd { interval: 300, multiplier: 3 });
    let password = Some("pass".to_owned());
    let to = |router: &Router, asn| Neighbour::new(router.address(Family::V4), asn);
    let own =
        |asn, neighbours: Vec<Neighbour>, announce: &[&str]| -> Result<_, ipnet::AddrParseError> {
            let announce = announce.iter().map(|net| net.parse()).collect::<Result<_, _>>()?;
            Ok(Config { announce, ..Config::new(asn, neighbours) })
        };
    frr.configure(&own(
        64_601,
        vec![
            Neighbour { passive: false, bfd, hold_time: 9, ..to(&bird, 64_602) },
            Neighbour { passive: false, password: password.clone(), ..to(&gobgp, 64_603) },
        ],
        &["203.0.113.1/32", "2001:db8:6::1/128"],
    )?)?;
    bird.configure(&own(
        64_602,
        vec![
            Neighbour { bfd, ..to(&frr, 64_601) },
            Neighbour { passive: false, ..to(&gobgp, 64_603) },
        ],
        &["203.0.113.2/32", "2001:db8:6::2/128"],
    )?)?;
    gobgp.configure(&own(
        64_603,
        vec![Neighbour { password, ..to(&frr, 64_601) }, to(&bird, 64_602)],
        &[],
    )?)?;
    for router in [&frr, &bird, &gobgp] {
        up(router, 2)?;
    }
    for (router, prefix, from) in [
        (&frr, "203.0.113.2/32", &bird),
        (&frr, "2001:db8:6::2/128", &bird),
        (&bird, "203.0.113.1/32", &frr),
        (&bird, "2001:db8:6::1/128", &frr),
        (&gobgp, "203.0.113.1/32", &frr),
        (&gobgp, "2001:db8:6::2/128", &bird),
    ] {
        routes(router, prefix, Some(from))?;
    }
    let hold = frr.sessions()?.iter().find(|one| one.asn == 64_602).and_then(|one| one.hold_time);
    assert_eq!(hold, Some(9));
    for router in [&frr, &bird] {
        wait_until("BFD is up", PATIENCE, || {
            let sessions = router.bfd()?;
            let up = !sessions.is_empty() && sessions.iter().all(|session| session.is_up);
            Ok(if up { Ok(()) } else { Err(format!("{sessions:?}")) })
        })?;
    }
    bird.kill();
    routes(&frr, "203.0.113.2/32", None)?;
    frr.terminate()?;
    routes(&gobgp, "203.0.113.1/32", None)?;
    Ok(())
}

fn up(router: &Router, number: usize) -> Outcome {
    wait_until(&format!("{} has {number} sessions", router.name()), PATIENCE, || {
        let sessions = router.sessions()?;
        let up = sessions.iter().filter(|session| session.is_up).count();
        Ok(if up == number { Ok(()) } else { Err(format!("{sessions:?}")) })
    })?;
    Ok(())
}

/// Waits until a router has a route from another one, in its kernel too if it has a say there.
fn routes(router: &Router, prefix: &str, from: Option<&Router>) -> Outcome {
    let prefix: ipnet::IpNet = prefix.parse()?;
    let family = if prefix.addr().is_ipv4() { Family::V4 } else { Family::V6 };
    let hop = from.map(|from| from.address(family));
    wait_until(&format!("{} has {prefix}", router.name()), PATIENCE, || {
        let paths = router.paths(prefix)?;
        let told = paths.iter().any(|path| path.next_hop == hop);
        let forwarded = router.kernel_next_hops(prefix)?;
        let known = router.prefixes(family)?.contains(&prefix);
        // By which of its addresses the next hop is known there, is the kernel's business.
        let in_force =
            !router.software().forwards() || forwarded.len() == usize::from(hop.is_some());
        let right = match hop {
            Some(_) => told && known && in_force,
            None => paths.is_empty() && !known && forwarded.is_empty(),
        };
        Ok(if right { Ok(()) } else { Err(format!("{paths:?} {forwarded:?} {known}")) })
    })?;
    Ok(())
}
