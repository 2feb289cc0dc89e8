//! The cases, by what they are about.

mod admission;
mod allocation;
mod bad_input;
mod bgp;
mod configuration_states;
mod conflicts;
mod embedded;
mod endpoints;
mod examples;
mod fail_over;
mod families;
mod health;
mod install;
mod lans;
mod members;
mod metrics;
mod nodes;
mod outage;
mod processes;
mod replicas;
mod reports;
mod rest;
mod selectors;
mod sharing;
mod single;
mod surface;
mod tracer;
mod traffic;

use crate::shape::Shape;
use crate::suite::Case;
use crate::walkthrough;

/// The cases of a shape, in the order they run.
pub(crate) fn of(shape: Shape) -> Vec<Case> {
    let parts: &[&[Case]] = match shape {
        Shape::Cluster => &[
            tracer::CASES,
            families::CASES,
            traffic::CASES,
            endpoints::CASES,
            allocation::CASES,
            sharing::CASES,
            examples::CASES,
            selectors::CASES,
            nodes::CASES,
            surface::CASES,
            metrics::CASES,
            admission::CASES,
            bad_input::CASES,
            fail_over::CASES,
            health::CLUSTER,
            conflicts::CASES,
            members::CASES,
            processes::CASES,
            replicas::CASES,
            reports::CASES,
            configuration_states::CASES,
            walkthrough::CASES,
            install::CASES,
            rest::CASES,
            outage::CASES,
        ],
        Shape::Lans => &[lans::CASES, health::LANS],
        Shape::Single => &[single::CASES],
        Shape::Routers => bgp::PARTS,
        Shape::Embedded => &[embedded::CASES],
    };
    parts.concat()
}

/// A case.
const fn case(
    name: &'static str,
    pins: &'static str,
    run: fn(&mut crate::stage::Stage) -> ferrolb_lab::Result<()>,
) -> Case {
    Case { name, pins, run }
}
